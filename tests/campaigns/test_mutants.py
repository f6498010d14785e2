"""A sample of the mutants, and that none of the instruction set can be forgotten."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from tests.campaigns.mutants import FIELDS, FOUND, TOKENS, Mutant, judge, mutants
from tests.campaigns.programs import NETWORKS, TARGETS, sample, samples, tiny
from zeroskip.accel_model.encoding import decode_all
from zeroskip.accel_model.isa import BY_MNEMONIC, BY_OPCODE, layout
from zeroskip.accel_model.machine import Machine
from zeroskip.accel_model.spec import load_spec


def test_every_field_is_of_one_kind() -> None:
    declared = {name for cls in BY_OPCODE.values() for name, _ in layout(cls)} - set(TOKENS)
    known = [name for names in FIELDS.values() for name in names]
    assert sorted(known) == sorted(declared)


def test_the_programs_use_every_instruction() -> None:
    used = {one.mnemonic for each in samples() for one in decode_all(each.program.words)}
    assert used == set(BY_MNEMONIC)


@pytest.mark.parametrize("target", TARGETS)
def test_no_mutant_survives(target: str) -> None:
    seen: Counter[str] = Counter()
    for name in NETWORKS:
        one = sample(name, tiny(load_spec(target)), name, seed=1)
        machine = Machine(one.spec)
        wanted = [machine.run(one.program, data).outputs for data in one.inputs]
        every = list(mutants(decode_all(one.program.words)))
        for n in np.random.default_rng(2).choice(len(every), 40, replace=False):
            outcome = judge(machine, one.program, every[n], one.inputs, wanted)
            assert outcome != "survived", every[n].what
            seen[outcome] += 1
    print(seen)
    assert {"race", "unwritten", "deadlock", "refused", "output"} <= set(seen) & set(FOUND)


def test_a_result_that_depends_on_the_order_survives() -> None:
    one = sample("residual", load_spec("dense256"), "residual", seed=1)
    machine = Machine(one.spec)
    wanted = [machine.run(one.program, data).outputs for data in one.inputs]
    stream = tuple(decode_all(one.program.words))
    same = Mutant("none", "unchanged", stream, tuple(range(len(stream))))
    assert judge(machine, one.program, same, one.inputs, wanted) == "equivalent"

    def careless(program: object, data: object, seed: int | None) -> SimpleNamespace:
        done = machine.run(one.program, one.inputs[0] if data is None else data)  # type: ignore[arg-type]  # data
        worse = {name: values + np.int8(seed == 7) for name, values in done.outputs.items()}
        return SimpleNamespace(outputs=worse)

    broken = SimpleNamespace(run=careless)
    assert judge(broken, one.program, same, one.inputs, wanted) == "survived"  # type: ignore[arg-type]  # a stand-in
