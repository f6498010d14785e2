"""The scales of activations: those that an operation keeps, whatever range its result has."""

from __future__ import annotations

import numpy as np
import pytest

from tests.relay_passes.onnx_oracle import parse
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.scales import Range, choose_scales, integer_groups

KEEPING = {
    "maxpool": "m = MaxPool <kernel_shape = [2, 2]> (c)",
    "move": "m = Slice (c, begin, end)",
    "reshape": "m = Reshape (c, shape)",
}


@pytest.mark.parametrize("kind", KEEPING)
def test_what_makes_no_new_numbers_keeps_the_scale(kind: str) -> None:
    numbers = {"begin": [0, 0, 1, 1], "end": [1, 8, 4, 4], "shape": [1, 8, 2, 8]}
    body = KEEPING[kind]
    module = import_float(
        parse(
            f"net (float[1, 8, 4, 4] x) => (float y) {{ c = Conv (x, w) {body} y = Conv (m, w) }}",
            w=np.ones((8, 8, 1, 1), np.float32),
            **{name: np.array(each, np.int64) for name, each in numbers.items() if name in body},  # type: ignore[arg-type]  # opset is not among them
        ),
        {},
    )
    func = module["main"]
    graph = read_graph(func)
    groups = integer_groups(func, graph, scaled=True)
    assert [group.kind for group in groups.values()] == ["conv", kind, "conv"]
    names = ["x", *groups]
    ranges = {name: Range(-1.0 - at, 2.0 + at) for at, name in enumerate(names)}
    scales = choose_scales(func, graph, groups, ranges, "int8")
    first, kept, last = (scales[name] for name in groups)
    assert kept == first
    assert len({scales["x"], first, last}) == 3
