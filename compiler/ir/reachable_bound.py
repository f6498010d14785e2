"""The reachable bound: cycles that no schedule of a region's operations goes below with the SRAM
that there is. docs/SCHEDULES.md, "The reachable bound", has its formula and its proof.

Everything here errs to the low side: what is not known to be needed counts as not needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir.array_cycles import least_array_cycles
from zeroskip.compiler.ir.compulsory_traffic import real_outputs, touched
from zeroskip.compiler.ir.ops import AddOp, ConvOp, DepthwiseOp, Int8, Int64, MultiplyOp, Op, Region
from zeroskip.compiler.ir.views import ChannelSlice

Bools = npt.NDArray[np.bool_]

MOST_PRODUCTS = 1 << 33  # to find what filters look at exactly: some tenths of a second


def reachable_bound(
    region: Region, spec: AccelSpec, weight_bytes: Mapping[str, int], moved: int
) -> int:
    """Whole cycles, at least one.

    weight_bytes: of all weights of each node. moved: bytes that cross the bus at least: weights,
    inputs and outputs of the region, each once.
    """
    array = [least_array_cycles(op, spec) for op in region.ops]
    taps = [_Taps(op) for op in region.ops]
    bus, wide = spec.dram.bytes_per_cycle, spec.storage.activation_bytes
    best = max(sum(array, Fraction(0)), Fraction(moved, bus))
    for first, op in enumerate(region.ops):
        if not isinstance(op, ConvOp | AddOp | MultiplyOp) or _in_frames(op):
            continue
        behind = _Behind(region, taps, first)
        after = behind.bytes_after(spec, weight_bytes)
        spilled = max(0, behind.most_kept() * wide - spec.sram.act_bytes)
        most = sum(array[:first], Fraction(0)) + Fraction(after + spilled, bus)
        if max(most, Fraction(moved + 2 * spilled, bus)) <= best:
            continue  # without looking closer
        before = _Before(taps[: first + 1], spec, array)
        held = before.elements(behind.kept) * wide - spec.sram.act_bytes
        spills: list[int] = np.maximum(held, 0).tolist()
        best = max(
            best,
            Fraction(moved + 2 * min(spills), bus),
            before.cycles
            + min(
                Fraction(macs, spec.array.macs) + Fraction(after + spill, bus)
                for macs, spill in zip(before.macs.tolist(), spills, strict=True)
            ),
        )
    return max(1, math.ceil(best))


def _in_frames(op: Op) -> bool:
    return any(view.frames is not None for view in (*op.reads, op.y))


class _Behind:
    """What is left to do when operation ``first`` begins.

    late: of values, the channels, bool [C], of which each element is made of one of its products.
    kept: of values that are made before, the channels that are read with something late, or by
    ``first`` itself if it looks at every element.
    weighing: the convolutions all of whose multiplies are left.
    """

    def __init__(self, region: Region, taps: Sequence[_Taps], first: int) -> None:
        self.region, self.first = region, first
        self.late: dict[str, Bools] = {}
        self.kept: dict[str, Bools] = {}
        self.weighing: set[int] = set()
        host = {value.name for value in region.outputs}
        self._made = {op.y.value.name: op.y.value for op in region.ops[:first]}
        self._made = {name: value for name, value in self._made.items() if name not in host}
        for index, op in enumerate(region.ops[first:], first):
            if not _in_frames(op):
                self._follow(index, op, taps[index])

    def bytes_after(self, spec: AccelSpec, weight_bytes: Mapping[str, int]) -> int:
        """Of weights, but for as many as WGT may hold already, and of results of the region."""
        left = {op.node for index, op in self._convolutions if index not in self.weighing}
        weights = sum(
            weight_bytes[node] for node in {op.node for _, op in self._convolutions} - left
        )
        outputs = {value.name: value for value in self.region.outputs if value.name in self.late}
        results = sum(int(self.late[name].sum()) * outputs[name].pixels for name in outputs)
        wide = spec.storage.activation_bytes
        return max(0, weights - spec.sram.wgt_bytes) + results * wide

    def most_kept(self) -> int:
        """Elements of ``kept`` if all of them are made before."""
        return sum(int(mask.sum()) * self._made[name].pixels for name, mask in self.kept.items())

    @property
    def _convolutions(self) -> Iterator[tuple[int, ConvOp]]:
        return ((at, op) for at, op in enumerate(self.region.ops) if isinstance(op, ConvOp))

    def _follow(self, index: int, op: Op, taps: _Taps) -> None:
        x = self._of(op.x) if index > self.first else np.ones(op.x.channels, np.bool_)
        own = taps.results(x)
        if not isinstance(op, ConvOp):
            if index == self.first:
                self._keep(op.x, x)
        elif x.all():
            self.weighing.add(index)
        late = own
        if op.operand is not None:
            operand = self._of(op.operand)
            late = own | operand
            if not (op.operand_of_channels or op.operand_of_pixels):
                self._keep(op.operand, own)
            if isinstance(op, AddOp | MultiplyOp):
                self._keep(op.x, np.broadcast_to(operand, own.shape))
        mask = self.late.setdefault(op.y.value.name, np.zeros(op.y.value.channels, np.bool_))
        mask[_part(op.y)] = late

    def _of(self, view: ChannelSlice) -> Bools:
        mask = self.late.get(view.value.name, np.zeros(view.value.channels, np.bool_))
        return mask[_part(view)]

    def _keep(self, view: ChannelSlice, channels: Bools) -> None:
        value = view.value
        if value.name in self._made:
            mask = self.kept.setdefault(value.name, np.zeros(value.channels, np.bool_))
            mask[_part(view)] |= channels


class _Before:
    """What must have been done before the last of some operations can begin.

    It begins with some channel of its input, or of its result if it has no weights, each of which
    is a *candidate*. cycles: of the operations that must have been done as a whole, whichever it
    is; macs: int64 [candidates], multiplies of others.
    """

    def __init__(self, ops: Sequence[_Taps], spec: AccelSpec, array: Sequence[Fraction]) -> None:
        *ops, last = ops
        self._boxes: dict[str, _Box] = {}
        self.cycles = Fraction(0)
        self.macs: Int64 = np.zeros(last.op.x.channels, np.int64)
        one = _Box(np.eye(len(self.macs), dtype=np.bool_), 1, 1)
        weighs = isinstance(last.op, ConvOp)
        for view, needed in [(last.op.x, one)] if weighs else _reads(last, one):
            self._add(view, needed)
        counted = "inputs" not in spec.kind.skips
        for taps, cycles in zip(reversed(ops), reversed(array[: len(ops)]), strict=True):
            op = taps.op
            box = self._boxes.get(op.y.value.name)
            if box is None or op.moves_only or _in_frames(op):
                continue
            box = replace(box, channels=box.channels[:, _part(op.y)])
            if _is_whole(op, box):
                self.cycles += cycles
            elif counted and isinstance(op, ConvOp):
                self.macs += box.channels @ _macs_of_filters(op, box)
            for view, needed in _reads(taps, box):
                self._add(view, needed)

    def elements(self, kept: Mapping[str, Bools]) -> Int64:
        """int64 [candidates]: those of these channels, bool [C] by value, that have been made."""
        found = np.zeros(len(self.macs), np.int64)
        for name in kept.keys() & self._boxes.keys():
            box = self._boxes[name]
            found += replace(box, channels=box.channels & kept[name]).elements
        return found

    def _add(self, view: ChannelSlice, box: _Box) -> None:
        """What is known of a value already, or this, whichever is more."""
        channels = np.zeros((len(box.channels), view.value.channels), np.bool_)
        channels[:, _part(view)] = box.channels
        made, before = _Box(channels, box.rows, box.cols), self._boxes.get(view.value.name)
        if before is not None:
            both = _Box(
                channels | before.channels,
                min(made.rows, before.rows),
                min(made.cols, before.cols),
            )
            made = max(before, made, both, key=lambda each: int(each.elements.min()))
        alike = bool((made.channels == made.channels[:1]).all())
        self._boxes[view.value.name] = replace(made, channels=made.channels[: 1 if alike else None])


@dataclass(frozen=True)
class _Box:
    """Of a value, what must have been made: of each channel that is true, bool [candidates, C], or
    [1, C] where all are alike, ``rows`` x ``cols`` neighbouring elements of an image, wherever they
    lie."""

    channels: Bools
    rows: int
    cols: int

    @property
    def elements(self) -> Int64:
        """int64 [candidates] or [1]."""
        return np.asarray(self.channels.sum(axis=1) * (self.rows * self.cols))


class _Taps:
    """Which results an operation makes of which inputs. Without weights: of those of the same
    channel, at all taps."""

    def __init__(self, op: Op) -> None:
        self.op = op

    @cached_property
    def always(self) -> Bools:
        """bool [rows, cols]: taps that lie within the image for every output."""
        down, right = real_outputs(self.op)
        return np.asarray(self.op.images * np.outer(down, right) == self.op.y.pixels)

    @cached_property
    def some(self) -> Bools:
        """bool [K, C]: whether a filter weighs a channel at a tap of ``always``."""
        weight = self._weight
        if self.always.all():
            return np.asarray(weight.any(axis=(2, 3)))
        return np.asarray(weight[:, :, self.always].any(axis=2))

    @cached_property
    def every(self) -> Bools:
        """bool [K, C]: whether it does so at every tap."""
        return np.asarray(self._weight.all(axis=(2, 3)))

    @cached_property
    def filters(self) -> tuple[Int64, Int64]:
        """int64 [C] twice: filters that weigh a channel at the tap of fewest, and at that of most
        of ``always``."""
        counts = np.count_nonzero(self._weight, axis=0)
        return counts.min(axis=(1, 2)), counts[:, self.always].max(axis=1, initial=0)

    def results(self, x: Bools) -> Bools:
        """Results, bool [K], of which each element is made of some of these channels of ``x``, bool
        [C]; of those that only move, all or none."""
        if self.op.moves_only:
            return np.full(self.op.y.channels, x.all())
        if not isinstance(self.op, ConvOp):
            return x
        if isinstance(self.op, DepthwiseOp):
            return np.asarray(x & self.some[:, 0])
        return np.asarray((self.some if x.all() else self.some[:, x]).any(axis=1))

    def channels(self, results: Bools) -> tuple[Bools, Bools]:
        """bool [candidates, C] twice: the channels of ``x`` that some of the results, bool
        [candidates, K], weigh at every tap, and at one of ``always``. Of many results of a layer of
        many weights, those that more filters weigh than are not among them."""
        if not isinstance(self.op, ConvOp):
            return results, results
        if isinstance(self.op, DepthwiseOp):
            return results & self.every[:, 0], results & self.some[:, 0]
        if (results.sum(axis=1) == 1).all():
            of = results.argmax(axis=1)
            return self.every[of], self.some[of]
        others = results.shape[1] - results.sum(axis=1, keepdims=True)
        fewest, most = (np.asarray(counts > others) for counts in self.filters)
        if fewest.all() or not others.any() or len(results) * self._weight.size > MOST_PRODUCTS:
            return fewest, most
        wanted = results.astype(np.float32)
        everywhere, somewhere = np.ones_like(fewest), np.zeros_like(fewest)
        for tap, real in np.ndenumerate(self.always):
            weighed = wanted @ (self._weight[:, :, *tap] != 0).astype(np.float32) > 0
            everywhere &= weighed
            somewhere |= weighed & real
        return everywhere, somewhere

    @property
    def _weight(self) -> Int8:
        assert isinstance(self.op, ConvOp)
        return self.op.weight


def _reads(taps: _Taps, box: _Box) -> Iterator[tuple[ChannelSlice, _Box]]:
    """What an operation reads for these of its results."""
    op, channels = taps.op, box.channels
    yield op.x, _read(taps, box)
    if op.operand is not None:
        shared = op.operand_of_channels
        if op.operand_of_pixels:
            channels = np.asarray(channels.any(axis=1, keepdims=True))
        yield op.operand, _Box(channels, *((1, 1) if shared else (box.rows, box.cols)))


def _read(taps: _Taps, box: _Box) -> _Box:
    """Of ``x``. All that it touches, if the box is the whole result; else all that neighbouring
    outputs look at of channels that are weighed at every tap, or one element of every channel."""
    op = taps.op
    if _is_whole(op, box):
        looked = touched(op)[op.x.value.name][_part(op.x)]
        return _Box(np.asarray([mask.all() for mask in looked])[np.newaxis], *op.x.spatial)
    rows, cols = (_extent(op, axis, size) for axis, size in enumerate((box.rows, box.cols)))
    everywhere, somewhere = taps.channels(box.channels)
    if rows and cols and everywhere.any(axis=1).all():
        return _Box(everywhere, rows, cols)
    return _Box(somewhere, 1, 1)


def _extent(op: Op, axis: int, outputs: int) -> int:
    """Inputs of an image along an axis that so many neighbouring outputs look at, at least; 0 if
    there are others between those that they look at."""
    window = op.input_window
    if window.dilation[axis] > 1 or window.stride[axis] > window.kernel[axis]:
        return 0
    size, made = op.x.value.image[axis], op.y.value.image[axis]
    first = np.arange(made - outputs + 1) * window.stride[axis] - window.pad[axis]
    last = np.minimum(first + window.span(axis, outputs), size)
    return int((last - np.maximum(first, 0)).min())


def _macs_of_filters(op: ConvOp, box: _Box) -> Int64:
    """int64 [K]: multiplies of a weight that is not zero by an input within the image, for the
    outputs of a box, at least."""
    whole = op.y.spatial[0] // op.images, op.y.spatial[1]
    down, right = (
        np.maximum(counts - made + size, 0)
        for counts, made, size in zip(real_outputs(op), whole, (box.rows, box.cols), strict=True)
    )
    held = np.count_nonzero(op.weight, axis=1)
    return np.asarray((held * np.outer(down, right)).sum(axis=(1, 2)))


def _is_whole(op: Op, box: _Box) -> bool:
    return bool(box.channels.all()) and (box.rows, box.cols) == op.y.spatial


def _part(view: ChannelSlice) -> slice:
    return slice(view.offset, view.offset + view.channels)
