"""Keys of a hardware description, such as ``sram.act_bytes``, and the values an experiment gives
them.

What a key may hold is declared once, by the fields of ``accel_model.spec`` and of each kind's
geometry; it is asked there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import count, takewhile
from typing import Any, TypeAlias

from zeroskip.accel_model.io.declared import SpecError, values_of
from zeroskip.accel_model.plugins import UnknownKind, kind_named
from zeroskip.accel_model.spec import (
    AccelSpec,
    Dram,
    DramTiming,
    Sram,
    Storage,
    Technology,
    load_spec,
    spec_from_table,
    targets,
)
from zeroskip.relay_passes.pruning.base.options import brief, nearest
from zeroskip.runtime.experiments.errors import ExperimentError

Value: TypeAlias = int | float | str
Settings: TypeAlias = Mapping[str, Value]

KIND = "array.kind"
MOST = 10_000  # values of one key
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})")


def read_value(text: str) -> Value:
    """``64KiB`` is 65536, ``0.5`` a number, all else a text."""
    size = _SIZE.fullmatch(text.strip())
    if size is not None:
        bytes_ = float(size[1]) * _UNITS[size[2]]
        return int(bytes_) if bytes_.is_integer() else bytes_
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text.strip()


def read_values(given: Any, where: str) -> tuple[Value, ...]:
    """The values of a key: a text with commas between them, one value, a list, or a range, which is
    ``{from, to, step}`` or, each so many times the one before, ``{from, to, times}``.

    ExperimentError for no value, the same twice, and a range that never ends.
    """
    if isinstance(given, str):
        given = given.split(",")
    if isinstance(given, Mapping):
        values = _range(given, where)
    elif isinstance(given, Sequence):
        values = tuple(_value(each, where) for each in given if each != "")
    else:
        values = (_value(given, where),)
    if not values:
        raise ExperimentError(f"{where} has no value; give one at least, such as 64KiB,128KiB")
    twice = next((each for each in values if values.count(each) > 1), None)
    if twice is not None:
        raise ExperimentError(f"{where} has {twice!r} twice; give it once")
    return values


def _value(given: Any, where: str) -> Value:
    if isinstance(given, str):
        return read_value(given)
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ExperimentError(f"{where} cannot be {brief(repr(given))}; give numbers or texts")
    return given


def _range(given: Mapping[str, Any], where: str) -> tuple[Value, ...]:
    how = "step" if "step" in given else "times"
    if given.keys() != {"from", "to", how}:
        raise ExperimentError(
            f"{where} is no range; give from, to and step, or from, to and times, as in "
            '{from = "64KiB", to = "512KiB", times = 2}'
        )
    low, high, by = (_value(given[key], where) for key in ("from", "to", how))
    if isinstance(low, str) or isinstance(high, str) or isinstance(by, str):
        raise ExperimentError(f"{where}: from, to and {how} of a range are numbers")
    if low > high or by <= (0 if how == "step" else 1) or (how == "times" and low <= 0):
        raise ExperimentError(
            f"{where} is an empty range; let from be at most to, and "
            + ("step above 0" if how == "step" else "times above 1 and from above 0")
        )
    every = (low + n * by if how == "step" else low * by**n for n in count())
    values = []
    for value in takewhile(lambda each: each <= high, every):
        values.append(value)
        if len(values) > MOST:
            raise ExperimentError(
                f"{where} is a range of more than {MOST:,} values; take larger steps"
            )
    return tuple(values)


def check_settings(base: AccelSpec, axes: Mapping[str, Sequence[Value]]) -> None:
    """SpecError or ExperimentError unless each key is one of a hardware description, of every kind
    of array among the axes, and takes each of its values by itself.

    What goes together is asked of each point: a pair that does not is that point's failure.
    """
    kinds = [str(each) for each in axes.get(KIND, (base.array.kind,))]
    axes = {key: values for key, values in axes.items() if key != KIND}
    for kind in kinds:
        own = with_settings(base.table, {KIND: kind})
        for key in axes:
            _check_key(key, kind, own)
        table = with_settings(own, {key: values[0] for key, values in axes.items()})
        for key, values in axes.items():
            for value in values:
                _check_value(key, with_settings(table, {key: value}), base.name)


def _check_key(key: str, kind: str, table: Mapping[str, Any]) -> None:
    known = _keys(kind)
    if key not in known:
        raise ExperimentError(
            f"'{brief(key)}' is no key of hardware with an array of kind '{kind}'; "
            f"{nearest(key, known)}"
        )
    section = key.split(".")[0]
    if "." in key and table.get(section) is None and section != "storage":
        raise ExperimentError(
            f"'{key}' cannot be set: the target has no section [{section}]; take one that has"
        )


def _check_value(key: str, table: Mapping[str, Any], target: str) -> None:
    section = key.split(".")[0]
    where = f"setting of {target}"
    if "." not in key:
        skip = {each.name for each in fields(AccelSpec)} - {key}
        values_of(AccelSpec, {key: table[key]}, where, "", skip=skip)
    else:
        cls = _sections(table["array"]["kind"])[section]
        values_of(cls, table[section], where, f"{section}.")


@cache
def _sections(kind: str) -> dict[str, type]:
    try:
        named = kind_named(kind)
    except UnknownKind as problem:
        raise SpecError(f"{KIND}: {problem}") from None
    return {
        "dram": Dram,
        "sram": Sram,
        "array": named.Geometry,
        "storage": Storage,
        "technology": Technology,
        "energy": named.Energy,
    }


@cache
def _keys(kind: str) -> tuple[str, ...]:
    """Every key that can be set of hardware with an array of this kind."""
    found = ["clock_mhz", KIND]
    for section, cls in _sections(kind).items():
        found += [f"{section}.{each.name}" for each in fields(cls) if "read" not in each.metadata]
    found += ["dram.timing.kind", *(f"dram.timing.{each.name}" for each in fields(DramTiming))]
    return tuple(dict.fromkeys(found))


def with_settings(table: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """A hardware description (``AccelSpec.table``) with other values.

    Another ``array.kind`` brings the [array] section of the built-in target of that kind, of as
    many multipliers if there is one.
    """
    made = {
        key: dict(section) if isinstance(section, Mapping) else section
        for key, section in table.items()
    }
    kind = settings.get(KIND)
    if kind is not None and kind != made["array"]["kind"]:
        like = spec_from_table(dict(table), str(table["name"]))
        made["array"] = _array_of(str(kind), like.array.macs, like.name)
    for key, value in settings.items():
        if key != KIND:
            *path, name = key.split(".")
            place = made
            for step in path:
                place[step] = dict(place.get(step) or {})
                place = place[step]
            place[name] = value
    return made


@cache
def _array_of(kind: str, macs: int, target: str) -> dict[str, Any]:
    """The [array] section of the built-in target of a kind, of so many multipliers if there is one.
    target: the name of what it is put into."""
    _sections(kind)  # refuses an unknown one
    found = [spec for name in targets() if (spec := load_spec(name)).array.kind == kind]
    if not found:
        raise ExperimentError(
            f"{KIND} = '{brief(kind)}' cannot be put into '{target}': no built-in target has such an "
            "array; give a TOML file of one as a target of its own"
        )
    section: dict[str, Any] = min(found, key=lambda spec: spec.array.macs != macs).table["array"]
    return section


def settings_text(settings: Iterable[tuple[str, Value]]) -> str:
    """``sram.act_bytes=65536, array.kind=bitmap``."""
    return ", ".join(f"{key}={value}" for key, value in settings)
