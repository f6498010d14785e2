"""A comparison of pruning schemes as a table for terminals."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from zeroskip.compiler.artifact.placement import percent
from zeroskip.runtime.analysis.comparison import FRONT, Comparison, Entry
from zeroskip.runtime.analysis.efficiency import RATES, RATES_SENTENCE, rates
from zeroskip.runtime.render.tables import plain_table


def comparison_parts(made: Comparison) -> list[Table | str]:
    """One table, a row for each network on each target, and how to read it."""
    table = plain_table(f"{escape(made.model)}: pruning schemes side by side")
    table.add_column("scheme", overflow="fold", max_width=40)
    for name in ("sparsity", "weights", "MMACs", made.quality_name):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    for name in ("cycles", "faster", "own", "on CPU", "KiB", "uJ"):
        table.add_column(name, justify="right", no_wrap=True)
    fronts = {target: made.front(target) for target in made.targets}
    for entry in made.entries:
        for number, target in enumerate(made.targets):
            gain = entry.gains[target]
            own = _own_cells(entry) if number == 0 else ("",) * 5
            mark = FRONT if entry in fronts[target] else " "
            table.add_row(
                *own,
                target,
                f"{gain.cycles:,}{mark}",
                f"{made.faster(entry, target):.2f}x",
                f"{made.own_faster(entry, target):.2f}x",
                percent(gain.placement.cpu_share),
                f"{gain.stored_bytes / 1024:,.1f}",
                f"{gain.microjoules:,.1f}",
            )
        table.add_section()
    return [
        table,
        "",
        *map(escape, made.coverages()),
        *map(escape, made.missed),
        *made.explanations(),
        *_efficiency_parts(made),
    ]


def _efficiency_parts(made: Comparison) -> list[Table | str]:
    """What architects compare by; nothing where no target names a technology."""
    table = plain_table("area, power and rates of an image, standing power included")
    table.add_column("scheme", overflow="fold", max_width=40)
    table.add_column("target", no_wrap=True)
    for name in RATES:
        table.add_column(name, justify="right", no_wrap=True)
    for entry in made.entries:
        for target in made.targets:
            if (of := entry.gains[target].efficiency) is not None:
                table.add_row(escape(entry.title), target, *rates(of))
    return ["", table, RATES_SENTENCE] if table.row_count else []


def _own_cells(entry: Entry) -> tuple[str, ...]:
    return (
        escape(entry.scheme + entry.losing_text),
        f"{entry.sparsity:.1%}",
        f"{entry.weights:,}",
        f"{entry.macs / 1e6:,.2f}",
        entry.quality_text,
    )
