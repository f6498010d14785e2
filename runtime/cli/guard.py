"""How a command ends: exit codes, one line for a mistake, silence for an interrupt.

| code | meaning |
|---|---|
| 0 | done |
| 1 | ``validate`` found a difference, ``doctor`` a problem |
| 2 | a user's mistake, or a computer without room: one line |
| 3 | an error of our own: one line that asks to report it |
| 130, 143 | interrupted by SIGINT, SIGTERM |
| 141 | nobody reads the output any more |
"""

from __future__ import annotations

import errno
import gc
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.relay_passes.relax.quiet import quiet
from zeroskip.runtime.cli.streams import lenient_stderr, open_closed_streams

COMMAND = "zeroskip.command"  # of a context's meta: the line as it was given
INTERNAL, PIPE = 3, 128 + signal.SIGPIPE
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


class Commands(click.Group):
    """A group of commands that end as the table says; DEBUG=1 shows where an error comes from."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        open_closed_streams()
        with lenient_stderr(), interruptible():
            return super().main(*args, **kwargs)

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **kwargs: Any
    ) -> click.Context:
        given = shlex.join(["zeroskip", *args])
        with _endings():  # --help and --version print here
            made = super().make_context(info_name, args, *rest, **kwargs)
        made.meta[COMMAND] = given
        return made

    def invoke(self, ctx: click.Context) -> Any:
        with _endings():
            return super().invoke(ctx)


def command_line() -> str:
    """The command that runs, as it may be given again."""
    return str(click.get_current_context().meta[COMMAND])


@contextmanager
def _endings() -> Iterator[None]:
    """Within it, whatever goes wrong becomes an exit as the table says."""
    try:
        yield
        if _Interrupt.number:  # TVM may have dropped it
            raise click.exceptions.Exit(128 + _Interrupt.number)
        sys.stdout.flush()
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except BrokenPipeError:
        _drop_output()
        raise click.exceptions.Exit(PIPE) from None
    except Exception as problem:
        if _Interrupt.number:  # TVM and others turn an interrupt into an error of their own
            raise click.exceptions.Exit(128 + _Interrupt.number) from None
        if os.environ.get("DEBUG", "0") not in ("", "0"):
            raise
        code, line = _ending(problem)
        click.echo(f"zeroskip: {one_line(line)}", err=True)
        if _no_room(problem):
            _drop_output()
        _forget(problem)
        raise click.exceptions.Exit(code) from None


def _drop_output() -> None:
    """What is left of the output is not tried again at the interpreter's end, which closes it."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _no_room(problem: Exception) -> bool:
    return isinstance(problem, OSError) and problem.errno in _NO_ROOM


def _ending(problem: Exception) -> tuple[int, str]:
    """Exit code and sentence of an error."""
    if isinstance(problem, ZeroskipError):
        return 2, f"error: {problem}"
    if isinstance(problem, MemoryError):
        return 2, (
            "error: this computer has not enough memory for that; take smaller inputs or a "
            "smaller network"
        )
    if isinstance(problem, OSError) and _no_room(problem):
        place = problem.filename or "the output, or a temporary file,"
        return 2, f"error: {place} cannot be written: {problem.strerror}; free some, or use another"
    what = str(problem).strip().partition("\n")[0][:200]
    return INTERNAL, (
        f"internal error, please report it with the command and its files "
        f"({type(problem).__name__}: {what}); DEBUG=1 shows where it arose"
    )


def _forget(problem: Exception) -> None:
    """Let go of what an error holds while nobody hears it: TVM complains of what its own code has
    not finished."""
    with quiet():
        problem.__cause__ = problem.__context__ = problem.__traceback__ = None
        gc.collect()


def one_line(text: str) -> str:
    """One line of what a terminal may print: names in files may hold anything."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """The text with a question mark for each character that may do something to a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)


class _Interrupt(SystemExit):
    """A signal that ends the command; ``number`` is that of the last one, 0 before."""

    number = 0


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it, SIGINT and SIGTERM end the process in silence with 130 and 143.

    What is under way is undone on the way out (temporary files go). A second signal ends at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Interrupt.number = 0

    def stop(number: int, _frame: Any) -> None:
        if _Interrupt.number:
            os._exit(128 + number)
        _Interrupt.number = number
        raise _Interrupt(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
