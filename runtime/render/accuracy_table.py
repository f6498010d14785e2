"""How often a classifier is right, for terminals."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from zeroskip.runtime.analysis.accuracy import FEW, Accuracy
from zeroskip.runtime.render.tables import plain_table

SHOWN = 20  # classes, those of least accuracy
MISTAKES = 5  # pairs


def accuracy_parts(found: Accuracy) -> list[Table | str]:
    """Top-1 and top-5, a table of classes, and the mistakes that are made most."""
    low, high = found.interval()
    first = (
        f"top-1 {found.share:.2%} of {found.samples:,} samples (of all such samples {low:.2%} to "
        f"{high:.2%}, 95 % sure)"
    )
    if len(found.classes) > FEW:
        first += f", top-{FEW} {found.top5_share:.2%}"
    ranked = sorted(found.by_class(), key=lambda each: each[2] / each[1])
    more = f", the {SHOWN} least accurate of {len(ranked):,}" if len(ranked) > SHOWN else ""
    table = plain_table(f"by class{more}")
    table.add_column("class", overflow="fold", max_width=40)
    for name in ("samples", "found", "accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, samples, right in ranked[:SHOWN]:
        table.add_row(escape(name), f"{samples:,}", f"{right:,}", f"{right / samples:.1%}")
    wrong = [
        f"  {escape(label)} taken for {escape(answer)}: {count:,}"
        for label, answer, count in found.confused(MISTAKES)
    ]
    return [first, table, *(["most mistakes", *wrong] if wrong else [])]
