"""Relay's text and parameters to an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.limits import MAX_NODES
from zeroskip.relay_passes.relay.builder import Builder
from zeroskip.relay_passes.relay.metadata import Metadata, read_metadata
from zeroskip.relay_passes.relay.ndarray import read_params
from zeroskip.relay_passes.relay.operators.operation import Operation
from zeroskip.relay_passes.relay.operators.table import OPERATORS
from zeroskip.relay_passes.relay.parser import parse_function
from zeroskip.relay_passes.relay.syntax import (
    Array,
    Expr,
    Function,
    Item,
    Literal,
    MetaConstant,
    MetaInteger,
    Param,
    RelayCall,
    TupleOf,
    Variable,
)
from zeroskip.relay_passes.relay.types import DTYPES, Type, refusal
from zeroskip.relay_passes.relay.values import Accumulator, RelayTensor, Value


def relay_to_onnx(
    text: str, params: Mapping[str, Array] | bytes | None = None, *, name: str = "main"
) -> onnx.ModelProto:
    """The network of Relay's text as an ONNX model; needs no TVM.

    text: ``mod.astext()`` of TVM 0.18 or before, metadata included. params: what
    ``relay.save_param_dict(params)`` gives, or arrays by name; parameters of ``@main`` that are not
    among them are the model's inputs. name: of the model's graph.

    Nodes are called by their Relay operator and the name that it is bound to: ``nn.conv2d_12`` is
    ``%12``. FrontError, with the line, for what is no Relay text, for a network that is not
    straight, has open dimensions or an operator that is not converted, and for parameters that do
    not fit.
    """
    function, section = parse_function(text)
    arrays = read_params(params) if isinstance(params, bytes) else dict(params or {})
    return _Converter(function, read_metadata(section), arrays, name).model()


class _Converter:
    def __init__(
        self, function: Function, metadata: Metadata, params: Mapping[str, Array], name: str
    ) -> None:
        if len(function.bindings) > MAX_NODES:
            raise FrontError(f"The Relay text binds more than {MAX_NODES} values: compile a part.")
        self._function = function
        self._metadata = metadata
        self._params = params
        self._builder = Builder(name)
        self._values: dict[str, Value] = {}
        self._stored: dict[int, RelayTensor] = {}  # constants of the metadata that are in the graph

    def model(self) -> onnx.ModelProto:
        """The whole."""
        self._bind_params()
        for binding in self._function.bindings:
            self._values[binding.name] = self._value(binding.value, binding.name)
        result = self._value(self._function.result, "result")
        outputs = self._outputs(result)
        return self._builder.model(outputs)

    def _bind_params(self) -> None:
        names = {param.name for param in self._function.params}
        if self._params and not names & self._params.keys():
            raise FrontError(
                f"None of the {len(self._params)} parameters is one of the Relay function's: give "
                "those that were saved with this very module."
            )
        for param in self._function.params:
            given = self._params.get(param.name)
            self._values[param.name] = (
                self._builder.input(param.name, param.type)
                if given is None
                else self._builder.constant(_fitting(param, np.asarray(given)), param.name)
            )

    def _outputs(self, result: Value) -> list[RelayTensor]:
        fields = result if isinstance(result, tuple) else (result,)
        tensors: list[RelayTensor] = []
        for field in fields:
            if not isinstance(field, RelayTensor):
                raise refusal(
                    self._function.line,
                    "a result is "
                    + ("the int32 sums of a layer" if isinstance(field, Accumulator) else "a tuple")
                    + ": return tensors, requantized or dequantized",
                )
            tensors.append(field)
        if not tensors:
            raise refusal(self._function.line, "the function returns nothing: return a tensor")
        return tensors

    # Expressions

    def _value(self, expr: Expr, label: str) -> Value:
        """label: the name that the expression, or what it is part of, is bound to."""
        match expr:
            case Variable(name):
                return self._values[name]
            case Literal(number):
                return self._builder.constant(number)
            case MetaConstant(index, line):
                return self._meta(index, line)
            case TupleOf(fields):
                return tuple(self._value(field, label) for field in fields)
            case Item(whole, index, line):
                value = self._value(whole, label)
                if not isinstance(value, tuple) or index >= len(value):
                    raise refusal(line, f"there is no field {index}: print the module again")
                return value[index]
        return self._call(expr, label)

    def _meta(self, index: int, line: int) -> RelayTensor:
        if index >= len(self._metadata.constants):
            raise refusal(
                line,
                f"meta[relay.Constant][{index}] is not in the text: print the module with "
                "astext(show_meta_data=True)",
            )
        if index not in self._stored:
            self._stored[index] = self._builder.constant(
                self._metadata.constants[index], f"meta.{index}"
            )
        return self._stored[index]

    def _call(self, call: RelayCall, label: str) -> Value:
        rule = OPERATORS.get(call.op)
        if rule is None:
            raise refusal(call.line, f"{call.op[:60]} {_missing(call.op)}")
        args = tuple(self._value(arg, label) for arg in call.args)
        if len(args) != rule.operands:
            raise refusal(
                call.line,
                f"{call.op} has {len(args)} operands where {rule.operands} should be: print the "
                "module of TVM 0.18 or before again",
            )
        attrs = {key: self._attr(value) for key, value in call.attrs.items()}
        name = f"{call.op}_{label}"
        self._builder.at(call.op, name, call.line)
        operation = Operation(self._builder, call.op, name, call.line, args, attrs)
        result = rule.convert(operation)
        operation.finish()
        if call.type is not None:
            self._check_type(call, result)
        return result

    def _attr(self, value: Any) -> Any:
        """An attribute with the integers of the metadata in their places."""
        if isinstance(value, tuple):
            return tuple(self._attr(item) for item in value)
        if not isinstance(value, MetaInteger):
            return value
        if value.index >= len(self._metadata.integers):
            raise refusal(
                value.line,
                f"meta[runtime.BoxInt][{value.index}] is not in the text: print the module with "
                "astext(show_meta_data=True)",
            )
        return self._metadata.integers[value.index]

    def _check_type(self, call: RelayCall, result: Value) -> None:
        """FrontError where the text says another type than what the conversion gives."""
        if not _agrees(call.type, result):
            raise refusal(
                call.line,
                f"{call.op} makes {_shown(result)}, but the text says {_said(call.type)}: print "
                "the module again, with the parameters that belong to it",
            )


def _missing(op: str) -> str:
    """Why an operator is not converted, and the remedy."""
    if op.startswith("dyn."):
        return "has shapes that are known only at run time: run relay.transform.DynamicToStatic()"
    if op.startswith("qnn."):
        return "is not converted: dequantize before it, and quantize behind it"
    if op.startswith(("annotation.", "on_device", "device_copy", "vm.", "memory.")):
        return "is none of a network: print the module before it is partitioned or lowered"
    return "is not converted: replace it, or export the network to ONNX"


def _fitting(param: Param, given: Array) -> Array:
    """The array of a parameter; FrontError for another shape or type."""
    if given.shape != param.type.shape or given.dtype != DTYPES[param.type.dtype]:
        raise refusal(
            param.line,
            f"'%{param.name[:60]}' is {param.type}, but its array has shape {list(given.shape)} "
            f"and {given.dtype}: give the parameters that were saved with this very module",
        )
    return given


def _agrees(said: Type | None, value: Value) -> bool:
    if said is None:
        return True
    if isinstance(value, tuple):
        return isinstance(said, tuple) and (
            len(said) == len(value)
            and all(_agrees(kind, field) for kind, field in zip(said, value, strict=True))
        )
    if isinstance(said, tuple):
        return False
    if isinstance(value, Accumulator):
        return said.shape == value.shape and said.dtype == "int32"
    return said == value.type


def _shown(value: Value) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_shown(field) for field in value[:8])})"
    return str(value.type) if isinstance(value, RelayTensor) else f"int32 sums {list(value.shape)}"


def _said(kind: Type | None) -> str:
    return f"({', '.join(map(_said, kind[:8]))})" if isinstance(kind, tuple) else str(kind)
