"""From a picture to a network's input: size, channels, mean, deviation, layout.

A description is a TOML file of the keys of ``Preprocessing``; what it leaves out follows from the
network's input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.toml_file import read_toml
from zeroskip.compiler.artifact.inputs import DataError

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

CHANNELS = {"L": 1, "RGB": 3, "BGR": 3}
LAYOUTS = ("NCHW", "NHWC")
FILTERS = ("bilinear", "nearest", "bicubic", "lanczos")
LARGEST = 1 << 14  # pixels of a side


@dataclass(frozen=True)
class Preprocessing:
    """size: height and width of the input. resize: to so many pixels the shorter side is scaled,
    then the middle is cut out; 0: the whole picture is scaled to the size. channels: ``L``, ``RGB``
    or ``BGR``. Each value of 0 .. 255 is divided by scale, then the channel's mean is taken off and
    the rest divided by its deviation: one number for all channels, or one for each. layout: of the
    input. filter: how pictures are scaled."""

    size: tuple[int, int] = (0, 0)
    resize: int = 0
    channels: str = ""
    scale: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    layout: str = ""
    filter: str = "bilinear"

    @property
    def depth(self) -> int:
        """Channels of a picture."""
        return CHANNELS[self.channels]

    def for_shape(self, shape: tuple[int, ...]) -> Preprocessing:
        """With what was left out, as an input [1, C, H, W] or [1, H, W, C] has it; DataError if it
        is no picture, or what was given does not fit."""
        layout = self.layout or next(
            (each for each in LAYOUTS if _split(shape, each)[0] in CHANNELS.values()), ""
        )
        depth, size = _split(shape, layout) if layout else (0, (0, 0))
        if depth not in CHANNELS.values():
            raise DataError(
                f"an input {list(shape)} takes no pictures of one or three channels; give an .npz "
                "of arrays as the network takes them"
            )
        channels = self.channels or {1: "L", 3: "RGB"}[depth]
        made = replace(
            self, layout=layout, channels=channels, size=self.size if any(self.size) else size
        )
        if made.depth != depth:
            raise DataError(
                f"the preprocessing has channels {channels}, {made.depth} of them, and the network's "
                f"input {list(shape)} takes {depth}; change `channels`"
            )
        if made.size != size:
            raise DataError(
                f"the preprocessing has size {list(made.size)}, and the network's input {list(shape)} "
                f"takes {list(size)}; change `size`, or compile for another --shape"
            )
        return made.agreed()

    def agreed(self, where: str = "the preprocessing") -> Preprocessing:
        """Itself; DataError if two of its values do not go together."""
        for key in ("mean", "deviation"):
            count = len(getattr(self, key))
            if self.channels and count not in (1, self.depth):
                raise DataError(
                    f"{where}: {key} has {count} numbers for channels {self.channels}; give "
                    f"{'one' if self.depth == 1 else f'one, or {self.depth}'}"
                )
        if self.resize and self.resize < max(self.size):
            raise DataError(
                f"{where}: resize {self.resize} is less than size {list(self.size)}, which is cut out "
                "of it; give more"
            )
        return self

    def arranged(self, pixels: Pixels) -> Floats:
        """A picture [H, W, C] in the order of ``channels`` as float32 [C, H, W] or [H, W, C]."""
        mean, deviation = (np.array(each, np.float32) for each in (self.mean, self.deviation))
        values: Floats = (pixels.astype(np.float32) / np.float32(self.scale) - mean) / deviation
        return values.transpose(2, 0, 1) if self.layout == "NCHW" else values


def read_preprocessing(path: Path) -> Preprocessing:
    """The description in a TOML file; DataError if it cannot be used."""
    return preprocessing_from(read_toml(path, DataError), str(path))


def preprocessing_from(table: dict[str, Any], where: str) -> Preprocessing:
    """A description of keys and values such as TOML gives; where: names it in errors."""
    known = [each.name for each in fields(Preprocessing)]
    for key in table:
        if key not in known:
            raise DataError(f"{where}: '{key}' is not known; the keys are {', '.join(known)}")
    checked = {key: _CHECKS[key](value) for key, value in table.items()}
    for key, value in checked.items():
        if value is None:
            raise DataError(f"{where}: {key} = {repr(table[key])[:40]} is not {_WANTED[key]}")
    return Preprocessing(**checked).agreed(where)


def _split(shape: tuple[int, ...], layout: str) -> tuple[int, tuple[int, int]]:
    """Channels and size of an input of that layout; 0 channels if it has not four dimensions."""
    if len(shape) != 4:
        return 0, (0, 0)
    _, *rest = shape
    depth, height, width = rest if layout == "NCHW" else (rest[2], rest[0], rest[1])
    return depth, (height, width)


def _side(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 1 <= value <= LARGEST else None  # type: ignore[operator,return-value]  # whole: an int


def _size(value: object) -> tuple[int, int] | None:
    sides = [_side(each) for each in (value if isinstance(value, list) else [value, value])]
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        return None
    return sides[0], sides[1]


def _number(value: object) -> float | None:
    real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if real else None  # type: ignore[arg-type]  # real: a number


def _numbers(value: object) -> tuple[float, ...] | None:
    found = [_number(each) for each in (value if isinstance(value, list) else [value])]
    kept = [each for each in found if each is not None]
    return tuple(kept) if kept and len(kept) == len(found) else None


def _divisor(value: object) -> float | None:
    found = _number(value)
    return found if found is not None and found > 0 else None


def _divisors(value: object) -> tuple[float, ...] | None:
    found = _numbers(value)
    return found if found is not None and min(found) > 0 else None


_CHECKS: dict[str, Callable[[object], Any]] = {
    "size": _size,
    "resize": _side,
    "channels": lambda value: value if value in CHANNELS else None,
    "scale": _divisor,
    "mean": _numbers,
    "deviation": _divisors,
    "layout": lambda value: value if value in LAYOUTS else None,
    "filter": lambda value: value if value in FILTERS else None,
}
_SIDES = f"pixels, 1 to {LARGEST:,}"
_WANTED = {
    "size": f"{_SIDES}, or a list of height and width",
    "resize": _SIDES,
    "channels": f"one of {', '.join(CHANNELS)}",
    "scale": "a number above 0",
    "mean": "a number, or a list of one for each channel",
    "deviation": "a number above 0, or a list of one for each channel",
    "layout": f"one of {', '.join(LAYOUTS)}",
    "filter": f"one of {', '.join(FILTERS)}",
}
