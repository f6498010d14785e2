"""Random cases of form ``onnx``: models of operators that the accelerator has, and some that stay
on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tests.campaigns.fuzz_case import FuzzCase, FuzzStep, InvalidCaseError
from tests.campaigns.fuzz_onnx import Shape, build_model, shapes_of
from tests.campaigns.fuzz_random import TARGETS, buildable, random_changes, random_target
from tests.campaigns.fuzz_weights import DENSITIES, SCHEMES

SIZES = (1, 2, 3, 5, 8, 11, 16)
KINDS = {
    "Conv": 9,
    "BatchNormalization": 2,
    "LayerNormalization": 1,
    "Relu": 4,
    "Clip": 2,
    "Add": 4,
    "Mul": 1,
    "Sub": 1,
    "Sigmoid": 1,
    "LeakyRelu": 1,
    "HardSwish": 1,
    "ConvTranspose": 1,
    "Resize": 2,
    "DepthToSpace": 1,
    "Slice": 1,
    "MaxPool": 2,
    "AveragePool": 2,
    "GlobalAveragePool": 1,
    "GlobalMaxPool": 1,
    "ReduceMean": 1,
    "Concat": 3,
    "Flatten": 1,
    "Reshape": 1,
    "Gemm": 2,
    "MatMul": 1,
    "Softmax": 1,
    "Transpose": 1,
    "Pad": 1,
    "Identity": 1,
    "Dropout": 1,
    "Squeeze": 1,
}
RECIPES = (
    "unstructured:sparsity=0.75",
    "unstructured:sparsity=0.9,scope=global",
    "unstructured:sparsity=0.8,scope=erk",
    "pattern:connectivity=0.5",
    "pattern:skip=yes",
    "pattern:library=pconv,skip_first=no,skip=yes",
    "nm:skip=yes",
    "group:q=2,g=8",
    "shape",
    "block:block=4x4",
    "kernel_group",
    "channels",
    "filters:scope=global",
    "lowrank:skip=yes",
)
PRUNED = {"Conv", "Gemm", "MatMul"}  # a recipe for a model without any is refused
PROPOSALS = 30


def random_model(seed: int) -> FuzzCase:
    """The case of a seed."""
    rng = np.random.default_rng([seed, 3])
    model = _Model(rng)
    for _ in range(int(rng.integers(1, 13))):
        model.layer()
    target = random_target(rng)
    case = FuzzCase(
        form="onnx",
        target=target,
        inputs=model.inputs,
        steps=tuple(model.steps),
        outputs=tuple(model.ends()),
        changes=random_changes(rng, target) if rng.random() < 0.3 else {},
        order=int(rng.integers(1 << 30)),
        data={"seed": seed},
        origin=seed,
    ).trimmed()
    settings: dict[str, Any] = {"method": str(rng.choice(["minmax", "percentile", "mse"]))}
    drawn = rng.random()
    if drawn < 0.3:
        settings = {"qdq": str(rng.choice(["int8", "uint8"])), "pairs": seed}
    elif drawn < 0.5 and any(step.kind in PRUNED for step in case.steps):
        settings["prune"] = str(rng.choice(RECIPES))
    return buildable(replace(case, settings=settings))


MOVES = ("ConvTranspose", "Resize", "DepthToSpace", "Slice")


class _Model:
    """Grows a model node by node."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.inputs: dict[str, Mapping[str, Any]] = {}
        self.steps: list[FuzzStep] = []
        self.shapes: dict[str, Shape] = {}
        rank = int(rng.choice([1, 2, 3, 4], p=[0.05, 0.1, 0.82, 0.03]))
        sizes = [int(n) for n in rng.choice(SIZES[:5] if rank == 4 else SIZES, rank - 1)]
        shape = [1, int(rng.integers(1, 41)), *sizes]
        for name in ["x0", "x1"][: 2 if rng.random() < 0.2 else 1]:
            self.inputs[name] = {"shape": shape}
            self.shapes[name] = tuple(shape)

    def ends(self) -> list[str]:
        """Values that nothing reads, and now and then another."""
        read = {name for step in self.steps for name in step.inputs}
        made = [step.output for step in self.steps]
        ends = [name for name in made if name not in read]
        if self.rng.random() < 0.2:
            ends.append(str(self.rng.choice(made)))
        return list(dict.fromkeys(ends))

    def layer(self) -> None:
        """One more node on a value of the last few."""
        weights = np.array(list(KINDS.values()), float)
        for _ in range(PROPOSALS):
            kind = str(self.rng.choice(list(KINDS), p=weights / weights.sum()))
            name = str(self.rng.choice(list(self.shapes)[-3:]))
            try:
                self._add(self._propose(kind, name, self.shapes[name]))
            except InvalidCaseError:
                continue
            if kind == "LayerNormalization":
                self._turn_back(name)
            return
        self._add(FuzzStep("Relu", (name,), f"v{len(self.steps)}"))

    def _add(self, step: FuzzStep) -> None:
        source = {name: {"shape": list(self.shapes[name])} for name in step.inputs}
        case = FuzzCase("onnx", TARGETS[0], source, (step,), (step.output,))
        self.shapes[step.output] = shapes_of(build_model(case))[step.output]
        self.steps.append(step)

    def _turn_back(self, name: str) -> None:
        """A transpose behind a normalisation that has one before it, with a dense layer on each
        pixel between them now and then."""
        *before, norm = self.steps
        if not before or before[-1].output not in norm.inputs or norm.inputs[0] == name:
            return
        last = norm.output
        if self.rng.random() < 0.4:
            filters = {"filters": int(self.rng.integers(1, 40)), **self._zeros()}
            self._add(FuzzStep("MatMul", (last,), f"v{len(self.steps)}", filters))
            last = self.steps[-1].output
        rank = len(self.shapes[name])
        perm = [0, rank - 1, *range(1, rank - 1)]
        self._add(FuzzStep("Transpose", (last,), f"v{len(self.steps)}", {"perm": perm}))

    def _propose(self, kind: str, name: str, shape: Shape) -> FuzzStep:
        """A node of a kind that may suit a value."""
        rng = self.rng
        options: dict[str, Any] = {}
        inputs = [name]
        rank = len(shape) - 2
        if (
            kind
            in (
                "Conv",
                "MaxPool",
                "AveragePool",
                "GlobalAveragePool",
                "GlobalMaxPool",
                "BatchNormalization",
            )
            and rank < 1
        ):
            raise InvalidCaseError("no spatial dimension")
        if kind == "Conv":
            options = self._conv(shape)
        elif kind in MOVES:
            options = self._move(kind, shape)
        elif kind in ("MaxPool", "AveragePool"):
            options = self._pool(kind, rank)
        elif kind in ("Gemm", "MatMul"):
            options = {"filters": int(rng.integers(1, 40)), **self._zeros()}
            if kind == "Gemm":
                options |= {"transB": int(rng.integers(0, 2)), "bias": bool(rng.random() < 0.7)}
            if kind == "Gemm" and rng.random() < 0.2:
                options |= {"alpha": 0.5, "beta": 2.0}
        elif kind in ("Add", "Mul", "Sub"):
            same = [n for n, s in self.shapes.items() if s == shape]
            if rng.random() < (0.15 if kind == "Add" else 0.6):
                options = {
                    "constant": str(rng.choice(["number", "channel", "full"])),
                    "seed": int(rng.integers(1 << 30)),
                }
            else:
                inputs.append(str(rng.choice(same)))
                rng.shuffle(inputs)
        elif kind == "LayerNormalization":
            options = {"axis": -1, "seed": int(rng.integers(1 << 30))}
            if rank > 0 and rng.random() < 0.8:  # over the channels
                perm = {"perm": [0, *range(2, rank + 2), 1]}
                self._add(FuzzStep("Transpose", (name,), f"v{len(self.steps)}", perm))
                inputs = [self.steps[-1].output]
        elif kind == "BatchNormalization":
            options = {"seed": int(rng.integers(1 << 30))}
        elif kind == "Clip":
            options = {"constant": [[0, 6], [-1, 1], [0.25, 0.75], [-0.5, 3]][rng.integers(4)]}
        elif kind == "ReduceMean":
            options = {
                "axes": list(range(2, len(shape))) if rng.random() < 0.8 else [1],
                "keepdims": int(rng.integers(0, 2)),
            }
            if not options["axes"]:
                raise InvalidCaseError("no spatial dimension")
        elif kind == "Concat":
            axis = 1 if rng.random() < 0.85 else int(rng.integers(-len(shape), len(shape)))
            alike = [n for n, s in self.shapes.items() if len(s) == len(shape)]
            inputs += [str(n) for n in rng.choice(alike, int(rng.integers(1, 3)))]
            options = {"axis": axis}
        elif kind == "Softmax":
            options = {"axis": int(rng.choice([1, -1]))}
        elif kind == "Transpose":
            options = {"perm": [0, *(int(n) + 1 for n in rng.permutation(len(shape) - 1))]}
        elif kind == "Pad":
            pads = [int(n) for n in rng.integers(0, 3, 2 * max(rank, 0))]
            options = {"constant": [0, 0, *pads[:rank], 0, 0, *pads[rank:]]}
        elif kind == "Squeeze":
            options = {"constant": [n for n in range(2, len(shape)) if shape[n] == 1]}
            if not options["constant"]:
                raise InvalidCaseError("nothing to squeeze")
        elif kind == "Reshape":
            size = int(np.prod(shape))
            part = int(rng.choice([n for n in range(1, min(size, 32) + 1) if size % n == 0]))
            options = {"constant": [[1, -1], [1, part, -1], [1, part, -1, 1]][rng.integers(3)]}
        return FuzzStep(kind, tuple(inputs), f"v{len(self.steps)}", options)

    def _move(self, kind: str, shape: Shape) -> dict[str, Any]:
        """Options of a resize, slice, transposed convolution or depth to space."""
        rng, rank = self.rng, len(shape) - 2
        if kind == "Slice":
            axis = int(rng.integers(1, len(shape)))
            begin, end = sorted(int(n) for n in rng.integers(0, shape[axis] + 1, 2))
            return {"constant": [begin, end, axis]}
        if not 1 <= rank <= 2 or np.prod(shape) > 4000:
            raise InvalidCaseError("no image, or a large one")
        if kind == "ConvTranspose":
            kernel = [int(n) for n in rng.integers(1, 5, rank)]
            return {
                "kernel": kernel,
                "filters": int(rng.integers(1, 24)),
                "strides": [int(n) for n in rng.integers(1, 4, rank)],
                "pads": [int(rng.integers(0, k)) for k in (*kernel, *kernel)],
                "bias": bool(rng.random() < 0.5),
                **self._zeros(),
            }
        if rank != 2:
            raise InvalidCaseError("no image")
        if kind == "DepthToSpace":
            return {"blocksize": int(rng.integers(1, 4)), "mode": str(rng.choice(["DCR", "CRD"]))}
        return {
            "constant": [float(n) for n in rng.choice([1, 1.5, 2, 3], 2)],
            "mode": str(rng.choice(["nearest", "linear"])),
            "coordinate_transformation_mode": str(
                rng.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
            ),
        }

    def _zeros(self) -> dict[str, Any]:
        rng = self.rng
        made: dict[str, Any] = {"seed": int(rng.integers(1 << 30))}
        if rng.random() < 0.4:
            made |= {"density": float(rng.choice(DENSITIES)), "zeros": str(rng.choice(SCHEMES[:1]))}
        return made

    def _conv(self, shape: Shape) -> dict[str, Any]:
        rng, rank = self.rng, len(shape) - 2
        made: dict[str, Any] = {
            "filters": int(rng.integers(1, 41)),
            **self._zeros(),
            "bias": bool(rng.random() < 0.6),
            "zeros": str(rng.choice(SCHEMES)),
        }
        if rng.random() < 0.8:
            made["kernel"] = [int(n) for n in rng.choice([1, 2, 3, 3, 3, 5], rank)]
            made |= self._padding(made["kernel"])
            if rng.random() < 0.2:
                made["dilations"] = [int(n) for n in rng.integers(1, 3, rank)]
        if rng.random() < 0.4:
            made["strides"] = [int(n) for n in rng.integers(1, 4, rank)]
        drawn = rng.random()
        if drawn < 0.2:
            made["depthwise"] = True
        elif drawn < 0.4:
            groups = int(rng.choice([g for g in range(1, 9) if shape[1] % g == 0]))
            made |= {"group": groups, "filters": groups * int(rng.integers(1, 8))}
        return made

    def _padding(self, kernel: list[int]) -> dict[str, Any]:
        rng = self.rng
        drawn = rng.random()
        if drawn < 0.2:
            return {"auto_pad": str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))}
        if drawn < 0.6:
            return {"pads": [k // 2 for k in kernel] * 2}
        return {"pads": [int(n) for n in rng.integers(0, 3, 2 * len(kernel))]}

    def _pool(self, kind: str, rank: int) -> dict[str, Any]:
        rng = self.rng
        kernel = [int(n) for n in rng.integers(1, 4, rank)]
        made: dict[str, Any] = {
            "kernel_shape": kernel,
            "strides": [int(n) for n in rng.integers(1, 4, rank)],
        }
        if rng.random() < 0.4:
            made["pads"] = [int(rng.integers(0, k)) for k in kernel] * 2
        elif rng.random() < 0.3:
            made["pads"] = [int(rng.integers(0, k)) for k in [*kernel, *kernel]]
        if rng.random() < 0.2:
            made["ceil_mode"] = 1
        if kind == "AveragePool" and rng.random() < 0.5:
            made["count_include_pad"] = 1
        if kind == "MaxPool" and rng.random() < 0.1:
            made["dilations"] = [int(n) for n in rng.integers(1, 3, rank)]
        return made
