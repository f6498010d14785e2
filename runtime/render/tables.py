"""Tables for people: reports and targets, drawn with rich."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zeroskip.accel_model.spec import AccelSpec, Storage
from zeroskip.compiler.artifact.placement import percent
from zeroskip.runtime.analysis.efficiency import Efficiency
from zeroskip.runtime.analysis.report import LayerReport, Report

SHOWN = 3  # causes in a layer's row
WIDTH = 170  # of what is not a terminal
WIDE = 165  # from here on there is room for all columns
NAME = {False: 24, True: 30}  # characters of a layer's name: with few columns, with all
SHORT = ("cycles", "bound", "x bound")
LOST = "lost, in % of the bound"


def show(*parts: Table | str) -> None:
    """Print tables and lines on standard output."""
    console = Console(width=line_width())
    for part in parts:
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def line_width() -> int:
    """Characters of a line on standard output."""
    return Console().width if sys.stdout.isatty() else WIDTH


def report_parts(report: Report, worst: int | None = None, width: int = WIDTH) -> list[Table | str]:
    """A report: a table for each region, the totals, and what stays on the CPU.

    worst: instead of each region's layers in their order, the ones of all that lose most cycles.
    width: of a line; columns that matter less are left out where it is short.
    """
    if worst is None or not report.layers:
        parts: list[Table | str] = [
            _layers_table(
                f"region {escape(region.name)}: {region.cycles:,} cycles", region.layers, width
            )
            for region in report.regions
        ]
    else:
        ranked = sorted(report.layers, key=lambda layer: layer.bound - layer.cycles)[:worst]
        parts = [
            _layers_table(
                f"the {len(ranked)} of {len(report.layers)} layers that lose most", ranked, width
            )
        ]
    parts += _totals(report)
    parts.append(
        f"{len(report.cpu)} nodes stay on the CPU"
        + (
            ":"
            if report.cpu
            else "; the accelerator does everything but quantize the "
            "inputs and dequantize the outputs"
        )
    )
    parts += [
        f"  {escape(node)}: {escape(why)}{_host_share(report, node)}"
        for node, why in report.cpu.items()
    ]
    return [*parts, *_host_calls(report)]


def _host_calls(report: Report) -> list[Table | str]:
    """A line for the calls of the CPU, and one for each."""
    count, placement = len(report.host_calls), report.placement
    if not count:
        return []
    return [
        f"the CPU is called {count:,} time{'s' * (count != 1)} around {placement.crossing_words()}:",
        *(f"  {number}: {call.words()}" for number, call in enumerate(report.host_calls, 1)),
    ]


def _host_share(report: Report, node: str) -> str:
    """Of all multiplies, those of a node on the CPU; nothing if it has none."""
    macs = report.host_macs.get(node, 0)
    return f" ({percent(macs / report.placement.macs)} of the multiplies)" if macs else ""


def _layers_table(title: str, layers: Sequence[LayerReport], width: int) -> Table:
    """All columns where there is room for them; the last one takes what room is left."""
    wide = width >= WIDE
    texts = ("layer", "kind", "output") if wide else ("layer",)
    numbers: tuple[str, ...] = SHORT
    if wide:
        numbers = ("MMACs", "effectual", "real", *SHORT, "MACs used", "DRAM KiB", "uJ")
    rows = [_layer_cells(layer, wide) for layer in layers]
    table = plain_table(title)
    for number, name in enumerate((*texts, *numbers)):
        size = max(len(row[number]) for row in ((name,) * len(rows[0]), *rows))
        width -= size + 2  # and a gap
        table.add_column(
            name, justify="left" if name in texts else "right", width=size, no_wrap=True
        )
    table.add_column(LOST, no_wrap=True, max_width=max(width, len(LOST)))
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _layer_cells(layer: LayerReport, wide: bool) -> tuple[str, ...]:
    short = (f"{layer.cycles:,}", f"{layer.bound:,}", f"{layer.x_bound:.2f}")
    title, lost = _shortened(layer.title, NAME[wide]), _largest(layer)
    if not wide:
        return (title, *short, lost)
    return (
        title,
        layer.kind,
        "x".join(map(str, layer.shape[1:])),
        f"{layer.macs / 1e6:.2f}",
        f"{layer.effectual / 1e6:.2f}",
        f"{layer.real_macs / 1e6:.2f}",
        *short,
        f"{layer.utilisation:.0%}",
        f"{layer.dram_bytes / 1024:.1f}",
        f"{layer.microjoules:.1f}",
        lost,
    )


def _shortened(title: str, most: int) -> str:
    """The end of a name says more than its start."""
    return title if len(title) <= most else "…" + title[1 - most :]


def _largest(layer: LayerReport) -> str:
    """The causes that matter most, in per cent of the bound."""
    ranked = sorted(layer.lost.items(), key=lambda item: -abs(item[1]))[:SHOWN]
    return ", ".join(
        f"{cause} {lost / layer.bound:+.0%}"
        for cause, lost in ranked
        if abs(lost) >= 0.005 * layer.bound
    )


def _of_samples(report: Report) -> str:
    """What the figures are of, where time depends on activations."""
    if not report.by_image:
        return ""
    return (
        f"; {report.weights_bound:,} by weights alone. Time depends on activations: all below is of "
        f"the sample of median time, {report.cycles:,} cycles"
    )


def _totals(report: Report) -> list[Table | str]:
    first = escape(f"{report.network}: {report.headline}")
    if not report.placement.regions:
        return [first]
    whole = (
        "whole network"
        if report.placement.whole and report.placement.regions == 1
        else f"part on the accelerator, {_regions(report)}"
    )
    lines: list[Table | str] = [
        first,
        f"{report.x_bound:.3f} x the sum of the layers' bounds, {report.bound:,} cycles"
        f"{_of_samples(report)}",
        f"{report.x_network_bound:.3f} x the bound of the {whole}, {report.network_bound:,} "
        "cycles, if all between its layers stayed on chip",
        f"{report.x_reachable_bound:.3f} x {report.reachable_bound:,} cycles, below which no schedule "
        "goes with the SRAM that there is",
        f"{report.effectual / 1e6:.2f} of {report.macs / 1e6:.2f} million MACs have a weight that "
        f"is not zero, {report.real_macs / 1e6:.2f} an input that is not padding too; these use "
        f"{report.utilisation:.1%} of the multipliers",
        f"{report.dram_bytes / 1024:,.1f} KiB over the DRAM bus, {report.microjoules:,.1f} uJ",
        *(efficiency_parts(report.efficiency) if report.efficiency else ()),
    ]
    table = plain_table("where the cycles above the bound went")
    table.add_column("cause", no_wrap=True)
    table.add_column("cycles", justify="right", no_wrap=True)
    table.add_column("of bound", justify="right", no_wrap=True)
    table.add_column("meaning")
    table.add_row("bound", f"{report.bound:,}", "100.0%", "the sum of the layers' bounds")
    for cause in report.causes:
        lost = report.lost[cause.name]
        if round(lost):
            share = f"{lost / report.bound:+.1%}"
            table.add_row(cause.name, f"{lost:+,.0f}", share, cause.sentence)
    return ["", table, "", *lines]


def efficiency_parts(of: Efficiency) -> list[Table | str]:
    """Power and rates in two lines, and a table of area and energy by part."""
    table = plain_table(f"area at {of.node}, and energy of an image with standing power")
    table.add_column("part", no_wrap=True)
    for name in ("mm2", "of area", "uJ", "of energy"):
        table.add_column(name, justify="right", no_wrap=True)
    for part in dict.fromkeys((*of.area, *of.energy)):
        area, energy = of.area.get(part), of.energy.get(part)
        table.add_row(
            part,
            *(("", "") if area is None else (f"{area:.3f}", f"{area / of.area_mm2:.1%}")),
            *(
                ("", "")
                if energy is None
                else (f"{energy:,.1f}", f"{energy / (of.microjoules or 1):.1%}")
            ),
        )
    table.add_row("all", f"{of.area_mm2:.3f}", "100.0%", f"{of.microjoules:,.1f}", "100.0%")
    return [
        f"{of.milliwatts:,.1f} mW, {of.images_a_second:,.1f} images a second, energy x time "
        f"{of.edp:,.1f} uJ ms",
        f"{of.tops:.4f} TOPS without zeros and padding, {of.dense_tops:.4f} as if dense, "
        f"{of.peak_tops:.4f} at most; {of.tops_a_watt:.3f}, {of.dense_tops_a_watt:.3f}, "
        f"{of.peak_tops_a_watt:.3f} TOPS/W; {of.tops_a_mm2:.4f}, {of.dense_tops_a_mm2:.4f}, "
        f"{of.peak_tops_a_mm2:.4f} TOPS/mm2",
        table,
    ]


def plain_table(title: str) -> Table:
    """A table without a box; columns are added to it."""
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )


def _regions(report: Report) -> str:
    count = report.placement.regions
    share = percent(1 - report.placement.cpu_share)
    return f"{share} of the multiplies in {count:,} region{'s' * (count != 1)}"


def _storage(spec: AccelSpec) -> str:
    """How wide activations and weights are stored, if not in 8 bits."""
    own = spec.storage
    if own == Storage():
        return ""
    return f", {own.activation_bits} x {own.weight_bits} bits"


def targets_table(specs: Sequence[AccelSpec]) -> Table:
    """The accelerators with their numbers."""
    table = Table()
    for name in ("target", "array"):
        table.add_column(name)
    for name in (
        "MACs/cycle",
        "MHz",
        "DRAM GB/s",
        "ACT KiB",
        "WGT KiB",
        "ACC KiB",
        "PAR KiB",
        "staging KiB",
        "windows KiB",
        "all KiB",
    ):
        table.add_column(name, justify="right")
    table.add_column("in short")
    for spec in specs:
        own = spec.sram
        sizes = (
            own.act_bytes,
            own.wgt_bytes,
            own.acc_bytes,
            own.par_bytes,
            own.staging_bytes,
            spec.array_bytes,
            spec.sram_bytes,
        )
        table.add_row(
            escape(spec.name),
            f"{spec.array.kind} {spec.array.dimensions}{_storage(spec)}",
            str(spec.array.macs),
            f"{spec.clock_mhz:g}",
            f"{spec.dram.bytes_per_cycle * spec.clock_mhz / 1000:g}",
            *(f"{size / 1024:g}" for size in sizes),
            escape(spec.summary),
        )
    return table
