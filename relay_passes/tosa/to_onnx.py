"""A text of TOSA that computes with floats, as torch-mlir writes PyTorch's networks, to ONNX.

What is quantized in it (``quantizers``) becomes QuantizeLinear and DequantizeLinear, the rest the
float operators that it is; from there it is a model like every other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import drop_unused
from zeroskip.relay_passes.frontend.load import first_line
from zeroskip.relay_passes.names import unused_name
from zeroskip.relay_passes.tosa import operators as of
from zeroskip.relay_passes.tosa.quantizers import (
    BYTE,
    MOVES,
    Dequantize,
    Mean,
    Quantize,
    Quantizers,
    along,
)
from zeroskip.relay_passes.tosa.syntax import Array, Module, Operation, Value, read_module
from zeroskip.relay_passes.tosa.tensors import FIRST, LAST

_OPSET, _IR_VERSION = 17, 8
_ELEMENTS = {"f32": onnx.TensorProto.FLOAT, "i8": onnx.TensorProto.INT8}
_LARGEST = float(np.finfo(np.float32).max)  # a limit that is none
_NODE = re.compile(r"node name: (.*?)\)")
_ELSEWHERE = "leave it out, or export ONNX (torch.onnx.export) or a .pt2 program instead"


def tosa_to_onnx(text: str, where: str = "the TOSA text", *, name: str = "") -> onnx.ModelProto:
    """The network of a text of TOSA with float tensors as an ONNX model.

    where: names the text in messages. name: of the graph, else the function's. FrontError, with the
    line, for text that MLIR does not take and for operators that are not converted.
    """
    return module_to_onnx(read_module(text, where), name)


def module_to_onnx(module: Module, name: str = "") -> onnx.ModelProto:
    """A module that was read: ``tosa_to_onnx``."""
    return _Conversion(module, name or module.main.name).model()


@dataclass(frozen=True)
class _Weight:
    """A constant, or the int8 numbers of one with their scales and zero points along an axis."""

    value: Array
    scale: Array | None = None
    zero: Array | None = None
    axis: int = 0


class _Conversion:
    def __init__(self, module: Module, name: str) -> None:
        self._module, self._name = module, name
        self._block = module.main.block
        self.find = Quantizers(self._block)
        self._found: dict[Operation, Any] = {}
        self._known: dict[Value, str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._held: dict[str, Array] = {}
        self._taken: set[str] = set()
        self._named: set[str] = set()
        self._made: dict[str, Operation] = {}  # by the tensor
        self._makers: dict[str, Operation] = {}  # by the node
        self._turned: dict[str, tuple[str, tuple[int, ...]]] = {}

    def model(self) -> onnx.ModelProto:
        """The whole, held to the shapes of the text."""
        main, block = self._module.main, self._block
        inputs = []
        for name, value in zip(main.inputs, block.params, strict=True):
            self._known[value] = unused_name(name or "input", self._taken)
            inputs.append(self._declared(self._known[value], value))
        needed = set(block.results)
        wanted = []
        for op in reversed(block.ops):
            if needed.intersection(op.results):
                needed.update(self._sources(op))
                wanted.append(op)
        for op in reversed(wanted):
            if self.find.constant(op.result) is None:
                self._known[op.result] = self._emitted(op)
                self._made[self._known[op.result]] = op
        outputs = []
        for name, value in zip(main.outputs, block.results, strict=True):
            result = unused_name(name or "output", self._taken)
            self._nodes.append(helper.make_node("Identity", [self.tensor(value)], [result], result))
            outputs.append(self._declared(result, value))
        held = [numpy_helper.from_array(value, name) for name, value in self._held.items()]
        graph = helper.make_graph(self._nodes, self._name, inputs, outputs, held)
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, ir_version=_IR_VERSION, opset_imports=[opset])
        drop_unused(model)  # dequantized weights, which layers have taken as integers
        self._check(model)
        return model

    def _declared(self, name: str, value: Value) -> onnx.ValueInfoProto:
        kind = value.type
        if kind.element not in _ELEMENTS:
            raise FrontError(
                f"{self._module.where}: @{self._module.main.name} takes or gives a {kind}: f32 and i8 "
                "are read"
            )
        return helper.make_tensor_value_info(name, _ELEMENTS[kind.element], kind.shape)

    def _sources(self, op: Operation) -> Sequence[Value]:
        """What an operation reads once all that it is the last of is taken together."""
        if self.find.constant(op.result) is not None:
            return ()
        found: Any = None
        if op.name == "tosa.cast" and op.result.type.element == "i8":
            found = self.find.quantize(op)
        elif op.name == "tosa.mul":
            found = self.find.dequantize(op) or self.find.mean(op)
        elif op.name == "tosa.select":
            found = self.find.rounded(op.result)
        if found is not None:
            self._found[op] = found
            return (found if isinstance(found, Value) else found.x,)
        if op.name not in _RULES:
            what = "is a cast of no quantizer" if op.name == "tosa.cast" else "is not read"
            op.refuse(f"{what} in a network of floats: {_ELSEWHERE}")
        return [each for each in op.operands if each.type.element in (*_ELEMENTS, "i1")]

    def _emitted(self, op: Operation) -> str:
        found = self._found.get(op)
        if isinstance(found, Quantize):
            return self._quantized(op, found)
        if isinstance(found, Dequantize):
            return self._dequantized(op, found)
        if isinstance(found, Mean):
            mean = self.emit(op, "ReduceMean", [self.tensor(found.x)], axes=list(found.axes))
            return self.reshaped(op, mean)
        if isinstance(found, Value):
            return self.emit(op, "Round", [self.tensor(found)])
        return _RULES[op.name](self, op)

    def _quantized(self, op: Operation, found: Quantize) -> str:
        scale, zero = self.hold(found.scale, op), self.hold(np.int8(found.zero), op)
        made = self.emit(op, "QuantizeLinear", [self.tensor(found.x), scale, zero])
        if found.limits == BYTE:
            return made
        limits = [self.hold(np.int8(each), op) for each in found.limits]
        return self.emit(op, "Clip", [made, *limits], part="limits")

    def _dequantized(self, op: Operation, found: Dequantize) -> str:
        shape = found.x.type.shape
        scale, zero = along(found.scale, shape), along(found.zero, shape)
        if scale is None or zero is None or (zero[0].ndim and zero[1] != scale[1]):
            op.refuse("has scales along more than one axis: give each channel one")
        axis = scale[1] or zero[1]
        each: list[Array] = [scale[0].astype(np.float32), zero[0].astype(np.int8)]
        if each[0].ndim or each[1].ndim:
            each = [np.broadcast_to(one, (shape[axis],)) for one in each]
        given = [self.tensor(found.x), *(self.hold(one, op) for one in each)]
        return self.emit(op, "DequantizeLinear", given, axis=axis if each[0].ndim else None)

    # What rules say

    def tensor(self, value: Value) -> str:
        """The name of a value, which may be a constant."""
        if value not in self._known:
            held = self.find.constant(value)
            op = self.find.maker(value)
            if held is None or op is None:
                raise FrontError(f"{self._module.where}: a value is read that nothing makes")
            self._known[value] = self.hold(held, op)
        return self._known[value]

    def hold(self, value: Any, op: Operation) -> str:
        """A constant of the model."""
        name = unused_name(f"{op.label}.c", self._taken)
        self._held[name] = np.asarray(value)
        return name

    def emit(
        self, op: Operation, kind: str, inputs: Sequence[str], *, part: str = "", **attrs: Any
    ) -> str:
        """The result of a node. part: what it is called beside the operator's own."""
        label = f"{op.label}/{part}" if part else op.label
        result = unused_name(f"{label}.y", self._taken)
        given = {key: value for key, value in attrs.items() if value is not None}
        node = helper.make_node(kind, list(inputs), [result], **given)
        node.name = unused_name(label, self._named)
        self._makers[node.name] = op
        self._nodes.append(node)
        return result

    def reshaped(self, op: Operation, name: str, shape: Sequence[int] | None = None) -> str:
        """As the operation's result has its elements, or in this shape."""
        sizes = np.array(op.result.type.shape if shape is None else shape, np.int64)
        return self.emit(op, "Reshape", [name, self.hold(sizes, op)], part="reshape")

    def planes(self, op: Operation) -> str:
        """The first operand, channels first."""
        return self.turned(op, self.tensor(op.operand(0)), FIRST, "first")

    def pixels(self, op: Operation, name: str) -> str:
        """A result with its channels last again."""
        return self.turned(op, name, LAST, "last")

    def turned(self, op: Operation, name: str, perm: Sequence[int], part: str = "") -> str:
        """A tensor with its axes in this order; two such steps are one, or none."""
        source, before = self._turned.get(name, (name, tuple(range(len(perm)))))
        axes = tuple(before[axis] for axis in perm)
        if axes == tuple(range(len(axes))):
            return source
        made = self.emit(op, "Transpose", [source], part=part, perm=list(axes))
        self._turned[made] = (source, axes)
        return made

    def weight(self, op: Operation, at: int, turn: Callable[[Array], Array]) -> _Weight | None:
        """An operand that is constant, quantized or not, as ``turn`` brings it about; None of one
        that is computed."""
        moves, value = [], op.operand(at)
        while self.find.constant(value) is None:
            maker = self.find.maker(value)
            if maker is None:
                return None
            if maker.name in MOVES:
                moves.append(maker)
                value = maker.operand(0)
                continue
            found = self.find.dequantize(maker) if maker.name == "tosa.mul" else None
            held = None if found is None else self.find.constant(found.x)
            if found is None or held is None:
                return None
            parts: list[Array] = []
            for each in (held, found.scale, found.zero):
                part: Array = np.broadcast_to(each, held.shape)
                for move in reversed(moves):
                    part = self.find.moved(move, part)
                parts.append(turn(part))
            value8, scale, zero = parts[0], along(parts[1], parts[1].shape), along(parts[2], parts[2].shape)  # fmt: skip
            if scale is None or zero is None or zero[0].ndim:
                op.refuse("has weights with scales along more than one axis: give each filter one")
            zeros = np.broadcast_to(zero[0], scale[0].shape).astype(np.int8)
            return _Weight(value8.astype(np.int8), scale[0].astype(np.float32), zeros, scale[1])
        plain = self.find.constant(value)
        for move in reversed(moves):
            plain = self.find.moved(move, plain) if plain is not None else None
        return None if plain is None else _Weight(turn(plain))

    def held_weight(self, op: Operation, weight: _Weight) -> str:
        """Its name in the model."""
        value = self.hold(np.ascontiguousarray(weight.value), op)
        if weight.scale is None or weight.zero is None:
            return value
        scale, zero = self.hold(weight.scale, op), self.hold(weight.zero, op)
        axis = weight.axis if weight.scale.ndim else None
        return self.emit(op, "DequantizeLinear", [value, scale, zero], part="weight", axis=axis)

    def no_zero(self, op: Operation, *at: int) -> None:
        """Refuse zero points of floats that are none."""
        for each in at:
            if self.find.number(op.operand(each)) != 0:
                op.refuse("has a zero point of floats: it is always 0")

    def _check(self, model: onnx.ModelProto) -> None:
        """The shapes that ONNX infers are those of the text."""
        bare = onnx.ModelProto()
        bare.CopyFrom(model)
        for each in bare.graph.output:
            each.type.tensor_type.ClearField("shape")
        try:
            inferred = shape_inference.infer_shapes(
                bare, check_type=True, strict_mode=True, data_prop=True
            )
        except Exception as error:  # ONNX's, of many kinds
            said = " ".join(first_line(error).split())[:300]
            named = _NODE.search(said)
            op = self._makers.get(named[1]) if named else None
            if op is not None:
                op.refuse("takes tensors that do not fit each other: check their shapes")
            raise FrontError(
                f"{self._module.where}: is no network that ONNX takes ({said}): check its shapes"
            ) from error
        for each in inferred.graph.value_info:
            op = self._made.get(each.name)
            dims = each.type.tensor_type.shape.dim
            if op is not None and tuple(dim.dim_value for dim in dims) != op.result.type.shape:
                op.refuse(f"makes {op.result.type}, which its operands do not")


