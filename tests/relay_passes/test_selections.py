"""Arithmetic that only chooses stays float; what carries values on does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.relay_passes.onnx_oracle import parse
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.scales import integer_groups

CONSTANTS: dict[str, Any] = {
    "w": np.ones((8, 8, 1, 1), np.float32),
    "three": np.array([3], np.int64),
    "half": np.array([0.5], np.float32),
    "stride": np.array([16.0], np.float32),
    "flat": np.array([1, 8, 4], np.int64),
    "image": np.array([1, 8, 2, 2], np.int64),
    "scores": np.array([[[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]]], np.float32),
}
NMS = "i = NonMaxSuppression (boxes, scores, three, half, half)"
RESULTS = {
    # body, type of the result, the kinds of groups that are layers
    "boxes behind a convolution": (
        f"""c = Conv (x, w) b = Reshape (c, flat) d = Conv (z, w) e = Reshape (d, flat)
        t = Mul (e, half) boxes = Sub (b, t) {NMS}""",
        "int64 i",
        ["conv", "conv", "reshape", "reshape"],
    ),
    "boxes that a convolution reads too": (
        f"""c = Conv (x, w) b = Reshape (c, flat) s = Sigmoid (b) boxes = Mul (s, stride) {NMS}
        r = Reshape (boxes, image) y = Conv (r, w)""",
        "float y, int64 i",
        ["conv", "lookup", "reshape", "conv"],
    ),
    "the largest of a layer with a residual": (
        "c = Conv (x, w) d = Add (c, x) i = ArgMax <axis = 1> (d)",
        "int64 i",
        ["conv", "add"],
    ),
    "the largest of a sum of inputs": (
        "d = Add (x, z) e = Sigmoid (d) i = ArgMax <axis = 1> (e)",
        "int64 i",
        [],
    ),
    "a mask that a convolution reads": (
        "d = Add (x, z) m = Greater (d, half) f = Cast <to = 1> (m) y = Conv (f, w)",
        "float y",
        ["conv"],
    ),
    "a sum that a convolution reads too": (
        "d = Add (x, z) i = ArgMax <axis = 1> (d) y = Conv (d, w)",
        "float y, int64 i",
        ["add", "conv"],
    ),
    "the largest few with their values": (
        "d = Add (x, z) y, i = TopK <axis = 1> (d, three)",
        "float y, int64 i",
        [],
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_only_chooses_stays_float(name: str) -> None:
    body, results, kinds = RESULTS[name]
    two = "float[1, 8, 2, 2] x, float[1, 8, 2, 2] z"
    names = {word for word in CONSTANTS if word in body.replace(",", " ").replace(")", " ").split()}
    constants = {each: CONSTANTS[each] for each in names}
    func = import_float(parse(f"net ({two}) => ({results}) {{ {body} }}", **constants), {})["main"]
    graph = read_graph(func)
    groups = integer_groups(func, graph, scaled=True)
    assert [group.kind for group in groups.values()] == kinds
    left = [
        each for each in graph.groups.values() if each.name not in groups and each.kind != "move"
    ]
    assert bool(left) == any("only chooses" in why for why in graph.reasons.values())
