"""A sample of the mutants, and that none of the instruction set can be forgotten."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.campaigns import symbolic
from tests.campaigns.mutants import FIELDS, TOKENS, Mutant, Original, judge, judge_ports
from tests.campaigns.programs import NETWORKS, TARGETS, WIDE, Data, each_sample, sample, tiny
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all, encode_all
from zeroskip.accel_model.isa.instructions import BY_MNEMONIC, BY_OPCODE, layout
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.physics import resources
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec


def test_every_field_is_of_one_kind() -> None:
    declared = {name for cls in BY_OPCODE.values() for name, _ in layout(cls)} - set(TOKENS)
    known = [name for names in FIELDS.values() for name in names]
    assert sorted(known) == sorted(declared)


def test_the_programs_use_every_instruction() -> None:
    """Compiled until all are seen: tables and limits of 16 bits are of the last targets."""
    used: set[str] = set()
    for each in each_sample(targets=(WIDE, *reversed(TARGETS))):
        used |= {one.mnemonic for one in decode_all(each.program.words)}
        if used == set(BY_MNEMONIC):
            break
    assert used == set(BY_MNEMONIC)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(each, marks=pytest.mark.matrix) if each != "dense256" else each
        for each in TARGETS
    ],
)
@pytest.mark.parametrize("count", [10, pytest.param(20, marks=pytest.mark.matrix)])
def test_no_mutant_survives(target: str, count: int) -> None:
    seen: Counter[str] = Counter()
    for name in NETWORKS:
        original = Original.of(sample(name, tiny(load_spec(target)), name, seed=1))
        every = original.mutants()
        for n in np.random.default_rng(2).choice(len(every), count, replace=False):
            outcome = judge(original, every[n])
            assert outcome != "survived", every[n].what
            seen[outcome] += 1
    print(seen)
    assert {"race", "unwritten", "deadlock", "refused", "output", "proved"} <= set(seen)


@pytest.mark.parametrize("target", TARGETS)
def test_no_port_that_is_too_narrow_survives(target: str) -> None:
    """Partial sums, row registers, tables and all: every port of the target is used, and
    noticed."""
    spec, found = tiny(load_spec(target)), dict[str, str]()
    for name in ("reduction", "depthwise", "looked_up"):
        found |= dict(judge_ports(Original.of(sample(name, spec, name, seed=1))))
    declared = {f"{port.user} of {one.name}" for one in resources(spec) for port in one.ports}
    assert found == dict.fromkeys(declared, "audit")


def unchanged(original: Original) -> Mutant:
    stream = tuple(decode_all(original.sample.program.words))
    return Mutant("none", "unchanged", stream, tuple(range(len(stream))))


def test_a_result_that_depends_on_the_order_survives() -> None:
    original = Original.of(sample("residual", load_spec("dense256"), "residual", seed=1))
    assert judge(original, unchanged(original)) == "proved"

    def careless(program: Program, data: Data, seed: int | None) -> SimpleNamespace:
        done = original.machine.run(program, data)
        worse = {name: np.add(values, np.int8(seed == 7)) for name, values in done.outputs.items()}
        return SimpleNamespace(outputs=worse)

    broken = replace(original, machine=SimpleNamespace(run=careless))  # type: ignore[arg-type]  # a stand-in
    assert judge(broken, unchanged(original)) == "survived"


@pytest.mark.parametrize("name", NETWORKS)
def test_terms_tell_programs_apart(name: str) -> None:
    """Targets and tiles do not matter to a program's function, a weight or a limit does."""
    wide = sample(name, load_spec("dense256"), name, seed=1)
    terms = symbolic.outputs(Machine(wide.spec), wide.program)
    for target in TARGETS:
        small = sample(name, tiny(load_spec(target)), name, seed=1)
        assert symbolic.computes(Machine(small.spec), small.program, terms)
    other = sample(name, wide.spec, name, seed=2)
    assert not symbolic.computes(Machine(wide.spec), other.program, terms)
    stream = decode_all(small.program.words)
    for cls, field in ((isa.Output, "low"), (isa.Output, "zero_point"), (isa.Input, "zero_point")):
        pc = next(pc for pc, one in enumerate(stream) if isinstance(one, cls))
        by = 1 if getattr(stream[pc], field) < 100 else -1
        one = replace(stream[pc], **{field: getattr(stream[pc], field) + 40 * by})
        words = encode_all([*stream[:pc], one, *stream[pc + 1 :]])
        assert not symbolic.computes(
            Machine(small.spec), replace(small.program, words=words), terms
        )
