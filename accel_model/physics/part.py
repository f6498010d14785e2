"""A part of the chip: a memory or a path with its ports as declared, and as it is built."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from zeroskip.accel_model.technology import PORTS, Cell, Macro, logic, sram
from zeroskip.accel_model.technology.sram import LEAST_WORDS


@dataclass(frozen=True)
class PartPort:
    """One way into a memory.

    user: who uses it.
    way: "r", "w", or "rw" for either in a cycle.
    uses: words a cycle at most, of an instance.
    flows: counters of what goes through it (``traffic.py``).
    unit: bytes of what they count: of an activation, of a weight, of a sum, or 1.
    """

    user: str
    way: str
    uses: float = 1
    flows: tuple[str, ...] = ()
    unit: int = 1

    def __str__(self) -> str:
        return f"{self.user} {self.uses:g}{self.way}"


@dataclass(frozen=True)
class Resource:
    """A memory or a path of a target as it is declared, whatever node it is made in.

    name: the part's.
    count: instances.
    bytes: of an instance; 0 for a path, which is registers or logic.
    width: bytes of a word of an instance.
    ports: of an instance.
    """

    name: str
    count: int
    bytes: int
    width: int
    ports: tuple[PartPort, ...]

    def per_cycle(self, port: PartPort) -> float:
        """What goes through a port of all instances in a cycle at most, in the port's units."""
        return self.count * self.width * port.uses / port.unit


@dataclass(frozen=True)
class Part:
    """Equal instances of a memory or of logic, and what they cost.

    count: instances. bytes, width: capacity and word of an instance; 0 for logic, whose width is
    that of its ports. ports: of an instance. build: the macro's ports ("1rw", "1r1w", "2rw") or
    "flip-flops" or "logic". accesses: of the macro's busiest port in a clock cycle. read_pj,
    write_pj: picojoules of a word of one instance (of a use, for logic), the clock network not
    included. area_mm2, leakage_mw: of all instances. access_ns, cycle_ns: of the macro.
    """

    name: str
    count: int
    bytes: int
    width: int
    ports: tuple[PartPort, ...]
    build: str
    accesses: int
    read_pj: float
    write_pj: float
    area_mm2: float
    leakage_mw: float
    access_ns: float = 0.0
    cycle_ns: float = 0.0

    def times(self, copies: int) -> Part:
        """So many copies of all instances."""
        return replace(
            self,
            count=self.count * copies,
            area_mm2=self.area_mm2 * copies,
            leakage_mw=self.leakage_mw * copies,
        )

    @property
    def least_period_ns(self) -> float:
        """The shortest clock cycle in which the busiest port gets all its accesses."""
        return self.accesses * self.cycle_ns


def memory(
    node: str,
    period_ns: float,
    name: str,
    count: int,
    size: int,
    width: int,
    ports: tuple[PartPort, ...],
) -> Part:
    """The memory as the smallest macro that serves its ports in time.

    A macro of one port may be clocked as often in a cycle as its cycle time allows. If none is
    fast enough, the fastest: ``Part.least_period_ns`` then exceeds the period. size: bytes of an
    instance, as it has to be; TechnologyError for one that is beyond the table.
    """
    if size < LEAST_WORDS * width:
        return _flip_flops(node, name, count, size, width, ports)
    options = [
        _built(name, count, size, width, ports, build, accesses, sram(node, size, width, build))
        for build in PORTS
        if (accesses := _accesses(build, ports))
    ]
    in_time = [part for part in options if part.least_period_ns <= period_ns]
    if in_time:
        return min(in_time, key=lambda part: part.area_mm2)
    return min(options, key=lambda part: part.least_period_ns)


def _built(
    name: str,
    count: int,
    size: int,
    width: int,
    ports: tuple[PartPort, ...],
    build: str,
    accesses: int,
    macro: Macro,
) -> Part:
    return Part(
        name,
        count,
        size,
        width,
        ports,
        build,
        accesses,
        macro.read_pj,
        macro.write_pj,
        count * macro.area_mm2,
        count * macro.leakage_mw,
        macro.access_ns,
        macro.cycle_ns,
    )


def _accesses(build: str, ports: tuple[PartPort, ...]) -> int:
    """Accesses of the busiest port of such a macro in a cycle; 0 if it cannot serve the ports."""
    uses = [math.ceil(port.uses) for port in ports]
    if build == "1rw":
        return sum(uses)
    if build == "2rw":
        return math.ceil(max(*uses, sum(uses) / 2)) if len(uses) > 1 else 0
    by_way = {
        way: sum(used for port, used in zip(ports, uses, strict=True) if port.way == way)
        for way in ("r", "w")
    }
    return max(by_way.values()) if all(by_way.values()) and sum(by_way.values()) == sum(uses) else 0


def _flip_flops(
    node: str, name: str, count: int, size: int, width: int, ports: tuple[PartPort, ...]
) -> Part:
    """A memory too small for a macro: a register for each word and a multiplexer to read."""
    cells = logic(node)
    stored, read = cells.register(8 * size), cells.mux(max(1, size // width), 8 * width)
    return Part(
        name,
        count,
        size,
        width,
        ports,
        "flip-flops",
        1,
        read.pj,
        cells.register(8 * width).pj,
        count * (stored.area_mm2 + read.area_mm2),
        count * (stored.leakage_mw + read.leakage_mw),
    )


def of_logic(
    name: str, count: int, cell: Cell, width: int = 0, ports: tuple[PartPort, ...] = ()
) -> Part:
    """So many pieces of logic."""
    return Part(
        name,
        count,
        0,
        width,
        ports,
        "logic",
        0,
        cell.pj,
        cell.pj,
        count * cell.area_mm2,
        count * cell.leakage_mw,
    )
