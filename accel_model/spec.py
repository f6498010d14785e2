"""The hardware description: a frozen value read from TOML, every number checked."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Set
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.atomic_write import refuse_irregular

ARRAY_KINDS = ("dense", "bitmap", "pattern")
ACT_ROW_BYTES = 16
ACC_ROW_BYTES = 64
PAR_ROW_BYTES = 16
WGT_WORD_BYTES = 4
LONGEST_TEXT = 200  # characters of a name or summary


class SpecError(ZeroskipError):
    """A hardware description that cannot be used; says which key and what it should hold."""


def number(doc: str, low: float = 1, high: float = 1 << 40, *, power_of_two: bool = False) -> Any:
    """A numeric key, its meaning with unit, and the range it must lie in."""
    return field(metadata={"doc": doc, "low": low, "high": high, "pow2": power_of_two})


@dataclass(frozen=True)
class Dram:
    """The memory behind one bus that the load and the store unit share."""

    bytes_per_cycle: int = number("bus width, bytes per cycle", 1, 1024, power_of_two=True)
    burst_bytes: int = number(
        "bytes of a burst; a run pays whole aligned bursts", 1, 4096, power_of_two=True
    )
    latency_cycles: int = number("cycles from the end of a transfer to its completion", 0, 10_000)


@dataclass(frozen=True)
class Sram:
    """On-chip memories, bytes (row sizes: isa.py)."""

    act_bytes: int = number("activation tiles", 256, 1 << 20)
    act_banks: int = number(
        "banks of ACT; row r is in bank r mod act_banks", 1, 64, power_of_two=True
    )
    wgt_bytes: int = number("packed weights, split evenly over the lanes", 256, 1 << 24)
    acc_bytes: int = number("partial sums", 64, 1 << 20)
    par_bytes: int = number("requantization parameters and pattern tables", 160, 1 << 18)
    staging_bytes: int = number("finished outputs waiting to be written, two halves", 256, 1 << 18)


@dataclass(frozen=True)
class Array:
    """The multiply-accumulate lanes."""

    kind: str
    lanes: int = number(
        "filters in flight at gang 0, each with its own weight bank; or the 16 channels of a block",
        16,
        256,
        power_of_two=True,
    )
    pixels: int = number("output pixels of a lane: multipliers per lane", 1, 64, power_of_two=True)
    max_gang: int = number("log2 of the most lanes that may share a filter", 0, 7)
    window_entries: int = number(
        "activation entries (one per weight position) that a lane's "
        "private window holds; a dense array has one for all lanes",
        32,
        1 << 16,
    )
    drain_width: int = number("outputs requantized per cycle", 1, 256, power_of_two=True)
    pipeline_cycles: int = number(
        "cycles from the last multiply to the last row written, beyond the drain itself", 0, 1000
    )

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle at full use."""
        return self.lanes * self.pixels


@dataclass(frozen=True)
class Energy:
    """Picojoules per event."""

    mac: float = number("an 8x9-bit multiply and 32-bit add", 0)
    window_byte: float = number("a byte read from or written to a lane's window", 0)
    act_row: float = number("a 16-byte ACT row read or written", 0)
    wgt_word: float = number("a 4-byte WGT word read or written", 0)
    acc_row: float = number("a 64-byte ACC row read or written", 0)
    requantise: float = number("a requantized output", 0)
    dram_byte: float = number("a byte on the DRAM bus", 0)