# -------------------------------------------------------------------------------------- rules


def _pairwise(kind: str) -> Callable[[_Conversion, Operation], str]:
    def rule(to: _Conversion, op: Operation) -> str:
        return to.emit(op, kind, [to.tensor(op.operand(at)) for at in range(2)])

    return rule


def _single(kind: str) -> Callable[[_Conversion, Operation], str]:
    return lambda to, op: to.emit(op, kind, [to.tensor(op.operand(0))])


def _conv(to: _Conversion, op: Operation) -> str:
    deep = op.name == "tosa.depthwise_conv2d"
    if len(op.operand(0).type.shape) != 4 or len(op.operand(1).type.shape) != 4:
        op.refuse("is of [N, H, W, C] with weights of four dimensions")

    def turned(weight: Array) -> Array:
        """[H, W, C, M] or [O, H, W, C] as [O, C, H, W]."""
        if not deep:
            return weight.transpose(0, 3, 1, 2)
        return weight.transpose(2, 3, 0, 1).reshape(-1, 1, *weight.shape[:2])

    weight, bias = _filters(to, op, turned)
    window = of.window(op, weight.value.shape[2:])
    top, bottom, left, right = window.padding
    made = to.emit(
        op,
        "Conv",
        [to.planes(op), to.held_weight(op, weight), bias],
        strides=window.strides,
        pads=[top, left, bottom, right],
        dilations=window.dilation,
        kernel_shape=window.kernel,
        group=op.operand(0).type.shape[3] if deep else 1,
    )
    return to.pixels(op, made)


