"""Every built-in target as a parameter: one of each kind of time in ``make test``, all of them in
``make test-matrix``."""

from __future__ import annotations

import pytest

from zeroskip.accel_model.spec import targets

QUICK = ("dense256", "pattern256", "systolic256", "scnn256", "zhu256")  # no two counted alike

every_target = pytest.mark.parametrize(
    "target",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.matrix) for name in targets()],
)
