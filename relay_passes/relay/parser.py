"""Relay's text to a ``Function``, by recursive descent.

The grammar is that of TVM's documentation ("Relay Text Format") as far as a network needs it: one
function of tensors, without ``let``, ``if``, ``match`` and functions inside.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.relay.lexer import Token, tokens_of
from zeroskip.relay_passes.relay.syntax import (
    Binding,
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
from zeroskip.relay_passes.relay.types import DTYPES, TensorType, Type, check_shape, refusal

_DEEPEST = 64  # parentheses within each other
_DIGITS = 40  # of a number
_NUMBER = re.compile(r"(?P<value>-?(?:inf|nan|[\d.]+(?:[eE][+-]?\d+)?))(?P<suffix>[fiu]\d*)?")
_SUFFIXES = {"f": "float", "i": "int", "u": "uint"}
_WORDS: dict[str, Any] = {"True": True, "False": False, "None": None}
_FUNCTIONAL = {
    "let": "run relay.transform.ToGraphNormalForm() on the module",
    "if": "only straight networks are taken; export the branch that is used",
    "match": "only straight networks are taken; evaluate it before",
    "fn": "run no FuseOps and no partitioning, or DefuseOps and Inline, on the module",
    "free_var": "make a function of it: relay.Function(relay.analysis.free_vars(e), e)",
    "ref": "only values without state are taken",
}


def parse_function(source: str) -> tuple[Function, str]:
    """The function ``@main``, or the only one, and the text of the metadata section, if any.

    FrontError, with the line, for what is not Relay's text or is more than a network.
    """
    return _Parser(tokens_of(source)).module()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._bound: dict[str, int] = {}  # variable -> the line that binds it
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._next += 1
        return token

    def _accept(self, *texts: str) -> bool:
        """Take the next token if it is one of these marks or words."""
        if self._token.kind in ("mark", "word") and self._token.text in texts:
            self._next += 1
            return True
        return False

    def _expect(self, kind: str, text: str = "") -> Token:
        token = self._token
        if token.kind != kind or (text and token.text != text):
            raise self._unexpected(repr(text) if text else f"a {kind}")
        return self._take()

    def _unexpected(self, wanted: str) -> FrontError:
        token = self._token
        if token.kind == "word" and token.text in _FUNCTIONAL:
            return refusal(
                token.line, f"'{token.text}' is no part of a network: {_FUNCTIONAL[token.text]}"
            )
        shown = token.text if token.kind == "end" else repr(token.text[:40])
        return refusal(token.line, f"{shown} stands where {wanted} should: print the module again")

    # Modules

    def module(self) -> tuple[Function, str]:
        """The whole text."""
        if self._token.kind == "version":
            self._take()
        functions: dict[str, Function] = {}
        while self._token.kind == "word" and self._token.text in ("def", "fn"):
            name = "main"
            line = self._token.line
            if self._take().text == "def":
                name = self._expect("function").text[1:]
            if name in functions:
                raise refusal(line, f"there is a function '@{name}' already: keep one")
            functions[name] = self._function()
        metadata = self._take().text if self._token.kind == "metadata" else ""
        if self._token.kind != "end":
            raise self._unexpected("'def @main'")
        if not functions:
            raise refusal(1, "there is no function: print the whole module with astext()")
        main = functions.get("main") or next(iter(functions.values()))
        if "main" not in functions and len(functions) > 1:
            names = ", ".join(f"@{name}"[:40] for name in list(functions)[:3])
            raise refusal(1, f"of {names} none is @main: call the one to compile so")
        return main, metadata

    def _function(self) -> Function:
        self._bound = {}
        if self._token.text == "[":
            raise refusal(self._token.line, "type parameters are not taken: make types definite")
        self._expect("mark", "(")
        params: list[Param] = []
        while not self._accept(")"):
            token = self._token
            if token.kind == "word":  # an attribute of the function, such as Primitive=1
                self._attribute({})
            else:
                self._expect("variable")
                self._expect("mark", ":")
                params.append(Param(token.text[1:], self._tensor_type(token.text), token.line))
                self._bind(token.text[1:], token.line)
                self._type_comment()
            if not self._accept(","):
                self._expect("mark", ")")
                break
        if self._accept("->"):
            self._type()
        self._expect("mark", "{")
        bindings: list[Binding] = []
        while self._token.kind == "variable" and self._tokens[self._next + 1].text == "=":
            token = self._take()
            self._take()
            bindings.append(Binding(token.text[1:], self._expr()))
            self._bind(token.text[1:], token.line)
            self._expect("mark", ";")
        line = self._token.line
        result = self._expr()
        self._expect("mark", "}")
        self._type_comment()
        return Function(tuple(params), tuple(bindings), result, line)

    def _bind(self, name: str, line: int) -> None:
        if name in self._bound:
            raise refusal(
                line,
                f"'%{name[:60]}' is bound in line {self._bound[name]} already: rename one of them",
            )
        self._bound[name] = line

    # Expressions

    def _expr(self) -> Expr:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise refusal(
                self._token.line,
                f"expressions are nested deeper than {_DEEPEST}: bind the inner ones to names",
            )
        value = self._simple()
        self._depth -= 1
        self._type_comment()
        return value

    def _simple(self) -> Expr:
        token = self._token
        if token.kind == "variable":
            return self._variable()
        if token.kind == "number":
            return Literal(_array(self._take()))
        if token.kind == "word" and token.text not in _FUNCTIONAL:
            if token.text in ("True", "False"):
                return Literal(np.array(_WORDS[self._take().text]))
            if token.text == "meta":
                return MetaConstant(self._meta("relay.Constant"), token.line)
            return self._call()
        if token.text == "(" and token.kind == "mark":
            return self._tuple()
        if token.kind == "function":
            raise refusal(
                token.line,
                f"'{token.text[:60]}' is another function: run relay.transform.Inline() before",
            )
        raise self._unexpected("an expression")

    def _variable(self) -> Expr:
        token = self._take()
        name = token.text[1:]
        if self._token.text == "(" and self._token.kind == "mark":
            raise refusal(
                token.line, f"'%{name[:60]}' is called as a function: {_FUNCTIONAL['fn']}"
            )
        if name in self._bound:
            return Variable(name)
        whole, _, index = name.rpartition(".")
        if whole in self._bound and index.isdecimal() and len(index) < 6:
            return Item(Variable(whole), int(index), token.line)
        raise refusal(token.line, f"nothing binds '%{name[:60]}' before: print the module again")

    def _tuple(self) -> Expr:
        self._expect("mark", "(")
        fields: list[Expr] = []
        comma = False
        while not self._accept(")"):
            fields.append(self._expr())
            comma = self._accept(",")
            if not comma:
                self._expect("mark", ")")
                break
        return fields[0] if len(fields) == 1 and not comma else TupleOf(tuple(fields))

    def _call(self) -> RelayCall:
        token = self._take()
        self._expect("mark", "(")
        args: list[Expr] = []
        attrs: dict[str, Any] = {}
        while not self._accept(")"):
            if self._token.kind == "word" and self._tokens[self._next + 1].text == "=":
                self._attribute(attrs)
            else:
                args.append(self._expr())
            if not self._accept(","):
                self._expect("mark", ")")
                break
        return RelayCall(token.text, tuple(args), attrs, token.line, self._type_comment())

    # Attributes and numbers

    def _attribute(self, attrs: dict[str, Any]) -> None:
        """``name=value`` into the attributes of a call."""
        token = self._expect("word")
        if token.text in attrs:
            raise refusal(token.line, f"'{token.text[:60]}' is given twice: print the module again")
        self._expect("mark", "=")
        attrs[token.text] = self._value()

    def _value(self, depth: int = 0) -> Any:
        token = self._token
        if token.kind == "number":
            return _array(self._take()).item()
        if token.kind == "text":
            return self._take().text[1:-1]
        if token.kind == "word" and token.text in _WORDS:
            return _WORDS[self._take().text]
        if token.kind == "word" and token.text == "meta":
            return MetaInteger(self._meta("runtime.BoxInt"), token.line)
        if token.kind != "mark" or token.text != "[" or depth > 4:
            raise self._unexpected("the value of an attribute")
        self._take()
        values: list[Any] = []
        while not self._accept("]"):
            values.append(self._value(depth + 1))
            if not self._accept(","):
                self._expect("mark", "]")
                break
        return tuple(values)

    def _meta(self, kind: str) -> int:
        """``meta[relay.Constant][3]``, which is of this kind: its position."""
        line = self._take().line
        self._expect("mark", "[")
        name = self._expect("word").text
        self._expect("mark", "]")
        self._expect("mark", "[")
        index = self._size()
        self._expect("mark", "]")
        if name != kind:
            raise refusal(line, f"a '{name[:60]}' of the metadata is none of a network: remove it")
        return index

    def _size(self) -> int:
        token = self._expect("number")
        size = token.text.removesuffix("i64")  # as sizes are printed that were computed
        if not (size.isascii() and size.isdecimal()) or len(size) > _DIGITS:
            raise refusal(token.line, f"'{token.text[:40]}' is no size: print the module again")
        return int(size)

    # Types

    def _type_comment(self) -> Type | None:
        """What a comment behind an expression says of its type; None without, or of no tensors."""
        if self._token.kind != "type":
            return None
        token = self._take()
        if self._token.kind == "type":
            return self._type_comment()
        try:
            written = token.text.partition(" span=")[0]
            return _Parser(tokens_of(written, token.line))._type()
        except FrontError:
            return None

    def _type(self, depth: int = 0) -> Type:
        if self._token.text != "(" or depth > 4:
            return self._tensor_type("a value")
        self._take()
        fields: list[Type] = []
        while not self._accept(")"):
            fields.append(self._type(depth + 1))
            if not self._accept(","):
                self._expect("mark", ")")
                break
        return tuple(fields)

    def _tensor_type(self, whose: str) -> TensorType:
        token = self._token
        if not (token.kind == "word" and self._accept("Tensor")):
            return TensorType((), self._dtype())
        self._expect("mark", "[")
        self._expect("mark", "(")
        shape: list[int] = []
        while not self._accept(")"):
            if self._accept("?"):
                raise refusal(
                    token.line,
                    f"{whose[:60]} has a dimension that is open ('?'): give every input a shape "
                    "in from_onnx, or run relay.transform.DynamicToStatic()",
                )
            shape.append(self._size())
            if not self._accept(","):
                self._expect("mark", ")")
                break
        self._expect("mark", ",")
        dtype = self._dtype()
        self._expect("mark", "]")
        check_shape(token.line, tuple(shape))
        return TensorType(tuple(shape), dtype)

    def _dtype(self) -> str:
        token = self._expect("word")
        if token.text not in DTYPES:
            raise refusal(
                token.line,
                f"'{token.text[:40]}' is no type that ONNX has: use floats or integers of 8 to 64 "
                "bits",
            )
        return token.text


def _array(token: Token) -> Any:
    """A number of the text as an array of rank 0: ``1f`` is float32, ``1`` int32, ``2i64`` int64.

    Without a suffix a number with a point or an exponent is float32, as an attribute's may be.
    """
    match = _NUMBER.fullmatch(token.text)
    if match is None or len(token.text) > _DIGITS:
        raise refusal(token.line, f"'{token.text[:40]}' is no number: print the module again")
    value, suffix = match["value"], match["suffix"]
    integer = value.lstrip("-").isdecimal()
    kind = suffix or ("i" if integer else "f")
    name = _SUFFIXES[kind[0]] + (kind[1:] or "32")
    try:
        if not kind.startswith("f"):
            return np.array(int(value), DTYPES[name])
        with np.errstate(over="ignore"):
            return np.array(float(value)).astype(DTYPES[name])
    except (KeyError, ValueError, OverflowError):
        raise refusal(
            token.line, f"'{token.text}' is no number of its type: print the module again"
        ) from None
