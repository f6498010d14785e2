"""Programs with one mistake each: every mistake is found, or shown to be none (``make mutants``).

    python -m tests.campaigns.mutants [--seed S] [--sample N] [--jobs J]

From compiled programs (``programs.py``) each wait and post is removed, matched pairs of them are
removed, each is given to another unit, neighbouring instructions are swapped (in the program and
within a unit), and every field of every instruction is changed by one, up and down. A mutant runs
like any program. What stops it is counted: the declaration (an instruction that cannot exist), a
race, a read of what was never written, a deadlock, another refusal of the machine (bounds, streams
that make no sense, registers), the audit, or outputs that differ from the program's.

A mutant that is not stopped is shown to be equivalent: its outputs are the program's for three sets
of inputs, one of them extremes only, and in ten shuffled orders, none of which the machine finds
unsafe. Which these are, from sampling them:

- registers set to what nothing reads: strides between blocks or rows where there is only one, a
  tile that is larger than the window looks, taps beyond a tile that count as zero, accumulators and
  parameters of a convolution that uses none, limits and zero points that no value reaches;
- transfers of more than is needed, to memory that is free at the time: one more block, row or byte;
- instructions that set different registers or fill different memory, in another order, and
  instructions of different units in another program order, which means nothing;
- tokens that another token implies.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from multiprocessing import get_context

import numpy as np

from tests.campaigns.programs import Data, Sample, samples
from zeroskip.accel_model.encoding import decode_all, encode_all
from zeroskip.accel_model.faults import MachineError
from zeroskip.accel_model.isa import UNITS, Instruction, IsaError, layout
from zeroskip.accel_model.machine import Machine
from zeroskip.accel_model.program import Program

ORDERS = 10  # shuffled, for a mutant that nothing stopped
FOUND = ("declaration", "race", "unwritten", "deadlock", "refused", "audit", "output")
OUTCOMES = (*FOUND, "equivalent", "survived")

# What a field is. A test proves that no field of any instruction is missing here.
FIELDS = {
    "address": {"act", "wgt", "par", "acc", "dram"},
    "size": {"width", "height", "blocks", "bytes", "size", "rows", "cols", "filters", "channels",
             "slabs"},
    "stride": {"dram_pixel", "dram_row", "dram_block", "act_row", "act_block", "row", "block",
               "row_stride", "col_stride", "row_dilation", "col_dilation"},
    "value": {"zero_point", "low", "high", "unsigned", "mid_zero_point", "mid_low", "mid_high",
              "gang", "first", "last", "residual", "id_bits", "top", "left", "lane"},
}
TOKENS = ("wait", "post")


@dataclass(frozen=True)
class Mutant:
    """A change: ``stream`` and ``origin`` (old pc of each instruction); None: cannot be made."""

    kind: str
    what: str
    stream: tuple[Instruction, ...] | None
    origin: tuple[int, ...]


def mutants(stream: list[Instruction]) -> Iterator[Mutant]:
    """All of a program."""
    for pc, one in enumerate(stream):
        yield from _of_tokens(stream, pc, one)
        for name, _ in layout(type(one)):
            if name not in TOKENS:
                kind = next(kind for kind, names in FIELDS.items() if name in names)
                for step in (-1, 1):
                    yield _changed(stream, kind, pc, **{name: getattr(one, name) + step})
    yield from _of_pairs(stream)
    for kind, pcs in _neighbours(stream):
        for first, second in pairwise(pcs):
            order = list(range(len(stream)))
            order[first], order[second] = second, first
            yield Mutant(kind, f"pc {first} with pc {second}",
                         tuple(stream[pc] for pc in order), tuple(order))


def _neighbours(stream: list[Instruction]) -> Iterator[tuple[str, list[int]]]:
    yield "swap", list(range(len(stream)))
    for unit in UNITS:
        yield "swap in unit", [pc for pc, one in enumerate(stream) if one.unit == unit]


def _of_tokens(stream: list[Instruction], pc: int, one: Instruction) -> Iterator[Mutant]:
    for name in TOKENS:
        held = getattr(one, name)
        for unit in UNITS:
            if held & unit:
                yield _changed(stream, f"{name} removed", pc, **{name: held & ~unit})
                for other in UNITS:
                    if other != unit and other != one.unit and not held & other:
                        yield _changed(stream, f"{name} moved", pc,
                                       **{name: held & ~unit | other})


def _of_pairs(stream: list[Instruction]) -> Iterator[Mutant]:
    """Each token as a whole: the post that gives it and the wait that takes it."""
    for giver in UNITS:
        for taker in UNITS:
            gives = [pc for pc, one in enumerate(stream)
                     if one.unit == giver and one.post & taker]
            takes = [pc for pc, one in enumerate(stream)
                     if one.unit == taker and one.wait & giver]
            for give, take in zip(gives, takes, strict=True):
                made = list(stream)
                made[give] = replace(made[give], post=made[give].post & ~taker)
                made[take] = replace(made[take], wait=made[take].wait & ~giver)
                yield Mutant("token removed", f"from pc {give} to pc {take}", tuple(made),
                             tuple(range(len(made))))


def _changed(stream: list[Instruction], kind: str, pc: int, **fields: int) -> Mutant:
    what = f"pc {pc} {stream[pc].mnemonic} {fields}"
    origin = tuple(range(len(stream)))
    try:
        one = replace(stream[pc], **fields)
    except IsaError:
        return Mutant(kind, what, None, origin)
    return Mutant(kind, what, (*stream[:pc], one, *stream[pc + 1 :]), origin)


def judge(machine: Machine, program: Program, mutant: Mutant, inputs: tuple[Data, ...],
          wanted: list[Data]) -> str:
    """What finds a mutant; 'equivalent' or 'survived' if nothing does."""
    if mutant.stream is None:
        return "declaration"
    made = replace(program, words=encode_all(mutant.stream),
                   layer_of=program.layer_of[list(mutant.origin)],
                   tile_of=program.tile_of[list(mutant.origin)])
    runs = [(data, expected, None) for data, expected in zip(inputs, wanted, strict=True)]
    shuffled = [(inputs[0], wanted[0], order) for order in range(ORDERS)]
    for number, (data, expected, order) in enumerate([*runs, *shuffled]):
        try:
            outputs = machine.run(made, data, seed=order).outputs
        except MachineError as problem:
            # Found in another order only: the machine's verdict would depend on the order.
            return _reason(problem) if number < len(runs) else "survived"
        if any(not np.array_equal(outputs[name], expected[name]) for name in expected):
            return "output" if number < len(runs) else "survived"
    return "equivalent"


def _reason(problem: MachineError) -> str:
    text = str(problem)
    if problem.race:
        return "race"
    for reason, sign in (("deadlock", "deadlock"), ("audit", "audit of"),
                         ("unwritten", "never written")):
        if sign in text:
            return reason
    return "refused"


@cache
def _samples(seed: int) -> dict[str, Sample]:
    return {each.name: each for each in samples(seed)}


def campaign(name: str, seed: int, limit: int | None) -> tuple[str, Counter[tuple[str, str]],
                                                              list[str]]:
    """The outcomes for one program by kind, and what survived."""
    sample = _samples(seed)[name]
    machine = Machine(sample.spec)
    wanted = [machine.run(sample.program, data).outputs for data in sample.inputs]
    every = list(mutants(decode_all(sample.program.words)))
    if limit is not None and limit < len(every):
        chosen = np.random.default_rng(seed).choice(len(every), limit, replace=False)
        every = [every[n] for n in sorted(chosen)]
    seen: Counter[tuple[str, str]] = Counter()
    left = []
    for mutant in every:
        outcome = judge(machine, sample.program, mutant, sample.inputs, wanted)
        seen[mutant.kind, outcome] += 1
        if outcome == "survived":
            left.append(f"{name}: {mutant.kind}, {mutant.what}")
    return name, seen, left


def table(title: str, rows: dict[str, Counter[str]]) -> str:
    """Counts of outcomes, a line for each row and one for all."""
    total: Counter[str] = sum(rows.values(), Counter())
    lines = [f"| {title} | mutants | {' | '.join(OUTCOMES)} |",
             f"| --- |{' ---: |' * (len(OUTCOMES) + 1)}"]
    for name, counts in {**rows, "all": total}.items():
        cells = [counts.total(), *(counts[outcome] for outcome in OUTCOMES)]
        lines.append(f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Exit 1 if a mutant survived."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of networks, weights and inputs")
    parser.add_argument("--sample", type=int, help="mutants of each program, not all")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    begin = time.monotonic()
    names = list(_samples(options.seed))
    print(f"seed {options.seed}, {len(names)} programs", flush=True)
    by_program: dict[str, Counter[str]] = {}
    by_kind: dict[str, Counter[str]] = {}
    left: list[str] = []
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        work = [pool.submit(campaign, name, options.seed, options.sample) for name in names]
        for done in work:
            name, seen, survived = done.result()
            left += survived
            for (kind, outcome), count in seen.items():
                by_program.setdefault(name, Counter())[outcome] += count
                by_kind.setdefault(kind, Counter())[outcome] += count
            print(f"{name}: {by_program[name].total()} mutants, {len(survived)} survived, "
                  f"{time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    print(table("program", by_program), table("change", by_kind), sep="\n\n")
    print(f"\n{time.monotonic() - begin:.0f} s; survived = {len(left)}")
    for each in left:
        print(each)
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
