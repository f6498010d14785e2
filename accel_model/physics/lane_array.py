"""The parts of the lane array, each memory with the ports that docs/PHYSICS.md walks through, and
what its events cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

from zeroskip.accel_model.physics.common import (
    BLOCK,
    Datapath,
    Widths,
    built,
    gang_selectors,
    memories,
    multipliers,
    node_of,
    paths,
    results,
    rows_of_results,
    stream_row_bytes,
    unit_stream_bytes,
)
from zeroskip.accel_model.physics.cost import clocked, common_energy, parts
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.traffic import ROW_SPLIT, WINDOW_SPLIT, Price
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.technology import logic
from zeroskip.accel_model.technology.logic import CLOCK_AREA, FILLER_AREA
from zeroskip.accel_model.timing.lane_array import Lanes
from zeroskip.accel_model.timing.row_unit import RowUnit

IMAGE_BITS = 20  # of a row or column of an image
ROW_REGISTERS = 4  # two of the input and two of an operand, filled and read in turn
BESIDE_LANES = (
    "WGT",
    "windows",
    "window multiplexers",
    "multiplier cells",
    "weight registers",
    "second accumulators",
    "weight row buffers",
    "stream decoders",
    "stream skippers",
    "gang selectors",
)


class GangedLanes(Lanes, Protocol):
    """The numbers of a lane array on which its parts depend (``arrays.lane_geometry``)."""

    @property
    def max_gang(self) -> int: ...
    @property
    def row_pixels(self) -> int: ...
    @property
    def fetch_quads(self) -> int: ...
    @property
    def skip_padding(self) -> int: ...


def windows_of(array: GangedLanes, *, lock_step: bool) -> int:
    """Windows: one for each lane; of lanes in lock step one for each member of a gang, since the
    members take the same weight, each with other outputs."""
    return 1 << array.max_gang if lock_step else array.lanes


def lane_datapath(spec: AccelSpec, array: GangedLanes) -> Datapath:
    """A lane takes a word of its stream a cycle, or two of 16-bit weights. Results leave in rows of
    16. The fetch unit serves several members of a gang at once."""
    width, taken = array.drain_width, unit_stream_bytes(spec)
    rows = rows_of_results(spec, width)
    return Datapath(results=width, rows=rows, stream_bytes=taken, quads=array.fetch_quads)


def lane_row_unit(spec: AccelSpec, array: GangedLanes) -> RowUnit | None:
    """The row registers: a channel has the multipliers of its share of the lanes, and their weight
    row buffers hold its kernel."""
    if not array.row_pixels:
        return None
    lanes = array.lanes // BLOCK
    return RowUnit(
        multipliers=lanes * array.pixels,
        register=array.row_pixels,
        fetch=array.pixels,
        banks=spec.sram.act_banks,
        written=lane_datapath(spec, array).rows,
        kernel=lanes * stream_row_bytes(spec) // spec.storage.weight_bytes,
    )


def _row_registers(spec: AccelSpec, array: GangedLanes) -> Resource:
    """Of each channel of a block: written as rows are fetched, read by all its multipliers."""
    multipliers, value = array.lanes // BLOCK * array.pixels, spec.storage.activation_bytes
    return Resource(
        "row registers",
        BLOCK,
        0,
        multipliers * value,
        (
            PartPort("fetch", "w", array.pixels / multipliers, ROW_SPLIT.writes, value),
            PartPort("multipliers", "r", 1, ROW_SPLIT.reads, value),
        ),
    )


def lane_resources(spec: AccelSpec, array: GangedLanes, *, lock_step: bool) -> tuple[Resource, ...]:
    """Memories and paths with their ports.

    Windows are 16 banks by channel: the entry of channel c in bank c, so that a fetch of 16
    channels is written in one cycle, and one bank is read. Quads, of as many rows as a lane has
    pixels, are broadcast, each to the lanes of its members of a gang.
    """
    way, value = lane_datapath(spec, array), spec.storage.activation_bytes
    windows = Resource(
        "windows",
        windows_of(array, lock_step=lock_step) * BLOCK,
        max(1, array.window_entries // BLOCK) * array.pixels * value,
        array.pixels * value,
        (
            PartPort("fetch", "w", flows=WINDOW_SPLIT.writes, unit=value),
            PartPort("lane", "r", 1 / BLOCK, WINDOW_SPLIT.reads, value),
        ),
    )
    broadcast = Resource(
        "fetch registers",
        1,
        0,
        spec.act_row_bytes * array.pixels * array.fetch_quads,
        (PartPort("fetch", "w", flows=("act_fetched",), unit=value),),
    )
    rows = (_row_registers(spec, array),) if array.row_pixels else ()
    return (*memories(spec, way), windows, broadcast, *rows, *paths(spec, way))


def lane_parts(spec: AccelSpec, array: GangedLanes, *, lock_step: bool) -> Iterator[Part]:
    """Everything on the chip that is charged: memories, then logic. Not charged: the decoders of
    instructions and addresses, the tokens' queues and the DRAM interface's own logic."""
    declared = {one.name: one for one in lane_resources(spec, array, lock_step=lock_step)}
    yield from (built(spec, one) for one in declared.values() if one.bytes)
    cells, bits = logic(node_of(spec)), Widths.of(spec)
    row = cells.register(8 * stream_row_bytes(spec))
    windows, fetch = windows_of(array, lock_step=lock_step), declared["fetch registers"]
    yield of_logic("window multiplexers", windows, cells.mux(BLOCK, bits.activation * array.pixels))
    yield from multipliers(spec)
    yield of_logic("weight registers", array.lanes, cells.register(bits.weight))
    buffers = 1 if lock_step and not array.row_pixels else 2
    yield of_logic("weight row buffers", array.lanes, row * buffers)
    if not lock_step:
        decoder = cells.register(BLOCK) + cells.adder(BLOCK)  # find the next of 16 bits
        yield of_logic("stream decoders", array.lanes, decoder)
    if array.skip_padding:
        yield from _padding_parts(spec, array, lock_step=lock_step)
    yield from gang_selectors(spec, array.lanes, array.max_gang)
    held = cells.register(8 * fetch.width)
    yield of_logic(fetch.name, fetch.count, held, fetch.width, fetch.ports)
    if (unit := lane_row_unit(spec, array)) is not None:
        yield from _row_parts(spec, unit, declared["row registers"])
    yield from results(spec, lane_datapath(spec, array))


def _padding_parts(spec: AccelSpec, array: GangedLanes, *, lock_step: bool) -> Iterator[Part]:
    """Whether the rows and columns of the image that a tap meets begin or end in padding; and in
    each lane how many weights of a stage are passed over, added to the address of the next. Lanes
    in lock step have one address."""
    cells = logic(node_of(spec))
    yield of_logic("padding comparators", 1, cells.adder(IMAGE_BITS) * 4)
    address = cells.adder((spec.sram.wgt_bytes // spec.wgt_banks).bit_length())
    if lock_step:
        yield of_logic("stream skippers", 1, address)
    else:
        yield of_logic("stream skippers", array.lanes, cells.adder(BLOCK) + address)


def _row_parts(spec: AccelSpec, unit: RowUnit, registers: Resource) -> Iterator[Part]:
    """The registers; for each multiplier a pixel of its channel's register and a weight of the
    kernel row; that row out of the buffers, into which the streams' banks are led; products summed
    from multiplier to multiplier of a group, and a group's accumulators."""
    cells, bits, count = logic(node_of(spec)), Widths.of(spec), BLOCK * unit.multipliers
    held = cells.register(bits.activation * unit.register) * ROW_REGISTERS
    yield of_logic(registers.name, BLOCK, held, registers.width, registers.ports)
    pixel = cells.mux(unit.register, bits.activation)
    weight = cells.mux(unit.multipliers, bits.weight)
    yield of_logic("row multiplexers", count, pixel + weight)
    line = bits.weight * unit.multipliers
    lines = max(1, unit.kernel // unit.multipliers)
    filled = cells.mux(max(1, spec.wgt_banks // BLOCK), 8 * unit_stream_bytes(spec))
    selected = cells.mux(lines, line) + cells.mux(2, line)
    yield of_logic("kernel row selectors", BLOCK, filled + selected)
    chain = bits.product + math.ceil(math.log2(unit.multipliers))
    summed = cells.adder(chain) + cells.register(chain) + cells.mux(3, bits.sum)
    yield of_logic("row adders", count, summed)


def lane_energy(spec: AccelSpec, array: GangedLanes, *, lock_step: bool) -> dict[str, Price]:
    """Picojoules of each event. An entry goes from the fetch unit to all lanes."""
    cost = {part.name: part for part in parts(spec)}
    window, pixels = cost["windows"], array.pixels
    wire = logic(node_of(spec)).wire_pj * Widths.of(spec).activation * pixels
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
        "row_byte": _row_energy(spec, array),
    }


def _row_energy(spec: AccelSpec, array: GangedLanes) -> Price:
    """A pixel of a channel written; read by a multiplier, with its weight and a sum passed on."""
    unit = lane_row_unit(spec, array)
    if unit is None:
        return Price.alike(0.0)
    cost, cells = {part.name: part for part in parts(spec)}, logic(node_of(spec))
    selected = cost["kernel row selectors"].read_pj / unit.multipliers
    read = cost["row multiplexers"].read_pj + selected + cost["row adders"].read_pj
    return Price(clocked(read), clocked(cells.register(Widths.of(spec).activation).pj))


def broadcast_mm(spec: AccelSpec, array: GangedLanes) -> float:
    """Wire that brings a bit from the fetch unit to all lanes, millimetres: lanes on a square grid,
    a trunk along one side for each quad that is fetched at once, and a branch along each row, whose
    lanes are those of one."""
    lanes = sum(part.area_mm2 for part in parts(spec) if part.name in BESIDE_LANES)
    return math.sqrt(lanes / (1 - CLOCK_AREA - FILLER_AREA)) * (
        math.sqrt(array.lanes) + array.fetch_quads
    )
