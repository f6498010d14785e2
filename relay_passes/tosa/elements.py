"""What is done element by element, and what only moves elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from zeroskip.relay_passes.integer.layers import (
    MAX_SHIFT,
    ConcatLayer,
    GatherLayer,
    QTensor,
    quantize_multiplier,
)
from zeroskip.relay_passes.tosa import operators as of
from zeroskip.relay_passes.tosa.arithmetic import run_body, scaled
from zeroskip.relay_passes.tosa.build import BYTES, HELD, Ints
from zeroskip.relay_passes.tosa.evaluate import compute
from zeroskip.relay_passes.tosa.reading import Held, Reading
from zeroskip.relay_passes.tosa.scalings import Average, Requantize, SumOf
from zeroskip.relay_passes.tosa.sums import (
    WIDE_AREA,
    groups,
    requantize_to,
    rescaled_sums,
    windows_of,
)
from zeroskip.relay_passes.tosa.syntax import Block, Operation
from zeroskip.relay_passes.tosa.tensors import (
    FIRST,
    LAST,
    Activation,
    ChannelSlice,
    Padded,
    Product,
    Reduced,
    Sums,
    View,
    Wide,
    axis_in,
    deepened,
    order_of,
    turned,
)


def reshape(read: Reading, op: Operation) -> Held:
    if np.prod(op.operand(0).type.shape) != np.prod(op.result.type.shape):
        op.refuse(f"makes {op.result.type} of {op.operand(0).type}")
    return _turned(read, op, ("shape", op.result.type.shape))


def transpose(read: Reading, op: Operation) -> Held:
    return _turned(read, op, ("turn", of.order(op)))


def _turned(read: Reading, op: Operation, step: tuple[str, tuple[int, ...]]) -> View:
    view = read.view(op)
    made = replace(view, steps=turned(view.of.shape, view.steps, step))
    if deepened(view.of.shape, made.steps) is None:
        return made
    return View(read.building.lying(made, None, read.label(op)), moved=view.moved)


def identity(read: Reading, op: Operation) -> Held:
    return read.held(op.operand(0))


def clamp(read: Reading, op: Operation) -> Held:
    low, high = of.bounds(op)
    view = read.view(op)
    read.building.signed(op, view)
    low, high = max(low, -128), min(high, 127)
    if (low, high) == (-128, 127):
        return view
    if low > high:
        op.refuse("has limits outside int8")
    return read.building.clip(view, low, high, read.label(op))


def table(read: Reading, op: Operation) -> Held:
    found, view = of.table(op, read.constant), read.view(op)
    read.building.signed(op, view)
    return read.building.lookup(view, found, read.label(op))


def pad(read: Reading, op: Operation) -> Held:
    pads, fill = of.pads_of(op, read.constant)
    held = read.padded(op)
    if len(pads) != 4 or any(sum(pads[axis]) for axis in (0, 3)):
        op.refuse("pads other axes than rows and columns of [N, H, W, C]")
    rows, columns = pads[1], pads[2]
    if not any((*rows, *columns)):
        return held
    cut = any(held.after[axis] < 0 < pads[1 + axis][1] for axis in range(2))
    if held.fill not in (None, fill) or cut:
        op.refuse("pads what was padded or sliced before, by another value")
    return Padded(
        held.view,
        (held.before[0] + rows[0], held.before[1] + columns[0]),
        (held.after[0] + rows[1], held.after[1] + columns[1]),
        fill,
    )


def slice_(read: Reading, op: Operation) -> Held:
    """Of channels or of the first pixels, which convolutions may take; else a layer of its own."""
    start, size = of.slice_of(op, read.constant)
    shape, held = op.operand(0).type.shape, read.held(op.operand(0))
    kept = isinstance(held, View | Padded) and not (isinstance(held, View) and held.unsigned)
    if kept and len(shape) == 4 and start[:3] == (0, 0, 0) and size[0] == shape[0]:
        padded = read.padded(op)
        if size[:3] == shape[:3]:
            return ChannelSlice(padded, start[3], size[3])
        if not start[3] and size[3] == shape[3]:
            after = [padded.after[axis] + size[1 + axis] - shape[1 + axis] for axis in range(2)]
            return replace(padded, after=(after[0], after[1]))
    found = read.building.cut(read.view(op), start, size, read.label(op))
    if found is None:
        op.refuse("takes some of the images: give them one by one")
    return found


def gather(read: Reading, op: Operation) -> Held:
    """Rows of [1, K, C]: an axis of an activation that was brought to the front."""
    at, view = of.taken_rows(op, read.constant), read.view(op)
    axis = _front_axis(view)
    if axis is None:
        view = View(read.building.lying(view, None, read.label(op)), moved=view.moved)
        axis = 1
    shape = list(view.of.shape)
    shape[axis] = len(at)
    x, y = (QTensor(tuple(each), view.of.dtype, 0) for each in (view.of.shape, shape))
    indices = tuple(at if each == axis else None for each in range(1, len(shape)))
    layer = GatherLayer(x=x, y=y, indices=indices)
    label, scale = read.label(op), view.of.scale
    made = read.building.add(layer, tuple(shape), view.of.dtype, (view.of,), label, scale)
    steps = turned(made.shape, (), ("turn", _to_front(axis, len(shape))))
    flat = ("shape", op.result.type.shape)
    return View(made, turned(made.shape, steps, flat), view.moved)


def _front_axis(view: View) -> int | None:
    """The axis of an activation that a view [1, K, C] has as its rows."""
    places, shape = order_of(view.of.shape, view.steps)[0], view.of.shape
    for axis in range(1, len(shape)):
        front = order_of(shape, (("turn", _to_front(axis, len(shape))),))
        if shape[axis] == len(places) and np.array_equal(places, front.reshape(places.shape)):
            return axis
    return None


def _to_front(axis: int, rank: int) -> tuple[int, ...]:
    return (axis, *(each for each in range(rank) if each != axis))


def rescale(read: Reading, op: Operation) -> Held:
    by = of.rescale(op, read.constant)
    held = read.held(op.operand(0))
    if isinstance(held, Sums):
        return rescaled_sums(read, op, held, by)
    if isinstance(held, Reduced):
        return rescaled_sums(read, op, windows_of(held, read.label(op)), by)
    if isinstance(held, Wide):
        return _rescaled_wide(read, op, held, by)
    view = read.view(op)
    if by.unsigned[0] != view.unsigned:
        op.refuse("takes a tensor for unsigned that is not, or the other way round")
    if view.unsigned:
        view, by = replace(view, moved=True), replace(by, zero_x=by.zero_x - 128)
    if op.result.type.element == "i32":
        return _widened(read, op, view, by)
    return _rescaled_bytes(read, op, view, by)


def _rescaled_bytes(read: Reading, op: Operation, view: View, by: of.Rescale) -> View:
    want = np.clip(
        scaled(BYTES - by.zero_x, by.mult[0], by.shift[0], by.double) + by.zero_y,
        by.low,
        by.high,
    )
    if by.mult.size > 1:
        op.refuse("scales the channels of an activation, each by its own: scale sums so")
    if not by.unsigned[1] and np.array_equal(want, BYTES):
        return view
    if by.unsigned[1] and np.array_equal(want, BYTES + 128):
        found = read.building.as_unsigned(view)
        if found is not None:
            return found
    out = requantize_to(read, op, by)
    return read.building.requantize(op, view, out, by.zero_x, want, read.label(op))


def _widened(read: Reading, op: Operation, view: View, by: of.Rescale) -> Wide:
    if by.mult.size > 1:
        op.refuse("scales the channels of an activation, each by its own: scale sums so")
    table = scaled(BYTES - by.zero_x, by.mult[0], by.shift[0], by.double) + by.zero_y
    if by.zero_y or np.any(np.abs(table) >= 1 << 31):
        op.refuse("makes numbers beyond int32, or with a zero point")
    scale = float(by.mult[0]) / 2.0 ** int(by.shift[0])
    return Wide((view,), (table,), (scale,), (by.zero_x,))


def _rescaled_wide(read: Reading, op: Operation, wide: Wide, by: of.Rescale) -> Held:
    if by.zero_x or by.mult.size > 1:
        op.refuse("gives sums a zero point, or channels their own scales")
    total = wide.tables[0]
    if len(wide.tables) == 2:
        total = wide.tables[0][:, None] + wide.tables[1][None, :]
    if np.any(np.abs(total) >= 1 << 31):
        op.refuse("reads numbers beyond int32")
    result = scaled(total, by.mult[0], by.shift[0], by.double) + by.zero_y
    real = float(by.mult[0]) / 2.0 ** int(by.shift[0])
    scales = tuple(scale * real for scale in wide.scales)
    if op.result.type.element == "i32":
        if len(wide.tables) == 2 or by.zero_y or np.any(np.abs(result) >= 1 << 31):
            op.refuse("keeps a sum of two in int32: rescale it to int8")
        return replace(wide, tables=(result,), scales=scales)
    out = requantize_to(read, op, by)
    want = np.clip(result, by.low, by.high)
    if len(wide.tables) == 1:
        if scales[0] >= 1 << 29:
            op.refuse("scales by more than a layer can")
        mult, shift = quantize_multiplier(scales[0])
        plain = replace(out, mult=np.array([mult]), shift=np.array([shift]))
        return read.building.requantize(
            op, wide.views[0], plain, wide.zeros[0], want, read.label(op)
        )
    terms = SumOf((scales[0], scales[1]), (wide.zeros[0], wide.zeros[1]), out)
    return read.building.sum(op, (wide.views[0], wide.views[1]), terms, want, read.label(op))


def add(read: Reading, op: Operation) -> Held:
    a, b = (read.held(op.operand(at)) for at in (0, 1))
    if not isinstance(a, Wide) or not isinstance(b, Wide) or len(a.views + b.views) != 2:
        op.refuse("is taken of two int8 tensors that are rescaled to int32 before")
    if op.operand(0).type != op.operand(1).type or op.result.type != op.operand(0).type:
        op.refuse("adds tensors of two shapes: broadcast neither")
    return Wide(a.views + b.views, a.tables + b.tables, a.scales + b.scales, a.zeros + b.zeros)


def multiply(read: Reading, op: Operation) -> Held:
    a, b = (read.held(op.operand(at)) for at in (0, 1))
    if of.constant(op, 2, "a shift", read.constant).any():
        op.refuse("shifts its product: rescale that instead")
    views = [*(a.views if isinstance(a, Wide) else ()), *(b.views if isinstance(b, Wide) else ())]
    if not isinstance(a, Wide) or not isinstance(b, Wide) or len(views) != 2:
        op.refuse("is taken of two int8 tensors that are rescaled to int32 before")
    for wide in (a, b):
        if not np.array_equal(wide.tables[0], BYTES - wide.zeros[0]):
            op.refuse("scales a factor: scale the product instead")
    out = op.result.type
    if op.operand(1).type.shape == out.shape != op.operand(0).type.shape:
        a, b = b, a
    return Product((a.views[0], b.views[0]), (a.zeros[0], b.zeros[0]), out.shape)


def generic(read: Reading, op: Operation) -> Held:
    """The rounding to even of layers, as --emit=tosa writes it: held to every value there is."""
    *operands, empty = op.operands
    held = [read.held(each) for each in operands]
    if op.body is None or read.constant(empty) is None or len(held) not in (1, 2):
        op.refuse("is not one that --emit=tosa writes")
    out = op.result.type.shape
    spread = all(
        len(each.type.shape) == len(out)
        and all(own in (1, size) for own, size in zip(each.type.shape, out, strict=True))
        for each in operands
    )
    if op.result.type.element != "i8" or operands[0].type.shape != out or not spread:
        op.refuse("makes another tensor than its operands are")
    sample = [np.zeros(each.type.shape, np.int64) for each in op.operands]
    compute(op, sample, read.constant)  # refuses what is not element by element
    terms, rest = _written(op, op.body, len(held))
    zeros, mults = tuple(zero for zero, _ in terms), [mult for _, mult in terms]
    shift, zero_y, low, high = rest
    by = Requantize(np.array([max(*mults, 1)]), np.array([shift]), zero_y, low, high)
    run = _body_on(op, op.body)
    if isinstance(held[0], Sums) and len(held) == 1 and held[0].average and not zeros[0]:
        if int(np.prod(held[0].window.kernel)) > WIDE_AREA:
            op.refuse("averages too many pixels")
        truth = Average(held[0], by, lambda values: run([values]))
        return read.building.average(op, [truth])
    if isinstance(held[0], Product) and len(held) == 1 and not zeros[0]:
        reach = [BYTES - zero for zero in held[0].zeros]
        every = np.unique(np.multiply.outer(*reach))
        return read.building.product(op, held[0], by, (every, run([every])), read.label(op))
    views = [read.view(op, at) for at in range(len(held))]
    for view in views:
        read.building.signed(op, view)
    real = [mult / 2.0**shift for mult in mults]
    if len(views) == 1:
        want = run([BYTES])
        view = read.building.requantize(op, views[0], by, zeros[0], want, read.label(op))
    else:
        grid = np.meshgrid(BYTES, BYTES, indexing="ij")
        want = run([each.reshape(-1) for each in grid]).reshape(256, 256)
        terms_of = SumOf((real[0], real[1]), (zeros[0], zeros[1]), by)
        view = read.building.sum(op, (views[0], views[1]), terms_of, want, read.label(op))
    return view


def concat(read: Reading, op: Operation) -> Held:
    axis = of.axis_of(op)
    held = [read.held(each) for each in op.operands]
    shapes = [list(each.type.shape) for each in op.operands]
    shape = [*shapes[0][:axis], sum(each[axis] for each in shapes), *shapes[0][axis + 1 :]]
    rests = {(*each[:axis], *each[axis + 1 :]) for each in shapes}
    if len(rests) != 1 or tuple(shape) != op.result.type.shape:
        op.refuse("joins tensors of shapes that do not fit")
    if all(isinstance(each, Sums) for each in held):
        return groups(read, op, [each for each in held if isinstance(each, Sums)], axis)
    views = [read.view(op, at) for at in range(len(held))]
    for view in views:
        read.building.signed(op, view)
    if len({view.of.dtype for view in views}) > 1:
        op.refuse("joins int8 with what was uint8: rescale one of them")
    label, steps = read.label(op), views[0].steps
    along = axis_in(steps, axis)
    if along is None or any(view.steps != steps for view in views):
        four = len(shapes[0]) == 4
        steps = (("turn", LAST),) if four else ()
        along = LAST[axis] if four else axis
        xs = [read.building.lying(v, ("turn", FIRST) if four else None, label) for v in views]
    else:
        xs = [view.of for view in views]
    return View(_joined(read, xs, along, label), steps, views[0].moved)


def _joined(read: Reading, xs: list[Activation], axis: int, label: str) -> Activation:
    known = [x.scale for x in xs if x.scale.zero is not None]
    scale = known[0] if known else xs[0].scale
    if scale.zero is not None:
        xs = [read.building.with_zero(x, scale.zero, label) for x in xs]
    form = HELD[xs[0].dtype]
    layer = ConcatLayer(xs=(form,) * len(xs), y=form, axis=axis)
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return read.building.add(layer, tuple(shape), xs[0].dtype, tuple(xs), label, scale)


def _body_on(op: Operation, body: Block) -> Callable[[list[Ints]], Ints]:
    def run(values: list[Ints]) -> Ints:
        try:
            return run_body(body, [*values, np.zeros_like(values[0])])
        except ValueError as problem:
            op.refuse(str(problem))

    return run


def _written(
    op: Operation, body: Block, count: int
) -> tuple[list[tuple[int, int]], tuple[int, int, int, int]]:
    """Zero point and multiplier of each term; shift, zero point and limits: the constants that
    --emit=tosa writes, in their order. That they are these is not believed."""
    found = [each.number("value") for each in body.ops if each.name == "arith.constant"]
    if len(found) != 2 * count + 8:
        op.refuse("is not one that --emit=tosa writes")
    terms = [(found[2 * at], found[2 * at + 1]) for at in range(count)]
    kept, _, dropped, _, _, zero, low, high = found[2 * count :]
    zeros_fit = all(-128 <= each <= 127 for each in (zero, low, high, *(z for z, _ in terms)))
    if (
        not zeros_fit
        or low > high
        or not 1 <= kept + dropped <= MAX_SHIFT
        or min(kept, dropped) < 0
    ):
        op.refuse("has numbers that are those of no layer")
    least = 0 if count == 1 else 1 - (1 << 31)  # a difference
    if not all(least <= mult < 1 << 31 for _, mult in terms):
        op.refuse("has numbers that are those of no layer")
    return terms, (kept + dropped, zero, low, high)
