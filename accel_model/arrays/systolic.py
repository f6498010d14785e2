"""The systolic array: weights or sums stay in its elements, and operands pass from one to the next.

Mode 0 is weight-stationary (WS), as in the TPU (Jouppi et al., ISCA 2017): array rows are positions
of the reduction, array columns are filters. Mode 1 is output-stationary (OS): array rows are
outputs. Times are the closed forms of SCALE-Sim (Samajdar et al., ISPASS 2020), and beyond them the
cycles in which ACT cannot give what the array wants. docs/arrays/systolic.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    EVENTS,
    MULTIPLY,
    PADDING,
    SETUP,
    Case,
    Kind,
    Slot,
    StreamPlacement,
    Timing,
    in_channel_order,
)
from zeroskip.accel_model.arrays.pricing import Floats, Int64, OutputsPrice
from zeroskip.accel_model.formats import DENSE, WeightFormat
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.physics.common import SUM_BYTES, Datapath, unit_stream_bytes
from zeroskip.accel_model.physics.cost import clocked, named
from zeroskip.accel_model.physics.part import PartPort, Resource
from zeroskip.accel_model.physics.traffic import SPLITS, Price, Split
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks
from zeroskip.accel_model.spec import AccelSpec, channelwise_outputs, number
from zeroskip.accel_model.timing.lane_array import input_conflicts
from zeroskip.accel_model.timing.shape import WindowShape

WEIGHT_STATIONARY, OUTPUT_STATIONARY = 0, 1


PARTIAL_SUMS = Split(SUM_BYTES, ("sums_read",), ("sums_written",))


@dataclass(frozen=True)
class SystolicGeometry:
    """A grid of elements, each a multiplier, an adder and registers for what passes through."""

    kind: str
    rows: int = number(
        "array rows: positions of the reduction in mode 0, outputs in mode 1",
        2,
        1024,
        power_of_two=True,
    )
    cols: int = number(
        "array columns: filters, each with a weight bank", 2, 1024, power_of_two=True
    )
    dataflows: int = number("1: weight-stationary; 2: output-stationary too", 1, 2)
    accumulators: int = number(
        "outputs whose sums stay below the array from one fold of the reduction to the next, of "
        "each array column",
        1,
        1 << 16,
    )
    pixels: int = channelwise_outputs()
    pipeline_cycles: int = number(
        "cycles to read ACT before the first operand enters, and to requantize and write after the "
        "last sum left",
        0,
        1000,
    )

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle at full use."""
        return self.rows * self.cols

    @property
    def dimensions(self) -> str:
        return f"{self.rows}x{self.cols}"


@dataclass(frozen=True)
class SystolicEnergy:
    """Picojoules per event."""

    mac: float = number("a multiply, 8x9 bits in 8-bit storage, and 32-bit add", 0)
    partial_sum: float = number("a 4-byte sum read from or written to an accumulator", 0)
    act_row: float = number("a 16-byte ACT row read or written", 0)
    wgt_word: float = number("a 4-byte WGT word read or written", 0)
    acc_row: float = number("a 64-byte ACC row read or written", 0)
    requantise: float = number("a requantized output", 0)
    lookup: float = number("a row of a table of results read or written", 0)
    dram_byte: float = number("a byte on the DRAM bus", 0)


@dataclass(frozen=True)
class Spent:
    """Cycles of a convolution by what the whole array does in them, and what it reads.

    weights: weights enter, WS.
    skew: operands and sums on their way through the array.
    active: elements multiply.
    stalls: waiting for ACT rows that share a bank.
    operand: waiting for rows of the residual operand.
    act_rows: rows of the input that are read.
    rounds: times that every weight is read.
    """

    weights: int
    skew: int
    active: int
    stalls: int
    operand: int
    act_rows: int
    rounds: int

    @property
    def cycles(self) -> int:
        return self.weights + self.skew + self.active + self.stalls + self.operand


