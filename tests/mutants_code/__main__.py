"""Small changes to our own code, one at a time, and the tests that must notice each.

    python -m tests.mutants_code [--only PATTERN] [--jobs J]

Each job has a copy of the tree, in which Python imports the packages of the copy. First all named
tests run there without a change and must pass. Then each change of ``changes.py`` is made in a copy
and its tests run: one that fails has noticed it, and so has one that takes longer than
``LONGEST`` (said as "too long"). A change that nothing can notice says why, and is not counted as
survived; its tests must pass with it.

No cache hides a change: Python's compiled form of a changed file is removed, and numba's machine
code is in a folder of the run's own, by the digest of all compiled sources (accel_model/io/jit.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue
from typing import NamedTuple, TypeVar

from tests.campaigns.tables import provenance, table
from tests.mutants_code.change import ROOT, Change, drop_compiled
from tests.mutants_code.changes import CHANGES, PACKAGES

LONGEST = 900.0  # seconds for the tests of a change: some for a busy machine
SEED = "0"  # of the tests that draw their cases
R = TypeVar("R")
OUTCOMES = ("noticed", "equivalent", "survived")
_LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".hypothesis",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    "__pycache__",
    "build",
    "out",
    "*.egg-info",
)
_PASSED, _FAILED, _STOPPED = 0, 1, 2  # pytest's exit codes: 2 for errors before any test ran


class CampaignError(Exception):
    """Tests that say nothing of a change: they fail without it, or are not there."""


@dataclass(frozen=True)
class Scratch:
    """A copy of the tree in a folder."""

    root: Path
    machine_code: Path

    @staticmethod
    def of(folder: Path) -> Scratch:
        made = Scratch(folder / "tree", folder.parent / "numba")
        # The links in zeroskip/ stay links: what is imported is what is changed.
        shutil.copytree(ROOT, made.root, symlinks=True, ignore=_LEFT_OUT)
        return made

    @contextmanager
    def changed(self, change: Change) -> Iterator[None]:
        """Within it the copy has the change."""
        path = self.root / change.file
        before = path.read_bytes()
        change.apply(self.root)
        try:
            yield
        finally:
            path.write_bytes(before)
            drop_compiled(path)

    def python(
        self, *arguments: str, longest: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in the copy; TimeoutExpired after so many seconds."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),  # comes before an editable installation
            "NUMBA_CACHE_DIR": str(self.machine_code),
            "OMP_NUM_THREADS": "1",
            "TVM_NUM_THREADS": "1",
            "SEED": SEED,
        }
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=longest,
            check=False,
        )

    def tests(self, nodes: Sequence[str], longest: float) -> str:
        """ "" if the tests pass, else what stopped them."""
        try:
            done = self.python(
                "-m",
                "pytest",
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "--hypothesis-profile=whether",
                *nodes,
                longest=longest,
            )
        except subprocess.TimeoutExpired:
            return "too long"
        if done.returncode == _PASSED:
            return ""
        if done.returncode not in (_FAILED, _STOPPED) or "not found: " in done.stdout:
            raise CampaignError(
                f"{' '.join(nodes)}: pytest ended with {done.returncode}:\n{done.stdout[-2000:]}"
            )
        named = [
            line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))
        ]
        return named[0].partition(" - ")[0] if named else "an error before any test"

    def check(self) -> None:
        """CampaignError unless the packages of the copy are what is imported."""
        code = "; ".join(
            f"import zeroskip.{package} as {package}; print({package}.__file__)"
            for package in PACKAGES
        )
        found = self.python("-c", code).stdout.split()
        if found != [str(self.root / "zeroskip" / package / "__init__.py") for package in PACKAGES]:
            raise CampaignError(f"not the copy's packages are imported: {found}")


class Judged(NamedTuple):
    """A change with its outcome, what noticed it, and how many seconds that took."""

    change: Change
    outcome: str
    by: str
    seconds: float


def judge(scratch: Scratch, change: Change) -> Judged:
    """Make a change and run its tests."""
    begin = time.monotonic()
    with scratch.changed(change):
        by = scratch.tests(change.nodes, LONGEST)
    if change.equivalent:
        outcome = "survived" if by else "equivalent"  # what was said of it is not so
    else:
        outcome = "noticed" if by else "survived"
    return Judged(change, outcome, by, time.monotonic() - begin)


def without_change(nodes: Sequence[str]) -> Callable[[Scratch], str]:
    """Runs tests that must pass, of one file; returns its name."""
    file = nodes[0].partition("::")[0]

    def run(scratch: Scratch) -> str:
        found = scratch.tests([file] if file in nodes else nodes, LONGEST)
        if found:
            raise CampaignError(f"{file} does not pass without a change: {found}")
        return file

    return run


def shared_out(scratches: Sequence[Scratch], work: Sequence[Callable[[Scratch], R]]) -> Iterator[R]:
    """The results of work in the order in which it ends, one piece at a time in each copy."""
    free: Queue[Scratch] = Queue()
    for scratch in scratches:
        free.put(scratch)

    def run(one: Callable[[Scratch], R]) -> R:
        scratch = free.get()
        try:
            return one(scratch)
        finally:
            free.put(scratch)

    with ThreadPoolExecutor(len(scratches)) as pool:
        try:
            for done in as_completed([pool.submit(run, one) for one in work]):
                yield done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def campaign(changes: Sequence[Change], jobs: int, folder: Path) -> Iterator[Judged]:
    """The judged changes as they end. CampaignError if tests do not pass without a change."""
    scratches = [Scratch.of(folder / str(number)) for number in range(jobs)]
    for scratch in scratches:
        scratch.check()
    files: dict[str, set[str]] = {}
    for node in (node for change in changes for node in change.nodes):
        files.setdefault(node.partition("::")[0], set()).add(node)
    work = [without_change(sorted(nodes)) for _, nodes in sorted(files.items())]
    for number, file in enumerate(shared_out(scratches, work), 1):
        _tell(f"{number} of {len(work)} files pass without a change: {file}")
    yield from shared_out(scratches, [partial(judge, change=change) for change in changes])


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def outcomes(judged: Sequence[Judged]) -> str:
    """Counts by package, and of all."""
    rows = {
        package: Counter(each.outcome for each in judged if each.change.package == package)
        for package in PACKAGES
    }
    rows["all"] = sum(rows.values(), Counter())
    return table(
        ("package", "changes", *OUTCOMES),
        (
            (name, counts.total(), *(counts[outcome] for outcome in OUTCOMES))
            for name, counts in rows.items()
        ),
    )


def main() -> None:
    """Exit 1 if a change survived, 2 if nothing can be said."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="changes with this in file or words")
    parser.add_argument("--jobs", type=int, default=2, help="copies and processes")
    options = parser.parse_args()
    changes = [each for each in CHANGES if options.only in f"{each.file}: {each.what}"]
    if not changes:
        parser.error(f"no change has {options.only!r} in its file or its words")
    begin = time.monotonic()
    judged: list[Judged] = []
    with tempfile.TemporaryDirectory(prefix="mutants-code-") as folder:
        try:
            for each in campaign(changes, options.jobs, Path(folder).resolve()):
                judged.append(each)
                _tell(
                    f"{len(judged)} of {len(changes)}, {time.monotonic() - begin:.0f} s: "
                    f"{each.outcome} ({each.seconds:.0f} s) {each.change.file}: "
                    f"{each.change.what}{f', by {each.by}' if each.by else ''}"
                )
        except CampaignError as problem:
            _tell(str(problem))
            sys.exit(2)
    print(outcomes(judged))
    left = [each for each in judged if each.outcome != "noticed" or each.by == "too long"]
    print(f"\n{provenance(f'SEED={SEED} of the tests', begin, options.jobs)}")
    for each in sorted(left, key=lambda each: (each.outcome, each.change.file)):
        why = each.by or each.change.equivalent
        print(
            f"- {each.outcome}: {each.change.file}, {each.change.what}{f': {why}' if why else ''}"
        )
    sys.exit(any(each.outcome == "survived" for each in judged))


if __name__ == "__main__":
    main()
