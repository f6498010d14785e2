"""Warnings that TVM and LLVM write past Python, straight to the terminal: not for users.

They speak of a compiler's insides ("Unknown pragma", "pow(x, y) where y >= 3"), and no caller can
turn them off. DEBUG=1 shows them.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_WARNING = re.compile(r"^\[\d\d:\d\d:\d\d\] \S+:\d+: Warning: ")


@contextmanager
def quiet() -> Iterator[None]:
    """Within it nothing but Python writes to standard error; what others have written that is no
    warning of TVM's is shown at the end."""
    if os.environ.get("DEBUG", "0") not in ("", "0"):
        yield
        return
    sys.stderr.flush()
    ours, before = os.dup(_STDERR), sys.stderr
    with tempfile.TemporaryFile() as heard, os.fdopen(ours, "w", buffering=1) as terminal:
        if _descriptor(before) == _STDERR:
            terminal.reconfigure(errors="backslashreplace")
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
