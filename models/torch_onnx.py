"""A torch network as ONNX, operator by operator, named after its modules.

For the operators of the networks here; ``torch.onnx`` would need another package and names its
nodes by number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812  # torch's own convention


class _TraceWriter:
    """Nodes and weights so far. named: the ONNX tensor of each value of the traced graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.named: dict[fx.Node, str] = {}

    def tensor(self, label: str, values: torch.Tensor) -> str:
        self.weights.append(numpy_helper.from_array(values.detach().contiguous().numpy(), label))
        return label

    def add(self, op: str, label: str, inputs: list[str], **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [f"{label}.out"], label, **attributes))
        return f"{label}.out"

    def convolution(self, label: str, x: str, made: nn.Conv2d) -> str:
        inputs = [x, self.tensor(f"{label}.weight", made.weight)]
        if made.bias is not None:
            inputs.append(self.tensor(f"{label}.bias", made.bias))
        return self.add(
            "Conv",
            label,
            inputs,
            kernel_shape=list(made.kernel_size),
            strides=list(made.stride),
            pads=[*made.padding, *made.padding],
            dilations=list(made.dilation),
            group=made.groups,
        )

    def normalisation(self, label: str, x: str, made: nn.BatchNorm2d) -> str:
        parts = {
            "weight": made.weight,
            "bias": made.bias,
            "running_mean": made.running_mean,
            "running_var": made.running_var,
        }
        return self.add(
            "BatchNormalization",
            label,
            [x, *(self.tensor(f"{label}.{key}", part) for key, part in parts.items())],
            epsilon=made.eps,
        )

    def linear(self, label: str, x: str, made: nn.Linear) -> str:
        return self.add(
            "Gemm",
            label,
            [
                x,
                self.tensor(f"{label}.weight", made.weight),
                self.tensor(f"{label}.bias", made.bias),
            ],
            transB=1,
        )

    def identity(self, _label: str, x: str, _made: nn.Identity) -> str:
        return x

    def function(self, node: fx.Node) -> str:
        """A call of one of the functions that the networks use."""
        inputs = [self.named[each] for each in node.all_input_nodes]
        if node.target is operator.add:
            return self.add("Add", node.name, inputs)
        if node.target is F.relu:
            return self.add("Relu", node.name, inputs)
        if node.target is F.max_pool2d:
            size = int(node.args[1])
            return self.add(
                "MaxPool", node.name, inputs, kernel_shape=[size] * 2, strides=[size] * 2
            )
        if node.target is F.adaptive_avg_pool2d and node.args[1] == 1:
            return self.add("GlobalAveragePool", node.name, inputs)
        if node.target is torch.flatten and node.args[1] == 1:
            return self.add("Flatten", node.name, inputs)
        raise NotImplementedError(f"No ONNX operator for {node.target} at '{node.name}'.")


MODULES: dict[type[nn.Module], Callable[[_TraceWriter, str, str, Any], str]] = {
    nn.Conv2d: _TraceWriter.convolution,
    nn.BatchNorm2d: _TraceWriter.normalisation,
    nn.Linear: _TraceWriter.linear,
    nn.Identity: _TraceWriter.identity,
}


def to_onnx(model: nn.Module, name: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The network for inference, of an input ``image`` of a shape to ``logits``.

    The node of a module bears the module's name. NotImplementedError for another operator.
    """
    model = model.eval()
    writer, result = _TraceWriter(), ""
    traced = fx.symbolic_trace(model)
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            writer.named[node] = "image"
        elif node.op == "call_module":
            made = traced.get_submodule(node.target)
            if type(made) not in MODULES:
                raise NotImplementedError(f"No ONNX operator for {made} at '{node.target}'.")
            write = MODULES[type(made)]
            writer.named[node] = write(writer, node.target, writer.named[node.args[0]], made)
        elif node.op == "call_function":
            writer.named[node] = writer.function(node)
        else:
            result = writer.named[node.args[0]]
    writer.nodes[-1].output[0] = "logits"
    assert writer.nodes[-1].name + ".out" == result, "the last operator makes the result"
    with torch.no_grad():
        answer = list(model(torch.zeros(shape)).shape)
    graph = helper.make_graph(
        writer.nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, answer)],
        writer.weights,
    )
    made = helper.make_model(
        graph,
        ir_version=9,
        producer_name="zeroskip.models.torch_onnx",
        opset_imports=[helper.make_opsetid("", 17)],
    )
    onnx.checker.check_model(made)
    return made
