"""Convolutions and matrix products of floats."""

from zeroskip.relay_passes.relay.operators.layout import (
    as_it_was,
    channels_first,
    data_layout,
    kernel_order,
    paddings,
    spatial,
)
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.values import RelayTensor


def conv_attrs(op: Operation) -> dict[str, list[int] | int]:
    """ONNX's attributes of a convolution, and FrontError for groups that are none."""
    groups = op.integer("groups", 1)
    if groups < 1:
        raise op.refuse(f"has {groups} groups: print the module again")
    axes, (before, behind) = len(spatial(op)), paddings(op)
    return {
        "strides": list(op.sizes("strides", axes)),
        "dilations": list(op.sizes("dilation", axes)),
        "pads": [*before, *behind],
        "group": groups,
    }


def filters_first(op: Operation, kernel: RelayTensor, channels: int, groups: int) -> RelayTensor:
    """A kernel [filters, channels a group, ...].

    kernel: in the call's ``kernel_layout``. channels: of the input. A depthwise kernel may also be
    [channels, multiplier, ...], as TOPI has it. FrontError where the sizes do not fit
    each other or the attributes.
    """
    turned = _turned(op, kernel, "OI")
    if groups == channels and turned.shape[0] == channels and groups > 1:
        turned = op.reshape(turned, (channels * turned.shape[1], 1, *turned.shape[2:]))
    filters = turned.shape[0]
    _check_kernel(op, turned, filters, channels == turned.shape[1] * groups)
    if filters % groups:
        raise op.refuse(f"has {filters} filters in {groups} groups: print the module again")
    return turned


def _turned(op: Operation, kernel: RelayTensor, channels: str) -> RelayTensor:
    """A kernel with its channels' axes in this order and then its taps, which is also the default
    of the call's ``kernel_layout``."""
    layout = channels + spatial(op)
    if kernel.rank != len(layout):
        raise op.refuse(f"has a kernel of {kernel.rank} dimensions where {len(layout)} should be")
    return op.turn(kernel, kernel_order(op, layout, layout))


def _check_kernel(op: Operation, kernel: RelayTensor, filters: int, fits: bool) -> None:
    """FrontError unless the sizes of a kernel fit the input (``fits``) and the attributes
    ``channels`` and ``kernel_size``."""
    size = kernel.shape[2:]
    channels, window = op.attr("channels"), op.attr("kernel_size")
    if (
        not fits
        or channels not in (None, filters)
        or window not in (None, size, size[0] if len({*size}) == 1 else None)
        or 0 in kernel.shape
    ):
        raise op.refuse(
            f"has a kernel of shape {list(kernel.shape)} that fits neither its input nor its "
            "attributes: give the parameters of this very module"
        )


def _out_dtype(op: Operation, dtype: str) -> None:
    if op.dtype("out_dtype", dtype) != dtype:
        raise op.refuse(f"of {dtype} has another out_dtype: leave it out")


def _conv(op: Operation) -> RelayTensor:
    data, layout = op.reals(0), data_layout(op, "data_layout")
    _out_dtype(op, data.dtype)
    image, attrs = channels_first(op, data, layout), conv_attrs(op)
    kernel = filters_first(op, op.static(1, "kernel"), image.shape[1], op.integer("groups", 1))
    return as_it_was(op, op.emit("Conv", image, kernel, **attrs), layout)


def _conv_transpose(op: Operation) -> RelayTensor:
    data, layout = op.reals(0), data_layout(op, "data_layout")
    _out_dtype(op, data.dtype)
    image, attrs = channels_first(op, data, layout), conv_attrs(op)
    groups = op.integer("groups", 1)
    kernel = _turned(op, op.static(1, "kernel"), "IO")
    _check_kernel(op, kernel, kernel.shape[1] * groups, image.shape[1] == kernel.shape[0])
    axes, beyond = len(spatial(op)), op.integers("output_padding", (0,))
    if len(beyond) not in (1, axes) or min(beyond) < 0:
        raise op.refuse(f"has output_padding={list(beyond)[:4]}: taken are 1 size or {axes}")
    beyond = beyond * axes if len(beyond) == 1 else beyond
    result = op.emit("ConvTranspose", image, kernel, output_padding=list(beyond), **attrs)
    return as_it_was(op, result, layout)


def _dense(op: Operation) -> RelayTensor:
    data, weight = op.reals(0), op.static(1, "weights")
    _out_dtype(op, data.dtype)
    check_dense(op, data, weight)
    if data.rank == 2:
        return op.emit("Gemm", data, weight, transB=1)
    return op.emit("MatMul", data, op.turn(weight, (1, 0)))


def check_dense(op: Operation, data: RelayTensor, weight: RelayTensor) -> None:
    """FrontError unless weights [units, inputs] fit the last axis of the data."""
    units = op.attr("units")
    if (
        weight.rank != 2
        or data.rank < 1
        or weight.shape[1] != data.shape[-1]
        or units not in (None, weight.shape[0])
    ):
        raise op.refuse(
            f"has weights of shape {list(weight.shape)} that do not fit its input {data.type}: "
            "give the parameters of this very module"
        )


def _matmul(op: Operation) -> RelayTensor:
    a, b = op.reals(0), op.reals(1)
    _out_dtype(op, a.dtype)
    op.attr("units")
    if min(a.rank, b.rank) < 2:
        raise op.refuse(f"of {a.type} and {b.type} is taken of 2 dimensions or more")
    sides = []
    for side, name in ((a, "transpose_a"), (b, "transpose_b")):
        last = [*range(side.rank - 2), side.rank - 1, side.rank - 2]
        sides.append(op.turn(side, last) if op.flag(name) else side)
    return op.emit("MatMul", *sides)


TABLE = {
    **{f"nn.conv{axes}d": Rule(_conv, 2) for axes in (1, 2, 3)},
    **{f"nn.conv{axes}d_transpose": Rule(_conv_transpose, 2) for axes in (1, 2, 3)},
    "nn.dense": Rule(_dense, 2),
    "nn.matmul": Rule(_matmul, 2),
    "nn.batch_matmul": Rule(_matmul, 2),
}
