"""What the scheduler works on: a region as accelerator operations on views of values (``views``).

Dense layers are convolutions, a flatten is a view. The dataclasses are frozen: ``lowering`` makes
them, ``scheduling`` and ``codegen`` only read them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.compiler.ir.views import ChannelSlice, Value
from zeroskip.compiler.ir.weave import TakenRun, positions
from zeroskip.compiler.ir.window import Window

# Pixels between rows that a transfer can say, of two bytes each.
MOST_APART = dict(isa.layout(isa.LoadShape))["dram_row"].high // (2 * isa.BLOCK)

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clip:
    """Limits of a result."""

    low: int
    high: int


@dataclass(frozen=True)
class AddRequant:
    """Scaling of the two operands of an addition (isa.Add), or by the first of their product
    (isa.Multiply), and the limits of the result."""

    mult_a: int
    mult_b: int
    shift: int
    clip: Clip


@dataclass(frozen=True)
class Residual:
    """An addition fused into the convolution before it: ``sum`` of its own result and ``addend``.

    ``pre_add`` is the value that the convolution alone would have made, ``pre_add_clip`` its
    limits; with a ``table``, which its own result goes through, those of that result.
    """

    node: str
    addend: ChannelSlice
    sum: AddRequant
    pre_add: Value
    pre_add_clip: Clip
    table: ResultTable | None = None

    @property
    def own(self) -> Value:
        """The convolution's own result, before a table."""
        return self.pre_add if self.table is None else self.table.argument


@dataclass(frozen=True, eq=False)
class ResultTable:
    """A table that the results of an operation go through before they are written.

    node: the ONNX node it came from.
    table: uint8 [256], the byte that is written in the place of each.
    argument: the value that is looked up: what the operation alone would have made.
    """

    node: str
    table: npt.NDArray[np.uint8]
    argument: Value


