"""Operators, flip-flops, multiplexers and wires: energy, area and leakage from published tables.

At 45 nm; other nodes by ``node.logic_energy`` and ``node.logic_area``. Sources:

- M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, fig. 1.1.9,
  0.9 V, and the areas of the same table in his talk: adders and multipliers of 8 to 32 bits. A
  multiplier between two sizes is log-log in the product of its operands' widths, an adder linear.
- Y. S. Shao et al., "Aladdin", ISCA 2014, 40 nm (the half node of 45 nm, taken as it is): a
  flip-flop, 9 fJ and 5.98 um2; leakage, 0.08 mW for a multiplier of 6350 um2.
- Nangate 45 nm Open Cell Library: MUX2_X1, 1.862 um2; its energy is that of as much of an adder.
- S. W. Keckler et al., "GPUs and the future of parallel computing", IEEE Micro 31 (2011), table 1:
  256 bits over 10 mm, 310 pJ at 40 nm, 200 pJ at 10 nm; other nodes log-log.
- T. Chen et al., "DianNao", ASPLOS 2014, table 6: the clock network takes 27.16 % of the power
  and 2.27 % of the area of the chip, cells that fill rows 26.85 % of the area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from zeroskip.accel_model.technology.node import logic_area, logic_energy, nanometres

ADDERS = {8: (0.03, 36.0), 16: (0.05, 67.0), 32: (0.1, 137.0)}  # bits: pJ, um2
MULTIPLIERS = {8 * 8: (0.2, 282.0), 32 * 32: (3.1, 3495.0)}  # product of bits: pJ, um2
FLIP_FLOP = (0.009, 5.98)  # pJ of a bit written, its clock included; um2
MUX2 = 1.862  # um2 of a bit
LEAKAGE = 0.08 / 6350  # mW for each um2
WIRES = {40: 310 / (256 * 10), 10: 200 / (256 * 10)}  # nm: pJ for each bit and mm

CLOCK_POWER = 0.2716  # of what the chip takes
CLOCK_AREA = 0.0227  # of the chip
FILLER_AREA = 0.2685  # of the chip


@dataclass(frozen=True)
class Cell:
    """A piece of logic. pj: picojoules of a use. area_mm2: square millimetres. leakage_mw:
    milliwatts, always."""

    pj: float
    area_mm2: float
    leakage_mw: float

    def __add__(self, other: Cell) -> Cell:
        """Both, used together."""
        return Cell(
            self.pj + other.pj,
            self.area_mm2 + other.area_mm2,
            self.leakage_mw + other.leakage_mw,
        )

    def __mul__(self, count: float) -> Cell:
        """So many, used together."""
        return Cell(self.pj * count, self.area_mm2 * count, self.leakage_mw * count)


@dataclass(frozen=True)
class Logic:
    """Logic of a node. energy, area: relative to 45 nm. wire_pj: of a bit over a millimetre."""

    energy: float
    area: float
    wire_pj: float

    def multiplier(self, first: int, second: int) -> Cell:
        """An integer multiplier of operands of so many bits."""
        return self._cell(*(_power(MULTIPLIERS, first * second, index) for index in (0, 1)))

    def adder(self, bits: int) -> Cell:
        """An integer adder, or a comparator."""
        return self._cell(*(_linear(bits, index) for index in (0, 1)))

    def register(self, bits: int) -> Cell:
        """Flip-flops; a use writes all of them."""
        return self._cell(FLIP_FLOP[0] * bits, FLIP_FLOP[1] * bits)

    def mux(self, inputs: int, bits: int) -> Cell:
        """A multiplexer, a tree of two-input ones; a use lets one input through (a path)."""
        pj, area = ADDERS[8]
        depth = math.ceil(math.log2(inputs)) if inputs > 1 else 0
        return self._cell(depth * bits * MUX2 * pj / area, (inputs - 1) * bits * MUX2)

    def _cell(self, pj: float, um2: float) -> Cell:
        return Cell(pj * self.energy, um2 * self.area / 1e6, LEAKAGE * um2 * self.energy)


@lru_cache(maxsize=8)
def logic(node: str) -> Logic:
    """Logic of the node; TechnologyError if there are no figures for it. A block's leakage scales
    as its energy does (the rule of the package hwcomponents)."""
    return Logic(logic_energy(node), logic_area(node), _power(WIRES, nanometres(node)))


def _power(
    table: dict[int, tuple[float, float]] | dict[int, float], at: int, index: int = 0
) -> float:
    """The power law through both points of a table."""
    (first, low), (second, high) = (
        (key, row[index] if isinstance(row, tuple) else row) for key, row in table.items()
    )
    return float(low * (at / first) ** (math.log(high / low) / math.log(second / first)))


def _linear(bits: int, index: int) -> float:
    """Between the adders of the table, and beyond its ends along the nearest two."""
    sizes = sorted(ADDERS)
    low = max((size for size in sizes[:-1] if size <= bits), default=sizes[0])
    high = sizes[sizes.index(low) + 1]
    slope = (ADDERS[high][index] - ADDERS[low][index]) / (high - low)
    return max(ADDERS[low][index] + slope * (bits - low), 0.0)
