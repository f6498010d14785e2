"""What architects compare by: area and energy by part, power, EDP, TOPS a watt and a square mm.

All of one image's time on the accelerator: what stays on the CPU has no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zeroskip.accel_model import physics
from zeroskip.accel_model.spec import AccelSpec

PARTS: dict[str, tuple[str, tuple[str, ...]]] = {  # group: its event, names of its parts
    "multipliers": (
        "mac",
        (
            "multiplier cells",
            "weight registers",
            "second accumulators",
            "stream decoders",
            "stream skippers",
        ),
    ),
    "windows": (
        "window_byte",
        ("windows", "window multiplexers", "fetch registers", "padding comparators"),
    ),
    "row registers": (
        "row_byte",
        ("row registers", "row multiplexers", "kernel row selectors", "row adders"),
    ),
    "ACT": ("act_row", ("ACT", "fetch crossbar", "load and store row buffers")),
    "WGT": ("wgt_word", ("WGT", "weight row buffers", "gang selectors")),
    "ACC": ("acc_row", ("ACC",)),
    "requantise": ("requantise", ("PAR", "staging", "requantize units", "addition units")),
    "tables": ("lookup", ("result tables", "result multiplexers")),
    "DRAM": ("dram_byte", ()),
}
OWN = "the array's own"  # parts and events of a kind that no group names
FLOORPLAN, LEAKAGE, IDLE_DRAM = "clock network, filler cells", "leakage", "idle DRAM"


@dataclass(frozen=True)
class Efficiency:
    """One image on the accelerator.

    node: of the chip. area: mm2 by part of ``PARTS``, and ``FLOORPLAN``. energy: microjoules by
    part of ``PARTS``, ``LEAKAGE`` and ``IDLE_DRAM``, the latter two for as long as the image takes.
    area_mm2, microjoules: their sums. milliwatts: mean power. edp: energy x time, microjoule
    milliseconds. images_a_second: of the accelerator's time alone. Tera-operations a second, two to
    a multiply: peak_tops, of all multipliers; tops, of multiplies by weights that are not zero and
    inputs that are not padding; dense_tops, as if all multiplies of the dense network were done.
    peak_tops_a_watt: with nothing but multiplies to pay for. The others are those rates over power
    and area.
    """

    node: str
    area: dict[str, float]
    area_mm2: float
    energy: dict[str, float]
    microjoules: float
    milliwatts: float
    edp: float
    images_a_second: float
    peak_tops: float
    tops: float
    dense_tops: float
    peak_tops_a_watt: float
    tops_a_watt: float
    dense_tops_a_watt: float
    peak_tops_a_mm2: float
    tops_a_mm2: float
    dense_tops_a_mm2: float


def efficiency(
    spec: AccelSpec,
    milliseconds: float,
    energy: Mapping[str, float],
    real_macs: float,
    macs: float,
) -> Efficiency | None:
    """Of an image that takes so long; None if nothing ran or the target names no technology.

    energy: microjoules by event. real_macs, macs: multiplies that were not by zero or padding, and
    all of the dense network.
    """
    if spec.technology is None or not milliseconds:
        return None
    chip = physics.physics(spec)
    area = {
        group: sum(part.area_mm2 for part in chip.parts if part.name in names)
        for group, (event, names) in PARTS.items()
        if names and event in energy
    }
    grouped = {name for _, names in PARTS.values() for name in names}
    rest = sum(part.area_mm2 for part in chip.parts if part.name not in grouped)
    area |= ({OWN: rest} if rest else {}) | {FLOORPLAN: chip.floorplan_mm2}
    known = {event for event, _ in PARTS.values()}
    own = sum(microjoules for event, microjoules in energy.items() if event not in known)
    spent = {group: energy[event] for group, (event, _) in PARTS.items() if event in energy}
    spent |= ({OWN: own} if own else {}) | {
        LEAKAGE: chip.leakage_mw * milliseconds,
        IDLE_DRAM: chip.dram_mw * milliseconds,
    }
    whole = sum(spent.values())
    watts = whole / milliseconds / 1000
    peak = 2 * spec.array.macs * spec.clock_mhz / 1e6
    tops, dense = (2 * count / milliseconds / 1e9 for count in (real_macs, macs))
    mac = physics.energy(spec).mac
    return Efficiency(
        node=spec.technology.node,
        area=area,
        area_mm2=chip.area_mm2,
        energy=spent,
        microjoules=whole,
        milliwatts=watts * 1000,
        edp=whole * milliseconds,
        images_a_second=1000 / milliseconds,
        peak_tops=peak,
        tops=tops,
        dense_tops=dense,
        peak_tops_a_watt=2 / mac if mac else 0.0,
        tops_a_watt=tops / watts if watts else 0.0,
        dense_tops_a_watt=dense / watts if watts else 0.0,
        peak_tops_a_mm2=peak / chip.area_mm2,
        tops_a_mm2=tops / chip.area_mm2,
        dense_tops_a_mm2=dense / chip.area_mm2,
    )


RATES = ("mm2", "mW", "uJ", "uJ ms", "images/s", "TOPS", "TOPS/W", "TOPS/mm2")
RATES_SENTENCE = (
    "mW: mean power; uJ: with leakage and idle DRAM; uJ ms: energy x time; TOPS: two operations to "
    "a multiply of the dense network, skipped ones too"
)


def rates(of: Efficiency) -> tuple[str, ...]:
    """The cells of ``RATES``."""
    return (
        f"{of.area_mm2:.2f}",
        f"{of.milliwatts:,.1f}",
        f"{of.microjoules:,.1f}",
        f"{of.edp:,.2f}",
        f"{of.images_a_second:,.1f}",
        f"{of.dense_tops:.3f}",
        f"{of.dense_tops_a_watt:.3f}",
        f"{of.dense_tops_a_mm2:.3f}",
    )
