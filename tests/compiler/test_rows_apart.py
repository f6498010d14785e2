"""Strides that pass over rows: these are not loaded; what stays on chip is looked at as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.ops import MOST_APART, Region
from zeroskip.compiler.ir.schedule import ConvPlan, GroupPlan
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.conv_search import ConvSearch
from zeroskip.compiler.scheduling.cost_model import TileContext
from zeroskip.compiler.scheduling.fusion import FusionSearch

TARGETS = ("dense256", "sparse256", "pattern256", "systolic256", "scnn256", "sparse256_int16")
Layer: TypeAlias = Callable[[GraphBuilder, str], str]
# With rows and columns that are loaded of 13 x 12.
LAYERS: dict[str, tuple[Layer, int, int]] = {
    "convolution": (lambda b, x: b.conv(x, 40, (1, 1), stride=2), 7, 11),
    "of every third row": (lambda b, x: b.conv(x, 24, (1, 1), stride=3), 5, 10),
    "of a kernel row": (lambda b, x: b.conv(x, 24, (1, 3), stride=2, pad=(0, 1, 0, 1)), 7, 12),
    "with padding below": (lambda b, x: b.conv(x, 24, (1, 1), stride=2, pad=(0, 0, 2, 1)), 7, 12),
    "depthwise": (lambda b, x: b.conv(x, 40, (1, 1), stride=2, groups=40), 7, 11),
    "largest": (lambda b, x: b.pool(x, "max", 1, 2), 7, 11),
    "mean": (lambda b, x: b.pool(x, "avg", 1, 2), 7, 11),
}


def region_of(name: str, rows: int = 13) -> tuple[GraphBuilder, LayerGraph, Region]:
    """The layer behind a convolution of its channels."""
    b = GraphBuilder(np.random.default_rng(3), density=0.5)
    x = b.conv(b.input(16, rows, 12), 40, (3, 3), pad=(1, 1, 1, 1))
    graph = b.graph(LAYERS[name][0](b, x))
    return b, graph, lower(graph)


def loaded(program: Program, layer: int) -> int:
    """Pixels of channel blocks that are loaded for a layer."""
    moves = zip(program.layer_of, decode_all(program.words), strict=True)
    return sum(
        made.width * made.height * made.blocks
        for at, made in moves
        if at == layer and isinstance(made, isa.Load)
    )


def assert_exact(
    b: GraphBuilder, graph: LayerGraph, region: Region, spec: AccelSpec, plans: list[GroupPlan]
) -> Program:
    data = b.data()
    program = emit_region(region, spec, plans)
    run = Machine(spec).run(program, data, seed=1)
    wanted = evaluate(graph, data)[graph.outputs[0]]
    assert np.array_equal(run.outputs[program.outputs[0].name].reshape(wanted.shape), wanted)
    return program


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("target", TARGETS)
def test_rows_that_no_output_looks_at_are_not_loaded(target: str, name: str) -> None:
    """One by one, and with what is between on chip; exact, and the pixels counted."""
    spec = load_spec(target)
    b, graph, region = region_of(name)
    search = FusionSearch(region, spec)
    groups = [search.group(*each) for each in ((0, 1, 1), (1, 2, 1), (0, 2, 1), (0, 2, 3))]
    first, second, both, banded = [None if group is None else group.plan for group in groups]
    assert first is not None
    assert second is not None
    program = assert_exact(b, graph, region, spec, [first, second])
    _, rows, cols = LAYERS[name]
    assert loaded(program, 1) == -(-40 // 16) * rows * cols
    for group in (both, banded):
        if group is not None and group.buffers:
            program = assert_exact(b, graph, region, spec, [group])
            assert not loaded(program, 1)


@pytest.mark.parametrize("name", ["convolution", "of a kernel row", "with padding below"])
def test_any_tiles_of_rows_that_are_apart_are_exact(name: str) -> None:
    """Patches, chunks, kept inputs, parts of the kernel."""
    spec = load_spec("sparse256")
    b, graph, region = region_of(name, rows=14)
    first = FusionSearch(region, spec).group(0, 1, 1)
    assert first is not None
    op = region.ops[1]
    ranked = ConvSearch(op, spec).ranked(TileContext(op.y.spatial[0], spec.act_rows), 400)  # type: ignore[arg-type]
    plans = [each.plan for each in ranked[:: max(1, len(ranked) // 12)]]
    assert any(isinstance(plan, ConvPlan) and plan.keep_input for plan in plans)
    cuts = op.input_window.kernel
    for plan in plans:
        assert isinstance(plan, ConvPlan)
        in_parts = replace(plan, kernel_rows=cuts[0], kernel_cols=cuts[1], keep_input=False)
        for each in (plan, in_parts):
            assert_exact(b, graph, region, spec, [first.plan, GroupPlan(1, (each,))])


def test_a_middle_row_of_a_kernel_in_parts_is_loaded_by_itself() -> None:
    """Each row of a 3x3 kernel looks at every second row, of which one begins at the first."""
    spec = load_spec("dense256")
    b = GraphBuilder(np.random.default_rng(3))
    graph = b.graph(b.conv(b.input(16, 15, 9), 20, (3, 3), stride=2, pad=(1, 1, 1, 1)))
    region = lower(graph)
    for rows in (2, 8):
        plan = ConvPlan(0, 16, rows, 5, 16, "weights", keep_input=False, kernel_rows=3)
        assert_exact(b, graph, region, spec, [GroupPlan(1, (plan,))])


def test_strides_that_no_transfer_can_say_load_all_rows() -> None:
    op = region_of("convolution")[2].ops[1]
    value = replace(op.x.value, spatial=(13, MOST_APART // 2 + 1))
    assert op.rows_apart == 2
    assert replace(op, x=replace(op.x, value=value)).rows_apart == 1
