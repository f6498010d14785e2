"""Cases of form ``onnx``: ONNX models, in float or quantized (Q/DQ), for the whole compiler.

A step's kind is the ONNX operator; its options are the attributes, with the constants' own:
``filters``, ``bias``, ``seed``, ``zeros``, ``density``, ``constant``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.campaigns.fuzz_case import FuzzCase, FuzzStep, InvalidCaseError
from tests.campaigns.fuzz_reference import run_reference
from tests.campaigns.fuzz_weights import kept

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Constants = dict[str, Array]
OPSET = 17
SAME = ("SAME_UPPER", "SAME_LOWER")
OWN = ("filters", "bias", "seed", "zeros", "density", "constant", "kernel", "depthwise")
UNMOVED = ("Flatten", "Reshape", "MaxPool", "Identity", "Dropout", "Squeeze")  # keep their scale
INT32 = np.iinfo(np.int32).min, np.iinfo(np.int32).max


def build_model(case: FuzzCase) -> onnx.ModelProto:
    """The model; InvalidCaseError if ONNX's checker or shape inference refuses it."""
    model = _float_model(case)
    if case.settings.get("qdq"):
        model = _quantized(case, model)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as problem:
        raise InvalidCaseError(str(problem)) from None
    return model


def shapes_of(model: onnx.ModelProto) -> dict[str, Shape]:
    """The shapes of inputs and outputs; InvalidCaseError if they contradict each other."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as problem:
        raise InvalidCaseError(str(problem)) from None
    graph = inferred.graph
    shapes = {
        item.name: tuple(int(dim.dim_value) for dim in item.type.tensor_type.shape.dim)
        for item in (*graph.input, *graph.output)
    }
    if any(min(shape, default=0) < 1 for shape in shapes.values()):
        raise InvalidCaseError("an empty tensor, or one of unknown shape")
    return shapes


def input_arrays(case: FuzzCase, seed: int) -> dict[str, Array]:
    """Normal values for each input."""
    rng = np.random.default_rng([case.data.get("seed", 0), seed])
    return {
        name: rng.standard_normal(given["shape"]).astype(np.float32)
        for name, given in case.inputs.items()
    }


def _float_model(case: FuzzCase) -> onnx.ModelProto:
    shapes = {name: tuple(given["shape"]) for name, given in case.inputs.items()}
    nodes: list[onnx.NodeProto] = []
    constants: Constants = {}
    for step in case.steps:
        made = make_node(step, shapes, constants)
        nodes.append(made)
        shapes = {**shapes, **_shape_of(made, shapes, constants)}
    if any(name not in shapes for name in case.outputs):
        raise InvalidCaseError("an output is not there")
    return _model(case, nodes, constants, {name: shapes[name] for name in case.outputs})


def make_node(step: FuzzStep, shapes: Mapping[str, Shape], constants: Constants) -> onnx.NodeProto:
    """The node of a step; its constants are added."""
    if any(name not in shapes for name in step.inputs):
        raise InvalidCaseError("an input is not there")
    extra = _EXTRA.get(step.kind, _no_constants)
    names = []
    for role, value in extra(step, [shapes[name] for name in step.inputs]).items():
        constants[f"{step.output}.{role}"] = value
        names.append(f"{step.output}.{role}")
    attributes = {key: value for key, value in step.options.items() if key not in OWN}
    if step.kind == "Conv":
        channels = shapes[step.inputs[0]][1]
        attributes["kernel_shape"] = list(constants[names[0]].shape[2:])
        attributes["group"] = channels // constants[names[0]].shape[1]
    if "kernel_shape" in attributes:
        _check_window(shapes[step.inputs[0]], attributes)
    return helper.make_node(
        step.kind, [*step.inputs, *names], [step.output], name=step.output, **attributes
    )


def _check_window(shape: Shape, attributes: Mapping[str, Any]) -> None:
    """ONNX's shape inference takes kernels larger than the padded input, and before opset 22
    windows that start behind the image; nothing else does."""
    kernel = attributes["kernel_shape"]
    rank = len(kernel)
    if rank != len(shape) - 2:
        raise InvalidCaseError("a window of another rank")
    if attributes.get("auto_pad") in SAME:
        return
    dilations = attributes.get("dilations", [1] * rank)
    strides = attributes.get("strides", [1] * rank)
    pads = attributes.get("pads", [0] * 2 * rank)
    for axis, size in enumerate(shape[2:]):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        rest = size + pads[axis] + pads[rank + axis] - reach
        if rest < 0:
            raise InvalidCaseError("a window larger than what it slides over")
        after = -(-rest // strides[axis]) * strides[axis]
        if attributes.get("ceil_mode", 0) and after >= size + pads[axis]:
            raise InvalidCaseError("a window behind the image")


def _shape_of(
    node: onnx.NodeProto, shapes: Mapping[str, Shape], constants: Constants
) -> dict[str, Shape]:
    """The shape of a node's result."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name])
        for name in dict.fromkeys(node.input)
        if name in shapes
    ]
    own = [
        numpy_helper.from_array(constants[name], name) for name in node.input if name in constants
    ]
    output = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "one", inputs, [output], own)
    return {node.output[0]: shapes_of(_with_opset(graph))[node.output[0]]}


