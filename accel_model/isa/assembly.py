"""Instructions as text and back, and the manual: derived from the declarations of the room.

One instruction a line: ``mnemonic field=value ... ; comment``. Fields may come in any order, those
that have a default may be left out. ``wait`` and ``post`` hold unit names joined with ``|``; other
values are integers, also hexadecimal (``0x1f``) or binary. Empty lines and comments mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import MISSING, fields
from inspect import cleandoc

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.instructions import (
    BY_MNEMONIC,
    BY_OPCODE,
    UNITS,
    WORD_BYTES,
    Instruction,
    IsaError,
    Unit,
    layout,
)

TOKENS = ("wait", "post")
_OPCODE_BITS = 6
_UNIT_NAMES = {unit.name.lower(): unit for unit in UNITS if unit.name}
_INTEGER = re.compile(r"[+-]?(0x[0-9a-f]+|0b[01]+|[0-9]+)", re.IGNORECASE)


def disassemble(stream: Iterable[Instruction]) -> str:
    """The text of instructions, one a line; ``assemble`` gives the same instructions back."""
    return "".join(f"{line(one)}\n" for one in stream)


def line(one: Instruction) -> str:
    """The text of one instruction; fields that have their default value are left out."""
    cls = type(one)
    defaults = _defaults(cls)
    words = [one.mnemonic]
    for name in _in_text(cls):
        value = getattr(one, name)
        if name not in defaults or value != defaults[name]:
            words.append(f"{name}={_unit_text(value) if name in TOKENS else value}")
    return " ".join(words)


def assemble(text: str) -> list[Instruction]:
    """The instructions that ``text`` spells; IsaError names the first line that is wrong."""
    stream = []
    for number, whole in enumerate(text.split("\n"), 1):
        words = whole.split(";", 1)[0].split()
        if words:
            try:
                stream.append(parse_line(words))
            except IsaError as problem:
                raise IsaError(f"line {number}: {problem}") from None
    return stream


def parse_line(words: list[str]) -> Instruction:
    """The instruction that the words of a line spell; IsaError if they spell none."""
    mnemonic = words[0]
    cls = BY_MNEMONIC.get(mnemonic)
    if cls is None:
        raise IsaError(f"{mnemonic!r} is not an instruction; they are {', '.join(BY_MNEMONIC)}")
    names = _in_text(cls)
    values: dict[str, int] = {}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if not equals:
            raise IsaError(f"{mnemonic} {word!r} is not of the form field=value")
        if name not in names:
            raise IsaError(f"{mnemonic} has no field {name!r}; it has {', '.join(names)}")
        if name in values:
            raise IsaError(f"{mnemonic} {name} is given twice")
        values[name] = _units(value) if name in TOKENS else _integer(mnemonic, name, value)
    missing = [name for name in names if name not in values and name not in _defaults(cls)]
    if missing:
        raise IsaError(f"{mnemonic} needs a value for {', '.join(missing)}")
    return cls(**values)


def parse_integer(text: str) -> int:
    """Decimal, hexadecimal (``0x1f``) or binary (``0b11``); ValueError for anything else."""
    if not _INTEGER.fullmatch(text) or len(text) > 40:
        raise ValueError(text)
    return int(text, 0 if text.lstrip("+-")[:2].lower() in ("0x", "0b") else 10)


def _integer(mnemonic: str, name: str, value: str) -> int:
    try:
        return parse_integer(value)
    except ValueError:
        raise IsaError(f"{mnemonic} {name}={value} is not an integer") from None


def _units(value: str) -> int:
    found = Unit.NONE
    for name in value.split("|") if value != "none" else ():
        if name not in _UNIT_NAMES:
            raise IsaError(f"{name!r} is not a unit; they are {', '.join(_UNIT_NAMES)}")
        found |= _UNIT_NAMES[name]
    return int(found)


def _unit_text(value: int) -> str:
    return "|".join(name for name, unit in _UNIT_NAMES.items() if value & unit) or "none"


def _in_text(cls: type[Instruction]) -> list[str]:
    """Field names in the order of the text: the instruction's own, then the tokens."""
    names = [name for name, _ in layout(cls)]
    return [name for name in names if name not in TOKENS] + list(TOKENS)


def _defaults(cls: type[Instruction]) -> dict[str, int]:
    return {f.name: f.default for f in fields(cls) if f.default is not MISSING}


# ----------------------------------------------------------------------------------- the manual


def manual() -> str:
    """The text of docs/ISA.md."""
    parts = [
        "# The instruction set",
        "Made from `accel_model/isa/instructions.py` by `assembly.manual`; a test keeps it so.",
        _paragraphs(cleandoc(isa.__doc__ or "")),
        _assembly_section(),
    ]
    for unit in UNITS:
        parts.append(f"## The {(unit.name or '').lower()} unit")
        parts += [_entry(cls) for _, cls in sorted(BY_OPCODE.items()) if cls.unit == unit]
    return "\n\n".join(parts) + "\n"


def _assembly_section() -> str:
    return "## Assembly\n\n" + _paragraphs(cleandoc(__doc__ or "").split("\n\n", 1)[1])


def _entry(cls: type[Instruction]) -> str:
    """Heading, docstring and field table of one instruction."""
    rows = [
        "| bits | field | range | default | meaning |",
        "|---|---|---|---|---|",
        f"| 0..{_OPCODE_BITS - 1} | opcode | {cls.opcode} | | |",
    ]
    defaults, at = _defaults(cls), _OPCODE_BITS
    for name, bits in layout(cls):
        last = at + bits.width - 1
        place = f"{at}..{last}" if last > at else str(at)
        default = defaults.get(name, "")
        rows.append(f"| {place} | {name} | {bits.low}..{bits.high} | {default} | {bits.doc} |")
        at = last + 1
    free = 8 * WORD_BYTES - at
    if free:
        rows.append(f"| {at}..{8 * WORD_BYTES - 1} | | 0 | | not used |")
    return "\n\n".join(
        [
            f"### {cls.mnemonic} (opcode {cls.opcode})",
            _paragraphs(cleandoc(cls.__doc__ or "")),
            "\n".join(rows),
        ]
    )


def _paragraphs(text: str) -> str:
    """Markdown of a docstring: double backquotes become single, simple tables pipe tables."""
    text = text.replace("``", "`")
    return "\n\n".join(
        _table(part) if part.startswith("=====") else part for part in text.split("\n\n")
    )


def _table(text: str) -> str:
    """A reStructuredText simple table without a heading as a Markdown one."""
    rule, *lines = text.split("\n")
    spans = [(match.start(), match.end()) for match in re.finditer("=+", rule)]
    rows = [[one[a:b].strip() for a, b in spans] for one in lines if not one.startswith("===")]
    head = ["| memory | rows | holds |", "|---|---|---|"]
    return "\n".join(head + [f"| {' | '.join(row)} |" for row in rows])
