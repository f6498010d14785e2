"""Padding in one form: explicit `pads` on convolutions and pools.

`pads` are ONNX's: the begins of every spatial axis, then the ends.
"""

from collections.abc import Sequence

import numpy as np
import onnx

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Index,
    attributes,
    drop_unused,
    input_name,
    set_attributes,
)

_WINDOWED = ("Conv", "AveragePool", "MaxPool", "LpPool")
_SAME = ("SAME_UPPER", "SAME_LOWER")


def make_pads_explicit(model: onnx.ModelProto) -> None:
    """Replace `auto_pad` (and ConvTranspose's `output_shape`) by `pads`.

    For a window of extent e = (kernel - 1) * dilation + 1 and stride s, SAME gives
    ceil(input / s) outputs and so max(0, (outputs - 1) * s + e - input) in total, the odd one at
    the end for SAME_UPPER and at the begin for SAME_LOWER; VALID gives none.
    """
    index = Index.of(model)
    for node in model.graph.node:
        if node.domain not in DEFAULT_DOMAINS:
            continue
        if node.op_type in _WINDOWED:
            _make_window_explicit(node, index)
        elif node.op_type == "ConvTranspose":
            _make_transposed_explicit(node, index)


def _make_window_explicit(node: onnx.NodeProto, index: Index) -> None:
    attrs = attributes(node)
    mode = attrs.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        set_attributes(node, auto_pad=None)
        return
    kernel = _kernel(node, index)
    rank = len(kernel)
    if mode == "VALID":
        pads = [0] * (2 * rank)
    else:
        strides = attrs.get("strides", [1] * rank)
        dilations = attrs.get("dilations", [1] * rank)
        inputs = _spatial(node, index)
        totals = [
            max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
            for size, s, k, d in zip(inputs, strides, kernel, dilations, strict=True)
        ]
        pads = _split(totals, mode)
    # Both modes fix the number of outputs; rounding up has nothing left to round.
    rounding = 0 if "ceil_mode" in attrs else None
    set_attributes(node, auto_pad=None, pads=pads, kernel_shape=kernel, ceil_mode=rounding)


def _make_transposed_explicit(node: onnx.NodeProto, index: Index) -> None:
    """total = stride * (input - 1) + output_padding + extent - output, from ONNX's ConvTranspose;
    a negative total is more output_padding."""
    attrs = attributes(node)
    mode = attrs.get("auto_pad", "NOTSET")
    wanted = attrs.get("output_shape")
    if mode == "NOTSET" and wanted is None:
        set_attributes(node, auto_pad=None)
        return
    kernel = _kernel(node, index)
    rank = len(kernel)
    if mode == "VALID" and wanted is None:
        set_attributes(node, auto_pad=None, pads=[0] * (2 * rank), kernel_shape=kernel)
        return
    strides = attrs.get("strides", [1] * rank)
    dilations = attrs.get("dilations", [1] * rank)
    extra = attrs.get("output_padding", [0] * rank)
    inputs = _spatial(node, index)
    outputs = (
        [size * s for size, s in zip(inputs, strides, strict=True)]
        if wanted is None
        else list(wanted)[-rank:]
    )
    totals = [
        s * (size - 1) + more + (k - 1) * d + 1 - out
        for s, size, more, k, d, out in zip(
            strides, inputs, extra, kernel, dilations, outputs, strict=True
        )
    ]
    set_attributes(
        node,
        auto_pad=None,
        output_shape=None,
        kernel_shape=kernel,
        pads=_split([max(0, total) for total in totals], mode),
        output_padding=[more + max(0, -t) for more, t in zip(extra, totals, strict=True)],
    )


