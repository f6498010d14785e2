"""Weight formats: how the filters of a layer lie in DRAM and in WGT.

One class a file (``dense``, ``bitmap``, ``pattern``, ``step``, ``grouped``, ``runs``, ``csc``,
``valued``; ``base`` says what a format is, ``wide`` what 16-bit weights change);
``reduction_order`` has the order of weights that all of them share, ``stream_header`` the word
before a stream. docs/ARRAYS.md is the specification. ``nested`` is for files: several sparsities of
the same weights.
"""

from __future__ import annotations

from zeroskip.accel_model.formats.base import FormatTable, Shape, Unpacked, WeightFormat
from zeroskip.accel_model.formats.bitmap import BITMAP
from zeroskip.accel_model.formats.csc import CSC
from zeroskip.accel_model.formats.dense import DENSE
from zeroskip.accel_model.formats.grouped import GROUPED
from zeroskip.accel_model.formats.pattern import PATTERN
from zeroskip.accel_model.formats.pattern_table import PatternTable, make_table
from zeroskip.accel_model.formats.reduction_order import (
    FormatError,
    ReductionSteps,
    from_reduction_order,
    reduction_steps_of,
    slabs_of,
    to_reduction_order,
)
from zeroskip.accel_model.formats.runs import RUNS
from zeroskip.accel_model.formats.step import STEP
from zeroskip.accel_model.formats.valued import VALUED

FORMATS: dict[str, WeightFormat] = {
    weights.name: weights
    for weights in (DENSE, BITMAP, PATTERN, STEP, *GROUPED.values(), RUNS, CSC, VALUED)
}


def format_named(name: str) -> WeightFormat | None:
    """The format of a ``WeightFormat.full_name``; None: there is none."""
    for weights in FORMATS.values():
        for weight_bytes in (1, 2):
            wide = weights.of_bytes(weight_bytes)
            if wide.full_name == name:
                return wide
    return None


__all__ = [
    "BITMAP",
    "CSC",
    "DENSE",
    "FORMATS",
    "GROUPED",
    "PATTERN",
    "RUNS",
    "STEP",
    "VALUED",
    "FormatError",
    "FormatTable",
    "PatternTable",
    "ReductionSteps",
    "Shape",
    "Unpacked",
    "WeightFormat",
    "format_named",
    "from_reduction_order",
    "make_table",
    "reduction_steps_of",
    "slabs_of",
    "to_reduction_order",
]
