"""The command line inside of the test's process, and what a refusal looks like."""

from __future__ import annotations

import gc
import re
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from zeroskip.runtime.cli.main import main

PROGRESS = re.compile(r".+, \d+ s")  # lines of runtime/progress.py


def zeroskip(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Result:
    """What a command writes and how it ends. What other tests keep is not looked through when a
    command collects its garbage: a process that runs one command has none of it."""
    gc.freeze()
    try:
        return CliRunner(env=environment).invoke(main, [str(one) for one in arguments])
    finally:
        gc.unfreeze()


def said(result: Result) -> list[str]:
    """Lines on standard error, without those by which a slow machine says how far it is."""
    return [line for line in result.stderr.splitlines() if not PROGRESS.fullmatch(line)]


def refused(result: Result, *words: str) -> str:
    """Asserts one sentence on standard error and exit code 2; gives the sentence."""
    assert result.exit_code == 2, result.output
    lines = said(result)
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("zeroskip: error: ")
    for word in words:
        assert word in lines[0]
    assert result.stdout == ""
    return lines[0]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
