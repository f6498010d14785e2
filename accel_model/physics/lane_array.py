"""The parts of the lane array, each memory with the ports that docs/PHYSICS.md walks through, and
what its events cost."""

from __future__ import annotations

import math
from collections.abc import Iterator

from zeroskip.accel_model.physics.common import (
    ACTIVATION_BITS,
    BLOCK,
    WEIGHT_BITS,
    built,
    memories,
    multipliers,
    node_of,
    requantizers,
    stream_row_bytes,
)
from zeroskip.accel_model.physics.cost import clocked, common_energy, parts
from zeroskip.accel_model.physics.part import Part, PartPort, of_logic
from zeroskip.accel_model.spec import ACT_ROW_BYTES, AccelSpec
from zeroskip.accel_model.technology import logic
from zeroskip.accel_model.technology.logic import CLOCK_AREA, FILLER_AREA
from zeroskip.accel_model.timing.lane_array import Lanes

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


def lane_parts(spec: AccelSpec, array: Lanes, *, lock_step: bool) -> Iterator[Part]:
    """Everything on the chip that is charged: memories, then logic.

    Windows are 16 banks by channel: the entry of channel c in bank c, so that a fetch of 16
    channels is written in one cycle and a lane reads one entry. Not charged: the decoders of
    instructions and addresses, the tokens' queues and the DRAM interface's own logic.
    """
    yield from memories(spec)
    windows = 1 if lock_step else array.lanes
    yield built(
        spec,
        "windows",
        windows * BLOCK,
        max(1, array.window_entries // BLOCK) * array.pixels,
        array.pixels,
        (PartPort("fetch", "w"), PartPort("lane", "r")),
    )
    cells = logic(node_of(spec))
    row = cells.register(8 * stream_row_bytes(spec))
    yield of_logic("window multiplexers", windows, cells.mux(BLOCK, 8 * array.pixels))
    yield from multipliers(spec)
    yield of_logic("weight registers", array.lanes, cells.register(WEIGHT_BITS))
    yield of_logic("weight row buffers", array.lanes, row * (1 if lock_step else 2))
    if not lock_step:
        decoder = cells.register(BLOCK) + cells.adder(BLOCK)  # find the next of 16 bits
        yield of_logic("stream decoders", array.lanes, decoder)
    yield of_logic("fetch registers", 1, cells.register(8 * ACT_ROW_BYTES * array.pixels))
    yield requantizers(spec)


def lane_energy(spec: AccelSpec, array: Lanes, *, lock_step: bool) -> dict[str, float]:
    """Picojoules of each event. An entry goes from the fetch unit to all lanes."""
    cost = {part.name: part for part in parts(spec)}
    window, pixels = cost["windows"], array.pixels
    wire = logic(node_of(spec)).wire_pj * ACTIVATION_BITS * pixels
    broadcast = wire * broadcast_mm(spec, array)
    read = window.read_pj + cost["window multiplexers"].read_pj
    write = window.write_pj
    if lock_step:  # one window, whose entry goes to all lanes
        read += broadcast
    else:  # an entry goes to the windows of all lanes, each of which counts a write
        write += broadcast / array.lanes
    return common_energy(spec) | {
        "mac": clocked(
            cost["multiplier cells"].read_pj + cost["weight registers"].write_pj / pixels
        ),
        "window_byte": clocked((read + write) / 2 / pixels),
    }


def broadcast_mm(spec: AccelSpec, array: Lanes) -> float:
    """Wire that brings a bit from the fetch unit to all lanes, millimetres: lanes on a square grid,
    a trunk along one side and a branch along each row."""
    lanes = sum(part.area_mm2 for part in parts(spec) if part.name in BESIDE_LANES)
    return math.sqrt(lanes / (1 - CLOCK_AREA - FILLER_AREA)) * (math.sqrt(array.lanes) + 1)
