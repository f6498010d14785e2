"""A reference that is neither TVM nor ours: layers as TOSA, lowered and run by MLIR's JIT.

Needs the extra ``oracle``. What is compared: the parameters of the layers are those of the
network's reference module; what is computed from them is TOSA's specification as MLIR lowers it,
each layer from the reference's own results of the layers before.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.validate import short_message
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.from_relax import extract_reference
from zeroskip.compiler.mlir.tosa import layer_text
from zeroskip.relay_passes.integer.layers import Layer

Array = npt.NDArray[Any]

ENTRY = "layer"
TITLE = "MLIR's JIT"
_INSTALL = "pip install 'zeroskip[oracle]'"
_LOWER = (
    *(
        f"func.func({each})"
        for each in (
            "tosa-optional-decompositions",
            "tosa-to-linalg-named",
            "tosa-to-linalg",
            "tosa-to-arith{include-apply-rescale=true}",
            "tosa-to-tensor",
            "canonicalize",
            "linalg-fuse-elementwise-ops",
        )
    ),
    "one-shot-bufferize{bufferize-function-boundaries=true "
    "function-boundary-type-conversion=identity-layout-map}",
    "buffer-results-to-out-params{modify-public-functions=true hoist-static-allocs=true}",
    "buffer-deallocation-pipeline",
    "func.func(convert-linalg-to-affine-loops,affine-loop-invariant-code-motion,affine-scalrep)",
    "expand-strided-metadata",
    "lower-affine",
    "convert-scf-to-cf",
    "func.func(llvm-request-c-wrappers)",
    "convert-to-llvm",
    "reconcile-unrealized-casts",
)
PIPELINE = f"builtin.module({','.join(_LOWER)})"


class OracleError(ZeroskipError):
    """MLIR is not there, or cannot run a layer; says which."""


class MlirOracle:
    """The layers of a reference module's regions on MLIR's JIT, each compiled once."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference
        self._graphs: dict[str, LayerGraph] = {}
        self._engines: dict[str, Any] = {}
        self._mlir, self._utilities = _bindings()

    def results(self, region: str, arrays: list[Array]) -> list[Array]:
        """The results of all layers of a region, in order, from the region's inputs."""
        if region not in self._graphs:
            self._graphs[region] = extract_reference(self._reference, region)
        graph = self._graphs[region]
        values = dict(zip(graph.inputs, arrays, strict=True))
        for node in graph.nodes:
            values[node.output] = self.layer(
                node.layer, [values[name] for name in node.inputs], node.node
            )
        return [values[node.output] for node in graph.nodes]

    def layer(self, layer: Layer, arrays: list[Array], node: str) -> Array:
        """The result of one layer. OracleError names ``node`` if MLIR does not take it."""
        text = layer_text(layer, ENTRY, node)
        if text not in self._engines:
            self._engines[text] = self._compile(text, node)
        result = np.empty(layer.y.shape, np.int8)
        # The 8 bits as they are: what is unsigned among them says the text.
        given = [np.ascontiguousarray(array).view(np.int8) for array in arrays]
        descriptors = [
            ctypes.pointer(ctypes.pointer(self._mlir.runtime.get_ranked_memref_descriptor(array)))
            for array in (*given, result)
        ]
        self._engines[text].invoke(ENTRY, *descriptors)
        return result.view(layer.y.dtype)

    def _compile(self, text: str, node: str) -> Any:
        mlir = self._mlir
        try:
            with mlir.ir.Context() as context:
                context.enable_multithreading(False)
                module = mlir.ir.Module.parse(text)
                mlir.passmanager.PassManager.parse(PIPELINE).run(module.operation)
                return mlir.execution_engine.ExecutionEngine(
                    module, opt_level=3, shared_libs=[self._utilities]
                )
        except Exception as problem:  # MLIR's, of several kinds
            raise OracleError(
                f"'{node}': MLIR cannot lower it ({short_message(problem)}); validate without --oracle=mlir"
            ) from problem


def _bindings() -> tuple[Any, str]:
    """MLIR's Python bindings, and the library that compiled code calls."""
    try:
        import mlir.execution_engine
        import mlir.ir
        import mlir.passmanager
        import mlir.runtime
    except ImportError as problem:
        raise OracleError(
            f"--oracle=mlir needs MLIR ({short_message(problem)}): {_INSTALL}"
        ) from None
    found = [
        file
        for folder in mlir.__path__
        for file in Path(folder).glob("lib/libmlir_c_runner_utils.*")
    ]
    if not found:
        raise OracleError(f"MLIR's libmlir_c_runner_utils is missing: {_INSTALL}")
    return mlir, str(found[0])
