"""Any order that the tokens allow gives the same bits and the same cycles (``make shuffles``).

    python -m tests.campaigns.shuffles [--seeds 200]

The small programs of ``programs.py`` and the two Fashion-MNIST classifiers on every target, each
executed in ``--seeds`` shuffled orders of its three units.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.campaigns.programs import TARGETS, Data, samples
from zeroskip.accel_model.machine import Machine
from zeroskip.accel_model.program import Program

CLASSIFIERS = sorted((Path(__file__).parents[2] / "models").glob("fashion_*.onnx"))


def programs() -> Iterator[tuple[str, Program, Data]]:
    """Name, program and inputs."""
    for each in samples():
        yield each.name, each.program, each.inputs[0]
    from zeroskip.compiler.driver import compile as compile_network

    for path in CLASSIFIERS:
        for target in TARGETS:
            for name, program in compile_network(path, target).programs.items():
                rng = np.random.default_rng(0)
                data = {t.name: rng.integers(*_limits(t.dtype), (1, t.channels, *t.spatial),
                                             np.dtype(t.dtype), endpoint=True)
                        for t in program.inputs}
                yield f"{path.stem} {name}, {target}", program, data


def _limits(dtype: str) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def differences(program: Program, data: Data, seeds: int) -> int:
    """Orders whose outputs or times differ from those in program order."""
    machine = Machine(program.spec)
    wanted = machine.run(program, data)
    wrong = 0
    for seed in range(seeds):
        found = machine.run(program, data, seed=seed)
        same = found.cycles == wanted.cycles and np.array_equal(found.end, wanted.end)
        same &= all(np.array_equal(found.outputs[name], wanted.outputs[name])
                    for name in wanted.outputs)
        wrong += not same
    return wrong


def main() -> None:
    """Exit 1 if an order gave something else."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="orders of each program")
    options = parser.parse_args()
    begin, failed, rows = time.monotonic(), 0, []
    for name, program, data in programs():
        wrong = differences(program, data, options.seeds)
        failed += wrong
        rows.append(f"| {name} | {len(program.words)} | {options.seeds} | {wrong} |")
        print(rows[-1], file=sys.stderr, flush=True)
    print("| program | instructions | orders | other bits or cycles |",
          "| --- | ---: | ---: | ---: |", *rows, sep="\n")
    print(f"\n{len(rows)} programs, {time.monotonic() - begin:.0f} s; {failed} orders differ")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
