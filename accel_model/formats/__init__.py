"""Weight formats: how the filters of a layer lie in DRAM and in WGT, and what they cost to read.

One module for each format (``dense``, ``bitmap``, ``pattern``); ``stages`` has the order that all
of them share, ``streams`` packs, unpacks and measures. docs/ARRAYS.md is the specification.
``nested`` is for files: several sparsities of the same weights.
"""

from zeroskip.accel_model.formats.pattern import PatternTable, make_table
from zeroskip.accel_model.formats.reduction_order import (
    FormatError,
    ReductionSteps,
    from_reduction_order,
    reduction_steps_of,
    slabs_of,
    to_reduction_order,
)
from zeroskip.accel_model.formats.stream import nbytes_ideal, pack, unpack, wgt_rows, work_matrix

__all__ = [
    "FormatError",
    "PatternTable",
    "ReductionSteps",
    "from_reduction_order",
    "make_table",
    "nbytes_ideal",
    "pack",
    "reduction_steps_of",
    "slabs_of",
    "to_reduction_order",
    "unpack",
    "wgt_rows",
    "work_matrix",
]
