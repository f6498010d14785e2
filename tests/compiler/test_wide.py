"""Images wider than an instruction has bits for: tiles of some of their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.campaigns.programs import Lively
from tests.compiler.batched import batched, compiled, random_data, run_batch
from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from tests.every_target import every_target
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import (
    MOST_CHANNELS,
    MOST_SIDE,
    Extent,
    Load,
    Output,
    Store,
)
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.window import Window
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling import conv_mappings
from zeroskip.compiler.scheduling.cost_model import Tilings, least_across
from zeroskip.compiler.scheduling.region import plan_region

Build = Callable[[GraphBuilder], LayerGraph]
WIDE = MOST_SIDE + 617


def _windows(b: GraphBuilder) -> LayerGraph:
    x = b.conv(b.input(3, 4, WIDE), 5, (3, 3), pad=(1, 1, 1, 1))
    y = b.conv(x, 5, (3, 3), stride=2, pad=(1, 1, 1, 1), groups=5)
    return b.graph(b.pool(x, "max", 2, 2), b.sum(y, b.pool(x, "avg", 3, 2, 1)))


def _widened(b: GraphBuilder) -> LayerGraph:
    """Columns that become twice as many, a row that becomes channels, and parts that are joined."""
    x = b.input(4, 2, 8300)
    wide = b.gather(x, None, None, [col // 2 for col in range(2 * 8300)])
    joined = b.concat(b.depth_to_space(x, 1, 2), b.gather(wide, [0, 1], [0, 1], None))
    return b.graph(b.multiply(joined, b.conv(joined, 1, (1, 1))))


def _turned(b: GraphBuilder) -> LayerGraph:
    x = b.input(2, 3, WIDE)
    return b.graph(b.reshape(b.pool(x, "max", 1, 1), 3, WIDE, 2), b.lookup(x))


BUILDS: dict[str, Build] = {"windows": _windows, "widened": _widened, "turned": _turned}


def exact(build: Build, spec: AccelSpec, images: int = 1) -> Program:
    graph = batched(build(Lively(np.random.default_rng(5))), images)
    data, program = random_data(graph, 1), compiled(graph, spec)
    _, made = run_batch(program, graph, data)
    wanted = evaluate(graph, data)
    for name, values in made.items():
        assert np.array_equal(values, wanted[name]), (spec.name, name)
    return program


@pytest.mark.parametrize("name", BUILDS)
def test_every_bit(name: str) -> None:
    program = exact(BUILDS[name], load_spec("sparse256"))
    assert max(tensor.spatial[1] for tensor in program.inputs + program.outputs) > MOST_SIDE
    sides = [
        size
        for one in decode_all(program.words)
        if isinstance(one, Load | Store | Output | Extent)
        for size in (one.width, one.height)
    ]
    assert max(sides) <= MOST_SIDE


@every_target
def test_every_target_takes_wide_images(target: str) -> None:
    exact(_windows, load_spec(target))


def test_a_batch_of_wide_images() -> None:
    exact(_windows, load_spec("dense256"), 2)


def test_what_fits_in_an_instruction_is_cut_as_before() -> None:
    for cols, window in ((MOST_SIDE, Window()), (300, Window((3, 3), (2, 2))), (1, Window((1, 9)))):
        assert least_across(window, cols, min(MOST_SIDE, window.span(1, cols))) == 1
    one, same = Tilings.of(30, 300), Tilings.of(30, 300, 1, 1)
    assert np.array_equal(one.pieces, same.pieces)


def test_pieces_and_what_they_look_at_are_small_enough() -> None:
    for cols, limit, window in (
        (MOST_SIDE + 1, MOST_SIDE + 1, Window()),
        (MOST_SIDE, 4 * MOST_SIDE, Window((1, 9), (1, 4))),
        (5 * MOST_SIDE, 5 * MOST_SIDE, Window((1, 100), (1, 1), (1, 127))),
    ):
        across = least_across(window, cols, limit)
        assert window.span(1, -(-cols // across)) <= MOST_SIDE
        assert across == 2 or window.span(1, -(-cols // (across - 1))) > MOST_SIDE
        cuts = Tilings.of(8, cols, 1, across)
        assert cuts.take_no_more(window, (8, limit)).any()
        assert not Tilings.of(8, cols).take_no_more(window, (8, limit))[0]


def test_no_chunk_has_more_channels_than_an_instruction_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever WGT holds: 4 MiB of it hold all weights."""
    sizes: list[int] = []

    def noted(*given: Any) -> Iterator[tuple[int, Any]]:
        for size, rows in chunkings(*given):
            sizes.append(size)
            yield size, rows

    chunkings = conv_mappings._chunkings
    monkeypatch.setattr(conv_mappings, "_chunkings", noted)
    spec = load_spec("dense256")
    b = GraphBuilder(np.random.default_rng(5))
    region = lower(b.graph(b.dense(b.input(70_000), 1)))
    plan_region(region, replace(spec, sram=replace(spec.sram, wgt_bytes=4 << 20)))
    assert MOST_CHANNELS // 2 < max(sizes) <= MOST_CHANNELS