@dataclass(frozen=True, eq=False)
class Op:
    """A step on the accelerator. ``node`` is the ONNX node it came from.

    table: what its results go through; None: they are written as they are.

    What the scheduler and the code generator ask of an operation is answered here, by the operation
    itself; what they do for each is a row of a table: ``lower.LOWERINGS``, ``fusion.SEARCHES``,
    ``group.EMITTERS``, ``channelwise.INSTRUCTIONS`` (``tests/compiler/test_operators.py``).
    """

    node: str
    x: ChannelSlice
    y: ChannelSlice
    table: ResultTable | None = field(default=None, kw_only=True)

    moves_only = False  # has no compute instruction: what it reads and writes is in DRAM
    by_rows = True  # rows of the result are made of rows of what is read

    @property
    def input_window(self) -> Window:
        """What an output looks at of ``x``."""
        return Window()

    @property
    def operand(self) -> ChannelSlice | None:
        """What is read besides ``x``, pixel by pixel with the output or the same for all of its
        pixels or channels; None: nothing."""
        return None if self.residual is None else self.residual.addend

    @property
    def operand_of_channels(self) -> bool:
        """Whether the operand has one pixel for all of the output's: a value for each channel."""
        return self.operand is not None and self.operand.pixels < self.y.pixels

    @property
    def operand_of_pixels(self) -> bool:
        """Whether the operand has one channel for all of the output's: a value for each pixel."""
        return self.operand is not None and self.operand.channels < self.y.channels

    @property
    def reads(self) -> tuple[ChannelSlice, ...]:
        """Everything the operation reads."""
        return (self.x,) if self.operand is None else (self.x, self.operand)

    @property
    def residual(self) -> Residual | None:
        """The addition that was fused into it."""
        return None

    @property
    def images(self) -> int:
        """Images of the batch that no tile may cross: those of the result, or 1 where rows of
        several are rows like others."""
        return self.y.value.images if self.operand_of_channels else 1

    @property
    def rows_apart(self) -> int:
        """Rows of ``x`` from one that is looked at to the next; those between are not loaded."""
        return 1

    def seen(self, *, loaded: bool) -> tuple[Window, tuple[int, int]]:
        """The window through which outputs look at ``x``, and the size of the image that it lies
        in: of ``x`` as it is, or of the rows that are ``loaded`` of it."""
        window, (rows, cols) = self.input_window, self.x.value.image
        if self.images == 1:
            rows, cols = self.x.spatial
        apart = self.rows_apart if loaded else 1
        return window.every(apart), (-(-rows // apart), cols)

    @property
    def scaling(self) -> AddRequant | None:
        """Scaling of the operand's addition; None without one."""
        return None if self.residual is None else self.residual.sum

    @property
    def before(self) -> tuple[Value, ...]:
        """What it computes on the way to its result and writes nowhere, in order."""
        residual, found = self.residual, list[Value]()
        if residual is not None:
            own = () if residual.table is None else (residual.table.argument,)
            found += [*own, residual.pre_add]
        return tuple(found) if self.table is None else (*found, self.table.argument)

    @property
    def any_table(self) -> ResultTable | None:
        """The table that its results go through, before an addition or at the end."""
        return self.table or (None if self.residual is None else self.residual.table)

    @property
    def made_of(self) -> Value:
        """The value whose zero point and limits its result has, before a table."""
        return self.y.value if self.table is None else self.table.argument

    @property
    def macs(self) -> int:
        """Multiplies counted without skipping."""
        return 0

    @property
    def tap_weights(self) -> Int64 | None:
        """Weights at each tap that are not zero, int64 [rows, cols]; None without weights."""
        return None

    @property
    def weighed(self) -> npt.NDArray[np.bool_] | None:
        """Whether a weight on a channel at a tap is not zero, [C, rows, cols]; None: all count."""
        return None

    @property
    def channel_weights(self) -> int:
        """Weights of the kernel that a channel has of its own; 0: it has none."""
        return 0

    @property
    def scratch_elements(self) -> int:
        """DRAM that it needs besides its tensors, for as long as it runs."""
        return 0

    @property
    def picked(self) -> tuple[Int64, Int64] | None:
        """Rows and columns of ``x`` that are looked at where no window says it; else None."""
        return None

    def rows_read(self, made: Int64, end: Int64) -> tuple[Int64, Int64]:
        """The rows of ``x`` that rows made..end-1 of the result look at, padding counted: the first
        and the one behind the last, stripe by stripe."""
        window = self.input_window
        if self.y.value.images == 1:
            top = made * window.stride[0] - window.pad[0]
            return top, top + window.span(0, end - made)
        own, of_x = self.y.value.image[0], self.x.value.image[0]
        # what looks at padding alone reads a row of its own image
        top = np.clip(made % own * window.stride[0] - window.pad[0], 0, of_x - 1)
        last = (end - 1) % own * window.stride[0] - window.pad[0] + window.span(0, 1)
        return self._in_images(made, end, top, np.minimum(last, of_x))

    def _in_images(self, made: Int64, end: Int64, top: Int64, last: Int64) -> tuple[Int64, Int64]:
        """Rows of ``x`` from rows of the image in which ``made`` lies and of that in which ``end -
        1`` does; with the end of an image, all that is left of it."""
        own, of_x = self.y.value.image[0], self.x.value.image[0]
        last = np.where(end % own == 0, of_x, last)
        return made // own * of_x + top, (end - 1) // own * of_x + last

    def operand_rows_read(self, made: Int64, end: Int64) -> tuple[Int64, Int64]:
        """The rows of the operand that rows made..end-1 of the result look at, as ``rows_read``."""
        if not self.operand_of_channels:
            return made, end
        own = self.y.value.image[0]
        return made // own, (end - 1) // own + 1

    def with_views(self, at: Callable[[ChannelSlice], ChannelSlice]) -> Self:
        """The same operation with every view that it reads or writes replaced by ``at(view)``."""
        return replace(self, x=at(self.x), y=at(self.y))


@dataclass(frozen=True, eq=False)
class Windowed(Op):
    """An operation whose outputs each look at a window of ``x``."""

    window: Window

    @property
    def input_window(self) -> Window:
        return self.window

    @property
    def images(self) -> int:
        alike = self.window.stays_in_image(self.x.value.image[0], self.y.value.image[0])
        return super().images if alike else self.y.value.images

    @property
    def rows_apart(self) -> int:
        """More than 1 where a kernel of one row has a stride that transfers can say, too."""
        window, one_piece = self.window, self.images == 1 and self.x.frames is None
        if window.kernel[0] > 1 or window.pad[0] or not one_piece:
            return 1
        stride = window.stride[0]
        return stride if stride * self.x.spatial[1] <= MOST_APART else 1


@dataclass(frozen=True, eq=False)
class SharedWeights:
    """Weights that the operations of a volume's frames share.

    used: those that any frame weighs with, int8 [K, C', rows, cols] without zeros between groups.
    count: all that the layer has, those on frames of padding too.
    first: whether the operation is the first of them, which counts the bytes.
    """

    used: Int8
    count: int
    first: bool


@dataclass(frozen=True, eq=False)
class ConvOp(Windowed):
    """weight int8 [K, C, rows, cols]; bias, mult, shift int32 [K].

    groups: blocks of as many filters and channels on the weight's diagonal; what lies outside them
    is zeros that the layer does not have.
    shared: of the frame of a volume, the layer's weights; None: the operation's are its own.
    """

    weight: Int8
    bias: Int32
    mult: Int32
    shift: Int32
    clip: Clip
    residual: Residual | None = None
    groups: int = 1
    shared: SharedWeights | None = None

    @property
    def macs(self) -> int:
        """All weights, zeros and those on padding too, at every pixel of the output."""
        count = self.weight.size // self.groups if self.shared is None else self.shared.count
        return count * self.y.pixels

    @property
    def tap_weights(self) -> Int64:
        return np.asarray(np.count_nonzero(self.weight, axis=(0, 1)))

    @property
    def weighed(self) -> npt.NDArray[np.bool_]:
        return np.asarray((self.weight != 0).any(axis=0))

    def with_views(self, at: Callable[[ChannelSlice], ChannelSlice]) -> Self:
        moved = super().with_views(at)
        if self.residual is None:
            return moved
        return replace(moved, residual=replace(self.residual, addend=at(self.residual.addend)))


@dataclass(frozen=True, eq=False)
class DepthwiseOp(ConvOp):
    """A convolution of each channel with its own kernel: weight int8 [C, 1, rows, cols]."""

    @property
    def weighed(self) -> npt.NDArray[np.bool_]:
        return np.asarray((self.weight != 0).any(axis=1))

    @property
    def channel_weights(self) -> int:
        return self.window.taps


@dataclass(frozen=True, eq=False)
class MaxPoolOp(Windowed):
    """The largest of the pixels in a window, padding left out."""

    clip: Clip


@dataclass(frozen=True, eq=False)
class AvgPoolOp(Windowed):
    """The requantized sum of a window; with a window of one tap, a requantize."""

    mult: int
    shift: int
    clip: Clip


@dataclass(frozen=True, eq=False)
class AddOp(Op):
    """The requantized sum of ``x`` and ``addend``, which spreads as a ``MultiplyOp``'s factor
    does."""

    addend: ChannelSlice
    sum: AddRequant

    @property
    def operand(self) -> ChannelSlice:
        return self.addend

    @property
    def scaling(self) -> AddRequant:
        return self.sum

    @property
    def clip(self) -> Clip:
        """Limits of the result."""
        return self.sum.clip

    def with_views(self, at: Callable[[ChannelSlice], ChannelSlice]) -> Self:
        return replace(super().with_views(at), addend=at(self.addend))


@dataclass(frozen=True, eq=False)
class MultiplyOp(Op):
    """The requantized product of ``x`` and ``factor``, which has a value for each element, for each
    channel (one pixel), for each pixel (one channel) or one."""

    factor: ChannelSlice
    product: AddRequant

    @property
    def operand(self) -> ChannelSlice:
        return self.factor

    @property
    def scaling(self) -> AddRequant:
        return self.product

    @property
    def clip(self) -> Clip:
        """Limits of the result."""
        return self.product.clip

    def with_views(self, at: Callable[[ChannelSlice], ChannelSlice]) -> Self:
        return replace(super().with_views(at), factor=at(self.factor))


@dataclass(frozen=True, eq=False)
class LookupOp(Op):
    """A table alone: what it holds for each element of ``x``. Its argument is ``x`` once more."""

    @property
    def clip(self) -> Clip:
        """Limits of what is looked up: those of its type."""
        return Clip(0, 255) if self.x.value.dtype == "uint8" else Clip(-128, 127)


@dataclass(frozen=True, eq=False)
class CopyOp(Op):
    """The same bytes elsewhere: an input of a concatenation that cannot be written in place."""

    moves_only = True


@dataclass(frozen=True, eq=False)
class ReshapeOp(Op):
    """The same elements in row-major [C, rows, cols] order, other sizes."""

    moves_only = True
    by_rows = False

    @property
    def scratch_elements(self) -> int:
        """Its elements in that order."""
        return self.x.channels * self.x.value.pixels


@dataclass(frozen=True, eq=False)
class WeaveOp(Op):
    """Pixels elsewhere, moved: row ``to`` of the result is row ``start`` of ``x``, and so on.

    rows, cols: which is which, along each axis. Has ``x`` more channels than ``y``, each pair of
    a run of rows and one of columns has as many of its own, in the order of the runs.
    """

    rows: tuple[TakenRun, ...]
    cols: tuple[TakenRun, ...]

    moves_only = True

    @property
    def picked(self) -> tuple[Int64, Int64]:
        return positions(self.rows), positions(self.cols)

    def rows_read(self, made: Int64, end: Int64) -> tuple[Int64, Int64]:
        rows = positions(self.rows)
        spans = [rows[low:high] for low, high in zip(made, end, strict=True)]
        first = np.array([span.min(initial=self.x.spatial[0]) for span in spans])
        last = np.array([span.max(initial=-1) + 1 for span in spans])
        if self.y.value.images == 1:
            return first, last
        of_x = self.x.value.image[0]
        return self._in_images(made, end, first % of_x, (last - 1) % of_x + 1)

    def source(self, row: int, col: int) -> ChannelSlice:
        """What a run of rows and one of columns read, by their numbers."""
        if self.x.channels == self.y.channels:
            return self.x
        first = self.x.offset + (row * len(self.cols) + col) * self.y.channels
        return replace(self.x, offset=first, channels=self.y.channels)


KINDS: tuple[type[Op], ...] = (
    ConvOp,
    DepthwiseOp,
    MaxPoolOp,
    AvgPoolOp,
    AddOp,
    MultiplyOp,
    LookupOp,
    CopyOp,
    ReshapeOp,
    WeaveOp,
)


@dataclass(frozen=True)
class Region:
    """A region in execution order. places: where the result of each layer of the network is, in the
    network's order; that of one before a fused addition or table is no operation's."""

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    ops: tuple[Op, ...]
    places: tuple[ChannelSlice, ...] = ()
