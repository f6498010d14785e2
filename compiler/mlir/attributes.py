"""MLIR's attributes as text: strings, symbols, tables of text and numbers, arrays of bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_$.]*")


def string(text: str) -> str:
    """A string literal: what is not printable ASCII as the hex of its UTF-8 bytes."""
    return f'"{"".join(_character(byte) for byte in text.encode("utf-8", "surrogatepass"))}"'


def _character(byte: int) -> str:
    if 0x20 <= byte < 0x7F and byte not in b'"\\':
        return chr(byte)
    return f"\\{byte:02X}"


def symbol(name: str) -> str:
    """``@name``, quoted unless it is an identifier."""
    return f"@{name if _BARE.fullmatch(name) else string(name)}"


def attribute(value: Any) -> str:
    """A table, a list, a text, a number or a truth value; whole numbers are i64, others f64."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return string(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{string(k)} = {attribute(v)}' for k, v in value.items())}}}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(attribute, value))}]"
    raise TypeError(f"{type(value).__name__} has no form as an attribute")


def _number(value: float) -> str:
    """A finite float64, which reads back exactly; MLIR wants a point and a digit on its left."""
    mantissa, exponent, power = repr(value).partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{exponent}{power}"


def dense(array: npt.NDArray[Any], element: str | None = None) -> str:
    """Elements as one hex literal and their type, ``dense<"0x0102"> : tensor<2xui8>``.

    element: the element type, signless by default: that of ``element_type``.
    """
    kind = tensor(array.shape, element or element_type(array.dtype))
    if not array.size:
        return f"dense<> : {kind}"
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return f'dense<"0x{little.tobytes().hex().upper()}"> : {kind}'


def element_type(dtype: np.dtype[Any]) -> str:
    """``i8``: the signless type of so many bits."""
    return f"i{8 * dtype.itemsize}"


def tensor(shape: Sequence[int], element: str) -> str:
    """``tensor<1x3xi8>``."""
    return f"tensor<{''.join(f'{size}x' for size in shape)}{element}>"
