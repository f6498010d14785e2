"""Layers to accelerator operations: dense as convolution, groups as block diagonals, volumes frame
by frame, additions into the convolution before them, concatenations into the place where their
inputs are written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.layer_graph import LayerGraph, Node
from zeroskip.compiler.ir.ops import AddRequant, Clip, Op, Region, ResultTable
from zeroskip.compiler.ir.views import ChannelSlice, Value, planar, whole
from zeroskip.compiler.ir.window import Window
from zeroskip.compiler.lowering.grouping import block_diagonal, super_groups
from zeroskip.compiler.lowering.legality import MAX_KERNEL, MAX_STEP
from zeroskip.compiler.lowering.moves import depth_to_space, gather
from zeroskip.compiler.lowering.volumes import VOLUMES
from zeroskip.relay_passes.integer import layers

SEPARATE_TAPS = 25  # from which on a maximum is taken of columns, then of rows
# whose results a table may take
TABLED = (ops.ConvOp, ops.MaxPoolOp, ops.AvgPoolOp, ops.AddOp, ops.MultiplyOp)


def lower(graph: LayerGraph) -> Region:
    """The region's operations in execution order."""
    work = _Lowering(graph)
    for name in graph.inputs:
        work.views[name] = whole(work.value(name))
    for node in graph.ordered():
        work.add(node)
    outputs = tuple(work.finish_output(name) for name in graph.outputs)
    inputs = tuple(work.views[name].value for name in graph.inputs)
    places = tuple(
        work.flattened.get(node.output) or work.views[node.output] for node in graph.nodes
    )
    region = Region(graph.name, inputs, outputs, tuple(work.ops), places)
    return _place_concats(fuse_residuals(fuse_tables(region)))


def _pair(numbers: tuple[int, ...], fill: int) -> tuple[int, int]:
    """One number per spatial dimension, as (rows, cols)."""
    pair = ((fill, fill, *numbers))[-2:]
    return pair[0], pair[1]


@dataclass
class _Lowering:
    graph: LayerGraph
    views: dict[str, ChannelSlice] = field(default_factory=dict)
    # 2-D value -> what it was before
    flattened: dict[str, ChannelSlice] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)

    def value(self, name: str) -> Value:
        tensor = self.graph.tensors[name]
        channels, spatial = planar(tensor.shape)
        images = tensor.shape[0]
        return Value(name, channels, spatial, tensor.dtype, tensor.zero_point, images)

    def add(self, node: Node) -> None:
        layer, out = node.layer, node.output
        y = whole(self.value(out))
        if isinstance(layer, layers.ReshapeLayer):
            self._reshape(node, y)
            return
        self.views[out] = y
        if isinstance(layer, layers.DenseLayer):
            self._dense(node, layer, y)
        elif isinstance(layer, layers.ConcatLayer):
            self._concat(node, y)
        elif isinstance(layer, layers.GatherLayer):
            made, self.views[out] = gather(node.node, layer, self.read(node.inputs[0]), y)
            self.ops += made
        else:
            of_kind = VOLUMES if _is_volume(layer) and type(layer) in VOLUMES else LOWERINGS
            lowering = of_kind[type(layer)]
            self.ops += lowering(node.node, layer, [self.read(name) for name in node.inputs], y)

    def read(self, name: str) -> ChannelSlice:
        """The view of a value; one that was flattened without moving is moved now."""
        if name in self.flattened:
            y = whole(self.value(name))
            self.ops.append(ops.ReshapeOp(name, self.flattened.pop(name), y))
            self.views[name] = y
        return self.views[name]

    def _reshape(self, node: Node, y: ChannelSlice) -> None:
        x = self.read(node.inputs[0])
        if (x.channels, x.value.spatial) == (y.channels, y.value.spatial):
            self.views[node.output] = x
        elif y.value.image == (1, 1):
            self.flattened[node.output] = x
        else:
            self.ops.append(ops.ReshapeOp(node.node, x, y))
            self.views[node.output] = y

    def _dense(self, node: Node, layer: layers.DenseLayer, y: ChannelSlice) -> None:
        """A dense layer on a flattened map is a convolution whose kernel is the whole map, in parts
        if it is a large one: its weights take the order in which the map lies. Only where a kernel
        has no such side, or a step from image to image, is the map moved first. The images of a
        batch are its pixels."""
        x = self.flattened.get(node.inputs[0])
        if x is None or max(x.value.image) > MAX_KERNEL or _too_high(x.value):
            x = self.read(node.inputs[0])
        kernel = x.value.image
        weight = np.ascontiguousarray(layer.weight).reshape(-1, x.channels, *kernel)
        self.ops.append(
            ops.ConvOp(
                node.node,
                x,
                y,
                _below(Window(kernel), x, y),
                weight,
                layer.bias,
                layer.mult,
                layer.shift,
                Clip(layer.lo, layer.hi),
            )
        )

    def _concat(self, node: Node, y: ChannelSlice) -> None:
        offset = 0
        for name in node.inputs:
            x = self.read(name)
            part = ChannelSlice(y.value, offset, x.channels)
            self.ops.append(ops.CopyOp(node.node, x, part))
            offset += x.channels

    def finish_output(self, name: str) -> Value:
        """A region's output is a whole value of its own that no later step overwrites."""
        view = self.flattened.get(name) or self.views[name]
        taken = view.value.name in self.graph.inputs
        if view.channels == view.value.channels and not taken:
            return view.value
        y = whole(replace(view.value, name=f"{name}.out", channels=view.channels))
        self.ops.append(ops.CopyOp(name, view, y))
        return y.value


