"""The hardware description: a frozen value read from TOML, every number checked."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.accel_model.io.declared import SpecError as SpecError
from zeroskip.accel_model.io.declared import number as number
from zeroskip.accel_model.io.declared import values_of
from zeroskip.accel_model.plugins import Origin, UnknownKind, kind_named, kinds, origin_of
from zeroskip.accel_model.storage import IN_BYTES
from zeroskip.accel_model.storage import Storage as Storage
from zeroskip.accel_model.technology import DRAM_KINDS, DRAM_TIMINGS, NODES

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.base import Kind
    from zeroskip.accel_model.formats import WeightFormat

ACT_ROW = 16  # elements: a row of ACT holds a pixel of 16 channels
ACC_ROW = 16  # sums
PAR_ROW_BYTES = 16
WGT_WORD_BYTES = 4
DRAM_GRANULE_BYTES = 16  # that are ordered and checked together


@dataclass(frozen=True)
class DramTiming:
    """The rows of an open-page DRAM, docs/ARRAYS.md; what a named kind has is of one channel."""

    channels: int = number("channels in lock-step; a page spans them", 1, 64, power_of_two=True)
    page_bytes: int = number("bytes of a row of a channel", 64, 1 << 16, power_of_two=True)
    banks: int = number("banks, which take pages in turn", 1, 1024, power_of_two=True)
    queue: int = number("bursts whose rows the controller opens ahead", 1, 4096)
    trcd_ns: float = number("from opening a row to its first burst, ns", 0.1, 1000)
    trp_ns: float = number("to close a row, ns", 0.1, 1000)
    tras_ns: float = number("a row is open at least, ns", 0, 1000)
    trrd_ns: float = number("between openings: tRRD or tFAW / 4, ns", 0, 1000)
    twr_ns: float = number("from the last burst written to closing its row, ns", 0, 1000)
    trfc_ns: float = number("of a refresh of all banks, ns", 0, 10_000)
    trefi_ns: float = number("between refreshes, ns", 1, 1e9)

    @property
    def row_bytes(self) -> int:
        """Bytes of a page over all channels."""
        return self.channels * self.page_bytes


def _read_timing(given: Any, where: str, place: str) -> DramTiming | None:
    """The section [dram.timing]; ``kind`` names numbers of a device that the others win over."""
    if given is None:
        return None
    if not isinstance(given, dict):
        shown = repr(given)[:50]
        raise SpecError(f"{where}: {place} must be a section with kind or numbers, not {shown}")
    own = dict(given)
    kind = own.pop("kind", None)
    if kind is not None and (not isinstance(kind, str) or kind not in DRAM_TIMINGS):
        known = ", ".join(DRAM_TIMINGS)
        raise SpecError(f"{where}: {place}.kind = {repr(kind)[:50]} is not one of {known}")
    numbers = {**DRAM_TIMINGS.get(kind or "", {}), **own}
    return DramTiming(**values_of(DramTiming, numbers, where, f"{place}."))


def channelwise_outputs() -> Any:
    """``pixels`` of an array of which only instructions that treat channels alike have such."""
    return number(
        "outputs of 16 channels that depthwise, pools and additions work on together",
        1,
        64,
        power_of_two=True,
    )


def cycles_to_last_row(since: str) -> Any:
    """``pipeline_cycles``: what a convolution takes after its array has done."""
    return number(f"cycles from {since} to the last row written", 0, 1000)


@dataclass(frozen=True)
class Dram:
    """The memory behind one bus that the load and the store unit share. timing: of its rows; None:
    a flat bus, on which every burst takes the same."""

    bytes_per_cycle: int = number("bus width, bytes per cycle", 1, 1024, power_of_two=True)
    burst_bytes: int = number(
        "bytes of a burst; a run pays whole aligned bursts", 1, 4096, power_of_two=True
    )
    latency_cycles: int = number("cycles from the end of a transfer to its completion", 0, 10_000)
    timing: DramTiming | None = field(default=None, metadata={"read": _read_timing})


@dataclass(frozen=True)
class Sram:
    """On-chip memories, bytes (row sizes: isa.py; of ACT: ``AccelSpec.act_row_bytes``)."""

    act_bytes: int = number("activation tiles", 256, 1 << 24)
    act_banks: int = number(
        "banks of ACT; row r is in bank r mod act_banks", 1, 64, power_of_two=True
    )
    wgt_bytes: int = number("packed weights, split evenly over the banks of WGT", 256, 1 << 28)
    acc_bytes: int = number("partial sums", 64, 1 << 24)
    par_bytes: int = number(
        "requantization parameters and tables of the weight format", 160, 1 << 18
    )
    staging_bytes: int = number("finished outputs waiting to be written, two halves", 256, 1 << 18)


class ArrayGeometry(Protocol):
    """The [array] section: the size of an array of some kind.

    Each kind declares a frozen dataclass with whatever numbers it has (``number``); these are what
    all have.
    """

    @property
    def kind(self) -> str:
        """Name of the kind."""

    @property
    def macs(self) -> int:
        """Multipliers: the most multiply-accumulates in a cycle."""

    @property
    def pixels(self) -> int:
        """Outputs of 16 channels that depthwise, pools and additions work on together."""

    @property
    def pipeline_cycles(self) -> int:
        """Cycles from the last operation to the last row written, beyond the writes themselves."""

    @property
    def dimensions(self) -> str:
        """The shape of the array, as a table shows it."""


@dataclass(frozen=True)
class Technology:
    """What it is made in, and the DRAM beside it; energy and area follow (``physics``)."""

    node: str = field(metadata={"doc": f"one of {', '.join(NODES)}"})
    dram: str = field(metadata={"doc": f"one of {', '.join(DRAM_KINDS)}"})


@dataclass(frozen=True)
class Energy:
    """Picojoules per event. A kind of array may have a section with more."""

    mac: float = number("a multiply, 8x9 bits in 8-bit storage, and its add to a sum", 0)
    act_row: float = number("a row of ACT, 16 activations, read or written", 0)
    wgt_word: float = number("a 4-byte WGT word read or written", 0)
    acc_row: float = number("a row of ACC, 16 sums, read or written", 0)
    requantise: float = number("a requantized output", 0)
    lookup: float = number("a row of a table of results read or written", 0)
    dram_byte: float = number("a byte on the DRAM bus", 0)


@dataclass(frozen=True, kw_only=True)
class AccelSpec:
    """A whole accelerator.

    storage: bits of activations and weights; 8 each unless it says otherwise.
    technology: None where the description gives its own energy only; it then has no area.
    energy: own constants instead of those that follow from the technology (``physics.energy``).
    """

    name: str
    summary: str
    clock_mhz: float = number("clock, MHz", 1, 10_000)
    dram: Dram
    sram: Sram
    array: ArrayGeometry
    storage: Storage = IN_BYTES
    technology: Technology | None = None
    energy: Any = None  # the kind's ``Energy``

    @property
    def act_row_bytes(self) -> int:
        """Bytes of a row of ACT."""
        return ACT_ROW * self.storage.activation_bytes

    @property
    def act_rows(self) -> int:
        return self.sram.act_bytes // self.act_row_bytes

    @property
    def kind(self) -> Kind[Any]:
        """The kind of the array."""
        return kind_named(self.array.kind)

    @property
    def format(self) -> WeightFormat:
        """How convolutions' filters are stored."""
        return self.stored(self.kind.format(self.array))

    def stored(self, weights: WeightFormat) -> WeightFormat:
        """A format with weights as wide as the target stores them."""
        return weights.of_bytes(self.storage.weight_bytes)

    @cached_property
    def wgt_banks(self) -> int:
        """Banks of WGT, each a word of 4 bytes wide."""
        return self.kind.banks(self.array)

    @cached_property
    def wgt_rows(self) -> int:
        """Rows of one bank of WGT."""
        return self.sram.wgt_bytes // (WGT_WORD_BYTES * self.wgt_banks)

    @property
    def acc_row_bytes(self) -> int:
        """Bytes of a row of ACC."""
        return ACC_ROW * self.storage.sum_bytes

    @property
    def acc_rows(self) -> int:
        return self.sram.acc_bytes // self.acc_row_bytes

    @property
    def par_rows(self) -> int:
        return self.sram.par_bytes // PAR_ROW_BYTES

    @property
    def array_bytes(self) -> int:
        """Bytes of the memories within the array: windows, FIFOs, accumulators of its own."""
        return self.kind.sram_bytes(self)

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
            + self.array_bytes
        )

    @property
    def table(self) -> dict[str, Any]:
        """What ``spec_from_table`` reads; a flat bus says nothing of rows."""
        table = asdict(self)
        if not self.storage.table:
            del table["storage"]
        else:
            table["storage"] = self.storage.table
        if self.dram.timing is None:
            del table["dram"]["timing"]
        return table

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of every number, and of the source of a plug-in; a program runs only on the
        spec it was made for."""
        described = repr(sorted(self.table.items()))
        if self.origin is not None:
            described += repr(self.origin)
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    @property
    def origin(self) -> Origin | None:
        """The package that brings the kind of array; None: zeroskip itself."""
        return origin_of(self.array.kind)

    @property
    def plugin(self) -> dict[str, dict[str, str]]:
        """What files say of a plug-in: ``{"plugin": Origin as a table}``; nothing of ours."""
        return {} if self.origin is None else {"plugin": asdict(self.origin)}


_SECTIONS = ("dram", "sram", "array", "storage", "technology", "energy")
_OPTIONAL = ("storage", "technology", "energy")  # one of the last two there must be


def targets() -> list[str]:
    """Names of the accelerators that come with zeroskip."""
    found = resources.files("zeroskip.accel_model.targets").iterdir()
    return sorted(Path(str(each)).stem for each in found if str(each).endswith(".toml"))


def equal_targets(like: str = "dense256") -> list[str]:
    """``like``, and the names of the other built-in targets with as many multipliers and as wide a
    bus, its clock, and no more SRAM than 512 KiB: what can be compared at equal resources."""
    wanted = load_spec(like)
    others = [name for name in targets() if name != like]
    return [like] + [
        name
        for name in others
        if (spec := load_spec(name)).array.macs == wanted.array.macs
        and spec.dram == wanted.dram
        and spec.clock_mhz == wanted.clock_mhz
        and spec.sram_bytes <= 512 * 1024
    ]


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
    """The spec of a table such as TOML gives, or ``AccelSpec.table``."""
    if not isinstance(table, dict):
        raise SpecError(f"{where}: holds no hardware description")
    top = {key: value for key, value in table.items() if key not in _SECTIONS}
    for name in _SECTIONS:
        given = table.get(name)
        if not isinstance(given, dict) and not (name in _OPTIONAL and given is None):
            raise SpecError(f"{where}: section [{name}] is missing")
    kind = _kind(table["array"], where)
    types: tuple[type, ...] = (Dram, Sram, kind.Geometry, Storage, Technology, kind.Energy)
    sections = {
        name: _section(name, cls, table.get(name), where)
        for name, cls in zip(_SECTIONS, types, strict=True)
    }
    values = values_of(AccelSpec, top, where, "", skip=set(_SECTIONS))
    return _check(AccelSpec(**values, **sections), where)


def _kind(array: Any, where: str) -> Kind[Any]:
    """The kind that the [array] section names."""
    name = array.get("kind")
    if not isinstance(name, str):
        raise SpecError(
            f"{where}: array.kind is missing; it is one of {', '.join(kinds())}, in quotes"
        )
    try:
        return kind_named(name)
    except UnknownKind as problem:
        raise SpecError(f"{where}: {problem}") from None


def _section(name: str, cls: type, table: Any, where: str) -> Any:
    if table is None:
        return IN_BYTES if cls is Storage else None
    return cls(**values_of(cls, table, where, f"{name}."))


def _technology_rules(technology: Technology | None) -> list[tuple[bool, str]]:
    if technology is None:
        return []
    return [
        (value in known, f"technology.{key} = {value[:50]!r} is not one of {', '.join(known)}")
        for key, value, known in (
            ("node", technology.node, NODES),
            ("dram", technology.dram, DRAM_KINDS),
        )
    ]


def _storage_rules(spec: AccelSpec) -> list[tuple[bool, str]]:
    """That the array's format has weights of so many bits, and the array sums of so many."""
    bits, sums = spec.storage.weight_bits, spec.storage.sum_bits
    narrow = (
        sums == IN_BYTES.sum_bits or spec.kind.wide_sums,
        f"storage.sum_bits = {sums}: an array of kind {spec.array.kind} keeps sums of 32 bits; set "
        "it to 32",
    )
    try:
        fits = bits == 8 or spec.format.weight_bytes == spec.storage.weight_bytes
    except ZeroskipError as problem:
        return [(False, f"storage.weight_bits = {bits}: {problem}; set it to 8")]
    return [(fits, f"storage.weight_bits = {bits}, and weights of the array have others"), narrow]


