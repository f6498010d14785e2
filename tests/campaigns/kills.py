"""Processes killed while they write: there is a whole file or none (``make kills``).

    python -m tests.campaigns.kills [--count 300] [--seed 0] [--jobs 2]

Compilers (``zeroskip compile``) are killed at any moment from their start to their end, and ten
times as many processes that write a compiled network, outputs, a report or a timeline again and
again over an older file of that name. Afterwards the name holds nothing (where nothing was), the
older file to the last byte, or a new one that loads whole; so do the schedules that a compiler
keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests.campaigns.tables import provenance, table
from tests.runtime.nets import small_net
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.analysis.report import report
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.render.files import write_arrays, write_report, write_timeline

OLD = b"what was there before"
TIMES = 3  # that a file is written before its writer is killed, at most
OUTCOMES = ("nothing", "older file", "whole file", "broken")


class Writers:
    """What is written, and how it is read back."""

    def __init__(self) -> None:
        self.network = compile_network(small_net(), "sparse256")
        session = Session(self.network)
        self.runs = session.time()
        self.report = report(self.network, self.runs)
        self.arrays = {"y": np.random.default_rng(0).standard_normal((200, 1000))}

    def each(self) -> dict[str, tuple[Callable[[Path], object], Callable[[Path], Any]]]:
        return {
            "network": (self.network.save, Network.load),
            "outputs": (
                lambda path: write_arrays(path, self.arrays),
                lambda path: np.load(path)["y"].sum(),
            ),
            "report": (lambda path: write_report(path, self.report), _read_json),
            "timeline": (
                lambda path: write_timeline(path, self.runs, self.network.programs),
                _read_json,
            ),
        }


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def found(path: Path, read: Callable[[Path], Any]) -> str:
    """What a name holds."""
    if not path.exists():
        return "nothing"
    if path.read_bytes() == OLD:
        return "older file"
    try:
        read(path)
    except Exception as problem:
        print(f"{path.name}: {type(problem).__name__}: {problem}", flush=True)
        return "broken"
    return "whole file"


def kill_a_writer(write: Callable[[Path], object], path: Path, seconds: float) -> None:
    """Fork a process that writes again and again, and kill it after a while."""
    child = os.fork()
    if child == 0:
        try:
            while True:
                write(path)
        finally:
            os._exit(1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def kill_a_compiler(model: Path, path: Path, cache: Path, seconds: float) -> None:
    """Start ``zeroskip compile`` and kill it after a while."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("zeroskip"),
        "compile",
        model,
        "-o",
        path,
    ]
    child = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ZEROSKIP_CACHE": str(cache)},
    )
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def kill_writers(count: int, rng: random.Random, folder: Path) -> dict[str, Counter[str]]:
    """What was found after each kill, by what was being written."""
    writers = Writers().each()
    rows: dict[str, Counter[str]] = {name: Counter() for name in writers}
    once = {name: _seconds(write, folder / name) for name, (write, _) in writers.items()}
    for number in range(count):
        name = rng.choice(list(writers))
        path = older(folder / f"{number}.{name}", rng)
        write, read = writers[name]
        kill_a_writer(write, path, rng.uniform(0, TIMES * once[name]))
        rows[name][found(path, read)] += 1
        _on_progress(number + 1, count, "writers")
    return rows


def _seconds(write: Callable[[Path], object], path: Path) -> float:
    """To write a file, the second time."""
    write(path)
    started = time.perf_counter()
    write(path)
    return time.perf_counter() - started


def kill_compilers(
    count: int, rng: random.Random, folder: Path, jobs: int
) -> dict[str, Counter[str]]:
    """The same of whole compilers, half of the kills about the time when files are written, and
    of the schedules that they keep."""
    model = folder / "net.onnx"
    onnx.save(small_net(), model)

    def compile_once(number: int, seconds: float, path: Path) -> float:
        started = time.perf_counter()
        kill_a_compiler(model, path, folder / f"cache{number}", seconds)
        return time.perf_counter() - started

    rows: dict[str, Counter[str]] = {"zeroskip compile": Counter(), "schedules": Counter()}
    with ThreadPoolExecutor(jobs) as pool:  # whose threads only wait
        times = list(
            pool.map(lambda n: compile_once(-n, 600, folder / f"timed{n}.zsk"), range(1, jobs + 1))
        )
        whole = sum(times) / jobs
        plans = [
            (
                number,
                whole * rng.uniform(rng.choice((0, 0.8)), 1.1),
                older(folder / f"{number}.zsk", rng),
            )
            for number in range(count)
        ]
        for ended, (plan, _) in enumerate(
            zip(plans, pool.map(lambda plan: compile_once(*plan), plans), strict=True), 1
        ):
            rows["zeroskip compile"][found(plan[2], Network.load)] += 1
            kept = list((folder / f"cache{plan[0]}").rglob("*.json"))
            rows["schedules"].update(found(path, _read_json) for path in kept)
            rows["schedules"]["nothing"] += not kept
            _on_progress(ended, count, "compilers")
    print(f"to compile takes {whole:.1f} s")
    return rows


def older(path: Path, rng: random.Random) -> Path:
    """The path, where half of the time an older file is."""
    if rng.random() < 0.5:
        path.write_bytes(OLD)
    return path


def _on_progress(done: int, count: int, what: str) -> None:
    if done % max(1, count // 20) == 0:
        print(f"{done} of {count} {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Exit 1 if a name held a part of a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--count", type=int, default=300, help="compilers, and ten times as many that only write"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    begin, rng = time.monotonic(), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        rows = kill_writers(10 * options.count, rng, Path(folder))
        rows |= kill_compilers(options.count, rng, Path(folder), options.jobs)
    print(
        table(
            ("killed while writing", "found", *OUTCOMES),
            (
                (name, seen.total(), *(seen[outcome] for outcome in OUTCOMES))
                for name, seen in rows.items()
            ),
        )
    )
    broken = sum(seen["broken"] for seen in rows.values())
    print(f"\n{provenance(f'seed {options.seed}', begin, options.jobs)}; {broken} broken")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
