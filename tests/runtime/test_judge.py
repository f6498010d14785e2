"""The judge is judged: each way in which a comparison could say yes too easily."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from onnx import numpy_helper, parser

from tests.runtime.nets import SHAPE, small_net
from zeroskip import compiler
from zeroskip.accel_model.io.telling import no_progress
from zeroskip.accel_model.program.program import ResultPlace, Tile
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.ir.host_plan import Scaling
from zeroskip.relay_passes.attrs import LAYERS_ATTR
from zeroskip.relay_passes.metrics import noise, snr_db
from zeroskip.relay_passes.relax.cpu import run_cpu
from zeroskip.runtime.execution import losing_layers, region_check, validation
from zeroskip.runtime.execution.float_check import FloatCheck
from zeroskip.runtime.execution.layer_quality import Power
from zeroskip.runtime.execution.region_check import Checked, Mismatch, Seen, Written, check_outputs
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import Validation, _Image, _summary, validate


def judged(
    monkeypatch: pytest.MonkeyPatch,
    expected: np.ndarray,
    *,
    tiles: int,
    output: np.ndarray | None = None,
) -> Checked:
    """A region of one layer of two pixels, of which the first ``tiles`` are written as zeros."""
    info = SimpleNamespace(value="v", shape=(1, 1, 1, 2), before=())
    outputs = () if output is None else (SimpleNamespace(name="y"),)
    program: Any = SimpleNamespace(
        name="r", inputs=(), outputs=outputs, layers=(info,), places=(ResultPlace("v", 0, 1),)
    )
    written = Written(program)
    for x in range(tiles):
        written(7 + x, Tile(0, 0, 1, (0, x), (1, 1)), np.zeros((1, 1, 1, 1), np.int8), ())
    function = SimpleNamespace(params=(), attrs={LAYERS_ATTR: ["conv"]})
    network: Any = SimpleNamespace(
        reference_module={"r": function}, results={"r": [] if output is None else [0]}
    )
    run: Any = SimpleNamespace(outputs={"y": output} if outputs else {}, moved={})
    monkeypatch.setattr(region_check, "run_cpu", lambda *_: [expected])
    return region_check.check_region(network, None, Seen(program, {}, run, written))


IMAGE = np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
ZEROS = np.zeros((1, 1, 1, 2), np.int8)


def test_a_region_that_is_right_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged(monkeypatch, ZEROS, tiles=2, output=ZEROS)
    assert (found.mismatch, found.compared, found.layers) == (None, 1, 1)


@pytest.mark.parametrize("tiles", [0, 1])
def test_an_element_that_nothing_wrote_is_a_difference(
    monkeypatch: pytest.MonkeyPatch, tiles: int
) -> None:
    """Even if TVM has there what the buffer happens to hold."""
    found = judged(monkeypatch, ZEROS, tiles=tiles).mismatch
    assert found is not None
    assert (found.index, found.pc) == ((0, 0, 0, tiles), -1)


def test_a_wrong_layer_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged(monkeypatch, np.array([[[[0, 3]]]], np.int8), tiles=2)
    assert found.mismatch == Mismatch("r", "conv", (0, 0, 0, 1), 8, 3, 0)


def test_a_wrong_output_of_right_layers_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged(monkeypatch, ZEROS, tiles=2, output=np.array([[[[0, 5]]]], np.int8))
    assert found.mismatch == Mismatch("r", "conv", (0, 0, 0, 1), -1, 0, 5)


def test_every_bit_of_the_networks_outputs_is_compared() -> None:
    """Of floats too: NaN is NaN, and a zero has a sign."""
    y = np.array([0.0, np.nan, 3.0], np.float32)
    assert check_outputs(["y"], [y], [y.copy()]) is None
    for wrong in (np.array([-0.0, np.nan, 3]), np.array([0, 1, 3])):
        assert check_outputs(["y"], [y], [wrong.astype(np.float32)]) is not None
    assert check_outputs(["y"], [y], [np.nextafter(y, np.float32(9))]) is not None
    assert (
        check_outputs(["y"], [y], [y.view(np.int32)]) is not None
    )  # the same bits of another type
    found = check_outputs(["x", "y"], [y, y], [y, np.array([0, np.nan, 4], np.float32)])
    assert found == Mismatch("", "y", (2,), -1, 3.0, 4.0)
    assert "output 'y', element [2]: TVM has 3.0, the network 4.0" in str(found)


TEXT = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,6,6] x) => (float[1,10] y) {
    [one] a = Conv<pads=[1,1,1,1]>(x, w1)
    [ra] ra = Relu(a)
    [two] b = Conv<pads=[1,1,1,1]>(ra, w2)
    [add] c = Add(b, ra)
    [three] d = Conv(x, w3)
    [joined] e = Concat<axis=1>(c, d, x)
    [pool] f = MaxPool<kernel_shape=[2,2], strides=[2,2]>(e)
    [moved] g = Reshape(f, shape)
    [four] h = Conv(g, w4)
    [flat] i = Flatten(h)
    [dense] j = Gemm(i, w5)
    [last] y = Softmax(j)
}
"""
SIZES = {
    "w1": (8, 4, 3, 3),
    "w2": (8, 8, 3, 3),
    "w3": (5, 4, 1, 1),
    "w4": (6, 51, 1, 1),
    "w5": (18, 10),
}


