"""Groups of a convolution as block diagonals of weights."""

from __future__ import annotations

from math import gcd, lcm

import numpy as np

from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.compiler.ir.ops import Int8


def super_groups(channels: int, filters: int, groups: int) -> list[tuple[int, int, int, int]]:
    """(first channel, channels, first filter, filters) of the convolutions that stand for groups.

    Neighbouring groups are joined until both sides fill whole blocks of 16 channels; the weights
    between joined groups are zeros, which a skipping array does not spend time on.
    """
    per_in, per_out = channels // groups, filters // groups
    join = lcm(BLOCK // gcd(BLOCK, per_in), BLOCK // gcd(BLOCK, per_out))
    join = join if groups % join == 0 else groups
    return [
        (g * per_in, join * per_in, g * per_out, join * per_out) for g in range(0, groups, join)
    ]


def block_diagonal(weight: Int8, channels: int, groups: int) -> Int8:
    """[K, C/groups, ...] -> [K, C, ...] with zeros outside each filter's own group."""
    if groups == 1:
        return weight
    filters, per_in = weight.shape[:2]
    full = np.zeros((filters, channels, *weight.shape[2:]), np.int8)
    per_out = filters // groups
    for group in range(groups):
        k, c = slice(group * per_out, (group + 1) * per_out), group * per_in
        full[k, c : c + per_in] = weight[k]
    return full
