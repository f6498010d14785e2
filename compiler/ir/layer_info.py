"""A layer's own numbers, for the report and the audit: its multiplies, and the bytes that must
move at least."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zeroskip.accel_model.program.program import LayerInfo
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.compulsory_traffic import Mask, elements, real_macs
from zeroskip.compiler.ir.kernel_parts import WHOLE, Cuts
from zeroskip.compiler.ir.ops import Op
from zeroskip.compiler.ir.weight_packing import PackedWeights, packed_parts
from zeroskip.compiler.ir.window import Window


def layer_info(
    op: Op,
    schedule: str,
    weights: PackedWeights | None,
    touched: dict[str, Mask],
    kernel: Cuts = WHOLE,
    element_bytes: int = 1,
) -> LayerInfo:
    """The layer of one operation. touched: what it reads (``compulsory.touched``). kernel: parts
    that its kernel is stored in, which may take less. element_bytes: that the target stores an
    activation in."""
    residual, table = op.residual, op.table
    kind, result = type(op).__name__.removesuffix("Op").lower(), op.node
    if residual is not None:
        kind = f"{kind}{'+lookup' if residual.table is not None else ''}+add"
        result = residual.node
    if table is not None and not isinstance(op, ops.LookupOp):
        kind, result = f"{kind}+lookup", table.node
    effectual = 0 if op.tap_weights is None else int(op.tap_weights.sum()) * op.y.pixels
    return LayerInfo(
        node=op.node,
        result=result,
        kind=kind,
        shape=(1, op.y.value.channels, *op.y.value.spatial),
        macs=op.macs,
        effectual=effectual,
        real_macs=real_macs(op),
        input_bytes=elements(touched) * element_bytes,
        output_bytes=op.y.channels * op.y.pixels * element_bytes,
        weight_bytes=0 if weights is None else _least_of(weights, kernel),
        schedule=schedule,
        value=op.y.value.name,
        before=tuple(value.name for value in op.before),
    )


def join_layers(one: LayerInfo, two: LayerInfo, both: int) -> LayerInfo:
    """Parts of one layer, as of a grouped convolution, a concatenation or a volume's frames. both:
    bytes of inputs that the two read."""
    summed = {
        name: getattr(one, name) + getattr(two, name)
        for name in (
            "macs",
            "effectual",
            "real_macs",
            "input_bytes",
            "output_bytes",
            "weight_bytes",
        )
    }
    return replace(one, **summed | {"input_bytes": summed["input_bytes"] - both})


def _least_of(weights: PackedWeights, kernel: Cuts) -> int:
    """Of the weights whole or in these parts."""
    if kernel == WHOLE:
        return least_bytes(weights)
    return min(least_bytes(weights), sum(map(least_bytes, packed_parts(weights, kernel))))


def least_bytes(weights: PackedWeights) -> int:
    """Of the layer's weights in the format they are stored in; zeros between groups are none. A
    kernel as large as the map, as a dense layer has, may be stored as one or as kernels of a
    weight each."""
    op = weights.conv
    if op.shared is not None and not op.shared.first:
        return 0
    weight = grouped(op) if op.shared is None else op.shared.used
    if op.channel_weights:
        return int(weight.size) * weights.format.weight_bytes
    table = weights.table if op.shared is None else weights.format.make_table(weight)
    sizes = [weights.format.least_bytes(weight, table)]
    alone = replace(op.window, stride=(1, 1))  # of one output
    images = op.y.value.images
    if alone == Window((op.x.spatial[0] // images, op.x.spatial[1])) and op.y.pixels == images:
        flat = weight.reshape(len(weight), -1, 1, 1)
        sizes.append(weights.format.least_bytes(flat, weights.format.make_table(flat)))
    return min(sizes)


def grouped(op: ops.ConvOp) -> ops.Int8:
    """The weight without the zeros between its groups: int8 [K, C / groups, rows, cols]."""
    if op.groups == 1:
        return op.weight
    filters, channels = op.weight.shape[0] // op.groups, op.weight.shape[1] // op.groups
    blocks = op.weight.reshape(op.groups, filters, op.groups, channels, *op.window.kernel)
    each = np.arange(op.groups)
    return blocks[each, :, each].reshape(-1, channels, *op.window.kernel)
