"""What a target is built of, and what that costs: parts with ports, area, leakage, energy.

``part`` builds a memory as the smallest macro that serves its ports within the clock,
``lane_array`` lists the parts of a target, ``cost`` adds them up: area, standing power, and the
energy of each event that the machine counts. docs/PHYSICS.md walks through the ports.
"""

from zeroskip.accel_model.physics.cost import Physics, check, energy, physics
from zeroskip.accel_model.physics.lane_array import parts
from zeroskip.accel_model.physics.part import Part, Port

__all__ = ["Part", "Physics", "Port", "check", "energy", "parts", "physics"]
