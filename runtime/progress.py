"""Progress on standard error: a bar while people watch, a line now and then otherwise."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from zeroskip.accel_model.io.telling import Progress

_QUIET = 5.0  # seconds without a line at the beginning: what takes less says nothing
_APART = 2.0  # seconds between two lines at least
_SILENCE = 30.0  # seconds without a line at most


@contextmanager
def progress(title: str, quiet: float | None = None) -> Iterator[Progress]:
    """Within it, a function that shows how far something is; it disappears at the end.

    Where standard error is no terminal there is a line when something else is begun and at least
    every 30 seconds, but none in the first ``quiet``, five by default. A total of 1 stands for work
    whose length is not known.
    """
    if not sys.stderr.isatty():
        with _Lines(title, _QUIET if quiet is None else quiet).shown() as on_progress:
            yield on_progress
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TimeElapsedColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.description}"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        bars.add_task(escape(title), total=None)
        bar = bars.tasks[0]  # set here and not by `update`, which takes no total back

        def on_progress(what: str, done: int, total: int) -> None:
            known = total > 1
            bar.description = escape(f"{title}: {_state(what, done, total)}")
            bar.completed, bar.total = done, total if known else None

        yield on_progress


def _state(what: str, done: int, total: int) -> str:
    return f"{what} ({done:,} of {total:,})" if total > 1 else what


class _Lines:
    """Prints lines from a thread of its own: long work may be within one call."""

    def __init__(self, title: str, quiet: float) -> None:
        self.title, self.quiet = title, quiet
        self.now = ("", 0, 1)
        self.out = sys.stderr
        self.changed, self.ended = threading.Event(), threading.Event()

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """Within it, lines are printed; gives the function that takes what is being done."""
        thread = threading.Thread(target=self._print, daemon=True)
        thread.start()
        try:
            yield self._on_progress
        finally:
            self.ended.set()
            self.changed.set()
            thread.join()

    def _on_progress(self, what: str, done: int, total: int) -> None:
        begun = what != self.now[0]
        self.now = (what, done, total)
        if begun:
            self.changed.set()

    def _print(self) -> None:
        start = time.monotonic()
        self.ended.wait(self.quiet)
        while not self.ended.is_set():
            self.changed.clear()
            what, done, total = self.now
            seconds = time.monotonic() - start
            print(
                f"{self.title}: {_state(what, done, total)}, {seconds:.0f} s"
                if what
                else f"{self.title}: {seconds:.0f} s",
                file=self.out,
                flush=True,
            )
            self.ended.wait(_APART)
            self.changed.wait(_SILENCE - _APART)
