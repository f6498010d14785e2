"""Every figure that has a target, measured and marked MISSED where it is not met (``make bench``).

    python benchmarks/bench.py [--only cycles time memory scaling arrays] [--markdown FILE]

Cycles are the machine's own, of whole 224x224 networks with seeded weights, pooling, additions and
classifiers included, against the sum of the layers' bounds. A ratio of times is taken in one
process; every other row is a process of its own, so that its time and its peak memory are its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import networks  # noqa: E402 - found through the path above
from zeroskip.accel_model.spec import equal_targets  # noqa: E402


@dataclass(frozen=True)
class Figure:
    """A figure and the most it may be; None: there is no target."""

    what: str
    measured: float
    target: float | None = None
    unit: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "met" if self.measured <= self.target else "MISSED"


CYCLES = {  # (network, target, weights) -> times the bound
    ("resnet50", "dense256", "dense"): 1.05,
    ("resnet50", "sparse256", "50 %"): 1.12,
    ("resnet50", "sparse256", "75 %"): 1.20,
    ("resnet50", "pattern256", "pattern 8x"): 1.15,
    ("vgg16", "dense256", "dense"): 1.02,
    ("vgg16", "sparse256", "50 %"): 1.05,
    ("vgg16", "sparse256", "75 %"): 1.10,
    ("vgg16", "pattern256", "pattern 8x"): 1.10,
    ("mobilenet_v2", "dense256", "dense"): 1.25,
    ("mobilenet_v2", "sparse256", "50 %"): 1.35,
    ("mobilenet_v2", "sparse256", "75 %"): 1.45,
}
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


# ------------------------------------------------------------------------------------ sections


def cycles() -> Iterator[Figure]:
    """Cycles against the sum of the layers' bounds; then with eight schedules of each layer."""
    for (network, target, weights), most in CYCLES.items():
        found = networks.row(network, target, weights)
        yield Figure(
            f"{network}, {target}, {weights}: {found['cycles']:,} cycles",
            found["x bound"],
            most,
            "x bound",
        )
        tuned = _child("tuned", network, target, weights)
        yield Figure(
            f"the same, --tune 8 ({tuned['seconds']:.0f} s more): {tuned['cycles']:,} cycles",
            tuned["cycles"] / found["bound"],
            most,
            "x bound",
        )


def times() -> Iterator[Figure]:
    """Compiling, calibrating, simulating and starting up."""
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (_child("compiling", folder) for _ in range(2))
    yield Figure("compile resnet50, no schedule cached", cold["compile"], 15, "s")
    yield Figure("compile resnet50, schedules cached", warm["compile"], 5, "s")
    yield Figure("calibrate resnet50 with 8 images", cold["calibrate"], 30, "s")
    for network in ("resnet50", "vgg16"):
        found = _child("simulating", network)
        yield Figure(f"time only, {network}", found["time"], 2, "s")
        own, plain, fast = found["run"], found["default"], found["scheduled"]
        yield Figure(
            f"numbers and time, {network}: {own:.2f} s, TVM's default llvm {plain:.2f} s",
            own / plain,
            0.5,
            "ratio",
        )
        yield Figure("the same, the first run of a process", found["first"] / plain, unit="ratio")
        yield Figure(
            f"numbers and time, {network}: TVM with our CPU schedules {fast:.3f} s",
            own / fast,
            2,
            "ratio",
        )
    yield Figure("zeroskip --help, fastest of 5", min(_help() for _ in range(5)), 0.3, "s")


def memory() -> Iterator[Figure]:
    """Peak memory of the commands on the largest network."""
    with tempfile.TemporaryDirectory() as folder:
        _child("write_vgg", folder)
        yield Figure(
            "zeroskip compile vgg16.onnx, peak", _child("compile_peak", folder)["peak"], 2, "GiB"
        )
        yield Figure("zeroskip run vgg16.zsk, peak", _child("run_peak", folder)["peak"], 2, "GiB")


