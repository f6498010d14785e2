"""MLIR text to operations through xDSL's parser (the extra ``mlir``), believing nothing.

xDSL checks syntax, types and SSA form of the generic form; the form of TOSA's operators that
``mlir-opt`` prints by default is parsed here: operands, attributes, types.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.validate import short_message

MAX_TEXT = 1 << 30  # characters
MAX_ELEMENTS = 1 << 27  # of all tensors in a text
MAX_SPLAT = 1 << 20  # of all that repeat one number: xDSL writes each out, one by one
_SHAPE = re.compile(r"<\s*((?:(?:\d+|\?)\s*x\s*)+)")
_SPLAT = re.compile(r"<\s*[-+\w.]+\s*>\s*:\s*\w+\s*<\s*((?:\d+\s*x\s*)+)")
_WIDE = re.compile(r"""(?:(?<![\w%@#!.$"])|(?<=[\d?]x))[su]?i(\d{5,})\b""")  # an integer type
_STRING = re.compile(  # a comment, a string as xDSL takes it, or where none could be read
    r"""//[^\n]*|"(?:[^"\\\n\v\f]++|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*+"|["]"""
)
_ALIAS = re.compile(r"^#(loc\d*) = loc\((.*)\)$", re.MULTILINE)
_NAMED = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\(|$)')  # the name of a location; a file's has a colon
_INSTALL = "pip install 'zeroskip[mlir]'"
_PRETTY = "tosa."  # operators of this dialect are read in their own form too


@dataclass(frozen=True)
class Place:
    """Where an operation stands. offset: in characters. result: its first, ``%4``, or "". name:
    that of its location, or ""."""

    offset: int
    result: str
    name: str


def parse_module(
    text: str, where: str, error: type[ZeroskipError]
) -> tuple[Any, dict[Any, Place], dict[str, str]]:
    """xDSL's module, the place of each operation in the text, and the text's resources, in hex.

    where: names the text in errors. error: the class to raise for text that MLIR does not take.
    """
    try:
        from xdsl.context import Context
        from xdsl.dialects.builtin import Builtin
        from xdsl.dialects.func import Func
        from xdsl.utils.exceptions import ParseError
    except ImportError as problem:
        raise error(f"{where}: reading MLIR needs xDSL ({problem}): {_INSTALL}") from None
    _check_strings(text, where, error)
    _check_sizes(text, where, error)
    _check_widths(text, where, error)
    context = Context(allow_unregistered=True)
    context.load_dialect(Builtin)
    context.load_dialect(Func)
    parser = None
    try:
        names = {alias: _location_name(said) for alias, said in _ALIAS.findall(text)}
        # xDSL wants aliases before they are used, MLIR prints those of locations at the end.
        parser = _parser(context, _ALIAS.sub("", text), where, names)
        module = parser.parse_module()
        module.verify()
    except (Exception, RecursionError) as problem:  # a foreign parser: whatever it says
        at, said = (0 if parser is None else parser.pos), short_message(problem)
        if isinstance(problem, ParseError):
            at, said = problem.span.start, problem.msg
        read = _ALIAS.sub("", text)
        raise error(
            f"{where} line {read.count(chr(10), 0, at) + 1}: is not MLIR that can be read "
            f"({shown(said) or type(problem).__name__})"
        ) from None
    return module, parser.places, parser.resources


def shown(text: str) -> str:
    """A text of the file, short enough to stand within a sentence."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= 200 else f"{clean[:200]}..."


def operation_name(op: Any) -> str:
    """Of an operation, registered or not."""
    held = op.attributes.get("op_name__")
    return shown(op.name if held is None else held.data)


def _check_strings(text: str, where: str, error: type[ZeroskipError]) -> None:
    """Refuse a string without an end: xDSL's lexer takes exponential time over one."""
    for match in _STRING.finditer(text):
        if match[0] == '"':
            line = text.count("\n", 0, match.start()) + 1
            raise error(f"{where} line {line}: holds a string that has no end or odd escapes")


def _check_sizes(text: str, where: str, error: type[ZeroskipError]) -> None:
    """Refuse tensors that would not fit in memory before anything makes one."""
    total = 0
    if len(text) > MAX_TEXT:
        raise error(f"{where}: has {len(text)} characters, more than {MAX_TEXT}")
    for match in _SHAPE.finditer(text):
        sizes = [size.strip() for size in match[1].split("x")[:-1]]
        if any(len(size) > 10 for size in sizes):
            raise error(f"{where}: a tensor has an axis of {sizes[0][:20]}... elements")
        total += math.prod(int(size) for size in sizes if size != "?")
        if total > MAX_ELEMENTS:
            raise error(f"{where}: its tensors have more than {MAX_ELEMENTS} elements")
    splats = (match[1].split("x")[:-1] for match in _SPLAT.finditer(text))
    if sum(math.prod(int(size[:20]) for size in sizes) for sizes in splats) > MAX_SPLAT:
        raise error(
            f"{where}: its splats (dense<0>) have more than {MAX_SPLAT} elements: print the elements "
            "as hex"
        )


def _check_widths(text: str, where: str, error: type[ZeroskipError]) -> None:
    """Refuse an integer type of very many bits: xDSL makes a number of as many to check values."""
    for match in _WIDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        raise error(f"{where} line {line}: has an integer type of {match[1][:20]} bits")


def _location_name(said: str) -> str:
    """The name in what stands between the parentheses of a location, or ""."""
    found = _NAMED.match(said.strip())
    return found[1] if found else ""


def _parser(context: Any, text: str, where: str, names: Mapping[str, str]) -> Any:
    """A parser that remembers where operations begin, and reads TOSA's printed form."""
    from xdsl.dialects.builtin import UnregisteredOp
    from xdsl.parser import Parser

    class PlacingParser(Parser):  # type: ignore[misc]  # xDSL is imported when it is needed
        def __init__(self) -> None:
            super().__init__(context, text, where)
            self.places: dict[Any, Place] = {}
            self.resources: dict[str, str] = {}
            self._named = ""

        def parse_operation(self) -> Any:
            token = self._current_token.span
            self._named = ""
            op = super().parse_operation()
            result = token.text if token.text.startswith("%") else ""
            self.places[op] = Place(token.start, result, self._named)
            self._named = ""
            return op

        def _parse_dialect_resource_handle(self, _dialect: str, _interface: Any) -> str:
            """Its name; xDSL would keep resources for the whole process, under other names."""
            return str(self.parse_identifier(context_msg=" for resource handle"))

        def _parse_resource(self, dialect: str, interface: Any) -> None:
            name = self._parse_dialect_resource_handle(dialect, interface)
            self.parse_punctuation(":")
            self.resources[name] = self.parse_str_literal()

        def parse_optional_location(self) -> Any:
            """Kept is the name of a location; of the forms that MLIR has xDSL reads a few only."""
            if self.parse_optional_characters("loc") is None:
                return None
            begin, depth = self._current_token.span.end, 0
            while True:
                text = self._current_token.text
                depth += (text == "(") - (text == ")")
                if self._current_token.kind.name == "EOF" or (depth == 0 and text != ")"):
                    self.raise_error("location without its end")
                end = self._current_token.span.start
                self._consume_token()
                if depth == 0:
                    break
            said = self.lexer.input.content[begin:end].strip()
            self._named = names.get(said[1:], "") if said[:1] == "#" else _location_name(said)
            return None

        def _get_op_by_name(self, name: str) -> Any:
            kind = super()._get_op_by_name(name)
            if issubclass(kind, UnregisteredOp) and "parse" not in vars(kind):
                printed = _parse_printed if name.startswith(_PRETTY) else _refuse_printed
                kind.parse = classmethod(printed)
            return kind

    return PlacingParser()


def _refuse_printed(_kind: Any, parser: Any) -> Any:
    parser.raise_error(
        "an operator of another dialect than TOSA stands in its own form here: write the generic form, "
        "mlir-opt --mlir-print-op-generic"
    )


def _parse_printed(kind: Any, parser: Any) -> Any:
    """``%x, %y {name = value} : (types) -> types``, what follows an operator's name."""
    operands = (
        parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        or []
    )
    attributes: dict[str, Any] = {}
    if parser.parse_optional_punctuation("{") is not None:
        while parser.parse_optional_punctuation("}") is None:
            name = parser.parse_optional_identifier() or parser.parse_str_literal()
            attributes[name] = _value(parser)
            if parser.parse_optional_punctuation(",") is None:
                parser.parse_punctuation("}")
                break
    parser.parse_punctuation(":")
    kinds = parser.parse_function_type()
    resolved = parser.resolve_operands(operands, kinds.inputs.data, parser.pos)
    return kind.create(operands=resolved, result_types=kinds.outputs.data, attributes=attributes)


def _value(parser: Any) -> Any:
    """The value of an attribute, or ``unit``; a bare word, as enumerations print, is a string."""
    from xdsl.dialects.builtin import StringAttr, UnitAttr

    if parser.parse_optional_punctuation("=") is None:
        return UnitAttr()
    found = parser.parse_optional_attribute()
    return StringAttr(parser.parse_identifier()) if found is None else found
