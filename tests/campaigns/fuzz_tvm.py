"""A layer graph on TVM's CPU: its layers as integer Relax ops in one function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.relay_passes.integer.relax_functions import write_layer
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu

Array = npt.NDArray[Any]


def evaluate_on_cpu(graph: LayerGraph, data: Mapping[str, Array]) -> list[Array]:
    """The outputs of the graph, computed by TVM for llvm."""
    executable = compile_for_cpu(integer_module(graph))
    return run_cpu(executable, "main", [data[name] for name in graph.inputs])


def integer_module(graph: LayerGraph) -> tvm.IRModule:
    """``main`` takes the graph's inputs and returns a tuple of its outputs."""
    tensors = {name: graph.tensors[name] for name in graph.inputs}
    params = [relax.Var(name, relax.TensorType(t.shape, t.dtype)) for name, t in tensors.items()]
    values: dict[str, Any] = dict(zip(graph.inputs, params, strict=True))
    builder = relax.BlockBuilder()
    with builder.function("main", params):
        with builder.dataflow():
            for node in graph.ordered():
                args = [values[name] for name in node.inputs]
                values[node.output] = builder.emit(write_layer(node.layer, builder, args))
            left = [builder.emit_output(values[name]) for name in graph.outputs]
        builder.emit_func_output(relax.Tuple(left))
    return builder.finalize()