@dataclass
class Judgement:
    """A validation, and what its parts were given."""

    network: Network
    found: Validation
    region: tuple[Network, Any, Seen]  # arguments of check_region
    outputs: tuple[Any, ...]  # and of _check_outputs
    floats: FloatCheck


@pytest.fixture(scope="module")
def moving() -> Judgement:
    """A convolution with an addition behind it as a part of a concatenation, a part that is
    copied, a reshape that moves data, one that does not, and a softmax on the CPU."""
    rng = np.random.default_rng(0)
    model = parser.parse_model(TEXT)
    held = {
        name: (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        for name, shape in SIZES.items()
    }
    held["shape"] = np.array([1, 51, 3, 1])
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in held.items()
    )
    network = compiler.compile(model, "sparse256", calibrate={"x": images(4)})
    given: dict[str, Any] = {}

    def keeping(name: str) -> Callable[..., Any]:
        real = getattr(validation, name)

        def call(*args: Any) -> Any:
            given[name] = args
            return given.setdefault(f"{name} made", real(*args))

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("check_region", "_check_outputs", "FloatCheck"):
            patch.setattr(validation, name, keeping(name))
        found = validate(network, {"x": images(1)}, layers=True)
    return Judgement(
        network, found, given["check_region"], given["_check_outputs"], given["FloatCheck made"]
    )


def images(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 4, 6, 6)).astype(np.float32)


