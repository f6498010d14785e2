"""What every target is built of, whatever its array: memories with their ports, and logic."""

from __future__ import annotations

import math
from collections.abc import Iterator

from zeroskip.accel_model.physics.part import Part, Port, Resource, memory, of_logic
from zeroskip.accel_model.spec import (
    ACC_ROW_BYTES,
    ACT_ROW_BYTES,
    PAR_ROW_BYTES,
    WGT_WORD_BYTES,
    AccelSpec,
    SpecError,
)
from zeroskip.accel_model.technology import Cell, Logic, TechnologyError, logic

BLOCK = 16  # channels
WIDEST = 64  # bytes of a macro's word
ACC_BANKS = 2  # even and odd rows: one is read while the other is written
ACTIVATION_BITS, ENTRY_BITS, PRODUCT_BITS, SUM_BITS = 8, 9, 17, 32
WEIGHT_BITS = 8
SCALED_BITS = SUM_BITS + 32  # a sum times the multiplier of its channel


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
    bank's; at least a word, at most a macro's widest."""
    return min(max(WGT_WORD_BYTES, spec.dram.bytes_per_cycle), WIDEST)


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


def drain_width(spec: AccelSpec) -> int:
    """Sums that leave the accumulators in a cycle."""
    return int(getattr(spec.array, "drain_width", BLOCK))


def bus_rows(spec: AccelSpec) -> int:
    """Rows of ACT that the load or the store unit moves in a cycle, however few of their bytes: one
    for each 16 bytes of the bus, or, for pixels of few channels, as many neighbours as the fetch
    unit takes, if these are no more than half of the banks."""
    banks = spec.sram.act_banks
    narrow = min(spec.array.pixels, banks // 2)
    return min(banks, max(math.ceil(spec.dram.bytes_per_cycle / ACT_ROW_BYTES), narrow))


def memories(spec: AccelSpec, stream_bytes: int | None = None) -> tuple[Resource, ...]:
    """ACT, WGT, ACC, PAR and staging. stream_bytes: that the array takes of a bank of WGT in a
    cycle, from a buffer of a row; None: a whole row."""
    own, row = spec.sram, stream_row_bytes(spec)
    acc = ACC_BANKS * max(1, drain_width(spec) // BLOCK)
    return (
        Resource(
            "ACT",
            own.act_banks,
            own.act_bytes // own.act_banks,
            ACT_ROW_BYTES,
            (
                Port("fetch", "r", flows=("act_fetched",)),
                Port(
                    "write-back, load and store",
                    "rw",
                    flows=("act_written", "act_loaded", "act_stored"),
                ),
            ),
        ),
        Resource(
            "WGT",
            spec.wgt_banks,
            own.wgt_bytes // spec.wgt_banks,
            row,
            (
                Port("lane", "r", (stream_bytes or row) / row, ("wgt_read",)),
                Port("load", "w", flows=("wgt_loaded",)),
            ),
        ),
        Resource(
            "ACC",
            acc,
            own.acc_bytes // acc,
            ACC_ROW_BYTES,
            (Port("drain", "rw", flows=("acc_read", "acc_written")),),
        ),
        Resource(
            "PAR",
            BLOCK,
            own.par_bytes // BLOCK,
            PAR_ROW_BYTES,
            (
                Port("requantise", "r", flows=("par_read",)),
                Port("load", "w", flows=("par_loaded",)),
            ),
        ),
        Resource(
            "staging",
            2 * BLOCK,
            own.staging_bytes // (2 * BLOCK),
            1,
            (Port("drain or write-back", "rw", flows=("staging_written", "staging_read")),),
        ),
    )


def paths(spec: AccelSpec) -> tuple[Resource, ...]:
    """What stands between memories: a row of ACT a cycle is written back, results leave 16 units
    at least, and load and store move ``bus_rows``."""
    return (
        Resource(
            "requantise units",
            max(BLOCK, drain_width(spec)),
            0,
            1,
            (Port("drain", "w", flows=("scaled",)),),
        ),
        Resource("addition units", BLOCK, 0, 1, (Port("write-back", "w", flows=("act_written",)),)),
        Resource(
            "load and store row buffers",
            1,
            0,
            ACT_ROW_BYTES * bus_rows(spec),
            (
                Port("load", "w", flows=("act_loaded",)),
                Port("store", "r", flows=("act_stored",)),
            ),
        ),
    )


def multipliers(spec: AccelSpec) -> Iterator[Part]:
    """The multiply-accumulate cells and their second accumulators."""
    cells, count = logic(node_of(spec)), spec.array.macs
    yield of_logic("multiplier cells", count, multiplier_cell(cells))
    yield of_logic("second accumulators", count, cells.register(SUM_BITS))


def results(spec: AccelSpec) -> Iterator[Part]:
    """What brings rows of any bank of ACT to the fetch unit, and the paths: units that make 8-bit
    results of sums, those that add an operand to results, and the buffers of the load and store
    units, two rows each for every row that moves in a cycle."""
    cells = logic(node_of(spec))
    crossbar = cells.mux(spec.sram.act_banks, 8 * ACT_ROW_BYTES)
    yield of_logic("fetch crossbar", spec.array.pixels, crossbar)
    unit, row = requantiser(cells), cells.register(8 * ACT_ROW_BYTES)
    for one in paths(spec):
        cell = row * (4 * bus_rows(spec)) if one.name.startswith("load") else unit
        yield of_logic(one.name, one.count, cell, one.width, one.ports)


def multiplier_cell(cells: Logic) -> Cell:
    """Zero point subtracted, product, sum; operand, product and sum in registers."""
    held = ENTRY_BITS + PRODUCT_BITS + SUM_BITS
    return (
        cells.adder(ENTRY_BITS)
        + cells.multiplier(WEIGHT_BITS, ENTRY_BITS)
        + cells.adder(SUM_BITS)
        + cells.register(held)
    )


def requantiser(cells: Logic) -> Cell:
    """Bias, 32-bit multiply, rounding, a shifter of six stages, zero point and clip."""
    return (
        cells.adder(SUM_BITS)
        + cells.multiplier(SUM_BITS, SUM_BITS)
        + cells.adder(SCALED_BITS)
        + cells.mux(2, SCALED_BITS) * 6
        + cells.adder(ENTRY_BITS) * 2
        + cells.register(SCALED_BITS + ACTIVATION_BITS)
    )
