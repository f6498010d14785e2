"""A Relay function as values: what ``parser`` makes of the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt

from zeroskip.relay_passes.relay.types import TensorType, Type

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Variable:
    """A parameter or a bound value.

    name: without its ``%``.
    """

    name: str


@dataclass(frozen=True, eq=False)
class Literal:
    """A scalar that stands in the text.

    value: of rank 0, in its Relay type.
    """

    value: Array


@dataclass(frozen=True)
class MetaConstant:
    """A constant of the metadata section: ``meta[relay.Constant][3]``.

    index: its position there.
    line: where it is used.
    """

    index: int
    line: int


@dataclass(frozen=True)
class TupleOf:
    """``(%1, %2)``.

    fields: in order.
    """

    fields: tuple[Expr, ...]


@dataclass(frozen=True)
class Item:
    """``%3.0``: a field of a tuple.

    whole: the tuple.
    index: the field's position.
    line: where it stands.
    """

    whole: Expr
    index: int
    line: int


@dataclass(frozen=True, eq=False)
class RelayCall:
    """An operator applied.

    op: its Relay name, such as ``nn.conv2d``.
    args: its operands in order.
    attrs: its attributes that are written, which are those unlike their defaults: numbers, texts,
    None, tuples of these, and ``MetaInteger``.
    line: where it stands.
    type: what the comment behind it says of its result, if there is one.
    """

    op: str
    args: tuple[Expr, ...]
    attrs: dict[str, Any]
    line: int
    type: Type | None


@dataclass(frozen=True)
class MetaInteger:
    """An attribute that stands in the metadata section: ``meta[runtime.BoxInt][0]``.

    index: its position there.
    line: where it is used.
    """

    index: int
    line: int


Expr: TypeAlias = Variable | Literal | MetaConstant | TupleOf | Item | RelayCall


@dataclass(frozen=True)
class Param:
    """A parameter of the function.

    name: without its ``%``.
    type: as declared.
    line: where it stands.
    """

    name: str
    type: TensorType
    line: int


@dataclass(frozen=True)
class Binding:
    """``%3 = nn.relu(%2);``.

    name: without its ``%``.
    value: what it is bound to.
    """

    name: str
    value: Expr


@dataclass(frozen=True)
class Function:
    """What a text computes.

    params: inputs and weights.
    bindings: in order; each reads only what stands before it.
    result: the value that the function returns.
    line: where the result stands.
    """

    params: tuple[Param, ...]
    bindings: tuple[Binding, ...]
    result: Expr
    line: int
