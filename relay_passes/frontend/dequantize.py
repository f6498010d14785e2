"""Quantized operators as DequantizeLinear -> float operator -> QuantizeLinear.

Both forms mean the same numbers up to rounding: the float operator computes on the real values
that the integers stand for. The int8 weights and their scales, per channel where they were,
stay in the graph as the operands of a DequantizeLinear, for QuantizeInt8 to take up again.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Rewriter,
    attributes,
    drop_unused,
    input_name,
    opset,
    set_attributes,
)

MICROSOFT = "com.microsoft"


def dequantize_operators(model: onnx.ModelProto) -> None:
    """Rewrite QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger and com.microsoft's QGemm,
    MatMulIntegerToFloat, QuantizeLinear, DequantizeLinear and QLinear operators: Add, Mul, Concat,
    Conv, AveragePool, GlobalAveragePool, ReduceMean, Sigmoid, LeakyRelu, Softmax and Where.

    FrontError where a scale that the form needs is no constant.
    """
    Rewriter(model).expand(_rewrite)
    drop_unused(model)


def _rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
    domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    rewrite = _REWRITES.get((domain, node.op_type))
    if rewrite is None:
        return False
    rewrite(rewriter, node)
    return True


def _dequantized(
    rewriter: Rewriter, node: onnx.NodeProto, first: int, role: str, axis: int = 1
) -> str:
    """The real values of the operand (tensor, scale, zero point) at `first`."""
    tensor, scale, zero_point = (input_name(node, first + i) for i in range(3))
    return _dequantize(rewriter, tensor, scale, zero_point, role, axis)


def _dequantize(
    rewriter: Rewriter, tensor: str, scale: str, zero_point: str, role: str, axis: int
) -> str:
    operands = [tensor, scale] + ([zero_point] if zero_point else [])
    return rewriter.make("DequantizeLinear", operands, role=role, axis=axis)


def _quantize(rewriter: Rewriter, node: onnx.NodeProto, real: str, scale: str, zero: str) -> None:
    operands = [real, scale] + ([zero] if zero else [])
    rewriter.make("QuantizeLinear", operands, role="quantize", output=node.output[0])


def _qlinear_conv(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias (int32, in units of
    x_scale * w_scale)."""
    operands = [
        _dequantized(rewriter, node, 0, "dequantize"),
        _dequantized(rewriter, node, 3, "dequantize_weight", axis=0),
    ]
    if input_name(node, 8):
        operands.append(_dequantized_bias(rewriter, node, node.input[8], 1, 4))
    real = rewriter.make("Conv", operands, **attributes(node))
    _quantize(rewriter, node, real, input_name(node, 6), input_name(node, 7))


def _dequantized_bias(
    rewriter: Rewriter, node: onnx.NodeProto, bias: str, x_scale: int, w_scale: int
) -> str:
    """The real values of an int32 bias, whose scale is the product of two constant scales."""
    scales = [rewriter.index.constant(node.input[i]) for i in (x_scale, w_scale)]
    if scales[0] is None or scales[1] is None:
        raise FrontError(
            f"Node '{node.name}' ({node.op_type}) has a bias but scales that are no constants: "
            "quantize the model statically."
        )
    scale = rewriter.constant("bias_scale", (scales[0] * scales[1]).astype(np.float32))
    return _dequantize(rewriter, bias, scale, "", "dequantize_bias", axis=0)


