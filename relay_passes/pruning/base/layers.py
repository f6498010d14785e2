"""The weights that pruning may change, and a function with other weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.attrs import PRUNED_ATTR
from zeroskip.relay_passes.pruning.base.raw_inputs import raw_inputs
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bindings,
    const_value,
    has_one_use,
    make_const,
    node_of,
    op_name,
    rebuild,
    substitute,
    users,
)

Floats = npt.NDArray[np.floating]
Globs: TypeAlias = str | tuple[str, ...]  # one glob, or any of several


@dataclass(frozen=True, eq=False)
class PrunableLayer:
    """A convolution or matmul with constant weights.

    var: of its result. node: the ONNX node. weight: [K, C/groups, *kernel], of a matmul [out, in],
    whatever way round the graph holds it. first: reads inputs of the network, whatever was done to
    them before by operators without weights. positions: results of each filter, so that it
    multiplies ``positions`` times by each of its weights.
    """

    var: str
    node: str
    weight: Floats
    groups: int
    first: bool
    positions: int = 1

    @property
    def is_conv(self) -> bool:
        return self.weight.ndim > 2

    @property
    def is_depthwise(self) -> bool:
        return self.is_conv and self.weight.shape[1] == 1 and self.groups > 1

    @property
    def macs(self) -> int:
        """Multiplies by weights that are not zero, padding included."""
        return self.positions * int(np.count_nonzero(self.weight))

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.weight.shape[2:]


def matches(node: str, globs: Globs) -> bool:
    """Whether a node's name is among those that globs stand for."""
    return any(fnmatchcase(node, glob) for glob in ((globs,) if isinstance(globs, str) else globs))


def prunable_layers(
    func: relax.Function, globs: Globs = "*", dequantized: bool = False
) -> list[PrunableLayer]:
    """The layers of a float function whose node matches, in order; those whose weights are
    dequantized integers, which no scheme changes, only if asked for."""
    raw = raw_inputs(func)
    constants = read_graph(func).constants if dequantized else {}
    found = []
    for binding in bindings(func):
        call, name = binding.value, op_name(binding.value) or ""
        if not name.startswith("relax.nn.conv") and name != "relax.matmul":
            continue
        weight = const_value(call.args[1])
        if isinstance(call.args[1], relax.Var) and str(call.args[1].name) in constants:
            weight = constants[str(call.args[1].name)].value
        if weight is None or "transpose" in name or weight.dtype.kind != "f" or weight.ndim < 2:
            continue
        if name == "relax.matmul" and weight.ndim > 2:
            continue
        node = node_of(func, binding.var)
        if matches(node, globs):
            matmul = name == "relax.matmul"
            held = cast(Floats, weight.T if matmul else weight)
            results = prod(int(size) for size in binding.var.ty.shape)
            found.append(
                PrunableLayer(
                    str(binding.var.name),
                    node,
                    held,
                    1 if matmul else int(call.attrs.groups),
                    call.args[0] in raw,
                    results // len(held),
                )
            )
    return found


def with_weights(
    func: relax.Function,
    weights: Mapping[str, Floats],
    notes: Mapping[str, str],
    shifts: Mapping[str, Floats] | None = None,
) -> relax.Function:
    """The function with some layers' weights, by variable and as in ``PrunableLayer``, replaced.

    notes: node -> what was done to it, added to the attribute ``zeroskip.pruned``. shifts: what is
    added to a layer's results, [K] by variable; it goes into the bias or the batch normalisation
    behind the layer, and becomes a bias where there is neither.
    """
    shifts = shifts or {}
    biases = {name: bias for name in shifts if (bias := bias_of(func, name)) is not None}
    moved = {bias.var: (bias, shifts[name]) for name, bias in biases.items()}

    def visit(
        builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
    ) -> relax.Expr | None:
        name = str(binding.var.name)
        if name in moved:
            bias, shift = moved[name]
            return _with_constant(substitute(binding.value, env), bias.at, bias.plus(shift))
        if name not in weights:
            return None
        old = substitute(binding.value, env)
        weight = weights[name].T if op_name(old) == "relax.matmul" else weights[name]
        made = _with_constant(old, 1, weight)
        if name not in shifts or name in biases:
            return made
        rank = 1 if op_name(old) == "relax.matmul" else len(binding.var.ty.shape) - 1
        shift = shifts[name].reshape(-1, *(1,) * (rank - 1)).astype(str(binding.var.ty.dtype))
        return relax.op.add(builder.emit(made, f"{name}_sum"), make_const(shift))

    return with_notes(rebuild(func, visit), notes)


def _with_constant(call: Call, at: int, value: Floats) -> Call:
    """The call with an argument that is a constant replaced, in its own type."""
    args = list(call.args)
    args[at] = make_const(value.astype(str(args[at].ty.dtype), copy=False))
    return Call(call.op, args, call.attrs, call.ty_args, call.span)


@dataclass(frozen=True, eq=False)
class Bias:
    """Where a number is added to each channel of a layer's result: an addition, or the mean of a
    batch normalisation, which is subtracted. var: of that operator; at: which of its arguments."""

    var: str
    at: int
    value: Floats
    sign: int

    def plus(self, shift: Floats) -> Floats:
        """The constant with more added to each channel. shift: [K]."""
        moved: Floats = self.value + self.sign * shift.reshape(self.value.shape)
        return moved


def bias_of(func: relax.Function, layer: str) -> Bias | None:
    """The bias of a layer, by variable: None unless nothing else reads its result."""
    reader = only_reader(func, layer)
    if reader is None:
        return None
    name, variable = op_name(reader.value), str(reader.var.name)
    if name == "relax.nn.batch_norm":
        mean = const_value(reader.value.args[3])
        return None if mean is None else Bias(variable, 3, cast(Floats, mean), -1)
    if name != "relax.add":
        return None
    made = next(each for each in bindings(func) if str(each.var.name) == layer)
    shape = [int(size) for size in made.var.ty.shape]
    channels = len(shape) - 1 if op_name(made.value) == "relax.matmul" else 1
    for at, arg in enumerate(reader.value.args):
        value = const_value(arg)
        if value is not None and value.ndim <= len(shape):
            full = (1,) * (len(shape) - value.ndim) + value.shape
            if full[channels] == value.size == shape[channels]:
                return Bias(variable, at, cast(Floats, value), 1)
    return None


def only_reader(func: relax.Function, variable: str) -> relax.VarBinding | None:
    """The binding that reads a variable, once; None if others do, or the function returns it."""
    readers = users(func)[variable]
    return readers[0] if len(readers) == 1 and variable in has_one_use(func) else None


def with_notes(func: relax.Function, notes: Mapping[str, str]) -> relax.Function:
    """The function with ``zeroskip.pruned`` extended; of one node, earlier notes come first."""
    known = dict(func.attrs[PRUNED_ATTR]) if func.attrs and PRUNED_ATTR in func.attrs else {}
    merged = {str(node): str(note) for node, note in known.items()}
    for node, note in notes.items():
        merged[node] = f"{merged[node]}; {note}" if node in merged else note
    return func.with_attr(PRUNED_ATTR, merged)


def left(weight: Floats) -> str:
    """How much of a weight is left, in words."""
    return f"{np.count_nonzero(weight)} of {weight.size} weights left"
