"""Channels that cannot matter: removed exactly, so that nothing computes, stores or loads them.

A network whose filters were pruned by zeros (its masks kept every shape) has channels that are zero
whatever the input, and channels that no layer reads with a weight other than zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, prunable_layers, with_weights
from zeroskip.relay_passes.pruning.schemes.channel_graph import (
    PAIRWISE,
    Channels,
    analyse,
    channel_axis,
)
from zeroskip.relay_passes.pruning.schemes.channels import Masks, without_channels
from zeroskip.relay_passes.relax.operators import AVG_POOLS, MAX_POOLS
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import bindings, const_value, op_name, used_vars

Values = npt.NDArray[np.float64]  # [C]: what a channel is at every pixel; NaN: not known

_ALIKE: dict[str, Callable[[Values, Any], Values]] = {
    "relax.nn.relu": lambda values, _call: np.maximum(values, 0),
    "relax.nn.leakyrelu": lambda values, call: np.where(
        values < 0, values * float(call.attrs.alpha), values
    ),
    "relax.clip": lambda values, call: np.clip(
        values, float(call.args[1].value), float(call.args[2].value)
    ),
    "relax.abs": lambda values, _call: np.abs(values),
    "relax.negative": lambda values, _call: -values,
    "relax.tanh": lambda values, _call: np.tanh(values),
    **dict.fromkeys((*MAX_POOLS, "relax.mean"), lambda values, _call: values),
}
_ZERO_STAYS = {*AVG_POOLS, "relax.nn.adaptive_avg_pool2d"}
_SAME_ELEMENTS = {"relax.reshape", "relax.squeeze", "relax.flatten"}


@function_pass("RemoveDeadChannels")
class RemoveDeadChannels(Pass):
    """Removes channels that are zero wherever they are read, and those that are read with zero
    weights only; the network computes the same.

    A channel is known to be zero where its filter is zero and so is what becomes of its bias (as
    behind a ReLU, if the bias is negative). One that is another constant goes into the bias of a
    layer without padding that reads it; where there is padding it stays, because at the border it
    meets zeros, so no bias stands for it. As in ``PruneChannels``, tensors
    whose channels are added to each other lose them together, and what cannot be followed keeps
    them. Every layer keeps a channel. The attribute ``zeroskip.pruned`` says what was left.

    block: of channels that always occur together only whole multiples go. An accelerator that works
    on blocks of channels gains nothing by a part of one.
    """

    def __init__(self, block: int = 1) -> None:
        self.block = block

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return remove_dead_channels(func, self.block)


def remove_dead_channels(func: relax.Function, block: int = 1) -> relax.Function:
    """The function of ``RemoveDeadChannels``."""
    while (folded := _without_constants(func)) is not func:
        func = folded  # a filter that reads constants only is one in turn
    while True:
        channels = analyse(func, "*")
        removed = _whole(_dead(func, channels), channels, block)
        if not removed:
            return func
        gone = np.array(sorted(removed))
        kept: Masks = {
            name: ~np.isin(channels.roots(ids), gone) for name, ids in channels.ids.items()
        }
        notes = {
            layer.node: f"dead channels removed: {int(kept[name].sum())} of {len(kept[name])} left"
            for name, layer in channels.producers.items()
            if not kept[name].all()
        }
        func = without_channels(func, kept, notes)  # what read them may be dead in turn


def _dead(func: relax.Function, channels: Channels) -> set[int]:
    """The identities that can go."""
    values = _known_values(func, channels)
    readers = {layer.var: layer for layer, _ in channels.readers}
    dead = set(range(len(channels))) - {channels.find(one) for one in channels.frozen}
    dead = {one for one in dead if channels.find(one) == one}
    for binding in bindings(func):
        layer = readers.get(str(binding.var.name))
        if layer is None:
            continue  # a depthwise layer passes its channels on, others have frozen them
        read = str(binding.value.args[0].name)
        matters = _read(layer).any(axis=0) & (values[read] != 0)
        dead -= set(channels.roots(channels.ids[read][matters]).tolist())
    for name in channels.producers:  # every layer keeps a channel
        own = channels.roots(channels.ids[name]).tolist()
        if dead.issuperset(own):
            dead.discard(own[0])
    return dead


def _without_constants(func: relax.Function) -> relax.Function:
    """The function in which layers without padding have a bias in place of constant channels."""
    channels = analyse(func, "*")
    values = _known_values(func, channels)
    readers = {layer.var: layer for layer, _ in channels.readers}
    weights, shifts, notes = {}, {}, {}
    for binding in bindings(func):
        layer, call = readers.get(str(binding.var.name)), binding.value
        if layer is None:
            continue
        read = values[str(call.args[0].name)]
        constant = np.isfinite(read) & (read != 0) & _read(layer).any(axis=0)
        if not constant.any():
            continue
        if layer.is_conv and any(int(size) for size in call.attrs.padding):
            notes[layer.node] = (
                f"reads {constant.sum()} constant channels, which stay: at its "
                "padding they are zero"
            )
            continue
        sums = layer.weight.reshape(*layer.weight.shape[:2], -1).sum(axis=2, dtype=np.float64)
        shifts[layer.var] = (sums[:, constant] @ read[constant]).astype(layer.weight.dtype)
        weights[layer.var] = layer.weight.copy()
        weights[layer.var][:, constant] = 0
        notes[layer.node] = f"{constant.sum()} constant channels went into its bias"
    return with_weights(func, weights, notes, shifts) if weights else func


def _whole(dead: set[int], channels: Channels, block: int) -> set[int]:
    """Of the dead identities that the same tensors have, a multiple of ``block``, the first."""
    places: dict[int, list[str]] = {one: [] for one in sorted(dead)}
    for name, ids in channels.ids.items() if block > 1 else ():
        for one in set(channels.roots(ids).tolist()) & dead:
            places[one].append(name)
    alike: dict[tuple[str, ...], list[int]] = {}
    for one, names in places.items():
        alike.setdefault(tuple(names), []).append(one)
    return {one for ones in alike.values() for one in ones[: len(ones) // block * block]}


def _read(layer: PrunableLayer) -> npt.NDArray[np.bool_]:
    """bool [K, C/groups]: whether a filter has a weight other than zero for a channel."""
    return np.asarray(layer.weight.reshape(*layer.weight.shape[:2], -1).any(axis=2), np.bool_)


def _known_values(func: relax.Function, channels: Channels) -> dict[str, Values]:
    """The constants among the channels of every tensor that is followed."""
    layers = {layer.var: layer for layer in prunable_layers(func)}
    values = {name: np.full(len(ids), np.nan) for name, ids in channels.ids.items()}
    for binding in bindings(func):
        name = str(binding.var.name)
        if name not in values:
            continue
        read = [
            values[str(var.name)] for var in used_vars(binding.value) if str(var.name) in values
        ]
        made = _made(binding.value, layers.get(name), read, len(values[name]))
        if made is not None:
            values[name] = made
    return values


def _made(
    value: relax.Expr, layer: PrunableLayer | None, read: Sequence[Values], count: int
) -> Values | None:
    """What is known of a binding's result with ``count`` channels; None: nothing."""
    name = op_name(value) or ""
    if layer is not None:
        return _made_by_layer(layer, read[0] if read else None)
    if not read:
        return None
    if name in _ALIKE:
        return _ALIKE[name](read[0], value)
    if name in _ZERO_STAYS:
        return np.where(read[0] == 0, 0.0, np.nan)
    if name == "relax.concat":
        return np.concatenate(read)
    if name in _SAME_ELEMENTS:
        return np.repeat(read[0], count // len(read[0]))
    return _made_by_pair(value, read, count) if name in PAIRWISE else None


def _made_by_layer(layer: PrunableLayer, read: Values | None) -> Values:
    """A filter makes zero where each of its weights is zero or meets a channel that is."""
    matters = _read(layer)
    if read is not None and layer.groups == 1:
        matters &= read != 0
    elif read is not None and layer.is_depthwise and len(read) == len(matters):
        matters &= (read != 0)[:, None]
    return np.where(matters.any(axis=1), np.nan, 0.0)


def _made_by_pair(call: relax.Call, read: Sequence[Values], count: int) -> Values | None:
    """Elementwise with a constant for each channel, or of two tensors."""
    operands = list(read)
    if len(read) == 1:
        at = next(at for at, arg in enumerate(call.args) if const_value(arg) is not None)
        constant = const_value(call.args[at])
        assert constant is not None
        axis = channel_axis(constant.shape, len(call.args[1 - at].ty.shape), count)
        if constant.size != (constant.shape[axis] if axis >= 0 else 1):
            return None
        operands.insert(at, np.broadcast_to(constant.reshape(-1).astype(np.float64), count))
    operator = {
        "relax.add": np.add,
        "relax.subtract": np.subtract,
        "relax.divide": np.divide,
        "relax.multiply": np.multiply,
        "relax.maximum": np.maximum,
        "relax.minimum": np.minimum,
    }[str(call.op.name)]
    with np.errstate(all="ignore"):
        made: Values = operator(*operands)
    if str(call.op.name) == "relax.multiply":
        made = np.where((operands[0] == 0) | (operands[1] == 0), 0.0, made)
    return made
