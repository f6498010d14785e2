"""Proof that a refactor changes nothing (``make replay``).

    python -m tests.campaigns.replay [--renew] [--only TEXT] [--jobs 2]

Compiles networks for every target under several schemes and prints, of each: the SHA-256 of its
programs as bytes, that of what they compute and of its report's numbers, and the cycles. The
committed table ``replay.txt`` has the same lines. A refactor leaves it alone; a change of the
instruction set, of a file format or of a schedule renews it (``--renew``) in a commit of its own
that says why.

Ranges of activations are measured and then rounded to powers of sqrt(2), so that the last bits of
TVM's float arithmetic, which differ from processor to processor, do not reach the programs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from models import zoo
from tests.campaigns import programs
from tests.runtime.nets import small_net
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.driver import network_of, prepare, ranges_of
from zeroskip.compiler.stages import lower_fastest, without_dead
from zeroskip.relay_passes.quantize.calibrate import Range
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.runtime.analysis.report import region_report

ROOT = Path(__file__).parent.parent.parent
TABLE = Path(__file__).with_name("replay.txt")
SAMPLES = ("residual", "depthwise", "joined", "reduction", "looked_up", "gated")
SCHEMES = {
    "none": "",
    "unstructured": "unstructured:sparsity=0.75",
    "nm": "nm:n=2,m=8",
    "pattern": "pattern:connectivity=0.5",
    "channels": "channels:ratio=0.5",
}
MODELS: dict[str, tuple[Callable[[], str | onnx.ModelProto], tuple[str, ...]]] = {
    "fashion_dense": (lambda: str(ROOT / "models" / "fashion_dense.onnx"), tuple(SCHEMES)),
    "fashion_pattern": (lambda: str(ROOT / "models" / "fashion_pattern.onnx"), ("none",)),
    "small": (small_net, ("none", "unstructured")),
    "small with a node on the CPU": (lambda: small_net(cpu_node=True), ("none",)),
    "resnet18 64x64": (lambda: zoo.resnet(18, image=64), ("none", "unstructured")),
    "vgg16 32x32": (lambda: zoo.vgg16(image=32), ("pattern",)),
    "mobilenet_v2 64x64": (lambda: zoo.mobilenet_v2(image=64), ("none", "unstructured")),
}


@dataclass(frozen=True)
class ReplayCase:
    """A network on a target under a scheme; scheme ``graph`` stands for the random layer graphs
    of ``programs.py`` and ``tiny`` for the same with memories of a few KiB."""

    network: str
    target: str
    scheme: str

    def __str__(self) -> str:
        return f"{self.network}, {self.target}, {self.scheme}"


def cases() -> Iterator[ReplayCase]:
    """All of the table, in its order."""
    for network, (_, schemes) in MODELS.items():
        for scheme in schemes:
            yield from (ReplayCase(network, target, scheme) for target in programs.TARGETS)
    for network in SAMPLES:
        for scheme in ("graph", "tiny"):
            yield from (ReplayCase(network, target, scheme) for target in programs.TARGETS)


@cache
def _model(network: str) -> str | onnx.ModelProto:
    return MODELS[network][0]()


def coarse(ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Each end rounded to a power of sqrt(2) of its own sign."""

    def rounded(value: float) -> float:
        if not value:
            return 0.0
        return math.copysign(2.0 ** (round(2 * math.log2(abs(value))) / 2), value)

    return {name: Range(rounded(each.lo), rounded(each.hi)) for name, each in ranges.items()}


def compiled(case: ReplayCase) -> dict[str, Program]:
    """The programs of a case by region."""
    spec = load_spec(case.target)
    if case.scheme in ("graph", "tiny"):
        spec = programs.tiny(spec) if case.scheme == "tiny" else spec
        return {case.network: programs.sample(case.network, spec, str(case), 0).program}
    model = _model(case.network)
    pruned, _ = prepare(model, {"prune": SCHEMES[case.scheme]})
    module = without_dead(pruned)
    ranges = coarse(ranges_of(module, {"method": "minmax"}) or {})
    stages = lower_fastest(pruned, module, spec, QuantizeInt8(ranges=ranges), {})
    return network_of(stages, model, spec).programs


def line(case: ReplayCase) -> str:
    """The case's line of the table."""
    code, numbers, cycles = hashlib.sha256(), hashlib.sha256(), 0
    for name, program in compiled(case).items():
        code.update(program.to_bytes())
        run = Machine(program.spec).run(program, _inputs(program))
        for output in sorted(run.outputs):
            numbers.update(run.outputs[output].tobytes())
        numbers.update(_numbers(run, program, name).encode())
        cycles += run.cycles
    return f"{case!s:<52}{code.hexdigest()[:16]}  {numbers.hexdigest()[:16]}  {cycles:>11,}"


def _inputs(program: Program) -> dict[str, Any]:
    """Whole numbers that no processor computes otherwise."""
    rng = np.random.default_rng(0)
    return {
        tensor.name: rng.integers(
            np.iinfo(tensor.dtype).min,
            np.iinfo(tensor.dtype).max + 1,
            (1, tensor.channels, *tensor.spatial),
        ).astype(tensor.dtype)
        for tensor in program.inputs
    }


def _numbers(run: Run, program: Program, name: str) -> str:
    """The report of a region as text."""
    table = asdict(region_report(run, program))
    return name + json.dumps(table, sort_keys=True, default=str)


def lines(chosen: Iterable[ReplayCase], jobs: int) -> Iterator[str]:
    """The table's lines as they are ready, in order."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(line, chosen)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--renew", action="store_true", help="write the table anew")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    if args.renew and args.only:
        parser.error("--renew makes the whole table; leave --only out")
    chosen = [case for case in cases() if args.only in str(case)]
    known = (
        {}
        if args.renew
        else dict(zip(map(str, cases()), TABLE.read_text("utf-8").splitlines(), strict=True))
    )
    found, changed = [], 0
    for case, text in zip(chosen, lines(chosen, args.jobs), strict=True):
        found.append(text)
        differs = not args.renew and known[str(case)] != text
        changed += differs
        print(text + ("  CHANGED" if differs else ""), flush=True)
    if args.renew:
        TABLE.write_text("\n".join(found) + "\n", encoding="utf-8")
        return 0
    print(f"{len(found) - changed} of {len(found)} as in {TABLE.name}")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