def _split(totals: Sequence[int], mode: str) -> list[int]:
    """Begins and ends of each axis; the odd one at the end, except for SAME_LOWER (and for a
    ConvTranspose with `output_shape` alone, where ONNX puts it at the begin)."""
    small = [total // 2 for total in totals]
    large = [total - half for total, half in zip(totals, small, strict=True)]
    return [*small, *large] if mode == "SAME_UPPER" else [*large, *small]


def _kernel(node: onnx.NodeProto, index: Index) -> list[int]:
    attrs = attributes(node)
    if "kernel_shape" in attrs:
        return list(attrs["kernel_shape"])
    shape = index.shape(node.input[1])
    if shape is None:
        raise FrontError(
            f"Node '{node.name}' ({node.op_type}) has weights of unknown shape: "
            "export the model with constant weights."
        )
    return list(shape[2:])


def _spatial(node: onnx.NodeProto, index: Index) -> tuple[int, ...]:
    shape = index.shape(node.input[0])
    if shape is None:
        raise FrontError(
            f"Node '{node.name}' ({node.op_type}) has an input of unknown shape, which its "
            "automatic padding needs: export the model with explicit pads."
        )
    return shape[2:]


def refuse_empty_windows(model: onnx.ModelProto) -> None:
    """FrontError for a convolution or pooling whose window nowhere fits into its padded input.

    Automatic padding to the same size makes every window fit.
    """
    index = Index.of(model)
    for node in model.graph.node:
        shape = index.shape(node.input[0]) if node.op_type in _WINDOWED else None
        if shape is None or node.domain not in DEFAULT_DOMAINS:
            continue
        attrs, kernel = attributes(node), _kernel(node, index)
        rank = len(shape) - 2
        sizes = {name: attrs.get(name, [1] * rank) for name in ("strides", "dilations")}
        pads = attrs.get("pads", [0] * (2 * rank))
        if {len(kernel), *map(len, sizes.values()), len(pads) / 2} != {rank} or min(
            [1, *kernel, *sizes["strides"], *sizes["dilations"]]
        ) < 1:
            raise FrontError(
                f"Node '{node.name}' ({node.op_type}) has a window of {kernel} with "
                f"{sizes} and pads {pads} on {rank} axes: export the model again."
            )
        if attrs.get("auto_pad") in _SAME:
            continue
        padded = [size + pads[i] + pads[i + rank] for i, size in enumerate(shape[2:])]
        extent = [(k - 1) * d + 1 for k, d in zip(kernel, sizes["dilations"], strict=True)]
        if any(e > size for e, size in zip(extent, padded, strict=True)):
            raise FrontError(
                f"Node '{node.name}' ({node.op_type}) has a window that reaches over "
                f"{extent}, and its padded input is {padded}: give larger inputs, or "
                "export the model again."
            )


def merge_pads(model: onnx.ModelProto) -> None:
    """Move a Pad of constant zeros on spatial axes into the Conv or AveragePool that alone
    reads it, through quantizers, which keep 0.

    An average that does not count its own padding counts that of a Pad: it is merged when it has
    no padding of its own and counts from then on. It is not merged when it rounds up, since a
    window may then reach beyond the padding.
    """
    index = Index.of(model)
    for pad in model.graph.node:
        if pad.op_type != "Pad" or pad.domain not in DEFAULT_DOMAINS:
            continue
        first = reader = index.only_reader(pad.output[0])
        padded = pad.output[0]
        while reader is not None and _keeps_zero(reader, padded, index):
            padded = reader.output[0]
            reader = index.only_reader(padded)
        amounts = spatial_zeros(pad, index)
        if amounts is None or first is None or reader is None or not _takes_pads(reader, padded):
            continue
        own = attributes(reader).get("pads", [0] * len(amounts))
        set_attributes(reader, pads=[a + b for a, b in zip(own, amounts, strict=True)])
        if reader.op_type == "AveragePool":
            set_attributes(reader, count_include_pad=1)
        first.input[0] = pad.input[0]
        del model.graph.value_info[:]  # of what is smaller now; inferred again
    drop_unused(model)


def _keeps_zero(node: onnx.NodeProto, data: str, index: Index) -> bool:
    """Whether a node quantizes or dequantizes a tensor by one scale: of 0 that gives the zero
    point, of which it gives 0 again."""
    scale = index.shape(node.input[1]) if len(node.input) > 1 else None
    return (
        node.op_type in ("QuantizeLinear", "DequantizeLinear")
        and node.domain in DEFAULT_DOMAINS
        and node.input[0] == data
        and scale is not None
        and int(np.prod(scale)) == 1
    )


def _takes_pads(reader: onnx.NodeProto, padded: str) -> bool:
    attrs = attributes(reader)
    if reader.domain not in DEFAULT_DOMAINS or padded in list(reader.input)[1:]:
        return False
    if reader.op_type == "AveragePool":
        counted = attrs.get("count_include_pad", 0) or not any(attrs.get("pads", []))
        return bool(counted and not attrs.get("ceil_mode", 0))
    return bool(reader.op_type == "Conv")


def spatial_zeros(pad: onnx.NodeProto, index: Index) -> list[int] | None:
    """The begins and ends on the spatial axes, None unless the Pad adds zeros there only."""
    shape = index.shape(pad.input[0])
    amounts = index.constant(input_name(pad, 1))
    if shape is None or amounts is None or attributes(pad).get("mode", "constant") != "constant":
        return None
    if input_name(pad, 2):
        value = index.constant(input_name(pad, 2))
        if value is None or np.any(value != 0):
            return None
    axes = np.arange(len(shape))
    if input_name(pad, 3):
        given = index.constant(input_name(pad, 3))
        if given is None:
            return None
        axes = given % len(shape)
    full = np.zeros((2, len(shape)), np.int64)
    full[:, axes] = amounts.reshape(2, -1)
    if np.any(full[:, :2]) or np.any(full < 0):
        return None
    return [int(amount) for amount in full[:, 2:].reshape(-1)]