def _filters(
    to: _Conversion, op: Operation, turned: Callable[[Array], Array]
) -> tuple[_Weight, str]:
    """Weights and biases of a convolution."""
    weight, bias = to.weight(op, 1, turned), to.find.constant(op.operand(2))
    if weight is None or bias is None:
        op.refuse("has a weight or a bias that is computed: constants are taken")
    to.no_zero(op, 3, 4)
    count = op.result.type.shape[-1]
    if bias.size not in (1, count) or bias.dtype != np.float32:
        op.refuse(f"has {bias.size} biases of {bias.dtype} for {count} channels")
    return weight, to.hold(np.broadcast_to(bias.reshape(-1), count).copy(), op)


def _transposed(to: _Conversion, op: Operation) -> str:
    if len(op.operand(0).type.shape) != 4 or len(op.operand(1).type.shape) != 4:
        op.refuse("is of [N, H, W, C] with weights of four dimensions")
    weight, bias = _filters(to, op, lambda held: held.transpose(3, 0, 1, 2))
    more = op.numbers("out_pad", 4, -(1 << 20))
    if max(more) > 0:
        op.refuse("has an out_pad above 0: leave output_padding out")
    made = to.emit(
        op,
        "ConvTranspose",
        [to.planes(op), to.held_weight(op, weight), bias],
        strides=op.numbers("stride", 2, 1),
        pads=[-more[at] for at in (0, 2, 1, 3)],
        kernel_shape=weight.value.shape[2:],
    )
    return to.pixels(op, made)


