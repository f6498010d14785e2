"""Altered files: each is refused in one sentence or does what it says (``make hostile``).

    python -m tests.campaigns.hostile [--count 200000] [--toml 20000] [--onnx 5000] [--mlir 20000]
        [--relay 20000] [--tosa 20000] [--seed 0]

Program files: bytes are changed, or the manifest, the arrays and the instructions within and all
checksums made anew, so that what was altered is believed; then the program is loaded and run, with
numbers and an observer of its tiles. Network files: the manifest, the program or a Relax module
within; then loaded and run as ``zeroskip run`` does, a tenth of them validated and reported on too;
files of nested levels likewise, their parts altered.
Hardware descriptions: lines and values of TOML, then a network is compiled for what is accepted.
ONNX models: fields of the protobuf messages, then import and, for three of ten, the whole compiler.
Programs as MLIR text: words, numbers and lines; what is accepted is run. Relay: words of the text,
its metadata and bytes of parameters, then conversion to ONNX and, for one of twenty, import. TOSA:
words, numbers and lines, then the layers and, for one of twenty, what it computes.

Cases run in processes of their own whose address space may grow by 1 GiB; a twentieth of the
programs run again with numba's bounds checks, so that a read or write beyond an array would be
seen. A case may take ten seconds of the processor. Anything but an error of zeroskip's own, of one
line, is a failure; the case is named and ``--repeat KIND CASE`` runs it alone. Other seeds are
other cases, so a campaign can be run in pieces.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np

from tests.campaigns import (
    hostile_levels,
    hostile_mlir,
    hostile_networks,
    hostile_onnx,
    hostile_programs,
    hostile_relay,
    hostile_toml,
    hostile_tosa,
)
from tests.campaigns.tables import provenance, table
from zeroskip.accel_model.errors import ZeroskipError

SECONDS = 10  # of the processor
WAITING = 120  # seconds in all, on a machine that does other things too
GROWTH = 1 << 30  # bytes of address space
OUTCOMES = ("ran", "refused", "failed")


@dataclass(frozen=True)
class HostileKind:
    """attempt: says where a case ended; a ZeroskipError: it was refused there. warm: does once
    what is slow the first time. chunk: cases of one process. checked: with bounds checks."""

    attempt: Callable[[np.random.Generator], str]
    warm: Callable[[], None]
    chunk: int
    checked: bool = False


KINDS = {
    "programs, bytes": HostileKind(hostile_programs.altered_bytes, hostile_programs.warm, 10_000),
    "programs, resealed": HostileKind(hostile_programs.altered_parts, hostile_programs.warm, 5_000),
    "programs, resealed, bounds checked": HostileKind(
        hostile_programs.altered_parts, hostile_programs.warm, 2_500, checked=True
    ),
    "networks, resealed": HostileKind(
        hostile_networks.altered_network, hostile_networks.warm, 1_000
    ),
    "hardware, TOML": HostileKind(hostile_toml.altered_toml, hostile_toml.warm, 5_000),
    "models, ONNX": HostileKind(hostile_onnx.altered_model, hostile_onnx.warm, 500),
    "levels, resealed": HostileKind(hostile_levels.altered_levels, hostile_levels.warm, 1_000),
    "programs, MLIR": HostileKind(hostile_mlir.altered_mlir, hostile_mlir.warm, 2_500),
    "models, Relay": HostileKind(hostile_relay.altered_relay, hostile_relay.warm, 2_500),
    "models, TOSA": HostileKind(hostile_tosa.altered_tosa, hostile_tosa.warm, 2_500),
}
SHARES = {
    "programs, bytes": 0.25,
    "programs, resealed": 0.63,  # of --count
    "programs, resealed, bounds checked": 0.05,
    "networks, resealed": 0.05,
    "levels, resealed": 0.02,
}


class TooLong(BaseException):
    """A case took longer than it may."""


def attempt(kind: str, seed: int, case: int) -> tuple[str, str]:
    """'ran' or 'refused' or 'failed', and where or why."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), case])
    _set_timers(SECONDS, WAITING)
    try:
        return "ran", KINDS[kind].attempt(rng)
    except ZeroskipError as refusal:
        text = str(refusal)
        if not text or "\n" in text.strip() or len(text) > 2000:
            return "failed", f"a sentence of {len(text)} characters: {text[:80]!r}"
        return "refused", type(refusal).__name__
    except TooLong:
        return "failed", f"more than {SECONDS} s of the processor, or {WAITING} s"
    except (Exception, RecursionError) as problem:
        return "failed", f"{type(problem).__name__}: {str(problem)[:300]}"
    finally:
        _set_timers(0, 0)


