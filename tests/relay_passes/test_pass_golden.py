"""Every pass on a network of a few lines: the module before and after it, held to a file.

``pytest --update-golden`` writes the files of ``golden/`` anew. Beside the Relax text, in which
constants have no numbers, stands of each constant how many elements are not zero, and their sum.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tvm
from tvm import relax

import zeroskip.relay_passes as passes
from zeroskip import compiler
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec
from zeroskip.relay_passes.attrs import NODES_ATTR
from zeroskip.relay_passes.pruning.reconstruction.reconstruct import Reconstruct
from zeroskip.relay_passes.pruning.schemes.dead_channels import RemoveDeadChannels
from zeroskip.relay_passes.pruning.schemes.idle_filters import DropIdleFilters
from zeroskip.relay_passes.quantize.scales import Range
from zeroskip.relay_passes.relax.normal_form import NormaliseRelax
from zeroskip.relay_passes.relax.rewriting import const_value

GOLDEN = Path(__file__).parent / "golden"
SOURCES = Path(passes.__file__).parent, Path(compiler.__file__).parent
SPEC = load_spec("sparse256")
RANGES = {name: Range(-4.0, 4.0) for name in ("x", "conv", "relu", "last")}
op = relax.op
Emit = Callable[[str, Any], Any]  # names a result


def numbers(*shape: int) -> np.ndarray:
    """Float32 eighths from -2 to 2, no two rows alike and few equal: exact, and the same
    anywhere."""
    return ((np.arange(np.prod(shape)) * 37 % 33 - 16) / 8).reshape(shape).astype(np.float32)


def const(array: np.ndarray) -> Any:
    return relax.const(array, str(array.dtype))


def per_channel(*values: float) -> Any:
    return const(np.array(values, np.float32).reshape(1, -1, 1, 1))


def module(channels: int, body: Callable[[Any, Emit], Any], size: int = 6) -> tvm.IRModule:
    """``main`` on x: float32 [1, channels, size, size]; every variable is a node of its name."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, channels, size, size), "float32"))
    names: list[str] = []

    def emit(name: str, value: Any) -> Any:
        names.append(name)
        return builder.emit(value, name)

    with builder.function("main", [x]):
        with builder.dataflow():
            last = builder.emit_output(body(x, emit), "out")
        builder.emit_func_output(last)
    made = builder.get()
    made["main"] = made["main"].with_attr(NODES_ATTR, {name: name for name in names})
    return made


def convolutions(first: np.ndarray, second: np.ndarray) -> tvm.IRModule:
    """Two convolutions with a ReLU between them."""

    def body(x: Any, emit: Emit) -> Any:
        y = emit("conv", op.nn.conv2d(x, const(first), padding=1))
        return emit("last", op.nn.conv2d(emit("relu", op.nn.relu(y)), const(second), padding=1))

    return module(first.shape[1], body)


def plain() -> tvm.IRModule:
    return convolutions(numbers(16, 4, 3, 3), numbers(16, 16, 3, 3))


def folding_constants() -> tvm.IRModule:
    def body(x: Any, emit: Emit) -> Any:
        scaled = emit(
            "scaled", op.multiply(const(numbers(4, 2, 1, 1)), const(np.array([2.0], np.float32)))
        )
        return emit("conv", op.nn.conv2d(x, scaled))

    return module(2, body)


def channels_last() -> tvm.IRModule:
    def body(x: Any, emit: Emit) -> Any:
        layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
        y = emit("conv", op.nn.conv2d(x, const(numbers(3, 3, 6, 2)), **layouts))
        y = emit("relu", op.nn.relu(emit("bias", op.add(y, const(numbers(2))))))
        y = emit("flat", op.reshape(y, (1, 32)))
        return emit("dense", op.matmul(y, const(numbers(32, 3))))

    made = module(6, body)
    made["main"] = made["main"].without_attr(NODES_ATTR)
    return made


def normalised() -> tvm.IRModule:
    def body(x: Any, emit: Emit) -> Any:
        y = emit("conv", op.nn.conv2d(x, const(numbers(2, 3, 3, 3))))
        return emit(
            "shift", op.add(emit("scale", op.multiply(y, per_channel(2, 4))), per_channel(1, -1))
        )

    return module(3, body)


def scaled_before() -> tvm.IRModule:
    def body(x: Any, emit: Emit) -> Any:
        y = emit("scale", op.multiply(x, per_channel(2, 0.5)))
        return emit("conv", op.nn.conv2d(y, const(numbers(4, 2, 3, 3))))

    return module(2, body)


