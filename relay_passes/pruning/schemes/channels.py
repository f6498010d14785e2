"""Structured pruning: channels are removed and every tensor that carries them shrinks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.attrs import KEPT_ATTR
from zeroskip.relay_passes.pruning.base.layers import Globs, prunable_layers, with_notes
from zeroskip.relay_passes.pruning.base.options import (
    Count,
    OneOf,
    Options,
    Ratio,
    chosen_layers,
    layers_option,
    option,
)
from zeroskip.relay_passes.pruning.base.repeatable import repeatable
from zeroskip.relay_passes.pruning.schemes.channel_graph import Channels, Ids, analyse, channel_axis
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    const_value,
    make_const,
    op_name,
    rebuild,
    substitute,
)

Masks = dict[str, npt.NDArray[np.bool_]]
Doubles = npt.NDArray[np.float64]
Worth = dict[int, float]  # by the identity that stands for all that are one with it


@dataclass(frozen=True)
class RemovalOptions(Options):
    """The options of schemes that remove channels of tensors, and with them the filters that make
    them. Schemes differ in what a channel is worth."""

    strength = "ratio"

    ratio: float = option(0.5, Ratio("ratio of channels to remove"))
    criterion: str = option("l1", OneOf("norm that ranks channels", words=("l1", "l2")))
    round_to: int = option(1, Count("keep a multiple of this many channels", low=1, high=1024))
    layers: Globs = layers_option()
    scope: str = option(
        "set",
        OneOf("what is ranked together: layers that must agree, or all", words=("set", "global")),
    )

    @property
    def power(self) -> int:
        """Of the norm."""
        return {"l1": 1, "l2": 2}[self.criterion]

    @abstractmethod
    def worth(self, channels: Channels) -> Worth:
        """What each identity that stands for others is worth, not negative; 0 if absent."""


@dataclass(frozen=True)
class FilterOptions(RemovalOptions):
    """Of ``PruneFilters``."""

    scheme = "filters"
    doc = "filters of least norm removed, tensors shrink"
    paper = "Li et al., ICLR 2017"

    def worth(self, channels: Channels) -> Worth:
        return _summed(
            channels,
            [
                (channels.ids[name], _powers(layer.weight, self.power))
                for name, layer in channels.producers.items()
            ],
            self.power,
        )


@dataclass(frozen=True)
class ChannelOptions(RemovalOptions):
    """Of ``PruneChannels``."""

    scheme = "channels"
    doc = "channels removed that the layers behind them weigh least, tensors shrink"
    paper = "He et al., ICCV 2017"

    def worth(self, channels: Channels) -> Worth:
        return _summed(
            channels,
            [
                (ids, _powers(layer.weight.swapaxes(0, 1), self.power))
                for layer, ids in channels.readers
            ],
            self.power,
        )


class _RemovalPass(Pass):
    """The body of both passes: subclasses name their options and are decorated."""

    Options: type[RemovalOptions]

    def __init__(self, *args: Any, **options: Any) -> None:
        self.options = self.Options(*args, **options)

    @repeatable
    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return remove_channels(func, self.options)


@function_pass("PruneFilters")
class PruneFilters(_RemovalPass):
    """Removes the filters of least norm (Li et al., "Pruning Filters for Efficient ConvNets", ICLR
    2017) and carries the removal through the graph.

    ratio: of the channels of each set of layers that must agree (those whose results are added),
    or with scope ``global`` of all of them together, ranked by their worth relative to their set's
    mean. criterion: ``l1`` or ``l2`` norm of a filter, relative to its layer's mean, summed over
    the set. round_to: channels kept by a set are a multiple of this, at least one; every layer of
    the set keeps one. layers: globs on ONNX node names, of the layers that may lose filters.
    Batch normalisation, bias, activations, pooling, addition, concatenation, flatten and matmul
    are followed; a set that meets anything else, or the network's output, is left whole and the
    attribute ``zeroskip.pruned`` says why.
    Arguments are those of ``FilterOptions``; PassError for a value out of range.
    """

    Options = FilterOptions


@function_pass("PruneChannels")
class PruneChannels(_RemovalPass):
    """Removes the channels that the next layers weigh least, and the filters that make them.

    As ``PruneFilters``, but what decides is what a channel does to the layers that read it, as in
    He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", and Luo et al.,
    "ThiNet", both ICCV 2017. Those look at sample inputs; here it is the norm of the weights by
    which a layer multiplies the channel, relative to the layer's mean over its channels, summed
    over the layers that read it.
    Arguments are those of ``ChannelOptions``; PassError for a value out of range.
    """

    Options = ChannelOptions


def remove_channels(func: relax.Function, options: RemovalOptions) -> relax.Function:
    """The function of ``PruneFilters`` and ``PruneChannels``."""
    return without_channels(func, *kept_channels(func, options))


def without_channels(func: relax.Function, kept: Masks, notes: Mapping[str, str]) -> relax.Function:
    """The function in which of each tensor only the channels of its mask are left."""

    def visit(
        _builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
    ) -> relax.Expr | None:
        return _shrink(binding, env, kept)

    filters = {
        layer.node: np.flatnonzero(kept[layer.var])
        for layer in prunable_layers(func)
        if layer.var in kept
    }
    before = kept_filters(func)
    made = with_notes(rebuild(func, visit), notes)
    return made.with_attr(
        KEPT_ATTR,
        {node: each.tolist() for node, each in before.items()}
        | {
            node: (before[node][left] if node in before else left).tolist()
            for node, left in filters.items()
        },
    )


def kept_filters(func: relax.Function) -> dict[str, npt.NDArray[np.int64]]:
    """Which filters of the layers as they were are left, by node: of those that were looked at."""
    known = func.attrs[KEPT_ATTR] if func.attrs and KEPT_ATTR in func.attrs else {}
    return {
        str(node): np.array([int(one) for one in left], np.int64) for node, left in known.items()
    }


def kept_channels(func: relax.Function, options: RemovalOptions) -> tuple[Masks, dict[str, str]]:
    """Which channels of each tensor stay, by variable, and what was decided, by node.

    A mask runs over dimension 1 of its tensor. Variables whose channels are not followed have none.
    """
    chosen_layers(func, options, options.layers)  # refuses a glob that fits none
    channels = analyse(func, options.layers)
    removed, notes = _decide(channels, options)
    kept = {name: ~np.isin(channels.roots(ids), removed) for name, ids in channels.ids.items()}
    return kept, notes


def _decide(channels: Channels, options: RemovalOptions) -> tuple[list[int], dict[str, str]]:
    """The identities to remove, and for each layer what was done."""
    frozen = {channels.find(one): why for one, why in channels.frozen.items()}
    worth = options.worth(channels)
    sets = [
        {name: channels.roots(channels.ids[name]).tolist() for name in names}
        for names in _agreeing(channels)
    ]
    reasons = [
        next((frozen[one] for ids in roots.values() for one in ids if one in frozen), None)
        for roots in sets
    ]
    scores = [
        {one: worth.get(one, 0.0) for ids in roots.values() for one in ids} if why is None else {}
        for roots, why in zip(sets, reasons, strict=True)
    ]
    removed: list[int] = []
    notes: dict[str, str] = {}
    for roots, why, score, count in zip(
        sets, reasons, scores, _counts(scores, options), strict=True
    ):
        gone = set() if why is not None else _weakest(score, roots, count, options.round_to)
        removed += sorted(gone)
        for name, ids in roots.items():
            total = len(ids)
            kept = sum(one not in gone for one in ids)
            notes[channels.producers[name].node] = (
                f"{options.scheme}: all {total} stay: {why}"
                if why is not None
                else f"{options.scheme}: {kept} of {total} left"
            )
    return removed, notes


def _counts(scores: Sequence[Worth], options: RemovalOptions) -> list[float]:
    """How many channels each set is to keep, before rounding. scores: of its identities."""
    if options.scope == "set":
        return [len(score) * (1 - options.ratio) for score in scores]
    sizes = [len(score) for score in scores]
    means = [max(sum(score.values()) / max(len(score), 1), 1e-30) for score in scores]
    worth = np.array([one for score in scores for one in score.values()])
    ranked = np.argsort(-worth / np.repeat(means, sizes), kind="stable")
    stay = np.repeat(np.arange(len(sizes)), sizes)[
        ranked[: round(len(ranked) * (1 - options.ratio))]
    ]
    return [float(count) for count in np.bincount(stay, minlength=len(sizes))]


def _weakest(score: Worth, roots: Mapping[str, list[int]], count: float, round_to: int) -> set[int]:
    """What a set of layers that must agree gives up; each layer keeps its strongest channel.

    roots: the identities of each layer's channels. Of equal scores the later identity goes.
    """
    ranked = sorted(score, key=lambda one: (-score[one], one))
    place = {one: number for number, one in enumerate(ranked)}
    strongest = {min(ids, key=place.__getitem__) for ids in roots.values()}
    ranked.sort(key=lambda one: one not in strongest)  # stable: else by score
    keep = max(1, round(count / round_to)) * round_to
    return set(ranked[max(keep, len(strongest)) :])


def _powers(weight: npt.NDArray[np.floating], power: int) -> Doubles:
    """float64 [n]: of each row the sum of its elements' powers."""
    powers: Doubles = np.power(
        np.abs(weight.reshape(len(weight), -1)), power, dtype=np.float64
    ).sum(axis=1)
    return powers


