"""The banks of an open-page DRAM and their controller, clock by clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zeroskip.accel_model.spec import AccelSpec


@dataclass
class Bank:
    """A bank of DRAM. row: the open one; None: closed. opened: the clock at which it was;
    closed: the clock from which another may be; quiet: the clock from which it may be closed."""

    row: int | None = None
    opened: int = 0
    closed: int = 0
    quiet: int = 0


@dataclass
class Burst:
    """A burst in the controller's queue: its bank and row, and whether its row is open for it."""

    bank: Bank
    row: int
    prepared: bool = False


class Controller:
    """Opens and closes rows for the bursts of a transfer and moves them in their order."""

    def __init__(self, spec: AccelSpec, addresses: Iterable[int], *, writes: bool) -> None:
        timing = spec.dram.timing
        assert timing is not None
        self.megahertz = spec.clock_mhz
        self.trcd, self.trp = self._clocks(timing.trcd_ns), self._clocks(timing.trp_ns)
        self.tras, self.trrd = self._clocks(timing.tras_ns), self._clocks(timing.trrd_ns)
        self.recovery = self._clocks(timing.twr_ns) if writes else 0
        self.refresh = self.trp + self._clocks(timing.trfc_ns) + self.trcd
        self.between = int(round(timing.trefi_ns * spec.clock_mhz / 1000, 6)) - self.refresh
        self.beats = spec.dram.burst_bytes // spec.dram.bytes_per_cycle
        self.banks = [Bank() for _ in range(timing.banks)]
        self.todo = self._bursts(addresses, timing.channels * timing.page_bytes)
        self.queue: deque[Burst] = deque()
        self.places = timing.queue
        self.moving: Burst | None = None
        self.left = 0  # beats of the one that moves
        self.next_opening = 0
        self.clock = 0

    def run(self) -> int:
        """Cycles until all has moved and every row is closed, and those of refreshes."""
        self._admit()
        owed = stalled = 0
        while self.moving is not None or self.queue or not self._all_closed():
            self._start()
            self._prepare()
            self.clock += 1
            if self.moving is not None:
                self.left -= 1
                if self.left == 0:
                    self.moving.bank.quiet = self.clock + self.recovery
                    self.moving = None
            owed += self.refresh
            while owed >= self.between:
                owed -= self.between
                stalled += 1
        return self.clock + stalled + (owed > 0)

    def _clocks(self, nanoseconds: float) -> int:
        return math.ceil(round(nanoseconds * self.megahertz / 1000, 6))

    def _bursts(self, addresses: Iterable[int], page: int) -> Iterator[Burst]:
        """Pages go round the banks."""
        for address in addresses:
            turn, bank = divmod(address // page, len(self.banks))
            yield Burst(self.banks[bank], turn)

    def _admit(self) -> None:
        """Fill the places of the queue."""
        while len(self.queue) < self.places:
            burst = next(self.todo, None)
            if burst is None:
                return
            self.queue.append(burst)

    def _start(self) -> None:
        """Move the next burst, if the bus is free and its row can be read."""
        if self.moving is not None or not self.queue:
            return
        first = self.queue[0]
        if first.prepared and self.clock >= first.bank.opened + self.trcd:
            self.moving, self.left = self.queue.popleft(), self.beats
            self._admit()

    def _prepare(self) -> None:
        """Close rows that are in the way of bursts in the queue, and open rows in their order."""
        in_order = True
        for number, burst in enumerate(self.queue):
            if burst.prepared:
                continue
            bank = burst.bank
            earlier = [other for other in [*self.queue][:number] if other.bank is bank]
            if all(other.prepared for other in earlier) and bank.row == burst.row:
                burst.prepared = True
                continue
            if not earlier and (self.moving is None or self.moving.bank is not bank):
                self._close(bank, burst.row)
            if in_order and not earlier and bank.row is None and self.clock >= bank.closed:
                in_order = self._open_row(burst)
            else:
                in_order = False

    def _close(self, bank: Bank, wanted: int | None) -> None:
        """Close the bank's row if it is not the wanted one, and can be by now."""
        if bank.row not in (None, wanted) and self.clock >= max(
            bank.opened + self.tras, bank.quiet
        ):
            bank.row, bank.closed = None, self.clock + self.trp

    def _open_row(self, burst: Burst) -> bool:
        """Open the burst's row, if the opening before was long enough ago."""
        if self.clock < self.next_opening:
            return False
        burst.bank.row, burst.bank.opened, burst.prepared = burst.row, self.clock, True
        self.next_opening = self.clock + self.trrd
        return True

    def _all_closed(self) -> bool:
        """Nothing is left to move: close the rows that can be; whether all of them are closed."""
        for bank in self.banks:
            self._close(bank, None)
        return all(bank.row is None and self.clock >= bank.closed for bank in self.banks)
