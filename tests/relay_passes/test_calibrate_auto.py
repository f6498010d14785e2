"""Ranges chosen by what the network makes of them, on samples that they were not taken from."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relax

from tests.relay_passes.float_nets import RelaxNet
from zeroskip.relay_passes.quantize import calibrate_judge
from zeroskip.relay_passes.quantize.calibrate import calibrate
from zeroskip.relay_passes.quantize.calibrate_auto import (
    choose_by_outputs,
    least_local_error,
    no_worse_than_fixed,
)
from zeroskip.relay_passes.quantize.calibrate_ranges import candidates_of
from zeroskip.relay_passes.quantize.scales import Range

Array = npt.NDArray[Any]


def outlier_net(weight: float) -> tvm.IRModule:
    """Channel 1, which holds outliers, is read with this weight, channel 0 with 1."""
    net = RelaxNet(1, 2, 128, 128)
    both = net.op(
        "both",
        relax.op.nn.conv2d(net.x, net.const(np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1))),
    )
    kernel = np.array([1.0, weight], np.float32).reshape(1, 2, 1, 1)
    return net.finish(net.op("sum", relax.op.nn.conv2d(both, net.const(kernel))))


def outliers(count: int = 12) -> dict[str, Array]:
    x = np.random.default_rng(3).uniform(-1, 1, (count, 2, 128, 128)).astype(np.float32)
    x[:, 1, 30, 40] = 24.0
    return {"input": x}


@pytest.mark.parametrize(("weight", "cut"), [(0.0, True), (1.0, False)])
def test_outliers_stay_where_the_output_needs_them(weight: float, cut: bool) -> None:
    ranges = calibrate(outlier_net(weight), outliers())
    assert (ranges["both"].hi < 20) == cut, ranges


def test_the_same_ranges_each_time_and_of_a_single_sample() -> None:
    module, samples = outlier_net(0.0), outliers()
    assert calibrate(module, samples) == calibrate(module, samples)
    assert calibrate(module, outliers(1))["both"].hi < 20


def test_candidates_come_from_other_samples_than_the_choice(monkeypatch: Any) -> None:
    """From eight of twelve; the ranges at last from all."""
    given: list[dict[str, int]] = []

    def keeping(counts: Any, *rest: Any) -> Any:
        given.append({name: int(each.sum()) for name, each in counts.items()})
        return candidates_of(counts, *rest)

    monkeypatch.setattr(calibrate_judge, "candidates_of", keeping)
    calibrate(outlier_net(0.0), outliers(12))
    first, last = given
    assert first.keys() == last.keys()
    assert all(12 * first[name] == 8 * last[name] > 0 for name in first)


@pytest.mark.parametrize("turned", [False, True])
def test_a_choice_is_judged_before_a_softmax(turned: bool) -> None:
    """Of few numbers also by what the last layer reads. turned: behind the softmax."""
    net = RelaxNet(1, 2, 4, 4)
    logits = net.op(
        "logits", relax.op.nn.conv2d(net.x, net.const(np.ones((3, 2, 1, 1), np.float32)))
    )
    shares = net.op("shares", relax.op.nn.softmax(logits, axis=1))
    if turned:
        shares = net.op("turned", relax.op.permute_dims(shares, [0, 2, 3, 1]))
    module = net.finish(shares)
    run = [np.ones((1, 2, 4, 4), np.float32)]
    assert calibrate_judge.Judge(module, ["logits"], [run]).ends == ["logits", "input"]


def test_what_onnx_cannot_hold_is_chosen_by_each_tensor(monkeypatch: Any) -> None:
    monkeypatch.setattr("zeroskip.relay_passes.quantize.calibrate_judge.trial_of", lambda *_: None)
    ranges, full = (
        calibrate(outlier_net(0.0), outliers(), method) for method in ("auto", "minmax")
    )
    assert ranges.keys() == full.keys()
    assert all(0 < ranges[name].hi <= full[name].hi for name in full)


def test_a_choice_by_its_own_error_and_by_groups() -> None:
    names = ["a", "b", "c", "d"]
    candidates = {
        "wide": dict.fromkeys(names, Range(0, 8)),
        "tight": dict.fromkeys(names, Range(0, 1)),
    }
    uniform = np.linspace(0, 1, 100, dtype=np.float32)
    far = np.append(uniform, np.float32(8))
    local = least_local_error(candidates, {"a": uniform, "b": far, "c": uniform, "d": far})
    assert local == {"a": "tight", "b": "wide", "c": "tight", "d": "wide"}
    right = dict(zip(names, ("wide", "tight", "tight", "tight"), strict=True))

    def noise(ranges: Any) -> Array:
        wrong = sum(ranges[name] != candidates[right[name]][name] for name in names)
        return np.full(3, float(wrong))

    assert choose_by_outputs(candidates, local, noise, 40) == right


def test_a_tensor_changes_by_itself_and_a_choice_gives_way_to_a_fixed_method() -> None:
    """Of thirty tensors one, which no group of neighbours shows; then with other ranges."""
    names = [f"t{at}" for at in range(30)]
    candidates = {
        "wide": dict.fromkeys(names, Range(0, 8)),
        "tight": dict.fromkeys(names, Range(0, 1)),
    }

    def noise(ranges: Any) -> Array:
        wrong = sum(ranges[name].hi != (8 if name == "t17" else 1) for name in names)
        return np.full(3, float(wrong))

    start = dict.fromkeys(names, "tight")
    choice = choose_by_outputs(candidates, start, noise, calibrate_judge.MOST_TRIALS)
    assert choice == start | {"t17": "wide"}
    assert no_worse_than_fixed(candidates, choice, noise) == choice
    turned = {"wide": candidates["tight"], "tight": dict.fromkeys(names, Range(0, 2))}
    assert no_worse_than_fixed(turned, choice, noise) == dict.fromkeys(names, "wide")
