"""Functions of an MLIR module as plain values: what the rest of the room reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.tosa.mlir_text import Place, operation_name, parse_module, shown

Array = npt.NDArray[Any]

MAX_OPS = 1 << 16
MAX_RANK = 6
INTEGERS = {"i1": np.bool_, "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64}
REALS = {"f32": np.float32}
SHAPE = "shape"  # the element of a value that is TOSA's type of shapes


@dataclass(frozen=True)
class Type:
    """A tensor's type; element: as MLIR spells it, ``shape`` for ``!tosa.shape``."""

    shape: tuple[int, ...]
    element: str

    def __str__(self) -> str:
        return f"tensor<{''.join(f'{size}x' for size in self.shape)}{self.element}>"


@dataclass(frozen=True, eq=False)
class Value:
    """An SSA value; two are the same if they are one object."""

    type: Type


@dataclass(frozen=True, eq=False)
class Operation:
    """name: with its dialect. label: what its layer is called. body: of its only region, if it has
    one. attributes: numbers, truth values, texts, tuples of numbers and arrays."""

    name: str
    operands: tuple[Value, ...]
    results: tuple[Value, ...]
    attributes: Mapping[str, Any]
    where: str
    line: int
    label: str
    body: Block | None = None

    def refuse(self, problem: str) -> NoReturn:
        """FrontError that names the file, the line and the operator."""
        raise FrontError(f"{self.where} line {self.line}: {self.name} {problem}")

    @property
    def result(self) -> Value:
        """Its only result."""
        if len(self.results) != 1:
            self.refuse(f"has {len(self.results)} results where one is expected")
        return self.results[0]

    def operand(self, at: int) -> Value:
        """An operand that must be there."""
        if at >= len(self.operands):
            self.refuse(
                f"has {len(self.operands)} operands and lacks one: write TOSA 1.0, in which zero "
                "points, multipliers and shapes are operands"
            )
        return self.operands[at]

    def numbers(self, name: str, count: int, least: int = 0) -> tuple[int, ...]:
        """An attribute that is so many whole numbers, none below ``least``."""
        value = self.attributes.get(name)
        if (
            not isinstance(value, tuple)
            or len(value) != count
            or not all(isinstance(each, int) and least <= each < 1 << 20 for each in value)
        ):
            self.refuse(f"needs {count} numbers from {least} on as {name}")
        return value

    def number(self, name: str) -> int:
        """An attribute that is a whole number."""
        value = self.attributes.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(f"needs a whole number as {name}")
        return value

    def truth(self, name: str) -> bool:
        """An attribute that is true or false; false if it is not there."""
        value = self.attributes.get(name, False)
        if not isinstance(value, bool):
            self.refuse(f"needs true or false as {name}")
        return value


@dataclass(frozen=True, eq=False)
class Block:
    """Operations in order, and what they end with."""

    params: tuple[Value, ...]
    ops: tuple[Operation, ...]
    results: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Function:
    """name: its symbol. inputs: names of its parameters."""

    name: str
    block: Block
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Module:
    """functions: by symbol. main: the one that is compiled. where: what the text is called. real:
    the line and the operator of the first float tensor, if there is one."""

    functions: Mapping[str, Function]
    main: Function
    where: str
    real: tuple[int, str] | None = None


def read_module(text: str, where: str) -> Module:
    """The functions of a module; FrontError for text that MLIR does not take, or what is none."""
    if not text.strip():
        raise FrontError(f"{where}: holds no function: write the network as a func.func")
    module, places, resources = parse_module(text, where, FrontError)
    reading = _Reading(text, where, places, resources)
    found: dict[str, Function] = {}
    for op in module.body.block.ops:
        if op.name != "func.func":
            raise FrontError(
                f"{where} line {reading.line(op)}: holds {operation_name(op)}; a network is a "
                "func.func"
            )
        function = reading.function(op)
        found[function.name] = function
    called = {
        str(op.attributes.get("callee"))
        for function in found.values()
        for op in function.block.ops
        if op.name == "func.call"
    }
    heads = [name for name in found if name not in called]
    main = "main" if "main" in heads else heads[0] if len(heads) == 1 else None
    if main is None:
        raise FrontError(
            f"{where}: holds {len(heads) or 'no'} functions that no other calls: give a module "
            "with one of them, or call it main"
        )
    return Module(found, found[main], where, reading.real)


