"""A comparison of pruning schemes as a table for terminals."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table

from zeroskip.compiler.placement import percent
from zeroskip.runtime.comparison import Comparison, Entry

FRONT = "*"


def comparison_parts(made: Comparison) -> list[Table | str]:
    """One table, a row for each network on each target, and how to read it."""
    table = Table(title=f"{escape(made.model)}: pruning schemes side by side", title_justify="left",
                  box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("scheme", overflow="fold", max_width=40)
    for name in ("sparsity", "weights", "MMACs", quality_name(made)):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    for name in ("cycles", "faster", "on CPU", "KiB", "uJ"):
        table.add_column(name, justify="right", no_wrap=True)
    fronts = {target: made.front(target) for target in made.targets}
    for entry in made.entries:
        for number, target in enumerate(made.targets):
            gain = entry.gains[target]
            own = _own_cells(entry) if number == 0 else ("",) * 5
            mark = FRONT if entry in fronts[target] else " "
            table.add_row(*own, target, f"{gain.cycles:,}{mark}",
                          f"{made.faster(entry, target):.2f}x",
                          percent(gain.placement.cpu_share), f"{gain.stored_bytes / 1024:,.1f}",
                          f"{gain.microjoules:,.1f}")
        table.add_section()
    return [table, "", *map(escape, made.coverages()), *explanations(made)]


def _own_cells(entry: Entry) -> tuple[str, ...]:
    return (escape(entry.scheme), f"{entry.sparsity:.1%}", f"{entry.weights:,}",
            f"{entry.macs / 1e6:,.2f}", quality_text(entry))


def quality_name(made: Comparison) -> str:
    return "accuracy" if made.labelled else "SNR dB"


def quality_text(entry: Entry) -> str:
    return f"{entry.snr_db:.1f}" if entry.accuracy is None else f"{entry.accuracy:.2%}"


def explanations(made: Comparison) -> list[str]:
    """What the columns mean."""
    before = f", before their {made.before}," if made.before else ""
    quality = ("accuracy: labels that the int8 network finds" if made.labelled else
               f"SNR: of the int8 outputs{before} against the dense float network's")
    return [
        f"{quality}, over {made.samples:,} samples; sparsity: of the layers that a scheme changed; "
        "weights and MMACs: not zero, of the whole network",
        f"faster: than the dense network on {made.targets[0]}; on CPU: of the multiplies, which "
        f"cycles and energy leave out; KiB: weights as packed for the "
        f"target, with metadata, and parameters; {FRONT}: on the target's Pareto front, no other "
        "is as good in fewer cycles",
    ]
