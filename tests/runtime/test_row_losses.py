"""Losses of a target whose DRAM has rows: still every cycle above the bound, by cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compiler.test_fusion import NETWORKS, network
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.runtime.analysis.loss_breakdown import ROWS, causes_of, losses_of, parts

SPEC = load_spec(str(Path(__file__).parents[2] / "examples" / "sparse256_lpddr4.toml"))


@pytest.mark.parametrize("name", NETWORKS)
def test_causes_sum_to_the_cycles_above_the_bound(name: str) -> None:
    _, _, region = network(name)
    program = emit_region(region, SPEC, plan_region(region, SPEC))
    run = Machine(SPEC).run(program, {}, numbers=False)
    for one, info in zip(losses_of(run, program), program.layers, strict=True):
        bound = info.bound(SPEC.array.macs, SPEC.dram.bytes_per_cycle)
        assert list(one.lost) == [cause.name for cause in causes_of(SPEC)]
        assert sum(one.lost.values()) == (one.cycles - bound) * parts(SPEC)
        assert one.lost[ROWS.name] >= 0
        assert one.limit == "bus" or one.lost[ROWS.name] == 0
