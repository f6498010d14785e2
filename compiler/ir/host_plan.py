"""Running without TVM: a host that only quantizes, calls one program and dequantizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.validate import checked_int, checked_text, from_table
from zeroskip.accel_model.program.program import Program

if TYPE_CHECKING:
    from zeroskip.compiler.artifact.network import Port

Array = npt.NDArray[Any]
AT_ONCE = 1 << 20  # numbers that are quantized at a time


@dataclass(frozen=True)
class Scaling:
    """``real = scale * (value - zero_point)`` in float32, as TVM's quantize and dequantize."""

    scale: float
    zero_point: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def usable(self) -> bool:
        """Whether the scale is a positive float32 and the zero point a value of the type."""
        limits = np.iinfo(self.dtype)
        with np.errstate(over="ignore", under="ignore"):
            scale = np.float32(self.scale)
        return bool(0 < scale < np.inf and limits.min <= self.zero_point <= limits.max)

    def quantize(self, real: Array) -> Array:
        """Round half to even, as ``relax.quantize`` does on TVM's CPU."""
        limits = np.iinfo(self.dtype)
        steps = np.rint(real / np.float32(self.scale)) + np.float32(self.zero_point)
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def quantize_all(self, real: Array) -> Array:
        """``quantize`` of many, which needs little more memory than the result."""
        step = max(1, AT_ONCE // max(1, real[:1].size))
        if len(real) <= step:
            return self.quantize(real)
        made = np.empty(real.shape, self.dtype)
        for first in range(0, len(real), step):
            made[first : first + step] = self.quantize(real[first : first + step])
        return made

    def dequantize(self, value: Array) -> Array:
        """float32 of the network's output shape, of each of N images along its first axis."""
        centred = (value.astype(np.int32) - self.zero_point).astype(np.float32)
        made = centred * np.float32(self.scale)
        return made.reshape(-1, *self.shape[1:]) if self.shape else made.reshape(())


@dataclass(frozen=True)
class TvmFreeHost:
    """One program, the scaling of each of its inputs and outputs, and which network input (output)
    each is, in the program's order."""

    program: str
    inputs: tuple[tuple[int, Scaling], ...]
    outputs: tuple[tuple[int, Scaling], ...]

    def to_table(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_table(table: Mapping[str, Any]) -> TvmFreeHost:
        """The plan of ``to_table``; ValueError or KeyError for anything else."""

        def sides(key: str) -> tuple[tuple[int, Scaling], ...]:
            return tuple(
                (checked_int(index, key), from_table(Scaling, fields))
                for index, fields in table[key]
            )

        return TvmFreeHost(
            checked_text(table["program"], "program"), sides("inputs"), sides("outputs")
        )

    def check(self, program: Program, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
        """ValueError unless the plan connects these inputs and outputs to the program's."""
        if sorted(index for index, _ in self.outputs) != list(range(len(outputs))):
            raise ValueError("the direct plan does not make every output once")
        for tensors, places, ports in (
            (program.inputs, self.inputs, inputs),
            (program.outputs, self.outputs, outputs),
        ):
            for tensor, (index, scaling) in zip(tensors, places, strict=True):
                fits = (
                    index < len(ports)
                    and prod(ports[index].shape) == prod(scaling.shape) == tensor.size
                    and ports[index].dtype == "float32"
                    and scaling.dtype == tensor.dtype
                    and scaling.usable
                    and scaling.shape != ()
                    and tensor.pixels % scaling.shape[0] == 0
                )
                if not fits:
                    raise ValueError(f"the direct plan does not fit '{tensor.name}'")