def scaled_between() -> tvm.IRModule:
    def body(x: Any, emit: Emit) -> Any:
        y = emit("conv", op.nn.conv2d(x, const(numbers(2, 2, 3, 3))))
        y = emit("scale", op.multiply(emit("relu", op.nn.relu(y)), per_channel(-2, 0.5)))
        return emit("last", op.nn.conv2d(y, const(numbers(2, 2, 3, 3)), padding=1))

    return module(2, body)


def classified() -> tvm.IRModule:
    """A constant beside every image, and shapes that are written out."""

    def body(x: Any, emit: Emit) -> Any:
        token = const(numbers(1, 1, 6, 6))
        y = emit("joined", op.concat([emit("relu", op.nn.relu(x)), token], axis=1))
        y = emit("groups", op.reshape(y, (1, 3, 1, 36)))
        y = emit("bias", op.add(emit("flat", op.reshape(y, (1, 108))), const(numbers(1, 108))))
        return emit("dense", op.matmul(y, const(numbers(108, 4))))

    return module(2, body)


def upsampled() -> tvm.IRModule:
    def body(x: Any, emit: Emit) -> Any:
        y = emit("up", op.nn.conv2d_transpose(x, const(numbers(2, 3, 2, 2)), strides=2))
        y = emit("relu", op.nn.relu(emit("bias", op.add(y, per_channel(1, 2, 3)))))
        low = emit("low", relax.TupleGetItem(emit("split", op.split(y, [1], axis=1)), 0))
        how = {"method": "nearest_neighbor", "coordinate_transformation_mode": "asymmetric"}
        how["rounding_method"] = "floor"
        return emit("wide", op.image.resize2d(low, (24, 12), layout="NCHW", **how))

    return module(2, body)


def shuffled() -> tvm.IRModule:
    def body(x: Any, emit: Emit) -> Any:
        y = emit("groups", op.reshape(x, (1, 2, 2, 6, 6)))
        y = emit(
            "shuffle", op.reshape(emit("turn", op.permute_dims(y, [0, 2, 1, 3, 4])), (1, 4, 6, 6))
        )
        right = emit("right", op.strided_slice(y, [1], [1], [4]))
        return emit("conv", op.nn.conv2d(right, const(numbers(2, 3, 1, 1))))

    return module(4, body)


def interpolated() -> tvm.IRModule:
    def body(x: Any, emit: Emit) -> Any:
        y = emit("conv", op.nn.conv2d(x, const(numbers(2, 2, 1, 1))))
        how = {"method": "linear", "coordinate_transformation_mode": "asymmetric"}
        return emit("up", op.image.resize2d(y, (12, 6), layout="NCHW", **how))

    return module(2, body)


def with_dead_channels() -> tvm.IRModule:
    first = numbers(4, 4, 3, 3)
    first[1] = 0
    return convolutions(first, numbers(4, 4, 3, 3))


def with_an_idle_filter() -> tvm.IRModule:
    first = numbers(4, 4, 3, 3)
    first[2] /= 1 << 16
    return convolutions(first, numbers(4, 4, 3, 3))


def quantized() -> tvm.IRModule:
    return passes.QuantizeInt8(ranges=RANGES)(plain())


def partitioned() -> tvm.IRModule:
    return passes.PartitionForAccelerator(compiler.supports(SPEC))(quantized())


def scheduled() -> tvm.IRModule:
    return compiler.TileAndSchedule(SPEC)(partitioned())


def reconstruct() -> Any:
    samples = {"x": np.concatenate([numbers(1, 4, 6, 6) * k for k in (1, -1, 2)])}
    return Reconstruct(plain(), samples, "statistics")


class GoldenCase(NamedTuple):
    """A module and a pass. exact: whether the numbers that it makes are the same on any machine."""

    before: Callable[[], tvm.IRModule]
    make: Callable[[], Any]
    exact: bool = True


