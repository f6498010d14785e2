"""How wide a target's elements are: the section [storage] of its description."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from zeroskip.accel_model.io.declared import number


def _width(of: str) -> Any:
    return number(f"bits that {of} is stored in, 8 or 16", 8, 16, power_of_two=True, default=8)


@dataclass(frozen=True)
class Storage:
    """How wide elements are where they lie and where they are multiplied.

    Everything that counts bytes of activations, of weights or of sums asks these: rows of ACT and
    ACC, tensors and streams in DRAM, ports, memories within arrays, multipliers and adders.
    Parameters and tables of results have their own. Weights have values of 8 bits however wide they
    are stored; so have activations, unless a program of 16-bit activations says otherwise
    (``Program.activation_bits``).
    """

    activation_bits: int = _width("an activation")
    weight_bits: int = _width("a weight of a stream")
    sum_bits: int = number("bits of a sum, 32 or 48", 32, 48, multiple_of=16, default=32)

    @property
    def activation_bytes(self) -> int:
        return self.activation_bits // 8

    @property
    def weight_bytes(self) -> int:
        return self.weight_bits // 8

    @property
    def sum_bytes(self) -> int:
        return self.sum_bits // 8

    @property
    def table(self) -> dict[str, int]:
        """What a description says of it: nothing of storage in 8 bits, of sums only wide ones."""
        if self == IN_BYTES:
            return {}
        said = asdict(self)
        if self.sum_bits == IN_BYTES.sum_bits:
            del said["sum_bits"]
        return said


IN_BYTES = Storage()
