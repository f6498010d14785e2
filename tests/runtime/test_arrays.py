"""Compiled regions on the arrays of the literature: bits, causes of loss, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from tests.accel_model.arrays.tiles import packed
from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from tests.runtime.test_losses import check
from zeroskip.accel_model.arrays.base import ArrayError, Case
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import SpecError, load_spec, spec_from_table
from zeroskip.accel_model.timing.shape import WindowShape
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.runtime.analysis.report import region_report

TARGETS = (
    "systolic256",
    "diannao256",
    "kang256",
    "nm256",
    "cambriconx256",
    "scnn256",
    "dcnn256",
    "eyeriss256",
    "sparten256",
    "zhu256",
    "abm256",
)


def _residual(b: GraphBuilder) -> LayerGraph:
    """Ragged channels, a stride, a fused addition, all filters of a layer in two tiles."""
    x = b.conv(b.input(3, 15, 13), 40, (3, 3), stride=2, pad=(1, 1, 1, 1))
    y = b.conv(x, 40, (3, 3), pad=(1, 1, 1, 1))
    return b.graph(b.sum(b.conv(y, 40, (1, 1)), x))


def _deep(b: GraphBuilder) -> LayerGraph:
    """More weights than WGT holds: the reduction goes through ACC in chunks."""
    return b.graph(b.conv(b.input(512, 5, 5), 72, (3, 3), pad=(1, 1, 1, 1)))


def _channelwise(b: GraphBuilder) -> LayerGraph:
    """Depthwise convolution, pools and a fully connected layer."""
    x = b.conv(b.input(20, 9, 9), 37, (3, 3), stride=2, pad=(1, 1, 1, 1), groups=1)
    y = b.pool(b.conv(x, 37, (3, 3), pad=(1, 1, 1, 1), groups=37), "max", 2, 2)
    return b.graph(b.dense(b.reshape(y, 37 * 4), 10))


@pytest.mark.diagonal
@pytest.mark.parametrize("make", [_residual, _deep, _channelwise], ids=lambda make: make.__name__)
@pytest.mark.parametrize("target", TARGETS)
def test_bits_and_causes(target: str, make: Callable[[GraphBuilder], LayerGraph]) -> None:
    """Every output as the integer oracle has it, and every lost cycle under one cause."""
    builder = GraphBuilder(np.random.default_rng(3), 0.3)
    graph, spec = make(builder), load_spec(target)
    region = lower(graph)
    program = emit_region(region, spec, plan_region(region, spec))
    data = builder.data()
    run = Machine(spec).run(program, data)
    values = evaluate(graph, data)
    for name, tensor in zip(graph.outputs, program.outputs, strict=True):
        assert np.array_equal(run.outputs[tensor.name].reshape(values[name].shape), values[name])
    check(run, program)
    report = region_report(run, program)
    assert sum(report.lost.values()) == report.cycles - report.bound


@pytest.mark.parametrize(
    ("target", "changes", "sentence"),
    [
        ("systolic256", {"rows": 24}, "array.rows = 24 must be a power of two"),
        ("systolic256", {"rows": 2, "cols": 4}, "array.pixels = 1 .* the 8 multipliers there are"),
        ("systolic256", {"dataflows": 3}, r"array.dataflows = 3 is outside 1\.\.2"),
        ("diannao256", {"trees": 2}, "array.pixels = 4 .* the 32 multipliers there are"),
        ("kang256", {"group": 32}, r"array.group = 32 is outside 2\.\.16"),
        ("kang256", {"max_gang": 7}, "array.max_gang = 7 gangs more than the 64 lanes"),
        ("cambriconx256", {"pes": 1}, "array.pixels = 4 .* the 16 multipliers there are"),
        (
            "scnn256",
            {"pe_rows": 1, "pe_cols": 1},
            "array.pixels = 4 .* the 16 multipliers there are",
        ),
        ("scnn256", {"weight_banks": 32, "group_filters": 64}, "more than the 32 banks of weights"),
        ("eyeriss256", {"pe_rows": 3}, "array.pe_rows = 3 must be a power of two"),
        ("abm256", {"share": 3}, "array.share = 3 does not divide the 16 accumulators"),
        ("cambriconx256", {"windows": 0}, r"array.windows = 0 is outside 1\.\.16"),
    ],
)
def test_geometry_out_of_range_is_refused(
    target: str, changes: dict[str, Any], sentence: str
) -> None:
    table = asdict(load_spec(target))
    table["array"] |= changes
    with pytest.raises(SpecError, match=sentence):
        spec_from_table(table, "own.toml")


@pytest.mark.parametrize("target", ["systolic256", "diannao256"])
def test_results_that_would_have_to_be_put_in_order_are_refused(target: str) -> None:
    spec = load_spec(target)
    weight = np.ones((3, 4, 1, 1), np.int8)
    filters, _ = packed(spec, weight, np.array([1, 0, 2], np.int32))
    window = WindowShape(2, 2, 2, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2)
    with pytest.raises(ArrayError, match="not in the order of their output channels"):
        spec.kind.conv(spec, Case(window, filters, 0, True, True))


def test_a_window_smaller_than_a_row_is_refused() -> None:
    spec = load_spec("kang256")
    table = asdict(spec)
    table["array"] |= {"window_entries": 15}
    with pytest.raises(SpecError, match=r"array\.window_entries = 15 is outside"):
        spec_from_table(table, "own.toml")


@pytest.mark.parametrize("target", TARGETS)
def test_all_on_chip_memory_is_that_of_the_other_targets(target: str) -> None:
    """At equal resources: 256 multipliers, 16 bytes a cycle, at most 512 KiB of any memory."""
    spec = load_spec(target)
    assert spec.array.macs == 256
    assert spec.dram == load_spec("dense256").dram
    assert 0 <= 512 * 1024 - spec.sram_bytes < 4096
