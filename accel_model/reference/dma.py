"""A transfer, burst by burst."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zeroskip.accel_model.reference.convolution import ROW, Outcome
from zeroskip.accel_model.reference.row_buffers import Controller
from zeroskip.accel_model.spec import AccelSpec


def row_rate(spec: AccelSpec) -> int:
    """Rows of ACT in a cycle: those of the bus's width, in a bank each, or a quad, in half of the
    banks at most."""
    rate, row = spec.array.pixels, ROW * spec.storage.activation_bytes
    while 2 * rate > spec.sram.act_banks:
        rate -= 1
    while row * rate < spec.dram.bytes_per_cycle and rate < spec.sram.act_banks:
        rate += 1
    return rate


@dataclass(frozen=True)
class Transfer:
    """Pieces of ``length`` bytes, ``counts`` = (pixels, rows, blocks) of them, ``steps`` bytes
    from one to the next."""

    first: int
    length: int
    counts: tuple[int, int, int] = (1, 1, 1)
    steps: tuple[int, int, int] = (0, 0, 0)

    def runs(self) -> Iterator[tuple[int, int]]:
        """(first byte, bytes) of each contiguous run, in order.

        Pixels that touch make a row one run, rows that touch then make a block one, and blocks the
        whole; a level of one piece does not matter.
        """
        length = self.length
        levels: list[tuple[int, int]] = []
        for count, step in zip(self.counts, self.steps, strict=True):
            if count == 1:
                continue
            if not levels and step == length:
                length *= count
            else:
                levels.append((count, step))
        starts = [self.first]
        for count, step in reversed(levels):
            starts = [start + n * step for start in starts for n in range(count)]
        for start in starts:
            yield start, length


def step_transfer(
    spec: AccelSpec, transfer: Transfer, rows: int = 0, rate: int = 1, *, writes: bool = False
) -> Outcome:
    """Move it: every run moves whole aligned bursts, each of them beat by beat, to or from rows of
    DRAM that are opened and closed unless the bus is flat; meanwhile so many rows of ACT are
    written or read, ``rate`` in a cycle."""
    dram, outcome, bursts = spec.dram, Outcome(), list[int]()
    for start, length in transfer.runs():
        outcome.events["useful_bytes"] += length
        burst = start - start % dram.burst_bytes
        while burst < start + length:
            moved = 0
            while moved < dram.burst_bytes:
                moved += dram.bytes_per_cycle
                outcome.cycles += 1
            outcome.events["dram_bytes"] += dram.burst_bytes
            bursts.append(burst)
            burst += dram.burst_bytes
    if dram.timing is not None:
        outcome.cycles = Controller(spec, bursts, writes=writes).run()
    rows -= rate * outcome.cycles
    while rows > 0:
        rows -= rate
        outcome.cycles += 1
    outcome.events["cycles"] = outcome.cycles
    return outcome
