"""Progress on standard error while people watch, nothing otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Tell: TypeAlias = Callable[[str, int, int], None]  # what is being done, steps done, steps


def silent(what: str, done: int, total: int) -> None:
    """Tells nobody."""


@contextmanager
def progress(title: str) -> Iterator[Tell]:
    """Within it, a function that shows how far something is; it disappears at the end.

    A total of 1 stands for work whose length is not known.
    """
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TimeElapsedColumn(), BarColumn(bar_width=20),
               TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bars.add_task(escape(title), total=None)
        bar = bars.tasks[0]  # set here and not by `update`, which takes no total back

        def tell(what: str, done: int, total: int) -> None:
            known = total > 1
            count = f" ({done:,} of {total:,})" if known else ""
            bar.description = escape(f"{title}: {what}{count}")
            bar.completed, bar.total = done, total if known else None

        yield tell
