"""Kinds of arrays by name: those that come with zeroskip, and those of installed packages.

A package adds a kind by an entry point of the group ``zeroskip.arrays`` that names a ``Kind``
object. A hardware description or a file only ever names a kind; code that is not installed is
never loaded.
"""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from zeroskip.accel_model.errors import ZeroskipError

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.base import Kind

GROUP = "zeroskip.arrays"
BUILT_IN = {  # name -> module and object
    "dense": "zeroskip.accel_model.arrays.lanes:DENSE_LANES",
    "bitmap": "zeroskip.accel_model.arrays.lanes:BITMAP_LANES",
    "pattern": "zeroskip.accel_model.arrays.lanes:PATTERN_LANES",
    "systolic": "zeroskip.accel_model.arrays.systolic:SYSTOLIC",
    "diannao": "zeroskip.accel_model.arrays.diannao:DIANNAO",
    "cambricon_x": "zeroskip.accel_model.arrays.cambricon_x:CAMBRICON_X",
    "kang": "zeroskip.accel_model.arrays.kang:KANG",
    "scnn": "zeroskip.accel_model.arrays.scnn:SCNN",
    "sparse_a": "zeroskip.accel_model.arrays.scnn:SPARSE_A",
    "sparse_w": "zeroskip.accel_model.arrays.scnn:SPARSE_W",
    "dcnn": "zeroskip.accel_model.arrays.dcnn:DCNN",
    "eyeriss_v2": "zeroskip.accel_model.arrays.eyeriss_v2:EYERISS_V2",
    "sparten": "zeroskip.accel_model.arrays.sparten:SPARTEN",
    "sparten_w": "zeroskip.accel_model.arrays.sparten:SPARTEN_W",
    "sparten_a": "zeroskip.accel_model.arrays.sparten:SPARTEN_A",
    "sparten_dense": "zeroskip.accel_model.arrays.sparten:SPARTEN_DENSE",
    "zhu": "zeroskip.accel_model.arrays.zhu:ZHU",
    "abm": "zeroskip.accel_model.arrays.abm:ABM",
}


class UnknownKind(ZeroskipError):  # noqa: N818 - a refusal, named for what is unknown
    """A kind of array that is not installed, or a plug-in that cannot be loaded."""


@dataclass(frozen=True)
class Origin:
    """Where the code of a kind comes from.

    distribution: of the package that brings it. version: its version. digest: SHA-256 of the
    source of the module.
    """

    distribution: str
    version: str
    digest: str


@cache
def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def kinds() -> list[str]:
    """Names of all kinds that are installed, those of zeroskip first."""
    return [*BUILT_IN, *sorted(set(_plugins()) - set(BUILT_IN))]


@cache
def kind_named(name: str) -> Kind[Any]:
    """The kind of array; UnknownKind if there is none of that name."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found: Kind[Any] = getattr(import_module(module), attribute)
        return found
    point = _plugins().get(name)
    if point is None:
        raise UnknownKind(
            f"array kind {name[:50]!r} is not one of {', '.join(kinds())}; install the package "
            f"that brings it (its entry point is in the group {GROUP})"
        )
    try:
        found = point.load()
    except Exception as problem:
        package = point.dist.name if point.dist else point.value
        raise UnknownKind(
            f"array kind {name!r} of package {package} cannot be loaded: {problem}"
        ) from problem
    return _checked(found, name, point)


def _checked(found: Kind[Any], name: str, point: EntryPoint) -> Kind[Any]:
    if getattr(found, "name", None) != name or not callable(getattr(found, "conv", None)):
        raise UnknownKind(f"entry point {point.value} is not a kind of array named {name!r}")
    return found


@cache
def origin_of(name: str) -> Origin | None:
    """Where a plug-in's code comes from; None for the kinds of zeroskip itself."""
    if name in BUILT_IN:
        return None
    kind = kind_named(name)
    point = _plugins()[name]
    source = inspect.getsource(inspect.getmodule(type(kind)) or type(kind))
    distribution = point.dist
    return Origin(
        distribution.name if distribution else point.value,
        distribution.version if distribution else "",
        hashlib.sha256(source.encode()).hexdigest(),
    )


def require(name: object, origin: object) -> None:
    """UnknownKind, naming the package, if a file needs a kind that is not installed.

    origin: what the file says of it, ``Origin`` as a table, or None.
    """
    if not isinstance(name, str) or name in kinds():
        return
    package = origin.get("distribution") if isinstance(origin, dict) else None
    if isinstance(package, str) and package.isprintable() and len(package) <= 100:
        raise UnknownKind(
            f"needs the array kind {name[:50]!r} of the package {package}, which is not "
            "installed; install it, or compile the network for another target"
        )
    kind_named(name)
