"""The machine's loops compiled before anybody waits for them: where zeroskip is installed, in an
image that is built, on a node of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.execution.session import Session

CHANNELS, SIZE = 32, 12
SPARSITY = 0.5  # of the weights, in any position
TARGETS = ("dense256", "sparse256", "pattern256")  # whose loops the other arrays share


def compile_ahead(targets: Sequence[str] = TARGETS, on_progress: Progress = no_progress) -> None:
    """Compile and run a small network on each target, so that what numba compiles of the machine is
    kept for the next process (``code_folder``). Other arrays' formats and times are compiled when
    they are used first. SpecError for a target that is not known."""
    model = every_operator()
    image = np.random.default_rng(0).standard_normal((1, CHANNELS, SIZE, SIZE), np.float32)
    for done, target in enumerate(targets):
        on_progress(target, done, len(targets))
        Session(compile_network(model, target, method="minmax")).run({"x": image})


def every_operator() -> onnx.ModelProto:
    """A network of each operator that the machine computes with a loop of its own."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        values = rng.standard_normal(shape) * (rng.random(shape) >= SPARSITY)
        return numpy_helper.from_array(values.astype(np.float32), name)

    pads = {"pads": [1] * 4}
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["c"], **pads),
        helper.make_node("Conv", ["c", "each"], ["d"], group=CHANNELS, **pads),
        helper.make_node("Add", ["c", "d"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["gate"]),
        helper.make_node("Mul", ["d", "gate"], ["gated"]),
        helper.make_node("MaxPool", ["gated"], ["large"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("AveragePool", ["large"], ["mean"], kernel_shape=[2, 2]),
        helper.make_node("GlobalAveragePool", ["mean"], ["one"]),
        helper.make_node("Flatten", ["one"], ["flat"]),
        helper.make_node("Gemm", ["flat", "last"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "every_operator",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [
            weight("first", CHANNELS, CHANNELS, 3, 3),
            weight("each", CHANNELS, 1, 3, 3),
            weight("last", 10, CHANNELS),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
