"""Tables for people: reports and targets, drawn with rich."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zeroskip.accel_model.spec import AccelSpec
from zeroskip.runtime.report import CAUSES, LayerReport, RegionReport, Report

SHOWN = 3  # causes in a layer's row
WIDTH = 160  # of what is not a terminal


def show(*parts: Table | str) -> None:
    """Print tables and lines on standard output."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for part in parts:
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def report_parts(report: Report) -> list[Table | str]:
    """A report: a table for each region, the totals, and what stays on the CPU."""
    parts: list[Table | str] = [_region_table(region) for region in report.regions]
    parts += _totals(report)
    parts.append(f"{len(report.cpu)} nodes stay on the CPU"
                 + (":" if report.cpu else "; the accelerator does everything but quantise the "
                    "inputs and dequantise the outputs"))
    parts += [f"  {escape(node)}: {escape(why)}" for node, why in report.cpu.items()]
    return parts


def _region_table(region: RegionReport) -> Table:
    table = Table(title=f"region {escape(region.name)}: {region.cycles:,} cycles",
                  title_justify="left")
    for name in ("layer", "kind", "output"):
        table.add_column(name, overflow="fold")
    for name in ("MMACs", "effectual", "cycles", "bound", "x bound", "MACs used", "DRAM KiB", "uJ"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("where the cycles went", overflow="fold")
    for layer in region.layers:
        table.add_row(*_layer_cells(layer))
    return table


def _layer_cells(layer: LayerReport) -> Sequence[str]:
    node = layer.node + (f" + {layer.fused}" if layer.fused else "")
    return (escape(node), layer.kind, "x".join(map(str, layer.shape[1:])),
            f"{layer.macs / 1e6:.2f}", f"{layer.effectual / 1e6:.2f}", f"{layer.cycles:,}",
            f"{layer.bound:,}", f"{layer.x_bound:.2f}", f"{layer.utilisation:.0%}",
            f"{layer.dram_bytes / 1024:.1f}", f"{layer.microjoules:.1f}",
            _largest(layer.stalls, layer.cycles))


def _largest(stalls: Mapping[str, float], cycles: int) -> str:
    """The causes that took most, in per cent."""
    if not cycles:
        return ""
    ranked = sorted(stalls.items(), key=lambda item: -item[1])[:SHOWN]
    return ", ".join(f"{cause} {spent / cycles:.0%}" for cause, spent in ranked
                     if spent >= 0.005 * cycles)


def _totals(report: Report) -> list[Table | str]:
    lines: list[Table | str] = [
        f"{escape(report.network)} on {report.target}: {report.cycles:,} cycles, "
        f"{report.milliseconds:.3f} ms at {report.clock_mhz:g} MHz; {report.x_bound:.2f} x the sum "
        f"of the layers' bounds",
        f"{report.effectual / 1e6:.2f} of {report.macs / 1e6:.2f} million MACs have a weight that "
        f"is not zero; the multipliers are used {report.utilisation:.1%} of the time",
        f"{report.dram_bytes / 1024:,.1f} KiB over the DRAM bus, {report.microjoules:,.1f} uJ",
    ]
    table = Table(title="where all cycles went", title_justify="left")
    table.add_column("cause")
    table.add_column("cycles", justify="right")
    table.add_column("share", justify="right")
    table.add_column("meaning")
    for cause, spent in report.stalls.items():
        if report.cycles and spent:
            table.add_row(cause, f"{spent:,.0f}", f"{spent / report.cycles:.1%}", CAUSES[cause])
    return [table, *lines]


def targets_table(specs: Sequence[AccelSpec]) -> Table:
    """The accelerators with their numbers."""
    table = Table()
    for name in ("target", "array"):
        table.add_column(name)
    for name in ("MACs/cycle", "MHz", "DRAM GB/s", "ACT KiB", "WGT KiB", "ACC KiB", "PAR KiB",
                 "staging KiB", "windows KiB", "all KiB"):
        table.add_column(name, justify="right")
    table.add_column("in short")
    for spec in specs:
        own = spec.sram
        sizes = (own.act_bytes, own.wgt_bytes, own.acc_bytes, own.par_bytes, own.staging_bytes,
                 spec.window_bytes, spec.sram_bytes)
        table.add_row(
            escape(spec.name), f"{spec.array.kind} {spec.array.lanes}x{spec.array.pixels}",
            str(spec.array.macs), f"{spec.clock_mhz:g}",
            f"{spec.dram.bytes_per_cycle * spec.clock_mhz / 1000:g}",
            *(f"{size / 1024:g}" for size in sizes), escape(spec.summary))
    return table
