"""MLIR text back to programs, through xDSL's parser (the extra ``mlir``), believing nothing.

xDSL checks syntax, types and SSA form; here each operation is held to the instruction's
declaration, and each token to its queue: queues are first in, first out, so the n-th wait takes the
n-th post.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.accel_model.isa.encoding import encode_all
from zeroskip.accel_model.isa.instructions import BY_MNEMONIC, Instruction, Unit
from zeroskip.accel_model.program.program import Program
from zeroskip.compiler.mlir.dialect import (
    DIALECT,
    OPERAND_SEGMENTS,
    RESULT_SEGMENTS,
    fields_of,
    integer_type,
    partners,
    queue,
    unit_name,
)
from zeroskip.compiler.mlir.program_text import ARRAYS, HEAD, PLACES, MlirError
from zeroskip.relay_passes.tosa.mlir_text import operation_name, parse_module, shown


def load_programs(path: str | Path) -> list[Program]:
    """The programs in a file of MLIR text; MlirError says what is wrong with it."""
    refuse_irregular(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        raise MlirError(f"{path}: cannot be read: {reason}") from None
    return read_programs(text, str(path))


def read_programs(text: str, where: str) -> list[Program]:
    """The programs of a module; ``where`` names the text in errors.

    MlirError for text that MLIR does not take, operations that are no instructions, or tokens that
    are not those of their queues. A program need not have been written by ``programs_text``.
    """
    programs: list[Program] = []
    if not text.strip():
        raise MlirError(f"{where}: holds no function; --emit=mlir writes one for each program")
    for op in parse_module(text, where, MlirError)[0].body.block.ops:
        if op.name != "func.func":
            raise MlirError(f"{where}: holds {operation_name(op)}; a program is a func.func")
        name = op.sym_name.data
        try:
            programs.append(_Reading(op).program())
        except ZeroskipError as problem:
            raise MlirError(f"{where}: function @{shown(name)}: {problem}") from None
    if not programs:
        raise MlirError(f"{where}: holds no function; --emit=mlir writes one for each program")
    return programs


class _Reading:
    """One function as a program."""

    def __init__(self, func: Any) -> None:
        self.func = func
        self.name: str = func.sym_name.data
        self.stream: list[Instruction] = []
        self.places: dict[str, list[int]] = {name: [] for name in PLACES}
        self.posted: dict[Any, tuple[str, int]] = {}  # token -> its queue, and which one it is
        self.posts: dict[str, int] = {}
        self.waits: dict[str, int] = {}

    def program(self) -> Program:
        blocks = list(self.func.body.blocks)
        if len(blocks) != 1 or blocks[0].args:
            raise MlirError("a program is one block without arguments")
        *ops, last = blocks[0].ops
        if last.name != "func.return" or last.operands:
            raise MlirError("a program ends with a return of nothing")
        for pc, op in enumerate(ops):
            try:
                self._instruction(op)
            except ZeroskipError as problem:
                raise MlirError(f"instruction {pc}, {operation_name(op)}: {problem}") from None
        given = self.func.attributes
        known = {HEAD, *(f"{DIALECT}.{name}" for name in ARRAYS)}
        if set(given) != known:
            raise MlirError(f"a program has the attributes {', '.join(sorted(known))}")
        head = _value(given[HEAD])
        if not isinstance(head, dict):
            raise MlirError(f"{HEAD} is no dictionary")
        arrays: dict[str, npt.NDArray[Any]] = {
            name: _array(given[f"{DIALECT}.{name}"], name, element)
            for name, element in ARRAYS.items()
        }
        arrays |= {name: np.array(of, np.int32) for name, of in self.places.items()}
        arrays["words"] = encode_all(self.stream)
        return Program.from_parts({**head, "name": self.name}, arrays)

    def _instruction(self, op: Any) -> None:
        cls = BY_MNEMONIC.get(operation_name(op).removeprefix(f"{DIALECT}."))
        if cls is None or not operation_name(op).startswith(f"{DIALECT}."):
            raise MlirError(f"is not an instruction; they are {', '.join(BY_MNEMONIC)}")
        if op.regions or op.successors:
            raise MlirError("an instruction has no regions and no successors")
        given = {k: v for k, v in {**op.attributes, **op.properties}.items() if k != "op_name__"}
        values = {}
        for name, bits in fields_of(cls):
            values[name] = _integer(given.pop(name, None), name, integer_type(bits))
        waits = [self._wait(cls.unit, operand) for operand in op.operands]
        posts = [self._post(cls.unit, result) for result in op.results]
        for title, units in ((OPERAND_SEGMENTS, waits), (RESULT_SEGMENTS, posts)):
            expected = [int(other in units) for other in partners(cls.unit)]
            if sum(expected) != len(units):
                raise MlirError("takes or gives two tokens of one queue")
            if _segments(given.pop(title, None)) != expected:
                raise MlirError(f"{title} is not {expected}, what its tokens say")
        for name, title in PLACES.items():
            value = given.pop(title, None)
            self.places[name].append(-1 if value is None else _integer(value, title, "i32"))
        if given:
            raise MlirError(f"has no field {shown(next(iter(given)))!r}")
        # The dataclass holds every value to its range.
        self.stream.append(cls(**values, wait=sum(waits), post=sum(posts)))

    def _wait(self, taker: Unit, operand: Any) -> Unit:
        """The unit whose token an operand is; it must be the oldest in its queue."""
        if operand not in self.posted:
            raise MlirError("waits for a token that no instruction before it posts")
        kind, number = self.posted[operand]
        for giver in partners(taker):
            if kind == queue(giver, taker):
                turn = self.waits.get(kind, 0)
                if number != turn:
                    raise MlirError(
                        f"takes token {number} of {kind}, where it is the turn of token {turn}"
                    )
                self.waits[kind] = turn + 1
                return giver
        raise MlirError(f"runs on the {unit_name(taker)} unit, which takes no token of {kind}")

    def _post(self, giver: Unit, result: Any) -> Unit:
        kind = _type_name(result.type)
        for taker in partners(giver):
            if kind == f"{DIALECT}.{queue(giver, taker)}":
                name = queue(giver, taker)
                self.posted[result] = name, self.posts.get(name, 0)
                self.posts[name] = self.posts.get(name, 0) + 1
                return taker
        raise MlirError(
            f"runs on the {unit_name(giver)} unit, which gives no {shown(str(result.type))}"
        )


def _type_name(kind: Any) -> str:
    name = getattr(kind, "attr_name", None)
    return "" if name is None or kind.value.data else str(name.data)


def _integer(value: Any, name: str, kind: str) -> int:
    """The value of an integer attribute of exactly this type."""
    from xdsl.dialects.builtin import IntegerAttr

    if value is None:
        raise MlirError(f"needs a value for {name}, of type {kind}")
    if not isinstance(value, IntegerAttr) or str(value.type) != kind:
        raise MlirError(f"{name} is {shown(str(value))}, not of type {kind}")
    return int(value.value.data)


def _segments(value: Any) -> list[int]:
    from xdsl.dialects.builtin import DenseArrayBase

    return [int(n) for n in value.get_values()] if isinstance(value, DenseArrayBase) else []


def _value(value: Any) -> Any:
    """A table, a list, a text, a number or a truth value out of an attribute."""
    from xdsl.dialects import builtin

    if isinstance(value, builtin.DictionaryAttr):
        return {key: _value(held) for key, held in value.data.items()}
    if isinstance(value, builtin.ArrayAttr):
        return [_value(held) for held in value.data]
    if isinstance(value, builtin.UnitAttr):
        return None
    if isinstance(value, builtin.StringAttr):
        return value.data
    if isinstance(value, builtin.BytesAttr):
        return value.data.decode("utf-8", "replace")
    if isinstance(value, builtin.IntegerAttr) and str(value.type) == "i1":
        return bool(value.value.data)
    if isinstance(value, builtin.IntegerAttr) and str(value.type) == "i64":
        return int(value.value.data)
    if isinstance(value, builtin.FloatAttr) and str(value.type) == "f64":
        return float(value.value.data)
    raise MlirError(f"{HEAD} holds {shown(str(value))[:60]}, which is no text or number")


def _array(value: Any, name: str, element: str) -> npt.NDArray[Any]:
    """The elements of a dense attribute of this element type."""
    from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, TensorType

    kind = getattr(value, "type", None)
    if (
        not isinstance(value, DenseIntOrFPElementsAttr)
        or not isinstance(kind, TensorType)
        or str(kind.element_type) != element
    ):
        raise MlirError(f"{DIALECT}.{name} is not a dense tensor of {element}")
    shape = kind.get_shape()
    dtype = np.dtype(f"<{'u' if element.startswith('u') else 'i'}{int(element.strip('ui')) // 8}")
    flat = np.frombuffer(value.data.data, dtype)
    if flat.size != math.prod(shape):
        raise MlirError(f"{DIALECT}.{name} has {flat.size} elements in {kind}")
    return flat.reshape(shape).astype(dtype.newbyteorder("="))
