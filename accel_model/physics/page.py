"""The tables of docs/PHYSICS.md: parts and events of targets, printed by ``make docs``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from zeroskip.accel_model.physics.cost import physics, prices
from zeroskip.accel_model.physics.part import Part
from zeroskip.accel_model.physics.traffic import Price
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.technology import NODES

BEGIN, END = "<!-- parts: printed by `make docs` -->", "<!-- end -->"
NUMBERS = 3  # columns of words before those of numbers


def manual(page: str, specs: Sequence[AccelSpec]) -> str:
    """The page with its tables of these targets written again."""
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    return "".join((head, BEGIN, "\n\n", "\n".join(_lines(specs)), "\n\n", END, tail))


def _lines(specs: Sequence[AccelSpec]) -> Iterator[str]:
    specs = [spec for spec in specs if spec.technology is not None]
    for spec in specs:
        yield from _parts(spec)
        yield ""
    yield from _events(specs)


def _parts(spec: AccelSpec) -> Iterator[str]:
    chip = physics(spec)
    node = spec.technology.node if spec.technology else ""
    yield (
        f"**{spec.name}** at {node}, {spec.clock_mhz:g} MHz: {chip.area_mm2:.2f} mm2, "
        f"{chip.leakage_mw:.1f} mW of leakage, {chip.dram_mw:.1f} mW of idle DRAM "
        f"({chip.channels} channels)"
    )
    yield ""
    rows = [_row(part) for part in chip.parts]
    rows.append(
        ("clock network, filler cells", "", "", "", "", "", f"{chip.floorplan_mm2:.4f}", "")
    )
    yield from _table(
        ("part", "built as", "ports", "pJ read", "pJ write", "leakage uW", "mm2", "up to MHz"), rows
    )


def _row(part: Part) -> tuple[str, ...]:
    size = f" of {part.bytes:,} bytes" if part.bytes else ""
    size += f", {part.width} wide" if part.width else ""
    twice = f", {part.accesses} accesses a cycle" if part.accesses > 1 else ""
    return (
        part.name,
        f"{part.count:,} x {part.build}{size}{twice}",
        ", ".join(map(str, part.ports)),
        f"{part.read_pj:.3f}",
        f"{part.write_pj:.3f}",
        f"{part.leakage_mw * 1000:.1f}",
        f"{part.area_mm2:.4f}",
        f"{1000 / part.least_period_ns:.0f}" if part.least_period_ns else "",
    )


def _events(specs: Sequence[AccelSpec]) -> Iterator[str]:
    """Picojoules of each event at each node, of the targets whose energy follows from their sizes:
    read and written, where they differ."""
    costs = {
        (spec.name, node): prices(replace(spec, technology=replace(given, node=node)))
        for node in NODES
        for spec in specs
        if (given := spec.technology) is not None and spec.energy is None
    }
    events = list(dict.fromkeys(event for cost in costs.values() for event in cost))
    rows = [
        (name, node, *(_price(cost[event]) if event in cost else "" for event in events))
        for (name, node), cost in costs.items()
    ]
    names = ("pJ of an event", "node", *(f"`{event}`" for event in events))
    yield from _table(names, rows, words=2)


def _price(of: Price) -> str:
    """A cell; a price for each way if they differ."""
    ways = (of.read,) if of.read == of.write else (of.read, of.write)
    return " / ".join(f"{way:.3f}" for way in ways)


def _table(
    names: Sequence[str], rows: Iterable[Sequence[str]], words: int = NUMBERS
) -> Iterator[str]:
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * words + "---:|" * (len(names) - words)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
