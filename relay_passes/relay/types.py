"""Types of Relay values, and the refusal that names a line."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.limits import MAX_ELEMENTS

# Relay's element types that ONNX has too, by their name in the text.
DTYPES = {
    name: np.dtype(name)
    for name in (
        *("bool", "float16", "float32", "float64"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
}
MAX_RANK = 16


@dataclass(frozen=True)
class TensorType:
    """A tensor of known shape.

    shape: its sizes, all at least 0.
    dtype: a key of ``DTYPES``.
    """

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"Tensor[({', '.join(map(str, self.shape))}), {self.dtype}]"


Type: TypeAlias = "TensorType | tuple[Type, ...]"


def refusal(line: int, what: str) -> FrontError:
    """The refusal of something in the text. line: counted from 1. what: with the remedy."""
    return FrontError(f"Relay text, line {line}: {what}")


def check_shape(line: int, shape: tuple[int, ...]) -> None:
    """FrontError for a shape beyond all size."""
    if len(shape) > MAX_RANK or math.prod(shape) > MAX_ELEMENTS:
        raise refusal(
            line,
            f"a tensor of {len(shape)} dimensions and {math.prod(shape):.3g} elements is more "
            f"than the {MAX_RANK} and {MAX_ELEMENTS} that are taken: make it smaller",
        )
