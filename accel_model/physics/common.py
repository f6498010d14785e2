"""What every target is built of, whatever its array: memories with their ports, and logic."""

from __future__ import annotations

from collections.abc import Iterator

from zeroskip.accel_model.physics.part import Part, PartPort, memory, of_logic
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


def built(
    spec: AccelSpec, name: str, count: int, size: int, width: int, ports: tuple[PartPort, ...]
) -> Part:
    """A memory of the target: ``count`` instances of ``size`` bytes, ``width`` wide. SpecError if
    the table of technology has none such."""
    try:
        return memory(node_of(spec), 1000 / spec.clock_mhz, name, count, size, width, ports)
    except TechnologyError as problem:
        raise SpecError(f"target '{spec.name}': {name}: {problem}") from None


def memories(spec: AccelSpec) -> Iterator[Part]:
    """ACT, WGT, ACC, PAR and staging."""
    own, row = spec.sram, stream_row_bytes(spec)
    yield built(
        spec,
        "ACT",
        own.act_banks,
        own.act_bytes // own.act_banks,
        ACT_ROW_BYTES,
        (PartPort("fetch", "r"), PartPort("write-back, load and store", "rw")),
    )
    yield built(
        spec,
        "WGT",
        spec.wgt_banks,
        own.wgt_bytes // spec.wgt_banks,
        row,
        (PartPort("lane", "r", WGT_WORD_BYTES / row), PartPort("load", "w")),
    )
    yield built(
        spec,
        "ACC",
        ACC_BANKS,
        own.acc_bytes // ACC_BANKS,
        ACC_ROW_BYTES,
        (PartPort("drain", "rw"),),
    )
    yield built(
        spec,
        "PAR",
        BLOCK,
        own.par_bytes // BLOCK,
        PAR_ROW_BYTES,
        (PartPort("requantize", "r"), PartPort("load", "w")),
    )
    yield built(
        spec,
        "staging",
        2 * BLOCK,
        own.staging_bytes // (2 * BLOCK),
        1,
        (PartPort("drain or write-back", "rw"),),
    )


def multipliers(spec: AccelSpec) -> Iterator[Part]:
    """The multiply-accumulate cells, their second accumulators, and requantizers for 16 results a
    cycle."""
    cells, count = logic(node_of(spec)), spec.array.macs
    yield of_logic("multiplier cells", count, multiplier_cell(cells))
    yield of_logic("second accumulators", count, cells.register(SUM_BITS))


def requantizers(spec: AccelSpec) -> Part:
    """Units that make 8-bit results of sums."""
    width = int(getattr(spec.array, "drain_width", BLOCK))
    return of_logic("requantize units", width, requantizer(logic(node_of(spec))))


def multiplier_cell(cells: Logic) -> Cell:
    """Zero point subtracted, product, sum; operand, product and sum in registers."""
    held = ENTRY_BITS + PRODUCT_BITS + SUM_BITS
    return (
        cells.adder(ENTRY_BITS)
        + cells.multiplier(WEIGHT_BITS, ENTRY_BITS)
        + cells.adder(SUM_BITS)
        + cells.register(held)
    )


def requantizer(cells: Logic) -> Cell:
    """Bias, 32-bit multiply, rounding, a shifter of six stages, zero point and clip."""
    return (
        cells.adder(SUM_BITS)
        + cells.multiplier(SUM_BITS, SUM_BITS)
        + cells.adder(SCALED_BITS)
        + cells.mux(2, SCALED_BITS) * 6
        + cells.adder(ENTRY_BITS) * 2
        + cells.register(SCALED_BITS + ACTIVATION_BITS)
    )