def _summed(channels: Channels, parts: Sequence[tuple[Ids, Doubles]], power: int) -> Worth:
    """Norms by identity, summed over layers. parts: of each layer the identities, and powers whose
    sum over an identity is its norm's power; each layer's norms are relative to their mean."""
    total: Worth = {}
    for ids, powers in parts:
        roots, place = np.unique(channels.roots(ids), return_inverse=True)
        norms = np.bincount(place, powers) ** (1 / power)
        relative = norms / max(float(norms.mean()), 1e-30)
        for one, norm in zip(roots.tolist(), relative.tolist(), strict=True):
            total[one] = total.get(one, 0.0) + norm
    return total


def _agreeing(channels: Channels) -> list[list[str]]:
    """Sets of producers that share a channel, in order of their first member."""
    sets: dict[int, int] = {}  # identity -> number of its set
    members: dict[int, list[str]] = {}
    for number, name in enumerate(channels.producers):
        roots = channels.roots(channels.ids[name]).tolist()
        members[number] = [name]
        for other in sorted({sets[root] for root in roots if root in sets}):
            members[number] = members.pop(other) + members[number]
            sets = {root: number if held == other else held for root, held in sets.items()}
        sets.update(dict.fromkeys(roots, number))
    return list(members.values())


def _shrink(binding: relax.VarBinding, env: Env, kept: Masks) -> relax.Expr | None:
    """A binding with the constants that its smaller tensors need."""
    old, name = binding.value, op_name(binding.value)
    made = kept.get(str(binding.var.name))
    if name is None or made is None:
        return None
    new = substitute(old, env)
    read = [
        kept[str(arg.name)]
        for arg in old.args
        if isinstance(arg, relax.Var) and str(arg.name) in kept
    ]
    if name.startswith("relax.nn.conv"):
        return _shrink_conv(old, new, read[0] if read else None, made)
    if name == "relax.matmul":
        weight = const_value(old.args[1])
        assert weight is not None
        rows = read[0] if read else np.ones(len(weight), np.bool_)
        return _with_args(new, 1, [weight[rows][:, made]])
    if name == "relax.nn.batch_norm":
        return _with_args(new, 1, [_array(arg)[made] for arg in old.args[1:]])
    if name in ("relax.reshape", "relax.flatten", "relax.squeeze"):
        shape = [int(size) for size in binding.var.ty.shape]
        return relax.op.reshape(new.args[0], [shape[0], int(made.sum()), *shape[2:]])
    for index, arg in enumerate(old.args):
        constant = const_value(arg)
        if constant is not None:
            axis = channel_axis(constant.shape, len(binding.var.ty.shape), len(made))
            if axis >= 0:
                return _with_args(new, index, [np.compress(made, constant, axis)])
    return None


