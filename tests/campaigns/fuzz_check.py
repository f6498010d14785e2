"""Judging one case: compiled, run, and compared with what it should give."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.campaigns.fuzz_case import FuzzCase, InvalidCaseError
from tests.campaigns.fuzz_layers import build_graph, input_data
from tests.compiler.batched import batched, random_data, run_batch
from tests.compiler.least import permuted, real_macs
from tests.compiler.oracle import evaluate
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.legality import supports
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.relay_passes.integer.layers import ConvLayer, DenseLayer

Array = npt.NDArray[Any]
BATCHED = 3  # of so many cases one is compiled for several images, too
SECONDS = 300  # no case takes longer than that


class DifferenceError(AssertionError):
    """Two sides that should agree do not."""


NO_TILE = "no tile of it fits"


@dataclass(frozen=True)
class FuzzVerdict:
    """outcome: ``exact``, ``too small`` (for the hardware) or ``failed``; what: the failure's kind,
    without its numbers and names; message: all of it."""

    outcome: str
    what: str = ""
    message: str = ""


def judge(case: FuzzCase) -> FuzzVerdict:
    """Check a case; InvalidCaseError passes through."""
    try:
        with _limit(SECONDS):
            return FuzzVerdict(check(case))
    except InvalidCaseError:
        raise
    except Exception as problem:  # whatever it is, it is what the fuzzer looks for
        message = f"{type(problem).__name__}: {problem}"
        what = re.sub(r"'[^']*'|\[[^]]*\]|-?\d+", "_", message.splitlines()[0])
        return FuzzVerdict("failed", what[:120], message)


def check(case: FuzzCase) -> str:
    """``exact`` or ``too small``; raises whatever goes wrong."""
    if case.form == "onnx":
        from tests.campaigns.fuzz_front import check_front

        return check_front(case)
    graph, spec = build_graph(case), case.spec()
    try:
        program = compile_graph(graph, spec)
    except CompileError as problem:
        if NO_TILE in str(problem):  # a whole compile leaves such a layer to the CPU, and says so
            return "too small"
        if not case.changes:
            raise
        compile_graph(graph, replace(case, changes={}).spec())
        return "too small"
    data = input_data(case, graph)
    run = Machine(spec).run(program, data, seed=case.order)
    macs, passed = run.totals["macs"], run.totals["passed_over"]
    if macs + passed != multiplies(graph):
        raise DifferenceError(
            f"{macs} multiplies were done and {passed} passed over, the layers have "
            f"{multiplies(graph)}"
        )
    real = sum(real_macs(node.layer) for node in graph.nodes)
    if run.totals["real_macs"] != real:
        raise DifferenceError(
            f"{run.totals['real_macs']} multiplies were by inputs within the "
            f"image, the layers have {real}"
        )
    _check_images(spec, program, data, run)
    wanted = evaluate(graph, data)
    found = [run.outputs[tensor.name] for tensor in program.outputs]
    compare("the oracle", graph, [wanted[name] for name in graph.outputs], found)
    if case.tvm:
        from tests.campaigns.fuzz_tvm import evaluate_on_cpu

        compare("TVM", graph, evaluate_on_cpu(graph, data), found)
    if case.origin is not None and case.origin % BATCHED == 0:
        _check_batch(graph, spec, case.origin)
    return "exact"


def _check_batch(graph: LayerGraph, spec: AccelSpec, seed: int) -> None:
    """Two to four other images in one program, where the accelerator takes them and memories hold
    their tiles."""
    several = batched(graph, 2 + seed // BATCHED % 3)
    if any(supports(spec)(node.layer) for node in several.nodes):
        return
    try:
        program = compile_graph(several, spec)
    except CompileError as problem:
        if "choose a target" in str(problem):  # no tile fits, or no step
            return
        raise
    data = random_data(several, seed)
    wanted, (_, found) = evaluate(several, data), run_batch(program, several, data)
    compare(
        "the oracle, of a batch,",
        several,
        [wanted[name] for name in several.outputs],
        [found[name] for name in several.outputs],
    )


def _check_images(spec: AccelSpec, program: Program, data: dict[str, Array], run: Run) -> None:
    """Images that go through a walk together have each what it has by itself."""
    images = [
        data,
        *(
            {
                name: np.roll(values.reshape(-1), step).reshape(values.shape)
                for name, values in data.items()
            }
            for step in (1, 5)
        ),
    ]
    alone = [run, *(Machine(spec).run(program, image, seed=run.seed) for image in images[1:])]
    together = Machine(spec).run(
        program,
        {name: np.concatenate([image[name] for image in images]) for name in data},
        seed=run.seed,
    )
    for number, want in enumerate(alone):
        found = together.of_image(number)
        for name, values in want.outputs.items():
            if not np.array_equal(found.outputs[name], values):
                raise DifferenceError(f"output '{name}' of image {number} is not what it has alone")
        if (found.end != want.end).any() or found.totals != want.totals:
            raise DifferenceError(f"image {number} does not take the time that it takes alone")


def multiplies(graph: LayerGraph) -> int:
    """By weights that are not zero, of each for every output of its filter; but for frames of
    padding, which nothing multiplies."""
    return sum(
        _framed(node.layer)
        if isinstance(node.layer, ConvLayer) and node.layer.weight.ndim == 5
        else int(np.count_nonzero(node.layer.weight)) * int(np.prod(node.layer.y.shape[2:]))
        for node in graph.nodes
        if isinstance(node.layer, ConvLayer | DenseLayer)
    ) + sum(permuted(node.layer) for node in graph.nodes)


def _framed(layer: ConvLayer) -> int:
    """Of a 3-D convolution: each tap over frames for the frames of the result in which it looks at
    one of the input."""
    starts = np.arange(layer.y.shape[2]) * layer.strides[0] - layer.padding[0]
    taps = starts + np.arange(layer.weight.shape[2])[:, None] * layer.dilation[0]
    there = ((taps >= 0) & (taps < layer.x.shape[2])).sum(axis=1)
    held = np.count_nonzero(layer.weight, axis=(0, 1, 3, 4))
    return int(held @ there) * int(np.prod(layer.y.shape[3:]))


def compile_graph(graph: LayerGraph, spec: AccelSpec) -> Program:
    """CompileError if it does not fit."""
    region = lower(graph)
    return emit_region(region, spec, plan_region(region, spec))


def compare(side: str, graph: LayerGraph, wanted: list[Array], found: list[Array]) -> None:
    """DifferenceError at the first element that differs."""
    for name, want, got in zip(graph.outputs, wanted, found, strict=True):
        got = got.reshape(want.shape)
        if got.dtype != want.dtype:
            raise DifferenceError(f"output '{name}' is {got.dtype}, {side} has {want.dtype}")
        at = np.argwhere(got != want)
        if len(at):
            index = tuple(int(n) for n in at[0])
            raise DifferenceError(
                f"{len(at)} elements differ from {side}, the first at "
                f"{list(index)} of '{name}': {want[index]}, not {got[index]}"
            )


@contextlib.contextmanager
def _limit(seconds: int) -> Iterator[None]:
    """TimeoutError after so many seconds."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"not done within {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
