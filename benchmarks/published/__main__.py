"""Print every published figure beside the one that the model gives (``make published``).

    python -m benchmarks.published [ARRAY ...]

Each other file of this folder with a function ``rows`` is an array. Exit 1 if a figure is not met.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.published.row import PublishedRow


def arrays() -> dict[str, Callable[[], list[PublishedRow]]]:
    """What gives the figures of every array, by the name of its file."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    modules = {
        name: import_module(f"benchmarks.published.{name}") for name in names if name != "__main__"
    }
    return {name: module.rows for name, module in modules.items() if hasattr(module, "rows")}


def shown(value: float | None) -> str:
    """Whole numbers in full, others to four digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def table(rows: list[PublishedRow]) -> Table:
    """Array, figure, published, ours, deviation, tolerance, met."""
    printed = Table("array", "figure")
    for name in ("published", "ours", "deviation", "tolerance", "met"):
        printed.add_column(name, justify="right")
    for row in rows:
        printed.add_row(
            row.array,
            row.figure,
            shown(row.published),
            shown(row.ours),
            "-" if row.deviation is None else f"{row.deviation:+.1%}",
            row.accepted.text,
            "yes" if row.met else "NO",
        )
    return printed


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arrays", nargs="*", metavar="ARRAY", help="files; all of them without any")
    options = parser.parse_args(arguments)
    known = arrays()
    unknown = sorted(set(options.arrays) - set(known))
    if unknown:
        parser.error(f"{', '.join(unknown)}: not one of {', '.join(known)}")
    rows = [row for name in options.arrays or known for row in known[name]()]
    Console(width=None if sys.stdout.isatty() else 132).print(table(rows))
    missed = sum(not row.met for row in rows)
    print(f"{len(rows)} figures, {missed} not met")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
