"""Graphs of 16-bit activations on the machine agree with the dense integer oracle, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from tests.compiler.test_bits import NETWORKS, check
from tests.every_target import every_target
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import Input, Limits, Operand, Output
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import Program, ProgramError
from zeroskip.accel_model.spec import AccelSpec, Storage, load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.legality import supports
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.relay_passes.integer.layers import ConvLayer

SPEC = load_spec("sparse256_int16")
TABLED = ("tables", "tables_before_sums", "squeezed", "spread_sums")
Network = Callable[[GraphBuilder], list[str]]


def name_of(network: Network) -> str:
    return network.__name__.strip("_")


def graph_of(network: Network, seed: int = 7) -> tuple[LayerGraph, dict[str, np.ndarray]]:
    b = GraphBuilder(np.random.default_rng(seed), wide=True)
    outputs = network(b)
    return b.graph(*outputs), b.data()


def emitted(graph: LayerGraph, spec: AccelSpec = SPEC) -> Program:
    region = lower(graph)
    return emit_region(region, spec, plan_region(region, spec))


@pytest.mark.parametrize(
    "network", [each for each in NETWORKS if name_of(each) not in TABLED], ids=name_of
)
def test_bits(network: Network) -> None:
    check(*graph_of(network), SPEC)


def _small(b: GraphBuilder) -> list[str]:
    """Sums that stay within 32 bits."""
    x = b.conv(b.input(17, 7, 9), 24, (1, 1))
    y = b.sum(b.conv(x, 24, (3, 3), pad=(1, 1, 1, 1), groups=24), x)
    return [b.pool(b.concat(y, x), "max", 2, 2), b.conv(b.pool(y, "avg", 2, 2), 5, (1, 1))]


@every_target
def test_every_array_takes_them_where_sums_fit_in_32_bits(target: str) -> None:
    spec = load_spec(target)
    wide = replace(spec, storage=Storage(16, spec.storage.weight_bits))
    graph, data = graph_of(_small)
    assert not any(supports(wide)(node.layer) for node in graph.nodes)
    check(graph, data, wide)


def _long(b: GraphBuilder) -> list[str]:
    return [b.conv(b.input(1024, 2, 2), 16, (1, 1))]


def test_sums_beyond_32_bits_take_a_target_with_wider_ones() -> None:
    """In ACC too: the reduction goes through it in parts."""
    graph, data = graph_of(_long)
    data = {name: np.full_like(values, 32767) for name, values in data.items()}
    (node,) = graph.nodes
    assert isinstance(node.layer, ConvLayer)
    layer = replace(node.layer, weight=np.full_like(node.layer.weight, 127))
    graph = replace(graph, nodes=(replace(node, layer=layer),))
    largest = 1024 * 127 * 32767
    assert largest > 1 << 31
    small = replace(SPEC.sram, wgt_bytes=SPEC.wgt_banks * 64)
    check(graph, data, replace(SPEC, sram=small))
    narrow = replace(SPEC, storage=Storage(16, 8))
    assert "the accumulator has 32 bits" in str(supports(narrow)(layer))
    with pytest.raises(MachineError, match="does not fit in int32"):
        Machine(narrow).run(emitted(graph, narrow), data)


def test_a_layer_of_16_bits_needs_a_target_that_stores_them() -> None:
    graph, _ = graph_of(_small)
    why = supports(load_spec("sparse256"))(graph.nodes[0].layer)
    assert why == "16-bit activations: target 'sparse256' stores 8 bits"
    with pytest.raises(ProgramError, match="activations of 16 bits, and its target 'sparse256'"):
        Program.from_bytes(replace(emitted(graph), spec=load_spec("sparse256")).to_bytes())


def test_the_file_says_the_width_and_values_of_8_bits_are_none() -> None:
    graph, data = graph_of(_small)
    program = emitted(graph)
    again = Program.from_bytes(program.to_bytes())
    assert again.activation_bits == 16
    assert all(tensor.dtype == "int16" for tensor in again.inputs + again.outputs)
    stream = decode_all(again.words)
    assert any(isinstance(one, Limits) for one in stream)
    assert not any(
        one.zero_point or one.unsigned
        for one in stream
        if isinstance(one, Input | Output | Operand)
    )
    narrow = replace(again, activation_bits=8)
    with pytest.raises(ProgramError, match="is int16, and its activations have 8 bits"):
        Program.from_bytes(narrow.to_bytes())
    with pytest.raises(MachineError, match="limits results of 16 bits"):
        Machine(SPEC).run(narrow, data, numbers=False)


@pytest.mark.parametrize("images", [1, 3])
def test_the_same_target_runs_both_widths_one_after_the_other(images: int) -> None:
    machine = Machine(SPEC)
    for wide in (True, False, True):
        b = GraphBuilder(np.random.default_rng(3), wide=wide)
        graph = b.graph(*_small(b))
        data = {
            name: np.concatenate([b.data()[name] for _ in range(images)]) for name in graph.inputs
        }
        run = machine.run(emitted(graph), data)
        for image in range(images):
            one = {name: values[image : image + 1] for name, values in data.items()}
            wanted = evaluate(graph, one)
            for name in graph.outputs:
                assert np.array_equal(run.outputs[name][image : image + 1], wanted[name])
