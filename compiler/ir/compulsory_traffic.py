"""What no schedule can do without: the multiplies by inputs that are there, and the bytes that the
operations look at, each once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from zeroskip.compiler.ir.ops import Int64, Op, Region
from zeroskip.compiler.ir.views import ChannelSlice, Frames

Mask = npt.NDArray[np.bool_]


def touched(op: Op) -> dict[str, Mask]:
    """Of each value that an operation reads, by name, which elements [C, rows, cols] its result
    depends on: not padding's neighbours that a stride passes over, nor what only zeros weigh."""
    found: dict[str, Mask] = {}
    for view in op.reads:
        mask = found.setdefault(
            view.value.name, np.zeros((view.value.channels, *view.value.spatial), np.bool_)
        )
        part = mask[view.offset : view.offset + view.channels]
        if view.frames is not None:
            part = np.zeros((view.channels, *view.spatial), np.bool_)
        if view is op.x and op.picked is not None:
            down, right = op.picked
            part[:, down[:, None], right] = True
        elif view is op.x and op.by_rows:
            images = part.reshape(len(part), op.images, -1, part.shape[-1])
            for channels, rows, cols in _taps(op):
                images[channels, :, rows, cols] = True
        else:
            part[...] = True
        if view.frames is not None:
            _add_frames(mask, view, view.frames, part)
    return found


def _add_frames(mask: Mask, view: ChannelSlice, frames: Frames, part: Mask) -> None:
    """Add the elements [C, rows, cols] of an image of frames to those of their value."""
    each = view.frame_channels
    for number in range(frames.count):
        of_frame = (
            part[:, number :: frames.count]
            if frames.woven
            else part[number * each : (number + 1) * each]
        )
        first = view.frame(number).first_row
        mask[view.offset : view.offset + each, first : first + frames.rows] |= of_frame


def elements(masks: Mapping[str, Mask]) -> int:
    """How many there are, of all values."""
    return sum(int(mask.sum()) for mask in masks.values())


def shared(one: Mapping[str, Mask], two: Mapping[str, Mask]) -> int:
    """How many both have."""
    return elements({name: one[name] & two[name] for name in one.keys() & two.keys()})


def joined(one: Mapping[str, Mask], two: Mapping[str, Mask]) -> dict[str, Mask]:
    """What either has."""
    return {**one, **two, **{name: one[name] | two[name] for name in one.keys() & two.keys()}}


def input_elements(region: Region) -> int:
    """Elements of a region's inputs that some operation needs."""
    needed = {
        value.name: np.zeros((value.channels, *value.spatial), np.bool_) for value in region.inputs
    }
    for op in region.ops:
        if needed.keys() & {view.value.name for view in op.reads}:
            for name, mask in touched(op).items():
                if name in needed:
                    needed[name] |= mask
    return elements(needed)


def real_macs(op: Op) -> int:
    """Multiplies of a weight that is not zero by an input within the image, not by padding."""
    weights = op.tap_weights
    if weights is None:
        return 0
    down, right = real_outputs(op)
    return op.images * int(down @ weights @ right)


def real_outputs(op: Op) -> tuple[Int64, Int64]:
    """Of each row and each column of the kernel, the rows and columns of outputs for which it lies
    within the image; of one image, where the operation treats each by itself."""
    down, right = (
        np.array(
            [
                len(range(*_positions(op, axis, tap).indices(_image(op, op.x)[axis])))
                for tap in range(op.input_window.kernel[axis])
            ]
        )
        for axis in range(2)
    )
    return down, right


def _taps(op: Op) -> Iterator[tuple[slice | Mask, slice, slice]]:
    """For each tap the channels that it weighs, and the rows and columns it looks at."""
    weighed, kernel = op.weighed, op.input_window.kernel
    for row in range(kernel[0]):
        for col in range(kernel[1]):
            channels: slice | Mask = slice(None)
            if weighed is not None and not weighed[:, row, col].all():
                channels = weighed[:, row, col]
            yield channels, _positions(op, 0, row), _positions(op, 1, col)


def _positions(op: Op, axis: int, tap: int) -> slice:
    """Where a tap of the outputs lies within the input, along an axis; of one image, where the
    operation treats each by itself."""
    window, outputs, limit = op.input_window, _image(op, op.y)[axis], _image(op, op.x)[axis]
    first, stride = tap * window.dilation[axis] - window.pad[axis], window.stride[axis]
    last = first + (outputs - 1) * stride
    start = first if first >= 0 else first % stride
    return slice(start, max(min(last + 1, limit), 0), stride)


def _image(op: Op, view: ChannelSlice) -> tuple[int, int]:
    """Rows and columns of what the operation treats by itself."""
    return view.spatial[0] // op.images, view.spatial[1]
