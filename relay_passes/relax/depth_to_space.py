"""Depth to space in operators that every pass knows."""

from collections.abc import Sequence
from math import prod
from typing import Any

from tvm import relax


def depth_to_space(
    builder: relax.BlockBuilder, name: str, deep: Any, block: Sequence[int], shape: Sequence[int]
) -> relax.Expr:
    """Phases [N, prod(block) * K, *spatial] to [N, K, *shape]: depth to space, and a slice where
    the last pixels are too many."""
    rank, spatial = len(block), [int(size) for size in deep.ty.shape][2:]
    wide = [size * step for size, step in zip(spatial, block, strict=True)]
    if prod(block) > 1:
        apart = builder.emit(
            relax.op.reshape(deep, (shape[0], *block, shape[1], *spatial)), f"{name}_apart"
        )
        order = [axis for at in range(rank) for axis in (rank + 2 + at, 1 + at)]
        turned = builder.emit(relax.op.permute_dims(apart, [0, rank + 1, *order]), f"{name}_turned")
        deep = relax.op.reshape(turned, (*shape[:2], *wide))
    if wide == list(shape[2:]):
        return deep
    deep = builder.emit(deep, f"{name}_wide") if prod(block) > 1 else deep
    axes = list(range(2, rank + 2))
    return relax.op.strided_slice(deep, axes, [0] * rank, list(shape[2:]))
