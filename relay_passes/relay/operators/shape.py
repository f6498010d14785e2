"""Operators that move elements and compute none."""

import itertools
import math

import numpy as np

from zeroskip.relay_passes.relay.operators.layout import (
    as_it_was,
    channels_first,
    data_layout,
    order,
)
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.types import check_shape
from zeroskip.relay_passes.relay.values import RelayTensor, Value

_COPY, _INFER, _REST, _MERGE, _SPLIT = 0, -1, -2, -3, -4  # Relay's codes in ``newshape``


def _reshape(op: Operation) -> RelayTensor:
    data = op.tensor(0)
    return op.reshape(data, _new_shape(op, data.shape))


def _new_shape(op: Operation, shape: tuple[int, ...]) -> list[int]:
    """``newshape`` with Relay's codes worked out."""
    codes = list(op.integers("newshape"))
    copies = not op.flag("allowzero")
    left, sizes = list(shape), []  # left: what no code has used
    while codes:
        code = codes.pop(0)
        needed = 2 if code == _MERGE else code in (_COPY, _SPLIT) and (copies or code != _COPY)
        if len(left) < needed or (code == _SPLIT and len(codes) < 2):
            raise op.refuse(f"has a newshape that does not fit {list(shape)}: print it again")
        if code == _COPY and copies:
            sizes.append(left.pop(0))
        elif code == _REST:
            sizes += left
            left = []
        elif code == _MERGE:
            sizes.append(left.pop(0) * left.pop(0))
        elif code == _SPLIT:
            whole, parts = left.pop(0), [codes.pop(0), codes.pop(0)]
            known = max(parts) if min(parts) == _INFER else 0
            sizes += [whole // known if known > 0 and part == _INFER else part for part in parts]
        else:
            sizes.append(code)
            left = left[1:]
    if sizes.count(_INFER) == 1:
        rest = math.prod(size for size in sizes if size != _INFER)
        if rest:
            sizes[sizes.index(_INFER)] = math.prod(shape) // rest
    if min(sizes, default=0) < 0 or math.prod(sizes) != math.prod(shape):
        raise op.refuse(
            f"makes {sizes} of {list(shape)}, which has as many elements: mend newshape"
        )
    return sizes


def _reshape_like(op: Operation) -> RelayTensor:
    data, like = op.tensor(0), op.tensor(1)
    if math.prod(data.shape) != math.prod(like.shape):
        raise op.refuse(f"makes {list(like.shape)} of {list(data.shape)}: print the module again")
    return op.reshape(data, like.shape)


def _batch_flatten(op: Operation) -> RelayTensor:
    return op.emit("Flatten", op.tensor(0), axis=1)


def _transpose(op: Operation) -> RelayTensor:
    data = op.tensor(0)
    if op.attr("axes") is None:
        axes = list(reversed(range(data.rank)))
    else:
        axes = [op.as_axis(axis, data.rank) for axis in op.integers("axes")]
    if sorted(axes) != list(range(data.rank)):
        raise op.refuse(f"has axes {axes} for {data.rank} dimensions: print the module again")
    return op.turn(data, axes)


def _layout_transform(op: Operation) -> RelayTensor:
    data, source, target = op.tensor(0), op.text("src_layout", ""), op.text("dst_layout", "")
    letters = sorted(source)
    if letters != sorted(target) or len(letters) != data.rank or len(set(letters)) != data.rank:
        raise op.refuse(
            f"from {source[:20]!r} to {target[:20]!r} is no order of axes: undo blocking"
        )
    return op.turn(data, order(source, target))


def _squeeze(op: Operation) -> RelayTensor:
    data = op.tensor(0)
    given = op.attr("axis")
    if given is None:
        axes = {axis for axis, size in enumerate(data.shape) if size == 1}
    else:
        axes = {op.as_axis(axis, data.rank) for axis in op.integers("axis")}
    if any(data.shape[axis] != 1 for axis in axes):
        raise op.refuse(f"takes axes {sorted(axes)} from {list(data.shape)}, not all of size 1")
    return op.reshape(data, [size for axis, size in enumerate(data.shape) if axis not in axes])


def _expand_dims(op: Operation) -> RelayTensor:
    data, count = op.tensor(0), op.integer("num_newaxis", 1)
    axis = op.as_axis(op.integer("axis", 0), data.rank + 1)
    if not 0 <= count <= 8:
        raise op.refuse(f"adds {count} axes: taken are up to 8")
    return op.reshape(data, [*data.shape[:axis], *(1,) * count, *data.shape[axis:]])


def _concatenate(op: Operation) -> RelayTensor:
    parts = op.tensors(0)
    return op.emit("Concat", *parts, axis=op.axis(parts[0].rank, default=0))


def _stack(op: Operation) -> RelayTensor:
    parts = op.tensors(0)
    axis = op.axis(parts[0].rank + 1, default=0)
    grown = [op.reshape(x, [*x.shape[:axis], 1, *x.shape[axis:]]) for x in parts]
    return op.emit("Concat", *grown, axis=axis)


def _split(op: Operation) -> Value:
    data = op.tensor(0)
    axis = op.axis(data.rank, default=0)
    whole, given = data.shape[axis], op.attr("indices_or_sections")
    if isinstance(given, int):
        sections = op.integer("indices_or_sections", 1)
        if sections < 1 or sections > whole or whole % sections:
            raise op.refuse(f"cuts {whole} into {sections} equal parts: give places instead")
        sizes = [whole // sections] * sections
    else:
        places = [0, *op.integers("indices_or_sections"), whole]
        sizes = [end - begin for begin, end in itertools.pairwise(places)]
        if min(sizes) < 1:
            raise op.refuse(
                f"cuts {whole} at {places[1:-1][:8]}: taken are ascending places within"
            )
    parts = op.const(sizes, "int64")
    return tuple(op.builder.emit_all("Split", [data, parts], len(sizes), axis=axis))


def _strided_slice(op: Operation) -> RelayTensor:
    data = op.tensor(0)
    begin, end = op.integers("begin"), op.integers("end")
    axes = op.integers("axes", ()) if op.attr("axes") is not None else tuple(range(len(begin)))
    by_size = op.choice("slice_mode", "end", "end", "size") == "size"
    strides = op.integers("strides", (1,))
    steps = [*strides, *(1,) * (len(begin) - len(strides))][: len(begin)]
    if not len(begin) == len(end) == len(axes) or 0 in steps:
        raise op.refuse("has not as many begins as ends and axes, or a stride of 0: print it again")
    if by_size:
        steps = [1] * len(begin)
        sizes = [data.shape[op.as_axis(axis, data.rank)] for axis in axes]
        end = tuple(
            whole if count < 0 else first + count
            for first, count, whole in zip(begin, end, sizes, strict=True)
        )
    places = [op.const(values, "int64") for values in (begin, end, axes, steps)]
    return op.emit("Slice", data, *places)


def _take(op: Operation) -> RelayTensor:
    """Gather of constant places, which TVM clips or wraps."""
    data, places = op.tensor(0), op.constant(1, "indices")
    if op.integer("batch_dims", 0) != 0 or op.attr("axis") is None:
        raise op.refuse("is taken along one axis and without batch_dims: reshape before it")
    if places.dtype.kind not in "iu":
        raise op.refuse(f"has indices of {places.dtype}: cast them to integers")
    axis = op.axis(data.rank)
    size = data.shape[axis]
    if op.choice("mode", "clip", "clip", "wrap", "fast") == "wrap":
        places = places % max(size, 1)
    places = np.clip(places, 0, max(size - 1, 0))
    return op.emit("Gather", data, op.const(places, "int64"), axis=axis)


def _broadcast_to(op: Operation) -> RelayTensor:
    return _expand(op, op.tensor(0), op.integers("shape"))


def _broadcast_like(op: Operation) -> RelayTensor:
    return _expand(op, op.tensor(0), op.tensor(1).shape)


def _expand(op: Operation, data: RelayTensor, shape: tuple[int, ...]) -> RelayTensor:
    if min(shape, default=0) < 0:
        raise op.refuse(f"has shape {list(shape)}: taken are sizes of 0 and more")
    check_shape(op.line, shape)
    op.attr("dtype")
    return op.emit("Expand", data, op.const(shape, "int64"))


def _filled(value: float | None) -> Rule:
    """A tensor of one number; None: of the operand's."""

    def convert(op: Operation) -> RelayTensor:
        number = np.float64(value) if value is not None else op.constant(0, "number")
        if number.size != 1:
            raise op.refuse(f"has {number.size} numbers where one should be")
        kind = op.dtype("dtype", "float32" if value is not None else number.dtype.name)
        return _expand(op, op.const(number.reshape(()), kind), op.integers("shape"))

    return Rule(convert, 1 if value is None else 0)


def _tile(op: Operation) -> RelayTensor:
    data, reps = op.tensor(0), op.integers("reps")
    rank = max(data.rank, len(reps))
    if min(reps, default=1) < 1 or rank > 16:
        raise op.refuse(f"has reps={list(reps)[:8]}: taken are counts above 0")
    counts = [*(1,) * (rank - len(reps)), *reps]
    grown = op.reshape(data, [*(1,) * (rank - data.rank), *data.shape])
    return op.emit("Tile", grown, op.const(counts, "int64"))


def _repeat(op: Operation) -> RelayTensor:
    data, count = op.tensor(0), op.integer("repeats", 0)
    axis = op.axis(data.rank, default=data.rank)
    if count < 1:
        raise op.refuse(f"has repeats={count}: taken are counts above 0")
    grown = op.reshape(data, [*data.shape[: axis + 1], 1, *data.shape[axis + 1 :]])
    counts = [1] * grown.rank
    counts[axis + 1] = count
    many = op.emit("Tile", grown, op.const(counts, "int64"))
    return op.reshape(many, [*data.shape[:axis], data.shape[axis] * count, *data.shape[axis + 1 :]])


def _pad(op: Operation) -> RelayTensor:
    data, number = op.tensor(0), op.constant(1, "padding value")
    widths = op.attr("pad_width", ())
    pairs = [pair if isinstance(pair, tuple) else () for pair in widths] if widths else []
    if len(pairs) != data.rank or not all(
        len(pair) == 2 and all(isinstance(n, int) and 0 <= n < 1 << 31 for n in pair)
        for pair in pairs
    ):
        raise op.refuse("has other widths than two sizes for each dimension: print it again")
    if number.size != 1:
        raise op.refuse("pads with more than one number: give one")
    mode = op.choice("pad_mode", "constant", "constant", "edge", "reflect")
    pads = op.const([pair[side] for side in (0, 1) for pair in pairs], "int64")
    fill = op.const(number.reshape(()), data.dtype) if mode == "constant" else None
    return op.emit("Pad", data, pads, *([fill] if fill else []), mode=mode)


def _blocks(name: str, modes: tuple[str, ...]) -> Rule:
    """Pixels of a block as channels, or the way back."""

    def convert(op: Operation) -> RelayTensor:
        layout = data_layout(op)
        image, size = channels_first(op, op.tensor(0), layout), op.integer("block_size", 1)
        mode = op.choice("mode", "DCR", *modes) if len(modes) > 1 else op.text("mode", "")
        if size < 1:
            raise op.refuse(f"has block_size={size}: taken are sizes above 0")
        attrs = {"mode": mode} if len(modes) > 1 else {}
        return as_it_was(op, op.emit(name, image, blocksize=size, **attrs), layout)

    return Rule(convert, 1)


TABLE = {
    "reshape": Rule(_reshape, 1),
    "reshape_like": Rule(_reshape_like, 2),
    "nn.batch_flatten": Rule(_batch_flatten, 1),
    "transpose": Rule(_transpose, 1),
    "layout_transform": Rule(_layout_transform, 1),
    "squeeze": Rule(_squeeze, 1),
    "expand_dims": Rule(_expand_dims, 1),
    "concatenate": Rule(_concatenate, 1),
    "stack": Rule(_stack, 1),
    "split": Rule(_split, 1),
    "strided_slice": Rule(_strided_slice, 1),
    "take": Rule(_take, 2),
    "broadcast_to": Rule(_broadcast_to, 1),
    "broadcast_to_like": Rule(_broadcast_like, 2),
    "full": _filled(None),
    "zeros": _filled(0),
    "ones": _filled(1),
    "tile": Rule(_tile, 1),
    "repeat": Rule(_repeat, 1),
    "nn.pad": Rule(_pad, 2),
    "nn.depth_to_space": _blocks("DepthToSpace", ("DCR", "CRD")),
    "nn.space_to_depth": _blocks("SpaceToDepth", ("DCR",)),
}
