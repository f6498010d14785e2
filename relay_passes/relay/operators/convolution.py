"""Convolutions and matrix products of floats."""

from zeroskip.relay_passes.relay.operators.layout import (
    data_layout,
    four_pads,
    from_nchw,
    kernel_order,
    to_nchw,
)
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.syntax import Array
from zeroskip.relay_passes.relay.values import Tensor


def conv_attrs(op: Operation) -> dict[str, list[int] | int]:
    """ONNX's attributes of a convolution, and FrontError for groups that are none."""
    groups = op.integer("groups", 1)
    if groups < 1:
        raise op.refuse(f"has {groups} groups: print the module again")
    return {
        "strides": list(op.pair("strides")),
        "dilations": list(op.pair("dilation")),
        "pads": list(four_pads(op)),
        "group": groups,
    }


def oihw(op: Operation, kernel: Array, channels: int, groups: int) -> Array:
    """A kernel [filters, channels a group, height, width].

    kernel: in the call's ``kernel_layout``. channels: of the input. A depthwise kernel may also be
    [channels, multiplier, height, width], as TOPI has it. FrontError where the sizes do not fit
    each other or the attributes.
    """
    order = kernel_order(op, "OIHW", "OIHW")
    if kernel.ndim != 4:
        raise op.refuse(f"has a kernel of {kernel.ndim} dimensions where 4 should be")
    turned = kernel.transpose(order)
    if groups == channels and turned.shape[0] == channels and groups > 1:
        turned = turned.reshape(-1, 1, *turned.shape[2:])
    check_kernel(op, turned, turned.shape[0], channels == turned.shape[1] * groups)
    if turned.shape[0] % groups:
        raise op.refuse(f"has {turned.shape[0]} filters in {groups} groups")
    return turned


def check_kernel(op: Operation, kernel: Array, filters: int, fits: bool) -> None:
    """FrontError unless the sizes of a kernel fit the input (``fits``) and the attributes
    ``channels`` and ``kernel_size``."""
    size = kernel.shape[2:]
    channels, window = op.attr("channels"), op.attr("kernel_size")
    if (
        not fits
        or channels not in (None, filters)
        or window not in (None, size, size[0] if size[0] == size[1] else None)
        or 0 in kernel.shape
    ):
        raise op.refuse(
            f"has a kernel of shape {list(kernel.shape)} that fits neither its input nor its "
            "attributes: give the parameters of this very module"
        )


def _out_dtype(op: Operation, dtype: str) -> None:
    if op.dtype("out_dtype", dtype) != dtype:
        raise op.refuse(f"of {dtype} has another out_dtype: leave it out")


def _conv2d(op: Operation) -> Tensor:
    data, layout = op.reals(0), data_layout(op, "data_layout")
    _out_dtype(op, data.dtype)
    image, attrs = to_nchw(op, data, layout), conv_attrs(op)
    kernel = oihw(op, op.constant(1, "kernel"), image.shape[1], op.integer("groups", 1))
    weight = _weight(op, kernel)
    return from_nchw(op, op.emit("Conv", image, weight, **attrs), layout)


def _weight(op: Operation, kernel: Array) -> Tensor:
    """The kernel as a constant, under its own name where it was not turned."""
    given = op.tensor(1)
    if given.shape == kernel.shape and (op.constant(1, "kernel") == kernel).all():
        return given
    return op.builder.constant(kernel, f"{given.name}.oihw")


def _conv2d_transpose(op: Operation) -> Tensor:
    data, layout = op.reals(0), data_layout(op, "data_layout")
    _out_dtype(op, data.dtype)
    image, attrs = to_nchw(op, data, layout), conv_attrs(op)
    kernel, groups = op.constant(1, "kernel"), op.integer("groups", 1)
    order = kernel_order(op, "IOHW", "IOHW")
    if kernel.ndim != 4:
        raise op.refuse(f"has a kernel of {kernel.ndim} dimensions where 4 should be")
    turned = kernel.transpose(order)
    check_kernel(op, turned, turned.shape[1] * groups, image.shape[1] == turned.shape[0])
    beyond = op.integers("output_padding", (0, 0))
    if len(beyond) not in (1, 2) or min(beyond) < 0:
        raise op.refuse(f"has output_padding={list(beyond)[:4]}: taken are 1 or 2 sizes")
    weight = op.builder.constant(turned)
    result = op.emit(
        "ConvTranspose", image, weight, output_padding=[beyond[0], beyond[-1]], **attrs
    )
    return from_nchw(op, result, layout)


def _dense(op: Operation) -> Tensor:
    data, weight = op.reals(0), op.constant(1, "weights")
    _out_dtype(op, data.dtype)
    check_dense(op, data, weight)
    if data.rank == 2:
        return op.emit("Gemm", data, op.tensor(1), transB=1)
    return op.emit("MatMul", data, op.builder.constant(weight.T))


def check_dense(op: Operation, data: Tensor, weight: Array) -> None:
    """FrontError unless weights [units, inputs] fit the last axis of the data."""
    units = op.attr("units")
    if (
        weight.ndim != 2
        or data.rank < 1
        or weight.shape[1] != data.shape[-1]
        or units not in (None, weight.shape[0])
    ):
        raise op.refuse(
            f"has weights of shape {list(weight.shape)} that do not fit its input {data.type}: "
            "give the parameters of this very module"
        )


def _matmul(op: Operation) -> Tensor:
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
    "nn.conv2d": Rule(_conv2d, 2),
    "nn.conv2d_transpose": Rule(_conv2d_transpose, 2),
    "nn.dense": Rule(_dense, 2),
    "nn.matmul": Rule(_matmul, 2),
    "nn.batch_matmul": Rule(_matmul, 2),
}