def _model(
    case: FuzzCase, nodes: list[onnx.NodeProto], constants: Constants, ends: Mapping[str, Shape]
) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, given["shape"])
        for name, given in case.inputs.items()
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in ends.items()
    ]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return _with_opset(helper.make_graph(nodes, "net", inputs, outputs, stored))


def _with_opset(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", OPSET)])


# --------------------------------------------------------------------------- constant operands


def _no_constants(step: FuzzStep, shapes: list[Shape]) -> Constants:
    return {}


def _rng(step: FuzzStep) -> np.random.Generator:
    return np.random.default_rng(step.get("seed", 0))


def _floats(rng: np.random.Generator, *shape: int) -> Array:
    """Normal values scaled to keep the size of what they multiply."""
    terms = int(np.prod(shape[1:])) or 1
    values: Array = (rng.standard_normal(shape) / np.sqrt(terms)).astype(np.float32)
    return values


def _conv(step: FuzzStep, shapes: list[Shape]) -> Constants:
    rng, channels, rank = _rng(step), shapes[0][1], len(shapes[0]) - 2
    depthwise, groups = step.get("depthwise", False), step.get("group", 1)
    filters = channels if depthwise else step.get("filters", 1)
    groups = channels if depthwise else groups
    kernel = step.get("kernel", [1] * rank)
    if rank < 1 or len(kernel) != rank or min(filters, groups, *kernel) < 1 or channels % groups:
        raise InvalidCaseError("a convolution that does not fit")
    return _weights(step, rng, (filters, channels // groups, *kernel))


def _weights(step: FuzzStep, rng: np.random.Generator, shape: Shape) -> Constants:
    weight = _floats(rng, *shape)
    density = step.get("density", 1)
    if density < 1:
        weight[~kept(rng, shape, step.get("zeros", "unstructured"), density)] = 0
    bias = {"bias": _floats(rng, shape[0])} if step.get("bias", False) else {}
    return {"weight": weight, **bias}


def _gemm(step: FuzzStep, shapes: list[Shape]) -> Constants:
    if len(shapes[0]) != 2:
        raise InvalidCaseError("Gemm takes a matrix")
    made = _weights(step, _rng(step), (step.get("filters", 1), shapes[0][1]))
    if not step.get("transB", 0):
        made["weight"] = np.ascontiguousarray(made["weight"].T)
    return made


def _matmul(step: FuzzStep, shapes: list[Shape]) -> Constants:
    made = _weights(step, _rng(step), (step.get("filters", 1), shapes[0][-1]))
    return {"weight": np.ascontiguousarray(made["weight"].T)}


def _batch_norm(step: FuzzStep, shapes: list[Shape]) -> Constants:
    rng, channels = _rng(step), shapes[0][1]
    return {
        "gamma": rng.uniform(0.5, 1.5, channels).astype(np.float32),
        "shift": _floats(rng, channels),
        "mean": _floats(rng, channels),
        "variance": rng.uniform(0.5, 2, channels).astype(np.float32),
    }


def _layer_norm(step: FuzzStep, shapes: list[Shape]) -> Constants:
    rng, size = _rng(step), shapes[0][-1]
    return {
        "scale": rng.uniform(0.5, 1.5, size).astype(np.float32),
        "offset": rng.standard_normal(size).astype(np.float32),
    }


def _transposed(step: FuzzStep, shapes: list[Shape]) -> Constants:
    rank, kernel = len(shapes[0]) - 2, step.get("kernel", [])
    if rank < 1 or len(kernel) != rank or min(step.get("filters", 1), *kernel) < 1:
        raise InvalidCaseError("a transposed convolution that does not fit")
    made = _weights(step, _rng(step), (step.get("filters", 1), shapes[0][1], *kernel))
    made["weight"] = np.ascontiguousarray(made["weight"].swapaxes(0, 1))
    return made


def _subpixels(step: FuzzStep, shapes: list[Shape]) -> Constants:
    """None: ONNX's shape inference takes channels that are no whole blocks, nothing else does."""
    if len(shapes[0]) != 4 or shapes[0][1] % step.get("blocksize", 1) ** 2:
        raise InvalidCaseError("depth to space of parts of channels")
    return {}


def _scales(step: FuzzStep, shapes: list[Shape]) -> Constants:
    if len(shapes[0]) != 4:
        raise InvalidCaseError("a resize of no image")
    factors = [1, 1, *step.get("constant", [1, 1])]
    return {"roi": np.zeros(0, np.float32), "scales": np.array(factors, np.float32)}


def _span(step: FuzzStep, shapes: list[Shape]) -> Constants:
    """Option constant: begin, end, axis."""
    begin, end, axis = step.get("constant", [0, 1, 1])
    if not 1 <= axis < len(shapes[0]) or not 0 <= begin < end <= shapes[0][axis]:
        raise InvalidCaseError("a slice of nothing")
    roles = zip(("begin", "end", "axis"), (begin, end, axis), strict=True)
    return {role: np.array([number], np.int64) for role, number in roles}


def _second_operand(step: FuzzStep, shapes: list[Shape]) -> Constants:
    """Option constant: ``number``, ``channel`` or ``full``; without it there are two inputs."""
    kind, shape = step.get("constant", None), shapes[0]
    if kind is None:
        return {}
    size = {"number": (), "full": shape, "channel": (1, shape[1], *(1,) * (len(shape) - 2))}[kind]
    return {"operand": _rng(step).standard_normal(size).astype(np.float32)}


def _bounds(step: FuzzStep, shapes: list[Shape]) -> Constants:
    low, high = step.get("constant", [0, 6])
    return {"low": np.array(low, np.float32), "high": np.array(high, np.float32)}


def _integers(role: str) -> Callable[[FuzzStep, list[Shape]], Constants]:
    return lambda step, shapes: {role: np.array(step.get("constant", [1, -1]), np.int64)}


_EXTRA: dict[str, Callable[[FuzzStep, list[Shape]], Constants]] = {
    "Conv": _conv,
    "ConvTranspose": _transposed,
    "DepthToSpace": _subpixels,
    "Resize": _scales,
    "Slice": _span,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "Add": _second_operand,
    "Mul": _second_operand,
    "Sub": _second_operand,
    "Clip": _bounds,
    "Reshape": _integers("shape"),
    "Pad": _integers("pads"),
    "Squeeze": _integers("axes"),
}


# ---------------------------------------------------------------------------------- quantized


def _quantized(case: FuzzCase, model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with Q/DQ pairs behind its inputs and nodes, and integer weights.

    Settings: qdq, the type of activations; pairs, the seed of where they are.
    """
    kind = np.dtype(case.settings["qdq"])
    values = _all_values(case, model)
    rng = np.random.default_rng(case.settings.get("pairs", 0))
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    scales: dict[str, tuple[Array, Array]] = {}
    nodes: list[onnx.NodeProto] = []
    names: dict[str, str] = {}

    def pair(name: str) -> None:
        scale, zero = scales[name]
        constants[f"{name}.scale"], constants[f"{name}.zero"] = scale, zero
        own = [f"{name}.scale", f"{name}.zero"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *own], [f"{name}.q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", *own], [f"{name}.dq"]))
        names[name] = f"{name}.dq"

    for name in case.inputs:
        scales[name] = _scale_of(values[name], kind)
        pair(name)
    for node in model.graph.node:
        made, source = node.output[0], node.input[0]
        if node.op_type in UNMOVED and source in scales:
            scales[made] = scales[source]
        else:
            scales[made] = _scale_of(values[made], kind)
        if node.op_type in ("Conv", "Gemm"):
            _quantize_weights(node, scales.get(source), constants, nodes)
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
        nodes.append(node)
        if made not in case.outputs and rng.random() < 0.9:
            pair(made)
    return _model(case, nodes, constants, {name: values[name].shape for name in case.outputs})


def _all_values(case: FuzzCase, model: onnx.ModelProto) -> dict[str, Array]:
    """Every tensor of the float model on the calibration data."""
    given = input_arrays(case, seed=1)
    every = list(dict.fromkeys(node.output[0] for node in model.graph.node))
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    del wide.graph.output[:]
    wide.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in every
    )
    found = run_reference(wide, given)
    return {**given, **dict(zip(every, found, strict=True))}


def _scale_of(values: Array, kind: np.dtype[Any]) -> tuple[Array, Array]:
    """Scale and zero point for values of this range."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-3)
    least, most = np.iinfo(kind).min, np.iinfo(kind).max
    scale = (high - low) / (most - least)
    return np.array(scale, np.float32), np.array(round(least - low / scale), kind)


def _quantize_weights(
    node: onnx.NodeProto,
    source: tuple[Array, Array] | None,
    constants: Constants,
    nodes: list[onnx.NodeProto],
) -> None:
    """int8 weights with a scale for each filter, and an int32 bias, each behind a Dequantize."""
    name = node.input[1]
    weight = constants[name]
    transposed = node.op_type == "Gemm" and not any(
        attribute.name == "transB" and attribute.i for attribute in node.attribute
    )
    axis = 1 if transposed else 0
    others = tuple(n for n in range(weight.ndim) if n != axis)
    scale = np.maximum(np.abs(weight).max(axis=others), 1e-6).astype(np.float32) / np.float32(127)
    wide = np.expand_dims(scale, others)
    constants[name] = np.clip(np.round(weight / wide), -127, 127).astype(np.int8)
    _dequantize(node, 1, scale, np.zeros(len(scale), np.int8), axis, constants, nodes)
    if len(node.input) > 2 and source is not None:
        name = node.input[2]
        scale = scale * source[0]
        steps = np.round(constants[name].astype(np.float64) / scale)
        constants[name] = np.clip(steps, *INT32).astype(np.int32)
        _dequantize(node, 2, scale, np.zeros(len(scale), np.int32), 0, constants, nodes)


def _dequantize(
    node: onnx.NodeProto,
    index: int,
    scale: Array,
    zero: Array,
    axis: int,
    constants: Constants,
    nodes: list[onnx.NodeProto],
) -> None:
    name = node.input[index]
    constants[f"{name}.scale"], constants[f"{name}.zero"] = scale, zero
    nodes.append(
        helper.make_node(
            "DequantizeLinear", [name, f"{name}.scale", f"{name}.zero"], [f"{name}.dq"], axis=axis
        )
    )
    node.input[index] = f"{name}.dq"
