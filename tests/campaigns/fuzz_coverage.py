"""What random cases have been drawn, and how each kind of them ended: one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from tests.campaigns.fuzz_case import FuzzCase, FuzzStep
from tests.campaigns.fuzz_layers import build_graph
from tests.campaigns.tables import table
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.relay_passes.integer import layers

Feature: TypeAlias = tuple[str, str]  # parameter, value
OUTCOMES = ("exact", "too small", "failed")
CHANNELS = (
    (1, "1"),
    (2, "2 to 15"),
    (16, "16"),
    (17, "17 to 64"),
    (65, "65 to 130"),
    (131, "more"),
)
BYTES = ((0, "below 8 KiB"), (8 << 10, "8 to 32 KiB"), (32 << 10, "more"))


def features(case: FuzzCase) -> set[Feature]:
    """Everything about a case that the table counts."""
    return {*_of_hardware(case), *(_of_layers(case) if case.form == "layers" else _of_model(case))}


def _of_hardware(case: FuzzCase) -> Iterator[Feature]:
    spec = case.spec()
    yield "target", case.target
    yield "bus, bytes a cycle", str(spec.dram.bytes_per_cycle)
    yield "array", spec.array.dimensions
    yield "bits stored", f"{spec.storage.activation_bits} x {spec.storage.weight_bits}"
    yield "order", "shuffled" if case.order is not None else "of the program"
    for name in ("act", "wgt", "par"):
        yield f"{name.upper()} memory", _range(getattr(spec.sram, f"{name}_bytes"), BYTES)
    if case.squeezed:
        yield "memories", "the smallest that do"


def _of_model(case: FuzzCase) -> Iterator[Feature]:
    yield "form", f"ONNX, {case.settings.get('qdq', 'float')}"
    if "prune" in case.settings:
        yield "ONNX pruned by", case.settings["prune"].partition(":")[0]
    for step in case.steps:
        yield "ONNX operator", step.kind


def _of_layers(case: FuzzCase) -> Iterator[Feature]:
    graph = build_graph(case)
    yield "form", "layers"
    yield "bits of values", "16" if graph.tensors[graph.inputs[0]].dtype == "int16" else "8"
    yield (
        "layers",
        _range(
            len(case.steps), ((1, "1"), (2, "2 to 4"), (5, "5 to 8"), (9, "9 to 12"), (13, "more"))
        ),
    )
    yield "outputs", "several" if len(case.outputs) > 1 else "one"
    yield "inputs", "several" if len(case.inputs) > 1 else "one"
    readers = Counter(name for step in case.steps for name in set(step.inputs))
    if max(readers.values()) > 1:
        yield "structure", "shared tensor"
    if set(case.outputs) & readers.keys():
        yield "structure", "output that is read on"
    for step in case.steps:
        yield from _of_step(step, graph)


def _of_step(step: FuzzStep, graph: LayerGraph) -> Iterator[Feature]:
    layer = next(node.layer for node in graph.nodes if node.output == step.output)
    yield "layer", layer.kind
    yield "channels", _range(layer.y.shape[1], CHANNELS)
    yield "type", layer.y.dtype
    spatial = layer.y.shape[2:]
    if isinstance(layer, layers.AddLayer) and _is_residual(step, graph):
        yield "structure", "residual"
    if isinstance(layer, layers.AddLayer | layers.MultiplyLayer) and layer.b.shape != layer.a.shape:
        yield "structure", f"{layer.kind} of a smaller tensor"
    if isinstance(layer, layers.ConcatLayer):
        yield "structure", f"concatenation of {min(len(layer.xs), 4)}"
    if not spatial:
        yield "spatial", "vector"
    elif len(spatial) != 2:
        yield "spatial", f"{len(spatial)}-D"
    else:
        yield (
            "spatial",
            "1x1"
            if spatial == (1, 1)
            else ("odd" if all(size % 2 for size in spatial) else "other 2-D"),
        )
    if isinstance(layer, layers.ConvLayer | layers.MaxPoolLayer | layers.AvgPoolLayer):
        yield from _of_window(layer)
    if isinstance(layer, layers.ConvLayer | layers.DenseLayer):
        density = step.get("density", 1)
        yield "zeros", step.get("zeros", "unstructured") if density < 1 else "none"
        yield "density of weights", f"{density:g}"


def _is_residual(step: FuzzStep, graph: LayerGraph) -> bool:
    """Whether one operand of an addition was made out of the other."""
    made = {node.output: node for node in graph.nodes}
    first, second = step.inputs
    for above, below in ((first, second), (second, first)):
        while below in made and len(made[below].inputs) == 1:
            (below,) = made[below].inputs
            if below == above:
                return True
    return False


def _of_window(
    layer: layers.ConvLayer | layers.MaxPoolLayer | layers.AvgPoolLayer,
) -> Iterator[Feature]:
    conv = isinstance(layer, layers.ConvLayer)
    kind = "convolution" if conv else "pool"
    kernel = layer.weight.shape[2:] if isinstance(layer, layers.ConvLayer) else layer.kernel
    for size in kernel:
        yield f"{kind}, kernel", str(size) if size <= 7 else "more"
    for size in layer.strides:
        yield f"{kind}, stride", str(size)
    half = len(layer.padding) // 2
    begins, ends = layer.padding[:half], layer.padding[half:]
    yield (
        f"{kind}, padding",
        ("none" if not any(layer.padding) else "symmetric" if begins == ends else "asymmetric"),
    )
    for size in () if isinstance(layer, layers.AvgPoolLayer) else layer.dilation:
        yield f"{kind}, dilation", str(size)
    if isinstance(layer, layers.ConvLayer):
        channels = layer.x.shape[1]
        yield (
            "convolution, groups",
            (
                "one"
                if layer.groups == 1
                else "depthwise"
                if layer.groups == channels
                else "several"
            ),
        )


def _range(value: int, starts: tuple[tuple[int, str], ...]) -> str:
    """The last range that begins at or below the value."""
    return next(name for first, name in reversed(starts) if value >= first)


def coverage(seen: Counter[tuple[Feature, str]]) -> str:
    """The table: cases that have a value of a parameter at least once, by outcome."""
    known = sorted({feature for feature, _ in seen})
    return table(
        ("parameter", "value", "cases", *OUTCOMES),
        (
            (
                *feature,
                sum(seen[feature, each] for each in OUTCOMES),
                *(seen[feature, each] for each in OUTCOMES),
            )
            for feature in known
        ),
        texts=2,
    )
