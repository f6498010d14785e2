"""What is checked of every access, against records kept cell by cell in plain dictionaries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from zeroskip.accel_model.memory import access_check
from zeroskip.accel_model.memory.access_check import STREAM_LENGTH, Access, check_and_record
from zeroskip.accel_model.memory.address_sets import ShadowLayout
from zeroskip.accel_model.memory.memories import ACT, DRAM, PAR
from zeroskip.accel_model.program.address_set import AddressSet

Rng = np.random.Generator

PLACES = {  # memory -> where its records are; three units may use each
    ACT: ShadowLayout(60, 0, 0, 0, 7, 7),
    PAR: ShadowLayout(20, 0, 0, 60, 7, 7),
    DRAM: ShadowLayout(300, 37, 4, 80 - (37 >> 4), 7, 7),
}
RECORDS = 80 + (300 >> 4) - (37 >> 4) + 1


@dataclass
class Model:
    """By memory and cell: bits written; by memory, granule and unit: latest write and read."""

    written: dict[tuple[int, int], int] = field(default_factory=dict)
    wrote: dict[tuple[int, int, int], int] = field(default_factory=dict)
    read: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def touch(
        self, accesses: list[Access], known: list[int], unit: int
    ) -> tuple[int, int, int, int]:
        for n, one in enumerate(accesses):
            if max(names(one.cells)) >= PLACES[one.memory].cells:
                return access_check.BOUNDS, n, 0, 0
            if one.write and len(set(names(one.cells))) < len(names(one.cells)):
                return access_check.DUPLICATE, n, 0, 0
        for n, one in enumerate(accesses):
            place = PLACES[one.memory]
            cells = [cell for cell in names(one.cells) if cell >= place.fixed]
            granules = [cell >> place.granule for cell in cells]
            for records in (self.wrote, self.read) if one.write else (self.wrote,):
                for other in {0, 1, 2} - {unit}:
                    tick = max(
                        (records.get((one.memory, granule, other), 0) for granule in granules),
                        default=0,
                    )
                    if tick > known[other]:
                        return access_check.RACE, n, other, tick
            if (
                one.write
                and one.memory == ACT
                and any(self.read.get((ACT, cell, unit)) == known[unit] for cell in cells)
            ):
                return access_check.SELF_OVERLAP, n, 0, 0
            for cell in cells:
                bits = self.written.get((one.memory, cell), 0)
                if one.write:
                    self.written[one.memory, cell] = bits | one.mask
                elif bits & one.mask != one.mask:
                    return access_check.UNWRITTEN, n, cell, 0
            for granule in granules:
                (self.wrote if one.write else self.read)[one.memory, granule, unit] = known[unit]
        return access_check.OK, 0, 0, 0


def names(cells: AddressSet) -> list[int]:
    return [
        cells.first + b * cells.block + y * cells.row + x * cells.pixel + i
        for b in range(cells.blocks)
        for y in range(cells.height)
        for x in range(cells.width)
        for i in range(cells.length)
    ]


def random_access(rng: Rng, write: int) -> Access:
    memory = int(rng.choice([ACT, ACT, PAR, DRAM]))
    size = PLACES[memory].cells
    cells = AddressSet(
        int(rng.integers(0, size * 3 // 4)),
        int(rng.integers(1, size // 8)),
        int(rng.integers(1, 3)),
        int(rng.integers(0, size // 6)),
        int(rng.integers(1, 3)),
        int(rng.integers(0, size // 4)),
    )
    mask = {ACT: int(rng.choice([0xFFFF, 0xFF, 0xFF00])), PAR: 1, DRAM: 0xFFFF}[memory]
    return Access(memory, write, mask, int(bool(write) and cells.repeats()), cells)


def test_whatever_is_touched_is_checked_cell_by_cell() -> None:
    found: Counter[int] = Counter()
    for seed in range(150):
        rng = np.random.default_rng(seed)
        model, ticks = Model(), [0, 0, 0]
        records = np.zeros((7, RECORDS), np.int32)
        places = np.zeros((5, 6), np.int64)
        for memory, place in PLACES.items():
            places[memory] = place
            for cell in range(place.fixed, place.cells):  # most of it was written before
                if rng.random() < 0.98:
                    bits = 0xFFFF if memory != PAR else 1
                    model.written[memory, cell] = bits
                    bits = bits if memory != DRAM else 1 << (cell & 15)
                    records[0, place.offset + (cell >> place.granule)] |= bits
        for _ in range(30):
            unit = int(rng.integers(3))
            ticks[unit] += 1
            known = [
                max(0, tick - int(rng.integers(0, 3)) * int(rng.random() < 0.3)) for tick in ticks
            ]
            known[unit] = ticks[unit]
            accesses = [
                random_access(rng, write)
                for write in sorted(rng.integers(0, 2, rng.integers(1, 4)).tolist())
            ]
            wanted = model.touch(accesses, known, unit)
            got = check_and_record(
                records,
                places,
                np.array([one.row for one in accesses]),
                np.array(AddressSet(0, 0)),
                np.array([known], np.int32),
                0,
                unit,
            )
            assert got == wanted, (seed, accesses, known, unit)
            found[wanted[0]] += 1
            if wanted[0] in (access_check.RACE, access_check.SELF_OVERLAP, access_check.UNWRITTEN):
                break  # what was recorded before a fault does not matter
    kinds = ("OK", "BOUNDS", "DUPLICATE", "UNWRITTEN", "RACE", "SELF_OVERLAP")
    assert all(found[getattr(access_check, kind)] > 10 for kind in kinds), found


def test_rows_that_only_the_streams_know_are_filled_in() -> None:
    records, places = np.zeros((7, RECORDS), np.int32), np.zeros((5, 6), np.int64)
    places[ACT] = PLACES[ACT]
    one = np.array([Access(ACT, 1, 1, 0, AddressSet(50, STREAM_LENGTH)).row])
    known = np.ones((1, 3), np.int32)
    rows = {length: np.array(AddressSet(0, length)) for length in (10, 11)}
    assert check_and_record(records, places, one, rows[11], known, 0, 0)[0] == access_check.BOUNDS
    assert check_and_record(records, places, one, rows[10], known, 0, 0)[0] == access_check.OK
    assert np.flatnonzero(records[0]).tolist() == list(range(50, 60))
    assert Access.of(one[0].tolist(), 10).cells == AddressSet(50, 10)
