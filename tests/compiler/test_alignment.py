"""Constants and tensors start on a burst of the target's own DRAM."""

from __future__ import annotations

from dataclasses import replace
from math import lcm

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import DRAM_GRANULE_BYTES, load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region


def program(burst: int) -> Program:
    b = GraphBuilder(np.random.default_rng(5))
    out = b.conv(b.conv(b.input(3, 5, 5), 7, (3, 3)), 5, (1, 1))
    spec = load_spec("sparse256")
    spec = replace(spec, dram=replace(spec.dram, burst_bytes=burst))
    region = lower(b.graph(out))
    return emit_region(region, spec, plan_region(region, spec))


@pytest.mark.parametrize("burst", [4, 64, 512])
def test_everything_in_dram_starts_on_a_burst(burst: int) -> None:
    made, align = program(burst), lcm(burst, DRAM_GRANULE_BYTES)
    loads = [
        one.dram
        for one in decode_all(made.words)
        if isinstance(one, isa.LoadWeights | isa.LoadParams)
    ]
    places = [*loads, *(tensor.address for tensor in (*made.inputs, *made.outputs))]
    assert len(set(places)) > 4
    assert {place % align for place in places} == {0}
    assert made.dram_bytes % align == 0
    assert any(place % (2 * align) for place in places)  # no coarser than it must be
