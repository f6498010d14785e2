"""Planning and emitting a whole region: region -> plans -> program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from zeroskip.accel_model.program import LayerInfo, Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler import emit_channels, ops
from zeroskip.compiler.cache import PlanCache
from zeroskip.compiler.compulsory import bytes_read
from zeroskip.compiler.emit import Emitter
from zeroskip.compiler.emit_conv import emit_conv
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.lower import macs
from zeroskip.compiler.ops import Op, Region
from zeroskip.compiler.plan import ChannelPlan, ConvPlan, Plan
from zeroskip.compiler.search import candidates
from zeroskip.compiler.weights import Weights

Progress: TypeAlias = Callable[[str, int, int], None]


def plan_region(region: Region, spec: AccelSpec, progress: Progress | None = None,
                cache: PlanCache | None = None) -> list[Plan]:
    """A plan for each operation; ``progress(node, done, total)`` is called before each."""
    plans: list[Plan] = []
    for index, op in enumerate(region.ops):
        if progress is not None:
            progress(op.node, index, len(region.ops))
        search = partial(candidates, op, spec, 1)
        plans += search() if cache is None else cache.plans([op], spec, "", search)
    return plans


def emit_region(region: Region, spec: AccelSpec, plans: Sequence[Plan]) -> Program:
    """The program of a planned region."""
    out = Emitter(region, spec)
    for op, plan in zip(region.ops, plans, strict=True):
        weights = Weights(op, spec.array.kind) if isinstance(op, ops.Conv) else None
        _enter_layer(out, op, plan, weights)
        if isinstance(op, ops.Conv) and isinstance(plan, ConvPlan) and weights is not None:
            emit_conv(out, op, plan, weights)
        elif isinstance(plan, ChannelPlan):
            _emit_plain(out, op, plan)
    return out.program()


def _emit_plain(out: Emitter, op: Op, plan: ChannelPlan) -> None:
    if isinstance(op, ops.Depthwise):
        emit_channels.emit_depthwise(out, op, plan)
    elif isinstance(op, ops.MaxPool):
        emit_channels.emit_max_pool(out, op, plan)
    elif isinstance(op, ops.AvgPool):
        emit_channels.emit_avg_pool(out, op, plan)
    elif isinstance(op, ops.Add):
        emit_channels.emit_add(out, op, plan)
    elif isinstance(op, ops.Copy):
        emit_channels.emit_copy(out, op, plan)
    elif isinstance(op, ops.Reshape):
        emit_channels.emit_reshape(out, op)
    else:
        raise CompileError(f"'{op.node}': {type(op).__name__} has no instructions")


def _enter_layer(out: Emitter, op: Op, plan: Plan, weights: Weights | None) -> None:
    """Opens the operation's layer; the parts of a grouped convolution share one."""
    info = layer_info(op, str(plan), weights)
    if out.layers and (out.layers[-1].node, out.layers[-1].kind) == (info.node, info.kind):
        out.layers[-1] = _joined(out.layers[-1], info)
    else:
        out.layers.append(info)
    out.stream.layer = len(out.layers) - 1


def layer_info(op: Op, schedule: str, weights: Weights | None) -> LayerInfo:
    """The layer's own numbers: multiplies, and the bytes that must move at least."""
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
        weight_bytes=int(stored), schedule=schedule)


def _joined(one: LayerInfo, two: LayerInfo) -> LayerInfo:
    summed = {name: getattr(one, name) + getattr(two, name) for name in
              ("macs", "effectual", "input_bytes", "output_bytes", "weight_bytes")}
    return replace(one, **summed)
