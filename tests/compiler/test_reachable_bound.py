"""The reachable bound: no program is faster, the network's bound is no higher, and networks whose
bound is counted by hand."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.fuzz_check import compile_graph
from tests.campaigns.fuzz_layers import build_graph, input_data
from tests.campaigns.fuzz_random import random_case
from tests.compiler.fields import Int8
from tests.compiler.networks import GraphBuilder
from zeroskip.accel_model.arrays.lane_geometry import LaneGeometry
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir.array_cycles import least_array_cycles
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.ops import ConvOp
from zeroskip.compiler.ir.reachable_bound import reachable_bound
from zeroskip.compiler.lowering.lower import lower
from zeroskip.runtime.analysis.report import RegionReport, region_report

CLOSE = 115  # a network that takes 1.0065 x its bound


class Full(GraphBuilder):
    """Makes weights of which none is zero."""

    def weight(self, *shape: int) -> Int8:
        return self.rng.integers(1, 128, shape).astype(np.int8)


def builder() -> Full:
    return Full(np.random.default_rng(0))


def reported(seed: int) -> RegionReport | None:
    """The report of a random network on random hardware; None if it does not fit."""
    case = random_case(seed)
    graph, spec = build_graph(case), case.spec()
    try:
        program = compile_graph(graph, spec)
    except CompileError:
        return None
    return region_report(Machine(spec).run(program, input_data(case, graph)), program)


@pytest.mark.parametrize("examples", [5, pytest.param(15, marks=pytest.mark.matrix)])
def test_no_program_is_faster_and_the_networks_bound_is_no_higher(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.integers(0, 1 << 30))
    def holds(seed: int) -> None:
        found = reported(seed)
        if found is not None:
            assert found.cycles >= found.reachable_bound >= found.network_bound >= 1

    holds()


def test_a_bound_a_hundredth_higher_is_not_one() -> None:
    found = reported(CLOSE)
    assert found is not None
    assert found.reachable_bound <= found.cycles < 1.01 * found.reachable_bound


def test_a_run_that_is_faster_is_an_error() -> None:
    b = builder()
    program = compile_graph(b.graph(b.conv(b.input(16, 5, 5), 16, (3, 3))), load_spec("sparse256"))
    run = Machine(program.spec).run(program, {}, numbers=False)
    lying = replace(program, reachable=run.cycles + 1)
    with pytest.raises(MachineError, match=f"no schedule reaches less than {run.cycles + 1}"):
        Machine(program.spec).run(lying, {}, numbers=False)


def bound(graph: LayerGraph, spec: AccelSpec, moved: int = 0) -> int:
    """With a byte for each weight."""
    region, weights = lower(graph), Counter[str]()
    for op in region.ops:
        if isinstance(op, ConvOp):
            weights[op.node] += op.weight.size
    return reachable_bound(region, spec, weights, moved)


def head() -> LayerGraph:
    """A 3x3 and a 1x1 convolution of 256 filters on 8x8 pixels, their mean, and 4,000 classes."""
    b = builder()
    x = b.conv(b.input(64, 8, 8), 256, (3, 3), pad=(1, 1, 1, 1))
    y = b.global_pool(b.conv(x, 256, (1, 1)))
    return b.graph(b.dense(b.reshape(y, 256), 4000))


def test_weights_of_a_classifier_wait_for_what_they_multiply() -> None:
    """Its first multiply needs the mean of a channel: all pixels of one filter of the 1x1
    convolution and all of the 3x3 one, whose taps meet 49, 56 and 64 pixels, 52, 56 and 64 in
    fours. By then WGT holds 140 of 1,000 KiB of its weights. All weights, inputs and outputs take
    less on the bus, and all multiplies on the array."""
    spec = load_spec("dense256")
    conv = 64 * 256 * (4 * 52 + 4 * 56 + 64) // 256
    channel = 256 * 64 // 256
    left = 256 * 4000 - 143_360 + 4000
    moved = 64 * 64 + 64 * 9 * 256 + 256 * 256 + 256 * 4000 + 4000
    assert bound(head(), spec, moved) == math.ceil(conv + channel + left / 16)
    assert moved / 16 < bound(head(), spec, moved)
    all_of_it = replace(spec, sram=replace(spec.sram, wgt_bytes=1 << 20))
    assert bound(head(), all_of_it, moved) == math.ceil(moved / 16)
    array = conv + 256 * 256 * 64 // 256 + 256 * 64 // 64 + 256 * 4000 // 64
    assert bound(head(), all_of_it) == array


def test_what_a_gate_multiplies_waits_for_it() -> None:
    """64 channels of 16x16 are made before their factors can be, and stay in ACT or cross the bus
    twice."""
    b = builder()
    x = b.conv(b.input(16, 16, 16), 64, (1, 1))
    factors = b.conv(b.global_pool(x), 64, (1, 1))
    graph = b.graph(b.multiply(x, factors))
    spec, moved = load_spec("sparse256"), 1 << 20
    small = replace(spec, sram=replace(spec.sram, act_bytes=4096))
    assert bound(graph, spec, moved) == moved / 16
    assert bound(graph, small, moved) == (moved + 2 * (64 * 256 - 4096)) / 16
    wide = replace(small, storage=replace(small.storage, activation_bits=16))
    assert bound(graph, wide, moved) == (moved + 2 * (64 * 512 - 4096)) / 16


def test_a_later_layer_begins_with_the_corner_that_needs_least() -> None:
    """A quarter of the pixels of the first convolution, of all its filters, and one sum of the
    second one are made before the last one has anything to multiply."""
    b = builder()
    x = b.pool(b.conv(b.input(64, 16, 16), 256, (1, 1)), "max", 8, 8)
    graph = b.graph(b.conv(b.conv(x, 64, (1, 1)), 4096, (2, 2)))
    left = 4096 * 64 * 4 - 143_360 + 4096
    quarter = 64 * 256 * 64 // 256
    assert bound(graph, load_spec("dense256")) == quarter + 1 + left / 16


@pytest.mark.parametrize(
    ("target", "filters", "channels", "kernel", "side", "cycles"),
    [
        ("dense256", 64, 16, 1, 8, 64 * 16 * 64 / 256),
        ("dense256", 24, 16, 1, 8, 32 * 16 * 64 / 256),  # filters come in sixteens
        ("dense256", 64, 16, 1, 7, 64 * 16 * 52 / 256),  # outputs in fours
        ("sparse256", 24, 16, 1, 8, 32 * 16 * 64 / 256),
        ("systolic256", 24, 64, 1, 8, 24 * 64 * 64 / 256),  # nothing but its multiplies is known
        ("dense256", 16, 1, 3, 8, (4 * 13 + 4 * 14 + 16)),  # a fetch for each tap and four outputs
        ("dense256", 64, 1, 1, 8, 4 * 64 / 2),  # two rows of 16 results a cycle
        ("scnn256", 64, 16, 1, 8, 0),  # its inputs may be zero
    ],
)
def test_a_convolution_takes_the_array_so_long(
    target: str, filters: int, channels: int, kernel: int, side: int, cycles: float
) -> None:
    b = builder()
    pad = (kernel // 2,) * 4
    region = lower(
        b.graph(b.conv(b.input(channels, side, side), filters, (kernel, kernel), pad=pad))
    )
    spec = load_spec(target)
    if isinstance(spec.array, LaneGeometry):  # 16 filters x 16 outputs at least
        spec = replace(spec, array=replace(spec.array, max_gang=2))
    assert least_array_cycles(region.ops[0], spec) == cycles


def test_zeros_are_no_work_and_their_taps_no_fetch() -> None:
    """Three of 16 channels are weighed, at one tap: the results take longer to write. In lock step
    the other channels take as long."""
    b = builder()
    x = b.input(16, 8, 8)
    (op,) = lower(b.graph(b.conv(x, 64, (3, 3), pad=(1, 1, 1, 1)))).ops
    assert isinstance(op, ConvOp)
    weight = op.weight.copy()
    weight[:, 3:] = 0
    weight[:, :, 0] = weight[:, :, 2] = 0
    weight[:, :, 1, 0] = weight[:, :, 1, 2] = 0
    thin = replace(op, weight=weight)
    assert least_array_cycles(thin, load_spec("sparse256")) == 4 * 64 / 2
    assert least_array_cycles(thin, load_spec("dense256")) == 64 * 16 * 64 / 256


def test_a_depthwise_kernel_row_serves_as_many_outputs_as_there_are_multipliers() -> None:
    """5x5 on 8x8: kernel rows meet 6, 7, 8, 7, 6 rows; of the columns two have 3 taps within the
    image (5 outputs a cycle), two 4 (4 a cycle) and four 5 (3 a cycle). Tap by tap: four outputs a
    tap."""
    b = builder()
    (op,) = lower(b.graph(b.conv(b.input(32, 8, 8), 32, (5, 5), pad=(2,) * 4, groups=32))).ops
    columns = Fraction(2, 5) + Fraction(2, 4) + Fraction(4, 3)
    spec = load_spec("sparse256")
    assert least_array_cycles(op, spec) == 2 * 34 * columns
    assert isinstance(spec.array, LaneGeometry)
    plain = replace(spec, array=replace(spec.array, row_pixels=0))
    assert least_array_cycles(op, plain) == 2 * 34 * Fraction(2 * 3 + 2 * 4 + 4 * 5, 4)


def test_a_pool_fetches_what_it_looks_at_and_an_addition_both_operands() -> None:
    b = builder()
    x = b.input(32, 9, 9)
    pooled = b.pool(x, "max", 3, 3)
    summed = b.sum(x, b.input(32, 9, 9))
    pool, add = lower(b.graph(pooled, summed)).ops
    spec = load_spec("dense256")
    assert least_array_cycles(pool, spec) == Fraction(2 * 81, 4)
    assert least_array_cycles(add, spec) == Fraction(2 * 2 * 81, 4)