def scaling() -> Iterator[Figure]:
    """Seconds for each GMAC; equal figures: cost grows linearly."""
    for network in RESNETS:
        found = _child("scale", network)
        giga = found["macs"] / 1e9
        yield Figure(
            f"compile {network}, {giga:.2f} GMAC: {found['compile']:.1f} s",
            found["compile"] / giga,
            unit="s/GMAC",
        )
        yield Figure(f"run {network}: {found['run']:.2f} s", found["run"] / giga, unit="s/GMAC")


def arrays() -> Iterator[Figure]:
    """ResNet-50 with 75 % of its weights gone on every array: compiled with no schedule cached,
    time only, numbers and time against the lane array's."""
    lanes = _child("on_array", "sparse256")["run"]
    for target in equal_targets():
        found = _child("on_array", target)
        yield Figure(f"compile, {target}", found["compile"], 60, "s")
        yield Figure(f"time only, {target}", found["time"], 3, "s")
        yield Figure(
            f"numbers and time, {target}: {found['run']:.2f} s, sparse256 {lanes:.2f} s",
            found["run"] / lanes,
            4,
            "ratio",
        )


SECTIONS: dict[str, Callable[[], Iterator[Figure]]] = {
    "cycles": cycles,
    "time": times,
    "memory": memory,
    "scaling": scaling,
    "arrays": arrays,
}


# ---------------------------------------------------------------------------------- children


def tuned(network: str, target: str, weights: str) -> dict[str, float]:
    """Cycles when eight schedules of each layer are timed, and what that takes."""
    from zeroskip.compiler.driver import compile as compile_network
    from zeroskip.runtime.execution.session import Session
    from zeroskip.runtime.execution.tuning import tuning

    model, recipe = networks.model(network, weights)
    with tempfile.TemporaryDirectory() as folder:
        compile_network(model, target, prune=recipe, cache=folder)
        started = time.perf_counter()
        made = compile_network(model, target, prune=recipe, cache=folder, tune=tuning(8))
    return {
        "seconds": time.perf_counter() - started,
        "cycles": sum(run.cycles for run in Session(made).time().values()),
    }


def compiling(folder: str) -> dict[str, float]:
    """ResNet-50 from its file, calibrated with 8 images; schedules are kept in the folder."""
    import numpy as np
    import onnx

    from models.zoo import MODELS
    from zeroskip.compiler.driver import compile as compile_network

    path = Path(folder, "resnet50.onnx")
    if not path.exists():
        onnx.save(MODELS["resnet50"](), path)
    images = np.random.default_rng(0).standard_normal((8, 3, 224, 224)).astype(np.float32)
    moments: dict[str, float] = {}

    def progress(what: str, _done: int, _total: int) -> None:
        moments.setdefault(what.split()[0], time.perf_counter())

    started = time.perf_counter()
    compile_network(
        path,
        "sparse256",
        calibrate={"image": images},
        cache=Path(folder, "schedules"),
        progress=progress,
    )
    whole = time.perf_counter() - started
    calibrate = moments["quantize"] - moments["calibrate"]
    return {"compile": whole - calibrate, "calibrate": calibrate}


def simulating(network: str) -> dict[str, float]:
    """Seconds of our runs and of TVM's, one after the other; each the fastest of three."""
    import numpy as np
    import tvm
    from tvm import relax

    from zeroskip.compiler.driver import compile as compile_network
    from zeroskip.relay_passes.relax.cpu import compile_for_cpu
    from zeroskip.runtime.execution.session import Session

    model, _ = networks.model(network, "dense")
    made = compile_network(model, "dense256")
    image = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    session = Session(made)
    first = _seconds(lambda: session.run({"image": image}))
    seconds = {
        "first": first,
        "run": _fastest(lambda: session.run({"image": image})),
        "time": _fastest(session.time),
    }
    tensor = tvm.runtime.tensor(image)
    floating = made.floating_module
    builds: dict[str, Callable[[], tvm.runtime.Executable]] = {
        "default": lambda: tvm.compile(floating, "llvm"),
        "scheduled": lambda: compile_for_cpu(floating),
    }
    for name, build in builds.items():
        machine = relax.VirtualMachine(build(), tvm.cpu())
        seconds[name] = _fastest(partial(machine["main"], tensor))
    return seconds


