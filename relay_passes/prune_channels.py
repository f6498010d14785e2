"""Structured pruning: output channels are removed and every tensor that carries them shrinks."""

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.channels import Channels, analyse, channel_axis
from zeroskip.relay_passes.graph import Env, const_value, make_const, op_name, rebuild, substitute
from zeroskip.relay_passes.prunable import Prunable, with_notes

Masks = dict[str, npt.NDArray[np.bool_]]


@relax.transform.function_pass(opt_level=0, name="zeroskip.PruneChannels")
class PruneChannels:
    """Removes the output channels of least norm (Li et al., "Pruning Filters for Efficient
    ConvNets", ICLR 2017) and carries the removal through the graph.

    ratio: of the channels of each set of layers that must agree (those whose results are added).
    criterion: ``l1`` or ``l2`` norm of a filter, relative to its layer's mean, summed over the set.
    round_to: channels kept are a multiple of this, at least one. layers: glob on ONNX node names.
    Batch normalisation, bias, activations, pooling, addition, concatenation, flatten and matmul
    are followed; a set that meets anything else, or the network's output, is left whole and the
    attribute ``zeroskip.pruned`` says why.
    """

    def __init__(self, ratio: float = 0.5, criterion: str = "l1", round_to: int = 1,
                 layers: str = "*") -> None:
        self.ratio, self.criterion, self.round_to, self.layers = ratio, criterion, round_to, layers

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return prune_channels(func, self.ratio, self.criterion, self.round_to, self.layers)


def prune_channels(func: relax.Function, ratio: float, criterion: str = "l1", round_to: int = 1,
                   layers: str = "*") -> relax.Function:
    """The function of ``PruneChannels``."""
    channels = analyse(func, layers)
    removed, notes = _decide(channels, ratio, criterion, round_to)
    kept = {name: ~np.isin(channels.roots(ids), removed) for name, ids in channels.ids.items()}

    def visit(_builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
              ) -> relax.Expr | None:
        return _shrink(binding, env, kept)

    return with_notes(rebuild(func, visit), notes)


def _decide(channels: Channels, ratio: float, criterion: str, round_to: int
            ) -> tuple[list[int], dict[str, str]]:
    """The identities to remove, and for each layer what was done."""
    frozen = {channels.find(one): why for one, why in channels.frozen.items()}
    removed: list[int] = []
    notes: dict[str, str] = {}
    for names in _agreeing(channels):
        score: dict[int, float] = {}
        for name in names:
            norms = _norms(channels.producers[name], criterion)
            for root, norm in zip(channels.roots(channels.ids[name]).tolist(), norms.tolist(),
                                  strict=True):
                score[root] = score.get(root, 0.0) + norm
        why = next((frozen[root] for root in score if root in frozen), None)
        keep = max(1, round(len(score) * (1 - ratio) / round_to)) * round_to
        if why is None:
            ranked = sorted(score, key=lambda root: (-score[root], root))
            removed += ranked[keep:]
        for name in names:
            total = len(channels.ids[name])
            notes[channels.producers[name].node] = (
                f"channels: all {total} stay: {why}" if why is not None
                else f"channels: {min(keep, len(score))} of {len(score)} left")
    return removed, notes


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
    rows = layer.weight if layer.is_conv else layer.weight.T
    flat = np.abs(rows.reshape(len(rows), -1).astype(np.float64))
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