def _pool(kind: str) -> Callable[[_Conversion, Operation], str]:
    def rule(to: _Conversion, op: Operation) -> str:
        window = of.window(op, op.numbers("kernel", 2, 1))
        if kind == "AveragePool":
            to.no_zero(op, 1, 2)
        top, bottom, left, right = window.padding
        pads = [top, left, bottom, right]
        made = to.emit(
            op, kind, [to.planes(op)], kernel_shape=window.kernel, strides=window.strides, pads=pads
        )
        return to.pixels(op, made)

    return rule


def _matmul(to: _Conversion, op: Operation) -> str:
    to.no_zero(op, 2, 3)
    x, y = op.operand(0).type.shape, op.result.type.shape
    if len(x) != 3 or len(op.operand(1).type.shape) != 3:
        op.refuse("is of tensors of three dimensions")
    weight = to.weight(op, 1, lambda held: held[0]) if op.operand(1).type.shape[0] == 1 else None
    if weight is None or x[0] != 1:
        return to.emit(op, "MatMul", [to.tensor(op.operand(0)), to.tensor(op.operand(1))])
    flat = to.reshaped(op, to.tensor(op.operand(0)), x[1:])
    made = to.emit(op, "MatMul", [flat, to.held_weight(op, weight)])
    return to.reshaped(op, made, y)


def _clamp(to: _Conversion, op: Operation) -> str:
    low, high = op.attributes.get("min_val"), op.attributes.get("max_val")
    kind = np.float32 if op.result.type.element == "f32" else np.int8
    if not all(isinstance(each, int | float) for each in (low, high)):
        op.refuse("needs numbers as min_val and max_val")
    low, high = float(low), float(high)  # type: ignore[arg-type]
    if kind == np.float32 and low == 0 and high >= _LARGEST:
        return to.emit(op, "Relu", [to.tensor(op.operand(0))])
    if kind == np.int8 and not (BYTE[0] <= low <= high <= BYTE[1]):
        op.refuse("has limits outside int8")
    limits = [to.hold(kind(each), op) for each in (low, high)]
    return to.emit(op, "Clip", [to.tensor(op.operand(0)), *limits])


