"""Random cases of form ``layers``: networks of 1 to 12 layers, and hardware of all sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from tests.campaigns.fuzz_case import FuzzCase, FuzzStep, InvalidCaseError
from tests.campaigns.fuzz_layers import build_graph, input_tensor, make_layer
from tests.campaigns.fuzz_weights import DENSITIES, SCHEMES, random_multiplier
from tests.campaigns.fuzz_wide import widened
from zeroskip.accel_model.spec import SpecError
from zeroskip.relay_passes.integer.layers import BOUNDS, QTensor, quantize_multiplier, spreads_over

LANES = ("dense256", "sparse256", "pattern256")
ARRAYS = (
    "systolic256",
    "diannao256",
    "kang256",
    "nm256",
    "cambriconx256",
    "scnn256",
    "dcnn256",
    "eyeriss256",
    "sparten256",
    "zhu256",
    "abm256",
)
TARGETS = (*LANES, *ARRAYS)
SIZES = (1, 2, 3, 5, 7, 8, 13, 16, 23, 30)
MEMORIES = {
    "act_bytes": 180224,
    "wgt_bytes": 147456,
    "acc_bytes": 32768,
    "par_bytes": 16384,
    "staging_bytes": 16384,
}
KINDS = {
    "conv": 5,
    "pointwise": 3,
    "depthwise": 2,
    "grouped": 2,
    "add": 4,
    "multiply": 2,
    "gate": 2,
    "residual": 3,
    "maxpool": 2,
    "avgpool": 2,
    "global": 1,
    "requantise": 1,
    "lookup": 3,
    "concat": 3,
    "reshape": 1,
    "move": 2,
    "dense": 2,
}
PROPOSALS = 20  # until a layer fits the value it reads


def flat_seeds(first: int) -> Iterator[int]:
    """Seeds from ``first`` on of networks without volumes and int16, which TOSA's text lacks."""
    for seed in count(first):
        tensors = build_graph(random_case(seed)).tensors
        if all(len(one.shape) < 5 and one.dtype != "int16" for one in tensors.values()):
            yield seed


def random_case(seed: int) -> FuzzCase:
    """The case of a seed."""
    rng = np.random.default_rng([seed, 1])
    target = random_target(rng)
    changes = random_changes(rng, target) if rng.random() < 0.7 else {}
    network = _Network(rng, np.random.default_rng([seed, 4]))
    network.grow(int(rng.integers(1, 13)))
    case = FuzzCase(
        form="layers",
        target=target,
        inputs=network.inputs,
        steps=tuple(network.steps),
        outputs=tuple(network.ends()),
        changes=changes,
        order=None if rng.random() < 0.3 else int(rng.integers(1 << 30)),
        data={
            "seed": seed,
            "kind": str(rng.choice(["uniform", "ends", "zeros"], p=[0.85, 0.1, 0.05])),
        },
        origin=seed,
    )
    case = buildable(case).trimmed()
    own = np.random.default_rng([seed, 2])  # beside what a seed has always drawn
    if case.spec().storage.activation_bits == 16 and own.random() < 0.5:
        return widened(case) or case
    return case


def buildable(case: FuzzCase) -> FuzzCase:
    """The case, on the target as it is where the changed one makes no accelerator."""
    try:
        case.spec()
    except SpecError:
        return replace(case, changes={})
    return case


def random_target(rng: np.random.Generator) -> str:
    """Half of them with lanes."""
    return str(rng.choice(LANES if rng.random() < 0.5 else ARRAYS))