class Systolic(Kind[SystolicGeometry]):
    """A grid of elements. Mode 0 keeps weights in them, mode 1 sums."""

    name = "systolic"
    Geometry = SystolicGeometry
    Energy = SystolicEnergy
    events = MappingProxyType({**EVENTS, "partial_sum": "partial_sums"})
    splits = MappingProxyType({**SPLITS, "partial_sum": PARTIAL_SUMS})
    skips = frozenset()
    reference = "zeroskip.accel_model.reference.systolic:step"
    slots = (
        MULTIPLY,
        Slot("zeros", "elements multiplying by zero weights, which are not skipped", "zeros"),
        PADDING,
        Slot(
            "unused",
            "elements without a weight (WS) or an output (OS): the edges of folds that are not "
            "full, and fewer filters than array columns",
            "ragged",
        ),
        Slot("weights", "weights entering the array before a fold (WS)", "fetch"),
        Slot("skew", "operands entering and sums leaving the array diagonally", "drain"),
        CONFLICTS,
        Slot("operand", "waiting for the operand of a fused addition, read from ACT", "fetch"),
        Slot("drain", "reading ACT before and writing it after a convolution", "drain"),
        CHANNELWISE,
        SETUP,
    )

    def format(self, geometry: SystolicGeometry) -> WeightFormat:
        return DENSE

    def banks(self, geometry: SystolicGeometry) -> int:
        """One for each array column."""
        return geometry.cols

    def sram_bytes(self, spec: AccelSpec) -> int:
        """The accumulators, 4 bytes each."""
        array = self.geometry(spec)
        return SUM_BYTES * array.accumulators * array.cols

    def datapath(self, spec: AccelSpec) -> Datapath:
        """A result of each column in a cycle, and ranks of ACT for rows and for columns."""
        array = self.geometry(spec)
        down, across = (max(1, size // BLOCK) for size in (array.rows, array.cols))
        return Datapath(
            results=array.cols,
            rows=across,
            stream_bytes=unit_stream_bytes(spec),
            ranks=max(down, across),
        )

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """Each column has accumulators of its own, read and written in a cycle; an input enters
        each row."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        below = Resource(
            "accumulators",
            array.cols,
            SUM_BYTES * array.accumulators,
            SUM_BYTES,
            (
                PartPort("column", "r", flows=PARTIAL_SUMS.reads),
                PartPort("column", "w", flows=PARTIAL_SUMS.writes),
            ),
        )
        edge = Resource(
            "setup unit",
            array.rows,
            0,
            value,
            (PartPort("array", "w", flows=("entered",), unit=value),),
        )
        return (*super().resources(spec), below, edge)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        part = named(spec, "accumulators")
        word = Price(clocked(part.read_pj), clocked(part.write_pj))
        return super().event_energy(spec) | {"partial_sum": word}

    def modes(self, geometry: SystolicGeometry) -> range:
        return range(geometry.dataflows)

    def placement(self, geometry: SystolicGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.cols)

    def granule(self, geometry: SystolicGeometry, mode: int) -> int:
        """WS: results leave row by row and are not staged."""
        return 1 if mode == WEIGHT_STATIONARY else geometry.rows

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        """Events: rows of ACT are read for every fold of the filters; weights for every group of
        outputs; a sum is written below the array after every fold and read before all but the
        first."""
        array, window, filters = self.geometry(spec), case.window, case.filters
        in_channel_order(filters)
        count, outputs, entries = len(filters), window.outputs, filters.shape.entries
        operand = case.last and case.operand_row is not None
        timed = _weight_stationary if case.mode == WEIGHT_STATIONARY else _output_stationary
        spent = timed(array, spec.sram.act_banks, window, filters.shape.channels, count, operand)
        every, real = filters.products(window)
        used, width = entries * count * outputs, array.macs
        ends = case.last * (1 + operand)
        steps = -(-entries // array.rows) if case.mode == WEIGHT_STATIONARY else 1
        return Timing(
            spent.cycles - 1 + array.pipeline_cycles,
            {
                "multiply": real,
                "zeros": used - every,
                "padding": every - real,
                "unused": spent.active * width - used,
                "weights": spent.weights * width,
                "skew": (spent.skew - 1) * width,
                "conflicts": spent.stalls * width,
                "operand": spent.operand * width,
                "drain": array.pipeline_cycles * width,
            },
            {
                "act_rows": spent.act_rows + ends * blocks(count) * outputs,
                "wgt_words": filters.words * spent.rounds,
                "acc_rows": ((not case.first) + (not case.last))
                * len(accumulator_rows(array.cols, count))
                * outputs,
                "partial_sums": count * outputs * (2 * steps - 2),
                "requantised": ends * count * outputs,
            },
            traffic={
                "sums_read": SUM_BYTES * count * outputs * (steps - 1),
                "sums_written": SUM_BYTES * count * outputs * (steps - 1),
                "entered": entries * outputs * -(-count // array.cols),
            },
        )

    def price(self, spec: AccelSpec, case: Case) -> OutputsPrice:
        """As if every group of outputs lay in rows of the full width."""
        array, window, filters = self.geometry(spec), case.window, case.filters
        operand = case.last and case.operand_row is not None
        banks, channels = spec.sram.act_banks, filters.shape.channels
        groups = -(-len(filters) // array.cols)
        skew, end = array.rows + array.cols - 2, array.pipeline_cycles - 1
        if case.mode == WEIGHT_STATIONARY:
            feeds = fold_feeds(array.rows, banks, window, channels)
            pace = int(feeds[:, 0].sum()) + operand

            def cycles(outputs: Int64) -> Floats:
                rounds = -(-outputs // array.accumulators)
                fixed = len(feeds) * (array.rows + skew)
                return np.asarray(groups * (rounds * fixed + outputs * pace) + end, np.float64)

        else:
            row = window._replace(out_height=1, out_width=min(array.rows, window.outputs))
            reads = int(input_conflicts(row, banks, array.rows)[0])
            fold = int(np.maximum(_step_widths(channels, window.taps), reads).sum()) + skew

            def cycles(outputs: Int64) -> Floats:
                folds = -(-outputs // array.rows)
                return np.asarray(groups * (folds * fold + outputs * operand) + end, np.float64)

        return OutputsPrice(((cycles, 1.0),))


# ------------------------------------------------------------------------------------- dataflows


@lru_cache(maxsize=4096)
def _weight_stationary(
    array: SystolicGeometry,
    banks: int,
    window: WindowShape,
    channels: int,
    filters: int,
    operand: bool,
) -> Spent:
    """For each group of outputs, for each group of filters, for each fold of the reduction: the
    weights enter, then every output's inputs pass."""
    feeds, outputs = fold_feeds(array.rows, banks, window, channels), window.outputs
    groups, rounds = -(-filters // array.cols), -(-outputs // array.accumulators)
    folds = groups * rounds * len(feeds)
    return Spent(
        weights=folds * array.rows,
        skew=folds * (array.rows + array.cols - 2),
        active=groups * len(feeds) * outputs,
        stalls=groups * outputs * int((feeds[:, 0] - 1).sum()),
        operand=groups * outputs * operand,
        act_rows=groups * outputs * int(feeds[:, 1].sum()),
        rounds=rounds,
    )


@lru_cache(maxsize=4096)
def _output_stationary(
    array: SystolicGeometry,
    banks: int,
    window: WindowShape,
    channels: int,
    filters: int,
    operand: bool,
) -> Spent:
    """For each group of outputs, for each group of filters: the reduction passes, a step for each
    tap of each block. A step takes as long as it has channels, or as the rows of ACT of the step
    after it take to read."""
    reads = input_conflicts(window, banks, array.rows).astype(np.int64)
    widths = _step_widths(channels, window.taps)
    groups, outputs = -(-filters // array.cols), window.outputs
    steps = np.maximum(reads[:, np.newaxis], widths).sum(axis=1) * groups
    following = np.append(reads[1:], 0)  # behind the last fold of a group of outputs
    steps += np.maximum(following, widths[-1]) - np.maximum(reads, widths[-1])
    active = groups * len(reads) * int(widths.sum())
    return Spent(
        weights=0,
        skew=groups * len(reads) * (array.rows + array.cols - 2),
        active=active,
        stalls=int(steps.sum()) - active,
        operand=groups * outputs * operand,
        act_rows=groups * outputs * len(widths),
        rounds=len(reads),
    )


@lru_cache(maxsize=1024)
def _step_widths(channels: int, taps: int) -> Int64:
    """int64 [blocks x taps]: channels of each step of an output-stationary fold."""
    widths = np.minimum(BLOCK, channels - np.arange(0, channels, BLOCK))
    return np.repeat(widths, taps).astype(np.int64)


@lru_cache(maxsize=4096)
def fold_feeds(rows: int, banks: int, window: WindowShape, channels: int) -> Int64:
    """int64 [folds, 2]: cycles in which ACT gives a fold's inputs of one output, and their rows.

    The reduction is taken in the order taps, whole blocks, channels, and behind it the last block
    if it is narrower, tap by tap; ``rows`` positions a fold. ACT is ``rows / 16`` ranks (at least
    one), block b in rank b modulo their number; a rank gives in a cycle a row of each of its banks,
    all of one block.
    """
    whole, rest = divmod(channels, BLOCK)
    order = [(block, tap, BLOCK) for tap in range(window.taps) for block in range(whole)]
    order += [(whole, tap, rest) for tap in range(window.taps) if rest]
    ends = np.cumsum([width for _, _, width in order])
    bank = _tap_banks(window, banks)
    feeds = []
    for first in range(0, int(ends[-1]), rows):
        begin = int(np.searchsorted(ends, first, "right"))
        end = int(np.searchsorted(ends, min(first + rows, int(ends[-1])), "left")) + 1
        feeds.append((_feed(order[begin:end], bank, max(1, rows // BLOCK)), end - begin))
    return np.array(feeds, np.int64)


def _feed(parts: list[tuple[int, int, int]], bank: list[int], ranks: int) -> int:
    """Cycles to read rows (block, tap, _): the rank that takes longest."""
    wanted: dict[int, dict[int, int]] = {}  # block -> bank -> rows
    for block, tap, _ in parts:
        hits = wanted.setdefault(block, {})
        hits[bank[tap]] = hits.get(bank[tap], 0) + 1
    cycles = [0] * ranks
    for block, hits in wanted.items():
        cycles[block % ranks] += max(hits.values())
    return max(cycles)


def _tap_banks(window: WindowShape, banks: int) -> list[int]:
    """The bank of each tap, up to a rotation that is the same for all taps of an output."""
    return [
        (r * window.row_dilation * window.row + s * window.col_dilation) % banks
        for r in range(window.rows)
        for s in range(window.cols)
    ]


SYSTOLIC = Systolic()
