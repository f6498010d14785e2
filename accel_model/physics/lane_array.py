"""The parts of the lane array, each memory with the ports that docs/PHYSICS.md walks through, and
what its events cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

from zeroskip.accel_model.physics.common import (
    ACTIVATION_BITS,
    BLOCK,
    WEIGHT_BITS,
    Datapath,
    built,
    memories,
    multipliers,
    node_of,
    paths,
    results,
    stream_row_bytes,
)
from zeroskip.accel_model.physics.cost import clocked, common_energy, parts
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.traffic import WINDOW_SPLIT, Price
from zeroskip.accel_model.spec import ACT_ROW_BYTES, WGT_WORD_BYTES, AccelSpec
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


class GangedLanes(Lanes, Protocol):
    """The numbers of a lane array on which its parts depend (``arrays.lanes.LaneGeometry``)."""

    @property
    def max_gang(self) -> int: ...


def windows_of(array: GangedLanes, *, lock_step: bool) -> int:
    """Windows: one for each lane; of lanes in lock step one for each member of a gang, since the
    members take the same weight, each with other outputs."""
    return 1 << array.max_gang if lock_step else array.lanes


def lane_datapath(array: GangedLanes) -> Datapath:
    """A lane takes a word of its stream a cycle."""
    return Datapath(results=array.drain_width, stream_bytes=WGT_WORD_BYTES)


def lane_resources(spec: AccelSpec, array: GangedLanes, *, lock_step: bool) -> tuple[Resource, ...]:
    """Memories and paths with their ports.

    Windows are 16 banks by channel: the entry of channel c in bank c, so that a fetch of 16
    channels is written in one cycle, and one bank is read. A fetch of as many rows as a lane has
    pixels is broadcast.
    """
    way = lane_datapath(array)
    windows = Resource(
        "windows",
        windows_of(array, lock_step=lock_step) * BLOCK,
        max(1, array.window_entries // BLOCK) * array.pixels,
        array.pixels,
        (
            PartPort("fetch", "w", flows=WINDOW_SPLIT.writes),
            PartPort("lane", "r", 1 / BLOCK, WINDOW_SPLIT.reads),
        ),
    )
    broadcast = Resource(
        "fetch registers",
        1,
        0,
        ACT_ROW_BYTES * array.pixels,
        (PartPort("fetch", "w", flows=("act_fetched",)),),
    )
    return (*memories(spec, way), windows, broadcast, *paths(spec, way))


def lane_parts(spec: AccelSpec, array: GangedLanes, *, lock_step: bool) -> Iterator[Part]:
    """Everything on the chip that is charged: memories, then logic. Not charged: the decoders of
    instructions and addresses, the tokens' queues and the DRAM interface's own logic."""
    declared = {one.name: one for one in lane_resources(spec, array, lock_step=lock_step)}
    yield from (built(spec, one) for one in declared.values() if one.bytes)
    cells = logic(node_of(spec))
    row = cells.register(8 * stream_row_bytes(spec))
    windows, fetch = windows_of(array, lock_step=lock_step), declared["fetch registers"]
    yield of_logic("window multiplexers", windows, cells.mux(BLOCK, 8 * array.pixels))
    yield from multipliers(spec)
    yield of_logic("weight registers", array.lanes, cells.register(WEIGHT_BITS))
    yield of_logic("weight row buffers", array.lanes, row * (1 if lock_step else 2))
    if not lock_step:
        decoder = cells.register(BLOCK) + cells.adder(BLOCK)  # find the next of 16 bits
        yield of_logic("stream decoders", array.lanes, decoder)
    held = cells.register(8 * fetch.width)
    yield of_logic(fetch.name, fetch.count, held, fetch.width, fetch.ports)
    yield from results(spec, lane_datapath(array))


def lane_energy(spec: AccelSpec, array: GangedLanes, *, lock_step: bool) -> dict[str, Price]:
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
    mac = cost["multiplier cells"].read_pj + cost["weight registers"].write_pj / pixels
    return common_energy(spec) | {
        "mac": Price.alike(clocked(mac)),
        "window_byte": Price(clocked(read) / pixels, clocked(write) / pixels),
    }


def broadcast_mm(spec: AccelSpec, array: GangedLanes) -> float:
    """Wire that brings a bit from the fetch unit to all lanes, millimetres: lanes on a square grid,
    a trunk along one side and a branch along each row."""
    lanes = sum(part.area_mm2 for part in parts(spec) if part.name in BESIDE_LANES)
    return math.sqrt(lanes / (1 - CLOCK_AREA - FILLER_AREA)) * (math.sqrt(array.lanes) + 1)
