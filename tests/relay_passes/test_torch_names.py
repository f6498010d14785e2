"""Names of torch's modules in ONNX files of its dynamo exporter; needs no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.nets import small_net
from zeroskip.relay_passes.frontend.load import load_onnx
from zeroskip.relay_passes.frontend.torch_names import name_by_modules
from zeroskip.relay_passes.read_model import read_model

SCOPES = "pkg.torch.onnx.name_scopes"


def node(op: str, name: str, inputs: list[str], output: str, scopes: str) -> onnx.NodeProto:
    made = helper.make_node(op, inputs, [output], name)
    made.metadata_props.add(key=SCOPES, value=scopes)
    return made


def exported() -> onnx.ModelProto:
    """As the dynamo exporter writes two convolutions, the second with its normalisation folded."""
    weight = np.ones((4, 4, 1, 1), np.float32)
    nodes = [
        node("Conv", "node_conv2d", ["x", "l1.conv.weight"], "conv2d", "['', 'l1', 'l1.conv', 'conv2d']"),
        node("Relu", "node_relu", ["conv2d"], "relu", "['', 'l1', 'l1.act', 'relu']"),
        node("Conv", "node_Conv_138", ["relu", "l1.b1.weight"], "getitem", "['', 'l1', 'l1.bn', 'bn']"),
        node("Relu", "node_relu_1", ["getitem"], "relu_1", "['', 'l1', 'l1.twice', 'relu_1']"),
        node("Relu", "node_relu_2", ["relu_1"], "relu_2", "['', 'l1', 'l1.twice', 'relu_2']"),
        node("Add", "node_add", ["relu_2", "x"], "add", "['', 'l1', 'add']"),
        node("Relu", "node_relu_3", ["add"], "y", "not a list"),
    ]  # fmt: skip
    tensors = [numpy_helper.from_array(weight, name) for name in ("l1.conv.weight", "l1.b1.weight")]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4, 2, 2]) for n in "xy"]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors)
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, ir_version=9, opset_imports=opset)


def test_nodes_are_called_by_modules(tmp_path: Path) -> None:
    wanted = [
        "l1.conv",
        "l1.act",
        "l1.b1",
        "l1.twice.relu_1",
        "l1.twice.relu_2",
        "l1.add",
        "node_relu_3",
    ]
    onnx.save(exported(), tmp_path / "net.onnx")
    assert [each.name for each in load_onnx(tmp_path / "net.onnx").graph.node] == wanted
    own = exported()
    named = read_model(own)
    assert isinstance(named, onnx.ModelProto)
    assert [each.name for each in named.graph.node] == wanted
    assert own == exported()


def test_other_models_keep_their_names() -> None:
    model = small_net()
    before = model.SerializeToString()
    assert not name_by_modules(model)
    assert model.SerializeToString() == before
    assert read_model(model) is model


def test_metadata_that_is_no_list_is_let_be() -> None:
    model = exported()
    for each in model.graph.node:
        each.metadata_props[0].value = "[" * 9000
    assert not name_by_modules(model)
