"""Affine arithmetic that no layer before takes, folded into the layers behind or made one itself.

A normalisation after an activation, as many networks have it, has no convolution before it to go
into: ``W (s x + t) + b = (W s) x + (W t + b)`` puts it into the ones behind, where that is exact.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.relax.fold import (
    Affine,
    Chain,
    along_channels,
    find_chains,
    fold_batch_norm,
    takes_scale,
)
from zeroskip.relay_passes.relax.layer_norm import layer_norms
from zeroskip.relay_passes.relax.operators import (
    AVG_POOLS,
    CONVOLUTIONS,
    MAX_POOLS,
    MOVED,
    SAME_ELEMENTS,
)
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bindings,
    const_value,
    make_const,
    op_name,
    outputs,
    rebuild,
    substitute,
    used_vars,
    users,
)

_LIMITS = ("relax.nn.relu", "relax.clip")
_FUNCTIONS = tuple(  # that are tables on the accelerator, or products
    f"relax.{name}"
    for name in ("sigmoid", "tanh", "exp", "erf", "multiply", "nn.silu", "nn.gelu", "nn.leakyrelu")
)
_QUANTIZERS = ("relax.quantize", "relax.dequantize")
# What runs on the accelerator beside layers with weights, so that a layer between stays there.
_BESIDE = (*MAX_POOLS, *AVG_POOLS, "relax.mean", *SAME_ELEMENTS, *MOVED)


@function_pass("FoldForward")
class FoldForward(Pass):
    """The pass of `fold_forward`."""

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return fold_forward(func)


def fold_forward(func: relax.Function) -> relax.Function:
    """Fold multiply, divide, add and subtract by a constant per channel into every layer with
    constant weights that reads the result: through reshapes, concats of channels, averages,
    maxima and ReLUs (the first if the scale is positive, the last if there is no shift too).

    A convolution that pads with zeros takes a scale but no shift, since its padding is not
    shifted; nor does an average that counts its padding. One that not all readers take stays.
    """
    while True:
        search = _Search(func)
        chains = search.chains()
        if not chains:
            return func
        func = fold_batch_norm(_folded(func, chains, search.taken))


class _Search:
    """The chains that can be folded at once, and what each layer takes of one of them."""

    def __init__(self, func: relax.Function) -> None:
        self.func = func
        self.taken: dict[str, Affine] = {}
        self._readers = users(func)
        self._leaving = {str(var.name) for out in outputs(func) for var in used_vars(out)}

    def chains(self) -> dict[str, Chain]:
        """Those that all their readers take, by the name of their last variable."""
        chosen: dict[str, Chain] = {}
        for name, chain in find_chains(self.func, worth_only=False).items():
            found: dict[str, Affine] = {}
            shape = [int(n) for n in chain.root.ty.shape]
            if (
                chain.layer is None
                and self._takes(name, chain.affine.of(shape[1]), found)
                and not found.keys() & self.taken.keys()
            ):
                chosen[name] = chain
                self.taken |= found
        return chosen

    def _takes(self, name: str, affine: Affine, found: dict[str, Affine]) -> bool:
        """Whether every reader of a variable can do without the affine function on it."""
        if name in self._leaving or not self._readers[name]:
            return False
        for binding in self._readers[name]:
            call, own = binding.value, str(binding.var.name)
            if not isinstance(call, Call):
                return False
            if op_name(call) in (*CONVOLUTIONS, "relax.matmul"):
                if own in found or not _layer_takes(call, name, affine):
                    return False
                found[own] = affine
                continue
            through = _through(call, name, affine, binding.var.ty)
            if through is None or not self._takes(own, through, found):
                return False
        return True


def _layer_takes(call: Call, name: str, affine: Affine) -> bool:
    if not takes_scale(call) or str(getattr(call.args[0], "name", "")) != name:
        return False
    if op_name(call) == "relax.matmul":
        return True
    return not affine.shift.any() or not any(int(n) for n in call.attrs.padding)


def _through(call: Call, name: str, affine: Affine, ty: relax.Type) -> Affine | None:
    """The affine function of the result, per channel of it, that is the same as the one before;
    None if there is none."""
    op = op_name(call)
    if op == "relax.concat":
        return _joined(call, name, affine)
    shape = [int(n) for n in call.args[0].ty.shape] if hasattr(call.args[0].ty, "shape") else []
    made = [int(n) for n in getattr(ty, "shape", None) or ()]
    if op in SAME_ELEMENTS:
        if len(made) < 2 or made[0] != shape[0] or made[1] % shape[1]:
            return None
        times = made[1] // shape[1]
        return Affine(np.repeat(affine.scale, times), np.repeat(affine.shift, times))
    if op == "relax.mean":
        axes = [int(axis) % len(shape) for axis in call.attrs.axis or range(len(shape))]
        return affine if min(axes) > 1 else None
    if op in MAX_POOLS:
        return affine if (affine.scale > 0).all() else None
    if op in AVG_POOLS:
        padded = any(int(n) for n in call.attrs.padding) or bool(call.attrs.ceil_mode)
        counted = padded and bool(call.attrs.count_include_pad or call.attrs.ceil_mode)
        return None if counted and affine.shift.any() else affine
    if op == "relax.nn.relu":
        return affine if (affine.scale > 0).all() and not affine.shift.any() else None
    return None


def _joined(call: Call, name: str, affine: Affine) -> Affine | None:
    parts = call.args[0]
    if not isinstance(parts, relax.Tuple) or int(call.attrs.axis) % len(call.ty.shape) != 1:
        return None
    scales, shifts = [], []
    for part in parts.fields:
        size = int(part.ty.shape[1])
        own = str(getattr(part, "name", "")) == name
        scales.append(affine.scale if own else np.ones(size))
        shifts.append(affine.shift if own else np.zeros(size))
    return Affine(np.concatenate(scales), np.concatenate(shifts))


def _folded(
    func: relax.Function, chains: Mapping[str, Chain], found: Mapping[str, Affine]
) -> relax.Function:
    """The function without the chains, and with the layers that take them."""

    def visit(
        builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
    ) -> relax.Expr | None:
        name = str(binding.var.name)
        if name in chains:
            return env[chains[name].root]
        if name not in found:
            return None
        call, affine = binding.value, found[name]
        weight = np.asarray(const_value(call.args[1]), np.float64)
        scale, shift = _per_input(weight, affine, call)
        bias = (weight * shift).sum(
            axis=0 if op_name(call) == "relax.matmul" else tuple(range(1, weight.ndim))
        )
        scaled = make_const((weight * scale).astype(str(call.args[1].ty.dtype)))
        value: Any = Call(
            call.op, [substitute(call.args[0], env), scaled], call.attrs, call.ty_args
        )
        if not bias.any():
            return value
        value = builder.emit(value, f"{name}_folded")
        constant = along_channels(bias, len(value.ty.shape)).astype(str(value.ty.dtype))
        return relax.op.add(value, make_const(constant))

    return rebuild(func, visit)


def _per_input(weight: Any, affine: Affine, call: Call) -> tuple[Any, Any]:
    """Scale and shift of the input that each weight is for, to broadcast over the weights."""
    if op_name(call) == "relax.matmul":
        return affine.scale[:, None], affine.shift[:, None]
    groups, ins = int(call.attrs.groups), weight.shape[1]
    outs = weight.shape[0] // groups
    shape = (weight.shape[0], ins, *(1,) * (weight.ndim - 2))
    each = [
        np.repeat(numbers.reshape(groups, ins), outs, axis=0).reshape(shape)
        for numbers in (affine.scale, affine.shift)
    ]
    return each[0], each[1]


# -------------------------------------------------------------------------- layers of their own


@function_pass("AffineLayers")
class AffineLayers(Pass):
    """The pass of `affine_layers`."""

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return affine_layers(func)


def affine_layers(func: relax.Function) -> relax.Function:
    """Make what `fold_forward` leaves between layers of the accelerator a depthwise convolution of
    one pixel, which runs there; between others it stays arithmetic of the CPU. A quantized model
    has such arithmetic behind every layer whose result it quantizes first.

    Comes after pruning, which would take it for a layer with weights.
    """
    every = find_chains(func, worth_only=False)
    around = _Around(func, every)
    chains = {
        name: chain
        for name, chain in every.items()
        if chain.layer is None and around.is_layer(name, chain)
    }

    def visit(
        builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
    ) -> relax.Expr | None:
        name = str(binding.var.name)
        if name not in chains:
            return None
        chain = chains[name]
        shape = [int(n) for n in chain.root.ty.shape]
        affine, rank = chain.affine.of(shape[1]), max(1, len(shape) - 2)
        weight = affine.scale.reshape(-1, *(1,) * (rank + 1)).astype(np.float32)
        convolve = getattr(relax.op.nn, f"conv{rank}d")
        value = env[chain.root]
        if len(shape) == 2:
            value = builder.emit(relax.op.reshape(value, (*shape, 1)), f"{name}_map")
        value = convolve(value, make_const(weight), groups=shape[1])
        if affine.shift.any():
            shift = along_channels(affine.shift, rank + 2).astype(np.float32)
            value = relax.op.add(builder.emit(value, f"{name}_scaled"), make_const(shift))
        if len(shape) == 2:
            value = relax.op.reshape(builder.emit(value, f"{name}_shifted"), shape)
        return value

    return rebuild(func, visit) if chains else func


class _Around:
    """What stands before and behind the chains of a function."""

    def __init__(self, func: relax.Function, chains: Mapping[str, Chain]) -> None:
        self.made = {str(binding.var.name): binding.value for binding in bindings(func)}
        self.readers, self.chains = users(func), chains
        self.norms = layer_norms(func)

    def is_layer(self, name: str, chain: Chain) -> bool:
        """Whether a chain that ends in this variable becomes a layer."""
        return (
            self.has_a_layer(chain.root)
            and not self.is_bias(name, chain)
            and self.leads_to_layer(name, functions=not chain.affine.is_uniform)
            and self.comes_from_layer(chain.root)
        )

    def is_bias(self, name: str, chain: Chain) -> bool:
        """Whether a chain is one addition to a layer that a quantized model has dequantized weights
        for: its bias, which goes with it."""
        root, own = str(chain.root.name), self.made[name]
        return (
            op_name(own) == "relax.add"
            and chain.root in list(own.args)
            and op_name(self.made.get(root)) in (*CONVOLUTIONS, "relax.matmul")
            and len(self.readers[root]) == 1
        )

    def has_a_layer(self, root: relax.Var) -> bool:
        """Whether a convolution can have this input: a batch of one, in the planes of channels, or
        a list of numbers that is quantized anyway."""
        shape = [int(n) for n in root.ty.shape]
        value = self.made.get(str(root.name))
        while value is not None and op_name(value) in SAME_ELEMENTS:
            value = self.made.get(str(getattr(value.args[0], "name", "")))
        given = value is not None and op_name(value) == "relax.dequantize"
        return (
            (2 if given else 3) <= len(shape) <= 5
            and shape[0] == 1
            and str(root.ty.dtype) == "float32"
        )

    def comes_from_layer(self, root: relax.Var) -> bool:
        """Whether a layer with weights is not further than what runs beside it."""
        name = str(root.name)
        value = self.made.get(name)
        op = None if value is None else op_name(value)
        if op in (*CONVOLUTIONS, "relax.concat", "relax.matmul"):
            return True
        chain, norm = self.chains.get(name), self.norms.get(name)
        if chain is not None and chain.layer is None:
            return self.is_layer(name, chain)
        if norm is not None:
            return norm.over_channels and self.comes_from_layer(norm.data)
        beside = (*_BESIDE, *_LIMITS, *_QUANTIZERS, *_FUNCTIONS, "relax.add")
        if value is None or op not in beside:
            return False
        sources = used_vars(value)
        return bool(sources) and all(map(self.comes_from_layer, sources[:1]))

    def leads_to_layer(self, name: str, *, functions: bool) -> bool:
        """Whether all that reads the variable runs on the accelerator, up to a layer or a sum, or
        to where the model quantizes it. functions: past functions of one tensor and products too;
        not for a step by one number, which is a part of such a function itself."""
        readers = self.readers[name]
        return bool(readers) and all(self._runs(each, functions) for each in readers)

    def _runs(self, binding: relax.VarBinding, functions: bool) -> bool:
        value, op = binding.value, op_name(binding.value)
        if op == "relax.quantize":
            return str(value.attrs.out_dtype) in ("int8", "uint8")
        if op in (*CONVOLUTIONS, "relax.concat") or (
            op == "relax.add" and len(used_vars(value)) == 2
        ):
            return True
        past = (*_BESIDE, *_LIMITS, *(_FUNCTIONS if functions else ()))
        name = str(binding.var.name)
        return op in past and self.leads_to_layer(name, functions=functions)
