"""How many multiplies the operators of a Relax function make: convolutions and matrix products.

Counted from shapes as for a dense layer, padding and zeros included, so that a layer in float, in
integers and on the accelerator counts the same.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import relax

from zeroskip.relay_passes.relax.rewriting import bindings, node_of, op_name


@dataclass(frozen=True)
class Weighted:
    """A convolution or a matrix product: its ONNX node and its multiplies."""

    node: str
    macs: int


def weighted_of(func: relax.Function) -> list[Weighted]:
    """Those that a function computes itself; functions that it calls are not looked into."""
    return [
        Weighted(node_of(func, each.var), macs)
        for each in bindings(func)
        if (macs := _macs(each.value)) is not None
    ]


def _macs(call: Any) -> int | None:
    """The multiplies of one operator; None for one that has no sums of products."""
    name = op_name(call) or ""
    if name.startswith("relax.nn.conv"):
        weight = _shape(call.args[1])
        # Every input element of a transposed convolution meets the weights of its channel, every
        # output element of another one those of its filter.
        transposed = name.endswith("_transpose")
        layout = str(call.attrs.kernel_layout)
        channels = weight[layout.index("I" if transposed else "O")]
        return prod(_shape(call.args[0] if transposed else call)) * prod(weight) // channels
    if name == "relax.matmul":
        return prod(_shape(call)) * _shape(call.args[0])[-1]
    if name == "relax.einsum":
        return _einsum(str(call.attrs.subscripts), [_dims(ty) for ty in call.args[0].ty.fields])
    return None


def _einsum(subscripts: str, shapes: list[tuple[int, ...]]) -> int:
    """One multiply for each combination of all indices; axes behind ``...`` are indices too."""
    sizes: dict[str, int] = {}
    operands = subscripts.replace(" ", "").partition("->")[0].split(",")
    for letters, shape in zip(operands, shapes, strict=True):
        head, _, tail = letters.partition("...")
        spread = len(shape) - len(head) - len(tail)
        # Axes behind the dots line up from the right.
        names = [*head, *(f"...{place}" for place in reversed(range(spread))), *tail]
        for letter, size in zip(names, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return prod(sizes.values())


def _shape(expr: Any) -> tuple[int, ...]:
    return _dims(expr.ty)


def _dims(ty: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in ty.shape)
