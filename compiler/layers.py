"""A layer's own numbers, for the report and the audit: its multiplies, and the bytes that must
move at least."""

from __future__ import annotations

from dataclasses import replace

from zeroskip.accel_model.program import LayerInfo
from zeroskip.compiler import ops
from zeroskip.compiler.compulsory import bytes_read
from zeroskip.compiler.lower import macs
from zeroskip.compiler.ops import Op
from zeroskip.compiler.weights import Weights


def layer_info(op: Op, schedule: str, weights: Weights | None) -> LayerInfo:
    """The layer of one operation."""
    residual = getattr(op, "residual", None)
    kind = type(op).__name__.lower() + ("+add" if residual is not None else "")
    dense = effectual = stored = 0
    if isinstance(op, ops.Conv) and weights is not None:
        dense = macs(op)
        effectual = int((op.weight != 0).sum()) * op.y.value.pixels
        stored = op.weight.size if isinstance(op, ops.Depthwise) else weights.nbytes
    return LayerInfo(
        node=op.node, result=residual.node if residual is not None else op.node, kind=kind,
        shape=(1, op.y.value.channels, *op.y.value.spatial), macs=dense, effectual=effectual,
        input_bytes=bytes_read(op), output_bytes=op.y.channels * op.y.value.pixels,
        weight_bytes=int(stored), schedule=schedule, value=op.y.value.name,
        before=residual.mid.name if residual is not None else "")


def join_layers(one: LayerInfo, two: LayerInfo) -> LayerInfo:
    """The parts of a grouped convolution share a layer."""
    summed = {name: getattr(one, name) + getattr(two, name) for name in
              ("macs", "effectual", "input_bytes", "output_bytes", "weight_bytes")}
    return replace(one, **summed)