class _Reading:
    """xDSL's operations as ours."""

    def __init__(
        self,
        text: str,
        where: str,
        places: Mapping[Any, Place],
        resources: Mapping[str, str],
    ) -> None:
        self._where, self._places, self._resources = where, places, resources
        self.real: tuple[int, str] | None = None
        self._starts = np.cumsum([0, *(len(line) + 1 for line in text.split("\n"))])
        self._values: dict[Any, Value] = {}
        self._ops = 0

    def line(self, op: Any) -> int:
        place = self._places.get(op)
        return 1 if place is None else int(np.searchsorted(self._starts, place.offset, "right"))

    def refuse(self, op: Any, problem: str) -> NoReturn:
        raise FrontError(f"{self._where} line {self.line(op)}: {operation_name(op)} {problem}")

    def function(self, func: Any) -> Function:
        name = func.sym_name.data
        if len(func.body.blocks) != 1:
            self.refuse(func, f"@{shown(name)} has branches: a network is one block")
        block = func.body.block
        read = self.block(func, block, "func.return")
        inputs = _signature(func.properties.get("arg_attrs"), "arg", len(read.params))
        hints = [shown(arg.name_hint or "") for arg in block.args]
        if len({*hints, ""}) > len(hints) and inputs[:1] == ["arg0"]:
            inputs = hints
        outputs = _signature(func.properties.get("res_attrs"), "output", len(read.results))
        return Function(name, read, tuple(inputs), tuple(outputs))

    def block(self, owner: Any, block: Any, end: str) -> Block:
        params = tuple(self.value(owner, arg) for arg in block.args)
        ops = list(block.ops)
        if not ops or operation_name(ops[-1]) != end:
            self.refuse(owner, f"does not end with {end}")
        read = tuple(self.operation(op) for op in ops[:-1])
        return Block(params, read, self.operands(ops[-1]))

    def operands(self, op: Any) -> tuple[Value, ...]:
        if any(each not in self._values for each in op.operands):
            self.refuse(op, "reads a value that is made behind it, or elsewhere")
        return tuple(self._values[each] for each in op.operands)

    def operation(self, op: Any) -> Operation:
        self._ops += 1
        if self._ops > MAX_OPS:
            self.refuse(op, f"is the {MAX_OPS}th operation: compile a part")
        blocks = sum(len(region.blocks) for region in op.regions)
        if op.successors or len(op.regions) > 1 or blocks > 1:
            self.refuse(op, "has branches: a network is one block")
        name, operands = operation_name(op), self.operands(op)
        results = tuple(self.value(op, result) for result in op.results)
        body = None
        if blocks:
            if not name.startswith("linalg."):
                self.refuse(op, "has a region: only linalg's are read")
            body = self.block(op, op.regions[0].block, "linalg.yield")
        held = {**op.attributes, **getattr(op, "properties", {})}
        values = {key: self.attribute(op, key, each) for key, each in held.items()}
        return Operation(
            name, operands, results, values, self._where, self.line(op), self.label(op), body
        )

    def label(self, op: Any) -> str:
        """The name in its location, of several the first; else its operator's and result's."""
        place = self._places.get(op)
        if place is not None and place.name:
            return shown(place.name.partition(";")[0])
        result = "" if place is None else place.result.lstrip("%")
        return f"{operation_name(op).rpartition('.')[2]}_{result}"

    def value(self, op: Any, value: Any) -> Value:
        """The value of an operation's result, or of a parameter."""
        self._values[value] = Value(self.type(op, value.type))
        return self._values[value]

    def type(self, op: Any, kind: Any) -> Type:
        from xdsl.dialects.builtin import IntegerType, TensorType

        if str(kind).startswith("!tosa.shape"):
            return Type((), SHAPE)
        if isinstance(kind, IntegerType):
            return Type((), str(kind))
        if not isinstance(kind, TensorType):
            self.refuse(op, f"has a value of type {shown(str(kind))}: only tensors are read")
        shape = tuple(kind.get_shape())
        element = str(kind.element_type)
        element = (
            "i8" if element == "ui8" else element
        )  # the same bits; operators say which they are
        if element in REALS:
            self.real = self.real or (self.line(op), operation_name(op))
        elif element not in INTEGERS and element not in ("i48", "index"):
            self.refuse(
                op,
                f"has a tensor of {shown(element)}: integers and f32 are read; leave it out, or export "
                "ONNX (torch.onnx.export) or a .pt2 program instead",
            )
        if min(shape, default=0) < 0:
            self.refuse(op, f"has an open dimension ({shown(str(kind))}): give every size")
        if len(shape) > MAX_RANK or math.prod(shape) > 1 << 30:
            self.refuse(op, f"has a tensor of {len(shape)} dimensions ({shown(str(kind))})")
        return Type(shape, element)

    def attribute(self, op: Any, key: str, value: Any) -> Any:
        from xdsl.dialects import builtin

        if isinstance(value, builtin.UnitAttr):
            return True
        if isinstance(value, builtin.IntegerAttr):
            return bool(value.value.data) if str(value.type) == "i1" else int(value.value.data)
        if isinstance(value, builtin.FloatAttr):
            return float(value.value.data)
        if isinstance(value, builtin.StringAttr):
            return value.data
        if isinstance(value, builtin.DenseArrayBase):
            return tuple(value.get_values())
        if isinstance(value, builtin.ArrayAttr):
            return tuple(self.attribute(op, key, each) for each in value.data)
        if isinstance(value, builtin.DenseIntOrFPElementsAttr):
            return self.array(op, key, value, value.data.data)
        if isinstance(value, builtin.DenseResourceAttr):
            return self.array(op, key, value, self.blob(op, value.resource_handle.data))
        if isinstance(value, builtin.SymbolRefAttr):
            return value.root_reference.data
        return shown(str(value))

    def blob(self, op: Any, name: str) -> bytes:
        """The bytes of a resource, behind four that say how they are aligned."""
        said = self._resources.get(name, "")
        try:
            content = bytes.fromhex(said.removeprefix("0x"))[4:]
        except ValueError:
            content = b""
        if not content:
            self.refuse(
                op, f"has the resource '{shown(name)}', whose bytes do not stand behind the module"
            )
        return content

    def array(self, op: Any, key: str, value: Any, data: bytes) -> Array:
        kind = self.type(op, value.type)
        if kind.element in ("i1", "i48"):
            if not hasattr(value, "get_values"):
                self.refuse(op, f"has a resource of {kind}: write it as dense<...>")
            return np.array(list(value.get_values()), np.int64).reshape(kind.shape)
        numbers = {**INTEGERS, **REALS}.get(kind.element, np.int64)
        dtype: np.dtype[Any] = np.dtype(numbers).newbyteorder("<")
        if len(data) != math.prod(kind.shape) * dtype.itemsize:
            self.refuse(op, f"has {len(data)} bytes for {kind} as {key}")
        flat = np.frombuffer(data, dtype)
        return flat.reshape(kind.shape).astype(dtype.newbyteorder("="))


