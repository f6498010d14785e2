"""Standard streams as whoever started the process left them: closed, full or broken."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_STDERR = 2
_STREAMS = ("stdin", "stdout", "stderr")  # of sys, by descriptor


def open_closed_streams() -> None:
    """Give standard streams that whoever started the process has closed to the null device: else a
    file opened next takes their number, and gets what others print."""
    for number, name in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


class _Terminal(io.FileIO):
    """Standard error, which no command fails of: what cannot be written there is dropped."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


@contextmanager
def lenient_stderr() -> Iterator[None]:
    """Within it no command fails because standard error cannot be written to."""
    before = sys.stderr
    if _descriptor(before) != _STDERR:
        yield
        return
    raw = io.BufferedWriter(_Terminal(_STDERR, "w", closefd=False))
    with io.TextIOWrapper(raw, errors="backslashreplace", line_buffering=True) as terminal:
        sys.stderr = terminal
        try:
            yield
        finally:
            terminal.flush()
            if sys.stderr is terminal:
                sys.stderr = before


def _descriptor(stream: object) -> int:
    """The file descriptor of a stream, -1 if it has none."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]  # that is what is asked
    except (AttributeError, OSError, ValueError):
        return -1
