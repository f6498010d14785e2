"""Layouts of images and of kernels: ONNX has NCHW and OIHW."""

from collections.abc import Sequence

from zeroskip.relay_passes.relay.operators.operation import Operation
from zeroskip.relay_passes.relay.values import RelayTensor

LAYOUTS = ("NCHW", "NHWC")
_REMEDY = 'run relay.transform.ConvertLayout({"nn.conv2d": ["NCHW", "default"]})'


def data_layout(op: Operation, name: str = "layout") -> str:
    """The layout attribute of images; FrontError for one that is blocked or unknown."""
    layout = op.text(name, "NCHW")
    if layout not in LAYOUTS:
        raise op.refuse(f'has {name}="{layout[:20]}", taken are NCHW and NHWC: {_REMEDY}')
    if op.text("out_layout", "") not in ("", layout):
        raise op.refuse(f"has results in another layout than {layout}: {_REMEDY}")
    return layout


def to_nchw(op: Operation, tensor: RelayTensor, layout: str) -> RelayTensor:
    """An image tensor, turned if it is NHWC; FrontError unless it has 4 dimensions."""
    if tensor.rank != 4:
        raise op.refuse(f"of {tensor.type} is taken of 4 dimensions only: use the 2-d operator")
    return op.turn(tensor, order(layout, "NCHW"))


def from_nchw(op: Operation, tensor: RelayTensor, layout: str) -> RelayTensor:
    """The way back of ``to_nchw``."""
    return op.turn(tensor, order("NCHW", layout))


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


def four_pads(op: Operation) -> tuple[int, int, int, int]:
    """Padding before and behind, as ONNX orders it: top, left, bottom, right."""
    pads = op.integers("padding", (0, 0))
    if len(pads) not in (1, 2, 4) or min(pads) < 0:
        raise op.refuse(f"has padding={list(pads)[:8]}: taken are 1, 2 or 4 sizes, none negative")
    first, second = pads[0], pads[1 if len(pads) > 1 else 0]
    bottom, right = (pads[2], pads[3]) if len(pads) == 4 else (first, second)
    return first, second, bottom, right


def per_channel(shape: Sequence[int], axis: int, rank: int) -> list[int]:
    """The shape of numbers by channel that broadcast over a tensor with channels at an axis."""
    sizes = [1] * rank
    sizes[axis] = shape[0]
    return sizes
