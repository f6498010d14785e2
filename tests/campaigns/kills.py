"""Processes killed while they write: there is a whole file or none (``make kills``).

    python -m tests.campaigns.kills [--count 300] [--seed 0]

Nine of ten kills fall on processes that write a compiled network, outputs, a report or a timeline
again and again over an older file of that name; the others on whole runs of ``zeroskip compile``,
at any moment from its start to its end. Afterwards the name holds nothing (where nothing was), the
older file to the last byte, or a new one that loads whole.
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
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests.campaigns.tables import provenance, table
from tests.runtime.nets import small_net
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.network import Network
from zeroskip.runtime.files import write_arrays, write_report, write_timeline
from zeroskip.runtime.report import report
from zeroskip.runtime.session import Session

OLD = b"what was there before"
WHILE = 0.05  # seconds in which a file is written some dozens of times
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
            "outputs": (lambda path: write_arrays(path, self.arrays),
                        lambda path: np.load(path)["y"].sum()),
            "report": (lambda path: write_report(path, self.report), _read_json),
            "timeline": (lambda path: write_timeline(path, self.runs, self.network.programs),
                         _read_json),
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


def kill_a_compiler(model: Path, path: Path, seconds: float) -> None:
    """Start ``zeroskip compile`` and kill it after a while."""
    command = [Path(sys.executable).with_name("zeroskip"), "compile", model, "-o", path]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def campaign(count: int, seed: int) -> dict[str, Counter[str]]:
    """What was found after each kill, by what was being written."""
    rng = random.Random(seed)
    rows: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "net.onnx")
        onnx.save(small_net(), model)
        writers = Writers().each()
        once = {}
        for name, (write, _) in writers.items():
            started = time.perf_counter()
            write(Path(folder, name))
            once[name] = time.perf_counter() - started
        started = time.perf_counter()
        kill_a_compiler(model, Path(folder, "timed.zsk"), 600)
        whole = time.perf_counter() - started
        for number in range(count):
            name = rng.choice(list(writers))
            path = Path(folder, f"{number}.{name}")
            if rng.random() < 0.5:
                path.write_bytes(OLD)
            if number % 10 == 0:
                name, read = "zeroskip compile", Network.load
                kill_a_compiler(model, path, rng.uniform(0.3, 1.1) * whole)
            else:
                write, read = writers[name]
                kill_a_writer(write, path, rng.uniform(0, WHILE))
            rows.setdefault(name, Counter())[found(path, read)] += 1
            if number % 30 == 0:
                print(f"{number} of {count}", file=sys.stderr, flush=True)
    times = ", ".join(f"{name} {1e3 * seconds:.0f} ms" for name, seconds in once.items())
    print(f"to write takes: {times}; to compile: {whole:.1f} s")
    return rows


def main() -> None:
    """Exit 1 if a name held a part of a file."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begin = time.monotonic()
    rows = campaign(options.count, options.seed)
    print(table(("killed while writing", "kills", *OUTCOMES), (
        (name, seen.total(), *(seen[outcome] for outcome in OUTCOMES))
        for name, seen in rows.items())))
    broken = sum(seen["broken"] for seen in rows.values())
    print(f"\n{provenance(f'seed {options.seed}', begin)}; {broken} broken")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
