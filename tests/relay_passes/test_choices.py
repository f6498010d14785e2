"""Choices of the passes that leave every shape right when they are wrong."""

from __future__ import annotations

import numpy as np

from zeroskip.relay_passes.pruning.base.masks import most, strongest
from zeroskip.relay_passes.quantize.calibrate_ranges import range_by
from zeroskip.relay_passes.quantize.scales import Range, scale_of


def test_zero_points_are_rounded() -> None:
    """0.7 / (2 / 255) = 89.25, so the zero of the range is at -38.75."""
    assert scale_of(Range(-0.7, 1.3), "int8").zero_point == -39


def test_percentiles_cut_both_ends() -> None:
    """Of 2,048 values alike, a tenth goes: 102 at each end."""
    found = range_by("percentile", np.ones(2048, np.int64), Range(0.0, 2048.0), 90)
    assert found == Range(102.0, 1946.0)


def test_of_equal_weights_the_earlier_go() -> None:
    equal = np.ones((1, 4))
    assert most(equal, 2).tolist() == [[False, False, True, True]]
    assert strongest(np.array([2.0, 1.0, 1.0, 1.0]), 0.5).tolist() == [True, False, False, True]
