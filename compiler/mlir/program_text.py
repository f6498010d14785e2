"""Programs as MLIR text, in the dialect of ``dialect.py``: plain text, no package is needed.

A program is a ``func.func`` (a function keeps MLIR's dominance, a module does not). Its operations
are the instructions in program order; what is no instruction (the accelerator, tensors, layers,
tiles, the DRAM image) is attributes of the function, so that nothing is lost:
``program_reader.read_programs`` gives a program with the same bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import UNITS, Instruction, Unit
from zeroskip.accel_model.program.program import Program
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.mlir.attributes import attribute, dense, symbol
from zeroskip.compiler.mlir.dialect import (
    DIALECT,
    OPERAND_SEGMENTS,
    RESULT_SEGMENTS,
    fields_of,
    integer_type,
    partners,
    token,
    unit_name,
)

HEAD = f"{DIALECT}.program"
ARRAYS = {"image": "ui8", "tiles": "i32"}  # kept as attributes of the function, and their elements
PLACES = {"layer_of": f"{DIALECT}.layer", "tile_of": f"{DIALECT}.tile"}  # of each instruction


class MlirError(CompileError):
    """MLIR text that is no program, or a program that MLIR cannot express; says where."""


def programs_text(programs: Iterable[Program]) -> str:
    """A module of one function for each program."""
    return "\n".join("\n".join([*_function(program), ""]) for program in programs)


def _function(program: Program) -> Iterator[str]:
    head, arrays = program.parts()
    attributes = {HEAD: attribute({key: head[key] for key in head if key != "name"})}
    attributes |= {
        f"{DIALECT}.{name}": dense(arrays[name], element) for name, element in ARRAYS.items()
    }
    yield f"func.func {symbol(program.name)}() attributes {{"
    yield ",\n".join(f"  {name} = {value}" for name, value in attributes.items())
    yield "} {"
    tokens = _Tokens(program.name)
    before = -1
    for pc, one in enumerate(decode_all(program.words)):
        layer = int(program.layer_of[pc])
        if layer != before and 0 <= layer < len(program.layers):
            info = program.layers[layer]
            yield f"  // {ascii(info.node)[1:-1]}: {ascii(info.kind)[1:-1]}"
        before = layer
        places = {name: int(arrays[key][pc]) for key, name in PLACES.items()}
        yield f"  {tokens.operation(pc, one, places)}"
    yield "  return"
    yield "}"


class _Tokens:
    """Names the tokens: those in each queue, the oldest first."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.waiting: dict[tuple[Unit, Unit], deque[str]] = {
            (giver, taker): deque() for giver in UNITS for taker in partners(giver)
        }

    def operation(self, pc: int, one: Instruction, places: dict[str, int]) -> str:
        """The operation of an instruction; MlirError if a token that it takes is not yet posted."""
        others = partners(one.unit)
        taken = [other for other in others if one.wait & other]
        given = [other for other in others if one.post & other]
        operands = [self._take(pc, other, one.unit) for other in taken]
        results = [f"%to_{unit_name(other)}_{pc}" for other in given]
        for name, other in zip(results, given, strict=True):
            self.waiting[one.unit, other].append(name)
        attributes = [
            *(
                f"{name} = {getattr(one, name)} : {integer_type(bits)}"
                for name, bits in fields_of(type(one))
            ),
            segments(OPERAND_SEGMENTS, others, taken),
            segments(RESULT_SEGMENTS, others, given),
            *(f"{name} = {value} : i32" for name, value in places.items() if value >= 0),
        ]
        made = f"{', '.join(results)} = " if results else ""
        takes = ", ".join(token(other, one.unit) for other in taken)
        gives = ", ".join(token(one.unit, other) for other in given)
        return (
            f'{made}"{DIALECT}.{one.mnemonic}"({", ".join(operands)}) {{{", ".join(attributes)}}} '
            f": ({takes}) -> ({gives})"
        )

    def _take(self, pc: int, giver: Unit, taker: Unit) -> str:
        queue = self.waiting[giver, taker]
        if not queue:
            raise MlirError(
                f"program '{self.program}' pc {pc}: waits for a token of {unit_name(giver)} that "
                "no instruction before it posts; MLIR takes programs in an order in which they "
                "could run one instruction at a time"
            )
        return queue.popleft()


def segments(name: str, others: list[Unit], used: list[Unit]) -> str:
    """Which of an operation's optional operands or results there are."""
    return f"{name} = array<i32: {', '.join(str(int(other in used)) for other in others)}>"
