"""Warnings that TVM and LLVM write past Python, straight to the terminal: not for users.

They speak of a compiler's insides ("Unknown pragma", "pow(x, y) where y >= 3"), and no caller can
turn them off. DEBUG=1 shows them.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_STDERR = 2
_STREAMS = ("stdin", "stdout", "stderr")  # of sys, by descriptor
_WARNING = re.compile(r"^\[\d\d:\d\d:\d\d\] \S+:\d+: Warning: ")


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
def quiet() -> Iterator[None]:
    """Within it nothing but Python writes to standard error; what others have written that is no
    warning of TVM's is shown at the end."""
    if os.environ.get("DEBUG", "0") not in ("", "0"):
        yield
        return
    sys.stderr.flush()
    ours, before = os.dup(_STDERR), sys.stderr
    raw = io.BufferedWriter(_Terminal(ours, "w"))
    with (
        tempfile.TemporaryFile() as heard,
        io.TextIOWrapper(raw, errors="backslashreplace", line_buffering=True) as terminal,
    ):
        if _descriptor(before) == _STDERR:
            sys.stderr = terminal
        os.dup2(heard.fileno(), _STDERR)
        try:
            yield
        finally:
            if sys.stderr is terminal:
                terminal.flush()
                sys.stderr = before
            os.dup2(ours, _STDERR)
            heard.seek(0)
            for line in heard.read().decode(errors="replace").splitlines():
                if line and not _WARNING.match(line):
                    print(line, file=before, flush=True)


def _descriptor(stream: object) -> int:
    """The file descriptor of a stream, -1 if it has none."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]  # that is what is asked
    except (AttributeError, OSError, ValueError):
        return -1
