"""The seam: what a kind of array is. A new array is one file with a ``Kind``, a TOML and a page.

The instruction set, the memories and the numbers are the same for every array. A kind says how
filters are stored, how their streams lie in WGT, and how long a convolution takes on it, from the
weights that are stored and, where it skips zero activations, from the input tile itself. The
machine, the compiler's search and the report ask it nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.least_cycles import ConvWork
from zeroskip.accel_model.arrays.pricing import LinearPrice, PatchPrice
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.formats import Shape, WeightFormat
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.physics.common import (
    SUM_BYTES,
    Datapath,
    built,
    memories,
    multipliers,
    paths,
    results,
)
from zeroskip.accel_model.physics.cost import common_energy
from zeroskip.accel_model.physics.part import Part, Resource
from zeroskip.accel_model.physics.traffic import SPLITS, Price, Split
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import (
    ACC_ROW,
    ACT_ROW,
    PAR_ROW_BYTES,
    WGT_WORD_BYTES,
    AccelSpec,
    Energy,
)
from zeroskip.accel_model.timing.row_unit import RowUnit
from zeroskip.accel_model.timing.shape import WindowShape

Bools = npt.NDArray[np.bool_]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
InputMask: TypeAlias = Callable[[], Bools]
T = TypeVar("T")

_IN_A_BYTE = 255  # that a byte can count


class ArrayError(ZeroskipError):
    """A convolution that an array cannot do; says why and what would."""


# ------------------------------------------------------------------------- what multipliers do


@dataclass(frozen=True)
class Slot:
    """What a multiplier may spend a cycle on.

    name: in reports, where it is a cause of lost cycles.
    sentence: what it means, for reports and documentation.
    group: its colour: "imbalance", "ragged", "zeros", "fetch", "drain", "work" (the bus's causes
        have "waiting", "bus" and "saved").
    """

    name: str
    sentence: str
    group: str


MULTIPLY = Slot(
    "multiply", "multiplies that no transfer covers, in a layer that the bus limits", "work"
)
PADDING = Slot(
    "padding",
    "lanes multiplying weights that are not zero by padding, where no input is",
    "zeros",
)
CONFLICTS = Slot("conflicts", "waiting for activations whose rows share a bank of ACT", "fetch")
CHANNELWISE = Slot(
    "channelwise",
    "instructions that work on 16 channels at a time: depthwise, pools, additions",
    "work",
)
SETUP = Slot("setup", "instructions that set registers and tables", "work")


# --------------------------------------------------------------------------------- what is timed


@dataclass(eq=False)
class FilterSet:
    """The filters of one convolution, in the order of their streams.

    load: gives ``matrix``, when it is asked for.
    shape: channels and taps.
    order: int32 [F], output channel of each.
    stored_counts: int32 [F, J], weights stored for each stage of the format.
    words: 4-byte words of all streams.
    format: how they are stored.
    table: the layer's table, for a format that has one.
    memo: what arrays and the numbers have derived from them, by what else it depends on.
    """

    load: Callable[[], Int8]
    shape: Shape
    order: Int32
    stored_counts: Int32
    words: int
    format: WeightFormat
    table: Any = None
    memo: dict[Any, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def matrix(self) -> Int8:
        """int8 [F, E], canonical order."""
        return self.load()

    @cached_property
    def nonzeros(self) -> int:
        """Weights that are not zero."""
        return int(np.count_nonzero(self.matrix))

    @cached_property
    def stored(self) -> Bools:
        """bool [F, E]: positions whose weight is in a stream, stored zeros included."""
        return self.format.stored(self.matrix, self.shape, self.table)

    @cached_property
    def nonzeros_at(self) -> Int64:
        """int64 [taps]: weights that are not zero at each tap."""
        there, taps = (self.matrix != 0).view(np.uint8), self.shape.taps
        counts = np.zeros(there.shape[1], np.int64)
        for first in range(0, len(there), _IN_A_BYTE):
            counts += np.add.reduce(there[first : first + _IN_A_BYTE], axis=0, dtype=np.uint8)
        left = self.shape.channels % BLOCK
        whole = len(counts) - left * taps  # blocks of 16 channels, each tap by tap
        found: Int64 = counts[:whole].reshape(-1, taps, BLOCK).sum(axis=(0, 2))
        found += counts[whole:].reshape(taps, left).sum(axis=1)
        return found

    def products(self, window: WindowShape) -> tuple[int, int]:
        """Multiplies of weights that are not zero: all of them, and those by inputs in the tile."""
        every, real = self.nonzeros * window.outputs, window.real
        if int(real.min()) == window.outputs:
            return every, every
        return every, int(self.nonzeros_at @ real)


def in_channel_order(filters: FilterSet) -> None:
    """ArrayError unless streams are in the order of their channels.

    For arrays whose results leave in rows of 16 neighbouring channels, with nothing in between that
    could put them in another order.
    """
    if not np.array_equal(filters.order, np.arange(len(filters))):
        raise ArrayError(
            "has filter streams that are not in the order of their output channels, and the array "
            "writes them as they come; compile the network for this target"
        )


@dataclass(frozen=True, eq=False)
class Case:
    """One ``conv`` as an array times it: no address in it.

    window: input tile, taps, outputs.
    filters: of this tile, over this chunk of channels.
    mode: the instruction's, as the kind means it.
    first: sums start from 0, not from ACC.
    last: sums are requantized and written to ACT, not to ACC.
    operand_row: ACT rows between image rows of the operand that is added; None: there is none.
    inputs: gives bool [channels, height, width] of the tile, whether each input differs from its
        zero point, and anything where no tap of an output looks; None: the values of activations
        are not known, or not wanted.
    """

    window: WindowShape
    filters: FilterSet
    mode: int
    first: bool
    last: bool
    operand_row: int | None = None
    inputs: InputMask | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """All that time depends on besides the filters and the inputs."""
        return (self.window, self.mode, self.first, self.last, self.operand_row)


@dataclass(frozen=True)
class Timing:
    """What a convolution takes.

    cycles: from its start to its last output row written.
    slots: multiplier-cycles by ``Slot.name``; together cycles x multipliers.
    events: how often each event of the kind's ``events`` happens.
    products: multiplies of two values that are not zero; None unless the kind skips inputs.
    traffic: through the ports of the kind's own memories and paths, by flow.
    multiplies: by a weight that is not zero, padding included; None: one for every output.
    """

    cycles: int
    slots: Mapping[str, int]
    events: Mapping[str, int]
    products: int | None = None
    traffic: Mapping[str, int] = field(default_factory=dict)
    multiplies: int | None = None


@dataclass(frozen=True)
class StreamPlacement:
    """How streams lie in WGT: stream n is in slot n % slots of group n // slots.

    slots: streams of a group, which the array works on together.
    banks: neighbouring banks that share a stream, word k in bank k % banks.
    """

    slots: int
    banks: int = 1

    def rows(self, lengths: npt.ArrayLike) -> int:
        """WGT rows that ``loadweights`` fills with streams of so many words each, [F].

        The longest stream of a group decides its rows.
        """
        rows = -(-np.asarray(lengths, np.int64) // self.banks)
        return int(np.maximum.reduceat(rows, np.arange(0, len(rows), self.slots)).sum())


# -------------------------------------------------------------------------------------- the kind


EVENTS: Mapping[str, str] = MappingProxyType(
    {  # key of [energy] -> counter of the machine
        "mac": "macs",
        "act_row": "act_rows",
        "wgt_word": "wgt_words",
        "acc_row": "acc_rows",
        "requantise": "requantised",
        "lookup": "lookups",
        "dram_byte": "dram_bytes",
    }
)


def beside(common: Mapping[str, T], **own: T) -> Mapping[str, T]:
    """``common`` and a kind's own, for ``Kind.events`` and ``Kind.splits``."""
    return MappingProxyType({**common, **own})


