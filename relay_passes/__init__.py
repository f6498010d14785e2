"""Relax passes from an ONNX model to integer regions; each is a ``tvm.ir.transform.Pass``.

The folder keeps the name that TVM's users know; Relay itself is gone from TVM, Relax is its
successor. Names are loaded when they are first used.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "load_onnx": "onnx_load",
    "normalise_onnx": "onnx_normalise",
    "import_onnx": "importer",
    "FoldConstants": "fold",
    "FoldBatchNorm": "fold",
    "FoldForward": "fold_forward",
    "AffineLayers": "fold_forward",
    "PrunePattern": "pruning.pattern",
    "PruneUnstructured": "pruning.unstructured",
    "PruneChannels": "pruning.channels",
    "PruneNm": "pruning.counts",
    "PruneGroups": "pruning.counts",
    "PruneShapes": "pruning.atoms",
    "PruneBlocks": "pruning.atoms",
    "PruneKernelGroups": "pruning.atoms",
    "PruneFilters": "pruning.channels",
    "DecomposeLowRank": "pruning.low_rank",
    "KeepFloat": "keep_float",
    "QuantizeInt8": "quantise",
    "PartitionForAccelerator": "partition",
    "parse_recipe": "pruning.recipe",
    "read_recipe": "pruning.recipe",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
