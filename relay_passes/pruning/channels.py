"""Structured pruning: output channels are removed and every tensor that carries them shrinks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.graph import Env, const_value, make_const, op_name, rebuild, substitute
from zeroskip.relay_passes.pruning.channel_graph import Channels, analyse, channel_axis
from zeroskip.relay_passes.pruning.layers import Globs, Prunable, with_notes
from zeroskip.relay_passes.pruning.options import (
    Choice,
    Count,
    Options,
    Ratio,
    chosen_layers,
    layers_option,
    option,
)

Masks = dict[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class ChannelOptions(Options):
    """Of ``PruneChannels``."""

    scheme = "channels"
    doc = "output channels removed, tensors shrink"
    paper = "Li et al., ICLR 2017"
    strength = "ratio"

    ratio: float = option(0.5, Ratio("ratio of channels to remove"))
    criterion: str = option("l1", Choice("norm that ranks channels", words=("l1", "l2")))
    round_to: int = option(1, Count("keep a multiple of this many channels", low=1, high=1024))
    layers: Globs = layers_option()


@relax.transform.function_pass(opt_level=0, name="zeroskip.PruneChannels")
class PruneChannels:
    """Removes the output channels of least norm (Li et al., "Pruning Filters for Efficient
    ConvNets", ICLR 2017) and carries the removal through the graph.

    ratio: of the channels of each set of layers that must agree (those whose results are added).
    criterion: ``l1`` or ``l2`` norm of a filter, relative to its layer's mean, summed over the set.
    round_to: channels kept by a set are a multiple of this, at least one; every layer of the set
    keeps one. layers: globs on ONNX node names.
    Batch normalisation, bias, activations, pooling, addition, concatenation, flatten and matmul
    are followed; a set that meets anything else, or the network's output, is left whole and the
    attribute ``zeroskip.pruned`` says why.
    Arguments are those of ``ChannelOptions``; PassError for a value out of range.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.options = ChannelOptions(*args, **options)

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return prune_channels(func, self.options)


def prune_channels(func: relax.Function, options: ChannelOptions) -> relax.Function:
    """The function of ``PruneChannels``."""
    kept, notes = kept_channels(func, options)

    def visit(_builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
              ) -> relax.Expr | None:
        return _shrink(binding, env, kept)

    return with_notes(rebuild(func, visit), notes)


def kept_channels(func: relax.Function, options: ChannelOptions) -> tuple[Masks, dict[str, str]]:
    """Which channels of each tensor stay, by variable, and what was decided, by node.

    A mask runs over dimension 1 of its tensor. Variables whose channels are not followed have none.
    """
    chosen_layers(func, options, options.layers)  # refuses a glob that fits none
    channels = analyse(func, options.layers)
    removed, notes = _decide(channels, options)
    kept = {name: ~np.isin(channels.roots(ids), removed) for name, ids in channels.ids.items()}
    return kept, notes


def _decide(channels: Channels, options: ChannelOptions) -> tuple[list[int], dict[str, str]]:
    """The identities to remove, and for each layer what was done."""
    frozen = {channels.find(one): why for one, why in channels.frozen.items()}
    removed: list[int] = []
    notes: dict[str, str] = {}
    for names in _agreeing(channels):
        roots = {name: channels.roots(channels.ids[name]).tolist() for name in names}
        why = next((frozen[one] for name in names for one in roots[name] if one in frozen), None)
        gone = set() if why is not None else _weakest(channels, roots, options)
        removed += sorted(gone)
        for name in names:
            total = len(roots[name])
            kept = sum(one not in gone for one in roots[name])
            notes[channels.producers[name].node] = (
                f"channels: all {total} stay: {why}" if why is not None
                else f"channels: {kept} of {total} left")
    return removed, notes


def _weakest(channels: Channels, roots: dict[str, list[int]], options: ChannelOptions) -> set[int]:
    """What a set of layers that must agree gives up; each layer keeps its strongest channel.

    roots: the identities of each layer's channels. Of equal scores the later identity goes.
    """
    score: dict[int, float] = {}
    for name, ids in roots.items():
        norms = _norms(channels.producers[name], options.criterion)
        for one, norm in zip(ids, norms.tolist(), strict=True):
            score[one] = score.get(one, 0.0) + norm
    ranked = sorted(score, key=lambda one: (-score[one], one))
    place = {one: number for number, one in enumerate(ranked)}
    strongest = {min(ids, key=place.__getitem__) for ids in roots.values()}
    ranked.sort(key=lambda one: one not in strongest)  # stable: else by score
    wanted = len(score) * (1 - options.ratio) / options.round_to
    keep = max(1, round(wanted)) * options.round_to
    return set(ranked[max(keep, len(strongest)):])


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


def _norms(layer: Prunable, criterion: str) -> npt.NDArray[np.float64]:
    """Norm of each filter, relative to the layer's mean."""
    flat = np.abs(layer.weight.reshape(len(layer.weight), -1).astype(np.float64))
    norms = flat.sum(axis=1) if criterion == "l1" else np.sqrt(np.square(flat).sum(axis=1))
    result: npt.NDArray[np.float64] = norms / max(float(norms.mean()), 1e-30)
    return result


def _shrink(binding: relax.VarBinding, env: Env, kept: Masks) -> relax.Expr | None:
    """A binding with the constants that its smaller tensors need."""
    old, name = binding.value, op_name(binding.value)
    made = kept.get(str(binding.var.name))
    if name is None or made is None:
        return None
    new = substitute(old, env)
    read = [kept[str(arg.name)] for arg in old.args
            if isinstance(arg, relax.Var) and str(arg.name) in kept]
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


def _shrink_conv(old: Call, new: Call, read: npt.NDArray[np.bool_] | None,
                 made: npt.NDArray[np.bool_]) -> relax.Expr:
    weight = _array(old.args[1])[made]
    attrs = old.attrs
    groups = int(attrs.groups)
    if groups > 1 and old.args[1].ty.shape[1] == 1 and groups == len(made):
        groups = int(made.sum())
    elif read is not None and groups == 1:
        weight = weight[:, read]
    op = getattr(relax.op.nn, str(old.op.name).rpartition(".")[2])
    return op(new.args[0], make_const(np.ascontiguousarray(weight)),
              strides=list(attrs.strides), padding=list(attrs.padding),
              dilation=list(attrs.dilation), groups=groups, out_dtype=attrs.out_dtype)


def _with_args(call: Call, first: int, arrays: list[npt.NDArray[np.generic]]) -> Call:
    """The call with constants from argument ``first`` on."""
    args = list(call.args)
    args[first : first + len(arrays)] = [make_const(np.ascontiguousarray(a)) for a in arrays]
    return Call(call.op, args, call.attrs, call.ty_args, call.span)


def _array(expr: relax.Expr) -> npt.NDArray[np.generic]:
    value = const_value(expr)
    assert value is not None
    return value
