"""Regions are lowered once in a compile, and anew where a pass changes what they hold."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tvm.ir import IRModule

from tests.runtime.nets import small_net
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.driver import lower, network_of
from zeroskip.compiler.lowering import from_relax, regions
from zeroskip.compiler.lowering.regions import Regions
from zeroskip.compiler.passes import EmitProgram, TileAndSchedule, programs_of
from zeroskip.compiler.stages import apply_passes


@pytest.fixture
def extracted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each region is extracted."""
    counts: Counter[str] = Counter()
    extract = from_relax.extract

    def counting(mod: IRModule, name: str) -> Any:
        counts[name] += 1
        return extract(mod, name)

    monkeypatch.setattr(regions, "extract", counting)
    return counts


def test_a_compile_extracts_each_region_once(extracted: Counter[str]) -> None:
    spec, model = load_spec("dense256"), small_net(cpu_node=True)
    stages = lower(model, spec)
    network_of(stages, model, spec)
    assert len(stages.programs) > 1
    assert extracted == Counter(dict.fromkeys(stages.programs, 1))
    # Passes used one by one make their own, and the programs are the same.
    scheduled = apply_passes(stages.partitioned, TileAndSchedule(spec))
    assert apply_passes(scheduled, EmitProgram(spec)) is not None
    alone = programs_of(scheduled, spec)
    assert {name: alone[name].to_bytes() for name in alone} == {
        name: program.to_bytes() for name, program in stages.programs.items()
    }


def test_another_body_under_the_name_is_another_region(extracted: Counter[str]) -> None:
    spec, kept = load_spec("dense256"), Regions()
    one, two = (lower(model, spec).partitioned for model in (small_net(), small_net(seed=1)))
    extracted.clear()
    (name,) = (gvar.name_hint for gvar in one.get_global_vars() if gvar.name_hint != "main")
    first, again, other = (kept.region(mod, name) for mod in (one, one, two))
    assert first is again
    assert other is not first
    assert extracted[name] == 2
