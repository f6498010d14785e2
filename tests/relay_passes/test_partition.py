"""Partitioning: what goes into regions, what comes back, and the reference of both."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relax
from tvm.ir import Call

from tests.relay_passes.float_nets import RelaxNet, residual_net
from zeroskip.relay_passes.attrs import is_region
from zeroskip.relay_passes.integer.relax_functions import (
    ConvLayer,
    Layer,
    is_integer_layer,
    read_layer,
)
from zeroskip.relay_passes.partition import PartitionForAccelerator, Supports, reference_module
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.rewriting import bindings

Array = npt.NDArray[Any]


def everything(_layer: Layer) -> str | None:
    return None


def no_depthwise(layer: Layer) -> str | None:
    return "it has groups" if isinstance(layer, ConvLayer) and layer.groups > 1 else None


def only(*kinds: str) -> Supports:
    return lambda layer: None if layer.kind in kinds else f"no {layer.kind}"


def regions(module: tvm.IRModule) -> dict[str, list[tuple[str, Layer]]]:
    """Region name -> node and layer of each local function."""
    return {
        var.name_hint: [
            (str(b.value.attrs["zeroskip.node"]), read_layer(b.value))
            for b in bindings(func)
            if isinstance(b.value, relax.Function)
        ]
        for var, func in sorted(module.functions_items(), key=lambda item: item[0].name_hint)
        if is_region(func)
    }


def cpu_reasons(module: tvm.IRModule) -> dict[str, str]:
    return {str(k): str(v) for k, v in module["main"].attrs["zeroskip.cpu"].items()}


@pytest.fixture(scope="module")
def quantized() -> tvm.IRModule:
    module, samples = residual_net()
    return QuantizeInt8(samples=samples)(module)


@pytest.fixture(scope="module")
def sample_and_result(quantized: tvm.IRModule) -> tuple[Array, Array]:
    _, samples = residual_net()
    x = samples["input"][:1]
    (result,) = run_cpu(compile_for_cpu(quantized), "main", [x])
    return x, result


def test_all_layers_make_one_region(quantized: tvm.IRModule) -> None:
    before = quantized.script()
    partitioned = PartitionForAccelerator(everything)(quantized)
    assert quantized.script() == before
    found = regions(partitioned)
    assert list(found) == ["region_00"]
    expected = {read_layer(f) for f in quantized.functions.values() if is_integer_layer(f)}
    assert {layer for _, layer in found["region_00"]} == expected
    assert cpu_reasons(partitioned) == {"/softmax": "no int8 form of softmax"}
    calls = [b.value.op for b in bindings(partitioned["main"]) if isinstance(b.value, Call)]
    assert sum(isinstance(op, tvm.ir.GlobalVar) for op in calls) == 1


@pytest.mark.parametrize(
    "supports", [everything, no_depthwise, only("conv", "add"), only()], ids="abcd"
)
def test_the_reference_has_the_bits_of_the_unpartitioned_module(
    quantized: tvm.IRModule, sample_and_result: tuple[Array, Array], supports: Supports
) -> None:
    x, expected = sample_and_result
    reference = reference_module(PartitionForAccelerator(supports)(quantized))
    (result,) = run_cpu(compile_for_cpu(reference), "main", [x])
    np.testing.assert_array_equal(result, expected)


def test_a_layer_between_splits_regions_without_a_cycle(
    quantized: tvm.IRModule,
) -> None:
    partitioned = PartitionForAccelerator(no_depthwise)(quantized)
    first, second = regions(partitioned).values()
    assert [node for node, _ in first][:3] == ["/stem", "/pool", "/block_conv1"]
    assert [layer.kind for _, layer in second] == ["concat", "avgpool", "reshape", "dense"]
    assert cpu_reasons(partitioned)["/depthwise"] == "it has groups"


def test_regions_that_only_move_data_go_back(quantized: tvm.IRModule) -> None:
    partitioned = PartitionForAccelerator(only("concat", "reshape", "dense"))(quantized)
    found = regions(partitioned)
    assert [[layer.kind for _, layer in region] for region in found.values()] == [
        ["reshape", "dense"]
    ]
    assert "only moves data" in cpu_reasons(partitioned)["/concat"]
    assert cpu_reasons(partitioned)["/stem"] == "no conv"


def test_every_layer_of_a_region_can_be_observed(quantized: tvm.IRModule) -> None:
    partitioned = PartitionForAccelerator(no_depthwise)(quantized)
    reference = reference_module(partitioned)
    for name, found in regions(partitioned).items():
        assert list(reference[name].attrs["zeroskip.layers"]) == [node for node, _ in found]
    params = partitioned["region_00"].params
    rng = np.random.default_rng(11)
    inputs = [rng.integers(-128, 128, [int(d) for d in p.ty.shape]).astype(np.int8) for p in params]
    results = run_cpu(compile_for_cpu(reference), "region_00", inputs)
    declared = [layer.y for _, layer in regions(partitioned)["region_00"]]
    assert [(r.shape, str(r.dtype)) for r in results] == [(y.shape, y.dtype) for y in declared]


def test_a_net_of_float_ops_passes_through() -> None:
    net = RelaxNet(1, 4)
    module = net.finish(net.op("softmax", relax.op.nn.softmax(net.x)))
    partitioned = PartitionForAccelerator(everything)(QuantizeInt8({})(module))
    assert not regions(partitioned)
    x = net.samples(1)["input"]
    reference = reference_module(partitioned)
    np.testing.assert_array_equal(
        run_cpu(compile_for_cpu(reference), "main", [x]),
        run_cpu(compile_for_cpu(module), "main", [x]),
    )


def test_several_results_and_several_readers() -> None:
    net = RelaxNet(1, 4, 8, 8)
    stem = net.relu("relu", net.conv("stem", net.x, 8))
    left = net.op("softmax", relax.op.nn.softmax(net.conv("left", stem, 4), axis=1))
    right = net.conv("right", stem, 4)
    both = net.op("sum", relax.op.add(net.conv("again", left, 4), right))
    module = QuantizeInt8(samples=net.samples())(net.finish(both, stem))
    partitioned = PartitionForAccelerator(everything)(module)
    assert len(regions(partitioned)) == 2
    x = net.samples(1)["input"]
    reference = reference_module(partitioned)
    for result, expected in zip(
        run_cpu(compile_for_cpu(reference), "main", [x]),
        run_cpu(compile_for_cpu(module), "main", [x]),
        strict=True,
    ):
        np.testing.assert_array_equal(result, expected)
