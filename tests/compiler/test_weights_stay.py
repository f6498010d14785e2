"""Weights that are held for the bands that follow never keep others out of WGT."""

from __future__ import annotations

import numpy as np

from tests.compiler.test_trailing import network
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.codegen.program_builder import ProgramBuilder
from zeroskip.compiler.ir.layer_info import layer_info
from zeroskip.compiler.ir.weight_packing import weights_of


def test_where_held_weights_leave_no_room_in_one_piece_nothing_is_held() -> None:
    region, spec = network("plain")[2], load_spec("sparse256")
    out, op = ProgramBuilder(region, spec), region.ops[0]
    out.enter(layer_info(op, "", weights_of(op, spec), {}), {})
    third, raw = spec.wgt_rows // 3, np.zeros(64, np.uint8)
    out.wgt.reserve([("first", third), ("last", third), ("middle", third)])
    middle = out.wgt.pin("middle", third)
    assert middle is not None
    assert third <= middle[0] < 2 * third
    out.weights_stay = True
    out.weights("large", raw, 2 * third, 0, 0)
    out.weights("small", raw, 1, 0, 0)
    found = out.wgt.reserve([("large", 2 * third)])
    assert found is not None
    assert not found[0][1]  # it is there
    loads = [each for each in out.stream.instructions if isinstance(each, isa.LoadWeights)]
    assert len(loads) == 2
