"""A layer of which no tile fits stays on the CPU, and is said; the rest of the network does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import tvm

from tests.accel_model.by_name import lanes, with_lanes
from tests.relay_passes.onnx_oracle import parse
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.driver import compile as compile_model
from zeroskip.compiler.driver import import_float
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.lowering.legality import supports
from zeroskip.compiler.multi_level import compile_levels
from zeroskip.compiler.passes import TileAndSchedule
from zeroskip.relay_passes.partition import PartitionForAccelerator
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.runtime.execution.validation import validate

IMAGE = {"x": np.random.default_rng(3).standard_normal((1, 3, 24, 24)).astype(np.float32)}
ACT = "bytes of ACT, small has 4096"
WGT = "bytes of WGT, small has 1024"


def small(target: str = "sparse256", windows: int = 0, **sram: int) -> AccelSpec:
    """A target with other memories."""
    spec = load_spec(target)
    spec = with_lanes(spec, window_entries=windows or lanes(spec).window_entries)
    return replace(spec, name="small", sram=replace(spec.sram, **sram))


def between(middle: str, size: int, **weights: tuple[int, ...]) -> onnx.ModelProto:
    """[1, 3, 24, 24] -> a convolution, ``middle`` from b to m, a convolution."""
    model = parse(
        f"g (float[1,3,24,24] x) => (float[1,8,{size},{size}] y) {{\n"
        "[first] a = Conv<pads = [1,1,1,1]>(x, w1)\n b = Relu(a)\n"
        f"{middle}\n [last] y = Conv(m, w2) }}"
    )
    rng = np.random.default_rng(0)
    for name, shape in {"w1": (16, 3, 3, 3), "w2": (8, 16, 1, 1), **weights}.items():
        values = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


MEAN = between("[mid] m = AveragePool<kernel_shape = [20,20]>(b)", 5)


@pytest.mark.parametrize(
    ("model", "spec", "why"),
    [
        (MEAN, small(act_bytes=4096), f"its smallest tile needs 6416 {ACT}"),
        (
            between("[mid] m = MaxPool<kernel_shape = [20,20]>(b)", 5),
            small(act_bytes=4096),
            None,  # columns, then rows
        ),
        pytest.param(
            between("[mid] m = MaxPool<kernel_shape = [3,3], dilations = [9,9]>(b)", 6),
            small(act_bytes=4096),
            f"its smallest tile needs 5792 {ACT}",
            marks=pytest.mark.matrix,
        ),
        pytest.param(
            between("[mid] m = GlobalAveragePool(b)", 1),
            small(act_bytes=4096),
            f"its smallest tile needs 9232 {ACT}",
            marks=pytest.mark.matrix,
        ),
        (
            between("[mid] m = Conv<dilations = [9,9]>(b, w)", 6, w=(16, 16, 3, 3)),
            small(act_bytes=4096),
            None,  # tap by tap
        ),
        pytest.param(
            between(
                "[mid] c = Conv<dilations = [9,9], pads = [9,9,9,9]>(b, w)\n m = Add(b, c)",
                24,
                w=(16, 16, 3, 3),
            ),
            small(act_bytes=4096),
            None,
            marks=pytest.mark.matrix,
        ),
        pytest.param(
            between(
                "[mid] m = Conv<group = 16, dilations = [9,9]>(b, w)",
                6,
                w=(16, 1, 3, 3),
            ),
            small(act_bytes=4096),
            f"its smallest tile needs 5792 {ACT}",
            marks=pytest.mark.matrix,
        ),
        (
            between("[mid] m = Conv<group = 16>(b, w)", 20, w=(16, 1, 5, 5)),
            small("dense256", wgt_bytes=1024),
            f"its smallest tile needs 2048 {WGT}",
        ),
        pytest.param(
            between("[mid] m = Conv(b, w)", 24, w=(16, 16, 1, 1)),
            small("pattern256", wgt_bytes=1024, windows=64),
            None,
            marks=pytest.mark.matrix,
        ),
        (
            between("[mid] m = Conv(b, w)", 22, w=(16, 16, 3, 3)),
            small("pattern256", windows=32),
            None,  # of which the windows hold two at a time
        ),
        (
            between("[mid] m = Conv(b, w)", 20, w=(16, 16, 5, 5)),
            small(wgt_bytes=768),
            "its smallest tile needs 1024 bytes of WGT, small has 768",
        ),
    ],
)
def test_what_does_not_fit_stays_on_the_cpu(
    model: onnx.ModelProto, spec: AccelSpec, why: str | None
) -> None:
    network = compile_model(model, spec)
    assert list(network.cpu) == (["mid"] if why else [])
    assert network.cpu.get("mid", "").startswith(why or "")
    assert len(network.programs) == (2 if why else 1)
    assert network.placement.nodes_on_cpu == len(network.cpu)
    checked = validate(network, IMAGE)
    assert checked.exact
    assert checked.regions == len(network.programs)


def test_where_nothing_fits_nothing_is_on_the_accelerator() -> None:
    model = parse(
        "g (float[1,3,24,24] x) => (float[1,3,1,1] y) { [only] y = GlobalAveragePool(x) }"
    )
    network = compile_model(model, small(act_bytes=4096))
    assert network.cpu == {"only": f"its smallest tile needs 9232 {ACT}"}
    assert not network.programs
    assert validate(network, IMAGE).exact


def test_levels_leave_the_same_layers_to_the_cpu() -> None:
    """The second level would fit in WGT."""
    model = between("[mid] m = Conv(b, w)", 20, w=(16, 16, 5, 5))
    spec = small(wgt_bytes=768)
    alone = compile_model(model, spec, prune="unstructured:sparsity=0.9")
    assert not alone.cpu
    levels = compile_levels(model, spec, ["unstructured:sparsity=0", "unstructured:sparsity=0.9"])
    for number in range(2):
        assert list(levels.network(number).cpu) == ["mid"]


def test_a_pass_by_itself_refuses_with_the_remedy() -> None:
    spec = small(act_bytes=4096)
    floating = import_float(MEAN, {})
    (image,) = (param.name for param in floating["main"].params)
    module = tvm.transform.Sequential(
        [QuantizeInt8(samples={image: IMAGE["x"]}), PartitionForAccelerator(supports(spec))]
    )(floating)
    with pytest.raises(CompileError, match=r"'mid': its smallest .* choose a target with more"):
        tvm.transform.Sequential([TileAndSchedule(spec)])(module)
