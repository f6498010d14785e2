"""DianNao and DaDianNao: multiply-accumulates in a cycle of a layer without ragged edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.published.layers import PublishedLayer, target, timing
from benchmarks.published.row import PublishedRow, equal

PEAKS = {"DianNao": ("diannao", 256), "DaDianNao": ("dadiannao", 4096)}
LAYER = PublishedLayer("conv4_2", 512, 512, 8, 3)


def rows() -> list[PublishedRow]:
    return [
        PublishedRow(name, "multiply-accumulates a cycle", peak, _rate(file), equal(peak))
        for name, (file, peak) in PEAKS.items()
    ]


def _rate(file: str) -> float:
    """What more outputs cost: the time to fill and empty the pipeline is paid once."""
    spec, larger = target(file), replace(LAYER, size=2 * LAYER.size)
    ones = np.ones((LAYER.filters, LAYER.shape.entries), np.int8)
    cycles = timing(spec, larger, ones).cycles - timing(spec, LAYER, ones).cycles
    return (larger.macs - LAYER.macs) / cycles
