"""Random tiles for any kind of array: what its fast model says against what its reference does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import Case, FilterSet
from zeroskip.accel_model.formats import Shape, to_reduction_order
from zeroskip.accel_model.memory.wgt_banks import decode
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.reference.convolution import Convolution, Outcome
from zeroskip.accel_model.spec import AccelSpec, Storage, load_spec
from zeroskip.accel_model.timing.shape import WindowShape

Rng = np.random.Generator
KERNELS = ((1, 1), (1, 1), (2, 2), (3, 3), (1, 5), (5, 4))
CHANNELS = (1, 3, 8, 9, 15, 16, 17, 20, 33)


@dataclass(frozen=True)
class Small:
    """How tiles of a kind are drawn.

    target: whose numbers are taken where ``array`` does not change them.
    array: draws changes of the geometry.
    outputs: the most rows and columns.
    filters: the most filters.
    channels: to choose from.
    """

    target: str
    array: Callable[[Rng], dict[str, Any]]
    outputs: tuple[int, int] = (4, 5)
    filters: int = 40
    channels: tuple[int, ...] = CHANNELS


def some(rng: Rng, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def _systolic(rng: Rng) -> dict[str, Any]:
    return {
        "rows": int(some(rng, 2, 4, 8, 16, 32)),
        "cols": int(some(rng, 2, 4, 8, 16)),
        "accumulators": int(some(rng, 1, 3, 8, 100)),
        "dataflows": 2,
    }


def _trees(rng: Rng) -> dict[str, Any]:
    return {"tiles": int(some(rng, 1, 2, 4)), "trees": int(some(rng, 1, 2, 4, 16))}


def _kang(rng: Rng) -> dict[str, Any]:
    lanes = int(some(rng, 1, 2, 4, 8, 32))
    return {
        "lanes": lanes,
        "pixels": int(some(rng, 1, 2, 4)),
        "max_gang": lanes.bit_length() - 1,
        "group": int(some(rng, 2, 4, 8, 16)),
        "window_entries": 16 + int(some(rng, 0, 1, 16, 40)),
        "drain_width": int(some(rng, 1, 2, 4, 16, 32)),
    }


def _cambricon(rng: Rng) -> dict[str, Any]:
    return {
        "pes": int(some(rng, 1, 2, 4, 16)),
        "multipliers": int(some(rng, 2, 4, 16)),
        "window_rows": int(some(rng, 1, 2, 4, 16)),
        "windows": int(some(rng, 1, 2, 3)),
        "row_reads": int(some(rng, 1, 2, 16)),
        "max_outputs": 2,
        "drain_width": int(some(rng, 1, 4, 16)),
    }


SMALL = {
    "systolic": Small("systolic256", _systolic, (3, 4), 20, (1, 3, 8, 15, 16, 17, 33)),
    "diannao": Small("diannao256", _trees),
    "kang": Small("kang256", _kang),
    "cambricon_x": Small("cambriconx256", _cambricon),
}

ANY_ORDER = {"kang", "cambricon_x"}  # whose results are put in order in staging


@dataclass(frozen=True)
class RandomTile:
    """A small array and a convolution for it, as both models take it."""

    spec: AccelSpec
    case: Case
    conv: Convolution
    weight: npt.NDArray[np.int8]
    image: npt.NDArray[np.int64]


def random_weight(rng: Rng, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """Density 0..100 %, by weight, by kernel and by filter."""
    keep = rng.random(shape) < some(rng, 0.0, 0.02, 0.1, 0.3, 0.6, 1.0)
    if rng.random() < 0.5:
        keep &= rng.random((*shape[:2], 1, 1)) < 0.6
    keep &= rng.random((shape[0], 1, 1, 1)) < some(rng, 0.5, 1.0)
    return np.where(keep, rng.integers(-128, 128, shape), 0).astype(np.int8)


def random_tile(rng: Rng, kind: str) -> RandomTile:
    """Shapes, strides, dilations, sparsities, modes, ragged edges, whole and partial reductions,
    with and without a residual."""
    small = SMALL[kind]
    spec = load_spec(small.target)
    array: Any = spec.array
    array = replace(array, pipeline_cycles=int(rng.integers(0, 9)), **small.array(rng))
    banks = int(some(rng, 1, 2, 4, 8))
    spec = replace(spec, array=array, sram=replace(spec.sram, act_banks=banks))
    kernel: tuple[int, int] = some(rng, *KERNELS)
    channels = int(some(rng, *small.channels))
    filters = int(rng.integers(1, small.filters + 1))
    weight = random_weight(rng, (filters, channels, *kernel))
    image = rng.integers(-128, 128, (channels, *rng.integers(1, 8, 2).tolist()))
    high, wide = (int(rng.integers(1, most + 1)) for most in small.outputs)
    last, first = bool(rng.random() < 0.7), bool(rng.random() < 0.7)
    residual = last and rng.random() < 0.4
    operand_row = wide + int(rng.integers(0, 3)) if residual else None
    mode = int(some(rng, *spec.kind.modes(array)))
    stride: tuple[int, int] = some(rng, (1, 1), (2, 2), (1, 3))
    dilation: tuple[int, int] = some(rng, (1, 1), (2, 1), (2, 3))
    row = image.shape[2] + int(rng.integers(0, 3))
    top, left = (int(n) for n in rng.integers(-3, 2, 2))
    size: tuple[int, int] = image.shape[1], image.shape[2]
    window = WindowShape(row, *size, top, left, *kernel, *stride, *dilation, high, wide)
    order = np.arange(filters, dtype=np.int32)
    if kind in ANY_ORDER:
        order = rng.permutation(filters).astype(np.int32)
    spec = replace(spec, storage=random_storage(rng))
    filter_set, streams = packed(spec, weight, order)
    return RandomTile(
        spec,
        Case(window, filter_set, mode, first, last, operand_row),
        Convolution(
            image=image.tolist(),
            row=row,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            top=top,
            left=left,
            output=(high, wide),
            streams=streams,
            table=None,
            first=first,
            last=last,
            out_blocks=blocks(filters),
            operand_row=operand_row,
            mode=mode,
            weight_bytes=spec.storage.weight_bytes,
        ),
        weight,
        image,
    )


def random_storage(rng: np.random.Generator) -> Storage:
    """Activations and weights of 8 or of 16 bits."""
    return Storage(int(some(rng, 8, 8, 16)), int(some(rng, 8, 8, 16)))


def packed(
    spec: AccelSpec, weight: npt.NDArray[np.int8], order: npt.NDArray[np.int32]
) -> tuple[FilterSet, list[bytes]]:
    """Filters as they are decoded from their streams, and the streams."""
    shape = Shape(weight.shape[1], int(np.prod(weight.shape[2:])))
    raw, lengths = spec.format.pack(to_reduction_order(weight), shape, order)
    ends = 4 * np.cumsum(lengths)
    data = raw.tobytes()
    streams = [data[end - 4 * size : end] for end, size in zip(ends, lengths, strict=True)]
    return decode(spec.format, raw, len(weight), shape, None), streams


def stepped(tile: RandomTile) -> Outcome:
    """The outcome of the kind's reference."""
    module, _, name = tile.spec.kind.reference.partition(":")
    outcome: Outcome = getattr(import_module(module), name)(tile.spec, tile.conv)
    return outcome


