"""What a target is built of, and what that costs: parts with ports, area, leakage, energy.

``part`` builds a memory as the smallest macro that serves its ports within the clock, ``traffic``
names what is counted through ports, ``common`` has what every target is built of, ``lane_array``
the lanes, ``cost`` adds them up: area, standing power, and the energy of each event that the
machine counts. ``check`` refuses what cannot be built, ``doubts`` warns of what makes no sense.
docs/PHYSICS.md walks through the ports.
"""

from zeroskip.accel_model.physics.buildable import check
from zeroskip.accel_model.physics.cost import (
    Physics,
    energy,
    flows,
    named,
    parts,
    physics,
    prices,
    resources,
)
from zeroskip.accel_model.physics.part import Part, PartPort, Resource
from zeroskip.accel_model.physics.sense import doubts
from zeroskip.accel_model.physics.traffic import Price, Split

__all__ = [
    "Part",
    "PartPort",
    "Physics",
    "Price",
    "Resource",
    "Split",
    "check",
    "doubts",
    "energy",
    "flows",
    "named",
    "parts",
    "physics",
    "prices",
    "resources",
]
