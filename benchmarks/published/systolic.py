"""The systolic array: SCALE-Sim's cycles, and the peak of the TPU."""

from __future__ import annotations

import numpy as np

from benchmarks.published.layers import PublishedLayer, target, timing
from benchmarks.published.row import PublishedRow, data, equal, within

DATAFLOWS = {"ws": (0, "weight-stationary"), "os": (1, "output-stationary")}


def rows() -> list[PublishedRow]:
    return [*_scale_sim(), _peak()]


def _scale_sim() -> list[PublishedRow]:
    """Layers of ResNet-50; of an N:M layer the rows of weights that are left are worked through."""
    spec, figures = target("scalesim16"), []
    for name, dataflow, channels, kernel, filters, size, _, kept, cycles in data("systolic")[
        "rows"
    ]:
        layer = PublishedLayer(name, int(channels * kept), filters, size, kernel)
        mode, words = DATAFLOWS[dataflow]
        ones = np.ones((filters, layer.shape.entries), np.int8)
        ours = timing(spec, layer, ones, mode).cycles
        figures.append(
            PublishedRow("systolic 16x16", f"cycles, {name}, {words}", cycles, ours, equal(cycles))
        )
    return figures


def _peak() -> PublishedRow:
    """Jouppi et al., ISCA 2017: 92 tera-operations a second, a multiply and an addition each."""
    spec = target("tpu")
    ours = 2 * spec.array.macs * spec.clock_mhz / 1e6
    return PublishedRow("TPU", "peak, tera-operations a second", 92, ours, within(92, 0.01))
