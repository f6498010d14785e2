"""What every target is built of, whatever its array: memories with their ports, and logic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from zeroskip.accel_model.physics.part import Part, PartPort, Resource, memory, of_logic
from zeroskip.accel_model.spec import (
    PAR_ROW_BYTES,
    WGT_WORD_BYTES,
    AccelSpec,
    SpecError,
)
from zeroskip.accel_model.technology import Cell, Logic, TechnologyError, logic

BLOCK = 16  # channels
CHANNEL_BITS = 4  # of a channel in its block
TABLE_BYTES = 256  # of a table of results: one for each byte
RESULT_TABLES = "result tables"
WIDEST = 64  # bytes of a macro's word
ACC_BANKS = 2  # even and odd rows: one is read while the other is written
SUM_BITS = 32  # of arrays that keep sums of their own, and of multipliers of channels
SUM_BYTES = SUM_BITS // 8
SCALED_BITS = 64  # a sum times the multiplier of its channel: of 48 bits by one of 16


@dataclass(frozen=True)
class Widths:
    """Bits of what a target multiplies, from its [storage]."""

    activation: int
    weight: int
    sum: int

    @staticmethod
    def of(spec: AccelSpec) -> Widths:
        own = spec.storage
        return Widths(own.activation_bits, own.weight_bits, own.sum_bits)

    @property
    def entry(self) -> int:
        """An activation less its zero point."""
        return self.activation + 1

    @property
    def product(self) -> int:
        return self.weight + self.entry


def node_of(spec: AccelSpec) -> str:
    """The node that the spec names; SpecError if it names none."""
    if spec.technology is None:
        raise SpecError(
            f"target '{spec.name}' names no node of technology; give it a section "
            "[technology] with node and dram"
        )
    return spec.technology.node


def stream_row_bytes(spec: AccelSpec) -> int:
    """Bytes of a row of a bank of WGT: what the bus brings in a cycle, all of which may be one
    bank's; at least what a unit takes, at most a macro's widest."""
    return min(max(unit_stream_bytes(spec), spec.dram.bytes_per_cycle), WIDEST)


def unit_stream_bytes(spec: AccelSpec) -> int:
    """Bytes that a unit which takes four weights a cycle takes of its bank of WGT: a word for each
    byte of a weight."""
    return WGT_WORD_BYTES * spec.storage.weight_bytes


def built(spec: AccelSpec, one: Resource) -> Part:
    """A memory of the target as it is made in its node. SpecError if the table of technology has
    none such."""
    try:
        return memory(
            node_of(spec),
            1000 / spec.clock_mhz,
            one.name,
            one.count,
            one.bytes,
            one.width,
            one.ports,
        )
    except TechnologyError as problem:
        raise SpecError(f"target '{spec.name}': {one.name}: {problem}") from None


def rows_of_results(spec: AccelSpec, results: int) -> int:
    """Rows of ACT, 16 results each, that are written back where so many leave in a cycle: no more
    than there are banks."""
    return min(spec.sram.act_banks, max(1, results // BLOCK))


@dataclass(frozen=True)
class Datapath:
    """How wide the ways of an array to the memories are.

    results: sums that leave it in a cycle.
    rows: of ACT that are written back in a cycle.
    in_rows: whether results leave as rows, 16 channels of an output; otherwise each goes to its
        place alone, of any channel and output.
    stream_bytes: that it takes of a bank of WGT in a cycle, from a buffer of a row; None: a row.
    ranks: of ACT, ``act_banks`` banks each.
    fetched: flows through ACT's port of its own.
    quads: that the fetch unit takes in a cycle, of as many rows each as a unit has pixels.
    """

    results: int = BLOCK
    rows: int = 1
    in_rows: bool = True
    stream_bytes: int | None = None
    ranks: int = 1
    fetched: tuple[str, ...] = ("act_fetched",)
    quads: int = 1

    def act_banks(self, spec: AccelSpec) -> int:
        """Banks of ACT: where results go to their places alone, one for each of them at least,
        since they may be of as many outputs."""
        banks = spec.sram.act_banks * self.ranks
        return banks if self.in_rows else max(banks, self.results)

    @property
    def finished(self) -> int:
        """Results that are written back in a cycle: added to an operand, looked up in a table."""
        return BLOCK * self.rows if self.in_rows else max(BLOCK, self.results)

    @property
    def blocks(self) -> int:
        """Results that leave in a cycle in sixteens."""
        return max(1, self.results // BLOCK)


def bus_rows(spec: AccelSpec) -> int:
    """Rows of ACT that the load or the store unit moves in a cycle, however few of their bytes: one
    for as many bytes of the bus as it has, or, for pixels of few channels, as many neighbours as
    the fetch unit takes, if these are no more than half of the banks."""
    banks = spec.sram.act_banks
    narrow = min(spec.array.pixels, banks // 2)
    return min(banks, max(math.ceil(spec.dram.bytes_per_cycle / spec.act_row_bytes), narrow))


def stream_rate(spec: AccelSpec, way: Datapath) -> int:
    """Bytes that all banks of WGT give in a cycle."""
    return spec.wgt_banks * (way.stream_bytes or stream_row_bytes(spec))


def memories(spec: AccelSpec, way: Datapath) -> tuple[Resource, ...]:
    """ACT, WGT, ACC, PAR, staging and the tables of results: a copy for each result that is written
    back in a cycle, all of which take the same row at once."""
    own, row, banks = spec.sram, stream_row_bytes(spec), way.act_banks(spec)
    value = spec.storage.activation_bytes
    par, columns = BLOCK * way.blocks, 2 * BLOCK * way.blocks
    return (
        Resource(
            "ACT",
            banks,
            own.act_bytes // banks,
            spec.act_row_bytes,
            (
                PartPort("fetch", "r", flows=way.fetched, unit=value),
                PartPort(
                    "write-back, load and store",
                    "rw",
                    flows=("act_written", "act_loaded", "act_stored"),
                    unit=value,
                ),
            ),
        ),
        Resource(
            "WGT",
            spec.wgt_banks,
            own.wgt_bytes // spec.wgt_banks,
            row,
            (
                PartPort("lane", "r", (way.stream_bytes or row) / row, ("wgt_read",)),
                PartPort("load", "w", flows=("wgt_loaded",)),
            ),
        ),
        _sums(spec, way),
        Resource(
            "PAR",
            par,
            own.par_bytes // par,
            PAR_ROW_BYTES,
            (
                PartPort("requantize", "r", flows=("par_read",)),
                PartPort("load", "w", flows=("par_loaded",)),
            ),
        ),
        Resource(
            "staging",
            columns,
            own.staging_bytes // columns,
            value,
            (
                PartPort(
                    "drain or write-back",
                    "rw",
                    flows=("staging_written", "staging_read"),
                    unit=value,
                ),
            ),
        ),
        Resource(
            RESULT_TABLES,
            way.finished,
            TABLE_BYTES,
            PAR_ROW_BYTES,
            (PartPort("write-back or lookup", "rw", flows=("looked_up", "table_written")),),
        ),
    )


def _sums(spec: AccelSpec, way: Datapath) -> Resource:
    """ACC: banks of rows, side by side in as many macros as their width takes; or, where sums go to
    their places alone, of single sums, of which that of channel c and row r is in column c + r, so
    that neighbours in either direction are apart."""
    size, wide = spec.sram.acc_bytes, acc_macros(spec)
    if way.in_rows:
        count, unit = ACC_BANKS * way.blocks * wide, spec.storage.sum_bytes
        port = PartPort("drain", "rw", flows=("acc_read", "acc_written"), unit=unit)
        return Resource("ACC", count, size // count, spec.acc_row_bytes // wide, (port,))
    count = ACC_BANKS * BLOCK * way.blocks
    port = PartPort("drain", "rw", flows=("acc_sums_read", "acc_sums_written"))
    return Resource("ACC", count, size // count, SUM_BYTES, (port,))


def acc_macros(spec: AccelSpec) -> int:
    """Macros that hold a row of ACC together."""
    return -(-spec.acc_row_bytes // WIDEST)


def paths(spec: AccelSpec, way: Datapath) -> tuple[Resource, ...]:
    """What stands between memories: units for 16 results a cycle at least, and the rows that load
    and store move (``bus_rows``)."""
    value = spec.storage.activation_bytes
    return (
        Resource(
            "requantize units",
            max(BLOCK, way.results),
            0,
            value,
            (PartPort("drain", "w", flows=("scaled",), unit=value),),
        ),
        Resource(
            "addition units",
            way.finished,
            0,
            value,
            (PartPort("write-back", "w", flows=("added",), unit=value),),
        ),
        Resource(
            "load and store row buffers",
            1,
            0,
            spec.act_row_bytes * bus_rows(spec),
            (
                PartPort("load", "w", flows=("act_loaded",), unit=value),
                PartPort("store", "r", flows=("act_stored",), unit=value),
            ),
        ),
    )


def gang_selectors(spec: AccelSpec, lanes: int, max_gang: int) -> Iterator[Part]:
    """Of each lane that may be ganged, on the way of a gang's words to its first lane, which
    decodes them, and of weights with their channels from there: its own, or those of the other
    half."""
    if max_gang:
        ways = 8 * unit_stream_bytes(spec) + spec.storage.weight_bits + CHANNEL_BITS
        yield of_logic("gang selectors", lanes, logic(node_of(spec)).mux(2, ways))


def multipliers(spec: AccelSpec) -> Iterator[Part]:
    """The multiply-accumulate cells and their second accumulators."""
    cells, count = logic(node_of(spec)), spec.array.macs
    yield of_logic("multiplier cells", count, multiplier_cell(cells, Widths.of(spec)))
    yield of_logic("second accumulators", count, cells.register(spec.storage.sum_bits))


def results(spec: AccelSpec, way: Datapath) -> Iterator[Part]:
    """What brings rows of any bank of ACT to the fetch unit, what takes a byte of a row of a table,
    and the paths: units that make results of sums, those that add an operand to results, and
    the buffers of the load and store units, two rows each for every row that moves in a cycle."""
    cells, bits = logic(node_of(spec)), Widths.of(spec)
    crossbar = cells.mux(spec.sram.act_banks, 8 * spec.act_row_bytes)
    yield of_logic("fetch crossbar", spec.array.pixels * way.quads, crossbar)
    yield of_logic("result multiplexers", way.finished, cells.mux(PAR_ROW_BYTES, 8))
    unit, row = requantizer(cells, bits), cells.register(8 * spec.act_row_bytes)
    for one in paths(spec, way):
        cell = row * (4 * bus_rows(spec)) if one.name.startswith("load") else unit
        if one.name == "addition units":  # which make products of two activations too
            cell = cell + cells.multiplier(bits.entry, bits.entry)
        yield of_logic(one.name, one.count, cell, one.width, one.ports)


def multiplier_cell(cells: Logic, bits: Widths) -> Cell:
    """Zero point subtracted, product, sum; operand, product and sum in registers."""
    held = bits.entry + bits.product + bits.sum
    return (
        cells.adder(bits.entry)
        + cells.multiplier(bits.weight, bits.entry)
        + cells.adder(bits.sum)
        + cells.register(held)
    )


def requantizer(cells: Logic, bits: Widths) -> Cell:
    """Bias, 32-bit multiply, rounding, a shifter of six stages, zero point and clip."""
    return (
        cells.adder(bits.sum)
        + cells.multiplier(bits.sum, SUM_BITS)
        + cells.adder(SCALED_BITS)
        + cells.mux(2, SCALED_BITS) * 6
        + cells.adder(bits.entry) * 2
        + cells.register(SCALED_BITS + bits.activation)
    )
