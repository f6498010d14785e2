"""Random networks on random hardware, compiled, run and compared bit by bit.

    python -m tests.campaigns.fuzz --count 10000 --tvm 2000 --onnx 500 --seed 0 --jobs 2

``count`` networks of integer layers against a dense numpy oracle, ``tvm`` of them against TVM's CPU
as well, and ``onnx`` ONNX models through the whole compiler. A tenth of the networks run in the
smallest memories that hold them. A failing case is shrunk and saved in ``found/``, from where the
quick tests replay it. Case n has seed ``seed`` + n: ranges of seeds can be run piece by piece. The
tables say what came of the cases, by what they were compared with and by what they contain.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from tests.campaigns.fuzz_case import FOUND, Form, FuzzCase, dump_case
from tests.campaigns.fuzz_check import FuzzVerdict, judge
from tests.campaigns.fuzz_coverage import OUTCOMES, Feature, coverage, features
from tests.campaigns.fuzz_random import random_case
from tests.campaigns.fuzz_shrink import shrink
from tests.campaigns.fuzz_smallest import squeeze
from tests.campaigns.tables import provenance, table

SMALLEST = 0.1  # of the networks of layers
SHRINK_SECONDS = 120
BATCH = 20  # cases that a process is given at once
ROWS = ("the oracle", "the oracle and TVM", "TVM, as ONNX models")
BATCHES = 10  # of a process, on the average, before all are replaced: TVM keeps what it compiled


class FuzzRequest(NamedTuple):
    """A case by what makes it."""

    form: Form
    seed: int
    tvm: bool

    def case(self, smallest: float = SMALLEST) -> FuzzCase:
        """smallest: the share of cases on the smallest memories that do."""
        if self.form == "onnx":
            from tests.campaigns.fuzz_models import random_model

            return random_model(self.seed)
        case = random_case(self.seed)
        rng = np.random.default_rng([self.seed, 2])
        if rng.random() < smallest:
            case = squeeze(case, rng)
        return replace(case, tvm=self.tvm)


@dataclass(frozen=True)
class FuzzResult:
    wanted: FuzzRequest
    verdict: FuzzVerdict
    features: frozenset[Feature] = frozenset()


def attempt(batch: list[FuzzRequest]) -> list[FuzzResult]:
    """The verdict on each case."""
    made = []
    for wanted in batch:
        case = wanted.case()
        made.append(FuzzResult(wanted, judge(case), frozenset(features(case))))
    return made


def cases(count: int, tvm: int, onnx: int, seed: int) -> list[FuzzRequest]:
    """Every case of a campaign; those compared with TVM are spread evenly."""
    made = [
        FuzzRequest("layers", seed + n, n * tvm // count != (n + 1) * tvm // count)
        for n in range(count)
    ]
    return made + [FuzzRequest("onnx", seed + n, True) for n in range(onnx)]


def results(wanted: list[FuzzRequest], jobs: int) -> Iterator[FuzzResult]:
    """Verdicts as they come, from so many processes."""
    batches = [wanted[n : n + BATCH] for n in range(0, len(wanted), BATCH)]
    if jobs == 1:
        for batch in batches:
            yield from attempt(batch)
        return
    # Not max_tasks_per_child: where all workers end at once, Python 3.11 starts none in their place
    # and waits for ever.
    for first in range(0, len(batches), jobs * BATCHES):
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            some = batches[first : first + jobs * BATCHES]
            waiting = {pool.submit(attempt, batch): batch for batch in some}
            for done in as_completed(waiting):
                try:
                    yield from done.result()
                except BrokenProcessPool:
                    verdict = FuzzVerdict("failed", "a process died", "a process died in its batch")
                    yield FuzzResult(waiting[done][0], verdict)


def save(result: FuzzResult) -> None:
    """Shrink a failing case and keep it."""

    def fails(case: FuzzCase) -> bool:
        return judge(case).what == result.verdict.what

    small = shrink(result.wanted.case(), fails, SHRINK_SECONDS)
    path = FOUND / f"{result.wanted.form}_{result.wanted.seed}.json"
    path.write_text(dump_case(small), encoding="utf-8")
    print(f"  shrunk to {len(small.steps)} steps: {path.relative_to(FOUND.parents[2])}")


def main() -> None:
    """Exit 1 if a case failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500, help="networks of integer layers")
    parser.add_argument("--tvm", type=int, default=100, help="of them against TVM, too")
    parser.add_argument("--onnx", type=int, help="ONNX models; a quarter of --tvm if not given")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    onnx = options.tvm // 4 if options.onnx is None else options.onnx
    wanted = cases(options.count, min(options.tvm, options.count), onnx, options.seed)
    seeds = f"seeds {options.seed}..{options.seed + max(options.count, onnx) - 1}"
    print(seeds, flush=True)
    sys.exit(1 if run(wanted, options.jobs, seeds) else 0)


def run(wanted: list[FuzzRequest], jobs: int, seeds: str) -> int:
    """Judge all, save the first of each kind of failure, print the tables; failures."""
    begin = time.monotonic()
    seen: Counter[tuple[str, str]] = Counter()
    drawn: Counter[tuple[Feature, str]] = Counter()
    kinds: Counter[str] = Counter()
    for done, result in enumerate(results(wanted, jobs), 1):
        who, verdict = result.wanted, result.verdict
        row = ROWS[2] if who.form == "onnx" else ROWS[1] if who.tvm else ROWS[0]
        seen[row, verdict.outcome] += 1
        drawn.update((feature, verdict.outcome) for feature in result.features)
        if verdict.outcome == "failed":
            kinds[verdict.what] += 1
            print(f"{who.form} {who.seed}: {verdict.message}", flush=True)
            if kinds[verdict.what] == 1 and verdict.what != "a process died":
                save(result)
        if done % max(20, len(wanted) // 50) == 0:
            print(
                f"{done} of {len(wanted)}, {kinds.total()} failed, "
                f"{time.monotonic() - begin:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    print(
        table(
            ("compared with", "cases", *OUTCOMES),
            (
                (
                    row,
                    sum(seen[row, each] for each in OUTCOMES),
                    *(seen[row, each] for each in OUTCOMES),
                )
                for row in ROWS
            ),
        ),
        coverage(drawn),
        sep="\n\n",
    )
    print(f"\n{provenance(seeds, begin, jobs)}; {kinds.total()} failed, of {len(kinds)} kinds")
    return kinds.total()


if __name__ == "__main__":
    main()
