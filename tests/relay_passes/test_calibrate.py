"""Calibration: the ranges seen, the outliers cut, and data that do not fit refused."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relax

from tests.relay_passes.float_nets import RelaxNet, residual_net
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.quantize.calibrate import Method, Range, calibrate
from zeroskip.relay_passes.quantize.calibrate_judge import uncut_results
from zeroskip.relay_passes.quantize.calibrate_ranges import BINS, count, range_by
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8

Array = npt.NDArray[Any]


def scaling_net() -> tuple[tvm.IRModule, str]:
    """An activation that is twice the input: a convolution by 2."""
    net = RelaxNet(1, 1, 4, 4)
    weight = net.const(np.full((1, 1, 1, 1), 2.0))
    doubled = net.op("double", relax.op.nn.conv2d(net.x, weight))
    return net.finish(net.op("sigmoid", relax.op.sigmoid(doubled))), "double"


def data(*values: float) -> dict[str, Array]:
    return {"input": np.resize(np.array(values, np.float32), (len(values), 1, 4, 4))}


def test_ranges_are_the_extremes_of_all_samples() -> None:
    module, name = scaling_net()
    samples = np.zeros((3, 1, 4, 4), np.float32)
    samples[0, 0, 1, 1], samples[2, 0, 3, 3] = -1.5, 4.0
    assert calibrate(module, {"input": samples}, "minmax") == {
        "input": Range(-1.5, 4.0),
        name: Range(-3.0, 8.0),
    }


def test_progress_counts_the_runs() -> None:
    module, _ = scaling_net()
    seen: list[tuple[int, int]] = []
    calibrate(module, data(1, 2, 3), progress=lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    seen.clear()
    calibrate(module, data(1, 2, 3), method="mse", progress=lambda *step: seen.append(step))
    assert seen == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_a_lone_outlier_is_cut(method: Any) -> None:
    module, name = scaling_net()
    samples = np.random.default_rng(7).uniform(-1, 1, (4000, 1, 4, 4)).astype(np.float32)
    samples[0, 0, 0, 0] = 8.0
    ranges = calibrate(module, {"input": samples}, method=method, percentile=99.9)
    full = calibrate(module, {"input": samples}, "minmax")
    assert full[name].hi == 16.0
    assert 1.9 < ranges[name].hi < (2.1 if method == "percentile" else 15.9)
    assert ranges[name].lo < (-1.9 if method == "percentile" else -1.0)


@pytest.mark.parametrize("method", ["percentile", "mse", "auto"])
def test_answers_among_thousands_of_classes_are_not_cut(method: Method) -> None:
    """Logits of twenty rows, of which one stands out in each, turned before a softmax."""
    module = classifier(3000)
    values = np.random.default_rng(0).standard_normal((3, 3000, 1, 20)).astype(np.float32)
    values[:, 5] = np.linspace(20, 60, 20)
    assert calibrate(module, {"input": values}, method)["logits"].hi == 60


def test_a_few_classes_are_cut_like_all_else() -> None:
    assert uncut_results(classifier(3000)["main"], 99.99) == {"logits", "turned"}
    assert uncut_results(classifier(1000)["main"], 99.99) == set()
    assert uncut_results(classifier(1000)["main"], 99.9) == {"logits", "turned"}


def classifier(classes: int) -> tvm.IRModule:
    net = RelaxNet(1, classes, 1, 20)
    weight = net.const(np.ones((classes, 1, 1, 1)))
    logits = net.op("logits", relax.op.nn.conv2d(net.x, weight, groups=classes))
    turned = net.op("turned", relax.op.permute_dims(logits, [0, 2, 3, 1]))
    return net.finish(net.op("answers", relax.op.nn.softmax(turned, -1)))


def test_a_percentile_cuts_half_at_each_end() -> None:
    """A value in each bin of width 1; of 10 % of 2048, 102.4 go at either end."""
    counts = np.ones(BINS, np.int64)
    assert range_by("percentile", counts, Range(0, BINS), 90) == Range(102, BINS - 102)
    assert range_by("percentile", counts, Range(-1, 1), 100) == Range(-1, 1)


def test_the_least_error_is_of_rounding_and_clipping_together() -> None:
    counts = np.zeros(BINS, np.int64)
    counts[BINS // 2] = 1_000_000
    counts[[0, -1]] = 1
    cut = range_by("mse", counts, Range(-1, 1), 0)
    assert -1 < cut.lo == -cut.hi < 0
    counts[[0, -1]] = 1_000_000
    assert range_by("mse", counts, Range(-1, 1), 0).hi > 0.98


def test_mse_keeps_what_fits_eight_bits() -> None:
    module, name = scaling_net()
    samples = np.random.default_rng(8).uniform(-1, 1, (50, 1, 4, 4)).astype(np.float32)
    ranges, full = (calibrate(module, {"input": samples}, method=m) for m in ("mse", "minmax"))
    assert ranges[name].hi >= 0.98 * full[name].hi


def test_a_batch_takes_its_samples_together() -> None:
    net = RelaxNet(2, 4, 6, 6)
    module = net.finish(net.relu("relu", net.conv("conv", net.x, 4)))
    assert calibrate(module, net.samples(3))
    with pytest.raises(PassError, match="multiple of the model's batch, 2"):
        calibrate(module, {"input": net.samples(2)["input"][:3]})


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({}, r"lack input 'input': give float32 of \[samples, 3, 24, 24\]"),
        ({"image": np.zeros((1, 3, 24, 24), np.float32)}, "'image', which is no input"),
        ({"input": np.zeros((1, 3, 24, 20), np.float32)}, r"\[1, 3, 24, 20\]: give float32"),
        ({"input": np.zeros((1, 3, 24, 24))}, "are float64"),
        ({"input": np.zeros((0, 3, 24, 24), np.float32)}, "hold 0 samples"),
        ({"input": np.full((1, 3, 24, 24), np.nan, np.float32)}, "'input' hold NaN"),
    ],
)
def test_data_that_do_not_fit_are_refused(samples: dict[str, Array], message: str) -> None:
    module, _ = residual_net()
    with pytest.raises(PassError, match=message):
        calibrate(module, samples)
    with pytest.raises(PassError, match=message):
        QuantizeInt8(samples=samples)(module)


def test_an_overflow_inside_names_its_node() -> None:
    net = RelaxNet(1, 1, 4, 4)
    huge = net.op("huge", relax.op.nn.conv2d(net.x, net.const(np.full((1, 1, 1, 1), 3e38))))
    module = net.finish(net.op("sigmoid", relax.op.sigmoid(huge)))
    with pytest.raises(PassError, match="Node '/huge' gives NaN or infinity"):
        calibrate(module, data(10.0))


def test_unknown_methods_are_refused() -> None:
    module, _ = scaling_net()
    with pytest.raises(PassError, match="'entropy'"):
        calibrate(module, data(1), method=cast(Method, "entropy"))
    with pytest.raises(PassError, match="percentile 10"):
        calibrate(module, data(1), method="percentile", percentile=10)


def test_values_that_are_all_the_same_lie_in_one_bin() -> None:
    with np.errstate(all="raise"):
        counts = count(np.full(5, 2, np.float32), Range(2, 2))
    assert (counts[0], counts.sum()) == (5, 5)
