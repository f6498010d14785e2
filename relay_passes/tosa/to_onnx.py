"""A text of TOSA that computes with floats, as torch-mlir writes PyTorch's networks, to ONNX.

What is quantized in it (``quantizers``) becomes QuantizeLinear and DequantizeLinear, the rest the
float operators that it is; from there it is a model like every other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import drop_unused
from zeroskip.relay_passes.frontend.load import first_line
from zeroskip.relay_passes.names import unused_name
from zeroskip.relay_passes.tosa.float_operators import RULES
from zeroskip.relay_passes.tosa.quantizers import (
    BYTE,
    Dequantize,
    Mean,
    Quantize,
    Quantizers,
    Weight,
    along,
)
from zeroskip.relay_passes.tosa.syntax import Array, Module, Operation, Value, read_module
from zeroskip.relay_passes.tosa.tensors import FIRST, LAST

_OPSET, _IR_VERSION = 17, 8
_ELEMENTS = {"f32": onnx.TensorProto.FLOAT, "i8": onnx.TensorProto.INT8}
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
    return Conversion(module, name or module.main.name).model()


class Conversion:
    """An ONNX model in the making; what it has in common with rules is public."""

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
        if op.name not in RULES:
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
        return RULES[op.name](self, op)

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

    def held_weight(self, op: Operation, weight: Weight) -> str:
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
