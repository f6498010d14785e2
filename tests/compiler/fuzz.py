"""Random networks on random hardware, compiled, run and compared with the dense integer oracle.

    python -m tests.compiler.fuzz --count 1000 --seed 0

Networks of 1 to 12 layers over the whole operator set; hardware from tiny to the built-in targets.
A failing case prints its own seed: ``--seed S --count 1`` repeats it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from tests.compiler.networks import Builder
from tests.compiler.oracle import evaluate
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.lanes import WindowError
from zeroskip.accel_model.machine import Machine
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.graph import LayerGraph
from zeroskip.compiler.lower import lower
from zeroskip.compiler.schedule import emit_region, plan_region


def random_spec(rng: np.random.Generator) -> AccelSpec:
    """A built-in target, or one with other memories, bus and lanes."""
    spec = load_spec(str(rng.choice(["dense256", "sparse256", "pattern256"])))
    if rng.random() < 0.3:
        return spec
    scale = float(rng.choice([0.05, 0.1, 0.25, 0.5, 1]))
    sram = replace(spec.sram, act_bytes=max(4096, int(spec.sram.act_bytes * scale) // 256 * 256),
                   wgt_bytes=max(8192, int(spec.sram.wgt_bytes * scale) // 256 * 256),
                   act_banks=int(rng.choice([2, 4, 8, 16])))
    width = int(rng.choice([4, 8, 16, 32, 64]))
    dram = replace(spec.dram, bytes_per_cycle=width, burst_bytes=max(64, width),
                   latency_cycles=int(rng.choice([0, 17, 100])))
    return replace(spec, sram=sram, dram=dram)


def random_graph(rng: np.random.Generator) -> tuple[Builder, LayerGraph]:
    """Layers on values drawn from those there are; the last ones are the outputs."""
    b = Builder(rng, density=float(rng.choice([0, 0.05, 0.25, 0.5, 0.9, 1])))
    size = tuple(int(n) for n in rng.choice([1, 2, 3, 5, 7, 8, 13, 16, 23, 30], 2))
    values = [b.input(int(rng.integers(1, 131)), *size)]
    if rng.random() < 0.2:
        values.append(b.input(b.tensors[values[0]].shape[1], *size))
    for _ in range(int(rng.integers(1, 13))):
        values.append(_layer(b, values))
    read = {name for node in b.nodes for name in node.inputs}
    ends = [name for name in values if name not in read and name not in b.inputs]
    if rng.random() < 0.3:
        made = [name for name in values if name not in b.inputs]
        ends = list(dict.fromkeys([*ends, str(rng.choice(made))]))
    return b, b.graph(*ends)


def _layer(b: Builder, values: list[str]) -> str:
    """One more layer on a value of the last few."""
    rng = b.rng
    x = str(rng.choice(values[-4:]))
    shape = b.tensors[x].shape
    if len(shape) == 2:
        return b.dense(x, int(rng.integers(1, 80)))
    kind = str(rng.choice(["conv", "conv", "conv", "pointwise", "depthwise", "grouped", "sum",
                           "max", "avg", "global", "concat", "requantise", "flat", "reshape"]))
    same = [v for v in values if b.tensors[v].shape == shape and v != x]
    if kind == "sum" and same:
        return b.sum(x, str(rng.choice(same)))
    alike = [v for v in values if v != x and b.tensors[v].shape[2:] == shape[2:]]
    if kind == "concat" and alike:
        return b.concat(x, *dict.fromkeys(str(v) for v in rng.choice(alike, 2)))
    if kind in ("max", "avg"):
        kernel = int(rng.integers(1, min(4, *shape[2:]) + 1))
        return b.pool(x, kind, kernel, int(rng.integers(1, 4)), int(rng.integers(0, kernel)) // 2)
    if kind == "global":
        return b.global_pool(x)
    if kind == "requantise":
        return b.requantise(x)
    if kind == "flat":
        return b.dense(b.reshape(x, int(np.prod(shape[1:]))), int(rng.integers(1, 40)))
    if kind == "reshape" and shape[1] % 2 == 0:
        return b.reshape(x, shape[1] // 2, shape[2] * 2, shape[3])
    return _random_conv(b, x, kind)


def _random_conv(b: Builder, x: str, kind: str) -> str:
    rng, shape = b.rng, b.tensors[x].shape
    if kind == "pointwise":
        return b.conv(x, int(rng.integers(1, 131)), (1, 1), stride=int(rng.integers(1, 3)))
    dilation = int(rng.choice([1, 1, 1, 2, 3]))
    kernel = tuple(int(n) for n in rng.integers(1, 8, 2))
    pad = tuple(int(n) for n in rng.integers(0, 4, 4))
    reach = [(k - 1) * dilation + 1 for k in kernel]
    fits = all(shape[2 + i] + pad[i] + pad[2 + i] >= reach[i] for i in range(2))
    if not fits:
        kernel, pad, dilation = (3, 3), (1, 1, 1, 1), 1
    channels, groups, filters = shape[1], 1, int(rng.integers(1, 131))
    if kind == "depthwise":
        groups, filters = channels, channels
    elif kind == "grouped":
        groups = int(rng.choice([g for g in range(1, 9) if channels % g == 0]))
        filters = groups * int(rng.integers(1, 20))
    return b.conv(x, filters, kernel, stride=int(rng.integers(1, 4)), pad=pad, dilation=dilation,
                  groups=groups)


def attempt(seed: int) -> str:
    """'exact' or 'too small'; AssertionError or ZeroskipError for what must not happen."""
    rng = np.random.default_rng(seed)
    spec = random_spec(rng)
    b, graph = random_graph(rng)
    data = b.data()
    try:
        region = lower(graph)
        program = emit_region(region, spec, plan_region(region, spec))
    except (CompileError, WindowError):
        if spec == load_spec(spec.name):
            raise
        return "too small"
    order = None if rng.random() < 0.5 else int(rng.integers(1 << 30))
    run = Machine(spec).run(program, data, seed=order)
    values = evaluate(graph, data)
    for name, tensor in zip(graph.outputs, program.outputs, strict=True):
        found = run.outputs[tensor.name].reshape(values[name].shape)
        assert np.array_equal(found, values[name]), f"output {name} differs"
    return "exact"


def main() -> None:
    """Attempt ``count`` cases from ``seed`` on; exit 1 at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seen: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.count):
        try:
            seen[attempt(seed)] += 1
        except (AssertionError, ZeroskipError, ArithmeticError, LookupError, ValueError) as problem:
            print(f"seed {seed}: {type(problem).__name__}: {problem}")
            seen["failed"] += 1
    print(f"seeds {options.seed}..{options.seed + options.count - 1}: {dict(seen)}")
    sys.exit(1 if seen["failed"] else 0)


if __name__ == "__main__":
    main()