def _too_high(x: Value) -> bool:
    """Whether no step goes from an image to the next."""
    return x.images > 1 and x.image[0] > MAX_STEP


def _below(window: Window, x: ChannelSlice, y: ChannelSlice) -> Window:
    """A window over images of a batch, each of which has one row of results: the step to the next
    of them is an image, so that they are rows like others."""
    if x.value.images == 1 or y.value.image[0] > 1 or _too_high(x.value):
        return window
    return replace(window, stride=(x.value.image[0], window.stride[1]))


def _is_volume(layer: layers.Layer) -> bool:
    """Whether its tensors are [1, C, D, H, W]."""
    return len(layer.y.shape) == 5


def _max_pool(
    node: str, layer: layers.MaxPoolLayer, reads: list[ChannelSlice], y: ChannelSlice
) -> list[Op]:
    window = Window(
        _pair(layer.kernel, 1),
        _pair(layer.strides, 1),
        _pair(layer.dilation, 1),
        _pair(_begins(layer.padding), 0),
    )
    window = _below(window, reads[0], y)
    clip = Clip(layer.lo, layer.hi)
    if window.taps < SEPARATE_TAPS or 1 in window.kernel:
        return [ops.MaxPoolOp(node, reads[0], y, window, clip)]
    # The maximum of a window is that of its columns' maxima: k + k taps in place of k x k.
    down, across = (
        Window(*((at[0], one) if axis == 0 else (one, at[1]) for at, one in _sides(window)))
        for axis in range(2)
    )
    size = y.spatial[0], reads[0].spatial[1]
    columns = replace(y.value, name=f"{y.value.name}.columns", spatial=size)
    return [
        ops.MaxPoolOp(node, reads[0], whole(columns), down, Clip(*layers.BOUNDS[y.value.dtype])),
        ops.MaxPoolOp(node, whole(columns), y, across, clip),
    ]


def _sides(window: Window) -> tuple[tuple[tuple[int, int], int], ...]:
    """Kernel, stride, dilation and padding of a window, each with what it is of an axis that a
    window has one pixel of."""
    return ((window.kernel, 1), (window.stride, 1), (window.dilation, 1), (window.pad, 0))


def _avg_pool(
    node: str, layer: layers.AvgPoolLayer, reads: list[ChannelSlice], y: ChannelSlice
) -> list[Op]:
    window = Window(
        _pair(layer.kernel, 1), _pair(layer.strides, 1), pad=_pair(_begins(layer.padding), 0)
    )
    window = _below(window, reads[0], y)
    clip = Clip(layer.lo, layer.hi)
    return [ops.AvgPoolOp(node, reads[0], y, window, layer.mult, layer.shift, clip)]


