"""Channels in another order, folded into the convolutions that read them."""

from typing import Any, NamedTuple

import numpy as np
import tvm
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.quantize.moves import Pick, step_of, steps_of
from zeroskip.relay_passes.relax.operators import CONVOLUTIONS
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bindings,
    const_value,
    has_one_use,
    make_const,
    op_name,
    rebuild,
    users,
)


@function_pass("FoldShuffles")
class FoldShuffles(Pass):
    """A channel shuffle goes into the weights of the convolutions that read it, or a slice of it:
    these read all channels in the order that there is, by weights of 0 those that they do not take.
    What else reads one takes its channels at once, without the shuffle between.

    It comes after pruning, which would count these zeros as its own.
    """

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        orders = _orders(func)
        if not orders:
            return func

        def visit(
            builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
        ) -> relax.Expr | None:
            call, name = binding.value, str(binding.var.name)
            order = orders.get(name)
            if order is not None:
                taken = make_const(np.array(order.channels, np.int64))
                return relax.op.take(env[order.source], taken, 1, "clip")
            return _folded(call, orders, env)

        return rebuild(func, visit)


class _Order(NamedTuple):
    """A variable that is some channels of another, in some order."""

    source: relax.Var
    channels: tuple[int, ...]


def _orders(func: relax.Function) -> dict[str, _Order]:
    """The shuffles of a function, and the slices of channels of one, by their variables."""
    readers, single = users(func), has_one_use(func)
    found: dict[str, _Order] = {}
    for binding in bindings(func):
        call, name = binding.value, str(binding.var.name)
        if not isinstance(call, Call) or not call.args or not isinstance(call.args[0], relax.Var):
            continue
        data = call.args[0]
        before = found.get(str(data.name))
        picked = _channels(step_of(call)) if before is not None else None
        if before is not None and picked is not None:
            found[name] = _Order(before.source, tuple(before.channels[at] for at in picked))
            continue
        chain, variables = [call], [binding.var]
        while len(chain) < 3 and str(variables[-1].name) in single:
            (reader,) = readers[str(variables[-1].name)]
            chain.append(reader.value)
            variables.append(reader.var)
        kinds = [op_name(each) for each in chain]
        if kinds == ["relax.reshape", "relax.permute_dims", "relax.reshape"]:
            steps = steps_of(chain) or ()
            channels = _channels(steps[0]) if len(steps) == 1 else None
            if channels is not None:
                found[str(variables[-1].name)] = _Order(data, channels)
    return found


def _channels(step: Any) -> tuple[int, ...] | None:
    """The channels of a step that picks these and nothing else."""
    if not isinstance(step, Pick) or any(at is not None for at in step.indices[1:]):
        return None
    return step.indices[0]


def _folded(call: relax.Expr, orders: dict[str, _Order], env: Env) -> relax.Expr | None:
    """A convolution on what is ordered, on its source; None of all else."""
    if op_name(call) not in CONVOLUTIONS or not isinstance(call.args[0], relax.Var):
        return None
    order, weight = orders.get(str(call.args[0].name)), const_value(call.args[1])
    attrs = call.attrs
    if order is None or weight is None or int(attrs.groups) != 1:
        return None
    if not (str(attrs.data_layout).startswith("NC") and str(attrs.kernel_layout)[:2] == "OI"):
        return None
    channels = int(order.source.ty.shape[1])
    whole = np.zeros((weight.shape[0], channels, *weight.shape[2:]), weight.dtype)
    for at, channel in enumerate(order.channels):
        whole[:, channel] += weight[:, at]
    return Call(call.op, [env[order.source], make_const(whole)], attrs, call.ty_args)