def _set_timers(seconds: float, waiting: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, waiting)


def arm() -> None:
    """Make the timers raise TooLong."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGPROF, late)


def child(kind: str, seed: int, first: int, count: int) -> None:
    """Run cases and print what came of each, at once: after a crash the next one is known."""
    arm()
    KINDS[kind].warm()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + GROWTH
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for case in range(first, first + count):
        outcome, where = attempt(kind, seed, case)
        print(f"{outcome}\t{case}\t{' '.join(where.split())}", flush=True)
    print("end", flush=True)


@dataclass
class HostileResult:
    """Of some cases: how many ended how, where, and what failed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, kind: str, case: int, outcome: str, where: str) -> None:
        self.outcomes[outcome] += 1
        if outcome == "failed":
            self.failures.append(f"{kind}, case {case}: {where}")
        else:
            self.places[f"{outcome} {where}"] += 1

    def join(self, other: HostileResult) -> None:
        self.outcomes += other.outcomes
        self.places += other.places
        self.failures += other.failures


def run(kind: str, seed: int, first: int, count: int) -> HostileResult:
    """Cases in a process of their own; in another one those behind a case that ends it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TVM_NUM_THREADS": "1"}
    if KINDS[kind].checked:
        environment |= {
            "NUMBA_BOUNDSCHECK": "1",
            "NUMBA_CACHE_DIR": os.path.join(tempfile.gettempdir(), "zeroskip-checked"),
        }
    result, end = HostileResult(), first + count
    while first < end:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.campaigns.hostile",
                "--child",
                kind,
                str(seed),
                str(first),
                str(end - first),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            check=False,
        )
        lines = done.stdout.splitlines()
        for line in lines:
            outcome, _, rest = line.partition("\t")
            case, _, where = rest.partition("\t")
            if outcome in OUTCOMES:
                result.add(kind, int(case), outcome, where)
                first += 1
        if done.returncode or lines[-1:] != ["end"]:
            result.add(kind, first, "failed", f"the process ended with {done.returncode}")
            first += 1
    return result


def campaign(counts: dict[str, int], seed: int, jobs: int) -> Iterator[tuple[str, HostileResult]]:
    """Results of chunks of cases, by kind, as they come."""
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {}
        for kind, count in counts.items():
            for first in range(0, count, KINDS[kind].chunk):
                size = min(KINDS[kind].chunk, count - first)
                waiting[pool.submit(run, kind, seed, first, size)] = kind
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def main() -> None:
    """Exit 1 if a case failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200_000, help="program and network files")
    parser.add_argument("--toml", type=int, default=20_000, help="hardware descriptions")
    parser.add_argument("--onnx", type=int, default=5_000, help="models")
    parser.add_argument("--mlir", type=int, default=20_000, help="programs as MLIR text")
    parser.add_argument("--relay", type=int, default=20_000, help="Relay texts and parameters")
    parser.add_argument("--tosa", type=int, default=20_000, help="networks as TOSA text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--repeat", nargs=2, metavar=("KIND", "CASE"), help="one case alone")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], *map(int, options.child[1:]))
        return
    if options.repeat:
        kind, case = options.repeat
        print(
            KINDS[kind].attempt(
                np.random.default_rng([options.seed, list(KINDS).index(kind), int(case)])
            )
        )
        return
    begin, ended = time.monotonic(), 0
    counts = {kind: round(share * options.count) for kind, share in SHARES.items()}
    counts |= {"hardware, TOML": options.toml, "models, ONNX": options.onnx}
    counts["programs, MLIR"] = options.mlir
    counts |= {"models, Relay": options.relay, "models, TOSA": options.tosa}
    results = {kind: HostileResult() for kind, count in counts.items() if count}
    for kind, found in campaign(counts, options.seed, options.jobs):
        results[kind].join(found)
        ended += found.outcomes.total()
        print(
            f"{ended:,} of {sum(counts.values()):,}, {time.monotonic() - begin:.0f} s; {kind}: "
            f"{len(results[kind].failures)} failed",
            *found.failures[:5],
            sep="\n  ",
            file=sys.stderr,
            flush=True,
        )
    rows = [
        (
            kind,
            ", ".join(f"{place} {number:,}" for place, number in found.places.most_common(4)),
            found.outcomes.total(),
            *(found.outcomes[each] for each in OUTCOMES),
        )
        for kind, found in results.items()
    ]
    failures = [each for found in results.values() for each in found.failures]
    print(table(("files", "most often", "cases", *OUTCOMES), rows, texts=2))
    print(
        f"\n{provenance(f'seed {options.seed}', begin, options.jobs)}; {len(failures)} failed",
        *failures[:50],
        sep="\n",
    )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