@dataclass(frozen=True, kw_only=True)
class AccelSpec:
    """A whole accelerator."""

    name: str
    summary: str
    clock_mhz: float = number("clock, MHz", 1, 10_000)
    dram: Dram
    sram: Sram
    array: Array
    energy: Energy

    @property
    def act_rows(self) -> int:
        return self.sram.act_bytes // ACT_ROW_BYTES

    @property
    def wgt_rows(self) -> int:
        """Rows of one lane's weight bank."""
        return self.sram.wgt_bytes // (WGT_WORD_BYTES * self.array.lanes)

    @property
    def acc_rows(self) -> int:
        return self.sram.acc_bytes // ACC_ROW_BYTES

    @property
    def par_rows(self) -> int:
        return self.sram.par_bytes // PAR_ROW_BYTES

    @property
    def window_bytes(self) -> int:
        """Bytes of the private windows: one for each lane, or one for all in a dense array."""
        copies = 1 if self.array.kind == "dense" else self.array.lanes
        return copies * self.array.pixels * self.array.window_entries

    @property
    def sram_bytes(self) -> int:
        """Everything on chip that is a memory, bytes."""
        own = self.sram
        return (
            own.act_bytes
            + own.wgt_bytes
            + own.acc_bytes
            + own.par_bytes
            + own.staging_bytes
            + self.window_bytes
        )

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of every number; a program runs only on the spec it was made for."""
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()[:16]


_SECTIONS: dict[str, type] = {"dram": Dram, "sram": Sram, "array": Array, "energy": Energy}


def targets() -> list[str]:
    """Names of the accelerators that come with zeroskip."""
    found = resources.files("zeroskip.accel_model.targets").iterdir()
    return sorted(Path(str(each)).stem for each in found if str(each).endswith(".toml"))


def load_spec(name_or_path: str) -> AccelSpec:
    """The spec of a built-in target's name or of a TOML file; SpecError if it cannot be used."""
    if name_or_path in targets():
        file = resources.files("zeroskip.accel_model.targets") / f"{name_or_path}.toml"
        return parse_spec(file.read_text(encoding="utf-8"), f"{name_or_path}.toml")
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise SpecError(
            f"target {name_or_path!r} is not known; it is one of "
            f"{', '.join(targets())}, or the path of a .toml file"
        )
    refuse_irregular(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        raise SpecError(f"{path}: cannot be read: {reason}") from None
    return parse_spec(text, str(path))


def parse_spec(text: str, where: str) -> AccelSpec:
    """The spec written in TOML; ``where`` names the file in errors."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        raise SpecError(f"{where}: is not valid TOML: {problem}") from None
    return spec_from_table(table, where)


def spec_from_table(table: dict[str, Any], where: str) -> AccelSpec:
    """The spec of a table such as TOML gives, or ``dataclasses.asdict`` of a spec."""
    if not isinstance(table, dict):
        raise SpecError(f"{where}: holds no hardware description")
    top = {key: value for key, value in table.items() if key not in _SECTIONS}
    sections = {
        name: _section(name, cls, table.get(name), where) for name, cls in _SECTIONS.items()
    }
    values = _values(AccelSpec, top, where, "", skip=set(_SECTIONS))
    return _check(AccelSpec(**values, **sections), where)


def _section(name: str, cls: type, table: Any, where: str) -> Any:
    if not isinstance(table, dict):
        raise SpecError(f"{where}: section [{name}] is missing")
    return cls(**_values(cls, table, where, f"{name}."))


def _values(
    cls: type, table: dict[str, Any], where: str, prefix: str, skip: Set[str] = frozenset()
) -> dict[str, Any]:
    declared = {f.name: f for f in fields(cls) if f.name not in skip}
    for key in table:
        if key not in declared:
            raise SpecError(
                f"{where}: {prefix + key[:50]!r} is not a key of a hardware "
                f"description; the keys there are {', '.join(declared)}"
            )
    values = {}
    for key, made in declared.items():
        if key not in table:
            unit = made.metadata.get("doc", "text")
            raise SpecError(f"{where}: {prefix}{key} is missing ({unit})")
        values[key] = _value(table[key], made, f"{where}: {prefix}{key}")
    return values


def _value(value: Any, made: Any, place: str) -> Any:
    huge = isinstance(value, int) and value.bit_length() > 64
    shown = "a number beyond 2^64" if huge else repr(value)[:50]
    if made.type == "str":
        if not isinstance(value, str) or not value.isprintable() or len(value) > LONGEST_TEXT:
            raise SpecError(
                f"{place} must be a line of text of up to {LONGEST_TEXT} characters, not {shown}"
            )
        return value
    meta = made.metadata
    whole = made.type == "int"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        kind = "a whole number" if whole else "a number"
        raise SpecError(f"{place} must be {kind} without a unit ({meta['doc']}), not {shown}")
    if not meta["low"] <= value <= meta["high"]:
        raise SpecError(
            f"{place} = {shown} is outside {meta['low']:g}..{meta['high']:g} ({meta['doc']})"
        )
    if meta["pow2"] and int(value).bit_count() != 1:
        raise SpecError(f"{place} = {value} must be a power of two ({meta['doc']})")
    return value if whole else float(value)


def _check(spec: AccelSpec, where: str) -> AccelSpec:
    array = spec.array
    rules = [
        (
            array.kind in ARRAY_KINDS,
            f"array.kind = {array.kind[:50]!r} is not one of {', '.join(ARRAY_KINDS)}",
        ),
        (
            (1 << array.max_gang) <= array.lanes,
            f"array.max_gang = {array.max_gang} gangs more than the {array.lanes} lanes there are",
        ),
        (
            spec.dram.burst_bytes >= spec.dram.bytes_per_cycle,
            "dram.burst_bytes is less than dram.bytes_per_cycle; a burst fills whole cycles",
        ),
        (spec.act_rows <= 1 << 16, "sram.act_bytes is more than the ISA can address (1 MiB)"),
        (
            0 < spec.wgt_rows <= 1 << 16,
            f"sram.wgt_bytes must give each of the {array.lanes} lanes 1..65536 words of 4 bytes",
        ),
    ]
    for holds, sentence in rules:
        if not holds:
            raise SpecError(f"{where}: {sentence}")
    return spec
