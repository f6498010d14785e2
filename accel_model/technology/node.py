"""The nodes that there are figures for, and how logic scales from 45 nm to them."""

from __future__ import annotations

import math

from zeroskip.accel_model.errors import ZeroskipError

NODES = {"45nm": 45, "22nm": 22}  # nanometres

# A. Stillmaker and B. Baas, "Scaling equations for the accurate prediction of CMOS device
# performance from 180 nm to 7 nm", Integration 58 (2017): area relative to 45 nm, and energy
# a v^2 + b v + c at supply v, relative to other nodes; as tabulated by the package hwcomponents.
AREA = {45: 1.0, 32: 0.46, 20: 0.21}
ENERGY = {
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.373, -0.1582, 0.04104),
}
SUPPLY = {45: 0.9, 22: 0.8}  # volts: of Horowitz's table; nominal at 22 nm (ITRS)


class TechnologyError(ZeroskipError):
    """A node, a memory or a kind of DRAM that there are no figures for."""


def nanometres(node: str) -> int:
    """The node's number; TechnologyError if there are no figures for it."""
    if node not in NODES:
        raise TechnologyError(
            f"there are no figures for node {node[:50]!r}; it is one of {', '.join(NODES)}"
        )
    return NODES[node]


def logic_area(node: str) -> float:
    """Area of logic, relative to that of the same logic at 45 nm."""
    return _between(AREA, nanometres(node))


def logic_energy(node: str) -> float:
    """Energy of an operation of logic, relative to the same at 45 nm and 0.9 V."""
    size = nanometres(node)
    volts = SUPPLY[size]
    a, b, c = ENERGY[45]
    of_45 = a * SUPPLY[45] ** 2 + b * SUPPLY[45] + c
    return (
        _between({at: a * volts**2 + b * volts + c for at, (a, b, c) in ENERGY.items()}, size)
        / of_45
    )


def _between(table: dict[int, float], size: int) -> float:
    """The table's value at a node, between two of its nodes log-log."""
    if size in table:
        return table[size]
    low, high = max(at for at in table if at < size), min(at for at in table if at > size)
    share = math.log(size / low) / math.log(high / low)
    return math.exp((1 - share) * math.log(table[low]) + share * math.log(table[high]))
