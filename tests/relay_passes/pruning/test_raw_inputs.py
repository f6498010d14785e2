"""The first layer is the first, whatever an exporter put between it and the input."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.pruning.apply import layer_changes, prune
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.relax.fold import FoldBatchNorm

NCHW, NHWC = [1, 3, 12, 12], [1, 12, 12, 3]
Node = tuple[str, list[str], str, dict[str, object]]
RNG = np.random.default_rng(0)
TENSORS: dict[str, np.ndarray] = {
    "w": RNG.standard_normal((16, 3, 3, 3)),
    "v": RNG.standard_normal((16, 16, 3, 3)),
    "rows": RNG.standard_normal((12, 12)),
    "depth": RNG.standard_normal((3, 1, 1, 1)),
    "mean": RNG.uniform(0.1, 1, (1, 3, 1, 1)),
    "of": RNG.uniform(0.5, 1.5, 3),
    "scale": np.array(0.02),
    "shuffle": RNG.standard_normal((3, 3, 1, 1)),
}
TENSORS = {name: value.astype(np.float32) for name, value in TENSORS.items()} | {
    "zero": np.array(0, np.int8),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "shape": np.array(NCHW),
    "starts": np.array([0]),
    "ends": np.array([1]),
    "axes": np.array([1]),
}


def model(before: list[Node], shape: list[int], kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Two convolutions; ``before``: nodes between the input ``x`` and the first, which reads
    what the last of them makes."""
    first = before[-1][2] if before else "x"
    nodes = [
        *before,
        ("Conv", [first, "w"], "stem", {}),
        ("Relu", ["stem"], "r", {}),
        ("Conv", ["r", "v"], "y", {}),
    ]
    graph = helper.make_graph(
        [helper.make_node(op, read, [made], made, **attrs) for op, read, made, attrs in nodes],
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in TENSORS.items()],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def firsts(proto: onnx.ModelProto) -> list[str]:
    module = FoldBatchNorm()(import_onnx(normalise_onnx(proto)))
    return [layer.node for layer in prunable_layers(module["main"]) if layer.first]


TURN: Node = ("Transpose", ["x"], "t", {"perm": [0, 3, 1, 2]})
CASES: dict[str, tuple[list[Node], list[int]]] = {
    "nothing": ([], NCHW),
    "transpose": ([TURN], NHWC),
    "normalisation": (
        [TURN, ("Sub", ["t", "mean"], "s", {}), ("Div", ["s", "mean"], "d", {})],
        NHWC,
    ),
    "batch norm": ([("BatchNormalization", ["x", "of", "of", "of", "of"], "b", {})], NCHW),
    "pad": ([("Pad", ["x", "pads"], "p", {})], NCHW),
    "reshape": ([("Reshape", ["x", "shape"], "p", {})], [1, 36, 12]),
    "scales": (
        [
            ("QuantizeLinear", ["x", "scale", "zero"], "q", {}),
            ("DequantizeLinear", ["q", "scale", "zero"], "d", {}),
        ],
        NCHW,
    ),
    "pool": ([("MaxPool", ["x"], "p", {"kernel_shape": [2, 2], "strides": [2, 2]})], NCHW),
    "own mean": (
        [("ReduceMean", ["x"], "m", {"axes": [2, 3]}), ("Sub", ["x", "m"], "s", {})],
        NCHW,
    ),
    "cut and joined": (
        [
            ("Slice", ["x", "starts", "ends", "axes"], "s", {}),
            ("Concat", ["s", "s", "s"], "c", {"axis": 1}),
        ],
        NCHW,
    ),
    "activation": ([("Sigmoid", ["x"], "s", {})], NCHW),
}


@pytest.mark.parametrize("name", CASES)
def test_convolutions_behind_operators_without_weights_are_first(name: str) -> None:
    before, shape = CASES[name]
    assert firsts(model(before, shape)) == ["stem"]


def test_a_cast_is_no_layer() -> None:
    cast: Node = ("Cast", ["x"], "f", {"to": TensorProto.FLOAT})
    assert firsts(model([cast], NCHW, TensorProto.UINT8)) == ["stem"]


@pytest.mark.parametrize(
    ("layer", "first"),
    [
        (("Conv", ["x", "shuffle"], "l", {}), ["l"]),
        (("Conv", ["x", "depth"], "l", {"group": 3}), ["l"]),
        (("MatMul", ["x", "rows"], "l", {}), ["l"]),
        (("ConvTranspose", ["x", "shuffle"], "l", {}), []),
    ],
)
def test_what_is_behind_a_layer_is_not_first(layer: Node, first: list[str]) -> None:
    assert firsts(model([layer], NCHW)) == first


def test_what_a_layer_made_is_not_raw_when_the_input_is_added_again() -> None:
    layer: Node = ("Conv", ["x", "shuffle"], "l", {})
    assert firsts(model([layer, ("Add", ["l", "x"], "a", {})], NCHW)) == ["l"]


@pytest.mark.parametrize("recipe", ["nm:n=1,m=4", "block:block=4x4,ratio=0.5", "shape:ratio=0.5"])
def test_a_stem_behind_a_transpose_is_left_and_the_rest_pruned(recipe: str) -> None:
    module = FoldBatchNorm()(import_onnx(normalise_onnx(model([TURN], NHWC))))
    stem, other = layer_changes(module, prune(module, recipe))
    assert stem.node == "stem"
    assert stem.before is not None
    assert stem.after is not None
    assert np.array_equal(stem.after.weight, stem.before.weight)
    assert other.after is not None
    assert np.count_nonzero(other.after.weight) < 16 * 16 * 9