def sums(tile: RandomTile) -> dict[tuple[int, int], int]:
    """The convolution, straight from its definition."""
    case, (_, height, width) = tile.case.window, tile.image.shape
    out = np.zeros((len(tile.weight), case.outputs), np.int64)
    for n in range(case.outputs):
        oy, ox = divmod(n, case.out_width)
        for r in range(case.rows):
            for s in range(case.cols):
                y = case.top + oy * case.row_stride + r * case.row_dilation
                x = case.left + ox * case.col_stride + s * case.col_dilation
                if 0 <= y < height and 0 <= x < width:
                    out[:, n] += tile.weight[:, :, r, s].astype(np.int64) @ tile.image[:, y, x]
    order = tile.case.filters.order
    return {(int(order[f]), n): int(value) for (f, n), value in np.ndenumerate(out)}


def difference(rng: Rng, kind: str) -> str:
    """What differs between the two models on a random tile; "" if nothing does."""
    tile = random_tile(rng, kind)
    return compared(tile, tile.spec)


def compared(tile: RandomTile, spec: AccelSpec) -> str:
    """What differs between the reference on a tile and the fast model of ``spec``."""
    timing, outcome = spec.kind.conv(spec, tile.case), stepped(tile)
    every, real = tile.case.filters.products(tile.case.window)
    counted = {"cycles": timing.cycles, "macs": every, "real_macs": real}
    expected = {**counted, **timing.slots, **timing.events}
    expected |= spec.kind.traffic(spec, tile.case, timing)
    found = {**outcome.slots, **outcome.events}
    wrong = [
        f"{name} {expected.get(name, 0)}, stepped {found.get(name, 0)}"
        for name in {**expected, **found}
        if expected.get(name, 0) != found.get(name, 0)
    ]
    if sum(timing.slots.values()) != timing.cycles * spec.array.macs:
        wrong.append("slots do not sum to cycles x multipliers")
    if min(timing.slots.values()) < 0:
        wrong.append(f"a slot is negative: {timing.slots}")
    if outcome.sums != sums(tile):
        wrong.append("sums are not the convolution")
    return ", ".join(wrong)
