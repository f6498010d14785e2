"""How long a transfer keeps an open-page DRAM, from its bursts (docs/ARRAYS.md, "Open pages").

All banks are closed when a transfer starts and again when it ends, so its time depends on nothing
that came before; within it every bank's row is followed exactly.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.spec import AccelSpec

Row = npt.NDArray[np.int64]


class RowTiming(NamedTuple):
    """Bytes, counts and clock cycles of an open-page DRAM.

    burst, page: bytes. beats: cycles of a burst on the bus. banks, queue: how many. rcd, rp, ras,
    rrd: cycles, rounded up. recovery: cycles from a burst to closing its row. refresh: cycles that
    a refresh takes, closing and opening included. interval: cycles from one to the next.
    """

    burst: int
    beats: int
    page: int
    banks: int
    queue: int
    rcd: int
    rp: int
    ras: int
    rrd: int
    recovery: int
    refresh: int
    interval: int

    @property
    def stretch(self) -> float:
        """Cycles for each cycle without refreshes."""
        return self.interval / (self.interval - self.refresh)


@lru_cache(maxsize=256)
def row_timing(spec: AccelSpec, *, writes: bool) -> RowTiming:
    """The times of a target's rows for loads or, with recovery, stores; its bus must not be
    flat."""
    dram, own = spec.dram, spec.dram.timing
    assert own is not None

    def clocks(ns: float) -> int:
        return math.ceil(round(ns * spec.clock_mhz / 1000, 6))

    rcd, rp = clocks(own.trcd_ns), clocks(own.trp_ns)
    return RowTiming(
        burst=dram.burst_bytes,
        beats=dram.burst_bytes // dram.bytes_per_cycle,
        page=own.row_bytes,
        banks=own.banks,
        queue=own.queue,
        rcd=rcd,
        rp=rp,
        ras=clocks(own.tras_ns),
        rrd=clocks(own.trrd_ns),
        recovery=clocks(own.twr_ns) if writes else 0,
        refresh=rp + clocks(own.trfc_ns) + rcd,
        interval=math.floor(round(own.trefi_ns * spec.clock_mhz / 1000, 6)),
    )


def transfer_cycles(cells: Row, timing: RowTiming) -> int:
    """Cycles of a transfer of runs (``AddressSet``, joined, as int64), refreshes in proportion."""
    busy = busy_cycles(cells, timing)
    return busy + -(-busy * timing.refresh // (timing.interval - timing.refresh))


def busy_cycles(cells: Row, timing: RowTiming) -> int:
    """Cycles from a transfer's start until all rows are closed again, without refreshes.

    Bursts move in order. A row may be opened ahead: as soon as the burst has a place in the
    controller's queue, its bank's last burst is through, and the openings before it were made.
    """
    row = np.full(timing.banks, -1, np.int64)
    opened, used = np.zeros((2, timing.banks), np.int64)
    began = np.zeros(timing.queue, np.int64)
    return int(_busy_cycles(cells, np.array(timing, np.int64), row, opened, used, began))


@njit_cached
def _busy_cycles(cells: Row, timing: Row, row: Row, opened: Row, used: Row, began: Row) -> int:
    """row, opened, used: of each bank, its open row, or -1, when that was opened, and when its last
    burst was through. began: of the last bursts, by number modulo the queue's places."""
    burst, beats, page, banks, queue = timing[0], timing[1], timing[2], timing[3], timing[4]
    rcd, rp, ras, rrd, recovery = timing[5], timing[6], timing[7], timing[8], timing[9]
    number, end, last = 0, 0, -rrd
    for b in range(cells[6]):
        for y in range(cells[4]):
            for x in range(cells[2]):
                at = cells[0] + b * cells[7] + y * cells[5] + x * cells[3]
                for n in range(at // burst, (at + cells[1] - 1) // burst + 1):
                    place = n * burst // page
                    bank, wanted, start = place % banks, place // banks, end
                    if row[bank] != wanted:
                        ready = began[number % queue] if number >= queue else 0
                        if row[bank] >= 0:
                            ready = rp + max(ready, opened[bank] + ras, used[bank] + recovery)
                        last = max(ready, last + rrd)
                        row[bank], opened[bank] = wanted, last
                        start = max(end, last + rcd)
                    began[number % queue] = start
                    end = start + beats
                    used[bank] = end
                    number += 1
    closed = end
    for bank in range(banks):
        if row[bank] >= 0:
            closed = max(closed, rp + max(opened[bank] + ras, used[bank] + recovery))
    return closed