def on_array(target: str) -> dict[str, float]:
    """Seconds of a compile of ResNet-50, 75 % of whose weights are gone, and of the fastest of
    three runs without and with numbers."""
    import numpy as np

    from models.zoo import MODELS, prune_unstructured
    from zeroskip.compiler.driver import compile as compile_network
    from zeroskip.runtime.execution.session import Session

    model = prune_unstructured(MODELS["resnet50"](), 0.75)
    image = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        made = compile_network(model, target, method="minmax", cache=folder)
        seconds = {"compile": time.perf_counter() - started}
    session = Session(made)
    session.run({"image": image})  # compiles what numba has not yet
    seconds["run"] = _fastest(lambda: session.run({"image": image}))
    return seconds | {"time": _fastest(session.time)}


def write_vgg(folder: str) -> dict[str, float]:
    """Write VGG-16. A process of its own: the peak of one that starts a command counts as the
    command's, as its memory is the starter's until it is replaced."""
    import onnx

    from models.zoo import MODELS

    onnx.save(MODELS["vgg16"](), Path(folder, "vgg16.onnx"))
    return {}


def compile_peak(folder: str) -> dict[str, float]:
    """Peak GiB of the command that compiles VGG-16; what it makes stays in the folder."""
    path = Path(folder, "vgg16.onnx")
    return _command("compile", path, "-o", Path(folder, "vgg16.zsk"), "--target", "sparse256")


def run_peak(folder: str) -> dict[str, float]:
    """Peak GiB of the command that runs it."""
    import numpy as np

    image = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    np.savez(Path(folder, "x.npz"), image=image)
    return _command("run", Path(folder, "vgg16.zsk"), "--input", Path(folder, "x.npz"))


def scale(network: str) -> dict[str, float]:
    """A network's multiplies, and the seconds to compile and to run it a second time."""
    import numpy as np

    from zeroskip.compiler.driver import compile as compile_network
    from zeroskip.runtime.execution.session import Session

    model, _ = networks.model(network, "50 %")
    started = time.perf_counter()
    made = compile_network(model, "sparse256")
    seconds = time.perf_counter() - started
    image = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    session = Session(made)
    session.run({"image": image})
    macs = sum(layer.macs for program in made.programs.values() for layer in program.layers)
    return {
        "macs": macs,
        "compile": seconds,
        "run": _fastest(lambda: session.run({"image": image})),
    }


CHILDREN = {
    made.__name__: made
    for made in (
        tuned,
        compiling,
        simulating,
        on_array,
        write_vgg,
        compile_peak,
        run_peak,
        scale,
    )
}


def _child(name: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _command(*arguments: object) -> dict[str, float]:
    subprocess.run(
        [Path(sys.executable).with_name("zeroskip"), *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return {"peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20}


def _help() -> float:
    command: list[str | Path] = [Path(sys.executable).with_name("zeroskip"), "--help"]
    return _seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _fastest(action: Callable[[], object]) -> float:
    return min(_seconds(action) for _ in range(3))


# ----------------------------------------------------------------------------------- the table


def table(rows: list[Figure]) -> str:
    """Markdown."""
    lines = ["| what | measured | target | |", "| --- | ---: | ---: | --- |"]
    for row in rows:
        most = "" if row.target is None else f"{row.target:g} {row.unit}"
        lines.append(f"| {row.what} | {row.measured:.3f} {row.unit} | {most} | {row.verdict} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the sections asked for and print their rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    if options.child:
        name, *arguments = options.child
        print(json.dumps(CHILDREN[name](*arguments)))
        return
    rows = []
    for name in options.only:
        for row in SECTIONS[name]():
            rows.append(row)
            print(table([row]).splitlines()[-1], file=sys.stderr, flush=True)
    missed = sum(row.verdict == "MISSED" for row in rows)
    text = (
        f"{date.today()}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores, load "
        f"{os.getloadavg()[0]:.1f}; {missed} of {len(rows)} rows missed their target\n\n"
        f"{table(rows)}\n"
    )
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
