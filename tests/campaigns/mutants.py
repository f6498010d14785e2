"""Programs with one mistake each: every mistake is found, or shown to be none (``make mutants``).

    python -m tests.campaigns.mutants [--seed S] [--sample N] [--jobs J]

Ports are mutants of the hardware: each port that a program uses passes a hundredth less than the
busiest instruction needs (``narrowed``), which the audit must notice.

From compiled programs (``programs.py``) each wait and post is removed, matched pairs of them are
removed, each is given to another unit, neighbouring instructions are swapped (in the program and
within a unit), and every field of every instruction is changed by one, up and down. A mutant runs
like any program. What stops it is counted: the declaration (an instruction that cannot exist), a
race, a read of what was never written, a deadlock, another refusal of the machine (bounds, streams
that make no sense, registers), the audit, or outputs that differ from the program's.

A mutant that is not stopped has the program's outputs for three sets of inputs, one of them
extremes only, and in ten shuffled orders, none of which the machine finds unsafe. Then it is shown
to be equivalent: *proved*, where its outputs are the same function of the inputs (``symbolic.py``),
or *tried*, where they are the same for sixty more sets of inputs. Those are printed; they are
limits that sums could reach and do not. The others are

- registers set to what nothing reads: strides between blocks or rows where there is only one, a
  tile that is larger than the window looks, taps beyond a tile that count as zero, accumulators and
  parameters of a convolution that uses none;
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
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from multiprocessing import get_context
from unittest.mock import patch

import numpy as np

from tests.campaigns import symbolic
from tests.campaigns.programs import Data, Sample, samples
from tests.campaigns.tables import provenance, table
from zeroskip.accel_model import physics
from zeroskip.accel_model.isa.encoding import decode_all, encode_all
from zeroskip.accel_model.isa.instructions import UNITS, Instruction, IsaError, layout
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.physics.part import Resource
from zeroskip.accel_model.program.program import Program

ORDERS = 10  # shuffled, for a mutant that nothing stopped
PARTS = 4  # in which each program's mutants are judged
TRIES = 60  # more inputs, for one of which nothing is proved
FOUND = ("declaration", "race", "unwritten", "deadlock", "refused", "audit", "output")
OUTCOMES = (*FOUND, "proved", "tried", "survived")

# What a field is. A test proves that no field of any instruction is missing here.
FIELDS = {
    "address": {"act", "wgt", "par", "acc", "dram"},
    "size": {
        "width",
        "height",
        "blocks",
        "bytes",
        "size",
        "rows",
        "cols",
        "filters",
        "channels",
    },
    "stride": {
        "dram_pixel",
        "dram_row",
        "dram_block",
        "act_row",
        "act_block",
        "row",
        "block",
        "row_stride",
        "col_stride",
        "row_dilation",
        "col_dilation",
    },
    "value": {
        "zero_point",
        "low",
        "high",
        "unsigned",
        "lookup",
        "step",
        "spread",
        "mid_lookup",
        "mid_zero_point",
        "mid_low",
        "mid_high",
        "mode",
        "first",
        "last",
        "residual",
        "argument",
        "top",
        "left",
        "lane",
    },
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
            yield Mutant(
                kind,
                f"pc {first} with pc {second}",
                tuple(stream[pc] for pc in order),
                tuple(order),
            )


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
                        yield _changed(stream, f"{name} moved", pc, **{name: held & ~unit | other})


def _of_pairs(stream: list[Instruction]) -> Iterator[Mutant]:
    """Each token as a whole: the post that gives it and the wait that takes it."""
    for giver in UNITS:
        for taker in UNITS:
            gives = [pc for pc, one in enumerate(stream) if one.unit == giver and one.post & taker]
            takes = [pc for pc, one in enumerate(stream) if one.unit == taker and one.wait & giver]
            for give, take in zip(gives, takes, strict=True):
                made = list(stream)
                made[give] = replace(made[give], post=made[give].post & ~taker)
                made[take] = replace(made[take], wait=made[take].wait & ~giver)
                yield Mutant(
                    "token removed",
                    f"from pc {give} to pc {take}",
                    tuple(made),
                    tuple(range(len(made))),
                )


def _changed(stream: list[Instruction], kind: str, pc: int, **fields: int) -> Mutant:
    what = f"pc {pc} {stream[pc].mnemonic} {fields}"
    origin = tuple(range(len(stream)))
    try:
        one = replace(stream[pc], **fields)
    except IsaError:
        return Mutant(kind, what, None, origin)
    return Mutant(kind, what, (*stream[:pc], one, *stream[pc + 1 :]), origin)


@dataclass(frozen=True)
class Original:
    """A program, and what its mutants are held against: outputs, and their terms."""

    sample: Sample
    machine: Machine
    wanted: tuple[Data, ...]
    terms: dict[str, symbolic.Terms]

    @staticmethod
    def of(sample: Sample) -> Original:
        machine = Machine(sample.spec)
        wanted = tuple(machine.run(sample.program, data).outputs for data in sample.inputs)
        return Original(sample, machine, wanted, symbolic.outputs(machine, sample.program))

    def mutants(self) -> list[Mutant]:
        return list(mutants(decode_all(self.sample.program.words)))


def judge(original: Original, mutant: Mutant) -> str:
    """What finds a mutant; 'proved' or 'tried' equivalent, or 'survived', if nothing does."""
    if mutant.stream is None:
        return "declaration"
    sample, machine = original.sample, original.machine
    origin = list(mutant.origin)
    made = replace(
        sample.program,
        words=encode_all(mutant.stream),
        layer_of=sample.program.layer_of[origin],
        tile_of=sample.program.tile_of[origin],
    )
    runs = [
        (data, expected, None)
        for data, expected in zip(sample.inputs, original.wanted, strict=True)
    ]
    shuffled = [(sample.inputs[0], original.wanted[0], order) for order in range(ORDERS)]
    for number, (data, expected, order) in enumerate([*runs, *shuffled]):
        found = _differs(machine, made, data, expected, order)
        if found:  # in another order only: the machine's verdict would depend on the order
            return found if number < len(runs) else "survived"
    if symbolic.computes(machine, made, original.terms):
        return "proved"
    for data in sample.more_inputs(TRIES):
        found = _differs(machine, made, data, machine.run(sample.program, data).outputs, None)
        if found:
            return found
    return "tried"


def _differs(
    machine: Machine, program: Program, data: Data, expected: Data, order: int | None
) -> str:
    """What finds a program wrong in one run, '' if nothing does."""
    try:
        outputs = machine.run(program, data, seed=order).outputs
    except MachineError as problem:
        return _reason(problem)
    same = all(np.array_equal(outputs[name], expected[name]) for name in expected)
    return "" if same else "output"


def _reason(problem: MachineError) -> str:
    text = str(problem)
    if problem.race:
        return "race"
    for reason, sign in (
        ("deadlock", "deadlock"),
        ("audit", "audit of"),
        ("unwritten", "never written"),
    ):
        if sign in text:
            return reason
    return "refused"


def narrowed(original: Original) -> Iterator[tuple[str, tuple[Resource, ...]]]:
    """Each port that the program uses, and the target's memories and paths where it is too
    narrow."""
    run = original.machine.run(original.sample.program, original.sample.inputs[0], numbers=False)
    count, declared = run.counters, physics.resources(original.sample.spec)
    for at, resource in enumerate(declared):
        for port in resource.ports:
            passed = sum(count[flow] for flow in port.flows)
            most = float(np.max(passed / count["cycles"]))
            if most:
                uses = 0.99 * most / (resource.count * resource.width)
                ports = tuple(
                    replace(other, uses=uses) if other is port else other
                    for other in resource.ports
                )
                yield (
                    f"{port.user} of {resource.name}",
                    (*declared[:at], replace(resource, ports=ports), *declared[at + 1 :]),
                )


def judge_ports(original: Original) -> Iterator[tuple[str, str]]:
    """Each port, and what finds that it is too narrow."""
    data, expected = original.sample.inputs[0], original.wanted[0]
    for what, resources in narrowed(original):
        with patch.object(physics, "resources", lambda _spec, ports=resources: ports):
            found = _differs(original.machine, original.sample.program, data, expected, None)
        yield what, found or "survived"


@cache
def _samples(seed: int) -> dict[str, Sample]:
    return {each.name: each for each in samples(seed)}


def campaign(
    name: str, seed: int, part: int, parts: int
) -> tuple[Counter[tuple[str, str]], list[str]]:
    """The outcomes of every ``parts``-th mutant of a program from ``part`` on, by kind; what
    survived, and what is equivalent without a proof."""
    original = _original(name, seed)
    seen: Counter[tuple[str, str]] = Counter()
    left = []
    if part == 0:
        for what, outcome in judge_ports(original):
            seen["ports", outcome] += 1
            if outcome != "audit":
                left.append(f"survived: {name}, ports, {what}: {outcome}")
    for mutant in original.mutants()[part::parts]:
        outcome = judge(original, mutant)
        seen[mutant.kind, outcome] += 1
        if outcome in ("survived", "tried"):
            left.append(f"{outcome}: {name}, {mutant.kind}, {mutant.what}")
    return seen, left


@cache
def _original(name: str, seed: int) -> Original:
    return Original.of(_samples(seed)[name])


def outcomes(title: str, rows: dict[str, Counter[str]]) -> str:
    """Counts of outcomes, a line for each row and one for all."""
    total: Counter[str] = sum(rows.values(), Counter())
    return table(
        (title, "mutants", *OUTCOMES),
        (
            (name, counts.total(), *(counts[outcome] for outcome in OUTCOMES))
            for name, counts in {**rows, "all": total}.items()
        ),
    )


def main() -> None:
    """Exit 1 if a mutant survived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="of networks, weights and inputs")
    parser.add_argument("--every", type=int, default=1, help="of so many mutants only one")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    begin = time.monotonic()
    names = list(_samples(options.seed))
    print(f"seed {options.seed}, {len(names)} programs", flush=True)
    by_program: dict[str, Counter[str]] = {name: Counter() for name in names}
    by_kind: dict[str, Counter[str]] = {}
    left: list[str] = []
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        parts = [(name, part) for name in names for part in range(PARTS)]
        work = {
            pool.submit(
                campaign, name, options.seed, part * options.every, PARTS * options.every
            ): name
            for name, part in parts
        }
        for ended, done in enumerate(as_completed(work), 1):
            seen, special = done.result()
            left += special
            for (kind, outcome), count in seen.items():
                by_program[work[done]][outcome] += count
                by_kind.setdefault(kind, Counter())[outcome] += count
            print(
                f"{ended} of {len(work)} parts, {sum(map(Counter.total, by_kind.values()))} "
                f"mutants, {time.monotonic() - begin:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    print(outcomes("program", by_program), outcomes("change", by_kind), sep="\n\n")
    survived = sum(each.startswith("survived") for each in left)
    print(
        f"\n{provenance(f'seed {options.seed}', begin, options.jobs)}; survived = {survived}",
        *sorted(left),
        sep="\n",
    )
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
