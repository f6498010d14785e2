"""Random tiles for any kind of array, timed by the fast model and by the stepped one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.accel_model.arrays.tiles import random_storage
from zeroskip.accel_model.arrays.base import Case, Timing
from zeroskip.accel_model.formats import Shape, to_reduction_order
from zeroskip.accel_model.memory.wgt_banks import decode
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.reference.convolution import Convolution, Outcome
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing.shape import WindowShape

Rng = np.random.Generator


@dataclass(frozen=True)
class RandomInputTile:
    """A convolution of a tile on an accelerator.

    spec: its description. weight: int8 [F, C, rows, cols]. order: output channel of each stream.
    image: int64 [C, height, width], zero point subtracted. window, mode, first, last, operand_row:
    as in ``Case``.
    """

    spec: AccelSpec
    weight: npt.NDArray[np.int8]
    order: npt.NDArray[np.int32]
    image: npt.NDArray[np.int64]
    window: WindowShape
    mode: int
    first: bool
    last: bool
    operand_row: int | None


def some(rng: Rng, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def clumped(rng: Rng, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """A mask of 0..100 %: alone, in whole planes, or in patches of the last two axes."""
    density: float = some(rng, 0.0, 0.05, 0.2, 0.4, 0.7, 0.95, 1.0)
    mask: npt.NDArray[np.bool_] = rng.random(shape) < density
    if rng.random() < 0.4:
        mask &= rng.random((*shape[:-2], 1, 1)) < 0.6
    if rng.random() < 0.4:
        coarse = rng.random((*shape[:-2], -(-shape[-2] // 3), -(-shape[-1] // 3))) < 0.5
        fine = coarse.repeat(3, axis=-2).repeat(3, axis=-1)
        mask &= fine[..., : shape[-2], : shape[-1]]
    return mask


def random_tile(rng: Rng, spec: AccelSpec) -> RandomInputTile:
    """Any shapes, strides, dilations, paddings, modes, sparsities of weights and inputs."""
    kernel = some(rng, (1, 1), (1, 1), (2, 2), (3, 3), (1, 5), (5, 4))
    channels = int(some(rng, 1, 3, 8, 9, 16, 17, 33))
    filters = int(some(rng, 1, 2, 5, 9, 16, 17, 24, 40))
    output = (int(rng.integers(1, 7)), int(rng.integers(1, 8)))
    high, wide = int(rng.integers(1, 10)), int(rng.integers(1, 10))
    weight = np.where(
        clumped(rng, (filters, channels, *kernel)),
        rng.integers(-128, 128, (filters, channels, *kernel)),
        0,
    ).astype(np.int8)
    weight[rng.random(filters) < some(rng, 0, 0, 0.5)] = 0
    inputs = np.where(
        clumped(rng, (channels, high, wide)), rng.integers(-128, 128, (channels, high, wide)), 0
    )
    stride = some(rng, (1, 1), (1, 1), (2, 2), (1, 3))
    dilation = some(rng, (1, 1), (1, 1), (2, 1), (2, 3))
    last = bool(rng.random() < 0.7)
    return RandomInputTile(
        spec,
        weight,
        rng.permutation(filters).astype(np.int32),
        inputs,
        WindowShape(
            wide + int(rng.integers(0, 3)),
            high,
            wide,
            int(rng.integers(-3, 2)),
            int(rng.integers(-3, 2)),
            kernel[0],
            kernel[1],
            stride[0],
            stride[1],
            dilation[0],
            dilation[1],
            output[0],
            output[1],
        ),
        int(rng.choice(list(spec.kind.modes(spec.array)))),
        bool(rng.random() < 0.6),
        last,
        output[1] + int(rng.integers(0, 3)) if last and rng.random() < 0.4 else None,
    )


def wider(rng: Rng, tile: RandomInputTile) -> RandomInputTile:
    """With activations and weights of 8 or of 16 bits."""
    return replace(tile, spec=replace(tile.spec, storage=random_storage(rng)))


def fast(tile: RandomInputTile, *, known: bool = True) -> Timing:
    """By the kind's own ``conv``; ``known``: it may look at the inputs."""
    return tile.spec.kind.conv(tile.spec, case_of(tile, known=known))


def priced(tile: RandomInputTile) -> float:
    """Cycles that the search expects of the whole tile."""
    sizes = [np.array([size]) for size in (tile.window.out_height, tile.window.out_width)]
    price = tile.spec.kind.price(tile.spec, case_of(tile, known=False))
    return float(price.cycles_of(*sizes)[0])


