"""Warnings that TVM writes past Python, straight to standard error: not for users.

They speak of a compiler's insides ("Unknown pragma", "pow(x, y) where y >= 3"), TVM has no switch
for them, and they reach callers of a library as they reach those of a command. DEBUG=1 shows them.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_STDERR = 2
_WARNING = re.compile(rb"\[\d\d:\d\d:\d\d\] \S+:\d+: Warning: ")


class _Listening:
    """Standard error led into a file while any thread is within ``quiet``: the descriptor is the
    process's, so the first thread in redirects it and the last one out restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._terminal = -1  # a copy of standard error as it was
        self._heard: BinaryIO | None = None

    def enter(self) -> None:
        with self._lock:
            self._within += 1
            if self._within == 1:
                self._redirect()

    def leave(self) -> None:
        with self._lock:
            self._within -= 1
            if self._within == 0 and self._heard is not None:
                self._restore(self._heard)

    def _redirect(self) -> None:
        """Nothing changes for a process without standard error or a place for the file."""
        _flush()
        with suppress(OSError):
            self._terminal = os.dup(_STDERR)
            try:
                self._heard = tempfile.TemporaryFile()  # noqa: SIM115  # closed in _restore
                os.dup2(self._heard.fileno(), _STDERR)
            except OSError:
                os.close(self._terminal)
                self._heard = None

    def _restore(self, heard: BinaryIO) -> None:
        _flush()
        os.dup2(self._terminal, _STDERR)
        os.close(self._terminal)
        self._heard = None
        with heard, suppress(OSError):
            heard.seek(0)
            for line in heard:
                if not _WARNING.match(line):
                    os.write(_STDERR, line)


_LISTENING = _Listening()


@contextmanager
def quiet() -> Iterator[None]:
    """Within it TVM's warnings are dropped. Whatever else is written to standard error meanwhile,
    by whatever thread, is shown when the last thread leaves: a call into TVM belongs in it, code of
    others does not."""
    if os.environ.get("DEBUG", "0") not in ("", "0"):
        yield
        return
    _LISTENING.enter()
    try:
        yield
    finally:
        _LISTENING.leave()


def _flush() -> None:
    """What Python has not written yet belongs to where standard error leads now."""
    with suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()
