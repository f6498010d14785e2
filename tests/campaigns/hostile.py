"""Altered files: each is refused in one sentence or does what it says (``make hostile``).

    python -m tests.campaigns.hostile [--count 200000] [--toml 20000] [--onnx 5000] [--seed 0]

Program files: bytes are changed, or the manifest, the arrays and the instructions within and all
checksums made anew, so that what was altered is believed; then the program is loaded and run, with
numbers, under limits. Hardware descriptions: lines and values of TOML. ONNX models: fields of the
protobuf messages, then import and, for a tenth, the whole compiler. In a process of its own whose
address space may grow by 1 GiB; a twentieth of the programs again with numba's bounds checks, so
that a read or write beyond an array would be seen. A case may take ten seconds. Anything but an
error of zeroskip's own, of one line, is a failure; the case is named and can be repeated alone.
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
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np

from tests.campaigns import hostile_onnx, hostile_programs, hostile_toml
from zeroskip.accel_model.errors import ZeroskipError

SECONDS = 10
GROWTH = 1 << 30  # bytes of address space
CHUNK = 10_000  # cases of one process
CHECKED = 20  # one of so many programs runs with bounds checks
OUTCOMES = ("ran", "refused", "failed")

Attempt = Callable[[np.random.Generator], str]  # where a case ended; ZeroskipError: refused there
ATTEMPTS: dict[str, Attempt] = {
    "programs, bytes": hostile_programs.altered_bytes,
    "programs, resealed": hostile_programs.altered_parts,
    "networks, resealed": hostile_programs.altered_network,
    "hardware, TOML": hostile_toml.altered_toml,
    "models, ONNX": hostile_onnx.altered_model,
}


class TooLong(BaseException):
    """A case took longer than it may."""


def attempt(kind: str, seed: int, case: int) -> tuple[str, str]:
    """'ran' or 'refused' or 'failed', and where or why."""
    rng = np.random.default_rng([seed, list(ATTEMPTS).index(kind), case])
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return "ran", ATTEMPTS[kind](rng)
    except ZeroskipError as refusal:
        text = str(refusal)
        if not text or "\n" in text.strip() or len(text) > 2000:
            return "failed", f"a sentence of {len(text)} characters: {text[:80]!r}"
        return "refused", type(refusal).__name__
    except TooLong:
        return "failed", f"more than {SECONDS} s"
    except (Exception, RecursionError) as problem:
        return "failed", f"{type(problem).__name__}: {str(problem)[:300]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def child(kind: str, seed: int, first: int, count: int) -> None:
    """Run cases and print what came of each, at once: after a crash the next one is known."""
    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, late)
    attempt(kind, seed + 1, 0)  # whatever is loaded once is loaded
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + GROWTH
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for case in range(first, first + count):
        outcome, where = attempt(kind, seed, case)
        print(f"{outcome}\t{case}\t{' '.join(where.split())}", flush=True)
    print(f"end {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}", flush=True)


def run(kind: str, seed: int, first: int, count: int, checked: bool
        ) -> tuple[Counter[str], Counter[str], list[str]]:
    """Outcomes, where they came from, and failures, of cases in a process of their own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TVM_NUM_THREADS": "1"}
    if checked:
        environment |= {"NUMBA_BOUNDSCHECK": "1",
                        "NUMBA_CACHE_DIR": os.path.join(tempfile.gettempdir(), "zeroskip-checked")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaigns.hostile", "--child", kind, str(seed), str(first),
         str(count)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment, check=False)
    lines = done.stdout.splitlines()
    outcomes: Counter[str] = Counter()
    places: Counter[str] = Counter()
    failures = []
    for line in lines:
        outcome, _, rest = line.partition("\t")
        if outcome not in OUTCOMES:
            continue
        outcomes[outcome] += 1
        case, _, where = rest.partition("\t")
        if outcome == "failed":
            failures.append(f"{kind}, case {case}: {where}")
        else:
            places[f"{outcome} {where}"] += 1
    if done.returncode or not lines or not lines[-1].startswith("end"):
        case = first + outcomes.total()
        outcomes["failed"] += 1
        failures.append(f"{kind}, case {case}: the process ended with {done.returncode}")
        if case + 1 < first + count:
            more = run(kind, seed, case + 1, first + count - case - 1, checked)
            return outcomes + more[0], places + more[1], failures + more[2]
    return outcomes, places, failures


def main() -> None:
    """Exit 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000, help="program and network files")
    parser.add_argument("--toml", type=int, default=20_000, help="hardware descriptions")
    parser.add_argument("--onnx", type=int, default=5_000, help="models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, *numbers = options.child
        child(kind, *map(int, numbers))
        return
    begin, failures = time.monotonic(), []
    counts = dict(zip(ATTEMPTS, (options.count * 3 // 10, options.count * 6 // 10,
                                 options.count // 10, options.toml, options.onnx), strict=True))
    rows = []
    for kind, count in counts.items():
        plans = [(kind, False, count)]
        if kind == "programs, resealed":
            plans.append((f"{kind}, bounds checked", True, count // CHECKED))
        for name, checked, wanted in plans:
            seen: Counter[str] = Counter()
            where: Counter[str] = Counter()
            for first in range(0, wanted, CHUNK):
                found = run(kind, options.seed, first, min(CHUNK, wanted - first), checked)
                seen, where = seen + found[0], where + found[1]
                failures += found[2]
                print(f"{name}: {seen.total()} of {wanted}, {len(failures)} failed, "
                      f"{time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
            places = ", ".join(f"{place} {number:,}" for place, number in where.most_common(4))
            rows.append(f"| {name} | {seen.total():,} | "
                        f"{' | '.join(f'{seen[each]:,}' for each in OUTCOMES)} | {places} |")
    print(f"| what | cases | {' | '.join(OUTCOMES)} | most often |",
          "| --- | ---: | ---: | ---: | ---: | --- |", *rows, sep="\n")
    print(f"\nseed {options.seed}, {time.monotonic() - begin:.0f} s; {len(failures)} failed",
          *failures[:50], sep="\n")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
