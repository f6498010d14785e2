"""A sweep of whole networks that is killed twice and gone on with, against one that nobody kills.

    python -m benchmarks.killed_sweep [--networks resnet50 vgg16 mobilenet_v2] [--workers N]
                                      [--seed N] [--folder DIR]

20 points of each network: dense and with three quarters of the weights gone, on five sizes of ACT
and two kinds of array. The first run is ended by SIGKILL, the second by SIGTERM, each at a moment
drawn by the seed; the third goes to the end. Schedules are kept beside each store, so the two
tables share nothing. The code must stay as it is meanwhile: another version measures anew. ``make
test-sweep`` does the same with small networks.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.networks import NETWORKS
from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.store import Store

SPACE = """
schemes = ["dense", "unstructured"]
sparsities = [0.75]
targets = ["sparse256"]

[set]
"sram.act_bytes" = {from = "32KiB", to = "512KiB", times = 2}
"array.kind" = ["bitmap", "dense"]
"""
OF_A_NETWORK = 2 * 5 * 2  # points
SOON, LATE = 3, 6  # points at the least before the first end and after the second
_LONGEST = 4 * 3600.0  # seconds of a run
_ENDS = 60.0  # seconds in which an ended command is gone, and what it started


@dataclass(frozen=True)
class Piece:
    """A run of the sweep. how: the signal that ended it, None if it went to the end. asked: points
    at which it was to be ended. known: points in the store after it. code: of its end. seconds:
    wall."""

    how: signal.Signals | None
    asked: int
    known: int
    code: int
    seconds: float


def write_space(folder: Path, networks: Mapping[str, str | None]) -> int:
    """Write space.toml into a folder; how many points it has. networks: file of a model there ->
    file of its calibration samples."""
    tables = [
        f'[[network]]\nmodel = "{model}"\n'
        + ("" if samples is None else f'calibrate = "{samples}"\n')
        for model, samples in networks.items()
    ]
    (folder / "space.toml").write_text("\n".join([SPACE, *tables]))
    return OF_A_NETWORK * len(networks)


def begin(folder: Path, store: str, workers: int = 2) -> subprocess.Popen[str]:
    """The command in a session of its own."""
    command = [sys.executable, "-m", "zeroskip", "sweep", "--space", "space.toml"]
    command += ["--store", store, "--csv", f"{store}.csv", "--workers", str(workers)]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "ZEROSKIP_CACHE": str(folder / f"{store}.schedules")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def known(folder: Path, store: str) -> int:
    """Points in the store; 0 while it is not made yet."""
    try:
        with Store(folder / store) as opened:
            return len(opened)
    except ExperimentError:
        return 0


def left_over(session: int) -> list[int]:
    """Processes that a command started and that outlive it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, of = entry.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(int(entry.parent.name))
    return found


def killed_twice(folder: Path, points: int, seed: int, workers: int = 2) -> Iterator[Piece]:
    """Run the folder's sweep into killed.sqlite in three pieces; AssertionError, with the command's
    own words, where one of them ends otherwise than it should or leaves a process behind."""
    moments = sorted(random.Random(seed).sample(range(SOON, points - LATE), 2))
    for drawn, how in zip(moments, (signal.SIGKILL, signal.SIGTERM), strict=True):
        asked = max(drawn, known(folder, "killed.sqlite") + 1)  # not before it has begun
        began, process = time.monotonic(), begin(folder, "killed.sqlite", workers)
        while known(folder, "killed.sqlite") < asked:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.02)
        process.send_signal(how)
        process.communicate(timeout=_ENDS)
        deadline = time.monotonic() + _ENDS
        while (left := left_over(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, left
        assert not (folder / "killed.sqlite.csv").exists()
        there, seconds = known(folder, "killed.sqlite"), time.monotonic() - began
        yield Piece(how, asked, there, process.returncode, seconds)
    yield whole(folder, "killed.sqlite", points, workers)


def whole(folder: Path, store: str, points: int, workers: int = 2) -> Piece:
    """Run the folder's sweep to its end; AssertionError where it measures again what was known."""
    before, began = known(folder, store), time.monotonic()
    process = begin(folder, store, workers)
    text, errors = process.communicate(timeout=_LONGEST)
    assert process.returncode == 0, errors
    words = f"{points} points: {before} were in {store}, "
    assert words in text, text
    there, seconds = known(folder, store), time.monotonic() - began
    return Piece(None, points, there, process.returncode, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="kept afterwards; else a temporary one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if any((folder / f"{name}.sqlite").exists() for name in ("killed", "whole")):
            parser.error(f"{folder} has a store of an earlier run: give an empty folder")
        measure(folder, given.networks, given.seed, given.workers)


def measure(folder: Path, names: list[str], seed: int, workers: int) -> None:
    """Print a line for each piece, and whether the tables are the same."""
    import onnx

    from models.zoo import MODELS

    for name in names:
        onnx.save(MODELS[name](), folder / f"{name}.onnx")
    points = write_space(folder, {f"{name}.onnx": None for name in names})
    print(f"{points} points of {', '.join(names)}, {workers} workers, seed {seed}")
    print("| ended by | asked for at | points known | s |\n|---|---:|---:|---:|")
    for piece in killed_twice(folder, points, seed, workers):
        print(_line(piece), flush=True)
    print(_line(whole(folder, "whole.sqlite", points, workers)), flush=True)
    tables = [(folder / f"{name}.sqlite.csv").read_text() for name in ("killed", "whole")]
    rows = list(csv.DictReader(tables[0].splitlines()))
    failed = sum(bool(row["failure"]) for row in rows)
    same = "the same to the byte" if tables[0] == tables[1] else "DIFFERENT"
    print(f"tables of {len(rows)} rows, {failed} of them failures: {same}")
    if tables[0] != tables[1]:
        sys.exit(1)


def _line(piece: Piece) -> str:
    how = piece.how.name if piece.how else "itself"
    return f"| {how} | {piece.asked} | {piece.known} | {piece.seconds:.0f} |"


if __name__ == "__main__":
    main()