def _timing_rules(spec: AccelSpec) -> list[tuple[bool, str]]:
    timing, burst = spec.dram.timing, spec.dram.burst_bytes
    if timing is None:
        return []
    refresh = timing.trp_ns + timing.trfc_ns + timing.trcd_ns
    return [
        (
            timing.row_bytes >= burst,
            f"dram.timing.page_bytes of {timing.channels} channels is less than dram.burst_bytes; "
            "a burst lies in one page",
        ),
        (
            timing.trefi_ns >= 2 * refresh + 2000 / spec.clock_mhz,
            "dram.timing.trefi_ns leaves no time between refreshes, which take trp_ns, trfc_ns "
            f"and trcd_ns, {refresh:g} ns; give it at least {2 * refresh + 2000 / spec.clock_mhz:g}",
        ),
    ]


def _check(spec: AccelSpec, where: str) -> AccelSpec:
    rules = [
        (
            ACT_ROW * spec.array.pixels <= spec.array.macs,
            f"array.pixels = {spec.array.pixels} outputs of 16 channels are more than the "
            f"{spec.array.macs} multipliers there are",
        ),
        *spec.kind.check(spec),
        (
            spec.dram.burst_bytes >= spec.dram.bytes_per_cycle,
            "dram.burst_bytes is less than dram.bytes_per_cycle; a burst fills whole cycles",
        ),
        (spec.act_rows <= 1 << 20, "sram.act_bytes is more than the ISA can address (16 MiB)"),
        (
            0 < spec.wgt_rows <= 1 << 20,
            f"sram.wgt_bytes must give each of the {spec.wgt_banks} banks 1..{1 << 20} words of 4 bytes",
        ),
        (
            spec.technology is not None or spec.energy is not None,
            "section [technology] is missing (node and dram), or [energy] with own constants",
        ),
        *_storage_rules(spec),
        *_technology_rules(spec.technology),
        *_timing_rules(spec),
    ]
    for holds, sentence in rules:
        if not holds:
            raise SpecError(f"{where}: {sentence}")
    return spec
