"""Layer graphs of several images, and their programs on the machine."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.program.tensor_layout import split_images, stack_images
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.relay_passes.integer.layers import Layer, QTensor

Data = dict[str, npt.NDArray[Any]]


def batched(graph: LayerGraph, images: int) -> LayerGraph:
    """The same layers on so many images."""
    return replace(
        graph,
        nodes=tuple(replace(node, layer=_layer(node.layer, images)) for node in graph.nodes),
        tensors={name: _tensor(tensor, images) for name, tensor in graph.tensors.items()},
    )


def _layer(layer: Layer, images: int) -> Layer:
    changed: dict[str, Any] = {}
    for field in fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, QTensor):
            changed[field.name] = _tensor(value, images)
        elif isinstance(value, tuple) and value and isinstance(value[0], QTensor):
            changed[field.name] = tuple(_tensor(each, images) for each in value)
    return replace(layer, **changed)


def _tensor(tensor: QTensor, images: int) -> QTensor:
    return replace(tensor, shape=(images * tensor.shape[0], *tensor.shape[1:]))


def random_data(graph: LayerGraph, seed: int) -> Data:
    """Any bytes for each input."""
    rng, made = np.random.default_rng(seed), dict[str, Any]()
    for name in graph.inputs:
        limits = np.iinfo(graph.tensors[name].dtype)
        shape = graph.tensors[name].shape
        made[name] = rng.integers(limits.min, limits.max + 1, shape).astype(limits.dtype)
    return made


def compiled(graph: LayerGraph, spec: AccelSpec) -> Program:
    region = lower(graph)
    return emit_region(region, spec, plan_region(region, spec))


def run_batch(program: Program, graph: LayerGraph, data: Data) -> tuple[Run, Data]:
    """The run of a program of several images, and the outputs as the layers have them."""
    given = {
        tensor.name: stack_images(data[tensor.name], tensor, len(data[tensor.name]))
        for tensor in program.inputs
    }
    run = Machine(program.spec).run(program, given)
    return run, {
        name: split_images(run.outputs[tensor.name], graph.tensors[name].shape)
        for name, tensor in zip(graph.outputs, program.outputs, strict=True)
    }
