"""Layouts of images and of kernels: ONNX has NCHW and OIHW."""

from collections.abc import Sequence

from zeroskip.relay_passes.relay.operators.operation import Operation
from zeroskip.relay_passes.relay.values import RelayTensor

_REMEDY = 'run relay.transform.ConvertLayout({"nn.conv2d": ["NCHW", "default"]})'
_SPATIAL = {"1d": "W", "2d": "HW", "3d": "DHW"}


def spatial(op: Operation) -> str:
    """The letters of the axes that windows slide along, by the name of the operator; those of an
    image where it has no number."""
    return next((letters for name, letters in _SPATIAL.items() if name in op.op), "HW")


def data_layout(op: Operation, name: str = "layout") -> str:
    """The layout attribute of images; FrontError for one that is blocked or unknown."""
    axes = spatial(op)
    taken = f"NC{axes}", f"N{axes}C"
    layout = op.text(name, taken[0])
    if layout not in taken:
        raise op.refuse(f'has {name}="{layout[:20]}", taken are {" and ".join(taken)}: {_REMEDY}')
    if op.text("out_layout", "") not in ("", layout):
        raise op.refuse(f"has results in another layout than {layout}: {_REMEDY}")
    return layout


def channels_first(op: Operation, tensor: RelayTensor, layout: str) -> RelayTensor:
    """A tensor of images, turned to [N, C, ...] from its layout; FrontError for another rank."""
    if tensor.rank != len(layout):
        raise op.refuse(
            f"of {tensor.type} is taken of {len(layout)} dimensions only: use the operator of "
            "as many"
        )
    return op.turn(tensor, order(layout, f"NC{spatial(op)}"))


def as_it_was(op: Operation, tensor: RelayTensor, layout: str) -> RelayTensor:
    """The way back of ``channels_first``."""
    return op.turn(tensor, order(f"NC{spatial(op)}", layout))


def order(source: str, target: str) -> list[int]:
    """The permutation of axes that makes one layout another."""
    return [source.index(letter) for letter in target]


def kernel_order(op: Operation, default: str, target: str) -> list[int]:
    """The permutation that makes the call's kernel layout the target; FrontError for letters that
    are not the target's."""
    layout = op.text("kernel_layout", default)
    if sorted(layout) != sorted(target):
        raise op.refuse(
            f'has kernel_layout="{layout[:20]}", taken are orders of {target}: {_REMEDY}'
        )
    return order(layout, target)


def paddings(op: Operation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding before and behind each spatial axis."""
    axes = len(spatial(op))
    pads = op.integers("padding", (0,))
    if len(pads) not in (1, axes, 2 * axes) or min(pads) < 0:
        taken = ", ".join(map(str, sorted({1, axes})))
        raise op.refuse(
            f"has padding={list(pads)[:8]}: taken are {taken} or {2 * axes} sizes, none negative"
        )
    if len(pads) == 2 * axes:
        return pads[:axes], pads[axes:]
    before = pads * axes if len(pads) == 1 else pads
    return before, before


def per_channel(shape: Sequence[int], axis: int, rank: int) -> list[int]:
    """The shape of numbers by channel that broadcast over a tensor with channels at an axis."""
    sizes = [1] * rank
    sizes[axis] = shape[0]
    return sizes
