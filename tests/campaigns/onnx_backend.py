"""Every case of ONNX's backend test through the whole compiler.

    python -m tests.campaigns.onnx_backend --jobs 2 --list found.tsv

The cases that ONNX's generator makes for its operators, its simple models and those that were
converted from PyTorch, as they are and with all inputs but one frozen to initializers. A case is
right, refused by one sentence of ours, wrong, or foreign: another exception, a crash, more than
``SECONDS``, or a word on the terminal that is not ours. What is refused is given to TVM alone, to
progress what it can do and we do not. ``--only TEXT`` takes the cases whose name holds the text.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.campaigns.onnx_cases import FORMS, KINDS, BackendRequest, every, form_of
from tests.campaigns.onnx_check import DISPUTED, BackendVerdict, by_tvm, judge, operators
from tests.campaigns.tables import provenance, table

SECONDS = 300  # of the clock: the machine may do other things too
RESTART = 400  # cases after which a process is replaced, as TVM keeps what it compiled
COLUMNS = ("right", "refused, nor can TVM", "refused, TVM can", "wrong", "foreign")


@dataclass(frozen=True)
class BackendResult:
    """tvm: how TVM alone fails, of a refused case; None of another."""

    wanted: BackendRequest
    verdict: BackendVerdict
    operators: str
    tvm: str | None = None

    @property
    def column(self) -> str:
        if self.verdict.outcome != "refused":
            return self.verdict.outcome
        return COLUMNS[1] if self.tvm else COLUMNS[2]


def serve(pipe: Connection) -> None:
    """Answer questions about cases until there are no more."""
    import_module("zeroskip.runtime.execution.validation")  # what every case needs

    gc.freeze()
    while (asked := pipe.recv()) is not None:
        question, wanted = asked
        case = form_of(wanted)
        if question == "tvm":
            pipe.send(by_tvm(case))
        elif question == "operators":
            pipe.send(operators(case.model))
        else:
            pipe.send(judge(case))


class Worker:
    """A process that answers about cases; another takes its place when it dies or is late."""

    def __init__(self) -> None:
        self._process: Any = None
        self._asked = 0

    def ask(self, question: str, wanted: BackendRequest) -> Any:
        """The answer, or how the process ended instead, a text."""
        if self._process is None:
            self._start()
        self._asked += 1
        self._pipe.send((question, wanted))
        try:
            if not self._pipe.poll(SECONDS):
                self.stop()
                return f"more than {SECONDS} s"
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            self.stop()
            return f"the process ended with {code}"
        if self._asked >= RESTART:
            self.stop()
        return answer

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self._asked = 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
            self._pipe.close()


def attempt(worker: Worker, wanted: BackendRequest) -> BackendResult:
    """What comes of a case, in the worker's process."""
    answer = worker.ask("judge", wanted)
    verdict = answer if isinstance(answer, BackendVerdict) else BackendVerdict("foreign", answer)
    names = worker.ask("operators", wanted)
    alone = worker.ask("tvm", wanted) if verdict.outcome == "refused" else None
    return BackendResult(wanted, verdict, names, alone)


def results(wanted: list[BackendRequest], jobs: int) -> Iterator[BackendResult]:
    """Results as they come, from so many processes."""
    chunks = [wanted[first::jobs] for first in range(jobs)]

    def run(chunk: list[BackendRequest], done: Any) -> None:
        worker = Worker()
        for each in chunk:
            done(attempt(worker, each))
        worker.stop()

    queue: SimpleQueue[BackendResult] = SimpleQueue()
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(run, chunk, queue.put) for chunk in chunks]
        for _ in wanted:
            yield queue.get()
        for each in as_completed(running):
            each.result()


def counts(found: list[BackendResult]) -> str:
    """The table of kinds by forms."""
    seen = Counter((each.wanted.kind, each.wanted.form, each.column) for each in found)
    rows = []
    for kind in KINDS:
        for form in FORMS:
            numbers = [seen[kind, form, column] for column in COLUMNS]
            if any(numbers):
                rows.append((kind, form, sum(numbers), *numbers))
    return table(("kind", "form", "cases", *COLUMNS), rows, texts=2)


def could(found: list[BackendResult]) -> str:
    """What TVM can do by itself and we refuse: operators, cases and the reason, most often
    first."""
    reasons: dict[str, list[BackendResult]] = {}
    for each in found:
        if each.column == COLUMNS[2]:
            reasons.setdefault(each.operators, []).append(each)
    ordered = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    return table(
        ("operators", "why, of one", "cases"),
        ((names, some[0].verdict.why, len(some)) for names, some in ordered),
        texts=2,
    )


def main() -> None:
    """Exit 1 if a case is wrong or foreign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with this in their name")
    parser.add_argument("--list", type=Path, metavar="FILE", help="what came of each case")
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "TVM_NUM_THREADS": "1"}
    begin = time.monotonic()
    wanted = [each for each in every() if options.only in each.name]
    found: list[BackendResult] = []
    for each in results(wanted, options.jobs):
        found.append(each)
        if each.column in COLUMNS[3:]:
            print(
                f"{each.column}: {each.wanted.name}, {each.wanted.form} ({each.operators}): "
                f"{each.verdict.why}",
                flush=True,
            )
        if len(found) % 100 == 0:
            print(
                f"{len(found)} of {len(wanted)}, {time.monotonic() - begin:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    if options.list is not None:
        options.list.write_text(
            "".join(
                "\t".join(
                    (each.column, *each.wanted, each.operators, each.verdict.why, each.tvm or "")
                )
                + "\n"
                for each in sorted(found, key=lambda one: one.wanted)
            ),
            encoding="utf-8",
        )
    failed = sum(each.column in COLUMNS[3:] for each in found)
    print(counts(found), could(found), sep="\n\n")
    disputed = sum(each.verdict == BackendVerdict("right", DISPUTED) for each in found)
    print(f"\nOf what is right, {disputed} as onnxruntime gives it and not as the case expects.")
    print(f"\n{provenance('every case', begin, options.jobs)}; {failed} wrong or foreign")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
