"""An ONNX graph under construction, in which the type of every tensor is known."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.defs import OpSchema, get_schema

from zeroskip.relay_passes.frontend.editing import drop_unused
from zeroskip.relay_passes.names import unused_name
from zeroskip.relay_passes.relay.syntax import Array
from zeroskip.relay_passes.relay.types import DTYPES, TensorType, check_shape, refusal
from zeroskip.relay_passes.relay.values import RelayTensor

OPSET = 17
_IR_VERSION = 8  # the one that came with opset 17
_NAMES = {helper.np_dtype_to_tensor_dtype(dtype): name for name, dtype in DTYPES.items()}
_NUMBERS = {name: number for number, name in _NAMES.items()}
_KNOWN = 4096  # elements up to which a constant's value may decide a shape


class Builder:
    """Emits nodes; each result's type is inferred at once.

    ``at`` says for which Relay call nodes are emitted: their names and refusals follow from it.
    """

    def __init__(self, name: str) -> None:
        self._graph = onnx.GraphProto(name=name)
        self._constants: dict[str, Array] = {}
        self._tensors: set[str] = set()
        self._nodes: set[str] = set()
        self._line = 1
        self._op = ""
        self._label = ""

    def at(self, op: str, label: str, line: int) -> None:
        """Emit for this call from here on. op: of Relay. label: what its nodes are called by."""
        self._op, self._label, self._line = op, label, line

    @contextmanager
    def as_of(self, op: str, label: str, line: int) -> Iterator[None]:
        """Emit for an earlier call for a while."""
        before = self._op, self._label, self._line
        self.at(op, label, line)
        try:
            yield
        finally:
            self.at(*before)

    # What it holds

    def input(self, name: str, kind: TensorType) -> RelayTensor:
        """A tensor that the user gives."""
        name = unused_name(name, self._tensors)
        self._graph.input.append(
            helper.make_tensor_value_info(name, _NUMBERS[kind.dtype], kind.shape)
        )
        return RelayTensor(name, kind)

    def constant(self, value: npt.ArrayLike, name: str = "") -> RelayTensor:
        """A tensor whose value the graph holds. name: to be called by, if it has one."""
        array = np.ascontiguousarray(value).reshape(np.shape(value))
        name = unused_name(name or f"{self._label or 'constant'}.c", self._tensors)
        self._constants[name] = array
        return RelayTensor(name, TensorType(array.shape, array.dtype.name), static=True)

    def value(self, tensor: RelayTensor) -> Array | None:
        """The value of a constant; None of what is computed."""
        return self._constants.get(tensor.name)

    @staticmethod
    def number_of(dtype: str) -> int:
        """ONNX's number of an element type."""
        return int(_NUMBERS[dtype])

    # Emitting

    def emit(self, op: str, inputs: Sequence[RelayTensor | None], **attrs: Any) -> RelayTensor:
        """The result of one ONNX node. None among the inputs: left out.

        FrontError, with Relay's line, for operands that ONNX does not take.
        """
        return self.emit_all(op, inputs, 1, **attrs)[0]

    def emit_all(
        self,
        op: str,
        inputs: Sequence[RelayTensor | None],
        count: int,
        role: str = "",
        **attrs: Any,
    ) -> list[RelayTensor]:
        """The ``count`` results of one ONNX node. role: what it is beside the node that has the
        call's own name, if it is not that."""
        results = [unused_name(f"{self._label}.y", self._tensors) for _ in range(count)]
        node = _node(op, inputs, results, attrs)
        node.name = unused_name(f"{self._label}/{role}" if role else self._label, self._nodes)
        types = self._infer(node, [tensor for tensor in inputs if tensor is not None])
        self._graph.node.append(node)
        static = bool(operands := [x for x in inputs if x is not None]) and all(
            tensor.static for tensor in operands
        )
        return [RelayTensor(result, types[result], static) for result in results]

    def type_of(self, op: str, inputs: Sequence[RelayTensor | None], **attrs: Any) -> TensorType:
        """The type that the result of a node would have; nothing is emitted."""
        node = _node(op, inputs, ["y"], attrs)
        return self._infer(node, [tensor for tensor in inputs if tensor is not None])["y"]

    def _infer(self, node: onnx.NodeProto, inputs: list[RelayTensor]) -> dict[str, TensorType]:
        schema: OpSchema = get_schema(node.op_type, OPSET, "")
        known = {
            tensor.name: numpy_helper.from_array(value, tensor.name)
            for tensor in inputs
            if (value := self.value(tensor)) is not None and value.size <= _KNOWN
        }
        try:
            inferred = shape_inference.infer_node_outputs(
                schema,
                node,
                {tensor.name: _proto(tensor.type) for tensor in inputs},
                known,
                opset_imports=[helper.make_opsetid("", OPSET)],
            )
        except (shape_inference.InferenceError, onnx.checker.ValidationError, ValueError) as error:
            raise refusal(
                self._line,
                f"{self._op} of {self._operands(inputs)} is no {node.op_type} of ONNX "
                f"({_short(error)}): check its shapes and attributes",
            ) from error
        types: dict[str, TensorType] = {}
        for name in node.output:
            kind = inferred[name].tensor_type if name in inferred else None
            if kind is None or not kind.HasField("shape") or kind.elem_type not in _NAMES:
                raise self._unknown(inputs)
            if not all(dim.HasField("dim_value") for dim in kind.shape.dim):
                raise self._unknown(inputs)
            shape = tuple(dim.dim_value for dim in kind.shape.dim)
            if min(shape, default=0) < 0:
                raise refusal(
                    self._line,
                    f"{self._op} of {self._operands(inputs)} makes {list(shape)}, which is no "
                    "shape: use smaller windows, or more padding",
                )
            check_shape(self._line, shape)
            types[name] = TensorType(shape, _NAMES[kind.elem_type])
        return types

    def _operands(self, inputs: list[RelayTensor]) -> str:
        return ", ".join(str(tensor.type) for tensor in inputs[:6])

    def _unknown(self, inputs: list[RelayTensor]) -> Exception:
        return refusal(
            self._line,
            f"the shape of what {self._op} makes of {self._operands(inputs)} does not follow from "
            "the text: give its operands as constants",
        )

    # The model

    def model(self, outputs: Sequence[RelayTensor]) -> onnx.ModelProto:
        """The whole, with these outputs and without what none of them needs."""
        for position, tensor in enumerate(outputs):
            result = unused_name(
                "output" if len(outputs) == 1 else f"output{position}", self._tensors
            )
            self._graph.node.append(
                helper.make_node("Identity", [tensor.name], [result], name=f"{result}.copy")
            )
            self._graph.output.append(
                helper.make_tensor_value_info(result, _NUMBERS[tensor.dtype], tensor.shape)
            )
        read = {name for node in self._graph.node for name in node.input}
        self._graph.initializer.extend(
            numpy_helper.from_array(value, name)
            for name, value in self._constants.items()
            if name in read
        )
        model = helper.make_model(
            self._graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
        )
        drop_unused(model)
        return model


def _node(
    op: str, inputs: Sequence[RelayTensor | None], results: list[str], attrs: dict[str, Any]
) -> onnx.NodeProto:
    """A node without a name; attributes that are None are left out."""
    operands = [tensor.name if tensor is not None else "" for tensor in inputs]
    given = {key: value for key, value in attrs.items() if value is not None}
    return helper.make_node(op, operands, results, **given)


def _proto(kind: TensorType) -> onnx.TypeProto:
    return helper.make_tensor_type_proto(_NUMBERS[kind.dtype], kind.shape)


def _short(error: Exception) -> str:
    """The first line of ONNX's message, without its prefix."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text.removeprefix("[ShapeInferenceError] ").removeprefix("[TypeInferenceError] ")[:200]