def case_of(tile: RandomInputTile, *, known: bool) -> Case:
    """What the kind's functions are asked about."""
    filters, channels = tile.weight.shape[:2]
    shape = Shape(channels, tile.window.taps)
    raw, _ = tile.spec.format.pack(to_reduction_order(tile.weight[tile.order]), shape, tile.order)
    return Case(
        tile.window,
        decode(tile.spec.format, raw, filters, shape, None),
        tile.mode,
        tile.first,
        tile.last,
        tile.operand_row,
        (lambda: tile.image != 0) if known else None,
    )


def stepped(tile: RandomInputTile) -> Outcome:
    """By the reference that the kind names."""
    channels, window = tile.weight.shape[1], tile.window
    shape = Shape(channels, window.taps)
    raw, words = tile.spec.format.pack(
        to_reduction_order(tile.weight[tile.order]), shape, tile.order
    )
    ends, whole = np.cumsum(4 * words), raw.tobytes()
    step: Callable[[AccelSpec, Convolution], Outcome] = resolve_name(tile.spec.kind.reference)
    return step(
        tile.spec,
        Convolution(
            image=tile.image.tolist(),
            row=window.row,
            kernel=(window.rows, window.cols),
            stride=(window.row_stride, window.col_stride),
            dilation=(window.row_dilation, window.col_dilation),
            top=window.top,
            left=window.left,
            output=(window.out_height, window.out_width),
            streams=[whole[end - 4 * size : end] for end, size in zip(ends, words, strict=True)],
            table=None,
            mode=tile.mode,
            first=tile.first,
            last=tile.last,
            out_blocks=blocks(len(tile.weight)),
            operand_row=tile.operand_row,
            weight_bytes=tile.spec.storage.weight_bytes,
        ),
    )


def convolved(tile: RandomInputTile) -> dict[tuple[int, int], int]:
    """The sums of the convolution, by output channel and output."""
    window = tile.window
    weight = tile.weight.astype(np.int64)
    sums = np.zeros((len(weight), window.out_height, window.out_width), np.int64)
    for oy, ox in np.ndindex(window.out_height, window.out_width):
        for r, s in np.ndindex(window.rows, window.cols):
            y = window.top + oy * window.row_stride + r * window.row_dilation
            x = window.left + ox * window.col_stride + s * window.col_dilation
            if 0 <= y < window.height and 0 <= x < window.width:
                sums[:, oy, ox] += weight[:, :, r, s] @ tile.image[:, y, x]
    flat = sums.reshape(len(sums), -1)
    return {(k, n): int(flat[k, n]) for k in range(len(flat)) for n in range(flat.shape[1])}


def difference(tile: RandomInputTile, other: RandomInputTile | None = None) -> str:
    """What the two models do not agree about, the stepped one of another tile if one is given; ""
    if nothing."""
    timing, outcome = fast(tile), stepped(other or tile)
    wrong = (
        []
        if timing.cycles == outcome.cycles
        else [f"{timing.cycles} cycles, stepped {outcome.cycles}"]
    )
    flows = tile.spec.kind.traffic(tile.spec, case_of(tile, known=True), timing)
    for counted, stepped_too in (
        (timing.slots, outcome.slots),
        ({**timing.events, **flows}, outcome.events),
    ):
        for name in set(counted) | set(stepped_too) - {"cycles"}:
            if counted.get(name, 0) != stepped_too[name]:
                wrong.append(f"{name} {counted.get(name, 0)}, stepped {stepped_too[name]}")
    if sum(timing.slots.values()) != timing.cycles * tile.spec.array.macs:
        wrong.append("slots do not add up to the multiplier-cycles")
    if min(timing.slots.values()) < 0:
        wrong.append("a slot has less than none")
    if timing.products is not None and timing.products != outcome.slots["multiply"]:
        wrong.append(f"{timing.products} products, stepped {outcome.slots['multiply']}")
    if outcome.sums != convolved(tile):
        wrong.append("sums are not the convolution")
    return ", ".join(wrong)


def resized(spec: AccelSpec, kind: str, **sizes: Any) -> AccelSpec:
    """The description with another kind of array of the same sizes, or other sizes."""
    return replace(spec, array=replace(spec.array, kind=kind, **sizes))  # type: ignore[type-var]