def test_every_layer_is_compared(moving: Judgement, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit that TVM has otherwise in any result of any layer is found, and named."""
    right = moving.found
    assert right.exact
    names = [str(name) for name in moving.network.reference_module["region_00"].attrs[LAYERS_ATTR]]
    assert {
        "one",
        "two",
        "add",
        "three",
        "joined",
        "pool",
        "moved",
        "four",
        "flat",
        "dense",
    } <= set(names)
    assert right.layers == right.of_layers == len(names)
    assert f"{len(names)} of {len(names)} layers compared, and 1 network output)" in right.text()
    real = run_cpu
    for number, name in enumerate(names):

        def altered(*given: Any, number: int = number) -> list[np.ndarray]:
            results = [each.copy() for each in real(*given)]
            results[number].reshape(-1)[-1] ^= 1
            return results

        monkeypatch.setattr(region_check, "run_cpu", altered)
        found = region_check.check_region(*moving.region).mismatch
        assert found is not None
        assert found.layer == name
        assert found.pc >= 0 or name in ("joined", "moved")


def test_the_networks_outputs_are_compared(moving: Judgement) -> None:
    """With the whole reference's: bits of right regions are not enough."""
    arguments: Any = moving.outputs
    *given, expected, outputs = arguments
    assert validation._check_outputs(*[*given, expected, outputs]).mismatch is None
    rolled = [np.roll(each, 1) for each in outputs]
    found = validation._check_outputs(*[*given, expected, rolled]).mismatch
    assert found is not None
    assert str(found).startswith("output 'y', element [0, 0]: TVM has ")
    assert moving.found.top1_agree == {"y": True}
    moving.floats.add([images(1)], rolled, [])
    assert not moving.floats.outputs()["y"].top1_agree


def test_the_outputs_of_a_run_without_tvm_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its quantizing and dequantizing are our own."""
    network = compiler.compile(small_net(), "sparse256")
    assert network.direct is not None
    seen = losing_layers._run(network, [IMAGE], no_progress)
    made = [*Session(network).run({"x": IMAGE}).values()]
    given: Any = (network, [IMAGE], seen, [], made, made)
    assert validation._check_outputs(*given).mismatch is None
    with monkeypatch.context() as patch:
        patch.setattr(Scaling, "dequantize", lambda self, value: np.zeros(self.shape, np.float32))
        found = validation._check_outputs(*given).mismatch
    assert found is not None
    assert (found.region, found.layer) == ("", "y")
    monkeypatch.setattr(Scaling, "quantize", lambda self, real: np.zeros(self.shape, np.int8))
    assert validation._check_outputs(*given).mismatch is not None


def test_signal_to_noise_is_taken_before_a_softmax(moving: Judgement) -> None:
    """It is that of the logits, which the last layer makes."""
    right = moving.found
    assert right.snr_before == {"y": "softmax"}
    (logits,) = [each for each in right.quality if each.layer == "dense"]
    assert right.snr_db["y"] == pytest.approx(logits.snr_db)
    assert f"{logits.snr_db:.1f} dB signal-to-noise before its softmax, same top-1" in right.text()


def test_the_last_instruction_that_wrote_an_element_is_named() -> None:
    info = SimpleNamespace(value="v", shape=(1, 1, 1, 2), before=())
    program: Any = SimpleNamespace(layers=(info,))
    written = Written(program)
    for pc in (3, 9):
        written(pc, Tile(0, 0, 1, (0, 0), (1, 2)), np.zeros((1, 1, 1, 2), np.int8), ())
    assert written.pc_of("v", (0, 0, 0, 1)) == 9


def test_exact_is_whether_there_is_no_difference() -> None:
    wrong = Mismatch("r", "conv", (0,), 1, 2, 3)
    assert Validation(1, 1, 1, None, {}, {}).exact
    assert not Validation(1, 0, 1, wrong, {}, {}).exact
    exact = Validation(1, 1, 1, None, {"y": math.inf, "z": 20.0}, {"y": True, "z": True})
    assert exact.to_table()["snr_db"] == {"y": None, "z": 20.0}  # JSON has no infinities


def test_a_summary_counts_layers_and_outputs_of_all_images() -> None:
    """Of two images: a region of three layers, two of them compared; two outputs."""
    image = _Image([Checked(None, 2, 3, [])], None, 2)
    none = cast(FloatCheck, SimpleNamespace(outputs=dict, layers=tuple))
    summed = _summary([image, image], none, "")
    assert (summed.layers, summed.of_layers, summed.outputs) == (4, 6, 4)


def test_signal_to_noise_is_against_the_float_network() -> None:
    """Signal 25, noise 1: 10 log10 25; then what is added up over images: 50 to 3."""
    power = Power()
    power.add(np.array([3.0, 4.0]), np.array([3.0, 5.0]))
    assert power.db == pytest.approx(13.9794, abs=1e-4)
    power.add(np.array([5.0, 0.0]), np.array([4.0, 1.0]))
    assert power.db == pytest.approx(12.2185, abs=1e-4)


def test_the_signal_of_a_pruned_network_is_that_of_the_dense_one() -> None:
    wanted, made = [np.array([10.0])], [np.array([9.0])]
    assert noise(wanted, made) == pytest.approx(0.01)
    assert snr_db(wanted, made) == pytest.approx(20)
    assert noise(wanted, wanted) == 0
    assert snr_db(wanted, wanted) == np.inf
    assert noise([np.zeros(1)], made) == np.inf
    assert snr_db([np.zeros(1)], made) == -np.inf
    assert noise([np.zeros(1)], [np.zeros(1)]) == 0
