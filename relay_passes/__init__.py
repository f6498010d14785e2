"""Relax passes from a model to integer regions; each is a ``tvm.ir.transform.Pass``. The model is
ONNX, Relay's text or a user's Relax.

The folder keeps the name that TVM's users know; Relay itself is gone from TVM, Relax is its
successor. Names are loaded when they are first used. In the order of the flow:

- ``errors``, ``names``: refusals; names that nothing else has.
- ``relax``: rewriting Relax, what every pass begins with, running on the CPU.
- ``frontend``: ONNX to one normal form, to Relax, and back.
- ``relay``: text and parameters of TVM's Relay to ONNX.
- ``tosa``: TOSA's text, and TFLite through it, to integer layers; of floats to ONNX.
- ``pytorch``: modules and exported programs of PyTorch to ONNX.
- ``read_model``: which kind of model a file holds.
- ``integer``: the integer layers that a network is quantized into.
- ``quantize``: ranges, groups, scales: float to integer layers.
- ``pruning``: schemes, reconstruction, budgets, detection.
- ``import_check``: the imported module against onnxruntime.
- ``partition``: integer layers into regions for the accelerator.
- ``host_calls``: what is left between two regions into one call.
"""

import os
from importlib import import_module
from typing import Any

# Before onnxruntime is loaded: it would keep an identifier of the computer in the user's cache
# folder and send what it is used for to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOME = {
    "load_onnx": "frontend.load",
    "relay_to_onnx": "relay.convert",
    "tosa_to_integer": "tosa.read_tosa",
    "tosa_to_onnx": "tosa.to_onnx",
    "torch_to_onnx": "pytorch",
    "normalise_onnx": "frontend.normalise",
    "import_onnx": "frontend.to_relax",
    "NormaliseRelax": "relax.normal_form",
    "FoldConstants": "relax.fold",
    "FoldBatchNorm": "relax.fold",
    "FoldForward": "relax.fold_forward",
    "DecomposeOperators": "relax.decompose",
    "BatchImages": "relax.batch_images",
    "FoldShuffles": "quantize.fold_shuffles",
    "InterpolationLayers": "relax.interpolation_layers",
    "AffineLayers": "relax.fold_forward",
    "PrunePattern": "pruning.schemes.pattern",
    "PruneUnstructured": "pruning.schemes.unstructured",
    "PruneChannels": "pruning.schemes.channels",
    "PruneNm": "pruning.schemes.n_of_m",
    "PruneGroups": "pruning.schemes.n_of_m",
    "PruneShapes": "pruning.schemes.blocks",
    "PruneBlocks": "pruning.schemes.blocks",
    "PruneKernelGroups": "pruning.schemes.blocks",
    "PruneFilters": "pruning.schemes.channels",
    "DecomposeLowRank": "pruning.schemes.low_rank",
    "KeepFloat": "quantize.keep_float",
    "QuantizeInt8": "quantize.quantize_int8",
    "PartitionForAccelerator": "partition",
    "JoinHostCalls": "host_calls",
    "parse_recipe": "pruning.schemes.recipe",
    "read_recipe": "pruning.schemes.recipe",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
