"""The accelerator of Zhu et al. (TVLSI 2020): a non-zero weight by a vector of inputs a cycle.

PEs with a filter and a vector of neighbouring outputs each. A generator holds the inputs of a block
of channels that the vector's window covers and gives every PE the ones its weight wants. Zero
inputs take their time; their multipliers are gated. docs/arrays/zhu.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    MULTIPLY,
    PADDING,
    SETUP,
    ArrayError,
    Case,
    FilterSet,
    Int32,
    Int64,
    Kind,
    Slot,
    StreamPlacement,
    Timing,
    beside,
)
from zeroskip.accel_model.arrays.tile_counts import (
    MULTIPLIED,
    SUPPLY,
    filters_at,
    looked_at,
    mask_of,
    result_events,
    supplies,
    supply_cycles,
    window_pixels,
)
from zeroskip.accel_model.formats import BITMAP, WeightFormat
from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.physics.common import SUM_BYTES, Widths, node_of
from zeroskip.accel_model.physics.cost import alike, named
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.traffic import Price
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import (
    ACT_ROW,
    AccelSpec,
    Energy,
    channelwise_outputs,
    cycles_to_last_row,
    number,
)
from zeroskip.accel_model.technology import logic


@dataclass(frozen=True)
class ZhuGeometry:
    """PEs of a vector of multipliers."""

    kind: str
    pes: int = number("filters in flight, a PE and a bank of WGT each", 1, 256)
    vector: int = number("neighbouring outputs that a weight is multiplied for", 1, 256)
    block_pixels: int = number("pixels of 16 channels in each of the two block buffers", 1, 1 << 16)
    fetch_rows: int = number("rows of ACT that are read into a block buffer in a cycle", 1, 64)
    drain_width: int = number("sums that leave the PEs in a cycle", 1, 256)
    pixels: int = channelwise_outputs()
    pipeline_cycles: int = cycles_to_last_row("the last sum")

    @property
    def macs(self) -> int:
        """Multipliers."""
        return self.pes * self.vector

    @property
    def dimensions(self) -> str:
        return f"{self.pes} PEs of {self.vector}"


@dataclass(frozen=True)
class ZhuEnergy(Energy):
    """Picojoules per event."""

    gated: float = number("a multiplier that holds still at a zero input", 0)
    generated: float = number("a vector of inputs chosen from the block buffer", 0)
    block_input: float = number(
        "an input written to the copies of the block buffer", 0, default=0.0
    )


class ZhuKind(Kind[ZhuGeometry]):
    """Weights that are not zero, one a cycle; block by block in step."""

    name = "zhu"
    Geometry = ZhuGeometry
    Energy = ZhuEnergy
    gates = True
    in_rows = False
    events = beside(MULTIPLIED, gated="gated", generated="vectors", block_input="block_written")
    reference = "zeroskip.accel_model.reference.zhu:step"
    slots = (
        MULTIPLY,
        Slot(
            "fragmentation", "multipliers of outputs that the last vector of a tile lacks", "ragged"
        ),
        PADDING,
        Slot("imbalance", "PEs waiting for the one with the most weights of a block", "imbalance"),
        Slot("fetch", "waiting for the inputs of a block", "fetch"),
        CONFLICTS,
        Slot("drain", "waiting for sums to leave the PEs, and for the end", "drain"),
        SUPPLY,
        Slot("unused", "PEs without a filter", "ragged"),
        CHANNELWISE,
        SETUP,
    )

    def format(self, geometry: ZhuGeometry) -> WeightFormat:
        return BITMAP

    def banks(self, geometry: ZhuGeometry) -> int:
        """One for each PE."""
        return geometry.pes

    def sram_bytes(self, spec: AccelSpec) -> int:
        """Two block buffers of a row of ACT a pixel, and two sets of sums of 4 bytes."""
        array = self.geometry(spec)
        return 2 * spec.act_row_bytes * array.block_pixels + 2 * SUM_BYTES * array.macs

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """Of the two block buffers one is written, ``fetch_rows`` rows in a cycle. Each PE reads a
        copy of its own, which is not declared as a port: ``parts`` has the copies."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        buffers = Resource(
            "block buffers",
            2 * array.fetch_rows,
            spec.act_row_bytes * -(-array.block_pixels // array.fetch_rows),
            spec.act_row_bytes,
            (PartPort("fetch", "w", 1 / 2, ("block_written",), value),),
        )
        generators = Resource(
            "input generators",
            array.pes,
            0,
            array.vector * value,
            (PartPort("PE", "r", flows=("generated",), unit=value),),
        )
        sums = Resource(
            "sums",
            array.macs,
            2 * SUM_BYTES,
            SUM_BYTES,
            (
                PartPort("adder", "r", flows=("sums_read",)),
                PartPort("adder", "w", flows=("sums_written",)),
            ),
        )
        return (*super().resources(spec), buffers, generators, sums)

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        """A PE has block buffers of its own and takes a channel of what it reads of them."""
        array, cells, bits = self.geometry(spec), logic(node_of(spec)), Widths.of(spec)
        for part in super().parts(spec):
            yield part.times(array.pes) if part.name == "block buffers" else part
        width = array.vector * spec.storage.activation_bytes
        channel = cells.mux(BLOCK, array.vector * bits.activation)
        yield of_logic("input generators", array.pes, channel, width)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        """A vector begins anywhere, so it is read as two words of its channel. An input is written
        to all copies, and compared with zero where it is not multiplied. A product's sum is read
        and written."""
        common, cells = super().event_energy(spec), logic(node_of(spec))
        buffers, chosen, sums = (
            named(spec, name) for name in ("block buffers", "input generators", "sums")
        )
        value = spec.storage.activation_bytes / buffers.width
        own = {
            "mac": named(spec, "multiplier cells").read_pj + sums.read_pj + sums.write_pj,
            "gated": cells.adder(Widths.of(spec).entry).pj,
            "generated": 2 * buffers.read_pj * chosen.width / buffers.width + chosen.read_pj,
            "block_input": buffers.write_pj * value * self.geometry(spec).pes,
        }
        return common | alike(own)

    def placement(self, geometry: ZhuGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.pes)

    def granule(self, geometry: ZhuGeometry, mode: int) -> int:
        return geometry.vector

    def order(self, geometry: ZhuGeometry, work: Int64) -> Int32:
        """Filters of similar weights beside each other."""
        return np.argsort(-work, kind="stable").astype(np.int32)

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        array, window, filters = self.geometry(spec), case.window, case.filters
        pixels = window_pixels(window, array.vector)
        if int(pixels.max()) > array.block_pixels:
            raise ArrayError(
                f"a vector of {array.vector} outputs looks at {int(pixels.max())} pixels and a "
                f"block buffer holds {array.block_pixels}; make tiles of fewer columns"
            )
        fetches = np.maximum(-(-pixels // array.fetch_rows), 1)
        counts = _block_counts(filters)  # [F, blocks]
        starts = np.arange(0, len(filters), array.pes)
        sizes = np.diff(np.append(starts, len(filters)))
        times = np.maximum(np.maximum.reduceat(counts, starts, axis=0), 1)  # [G, blocks]
        outputs = np.minimum(array.vector, window.outputs - np.arange(len(pixels)) * array.vector)
        end, fetch_wait = _walk(fetches, times, sizes, outputs, array.drain_width)
        vectors, words = len(pixels), filters.words * len(pixels)
        rows = int(pixels.sum()) * len(starts) * blocks(filters.shape.channels)
        needs = supplies(spec, self.datapath(spec), case, words, ACT_ROW * rows)
        late = supply_cycles(end, needs)
        cycles = end + late + array.pipeline_cycles
        every, real = filters.products(window)
        busy = vectors * int(times.sum())
        worked = vectors * int((times.sum(axis=1) * sizes).sum()) * array.vector
        issued = vectors * filters.nonzeros * array.vector
        mask = mask_of(case)
        products = int((filters_at(filters, zeros=False) * looked_at(mask, window)).sum())
        drain = cycles - late - busy - fetch_wait
        results = result_events(case, array.pes)
        return Timing(
            cycles,
            {
                "multiply": real,
                "padding": every - real,
                "fragmentation": issued - every,
                "imbalance": worked - issued,
                "fetch": fetch_wait * array.macs,
                "drain": drain * array.macs,
                "supply": late * array.macs,
                "unused": busy * array.macs - worked,
            },
            {
                **results,
                "act_rows": results["act_rows"] + rows,
                "wgt_words": words,
                "multiplies": products,
                "gated": every - products,
                "vectors": vectors * filters.nonzeros,
            },
            traffic={
                "block_written": ACT_ROW * rows,
                "generated": array.vector * vectors * filters.nonzeros,
                "sums_read": SUM_BYTES * every,
                "sums_written": SUM_BYTES * every,
            },
        )


@lru_cache(maxsize=256)
def _blocks_of(channels: int, taps: int) -> Int64:
    """int64 [blocks]: the first position of each block of 16 channels, canonical order."""
    return np.arange(0, channels, 16, dtype=np.int64) * taps


def _block_counts(filters: FilterSet) -> Int64:
    """int64 [F, blocks]: weights that are not zero of each block of channels."""
    found: Int64 | None = filters.memo.get("blocks")
    if found is None:
        starts = _blocks_of(filters.shape.channels, filters.shape.taps)
        found = np.add.reduceat(filters.stored, starts, axis=1, dtype=np.int64)
        filters.memo["blocks"] = found
    return found


@njit_cached
def _walk(
    fetches: Int64, times: Int64, sizes: Int64, outputs: Int64, drain_width: int
) -> tuple[int, int]:
    """Vector by vector, group by group, block by block: the last drain's end, and cycles that PEs
    wait for a block.

    fetches: int64 [V]; times: int64 [G, blocks]; sizes: int64 [G]; outputs: int64 [V].
    """
    fetched, done, done_before = 0, 0, 0  # block k; PEs: block k - 1, block k - 2
    drained, drained_before = 0, 0  # pass p - 1, pass p - 2
    fetch_wait = 0
    for v in range(len(fetches)):
        for g in range(len(times)):
            for b in range(times.shape[1]):
                fetched = max(fetched, done_before) + fetches[v]
                free = max(done, drained_before) if b == 0 else done
                start = max(free, fetched)
                fetch_wait += start - free
                done_before, done = done, start + times[g, b]
            drained_before, drained = (
                drained,
                max(done, drained) + (sizes[g] * outputs[v] + drain_width - 1) // drain_width,
            )
    return drained, fetch_wait


ZHU = ZhuKind()