def _shrink_conv(
    old: Call, new: Call, read: npt.NDArray[np.bool_] | None, made: npt.NDArray[np.bool_]
) -> relax.Expr:
    weight = _array(old.args[1])[made]
    attrs = old.attrs
    groups = int(attrs.groups)
    if groups > 1 and old.args[1].ty.shape[1] == 1 and groups == len(made):
        groups = int(made.sum())
    elif read is not None and groups == 1:
        weight = weight[:, read]
    op = getattr(relax.op.nn, str(old.op.name).rpartition(".")[2])
    return op(
        new.args[0],
        make_const(np.ascontiguousarray(weight)),
        strides=list(attrs.strides),
        padding=list(attrs.padding),
        dilation=list(attrs.dilation),
        groups=groups,
        out_dtype=attrs.out_dtype,
    )


def _with_args(call: Call, first: int, arrays: list[npt.NDArray[np.generic]]) -> Call:
    """The call with constants from argument ``first`` on."""
    args = list(call.args)
    args[first : first + len(arrays)] = [make_const(np.ascontiguousarray(a)) for a in arrays]
    return Call(call.op, args, call.attrs, call.ty_args, call.span)


def _array(expr: relax.Expr) -> npt.NDArray[np.generic]:
    value = const_value(expr)
    assert value is not None
    return value
