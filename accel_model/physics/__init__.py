"""What a target is built of, and what that costs: parts with ports, area, leakage, energy.

``part`` builds a memory as the smallest macro that serves its ports within the clock,
``common`` has what every target is built of, ``lane_array`` the lanes, ``cost`` adds them up: area, standing power, and the
energy of each event that the machine counts. docs/PHYSICS.md walks through the ports.
"""

from zeroskip.accel_model.physics.cost import Physics, check, energy, named, parts, physics
from zeroskip.accel_model.physics.part import Part, PartPort

__all__ = ["Part", "PartPort", "Physics", "check", "energy", "named", "parts", "physics"]