G = TypeVar("G")  # the geometry of a kind


class Kind(ABC, Generic[G]):
    """A kind of array."""

    name: str  # as targets write it in [array] kind
    Geometry: ClassVar[type]  # the [array] section (``spec.Geometry``), a frozen dataclass
    Energy: ClassVar[type] = Energy  # the [energy] section, likewise
    events: ClassVar[Mapping[str, str]] = EVENTS  # ``EVENTS`` and its own
    splits: ClassVar[Mapping[str, Split]] = SPLITS  # those of them that read or write, and its own
    slots: ClassVar[tuple[Slot, ...]]  # what its multipliers may do, in the order of reports
    skips: frozenset[str] = frozenset({"weights"})  # or {"weights", "inputs"}, or none
    wide_sums: ClassVar[bool] = False  # [storage] sum_bits may be more than 32
    gates: ClassVar[bool] = False  # zero inputs take time but no energy
    in_rows: ClassVar[bool] = (
        True  # results leave 16 neighbouring channels at a time, or one by one
    )
    reference: ClassVar[str]  # "package.module:function", stepped clock by clock; for tests

    def geometry(self, spec: AccelSpec) -> G:
        """The [array] section of a target of this kind."""
        return cast(G, spec.array)

    def check(self, spec: AccelSpec) -> Iterable[tuple[bool, str]]:
        """Rules that the geometry must keep, each with the sentence for when it does not."""
        return ()

    @abstractmethod
    def format(self, geometry: G) -> WeightFormat:
        """How filters are stored."""

    @abstractmethod
    def banks(self, geometry: G) -> int:
        """Banks of WGT, each 4 bytes wide."""

    def sram_bytes(self, spec: AccelSpec) -> int:
        """Memories within the array itself: windows, FIFOs, accumulators; bytes."""
        return 0

    @property
    def looks_at_inputs(self) -> bool:
        """Whether a ``Case`` should say which inputs are zero."""
        return self.gates or "inputs" in self.skips

    def takes(self, geometry: G, shape: Shape) -> bool:
        """Whether an instruction may have filters of this shape; the compiler cuts channels."""
        return True

    # --------------------------------------------------------------------------------- physics

    def datapath(self, spec: AccelSpec) -> Datapath:
        """The ways to and from the memories that every target has."""
        width = int(getattr(spec.array, "drain_width", BLOCK))
        return Datapath(results=width, in_rows=self.in_rows)

    def row_unit(self, spec: AccelSpec) -> RowUnit | None:
        """Its row registers, for instructions that treat channels alike; None: there are none, and
        these work one tap after another."""
        return None

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """Memories and paths with their ports, by which the machine's audit goes; a kind adds its
        own."""
        way = self.datapath(spec)
        return (*memories(spec, way), *paths(spec, way))

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        """What a target is built of; a kind adds the memories and the logic of its own."""
        stored = (built(spec, one) for one in self.resources(spec) if one.bytes)
        return (*stored, *self.arithmetic(spec), *results(spec, self.datapath(spec)))

    def arithmetic(self, spec: AccelSpec) -> Iterable[Part]:
        """What multiplies and adds."""
        return multipliers(spec)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        """Picojoules of each event of ``events``, from the parts."""
        return common_energy(spec)

    def traffic(self, spec: AccelSpec, case: Case, timing: Timing) -> dict[str, int]:
        """What passes all ports of ``resources`` in a convolution, by flow: from its events, and
        those of the kind's own memories (``Timing.traffic``). Activations and weights are counted,
        not their bytes (``physics.traffic``).

        Of ACT's rows those of the output are written, the others fetched. A result reads its
        channel's row of PAR, and goes through staging.
        """
        outputs, count, events = case.window.outputs, len(case.filters), timing.events
        rows, done = blocks(count) * outputs * case.last, count * outputs * case.last
        reads, writes = not case.first, not case.last
        sums = ACC_ROW * events["acc_rows"] // max(1, reads + writes)
        operand = case.operand_row is not None
        found = {
            "act_fetched": ACT_ROW * (events["act_rows"] - rows),
            "act_written": ACT_ROW * rows,
            "wgt_read": WGT_WORD_BYTES * events["wgt_words"],
            "acc_read": sums * reads,
            "acc_written": sums * writes,
            "par_read": PAR_ROW_BYTES * (done + operand),
            "scaled": done,
            "staging_written": done,
            **timing.traffic,
        }
        if self.datapath(spec).in_rows:
            return found | {"staging_read": BLOCK * rows, "added": BLOCK * rows}
        moved = SUM_BYTES * count * outputs
        return found | {
            "staging_read": done,
            "added": done,
            "acc_sums_read": moved * reads,
            "acc_sums_written": moved * writes,
        }

    # ----------------------------------------------------------------------------------- modes

    def modes(self, geometry: G) -> range:
        """The modes that a convolution may be in."""
        return range(1)

    def useful_modes(self, geometry: G, filters: int, outputs: int) -> Iterable[int]:
        """Of the modes those that a search prices for so many filters and outputs: none that could
        be fastest is missing."""
        return self.modes(geometry)

    @abstractmethod
    def placement(self, geometry: G, mode: int) -> StreamPlacement:
        """How streams lie in WGT in a mode."""

    @abstractmethod
    def granule(self, geometry: G, mode: int) -> int:
        """Outputs that are worked on together, of which staging holds two sets."""

    def order(self, geometry: G, work: Int64) -> Int32:
        """The order of a tile's filters in which they are stored, int32 [F]; work: int64 [F],
        weights that each stores. Neighbours are worked on together."""
        return np.arange(len(work), dtype=np.int32)

    # ------------------------------------------------------------------------------------ time

    @abstractmethod
    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        """The exact time of a convolution; ArrayError if the array cannot do it."""

    def least_cycles(self, spec: AccelSpec, work: ConvWork) -> Fraction:
        """Cycles that no schedule of a convolution goes below, whatever its inputs are: those of
        its multiplies, unless zero inputs are skipped."""
        return Fraction(0 if "inputs" in self.skips else work.products, spec.array.macs)

    def price(self, spec: AccelSpec, case: Case) -> PatchPrice:
        """Estimated cycles of patches of the output, for the search; ``case`` is of all of it.

        By default a few groups of outputs, in rows of the full width, are timed exactly.
        """
        return LinearPrice.of_windows(
            self.granule(self.geometry(spec), case.mode),
            case.window,
            lambda window: self.conv(spec, replace(case, window=window)).cycles,
        )
