"""How many rows of each memory are live: a program by hand, and every row of compiled ones."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.accel_model.test_memory import SPEC, convolution, network
from tests.campaigns.programs import TARGETS, sample, tiny
from zeroskip.accel_model.execute.models import MODELS, accesses_of
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.occupancy import Occupancy, occupancy
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.memory.memories import NAMES, Memories
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec


def at(one: Occupancy, cycle: int) -> int:
    """Rows live in a cycle."""
    return int(one.live[np.searchsorted(one.cycle, cycle, side="right") - 1])


def test_rows_live_from_their_write_to_their_last_read() -> None:
    """Two loads of 16 rows; a pool reads them and writes 32 rows; two stores read 16 of them."""
    hand = network()
    program = hand.program()
    run = Machine(SPEC).run(program, hand.data)
    names = [one.mnemonic for one in hand.stream]
    loads, stores = (
        [pc for pc, name in enumerate(names) if name == kind] for kind in ("load", "store")
    )
    pool = names.index("maxpool")
    act = occupancy(program, run)["ACT"]
    assert (act.rows, act.row_bytes) == (SPEC.act_rows, 16)
    moments = [
        (int(run.start[loads[0]]), 16),
        (int(run.start[loads[1]]), 32),
        (int(run.start[pool]), 64),
        (int(run.free[pool]), 32),
        (int(run.free[stores[0]]), 16),
        (int(run.free[stores[1]]), 0),
    ]
    expected = dict([(0, 0), *moments])
    assert dict(zip(act.cycle.tolist(), act.live.tolist(), strict=True)) == expected


def test_weights_and_parameters_live_until_they_were_used() -> None:
    hand = convolution()
    program = hand.program()
    run = Machine(SPEC).run(program, hand.data)
    conv = [one.mnemonic for one in hand.stream].index("conv")
    found = occupancy(program, run)
    for name, rows in (("WGT", None), ("PAR", 9)):
        most = at(found[name], int(run.start[conv]))
        assert most > 0 if rows is None else most == rows
        assert at(found[name], int(run.free[conv]) - 1) == most
        assert at(found[name], int(run.free[conv])) == 0
    assert found["ACC"].live.tolist() == [0]


# ------------------------------------------------------------------------- the slow way


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["residual", "depthwise", "joined", "reduction"])
def test_every_row_is_followed(name: str, target: str) -> None:
    program = sample(name, tiny(load_spec(target)), name, 0).program
    run = Machine(program.spec).run(program, {}, numbers=False)
    found, wanted = occupancy(program, run), lives(program, run)
    for memory, one in found.items():
        assert one.cycle[0] == 0
        assert (np.diff(one.cycle) > 0).all()
        assert 0 <= one.live.min() <= one.live.max() <= one.rows
        assert one.live[-1] == 0
        changes = np.zeros(run.cycles + 2, np.int64)
        for start, free in wanted[memory]:
            changes[start] += 1
            changes[free] -= 1
        live = np.cumsum(changes)
        assert [at(one, cycle) for cycle in range(run.cycles)] == live[: run.cycles].tolist()


def lives(program: Program, run: Run) -> dict[str, list[tuple[int, int]]]:
    """Of each memory, when a row was live: from a write to the reads of what it wrote, for each
    byte of it; times that touch or overlap joined."""
    memories = Memories.of(program.spec, program)
    for tensor in program.inputs:
        memories.give(tensor, None)
    state = State(program.spec, memories, None)
    stream = decode_all(program.words)
    wrote: dict[tuple[str, int, int], int] = {}
    spans: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for pc in sorted(range(len(stream)), key=lambda pc: (int(run.start[pc]), pc)):
        accesses = accesses_of(state, stream[pc])
        MODELS[type(stream[pc])].semantics(state, stream[pc])
        for access in accesses:
            name = NAMES[access.memory]
            for row, bit in parts_of(name, access.cells, access.mask):
                if access.write:
                    wrote[name, row, bit] = int(run.start[pc])
                else:
                    spans[name, row].append((wrote[name, row, bit], int(run.free[pc])))
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for (name, _), times in spans.items():
        joined: list[tuple[int, int]] = []
        for start, free in sorted(times):
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], free))
            else:
                joined.append((start, free))
        found[name] += joined
    return found


def parts_of(name: str, cells: AddressSet, mask: int) -> list[tuple[int, int]]:
    if name == "DRAM":
        return []
    bits = [bit for bit in range(16) if (mask or 1) >> bit & 1]
    rows: npt.NDArray[Any] = cells.of(np.arange(cells.last + 1))
    return [(row, bit) for row in np.unique(rows).tolist() for bit in bits]
