"""Logic that finds operands, as the arrays that skip zeros need it.

Each as small as it gets: a prefix network of the fewest adders, trees of two-input multiplexers.
"""

from __future__ import annotations

from zeroskip.accel_model.technology.logic import Cell, Logic


def bits_of(count: int) -> int:
    """Bits of a number below ``count``."""
    return max(1, (count - 1).bit_length())


def prefix_sums(cells: Logic, bits: int) -> Cell:
    """How many bits of a mask are set before each, by the network of R. P. Brent and H. T. Kung, "A
    regular layout for parallel adders" (IEEE TC 31, 1982): adders up a tree, of sums that grow by a
    bit a level, and down again, of whole ones. bits: of the mask, a power of two."""
    levels = bits_of(bits)
    up = [(bits >> level, cells.adder(level)) for level in range(1, levels + 1)]
    down = bits - 1 - levels
    whole = cells.adder(levels) * max(0, down)
    for count, adder in up:
        whole = whole + adder * count
    return whole


def priority_encoder(cells: Logic, bits: int) -> Cell:
    """The number of a mask's first bit: halves, each with the number of its first, chosen from."""
    return cells.mux(bits, bits_of(bits))
