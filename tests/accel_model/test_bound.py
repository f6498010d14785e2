"""The bound: the longer of the two times, rounded up, at least a cycle."""

from __future__ import annotations

from fractions import Fraction

import pytest

from zeroskip.accel_model.program.bound import Needs


@pytest.mark.parametrize(
    ("macs", "moved", "limit", "bound"),
    [
        (0, 0, "array", 1),
        (1, 0, "array", 1),
        (256, 16, "array", 1),
        (257, 16, "array", 2),
        (256, 17, "bus", 2),
        (2560, 16, "array", 10),
        (256, 1601, "bus", 101),
        (0, 1, "bus", 1),
    ],
)
def test_the_longer_time_decides(macs: int, moved: int, limit: str, bound: int) -> None:
    """On 256 multipliers and 16 bytes a cycle."""
    needs = Needs(macs, moved)
    assert needs.bound(256, 16) == bound
    assert needs.limit(256, 16) == limit
    assert needs.times(256, 16) == {"array": Fraction(macs, 256), "bus": Fraction(moved, 16)}