def _limit(kind: str, end: int) -> Callable[[_Conversion, Operation], str]:
    """The larger or smaller of two tensors; of a tensor and one number a limit."""

    def rule(to: _Conversion, op: Operation) -> str:
        x, number = to.find.beside(op)
        if number is None or x.type != op.result.type:
            return to.emit(op, kind, [to.tensor(op.operand(at)) for at in range(2)])
        if (number, end) == (0, 0):
            return to.emit(op, "Relu", [to.tensor(x)])
        limits = ["", ""]
        limits[end] = to.hold(np.float32(number), op)
        return to.emit(op, "Clip", [to.tensor(x), *limits[: end + 1]])

    return rule


def _reduce(kind: str) -> Callable[[_Conversion, Operation], str]:
    def rule(to: _Conversion, op: Operation) -> str:
        axis = of.axis_of(op)
        if kind == "ReduceSum":
            axes = to.hold(np.array([axis], np.int64), op)
            return to.emit(op, kind, [to.tensor(op.operand(0)), axes], keepdims=1)
        return to.emit(op, kind, [to.tensor(op.operand(0))], axes=[axis], keepdims=1)

    return rule


def _rsqrt(to: _Conversion, op: Operation) -> str:
    root = to.emit(op, "Sqrt", [to.tensor(op.operand(0))], part="sqrt")
    return to.emit(op, "Reciprocal", [root])


def _concat(to: _Conversion, op: Operation) -> str:
    return to.emit(op, "Concat", [to.tensor(each) for each in op.operands], axis=of.axis_of(op))


def _pad(to: _Conversion, op: Operation) -> str:
    fill = to.find.constant(op.operand(2))
    if fill is None or fill.size != 1:
        op.refuse("pads with what is no constant of one number")
    pads = of.padded_axes(op, to.find.constant)
    flat = np.array([*(a for a, _ in pads), *(b for _, b in pads)], np.int64)
    return to.emit(
        op, "Pad", [to.tensor(op.operand(0)), to.hold(flat, op), to.hold(fill.reshape(()), op)]
    )


def _slice(to: _Conversion, op: Operation) -> str:
    start, size = of.slice_of(op, to.find.constant)
    ends = [a + b for a, b in zip(start, size, strict=True)]
    bounds = [to.hold(np.array(each, np.int64), op) for each in (start, ends)]
    return to.emit(op, "Slice", [to.tensor(op.operand(0)), *bounds])


_RULES: dict[str, Callable[[_Conversion, Operation], str]] = {
    "tosa.conv2d": _conv,
    "tosa.depthwise_conv2d": _conv,
    "tosa.transpose_conv2d": _transposed,
    "tosa.select": lambda to, op: to.emit(
        op, "Where", [to.tensor(op.operand(at)) for at in range(3)]
    ),
    "tosa.matmul": _matmul,
    "tosa.max_pool2d": _pool("MaxPool"),
    "tosa.avg_pool2d": _pool("AveragePool"),
    "tosa.clamp": _clamp,
    "tosa.reduce_sum": _reduce("ReduceSum"),
    "tosa.reduce_max": _reduce("ReduceMax"),
    "tosa.rsqrt": _rsqrt,
    "tosa.concat": _concat,
    "tosa.pad": _pad,
    "tosa.slice": _slice,
    "tosa.reshape": lambda to, op: to.reshaped(op, to.tensor(op.operand(0))),
    "tosa.transpose": lambda to, op: to.turned(op, to.tensor(op.operand(0)), of.order(op)),
    "tosa.maximum": _limit("Max", 0),
    "tosa.minimum": _limit("Min", 1),
    **{
        f"tosa.{name}": _pairwise(kind)
        for name, kind in (
            ("add", "Add"), ("sub", "Sub"), ("mul", "Mul"), ("pow", "Pow"), ("equal", "Equal"),
            ("greater", "Greater"), ("greater_equal", "GreaterOrEqual"), ("logical_and", "And"),
            ("logical_or", "Or"),
        )
    },
    **{
        f"tosa.{name}": _single(kind)
        for name, kind in (
            ("abs", "Abs"), ("ceil", "Ceil"), ("erf", "Erf"), ("exp", "Exp"), ("floor", "Floor"),
            ("identity", "Identity"), ("log", "Log"), ("logical_not", "Not"), ("negate", "Neg"),
            ("reciprocal", "Reciprocal"), ("sigmoid", "Sigmoid"), ("tanh", "Tanh"),
        )
    },
}  # fmt: skip
