"""What Relay's ONNX importer makes of the operators of convolutional networks. Needs TVM up to
0.19."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relay

Build = Callable[[], Any]
SHAPE = [1, 4, 6, 8]
# Operator, attributes, further constant inputs by shape or value, operator set.
CASES: dict[str, tuple[str, dict[str, Any], list[Any], int]] = {
    "conv": ("Conv", {"pads": [1, 0, 2, 1], "strides": [2, 1]}, [(6, 4, 3, 3), (6,)], 13),
    "conv_group": ("Conv", {"group": 4, "dilations": [2, 2]}, [(8, 1, 3, 3), (8,)], 13),
    "conv_transpose": (
        "ConvTranspose",
        {"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]},
        [(4, 5, 3, 3)],
        13,
    ),
    "max_pool": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}, [], 13),
    "max_pool_ceil": (
        "MaxPool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        [],
        13,
    ),
    "avg_pool": ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, [], 13),
    "avg_pool_include": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1},
        [],
        13,
    ),
    "global_average": ("GlobalAveragePool", {}, [], 13),
    "global_max": ("GlobalMaxPool", {}, [], 13),
    "batch_norm": ("BatchNormalization", {}, [(4,), (4,), (4,), np.arange(1, 5) / 3], 13),
    "instance_norm": ("InstanceNormalization", {}, [(4,), (4,)], 13),
    "layer_norm": ("LayerNormalization", {}, [(8,), (8,)], 17),
    "lrn": ("LRN", {"size": 3, "alpha": 0.3}, [], 13),
    "relu": ("Relu", {}, [], 13),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}, [], 13),
    "prelu": ("PRelu", {}, [(4, 1, 1)], 13),
    "elu": ("Elu", {}, [], 13),
    "selu": ("Selu", {}, [], 13),
    "celu": ("Celu", {}, [], 13),
    "hard_sigmoid": ("HardSigmoid", {}, [], 13),
    "hard_swish": ("HardSwish", {}, [], 14),
    "mish": ("Mish", {}, [], 18),
    "softplus": ("Softplus", {}, [], 13),
    "softsign": ("Softsign", {}, [], 13),
    "erf": ("Erf", {}, [], 13),
    "clip": ("Clip", {}, [np.float32(0), np.float32(0.5)], 13),
    "clip_attributes": ("Clip", {"min": 0.0, "max": 0.5}, [], 6),
    "softmax": ("Softmax", {"axis": 1}, [], 13),
    "softmax_flat": ("Softmax", {"axis": 1}, [], 11),
    "log_softmax": ("LogSoftmax", {"axis": 1}, [], 13),
    "flatten": ("Flatten", {}, [], 13),
    "reshape": ("Reshape", {}, [np.array([0, -1])], 13),
    "transpose": ("Transpose", {"perm": [0, 2, 3, 1]}, [], 13),
    "squeeze": ("Squeeze", {}, [np.array([0])], 13),
    "unsqueeze": ("Unsqueeze", {}, [np.array([1, 3])], 13),
    "concat": ("Concat", {"axis": 1}, [(1, 2, 6, 8)], 13),
    "slice": ("Slice", {}, [np.array([1]), np.array([3]), np.array([2]), np.array([1])], 13),
    "pad": ("Pad", {}, [np.array([0, 0, 1, 2, 0, 0, 0, 1])], 13),
    "pad_reflect": ("Pad", {"mode": "reflect"}, [np.array([0, 0, 1, 2, 0, 0, 0, 1])], 13),
    "gather": ("Gather", {"axis": 1}, [np.array([2, 0])], 13),
    "tile": ("Tile", {}, [np.array([1, 2, 1, 1])], 13),
    "expand": ("Expand", {}, [np.array([2, 4, 6, 8])], 13),
    "add": ("Add", {}, [(4, 1, 1)], 13),
    "sub": ("Sub", {}, [(4, 1, 1)], 13),
    "mul": ("Mul", {}, [(8,)], 13),
    "div": ("Div", {}, [np.array([1, 2, 3, 4, 5, 6, 7, 8], np.float32)], 13),
    "max": ("Max", {}, [(4, 1, 1)], 13),
    "min": ("Min", {}, [(4, 1, 1)], 13),
    "sum": ("Sum", {}, [(1, 4, 6, 8), (1, 4, 6, 8)], 13),
    "mean_of": ("Mean", {}, [(1, 4, 6, 8)], 13),
    "pow": ("Pow", {}, [np.float32(2)], 13),
    "reduce_mean": ("ReduceMean", {"axes": [2, 3]}, [], 13),
    "reduce_sum": ("ReduceSum", {"keepdims": 0}, [np.array([1])], 13),
    "reduce_max": ("ReduceMax", {"axes": [1]}, [], 13),
    "reduce_l2": ("ReduceL2", {"axes": [1]}, [], 13),
    "argmax": ("ArgMax", {"axis": 1}, [], 13),
    "depth_to_space": ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [], 13),
    "space_to_depth": ("SpaceToDepth", {"blocksize": 2}, [], 13),
    "resize": (
        "Resize",
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        [np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)],
        13,
    ),
    "resize_nearest": (
        "Resize",
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        [np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32)],
        13,
    ),
    "upsample": ("Upsample", {}, [np.array([1, 1, 2, 2], np.float32)], 9),
    "matmul": ("MatMul", {}, [(8, 5)], 13),
    "identity": ("Identity", {}, [], 13),
    "dropout": ("Dropout", {}, [], 13),
    "cast": ("Cast", {"to": TensorProto.INT32}, [], 13),
}


def _module(case: str) -> Any:
    op, attrs, further, opset = CASES[case]
    rng = np.random.default_rng(len(case))
    constants = []
    for position, item in enumerate(further):
        value = (rng.random(item) - 0.5).astype("float32") if isinstance(item, tuple) else item
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype("float32")
        constants.append(numpy_helper.from_array(array, f"c{position}"))
    node = helper.make_node(op, ["x", *(item.name for item in constants)], ["y"], **attrs)
    graph = helper.make_graph(
        [node],
        case,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_empty_tensor_value_info("y")],
        constants,
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    with tvm.transform.PassContext(
        disabled_pass=["tir.CommonSubexprElimTIR"], config={"tir.disable_vectorize": True}
    ):
        return _static(*relay.frontend.from_onnx(model, freeze_params=True))


def _static(module: Any, params: Any) -> Any:
    """The module with its shapes and what depends on constants worked out."""
    module = relay.transform.DynamicToStatic()(relay.transform.InferType()(module))
    return relay.transform.FoldConstant()(module), {
        name: value.numpy() for name, value in params.items()
    }


def imported() -> dict[str, Build]:
    """By the name of the case."""

    def build(case: str) -> Build:
        return lambda: _module(case)

    return {case: build(case) for case in CASES}
