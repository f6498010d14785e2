"""The parts of the lane array, each memory with the ports that docs/PHYSICS.md walks through."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

from zeroskip.accel_model.physics.part import Part, Port, memory, of_logic
from zeroskip.accel_model.spec import (
    ACC_ROW_BYTES,
    ACT_ROW_BYTES,
    PAR_ROW_BYTES,
    WGT_WORD_BYTES,
    AccelSpec,
    SpecError,
)
from zeroskip.accel_model.technology import Cell, Logic, TechnologyError, logic
from zeroskip.accel_model.technology.logic import CLOCK_AREA, FILLER_AREA

BLOCK = 16  # channels
WIDEST = 64  # bytes of a macro's word
ACC_BANKS = 2  # even and odd rows: one is read while the other is written
ACTIVATION_BITS, ENTRY_BITS, PRODUCT_BITS, SUM_BITS = 8, 9, 17, 32
WEIGHT_BITS = 8
BESIDE_LANES = (
    "WGT",
    "windows",
    "window multiplexers",
    "multiplier cells",
    "weight registers",
    "second accumulators",
    "weight row buffers",
    "stream decoders",
)
SCALED_BITS = SUM_BITS + 32  # a sum times the multiplier of its channel


@lru_cache(maxsize=256)
def parts(spec: AccelSpec) -> tuple[Part, ...]:
    """Everything on the chip that is charged: memories, then logic.

    Not charged: the decoders of instructions and addresses, the tokens' queues and the DRAM
    interface's own logic. SpecError for a spec that names no technology.
    """
    return (*_memories(spec), *_logic(spec))


def named(spec: AccelSpec, name: str) -> Part:
    """The part of this name."""
    return next(part for part in parts(spec) if part.name == name)


def node_of(spec: AccelSpec) -> str:
    """The node that the spec names; SpecError if it names none."""
    if spec.technology is None:
        raise SpecError(
            f"target '{spec.name}' names no node of technology; give it a section "
            "[technology] with node and dram"
        )
    return spec.technology.node


def stream_row_bytes(spec: AccelSpec) -> int:
    """Bytes of a row of a lane's weight bank: what the bus brings in a cycle, all of which may be
    one lane's; at least a word, at most a macro's widest."""
    return min(max(WGT_WORD_BYTES, spec.dram.bytes_per_cycle), WIDEST)


def broadcast_mm(spec: AccelSpec) -> float:
    """Wire that brings a bit from the fetch unit to all lanes, millimetres: lanes on a square grid,
    a trunk along one side and a branch along each row."""
    lanes = sum(part.area_mm2 for part in parts(spec) if part.name in BESIDE_LANES)
    return math.sqrt(lanes / (1 - CLOCK_AREA - FILLER_AREA)) * (math.sqrt(spec.array.lanes) + 1)


def _memories(spec: AccelSpec) -> Iterator[Part]:
    node, period = node_of(spec), 1000 / spec.clock_mhz
    own, array = spec.sram, spec.array
    windows = 1 if array.kind == "dense" else array.lanes
    for name, count, size, width, ports in (
        (
            "ACT",
            own.act_banks,
            own.act_bytes // own.act_banks,
            ACT_ROW_BYTES,
            (Port("fetch", "r"), Port("write-back, load and store", "rw")),
        ),
        (
            "WGT",
            array.lanes,
            own.wgt_bytes // array.lanes,
            stream_row_bytes(spec),
            (Port("lane", "r", WGT_WORD_BYTES / stream_row_bytes(spec)), Port("load", "w")),
        ),
        (
            "ACC",
            ACC_BANKS,
            own.acc_bytes // ACC_BANKS,
            ACC_ROW_BYTES,
            (Port("drain", "rw"),),
        ),
        (
            "PAR",
            BLOCK,
            own.par_bytes // BLOCK,
            PAR_ROW_BYTES,
            (Port("requantise", "r"), Port("load", "w")),
        ),
        (
            "staging",
            2 * BLOCK,
            own.staging_bytes // (2 * BLOCK),
            1,
            (Port("drain or write-back", "rw"),),
        ),
        (
            "windows",
            windows * BLOCK,
            max(1, array.window_entries // BLOCK) * array.pixels,
            array.pixels,
            (Port("fetch", "w"), Port("lane", "r")),
        ),
    ):
        try:
            yield memory(node, period, name, count, size, width, ports)
        except TechnologyError as problem:
            raise SpecError(f"target '{spec.name}': {name}: {problem}") from None


def _logic(spec: AccelSpec) -> Iterator[Part]:
    cells, array = logic(node_of(spec)), spec.array
    windows = 1 if array.kind == "dense" else array.lanes
    row = cells.register(8 * stream_row_bytes(spec))
    yield of_logic("window multiplexers", windows, cells.mux(BLOCK, 8 * array.pixels))
    yield of_logic("multiplier cells", array.macs, _multiplier_cell(cells))
    yield of_logic("weight registers", array.lanes, cells.register(WEIGHT_BITS))
    yield of_logic("second accumulators", array.macs, cells.register(SUM_BITS))
    yield of_logic("weight row buffers", array.lanes, row * (1 if array.kind == "dense" else 2))
    if array.kind != "dense":
        decoder = cells.register(BLOCK) + cells.adder(BLOCK)  # find the next of 16 bits
        yield of_logic("stream decoders", array.lanes, decoder)
    yield of_logic("fetch registers", 1, cells.register(8 * ACT_ROW_BYTES * array.pixels))
    yield of_logic("requantise units", array.drain_width, _requantiser(cells))


def _multiplier_cell(cells: Logic) -> Cell:
    """Zero point subtracted, product, sum; operand, product and sum in registers."""
    held = ENTRY_BITS + PRODUCT_BITS + SUM_BITS
    return (
        cells.adder(ENTRY_BITS)
        + cells.multiplier(WEIGHT_BITS, ENTRY_BITS)
        + cells.adder(SUM_BITS)
        + cells.register(held)
    )


def _requantiser(cells: Logic) -> Cell:
    """Bias, 32-bit multiply, rounding, a shifter of six stages, zero point and clip."""
    return (
        cells.adder(SUM_BITS)
        + cells.multiplier(SUM_BITS, SUM_BITS)
        + cells.adder(SCALED_BITS)
        + cells.mux(2, SCALED_BITS) * 6
        + cells.adder(ENTRY_BITS) * 2
        + cells.register(SCALED_BITS + ACTIVATION_BITS)
    )