def _signature(attributes: Any, word: str, count: int) -> list[str]:
    """Names of parameters or results: those of TFLite's signature, if the text has them."""
    found = []
    for each in getattr(attributes, "data", ()):
        path = each.data.get("tf_saved_model.index_path")
        parts = [getattr(part, "data", "") for part in getattr(path, "data", ())]
        found.append(shown(".".join(map(str, parts))))
    if len(found) == count and len({*found, ""}) == count + 1:
        return found
    return [word] if count == 1 and word == "output" else [f"{word}{i}" for i in range(count)]


def rounding(op: Operation) -> str:
    """``SINGLE_ROUND``, ``DOUBLE_ROUND`` or ``INEXACT_ROUND`` of a rescale; old texts say it by
    ``double_round``."""
    given = op.attributes.get("rounding_mode")
    if given is None:
        return "DOUBLE_ROUND" if op.truth("double_round") else "SINGLE_ROUND"
    for mode in ("SINGLE_ROUND", "DOUBLE_ROUND", "INEXACT_ROUND"):
        if isinstance(given, str) and mode in given:
            return mode
    return op.refuse(f"rounds by {shown(str(given))}, which is not known")


def sizes(values: Sequence[int]) -> str:
    """``1x3x4``, for messages."""
    return "x".join(map(str, values))
