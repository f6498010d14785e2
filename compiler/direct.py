"""Running without TVM: a host that only quantises, calls one program and dequantises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scaling:
    """``real = scale * (value - zero_point)`` in float32, as TVM's quantize and dequantize."""

    scale: float
    zero_point: int
    dtype: str
    shape: tuple[int, ...]

    def quantise(self, real: Array) -> Array:
        """Round half to even, as ``relax.quantize`` does on TVM's CPU."""
        limits = np.iinfo(self.dtype)
        steps = np.rint(real / np.float32(self.scale)) + np.float32(self.zero_point)
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def dequantise(self, value: Array) -> Array:
        """float32 of the network's output shape."""
        centred = (value.astype(np.int32) - self.zero_point).astype(np.float32)
        return (centred * np.float32(self.scale)).reshape(self.shape)


@dataclass(frozen=True)
class DirectPlan:
    """One program, the scaling of each of its inputs and outputs, and which network input (output)
    each is, in the program's order."""

    program: str
    inputs: tuple[tuple[int, Scaling], ...]
    outputs: tuple[tuple[int, Scaling], ...]

    def to_table(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_table(table: Mapping[str, Any]) -> DirectPlan:
        def sides(key: str) -> tuple[tuple[int, Scaling], ...]:
            return tuple((int(index), Scaling(**{**fields, "shape": tuple(fields["shape"])}))
                         for index, fields in table[key])

        return DirectPlan(str(table["program"]), sides("inputs"), sides("outputs"))
