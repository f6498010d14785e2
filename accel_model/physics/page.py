"""The tables of docs/PHYSICS.md: parts and events of targets, printed by ``make docs``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace

from zeroskip.accel_model.physics.cost import physics, prices
from zeroskip.accel_model.physics.part import Part
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
    """Picojoules of each event on each target, at each node; read and written, where they differ."""
    columns = [
        (spec.name, node, prices(replace(spec, technology=replace(given, node=node), energy=None)))
        for node in NODES
        for spec in specs
        if (given := spec.technology) is not None
    ]
    names = [f"{name}, {node}" for name, node, _ in columns]
    rows = [
        (title, *(f"{getattr(table[event.name], way):.3f}" for _, _, table in columns))
        for event in fields(specs[0].kind.Energy)
        for title, way in _ways(event.name, specs[0])
    ]
    yield from _table(("pJ of an event", *names), rows, words=1)


def _ways(event: str, spec: AccelSpec) -> Iterator[tuple[str, str]]:
    """How a row of the event is called, and which of its prices it shows."""
    if event in spec.kind.splits:
        yield f"`{event}` read", "read"
        yield f"`{event}` written", "write"
    else:
        yield f"`{event}`", "read"


def _table(
    names: Sequence[str], rows: Iterable[Sequence[str]], words: int = NUMBERS
) -> Iterator[str]:
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * words + "---:|" * (len(names) - words)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
