"""What stands around QuantizeLinear and DequantizeLinear: constants that are quantized inside the
model become their integers, limits on integers become limits on the real values."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Array,
    Index,
    Rewriter,
    attributes,
    input_name,
    replace_nodes,
)

_INTEGERS = {"int8", "uint8", "int16", "uint16"}
_BYTES = {TensorProto.INT8: np.iinfo(np.int8), TensorProto.UINT8: np.iinfo(np.uint8)}
_LIMITS = ("Clip", "Max", "Min", "Relu")
# Layers that take a limit on their result for nothing.
_LIMITED = (
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Conv",
    "Gemm",
    "GlobalAveragePool",
    "MatMul",
    "MaxPool",
    "Relu",
)
_DEEPEST = 16  # nodes between a DequantizeLinear of a constant and the QuantizeLinear behind it

Evaluate = Callable[[onnx.NodeProto, dict[str, Array]], list[Array] | None]


def quantized_constant(
    node: onnx.NodeProto, index: Index, known: Mapping[str, Array], evaluate: Evaluate
) -> Array | None:
    """The integers that a QuantizeLinear gives of a constant, half to even as ONNX rounds.

    What is computed of a dequantized constant is one too. known: constants beside those of the
    index. None for what is no constant, for blocks, and for integers that are not of 8 or 16 bits.
    """

    def constant(name: str, depth: int) -> Array | None:
        value = known[name] if name in known else index.constant(name)
        maker = index.producer.get(name)
        if value is not None or maker is None or not depth:
            return value
        if maker.domain not in DEFAULT_DOMAINS or len(maker.output) != 1:
            return None
        operands: dict[str, Array] = {}
        for each in filter(None, maker.input):
            operand = constant(each, depth - 1)
            if operand is None:
                return None
            operands[each] = operand
        if maker.op_type == "QuantizeLinear":
            return _integers(maker, [operands.get(each) for each in maker.input])
        if maker.op_type == "DequantizeLinear":
            return _reals(maker, [operands.get(each) for each in maker.input])
        results = evaluate(maker, operands)
        return None if results is None else results[0]

    return _integers(node, [constant(name, _DEEPEST) for name in node.input])


def _along(node: onnx.NodeProto, numbers: Array, rank: int) -> Array | None:
    """A scale or zero point that broadcasts over the tensor; None for one of blocks."""
    attrs = attributes(node)
    if attrs.get("block_size", 0):
        return None
    if numbers.size == 1:
        return numbers.reshape((1,) * rank)
    axis = int(attrs.get("axis", 1))
    if numbers.ndim != 1 or not -rank <= axis < rank:
        return None
    shape = [1] * rank
    shape[axis] = -1
    return numbers.reshape(shape)


def _integers(node: onnx.NodeProto, operands: list[Array | None]) -> Array | None:
    value, given, zero = (*operands, None)[:3]
    if value is None or given is None or (zero is None and input_name(node, 2)):
        return None
    if zero is None:
        kind = attributes(node).get("output_dtype", 0) or TensorProto.UINT8
        zero = np.zeros(given.shape, onnx.helper.tensor_dtype_to_np_dtype(kind))
    scale, offset = _along(node, given, value.ndim), _along(node, zero, value.ndim)
    if scale is None or offset is None or str(zero.dtype) not in _INTEGERS:
        return None
    try:
        steps = np.rint(value.astype(np.float32) / scale.astype(np.float32))
        steps = steps.astype(np.float64) + offset
    except ValueError:  # a scale of another length
        return None
    if steps.shape != value.shape or not np.isfinite(steps).all():
        return None
    bounds = np.iinfo(zero.dtype)
    return np.asarray(np.clip(steps, bounds.min, bounds.max).astype(zero.dtype))


def _reals(node: onnx.NodeProto, operands: list[Array | None]) -> Array | None:
    integers, given, zero = (*operands, None)[:3]
    if integers is None or given is None or integers.dtype.kind not in "iu":
        return None
    scale = _along(node, given, integers.ndim)
    offset = None if zero is None else _along(node, zero, integers.ndim)
    if scale is None or (zero is not None and offset is None):
        return None
    centred = integers.astype(np.int64) - (0 if offset is None else offset.astype(np.int64))
    return np.asarray(centred.astype(np.float32) * scale.astype(np.float32))


def dequantize_operands(model: onnx.ModelProto) -> bool:
    """Make the real values of constants of 8 bits that only sums, differences, products and
    quotients with an activation read, which are then as those of a float network; True if any
    was. The integers of weights, and biases of 32 bits, stay."""
    index = Index.of(model)
    found = []
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.domain not in DEFAULT_DOMAINS:
            continue
        operands = [index.constant(name) for name in node.input]
        integers = operands[0]
        if integers is None or str(integers.dtype) not in ("int8", "uint8"):
            continue
        result = node.output[0]
        readers = index.readers.get(result, ())
        if result in index.outputs or not all(_takes_operand(each, index) for each in readers):
            continue
        reals = _reals(node, operands)
        if reals is not None:
            found.append(node.name)
            model.graph.initializer.append(numpy_helper.from_array(reals, result))
    replace_nodes(model, [node for node in model.graph.node if node.name not in found])
    return bool(found)


def _takes_operand(node: onnx.NodeProto, index: Index) -> bool:
    """Whether the node is arithmetic of an activation and another operand."""
    if node.op_type not in ("Add", "Div", "Mul", "Sub") or node.domain not in DEFAULT_DOMAINS:
        return False
    makers = [index.producer.get(name) for name in node.input]
    return any(
        maker is None or index.constant(maker.input[0]) is None
        for maker, name in zip(makers, node.input, strict=True)
        if name not in index.constants
    )


def move_integer_limits(model: onnx.ModelProto) -> bool:
    """Turn Clip, Max, Min and Relu of int8 and uint8 activations, which exporters of fewer than
    8 bits write between QuantizeLinear and DequantizeLinear, into a Clip of the real values, which
    layers absorb; True if any was. Both forms give the same integers. Needs inferred shapes.
    """
    found: list[str] = []

    def rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
        if not _move_limit(rewriter, node):
            return False
        found.append(node.name)
        return True

    Rewriter(model).expand(rewrite)
    return bool(found)


def _move_limit(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
    index = rewriter.index
    if node.op_type not in _LIMITS or node.domain not in DEFAULT_DOMAINS or not node.input:
        return False
    data, limits = _limits(node, index)
    number = index.infos[data].type.tensor_type.elem_type if data in index.infos else 0
    if limits is None or number not in _BYTES:
        return False
    quantizer = _quantizer(data, node.output[0], index)
    if quantizer is None:
        return False
    whole = _BYTES[number]
    low, high = max(limits[0], whole.min), min(limits[1], whole.max)
    if low > high:
        return False
    if (low, high) == (whole.min, whole.max):
        rewriter.make("Identity", [data], output=node.output[0])
        return True
    scale, zero = quantizer.input[1], input_name(quantizer, 2)
    step, centre = index.constant(scale), index.constant(zero) if zero else np.zeros(1, np.int64)
    if step is None or centre is None:
        return False
    reals = [
        (limit - int(centre.reshape(-1)[0])) * np.float64(step.reshape(-1)[0])
        for limit in (low, high)
    ]
    bounds = [
        rewriter.constant(role, np.float32(real))
        for role, real in zip(("low", "high"), reals, strict=True)
    ]
    operands = [scale, zero] if zero else [scale]
    real = _source(data, quantizer, index) or rewriter.make(
        "DequantizeLinear", [data, *operands], role="dequantize"
    )
    clipped = rewriter.make("Clip", [real, *bounds], role="limit")
    rewriter.make("QuantizeLinear", [clipped, *operands], role="quantize", output=node.output[0])
    return True


def _limits(node: onnx.NodeProto, index: Index) -> tuple[str, tuple[float, float] | None]:
    """The tensor that the node limits, and to what; None where a limit is not one constant."""
    if node.op_type == "Relu":
        return node.input[0], (0, np.inf)
    if node.op_type == "Clip":
        data, names = node.input[0], [input_name(node, 1), input_name(node, 2)]
    else:
        constants = [name for name in node.input if name in index.constants]
        others = [name for name in node.input if name not in index.constants]
        if len(others) != 1 or len(constants) != 1:
            return node.input[0], None
        data = others[0]
        names = [constants[0], ""] if node.op_type == "Max" else ["", constants[0]]
    found: list[float] = []
    for name, default in zip(names, (-np.inf, np.inf), strict=True):
        value = index.constant(name) if name else np.asarray(default)
        if value is None or value.size != 1:
            return data, None
        found.append(float(value.reshape(())))
    return data, (found[0], found[1])


def _quantizer(data: str, result: str, index: Index) -> onnx.NodeProto | None:
    """The QuantizeLinear before or the DequantizeLinear behind, of one constant scale."""
    around = [index.producer.get(data), *index.readers.get(result, ())]
    for node in around:
        if node is None or node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale = index.constant(node.input[1])
        zero = input_name(node, 2)
        if scale is not None and scale.size == 1 and (not zero or zero in index.constants):
            return node
    return None


def _source(data: str, quantizer: onnx.NodeProto, index: Index) -> str | None:
    """The real tensor that is quantized and limited only, by a layer that takes limits."""
    maker = index.producer.get(data)
    if maker is None or maker is not quantizer or index.only_reader(data) is None:
        return None
    layer = index.producer.get(quantizer.input[0])
    return str(quantizer.input[0]) if layer is not None and layer.op_type in _LIMITED else None
