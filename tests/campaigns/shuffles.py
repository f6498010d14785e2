"""Any order that the tokens allow gives the same bits and the same cycles (``make shuffles``).

    python -m tests.campaigns.shuffles [--seeds 200] [--jobs 2]

The small programs of ``programs.py`` and the two Fashion-MNIST classifiers on every target, each
executed in ``--seeds`` shuffled orders of its three units.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tests.campaigns.programs import TARGETS, Data, Sample, samples
from tests.campaigns.tables import provenance, table
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.program import Program

CLASSIFIERS = sorted((Path(__file__).parents[2] / "models").glob("fashion_*.onnx"))


@cache
def programs() -> dict[str, Callable[[], tuple[Program, Data]]]:
    """What makes each program and its inputs, by its name."""
    made: dict[str, Callable[[], tuple[Program, Data]]] = {
        each.name: partial(_of_sample, each) for each in samples()
    }
    for path in CLASSIFIERS:
        for target in TARGETS:
            made[f"{path.stem}, {target}"] = partial(_compiled, path, target)
    return made


def _of_sample(one: Sample) -> tuple[Program, Data]:
    return one.program, one.inputs[0]


def _compiled(path: Path, target: str) -> tuple[Program, Data]:
    from zeroskip.compiler.driver import compile as compile_network

    (program,) = compile_network(path, target).programs.values()
    rng = np.random.default_rng(0)
    return program, {
        t.name: rng.integers(
            *_limits(t.dtype), (1, t.channels, *t.spatial), np.dtype(t.dtype), endpoint=True
        )
        for t in program.inputs
    }


def _limits(dtype: str) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def differences(program: Program, data: Data, seeds: Iterable[int]) -> int:
    """Orders whose outputs or times differ from those in program order."""
    machine = Machine(program.spec)
    wanted = machine.run(program, data)
    wrong = 0
    for seed in seeds:
        found = machine.run(program, data, seed=seed)
        same = found.cycles == wanted.cycles and np.array_equal(found.end, wanted.end)
        same &= all(
            np.array_equal(found.outputs[name], wanted.outputs[name]) for name in wanted.outputs
        )
        wrong += not same
    return wrong


def campaign(name: str, first: int, seeds: int) -> tuple[int, int]:
    """Instructions of a program, and the orders that differ."""
    program, data = programs()[name]()
    return len(program.words), differences(program, data, range(first, first + seeds))


def main() -> None:
    """Exit 1 if an order gave something else."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200, help="orders of each program")
    parser.add_argument("--seed", type=int, default=0, help="of the first order")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    begin, rows = time.monotonic(), {}
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        work = {
            pool.submit(campaign, name, options.seed, options.seeds): name for name in programs()
        }
        for done in as_completed(work):
            instructions, wrong = done.result()
            rows[work[done]] = (work[done], instructions, options.seeds, wrong)
            print(
                f"{len(rows)} of {len(work)}: {work[done]}, {wrong} differ, "
                f"{time.monotonic() - begin:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    failed = sum(wrong for *_, wrong in rows.values())
    print(
        table(
            ("program", "instructions", "orders", "other bits or cycles"),
            (rows[name] for name in programs()),
        )
    )
    seeds = f"seeds {options.seed}..{options.seed + options.seeds - 1}"
    print(f"\n{provenance(seeds, begin, options.jobs)}; {failed} orders differ")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