def random_changes(rng: np.random.Generator, target: str) -> dict[str, Any]:
    """Other memories and another bus; now and then another array, and 16 bits of an element."""
    changes: dict[str, Any] = {}
    for name, full in MEMORIES.items():
        if rng.random() < 0.5:
            scale = float(rng.choice([0.05, 0.1, 0.25, 0.5, 2]))
            changes[f"sram.{name}"] = max(4096, int(full * scale) // 256 * 256)
    width = int(rng.choice([4, 8, 16, 32, 64]))
    changes["sram.act_banks"] = int(rng.choice([1, 2, 4, 8, 16, 32]))
    changes["dram.bytes_per_cycle"] = width
    changes["dram.burst_bytes"] = max(int(rng.choice([16, 32, 64, 128])), width)
    changes["dram.latency_cycles"] = int(rng.choice([0, 1, 17, 100, 1000]))
    if rng.random() < 0.3:
        array = _other_lanes if target in LANES else _other_array
        changes |= {f"array.{name}": value for name, value in array(rng, target).items()}
        changes["array.pipeline_cycles"] = int(rng.choice([0, 1, 8, 20]))
    (own,) = rng.spawn(1)  # what is drawn after it stays what a seed has always drawn
    if own.random() < 0.3:
        for of in ("activation", "weight"):
            changes[f"storage.{of}_bits"] = int(own.choice([8, 16]))
    if "array.max_gang" in changes and target in LANES:
        most = 1 << changes["array.max_gang"]
        changes["array.fetch_quads"] = min(int(own.choice([1, 2, 4])), most)
    return changes


def _other_lanes(rng: np.random.Generator, _target: str) -> dict[str, Any]:
    lanes = int(rng.choice([16, 32, 64, 128]))
    return {
        "lanes": lanes,
        "pixels": int(rng.choice([1, 2, 4, 8, 16])),
        "max_gang": int(rng.integers(0, min(3, lanes.bit_length() - 1) + 1)),
        "window_entries": int(rng.choice([32, 128, 256, 512, 1024])),
        "drain_width": int(rng.choice([1, 4, 16, 32])),
        "row_pixels": int(rng.choice([0, 5, 16, 64])),
    }


def _other_array(rng: np.random.Generator, target: str) -> dict[str, Any]:
    """Of the kinds that are not made of private lanes; ragged in every way."""

    def one_of(*values: int) -> int:
        return int(rng.choice(values))

    if target == "systolic256":
        return {
            "rows": one_of(4, 8, 16, 32),
            "cols": one_of(4, 8, 16, 32),
            "dataflows": one_of(1, 2),
            "accumulators": one_of(1, 7, 64, 1024),
        }
    if target == "diannao256":
        return {"tiles": one_of(1, 2, 4), "trees": one_of(1, 4, 16), "pixels": 1}
    if target == "cambriconx256":
        return {
            "pes": one_of(8, 16, 32),
            "multipliers": one_of(2, 8, 16),
            "window_rows": one_of(1, 4, 16),
            "windows": one_of(1, 2, 3),
            "row_reads": one_of(1, 4, 16),
            "max_outputs": one_of(0, 1, 2),
            "pixels": 1,
            "drain_width": one_of(1, 16),
        }
    if target in ("scnn256", "dcnn256"):
        grid = {"pe_rows": one_of(2, 3, 4, 8), "pe_cols": one_of(1, 2, 5, 8), "pixels": 1}
        if target == "dcnn256":
            return {**grid, "dot": one_of(8, 16, 32)}
        more = {"accumulators": one_of(256, 1024), "group_filters": one_of(1, 8, 13)}
        return {**grid, **more, "vector": one_of(3, 4), "drain_width": one_of(1, 4)}
    if target == "eyeriss256":
        sizes = {"filters": one_of(1, 4, 7), "outputs": one_of(1, 8, 11), "pixels": 1}
        return {**sizes, "pe_rows": one_of(1, 4, 16), "pe_cols": one_of(16, 20)}
    if target == "sparten256":
        sizes = {"clusters": one_of(1, 3, 8), "units": one_of(16, 20, 32), "pixels": 1}
        return {**sizes, "chunk": one_of(16, 128, 256), "drain_width": one_of(1, 2, 16)}
    if target == "zhu256":
        sizes = {"pes": one_of(2, 5, 16), "vector": one_of(8, 16, 20), "pixels": 1}
        return {**sizes, "fetch_rows": one_of(1, 4), "drain_width": one_of(1, 16)}
    if target == "abm256":
        share = one_of(1, 2, 4)
        sizes = {"lanes": one_of(2, 5, 16), "vector": share * one_of(8, 9), "share": share}
        return {**sizes, "window_entries": one_of(512, 2048), "pixels": 1}
    lanes = _other_lanes(rng, target)
    del lanes["row_pixels"]
    return {**lanes, "window_entries": one_of(16, 32, 64), "group": one_of(2, 4, 8, 16)}


class _Network:
    """Grows a network step by step."""

    def __init__(self, rng: np.random.Generator, apart: np.random.Generator) -> None:
        self.rng, self.apart = rng, apart  # apart: of what came later, so that seeds stay theirs
        self.inputs: dict[str, Mapping[str, Any]] = {}
        self.steps: list[FuzzStep] = []
        self.tensors: dict[str, QTensor] = {}
        self.density = float(rng.choice([*DENSITIES, 1.0]))
        rank = int(rng.choice([1, 2, 3, 4], p=[0.06, 0.12, 0.76, 0.06]))
        sizes = SIZES[:6] if rank == 4 else SIZES  # frames, rows and columns
        shape = [1, int(rng.integers(1, 131)), *self._choose(sizes, rank - 1)]
        self._input(shape)
        if rng.random() < 0.25:
            self._input(shape)

    def grow(self, count: int) -> None:
        """At least one step and up to about ``count``."""
        while len(self.steps) < count:
            self._layer()

    def ends(self) -> list[str]:
        """Values that nothing reads; now and then others too."""
        read = {name for step in self.steps for name in step.inputs}
        made = [step.output for step in self.steps]
        ends = [name for name in made if name not in read]
        if self.rng.random() < 0.3:
            ends += [str(name) for name in self.rng.choice(made, int(self.rng.integers(1, 4)))]
        if self.rng.random() < 0.1:
            self.rng.shuffle(ends)
        return list(dict.fromkeys(ends))

    # ------------------------------------------------------------------------------ drawing

    def _choose(self, values: tuple[int, ...], count: int) -> list[int]:
        return [int(n) for n in self.rng.choice(values, count)]

    def _integers(self, low: int, high: int, count: int) -> list[int]:
        """``count`` numbers of low..high; often all the same."""
        drawn = [int(n) for n in self.rng.integers(low, high + 1, count)]
        return drawn if self.rng.random() < 0.5 else drawn[:1] * count

    def _type(self) -> dict[str, Any]:
        """The type of a result and where it is clipped."""
        rng = self.rng
        dtype = "uint8" if rng.random() < 0.3 else "int8"
        low, high = BOUNDS[dtype]
        zero = (
            int(rng.choice([low, high, 0]))
            if rng.random() < 0.2
            else int(rng.integers(low, high + 1))
        )
        made: dict[str, Any] = {"dtype": dtype, "zero_point": zero}
        drawn = rng.random()
        if drawn < 0.4:
            made["clip"] = [zero, high]
        elif drawn < 0.5:
            made["clip"] = sorted(int(n) for n in rng.integers(low, high + 1, 2))
        return made

    def _scale(self, real: float) -> dict[str, int]:
        mult, shift = (
            random_multiplier(self.rng)
            if self.rng.random() < 0.1
            else quantize_multiplier(real * self.rng.uniform(0.3, 1.2))
        )
        return {"mult": mult, "shift": shift}

    def _zeros(self) -> dict[str, Any]:
        """Density and scheme of zeros, of the network's density more often than not."""
        rng = self.rng
        density = self.density if rng.random() < 0.7 else float(rng.choice([*DENSITIES, 1.0]))
        made: dict[str, Any] = {"seed": int(rng.integers(1 << 30))}
        if density < 1:
            made |= {"density": density, "zeros": str(rng.choice(SCHEMES))}
        if rng.random() < 0.05:
            made["extreme"] = True
        return made

    # ------------------------------------------------------------------------------ growing

    def _input(self, shape: list[int]) -> None:
        name = f"in{len(self.inputs)}"
        kind = self._type()
        kind.pop("clip", None)
        self.inputs[name] = {"shape": shape, **kind}
        self.tensors[name] = input_tensor(self.inputs[name])

    def _add(self, kind: str, inputs: list[str], options: dict[str, Any]) -> str:
        step = FuzzStep(kind, tuple(inputs), f"v{len(self.steps)}", options)
        self.tensors[step.output] = make_layer(step, self.tensors).y
        self.steps.append(step)
        return step.output

    def _layer(self) -> None:
        """One more layer, or the few of a block, on a value of the last few."""
        rng = self.rng
        weights = np.array(list(KINDS.values()), float)
        for _ in range(PROPOSALS):
            kind = str(rng.choice(list(KINDS), p=weights / weights.sum()))
            name = str(rng.choice(list(self.tensors)[-4:]))
            before = len(self.steps)
            try:
                self._propose(kind, name)
            except InvalidCaseError:
                del self.steps[before:]
                known = {*self.inputs, *(step.output for step in self.steps)}
                self.tensors = {n: t for n, t in self.tensors.items() if n in known}
                continue
            if len(self.steps) > before:
                return
        self._add("requantise", [name], {**self._scale(0.8), **self._type()})

    def _propose(self, kind: str, name: str) -> None:
        """Layers of a kind on a value; InvalidCaseError, or nothing, if they do not suit it."""
        x = self.tensors[name]
        if kind in ("conv", "pointwise", "depthwise", "grouped"):
            self._add("conv", [name], self._conv(kind, x))
        elif kind == "residual":
            self._residual(name, x)
        elif kind == "add":
            same = [n for n, t in self.tensors.items() if t.shape == x.shape]
            pair = [name, str(self.rng.choice(same))]
            smaller = [n for n, t in self.tensors.items() if t.shape != x.shape]
            smaller = [n for n in smaller if spreads_over(self.tensors[n].shape, x.shape)]
            if smaller and self.apart.random() < 0.4:
                pair[1] = str(self.apart.choice(smaller))
            self._add("add", pair, self._sum())
        elif kind == "multiply":
            same = [n for n, t in self.tensors.items() if spreads_over(t.shape, x.shape)]
            self._add(kind, [name, str(self.rng.choice(same))], self._product())
        elif kind == "gate":
            self._gate(name, x)
        elif kind in ("maxpool", "avgpool"):
            self._add(kind, [name], self._pool(kind, x))
        elif kind == "global":
            self._add("avgpool", [name], {"whole": True, **self._type()})
        elif kind == "requantise":
            self._add(kind, [name], {**self._scale(0.8), **self._type()})
        elif kind == "lookup":
            made = self._type()
            made.pop("clip", None)
            self._add(kind, [name], {"table": int(self.rng.integers(1 << 30)), **made})
        elif kind == "concat":
            self._concat(name, x)
        elif kind == "reshape":
            self._add(kind, [name], {"shape": self._shape(int(np.prod(x.shape)))})
        elif kind == "move":
            self._move(name, x)
        else:
            self._dense(name, x)

    def _move(self, name: str, x: QTensor) -> None:
        """A resize, slice, shuffle or pad by edges, as a gather; or depth to space."""
        rng = self.rng
        if len(x.shape) > 4 or np.prod(x.shape) > 20000:
            raise InvalidCaseError("a volume, or a tensor too large to be quick")
        if len(x.shape) > 2 and rng.random() < 0.3:
            blocks = [b for b in range(1, 5) if x.shape[1] % b ** (len(x.shape) - 2) == 0]
            block = [int(rng.choice(blocks))] * (len(x.shape) - 2)
            self._add("depth2space", [name], {"block": block})
            return
        picked = [self._picked(size) if rng.random() < 0.6 else None for size in x.shape[1:]]
        self._add("gather", [name], {"indices": picked})

    def _picked(self, size: int) -> list[int]:
        """Which elements of an axis."""
        rng, kind = self.rng, int(self.rng.integers(5))
        begin, end = sorted(int(n) for n in rng.integers(0, size + 1, 2))
        every = list(range(begin, max(end, begin + 1))) if begin < size else [size - 1]
        if kind == 0:
            return every
        if kind == 1:
            factor = int(rng.integers(2, 5))
            return [at for at in every for _ in range(factor)]
        if kind == 2:
            return [every[0]] * int(rng.integers(0, 3)) + every + [every[-1]]
        if kind == 3:
            return every[:: int(rng.integers(2, 4))]
        return [int(at) for at in rng.permutation(every)]

    def _conv(self, kind: str, x: QTensor) -> dict[str, Any]:
        rng, rank = self.rng, len(x.shape) - 2
        made = {"filters": int(rng.integers(1, 131)), **self._zeros(), **self._type()}
        made["strides"] = self._integers(1, 3, rank)
        if kind == "pointwise":
            return made
        made |= {
            "kernel": self._integers(1, 7, rank),
            "padding": self._integers(0, 3, 2 * rank),
            "dilation": self._integers(1, int(rng.choice([1, 1, 1, 3])), rank),
        }
        if kind == "depthwise":
            made |= {"groups": "each", "filters": 1}
        elif kind == "grouped":
            groups = int(rng.choice([g for g in range(1, 34) if x.shape[1] % g == 0]))
            made |= {"groups": groups, "filters": groups * int(rng.integers(1, 20))}
        return made

    def _residual(self, name: str, x: QTensor) -> None:
        """Convolutions that keep the size, and their sum with what they read."""
        rank, y = len(x.shape) - 2, name
        for _ in range(int(self.rng.integers(1, 3))):
            reach = int(self.rng.choice([0, 1, 2]))
            y = self._add(
                "conv",
                [y],
                {
                    "kernel": [2 * reach + 1] * rank,
                    "padding": [reach] * 2 * rank,
                    "filters": x.shape[1],
                    **self._zeros(),
                    **self._type(),
                },
            )
        pair = [name, y] if self.rng.random() < 0.5 else [y, name]
        self._add("add", pair, self._sum())

    def _gate(self, name: str, x: QTensor) -> None:
        """Squeeze and excite, or a value for each pixel; now and then added, not a factor."""
        kinds = {"kernel": [1] * (len(x.shape) - 2), **self._zeros(), **self._type()}
        if self.rng.random() < 0.6:
            squeezed = self._add("avgpool", [name], {"whole": True, **self._type()})
            factor = self._add("conv", [squeezed], {"filters": x.shape[1], **kinds})
        else:
            factor = self._add("conv", [name], {"filters": 1, **kinds})
        product = self._product()
        if self.apart.random() < 0.6:
            self._add("multiply", [name, factor], product)
            return
        mults = [int(n) for n in self.apart.integers(-(1 << 30), 1 << 30, 2)]
        self._add("add", [name, factor], {**product, "mults": mults, "shift": 30})

    def _product(self) -> dict[str, Any]:
        return {**self._scale(1 / 100), **self._type()}

    def _sum(self) -> dict[str, Any]:
        rng = self.rng
        if rng.random() < 0.1:
            (a, shift), (b, _) = random_multiplier(rng), random_multiplier(rng)
            return {"mults": [a, b], "shift": shift, **self._type()}
        return {
            "mults": [
                int(n) * int(rng.choice([1, 1, 1, -1])) for n in rng.integers(1 << 28, 1 << 30, 2)
            ],
            "shift": 30,
            **self._type(),
        }

    def _pool(self, kind: str, x: QTensor) -> dict[str, Any]:
        rank = len(x.shape) - 2
        kernel = self._integers(1, 7 if self.rng.random() < 0.2 else 3, rank)
        pads = [int(self.rng.integers(0, k)) for k in [*kernel, *kernel]]
        made: dict[str, Any] = {"kernel": kernel, "strides": self._integers(1, 3, rank)}
        if self.rng.random() < 0.5:
            made["padding"] = pads
        if kind == "avgpool":
            if self.rng.random() < 0.3:
                made |= self._scale(1 / int(np.prod(kernel)))
            return {**made, **self._type()}
        if self.rng.random() < 0.2:
            made["dilation"] = self._integers(1, 3, rank)
        clip = [sorted(int(n) for n in self.rng.integers(*BOUNDS[x.dtype], 2))]
        return {**made, **({"clip": clip[0]} if self.rng.random() < 0.3 else {})}

    def _concat(self, name: str, x: QTensor) -> None:
        """With others of its size; those of another type are requantized first."""
        alike = [
            n
            for n, t in self.tensors.items()
            if len(t.shape) == len(x.shape) and t.shape[2:] == x.shape[2:]
        ]
        parts = [name, *(str(n) for n in self.rng.choice(alike, int(self.rng.integers(1, 4))))]
        kind = {"dtype": x.dtype, "zero_point": x.zero_point}
        for index, part in enumerate(parts):
            t = self.tensors[part]
            if (t.dtype, t.zero_point) != (x.dtype, x.zero_point):
                parts[index] = self._add("requantise", [part], {**self._scale(0.8), **kind})
        self.rng.shuffle(parts)
        axis = 1 if self.rng.random() < 0.8 else 1 - len(x.shape)
        self._add("concat", parts, {"axis": axis})

    def _shape(self, size: int) -> list[int]:
        """A shape of this many elements, its channels and sides factors of them."""
        shape = []
        for _ in range(int(self.rng.integers(0, 3))):
            part = int(self.rng.choice([n for n in range(1, min(size, 64) + 1) if size % n == 0]))
            shape.append(part)
            size //= part
        return [size, *shape]

    def _dense(self, name: str, x: QTensor) -> None:
        """After a flatten if need be."""
        if np.prod(x.shape) > (32767 if self.rng.random() < 0.1 else 8000):
            raise InvalidCaseError("a vector too long to be quick")
        if len(x.shape) > 2:
            name = self._add("reshape", [name], {})
        self._add(
            "dense",
            [name],
            {"filters": int(self.rng.integers(1, 80)), **self._zeros(), **self._type()},
        )
