"""The dialect ``zeroskip``, derived from the declarations of the instruction set.

An instruction is an operation ``zeroskip.<mnemonic>``; each of its fields but the tokens is an
integer attribute of the field's own width and sign (``16 : ui14``). A token is an SSA value: what
an instruction posts is a result, what it waits for an operand, and the type of the value names the
queue, ``!zeroskip.load_to_compute``. MLIR's dominance then says that no wait precedes its post.
"""

from __future__ import annotations

from zeroskip.accel_model.isa.assembly import TOKENS
from zeroskip.accel_model.isa.instructions import BY_OPCODE, UNITS, Bits, Instruction, Unit, layout

DIALECT = "zeroskip"
OPERAND_SEGMENTS = "operandSegmentSizes"
RESULT_SEGMENTS = "resultSegmentSizes"
LISTED = 16  # values of a field that IRDL lists one by one; wider ranges are the type's


def fields_of(cls: type[Instruction]) -> list[tuple[str, Bits]]:
    """(name, bits) of the fields that are attributes: all but the tokens."""
    return [(name, bits) for name, bits in layout(cls) if name not in TOKENS]


def integer_type(bits: Bits) -> str:
    """``ui14`` or ``si9``."""
    return f"{'s' if bits.signed else 'u'}i{bits.width}"


def partners(unit: Unit) -> list[Unit]:
    """The units that ``unit`` exchanges tokens with, in the order of operands and results."""
    return [other for other in UNITS if other != unit]


def queue(giver: Unit, taker: Unit) -> str:
    """The name of the queue from one unit to another, ``load_to_compute``."""
    return f"{unit_name(giver)}_to_{unit_name(taker)}"


def token(giver: Unit, taker: Unit) -> str:
    """The type of a token of that queue."""
    return f"!{DIALECT}.{queue(giver, taker)}"


def unit_name(unit: Unit) -> str:
    return (unit.name or "").lower()


def irdl() -> str:
    """The dialect in MLIR's own language for dialects: ``docs/zeroskip.irdl.mlir``."""
    lines = [
        "// The dialect of `zeroskip compile --emit=mlir`, made from",
        "// accel_model/isa/instructions.py by compiler/mlir/dialect.py; a test keeps it so.",
        "// mlir-opt --irdl-file=zeroskip.irdl.mlir program.mlir",
        f"irdl.dialect @{DIALECT} {{",
    ]
    lines += [
        f"  irdl.type @{queue(giver, taker)} {{}}" for giver in UNITS for taker in partners(giver)
    ]
    for _opcode, cls in sorted(BY_OPCODE.items()):
        lines += ["", *_operation(cls)]
    return "\n".join([*lines, "}"]) + "\n"


def _operation(cls: type[Instruction]) -> list[str]:
    lines = [f"  irdl.operation @{cls.mnemonic} {{"]
    fields = fields_of(cls)
    # A variable stands for one value, so every field has its own.
    for name, bits in fields:
        lines += _range(f"%{name}", bits)
    lines.append("    irdl.attributes {")
    lines += [
        f'      "{name}" = %{name}{"," * (number < len(fields))}'
        for number, (name, _) in enumerate(fields, 1)
    ]
    lines.append("    }")
    others = partners(cls.unit)
    for verb, queues in (
        ("operands", {f"from_{unit_name(other)}": queue(other, cls.unit) for other in others}),
        ("results", {f"to_{unit_name(other)}": queue(cls.unit, other) for other in others}),
    ):
        lines += [f"    %{name} = irdl.base @{DIALECT}::@{kind}" for name, kind in queues.items()]
        lines.append(
            f"    irdl.{verb}({', '.join(f'{name}: optional %{name}' for name in queues)})"
        )
    return [*lines, "  }"]


def _range(variable: str, bits: Bits) -> list[str]:
    """The constraint of a field: its values where they are few, else an integer."""
    if bits.high - bits.low >= LISTED:
        return [f'    {variable} = irdl.base "#builtin.integer"']
    names = [f"{variable}_{number}" for number in range(bits.high - bits.low + 1)]
    return [
        *(
            f"    {name} = irdl.is {bits.low + number} : {integer_type(bits)}"
            for number, name in enumerate(names)
        ),
        f"    {variable} = irdl.any_of({', '.join(names)})",
    ]
