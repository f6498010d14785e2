"""Layers of one filter and of eight, of 64 channels on 56x56 pixels: how they are scheduled, how
long they take, and that it is little more than their bound (``benchmarks/few_filters.py`` measures
more of them)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.few_filters import TARGETS, Case, measured
from zeroskip.accel_model.spec import load_spec

GOLDEN = Path(__file__).parent / "compiler" / "golden" / "few_filters.txt"
MOST = {1: 3.0, 8: 1.5}  # x the bound


def test_few_filters_take_little_more_than_their_bound(request: pytest.FixtureRequest) -> None:
    lines = []
    for target, schemes in TARGETS.items():
        for weights in schemes:
            for filters, most in MOST.items():
                layer = measured(Case((3, 3), (56, 56), 64, filters, weights), load_spec(target))
                assert layer.x_bound <= most, (target, weights, filters)
                lines.append(
                    f"{target}, {weights}, 64 channels, {filters}: {layer.schedule}: "
                    f"{layer.cycles:,} cycles, {layer.x_bound:.3f} x bound\n"
                )
    found = "".join(lines)
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8"), (
        "the schedules changed; if that is meant, run pytest --update-golden and look at the change"
    )
