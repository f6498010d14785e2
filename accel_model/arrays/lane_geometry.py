"""The numbers of a lane array that a target gives: its geometry, and energies of its own if any."""

from __future__ import annotations

from dataclasses import dataclass

from zeroskip.accel_model.arrays.base import EVENTS
from zeroskip.accel_model.physics.traffic import ROW_SPLIT, SPLITS, WINDOW_SPLIT
from zeroskip.accel_model.spec import cycles_to_last_row, number


@dataclass(frozen=True)
class LaneGeometry:
    """The multiply-accumulate lanes."""

    kind: str
    lanes: int = number(
        "filters in flight in mode 0, each with its own weight bank; or the 16 channels of a block",
        16,
        256,
        power_of_two=True,
    )
    pixels: int = number("output pixels of a lane: multipliers per lane", 1, 64, power_of_two=True)
    max_gang: int = number("log2 of the most lanes that may share a filter", 0, 7)
    window_entries: int = number(
        "activation entries (one per weight position) that a lane's private window holds; a dense "
        "array has one for each lane of a gang, which all gangs share",
        32,
        1 << 16,
    )
    drain_width: int = number("outputs requantized per cycle", 1, 256, power_of_two=True)
    pipeline_cycles: int = cycles_to_last_row("the last output drained")
    row_pixels: int = number(
        "pixels of an image row, 16 channels of each, that a row register holds: depthwise and pools "
        "serve all taps of a kernel row from it; 0: no such registers, one tap after another",
        0,
        64,
        default=0,
    )
    fetch_quads: int = number(
        "quads of a gang that the fetch unit brings in a cycle, each to the lanes of other members",
        1,
        16,
        power_of_two=True,
        default=1,
    )
    skip_padding: int = number(
        "1: rows and columns of the kernel that find only padding are passed over, a cycle for each "
        "stage; 0: they are multiplied",
        0,
        1,
        default=0,
    )

    def together(self, gang: int) -> int:
        """Quads that are fetched at once for a gang, each of other members."""
        return min(self.fetch_quads, 1 << gang)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle at full use."""
        return self.lanes * self.pixels

    @property
    def dimensions(self) -> str:
        return f"{self.lanes}x{self.pixels}"


@dataclass(frozen=True)
class LaneEnergy:
    """Picojoules per event."""

    mac: float = number("a multiply, 8x9 bits in 8-bit storage, and 32-bit add", 0)
    window_byte: float = number("a byte read from or written to a lane's window", 0)
    act_row: float = number("a 16-byte ACT row read or written", 0)
    wgt_word: float = number("a 4-byte WGT word read or written", 0)
    acc_row: float = number("a 64-byte ACC row read or written", 0)
    requantise: float = number("a requantized output", 0)
    lookup: float = number("a row of a table of results read or written", 0)
    dram_byte: float = number("a byte on the DRAM bus", 0)
    row_byte: float = number("a byte written to or read from a row register", 0, default=0.0)


LANE_EVENTS = {**EVENTS, "window_byte": "window_bytes", "row_byte": "row_bytes"}
LANE_SPLITS = {**SPLITS, "window_byte": WINDOW_SPLIT, "row_byte": ROW_SPLIT}
