"""Types of integer activations, the sums of their products, and multipliers as fixed point."""

import math
from dataclasses import dataclass
from typing import Literal

from zeroskip.relay_passes.errors import PassError

MAX_SHIFT = 62
FRACTION = 16  # bits that ``even`` looks at
BOUNDS = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
}

DType = Literal["int8", "uint8", "int16", "int32"]
ActivationType = Literal["int8", "uint8", "int16"]


@dataclass(frozen=True)
class SumForm:
    """What sums of products are with activations of a type.

    dtype: of the reference. bits: that every sum fits in. mult_bits: of their multipliers, so that
    a product fits in int64 with what rounds it. reach: the largest |x - zero_point|.
    """

    dtype: str
    bits: int
    mult_bits: int
    reach: int


OF_BYTES = SumForm("int32", 32, 31, 255)
SUMS = {"int8": OF_BYTES, "uint8": OF_BYTES, "int16": SumForm("int64", 48, 15, 2**15)}


def bits_name(dtype: str) -> str:
    """What layers that give this type are called by: ``int16``, or ``int8`` for all of 8 bits."""
    return "int16" if dtype == "int16" else "int8"


def quantize_multiplier(real: float, bits: int = 31) -> tuple[int, int]:
    """``(mult, shift)`` with ``real ~ mult / 2^shift``, as gemmlowp and TFLite write it.

    ``mult`` is a normalised mantissa of ``bits``, 2^30 <= mult < 2^31 of 31: the relative error is
    at most 2^-31. A ``real`` below 2^-32 scales every int32 to less than a half: it becomes
    ``(0, 1)``, and so does one that takes a shift beyond ``MAX_SHIFT``.
    """
    if not (math.isfinite(real) and 0 <= real < 2 ** (bits - 2)):
        raise PassError(
            f"a requantization by {real} has no fixed-point form: check the calibrated ranges"
        )
    mantissa, exponent = math.frexp(real)
    mult, shift = round(mantissa * 2**bits), bits - exponent
    if mult == 2**bits:
        mult, shift = 2 ** (bits - 1), shift - 1
    return (mult, shift) if mult and shift <= MAX_SHIFT else (0, 1)
