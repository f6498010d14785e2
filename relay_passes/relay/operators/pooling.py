"""Pools over windows and over whole images."""

from zeroskip.relay_passes.relay.operators.layout import (
    data_layout,
    four_pads,
    from_nchw,
    to_nchw,
)
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.values import RelayTensor


def pool_attrs(op: Operation, image: RelayTensor) -> dict[str, list[int]]:
    """ONNX's attributes of a pool, a ``ceil_mode`` written as padding behind.

    TVM rounds the number of windows up without a look at where the last begins, unlike ONNX.
    """
    window, strides, dilation = op.pair("pool_size"), op.pair("strides"), op.pair("dilation")
    top, left, bottom, right = four_pads(op)
    behind = [bottom, right]
    if op.flag("ceil_mode"):
        for i, before in enumerate((top, left)):
            reach = dilation[i] * (window[i] - 1) + 1
            room = image.shape[2 + i] + before + behind[i] - reach
            behind[i] += -room % strides[i]
    return {
        "kernel_shape": list(window),
        "strides": list(strides),
        "dilations": list(dilation),
        "pads": [top, left, *behind],
    }


def average(op: Operation, image: RelayTensor) -> RelayTensor:
    """AveragePool of an NCHW image by the call's attributes."""
    attrs = pool_attrs(op, image)
    if attrs.pop("dilations") != [1, 1]:
        raise op.refuse("has a dilation, which ONNX's average has not: use a convolution")
    if op.flag("count_include_pad") and op.flag("ceil_mode"):
        # Padding counts, but not what the last window reaches beyond it.
        top, left, bottom, right = four_pads(op)
        below, beside = attrs["pads"][2] - bottom, attrs["pads"][3] - right
        pads = op.const([0, 0, top, left, 0, 0, bottom, right], "int64")
        image = op.emit("Pad", image, pads)
        attrs["pads"] = [0, 0, below, beside]
        return op.emit("AveragePool", image, **attrs)
    return op.emit(
        "AveragePool", image, count_include_pad=int(op.flag("count_include_pad")), **attrs
    )


def _max_pool2d(op: Operation) -> RelayTensor:
    layout = data_layout(op)
    image = to_nchw(op, op.tensor(0), layout)
    return from_nchw(op, op.emit("MaxPool", image, **pool_attrs(op, image)), layout)


def _avg_pool2d(op: Operation) -> RelayTensor:
    layout = data_layout(op)
    return from_nchw(op, average(op, to_nchw(op, op.reals(0), layout)), layout)


def _global(kind: str) -> Rule:
    def convert(op: Operation) -> RelayTensor:
        layout = data_layout(op)
        return from_nchw(op, op.emit(kind, to_nchw(op, op.reals(0), layout)), layout)

    return Rule(convert, 1)


def _adaptive(kind: str, whole: str) -> Rule:
    """Windows that divide the image; TVM's adaptive pools of other sizes have windows that
    overlap, which ONNX has not."""

    def convert(op: Operation) -> RelayTensor:
        layout = data_layout(op)
        image = to_nchw(op, op.reals(0), layout)
        given = op.integers("output_size", ())
        size = tuple(image.shape[2:]) if not given else (given[0], given[-1])
        if len(given) > 2 or min(size) < 1:
            raise op.refuse(f"has output_size={list(given)[:4]}: taken are 1 or 2 sizes")
        if size == (1, 1):
            return from_nchw(op, op.emit(whole, image), layout)
        if any(whole_size % part for whole_size, part in zip(image.shape[2:], size, strict=True)):
            raise op.refuse(
                f"makes {list(size)} of {list(image.shape[2:])}, which is no multiple: use a pool "
                "of fixed windows"
            )
        window = [n // part for n, part in zip(image.shape[2:], size, strict=True)]
        pooled = op.emit(kind, image, kernel_shape=window, strides=window)
        return from_nchw(op, pooled, layout)

    return Rule(convert, 1)


TABLE = {
    "nn.max_pool2d": Rule(_max_pool2d, 1),
    "nn.avg_pool2d": Rule(_avg_pool2d, 1),
    "nn.global_avg_pool2d": _global("GlobalAveragePool"),
    "nn.global_max_pool2d": _global("GlobalMaxPool"),
    "nn.adaptive_avg_pool2d": _adaptive("AveragePool", "GlobalAveragePool"),
    "nn.adaptive_max_pool2d": _adaptive("MaxPool", "GlobalMaxPool"),
}
