"""Weight formats: how the filters of a layer lie in DRAM and in WGT, and what they cost to read.

One module for each format (``dense``, ``bitmap``, ``pattern``); ``stages`` has the order that all
of them share, ``streams`` packs, unpacks and measures. docs/ARRAYS.md is the specification.
``nested`` is for files: several sparsities of the same weights.
"""

from zeroskip.accel_model.formats.pattern import PatternTable, make_table
from zeroskip.accel_model.formats.reduction_order import (
    FormatError,
    Stages,
    canonical,
    from_canonical,
    slabs_of,
    stages_of,
)
from zeroskip.accel_model.formats.stream import nbytes_ideal, pack, place, unpack, work_matrix

__all__ = [
    "FormatError",
    "PatternTable",
    "Stages",
    "canonical",
    "from_canonical",
    "make_table",
    "nbytes_ideal",
    "pack",
    "place",
    "slabs_of",
    "stages_of",
    "unpack",
    "work_matrix",
]