CASES = {
    "NormaliseRelax": GoldenCase(channels_last, NormaliseRelax),
    "FoldConstants": GoldenCase(folding_constants, passes.FoldConstants),
    "FoldBatchNorm": GoldenCase(normalised, passes.FoldBatchNorm),
    "DecomposeOperators": GoldenCase(upsampled, passes.DecomposeOperators),
    "BatchImages": GoldenCase(classified, lambda: passes.BatchImages(3)),
    "FoldForward": GoldenCase(scaled_before, passes.FoldForward),
    "FoldShuffles": GoldenCase(shuffled, passes.FoldShuffles),
    "InterpolationLayers": GoldenCase(interpolated, passes.InterpolationLayers),
    "AffineLayers": GoldenCase(scaled_between, passes.AffineLayers),
    "PrunePattern": GoldenCase(plain, lambda: passes.PrunePattern(connectivity=0.5)),
    "PruneUnstructured": GoldenCase(plain, passes.PruneUnstructured),
    "PruneNm": GoldenCase(plain, passes.PruneNm),
    "PruneGroups": GoldenCase(plain, passes.PruneGroups),
    "PruneShapes": GoldenCase(plain, passes.PruneShapes),
    "PruneBlocks": GoldenCase(plain, lambda: passes.PruneBlocks(block=(4, 4))),
    "PruneKernelGroups": GoldenCase(plain, passes.PruneKernelGroups),
    "PruneFilters": GoldenCase(plain, passes.PruneFilters),
    "PruneChannels": GoldenCase(plain, passes.PruneChannels),
    "DecomposeLowRank": GoldenCase(plain, lambda: passes.DecomposeLowRank(ratio=0.5), exact=False),
    "Reconstruct": GoldenCase(lambda: passes.PruneUnstructured()(plain()), reconstruct),
    "RemoveDeadChannels": GoldenCase(with_dead_channels, RemoveDeadChannels),
    "DropIdleFilters": GoldenCase(with_an_idle_filter, lambda: DropIdleFilters(RANGES)),
    "KeepFloat": GoldenCase(plain, lambda: passes.KeepFloat(["la*"])),
    "QuantizeInt8": GoldenCase(plain, lambda: passes.QuantizeInt8(ranges=RANGES)),
    "PartitionForAccelerator": GoldenCase(
        quantized, lambda: passes.PartitionForAccelerator(compiler.supports(SPEC))
    ),
    "TileAndSchedule": GoldenCase(partitioned, lambda: compiler.TileAndSchedule(SPEC)),
    "JoinHostCalls": GoldenCase(partitioned, passes.JoinHostCalls),
    "EmitProgram": GoldenCase(scheduled, lambda: compiler.EmitProgram(SPEC)),
}


def text(mod: tvm.IRModule, exact: bool = True) -> str:
    """Relax, then every constant of every function; exact: with its numbers in short."""
    script = mod.script(show_meta=False).replace(SPEC.fingerprint, "<fingerprint>")
    kept = [line.rstrip() for line in script.splitlines() if not line.lstrip().startswith("#")]
    constants: list[str] = []

    def note(node: Any) -> None:
        array = const_value(node)
        if array is not None and array.size > 1:
            constants.append(f"# {name} {len(constants)}: {summary(array, exact)}")

    for name in sorted(gvar.name_hint for gvar in mod.get_global_vars()):
        relax.analysis.post_order_visit(mod[name], note)
    return "\n".join([*kept, *constants]).lstrip("\n") + "\n"


def summary(array: np.ndarray, exact: bool) -> str:
    if array.dtype == np.uint8 and array.nbytes > 1000:
        program = Program.from_bytes(array.tobytes())
        return f"program {program.name}, {len(program.words)} instructions"
    shape, total = "x".join(map(str, array.shape)), float(array.sum(dtype=np.float64))
    filled = f", {np.count_nonzero(array)} of {array.size} not zero, sum {total:.4g}"
    return f"{array.dtype}[{shape}]{filled * exact}"


@pytest.mark.parametrize("name", CASES)
def test_a_pass_does_what_it_did(name: str, update_golden: bool) -> None:
    case, path = CASES[name], GOLDEN / f"{name}.txt"
    before = case.before()
    after = case.make()(before)
    texts = text(before), text(after, case.exact)
    assert texts[0] != texts[1]  # it has something to do
    got = f"# before\n{texts[0]}\n# after {name}\n{texts[1]}"
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(got, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing; run pytest --update-golden and look at it"
    assert got == path.read_text(encoding="utf-8"), (
        "the module has changed; if it should, run pytest --update-golden and look at the change"
    )


@pytest.mark.parametrize("name", CASES)
def test_a_pass_is_left_out_by_its_name(name: str) -> None:
    case = CASES[name]
    made, before = case.make(), case.before()
    assert made.info.name == f"zeroskip.{name}"
    with tvm.transform.PassContext(disabled_pass=[made.info.name]):
        assert tvm.transform.Sequential([made])(before).same_as(before)


def test_every_pass_has_a_golden() -> None:
    declared = {
        node.name
        for folder in SOURCES
        for path in folder.rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
        and any("_pass(" in ast.unparse(decorator) for decorator in node.decorator_list)
    }
    assert declared == set(CASES)
    assert {path.stem for path in GOLDEN.glob("*.txt")} == declared