def _requantize(
    node: str, layer: layers.RequantizeLayer, reads: list[ChannelSlice], y: ChannelSlice
) -> list[Op]:
    clip = Clip(layer.lo, layer.hi)
    return [ops.AvgPoolOp(node, reads[0], y, Window(), layer.mult, layer.shift, clip)]


def _add(node: str, layer: layers.AddLayer, reads: list[ChannelSlice], y: ChannelSlice) -> list[Op]:
    total = AddRequant(layer.mult_a, layer.mult_b, layer.shift, Clip(layer.lo, layer.hi))
    return [ops.AddOp(node, reads[0], y, reads[1], total)]


def _multiply(
    node: str, layer: layers.MultiplyLayer, reads: list[ChannelSlice], y: ChannelSlice
) -> list[Op]:
    product = AddRequant(layer.mult, 0, layer.shift, Clip(layer.lo, layer.hi))
    return [ops.MultiplyOp(node, reads[0], y, reads[1], product)]


def _lookup(
    node: str, layer: layers.LookupLayer, reads: list[ChannelSlice], y: ChannelSlice
) -> list[Op]:
    (x,) = reads
    argument = replace(
        x.value, name=f"{y.value.name}.argument", channels=y.channels, spatial=y.spatial
    )
    return [ops.LookupOp(node, x, y, table=ResultTable(node, layer.by_byte, argument))]


