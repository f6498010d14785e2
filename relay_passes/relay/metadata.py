"""The ``#[metadata]`` section: constants that are no scalars, in the JSON of TVM's ``SaveJSON``.

A table of nodes that name each other by position: the root is a map from a kind, such as
``relay.Constant``, to a list; a constant names a position in ``b64ndarrays``.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, TypeGuard

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.relay.ndarray import read_array
from zeroskip.relay_passes.relay.syntax import Array

_CONSTANT = "relay.Constant"
_INTEGERS = ("runtime.BoxInt", "IntImm")
_HINT = "print the module with astext(show_meta_data=True) and copy the text whole"


@dataclass(frozen=True)
class Metadata:
    """What the section holds of what a network refers to.

    constants: by position, of ``relay.Constant``.
    integers: by position, of ``runtime.BoxInt``.
    """

    constants: tuple[Array, ...] = ()
    integers: tuple[int, ...] = ()


def read_metadata(text: str) -> Metadata:
    """The section's constants. FrontError for what is not such a section, or has not what the
    section itself refers to."""
    if not text.strip():
        return Metadata()
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"is not JSON ({type(error).__name__})") from error
    if not isinstance(table, dict):
        raise _refusal("is not a table")
    nodes, arrays = table.get("nodes"), table.get("b64ndarrays", [])
    if not isinstance(nodes, list) or not isinstance(arrays, list):
        raise _refusal("has no lists 'nodes' and 'b64ndarrays'")
    root = _node(nodes, table.get("root"), "Map")
    kinds, members = root.get("keys"), root.get("data")
    if not isinstance(kinds, list) or not isinstance(members, list) or len(kinds) != len(members):
        raise _refusal("has a root without as many keys as data")
    constants: list[Array] = []
    integers: list[int] = []
    for kind, member in zip(kinds, members, strict=True):
        if kind == _CONSTANT:
            constants = [_constant(nodes, item, arrays) for item in _items(nodes, member)]
        elif kind in _INTEGERS:
            integers = [_integer(nodes, item) for item in _items(nodes, member)]
    return Metadata(tuple(constants), tuple(integers))


def _refusal(what: str) -> FrontError:
    return FrontError(f"The metadata section of the Relay text {what}: {_HINT}.")


def _node(nodes: list[Any], index: object, kind: str) -> dict[str, Any]:
    """The node of this kind at a position."""
    node = nodes[index] if _is_index(index, nodes) else None
    if not isinstance(node, dict) or node.get("type_key") != kind:
        raise _refusal(f"has no '{kind}' at node {str(index)[:20]}")
    return node


def _is_index(index: object, items: list[Any]) -> TypeGuard[int]:
    return isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(items)


def _items(nodes: list[Any], index: object) -> list[Any]:
    data = _node(nodes, index, "Array").get("data")
    if not isinstance(data, list):
        raise _refusal(f"has an 'Array' without data at node {str(index)[:20]}")
    return data


def _constant(nodes: list[Any], index: object, arrays: list[Any]) -> Array:
    attrs = _node(nodes, index, _CONSTANT).get("attrs")
    place = _decimal(attrs.get("data") if isinstance(attrs, dict) else None)
    if not _is_index(place, arrays) or not isinstance(arrays[place], str):
        raise _refusal(f"has no array for the constant at node {str(index)[:20]}")
    try:
        data = base64.b64decode(arrays[place], validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refusal(f"has an array {place} that is not base64") from error
    return read_array(data, f"The bytes of array {place} in the Relay text's metadata")


def _integer(nodes: list[Any], index: object) -> int:
    node = nodes[index] if _is_index(index, nodes) else None
    if not isinstance(node, dict) or node.get("type_key") not in _INTEGERS:
        raise _refusal(f"has no integer at node {str(index)[:20]}")
    attrs = node.get("attrs")
    text = node.get("repr_str", attrs.get("value") if isinstance(attrs, dict) else None)
    sign = -1 if isinstance(text, str) and text.startswith("-") else 1
    return sign * _decimal(text.removeprefix("-") if isinstance(text, str) else None)


def _decimal(text: object) -> int:
    if not isinstance(text, str) or not text.isdecimal() or len(text) > 18:
        raise _refusal(f"has {str(text)[:20]!r} where a number should be")
    return int(text)
