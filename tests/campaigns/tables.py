"""What the campaigns print: tables in Markdown, and what must be known of a run to repeat it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path


def table(head: Sequence[str], rows: Iterable[Sequence[object]], texts: int = 1) -> str:
    """A Markdown table. The first ``texts`` columns are text, the others are aligned to the right;
    whole numbers get separators."""
    rule = [" --- " if column < texts else " ---: " for column in range(len(head))]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(rule)}|"]
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def provenance(seeds: str, begin: float, jobs: int = 1) -> str:
    """A line that says how a table came about; ``begin`` is of ``time.monotonic``."""
    processes = "one process" if jobs == 1 else f"{jobs} processes"
    return (
        f"{date.today()}, {seeds}, {time.monotonic() - begin:.0f} s, {processes} on "
        f"{len(os.sched_getaffinity(0))} cores of {_processor()}, Python "
        f"{platform.python_version()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