def _qlinear_matmul(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero; b's scales are per column."""
    a = _dequantized(rewriter, node, 0, "dequantize", axis=_rank(rewriter, node.input[0]) - 2)
    b = _dequantized(rewriter, node, 3, "dequantize_weight", axis=-1)
    real = rewriter.make("MatMul", [a, b])
    _quantize(rewriter, node, real, input_name(node, 6), input_name(node, 7))


def _rank(rewriter: Rewriter, name: str) -> int:
    """The rank of a tensor; 2 where it is not known, as only its scalar scale is then likely."""
    shape = rewriter.index.shape(name)
    return 2 if shape is None else len(shape)


def _qgemm(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """A, a_scale, a_zero, B, b_scale, b_zero, C (int32), y_scale, y_zero."""
    attrs = attributes(node)
    if attrs.get("alpha", 1.0) != 1.0:
        raise FrontError(
            f"Node '{node.name}' (QGemm) has alpha {attrs['alpha']:g}: "
            "quantize the model with alpha 1."
        )
    transposed = attrs.get("transB", 0)
    operands = [
        _dequantized(rewriter, node, 0, "dequantize"),
        _dequantized(rewriter, node, 3, "dequantize_weight", axis=0 if transposed else 1),
    ]
    if input_name(node, 6):
        operands.append(_dequantized_bias(rewriter, node, node.input[6], 1, 4))
    output = "" if input_name(node, 7) else node.output[0]
    real = rewriter.make(
        "Gemm", operands, output=output, transA=attrs.get("transA", 0), transB=transposed
    )
    if not output:
        _quantize(rewriter, node, real, input_name(node, 7), input_name(node, 8))


def _conv_integer(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """x, w, x_zero, w_zero; int32 result. Exact in float32 below 2**24."""
    one = rewriter.constant("scale", np.float32(1))
    x = _dequantize(rewriter, node.input[0], one, input_name(node, 2), "dequantize", 1)
    w = _unit_weight(rewriter, node, axis=0)
    real = rewriter.make("Conv", [x, w], **attributes(node))
    rewriter.make("Cast", [real], role="cast", output=node.output[0], to=TensorProto.INT32)


def _matmul_integer(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """a, b, a_zero, b_zero; int32 result. Exact in float32 below 2**24."""
    one = rewriter.constant("scale", np.float32(1))
    a = _dequantize(rewriter, node.input[0], one, input_name(node, 2), "dequantize", 1)
    b = _unit_weight(rewriter, node, axis=-1)
    real = rewriter.make("MatMul", [a, b])
    rewriter.make("Cast", [real], role="cast", output=node.output[0], to=TensorProto.INT32)


def _unit_weight(rewriter: Rewriter, node: onnx.NodeProto, axis: int) -> str:
    """The second operand minus its zero point, by a scale of 1 of the zero point's shape."""
    zero = input_name(node, 3)
    shape = rewriter.index.shape(zero) if zero else ()
    one = rewriter.constant("weight_scale", np.ones(shape or (), np.float32))
    return _dequantize(rewriter, node.input[1], one, zero, "dequantize_weight", axis)


def _elementwise(op_type: str) -> Callable[[Rewriter, onnx.NodeProto], None]:
    """com.microsoft QLinearAdd and its like: a, a_scale, a_zero, b, b_scale, b_zero, y_scale,
    y_zero."""

    def rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> None:
        a = _dequantized(rewriter, node, 0, "dequantize_a")
        b = _dequantized(rewriter, node, 3, "dequantize_b")
        real = rewriter.make(op_type, [a, b])
        _quantize(rewriter, node, real, input_name(node, 6), input_name(node, 7))

    return rewrite


def _unary(
    op_type: str, forward: Callable[[onnx.NodeProto], dict[str, Any]] | None = None
) -> Callable[[Rewriter, onnx.NodeProto], None]:
    """com.microsoft operators of x, x_scale, x_zero, y_scale, y_zero. forward: the attributes of
    the float operator, else all of the node's."""

    def rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> None:
        real = rewriter.make(
            op_type,
            [_dequantized(rewriter, node, 0, "dequantize")],
            **(forward or attributes)(node),
        )
        _quantize(rewriter, node, real, input_name(node, 3), input_name(node, 4))

    return rewrite


def _refuse_channels_last(node: onnx.NodeProto) -> None:
    if attributes(node).get("channels_last", 0):
        raise FrontError(
            f"Node '{node.name}' ({node.op_type}) has its channels last: "
            "export the model with channels first."
        )


def _channels_first(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node that may have its channels last; FrontError if it has."""
    _refuse_channels_last(node)
    return {name: x for name, x in attributes(node).items() if name != "channels_last"}


def _microsoft_conv(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    kept = _channels_first(node)
    set_attributes(node, **{name: kept.get(name) for name in attributes(node)})
    _qlinear_conv(rewriter, node)


def _reduce_mean(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """data, scale, zero, y_scale, y_zero; the axes are an operand from opset 18 on."""
    attrs, operands = attributes(node), [_dequantized(rewriter, node, 0, "dequantize")]
    if opset(rewriter.model) >= 18 and "axes" in attrs:
        operands.append(rewriter.constant("axes", np.asarray(attrs.pop("axes"), np.int64)))
    real = rewriter.make("ReduceMean", operands, **attrs)
    _quantize(rewriter, node, real, input_name(node, 3), input_name(node, 4))


def _softmax(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """x, x_scale, x_zero, y_scale, y_zero. Of an opset before 13 it runs over all axes from its
    own on."""
    attrs, real = attributes(node), _dequantized(rewriter, node, 0, "dequantize")
    if attrs.get("opset", 13) >= 13:
        real = rewriter.make("Softmax", [real], axis=attrs.get("axis", -1))
    else:
        shape = rewriter.make("Shape", [real], role="shape")
        flat = rewriter.make("Flatten", [real], role="flatten", axis=attrs.get("axis", -1))
        real = rewriter.make("Softmax", [flat], axis=-1)
        real = rewriter.make("Reshape", [real, shape], role="reshape")
    _quantize(rewriter, node, real, input_name(node, 3), input_name(node, 4))


def _where(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """condition, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero."""
    x = _dequantized(rewriter, node, 1, "dequantize_x")
    y = _dequantized(rewriter, node, 4, "dequantize_y")
    real = rewriter.make("Where", [node.input[0], x, y])
    _quantize(rewriter, node, real, input_name(node, 7), input_name(node, 8))


def _matmul_to_float(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """a, b, a_scale, b_scale, a_zero, b_zero, bias; b's scales are per column."""
    a = _dequantize(rewriter, node.input[0], node.input[2], input_name(node, 4), "dequantize", 1)
    b = _dequantize(
        rewriter, node.input[1], node.input[3], input_name(node, 5), "dequantize_weight", -1
    )
    bias = input_name(node, 6)
    real = rewriter.make("MatMul", [a, b], output="" if bias else node.output[0])
    if bias:
        rewriter.make("Add", [real, bias], role="bias", output=node.output[0])


def _of_default_domain(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """com.microsoft's QuantizeLinear and DequantizeLinear are the standard's of more types."""
    rewriter.make(node.op_type, node.input, output=node.output[0], **attributes(node))


def _global_average_pool(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """x, x_scale, x_zero, y_scale, y_zero."""
    _refuse_channels_last(node)
    real = rewriter.make("GlobalAveragePool", [_dequantized(rewriter, node, 0, "dequantize")])
    _quantize(rewriter, node, real, input_name(node, 3), input_name(node, 4))


def _concat(rewriter: Rewriter, node: onnx.NodeProto) -> None:
    """y_scale, y_zero, then x, x_scale, x_zero for each part."""
    parts = [
        _dequantized(rewriter, node, first, f"dequantize_{count}")
        for count, first in enumerate(range(2, len(node.input), 3))
    ]
    real = rewriter.make("Concat", parts, axis=attributes(node)["axis"])
    _quantize(rewriter, node, real, input_name(node, 0), input_name(node, 1))


_REWRITES: dict[tuple[str, str], Callable[[Rewriter, onnx.NodeProto], None]] = {
    ("", "QLinearConv"): _qlinear_conv,
    ("", "QLinearMatMul"): _qlinear_matmul,
    ("", "ConvInteger"): _conv_integer,
    ("", "MatMulInteger"): _matmul_integer,
    (MICROSOFT, "QLinearAdd"): _elementwise("Add"),
    (MICROSOFT, "QLinearMul"): _elementwise("Mul"),
    (MICROSOFT, "QLinearGlobalAveragePool"): _global_average_pool,
    (MICROSOFT, "QLinearConcat"): _concat,
    (MICROSOFT, "QLinearConv"): _microsoft_conv,
    (MICROSOFT, "QLinearAveragePool"): _unary("AveragePool", _channels_first),
    (MICROSOFT, "QLinearReduceMean"): _reduce_mean,
    (MICROSOFT, "QLinearSigmoid"): _unary("Sigmoid"),
    (MICROSOFT, "QLinearLeakyRelu"): _unary("LeakyRelu"),
    (MICROSOFT, "QLinearSoftmax"): _softmax,
    (MICROSOFT, "QLinearWhere"): _where,
    (MICROSOFT, "QGemm"): _qgemm,
    (MICROSOFT, "MatMulIntegerToFloat"): _matmul_to_float,
    (MICROSOFT, "QuantizeLinear"): _of_default_domain,
    (MICROSOFT, "DequantizeLinear"): _of_default_domain,
}