def _begins(padding: tuple[int, ...]) -> tuple[int, ...]:
    """Paddings before each spatial dimension (the ends follow from the output's size)."""
    return padding[: len(padding) // 2]


def _conv(
    node: str, layer: layers.ConvLayer, reads: list[ChannelSlice], y: ChannelSlice
) -> list[Op]:
    (x,) = reads
    window = Window(
        _pair(layer.weight.shape[2:], 1),
        _pair(layer.strides, 1),
        _pair(layer.dilation, 1),
        _pair(_begins(layer.padding), 0),
    )
    window = _below(window, x, y)
    weight = layer.weight.reshape(*layer.weight.shape[:2], *window.kernel)
    clip = Clip(layer.lo, layer.hi)
    filters, groups = weight.shape[0], layer.groups
    if groups > 1 and groups == x.channels == filters:
        return [
            ops.DepthwiseOp(node, x, y, window, weight, layer.bias, layer.mult, layer.shift, clip)
        ]
    made: list[Op] = []
    for c0, channels, k0, count in super_groups(x.channels, filters, groups):
        part, joined = slice(k0, k0 + count), groups * channels // x.channels
        made.append(
            ops.ConvOp(
                node,
                ChannelSlice(x.value, x.offset + c0, channels),
                ChannelSlice(y.value, y.offset + k0, count),
                window,
                block_diagonal(weight[part], channels, joined),
                layer.bias[part],
                layer.mult[part],
                layer.shift[part],
                clip,
                groups=joined,
            )
        )
    return made


LOWERINGS: dict[
    type[layers.Layer], Callable[[str, Any, list[ChannelSlice], ChannelSlice], list[Op]]
] = {
    layers.ConvLayer: _conv,
    layers.MaxPoolLayer: _max_pool,
    layers.AvgPoolLayer: _avg_pool,
    layers.RequantizeLayer: _requantize,
    layers.AddLayer: _add,
    layers.MultiplyLayer: _multiply,
    layers.LookupLayer: _lookup,
    layers.DepthToSpaceLayer: depth_to_space,
}  # of the layers that are operations of their own: (node, layer, what it reads, result)


def fuse_residuals(region: Region) -> Region:
    """Each addition joins the convolution that makes one of its operands, where nothing else
    reads that operand, the other one is there by then and has its shape, and at most one of the two
    has a table."""
    made = {op.y.value.name: index for index, op in enumerate(region.ops)}
    writers = _writers(region)
    fused: dict[int, Op] = {}
    gone: set[int] = set()
    for index, op in enumerate(region.ops):
        if not isinstance(op, ops.AddOp) or op.operand_of_channels or op.operand_of_pixels:
            continue
        for own, other, total in ((op.x, op.addend, op.sum), (op.addend, op.x, _swapped(op.sum))):
            at = made.get(own.value.name, -1)
            conv = fused.get(at, region.ops[at])
            if (
                at >= 0
                and isinstance(conv, ops.ConvOp)
                and conv.residual is None
                and not (conv.table and op.table)
                and own == conv.y == whole(own.value)
                and len(writers[own.value.name]) == 1
                and _reads(region, own.value.name) == 1
                and own.value != other.value
                and made.get(other.value.name, -1) < at
            ):
                residual = ops.Residual(op.node, other, total, own.value, conv.clip, conv.table)
                fused[at] = replace(conv, y=op.y, residual=residual, table=op.table)
                made[op.y.value.name] = at
                gone.add(index)
                break
    kept = tuple(fused.get(i, op) for i, op in enumerate(region.ops) if i not in gone)
    return replace(region, ops=kept)


def fuse_tables(region: Region) -> Region:
    """Each table joins the operations that make what is looked up, where nothing else reads that:
    results then go through it on their way to ACT."""
    writers = _writers(region)
    steps: list[Op | None] = list(region.ops)
    for index, op in enumerate(region.ops):
        if not isinstance(op, ops.LookupOp) or op.table is None:
            continue
        argument = op.x.value
        makers = [steps[at] for at in writers.get(argument.name, ())]
        if (
            makers
            and op.x == whole(argument)
            and _reads(region, argument.name) == 1
            and all(isinstance(maker, TABLED) and maker.table is None for maker in makers)
        ):
            for at, maker in zip(writers[argument.name], makers, strict=True):
                assert maker is not None
                table = replace(op.table, argument=argument)
                steps[at] = replace(maker, y=replace(maker.y, value=op.y.value), table=table)
            writers[op.y.value.name] = writers[argument.name]
            steps[index] = None
    return replace(region, ops=tuple(step for step in steps if step is not None))


def _swapped(total: AddRequant) -> AddRequant:
    return replace(total, mult_a=total.mult_b, mult_b=total.mult_a)


def _reads(region: Region, name: str) -> int:
    inside = sum(view.value.name == name for op in region.ops for view in op.reads)
    return inside + sum(value.name == name for value in region.outputs)


def _writers(region: Region) -> dict[str, list[int]]:
    writers: dict[str, list[int]] = {}
    for index, op in enumerate(region.ops):
        writers.setdefault(op.y.value.name, []).append(index)
    return writers


def _place_concats(region: Region) -> Region:
    """An input of a concatenation that only one operation makes is written in place."""
    moved: dict[str, ChannelSlice] = {}
    steps: list[Op] = list(region.ops)
    own = {value.name for value in (*region.inputs, *region.outputs)}
    writers = _writers(region)
    for index, op in enumerate(region.ops):
        source = op.x.value.name
        if (
            isinstance(op, ops.CopyOp)
            and op.x == whole(op.x.value)
            and source not in own
            and source not in moved
            and writers.get(source)
            and source != op.y.value.name
        ):
            moved[source] = op.y
            steps[index] = op
    kept = [
        op
        for op in steps
        if not (isinstance(op, ops.CopyOp) and moved.get(op.x.value.name) == op.y)
    ]
    for name in list(moved):
        moved[name] = _resolve(moved, moved[name])
    return replace(
        region,
        ops=tuple(op.with_views(partial(_at, moved)) for op in kept),
        places=tuple(_at(moved, view) for view in region.places),
    )


def _resolve(moved: dict[str, ChannelSlice], view: ChannelSlice) -> ChannelSlice:
    while view.value.name in moved:
        view = _within(moved[view.value.name], view)
    return view


def _within(home: ChannelSlice, view: ChannelSlice) -> ChannelSlice:
    return replace(view, value=home.value, offset=home.offset + view.offset)


def _at(moved: dict[str, ChannelSlice], view: ChannelSlice) -> ChannelSlice:
    home = moved.get(view.value.name)
    return view if home is None else _within(home, view)
