"""Pools over windows and over whole images."""

from zeroskip.relay_passes.relay.operators.layout import (
    as_it_was,
    channels_first,
    data_layout,
    paddings,
    spatial,
)
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.values import RelayTensor


def pool_attrs(op: Operation, image: RelayTensor) -> dict[str, list[int]]:
    """ONNX's attributes of a pool, a ``ceil_mode`` written as padding behind.

    TVM rounds the number of windows up without a look at where the last begins, unlike ONNX.
    """
    axes = len(spatial(op))
    window, strides, dilation = (
        op.sizes(name, axes) for name in ("pool_size", "strides", "dilation")
    )
    before, behind = map(list, paddings(op))
    if op.flag("ceil_mode"):
        for i in range(axes):
            reach = dilation[i] * (window[i] - 1) + 1
            room = image.shape[2 + i] + before[i] + behind[i] - reach
            behind[i] += -room % strides[i]
    return {
        "kernel_shape": list(window),
        "strides": list(strides),
        "dilations": list(dilation),
        "pads": [*before, *behind],
    }


def average(op: Operation, image: RelayTensor) -> RelayTensor:
    """AveragePool of [N, C, ...] by the call's attributes."""
    attrs = pool_attrs(op, image)
    if max(attrs.pop("dilations")) > 1:
        raise op.refuse("has a dilation, which ONNX's average has not: use a convolution")
    if op.flag("count_include_pad") and op.flag("ceil_mode"):
        # Padding counts, but not what the last window reaches beyond it.
        before, behind = paddings(op)
        beyond = [end - own for end, own in zip(attrs["pads"][len(before) :], behind, strict=True)]
        image = op.emit("Pad", image, op.const([0, 0, *before, 0, 0, *behind], "int64"))
        attrs["pads"] = [0] * len(before) + beyond
        return op.emit("AveragePool", image, **attrs)
    return op.emit(
        "AveragePool", image, count_include_pad=int(op.flag("count_include_pad")), **attrs
    )


def _max_pool(op: Operation) -> RelayTensor:
    layout = data_layout(op)
    image = channels_first(op, op.tensor(0), layout)
    return as_it_was(op, op.emit("MaxPool", image, **pool_attrs(op, image)), layout)


def _avg_pool(op: Operation) -> RelayTensor:
    layout = data_layout(op)
    return as_it_was(op, average(op, channels_first(op, op.reals(0), layout)), layout)


def _global(kind: str) -> Rule:
    def convert(op: Operation) -> RelayTensor:
        layout = data_layout(op)
        return as_it_was(op, op.emit(kind, channels_first(op, op.reals(0), layout)), layout)

    return Rule(convert, 1)


def _adaptive(kind: str, whole: str) -> Rule:
    """Windows that divide the image; TVM's adaptive pools of other sizes have windows that
    overlap, which ONNX has not."""

    def convert(op: Operation) -> RelayTensor:
        layout = data_layout(op)
        image = channels_first(op, op.reals(0), layout)
        given = op.integers("output_size", ())
        axes = len(spatial(op))
        if len(given) not in (0, 1, axes) or min(given, default=1) < 1:
            raise op.refuse(f"has output_size={list(given)[:4]}: taken are 1 size or {axes}")
        size = given * axes if len(given) == 1 else given or tuple(image.shape[2:])
        if max(size) == 1:
            return as_it_was(op, op.emit(whole, image), layout)
        if any(whole_size % part for whole_size, part in zip(image.shape[2:], size, strict=True)):
            raise op.refuse(
                f"makes {list(size)} of {list(image.shape[2:])}, which is no multiple: use a pool "
                "of fixed windows"
            )
        window = [n // part for n, part in zip(image.shape[2:], size, strict=True)]
        pooled = op.emit(kind, image, kernel_shape=window, strides=window)
        return as_it_was(op, pooled, layout)

    return Rule(convert, 1)


TABLE = {
    f"nn.{name}{axes}d": rule
    for axes in (1, 2, 3)
    for name, rule in {
        "max_pool": Rule(_max_pool, 1),
        "avg_pool": Rule(_avg_pool, 1),
        "adaptive_avg_pool": _adaptive("AveragePool", "GlobalAveragePool"),
        "adaptive_max_pool": _adaptive("MaxPool", "GlobalMaxPool"),
    }.items()
} | {  # of other ranks they are adaptive ones
    "nn.global_avg_pool2d": _global("GlobalAveragePool"),
    "nn.global_max_pool2d": _global("GlobalMaxPool"),
}
