"""Loads and stores: which bytes move, and what the bus takes for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.accel_model.by_name import lanes, pack, place
from tests.accel_model.programs import Hand
from zeroskip.accel_model.arrays.base import StreamPlacement
from zeroskip.accel_model.execute.model import Cost
from zeroskip.accel_model.execute.models import MODELS, accesses_of
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.formats import BITMAP, Shape
from zeroskip.accel_model.functional.activations import ActivationMath
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.memory.memories import Memories
from zeroskip.accel_model.spec import load_spec

SPEC = load_spec("sparse256")  # bus 16 bytes per cycle, bursts of 64, latency 100


def state(image: bytes = b"") -> State:
    """A machine with DRAM of 64 KiB: byte n holds n mod 251."""
    hand = Hand(SPEC)
    hand.end = 1 << 16
    hand.image += image
    made = Memories.of(SPEC, hand.program())
    made.dram.write(len(image), (np.arange(len(image), 1 << 16) % 251).astype(np.uint8))
    return State(SPEC, made, ActivationMath(made))


def cost(move: isa.Instruction, **shape: int) -> Cost:
    machine = state()
    given = {"dram_pixel": 16, "dram_row": 0, "dram_block": 0, "act_row": 0, "act_block": 0}
    for cls in (isa.LoadShape, isa.StoreShape):
        machine.registers[cls] = cls(**{**given, **shape})
    return MODELS[type(move)].cost(machine, move)


def load(**fields: int) -> isa.Load:
    return isa.Load(
        **{
            "act": 0,
            "dram": 0,
            "width": 1,
            "height": 1,
            "blocks": 1,
            "bytes": 16,
            "lane": 0,
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("move", "shape", "bursts", "useful"),
    [
        (load(width=4), {}, 1, 64),  # exactly one burst
        (load(width=4, dram=16), {}, 2, 64),  # the same, across a border
        (load(width=1, bytes=1, dram=63), {"dram_pixel": 1}, 1, 1),  # the last byte of a burst
        (load(width=2, bytes=1, dram=63), {"dram_pixel": 1}, 2, 2),  # the last and the next
        (load(width=5, bytes=3), {"dram_pixel": 16}, 5, 15),  # pixels apart: each pays for itself
        (load(width=4, height=3), {"dram_row": 64}, 3, 192),  # rows that touch: one run
        (load(width=3, height=4), {"dram_row": 48}, 3, 192),  # 192 bytes in one run
        (load(width=3, height=4), {"dram_row": 64}, 4, 192),  # rows apart
        (load(width=3, height=4, dram=32), {"dram_row": 64}, 8, 192),  # and each across a border
        (
            load(width=2, height=2, blocks=2),
            {"dram_row": 32, "dram_block": 64},
            2,
            128,
        ),  # all touch
        (load(width=2, height=2, blocks=2), {"dram_row": 32, "dram_block": 128}, 2, 128),
        (load(width=2, height=1, blocks=3), {"dram_row": 7, "dram_block": 32}, 2, 96),
        (load(width=1, height=1, blocks=3, bytes=4), {"dram_block": 4}, 1, 12),
        (load(width=2, height=2, blocks=2), {"dram_row": 128, "dram_block": 32}, 4, 128),
    ],
)
def test_runs_pay_whole_bursts(
    move: isa.Load, shape: dict[str, int], bursts: int, useful: int
) -> None:
    found = cost(move, **shape)
    assert found.dram_bytes == 64 * bursts
    assert found.cycles == 4 * bursts
    assert found.useful_bytes == useful
    assert found.events["act_rows"] == move.width * move.height * move.blocks
    back = isa.Store(**{name: getattr(move, name) for name, _ in isa.layout(isa.Load)})
    stored = cost(back, **shape)
    rows = 16 * found.events["act_rows"]
    assert found.traffic == {"dram_read": 64 * bursts, "act_loaded": rows}
    assert stored.traffic == {"dram_written": 64 * bursts, "act_stored": rows}
    assert stored._replace(traffic=found.traffic) == found


def test_weights_and_parameters_are_one_run() -> None:
    machine = state()
    weights = MODELS[isa.LoadWeights].cost(
        machine, isa.LoadWeights(wgt=0, dram=60, size=132, mode=0)
    )
    assert (weights.dram_bytes, weights.cycles, weights.events["wgt_words"]) == (192, 12, 33)
    params = MODELS[isa.LoadParams].cost(machine, isa.LoadParams(par=0, dram=48, rows=5))
    assert (params.dram_bytes, params.useful_bytes, params.cycles) == (128, 80, 8)


def test_bytes_go_where_the_equation_says() -> None:
    machine = state()
    shape = {"dram_pixel": 20, "dram_row": 100, "dram_block": 1000, "act_row": 7, "act_block": 40}
    machine.registers[isa.LoadShape] = isa.LoadShape(**shape)
    machine.registers[isa.StoreShape] = isa.StoreShape(**shape)
    one = load(act=3, dram=11, width=4, height=5, blocks=2, bytes=6, lane=9)
    machine.memories.act[:] = 0
    MODELS[isa.Load].semantics(machine, one)
    act, dram = machine.memories.act[0], machine.memories.dram.arena[0]
    expected = np.zeros_like(act)
    for b in range(2):
        for y in range(5):
            for x in range(4):
                at = 11 + b * 1000 + y * 100 + x * 20
                expected[3 + b * 40 + y * 7 + x, 9:15] = dram[at : at + 6]
    assert np.array_equal(act, expected)
    MODELS[isa.Store].semantics(
        machine, isa.Store(act=3, dram=30011, width=4, height=5, blocks=2, bytes=6, lane=9)
    )
    moved = {
        30011 + b * 1000 + y * 100 + x * 20 + i
        for b in range(2)
        for y in range(5)
        for x in range(4)
        for i in range(6)
    }
    for at in range(30000, 32000):
        assert dram[at] == ((at - 30000) % 251 if at in moved else at % 251)


@pytest.mark.parametrize("gang", [0, 1, 2])
def test_streams_go_to_the_banks_of_their_slots(gang: int) -> None:
    rng = np.random.default_rng(gang)
    matrix = rng.integers(-9, 9, (150, 40)).astype(np.int8)
    matrix[rng.random(matrix.shape) < rng.random((150, 1))] = 0
    raw, lengths = pack("bitmap", matrix, 40, 1, np.arange(150))
    machine = state(raw.tobytes())
    one = isa.LoadWeights(wgt=5, dram=0, size=len(raw), mode=gang)
    _, written = accesses_of(machine, one)
    MODELS[isa.LoadWeights].semantics(machine, one)
    slots, words = lanes(SPEC).lanes >> gang, raw.view(np.uint32)
    total = place(lengths, slots, gang)
    rows = [place(lengths[at : at + slots], slots, gang) for at in range(0, 150, slots)]
    expected = np.zeros_like(machine.memories.wgt)
    starts = np.cumsum(lengths) - lengths
    for n in range(150):
        row = 5 + sum(rows[: n // slots])
        for k in range(lengths[n]):
            expected[((n % slots) << gang) + k % (1 << gang), row + (k >> gang)] = words[
                starts[n] + k
            ]
    assert np.array_equal(machine.memories.wgt, expected)
    assert (written.cells.first, written.cells.total) == (5, total)
    streams = machine.read_streams(5, 150, Shape(40, 1), StreamPlacement(slots, 1 << gang), BITMAP)
    assert np.array_equal(streams.filters.matrix, matrix)
    assert streams.rows == total


def test_ragged_blocks_travel_through_lanes() -> None:
    """Nine channels from two tensors side by side in one ACT row, and out again as one tensor."""
    rng = np.random.default_rng(4)
    hand = Hand(SPEC)
    one, two = (rng.integers(-128, 128, (1, n, 3, 5)).astype(np.int8) for n in (4, 5))
    at = hand.room(9, (3, 5))
    for values, lane, name in ((one, 0, "one"), (two, 4, "two")):
        hand.load(hand.input(name, values), at)
        moved = hand.stream[-1]
        assert isinstance(moved, isa.Load)
        hand.stream[-1] = replace(moved, lane=lane)
    hand.store(hand.output("y", 9, (3, 5), "int8"), at)
    run = Machine(SPEC).run(hand.program(), hand.data)
    assert np.array_equal(run.outputs["y"], np.concatenate([one, two], axis=1))
