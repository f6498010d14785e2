"""Small ONNX networks for tests of the whole path."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 3, 16, 16)
COUNT = 24  # images of the fixture


def small_net(*, cpu_node: bool = False, seed: int = 0) -> onnx.ModelProto:
    """Convolutions with a residual add, pooling and a classifier; ``cpu_node`` puts an operator in
    the middle that the accelerator does not have."""
    rng = np.random.default_rng(seed)
    weights: list[onnx.TensorProto] = []

    def weight(name: str, *shape: int) -> str:
        fan_in = int(np.prod(shape[1:])) or 1
        values = rng.standard_normal(shape) / np.sqrt(fan_in)
        weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(name: str, x: str, y: str, filters: int, channels: int) -> onnx.NodeProto:
        inputs = [x, weight(f"{name}.w", filters, channels, 3, 3), weight(f"{name}.b", filters)]
        return helper.make_node("Conv", inputs, [y], name=name, pads=[1] * 4)

    nodes = [
        conv("conv0", "x", "a", 16, 3),
        helper.make_node("Relu", ["a"], ["b"], name="relu0"),
        conv("conv1", "b", "c", 16, 16),
        helper.make_node("Add", ["c", "b"], ["d"], name="add"),
        helper.make_node("Relu", ["d"], ["e"], name="relu1"),
    ]
    if cpu_node:
        nodes.append(helper.make_node("Softmax", ["e"], ["s"], name="softmax", axis=1))
        nodes.append(conv("conv2", "s", "e2", 16, 16))
    last = "e2" if cpu_node else "e"
    nodes += [
        helper.make_node(
            "MaxPool", [last], ["f"], name="pool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Flatten", ["f"], ["g"], name="flat"),
        helper.make_node(
            "Gemm",
            ["g", weight("fc.w", 10, 16 * 64), weight("fc.b", 10)],
            ["y"],
            name="fc",
            transB=1,
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        weights,
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def of_batch(batch: int, *, cpu_node: bool = False) -> onnx.ModelProto:
    """``small_net`` (Flatten and Gemm at its end) with a batch written into its inputs, its outputs
    and a Reshape."""
    model = small_net(cpu_node=cpu_node)
    graph = model.graph
    for item in (*graph.input, *graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = batch
    flat = next(node for node in graph.node if node.op_type == "Flatten")
    flat.op_type = "Reshape"
    flat.input.append("shape")
    graph.initializer.append(numpy_helper.from_array(np.array([batch, 16 * 64]), "shape"))
    return model
