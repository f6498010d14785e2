"""Reading a float function as groups of ops, each of which one integer layer can compute.

A group is an op that has an integer form with the bias and the activation that follow it and are
read by nothing else. Quantize/dequantize pairs of a quantized model are seen through: they give
the tensor between them its scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.integer.layers import spreads_over
from zeroskip.relay_passes.quantize.constants import Constant, dequantized, moved, reshaped
from zeroskip.relay_passes.quantize.elementwise import Elementwise, Function, Step, read_step
from zeroskip.relay_passes.quantize.float_graph import FloatGraph, Group, Kind, Scale
from zeroskip.relay_passes.quantize.moves import step_of, steps_of, with_step
from zeroskip.relay_passes.relax.layer_norm import LayerNorm, layer_norms
from zeroskip.relay_passes.relax.operators import AVG_POOLS, CONVOLUTIONS, MAX_POOLS, SAME_ELEMENTS
from zeroskip.relay_passes.relax.rewriting import (
    bindings,
    const_number,
    const_value,
    has_one_use,
    node_of,
    op_name,
    outputs,
    used_vars,
    users,
)

_PAIRS: dict[str | None, Kind] = {  # of two tensors
    "relax.add": "add",
    "relax.subtract": "add",
    "relax.multiply": "multiply",
    "relax.maximum": "extremum",
    "relax.minimum": "extremum",
}
_CLIPPED: tuple[Kind, ...] = (
    "conv",
    "dense",
    "add",
    "multiply",
    "extremum",
    "maxpool",
    "avgpool",
    "requantise",
)
_INTEGERS = ("int8", "uint8")
_WIDE = ("int16", "uint16")


def read_graph(func: relax.Function) -> FloatGraph:
    """The groups, constants and given scales of a float function in A-normal form."""
    reader = _GraphReader(func)
    for binding in bindings(func):
        reader.note_constant(binding)
    for binding in bindings(func):
        reader.note_step(binding)
    for binding in bindings(func):
        reader.find_group(binding)
    reader.find_functions()
    reader.pass_scales_back()
    return reader.graph


class _StaysFloatError(Exception):
    """The op stays float, for this reason."""


class _GraphReader:
    def __init__(self, func: relax.Function) -> None:
        self.func = func
        self.graph = FloatGraph()
        self.users = users(func)
        self.single = has_one_use(func)
        self.absorbed: set[str] = set()
        self.steps: dict[str, Step] = {}  # of functions of one activation
        norms = layer_norms(func).values()
        self.norms = {
            norm.members[0]: norm for norm in norms if norm.inverse or not norm.over_channels
        }
        self._elements = Elementwise()
        for var in (*func.params, *(binding.var for binding in bindings(func))):
            self.graph.types[str(var.name)] = var.ty

    def note_constant(self, binding: relax.VarBinding) -> None:
        """Constants, and quantize/dequantize pairs."""
        name, value = str(binding.var.name), binding.value
        if not isinstance(value, Call):
            return
        constant = self._constant(value, binding.var)
        if constant is not None:
            self.graph.constants[name] = constant
        else:
            self._note_scale(name, value)

    def note_step(self, binding: relax.VarBinding) -> None:
        """An elementwise operator on one activation: no group's own."""
        name, value = str(binding.var.name), binding.value
        if self._is_own(name, value):
            step = read_step(binding.var, value, self.graph.source, self._number)
            if step is not None and self._elements.note(step):
                self.steps[name] = step

    def find_group(self, binding: relax.VarBinding) -> None:
        name, value, graph = str(binding.var.name), binding.value, self.graph
        if not self._is_own(name, value) or name in self.absorbed or name in self.steps:
            return
        try:
            group = self._group(name, value)
        except _StaysFloatError as refusal:
            graph.reasons[node_of(self.func, binding.var)] = str(refusal)
            return
        if group is not None:
            group = self._extend(group)
            graph.groups[group.output] = group

    def find_functions(self) -> None:
        """The steps that no layer has taken in: a table for each function that they make up, or, of
        nothing but limits, a clip."""
        graph, elements = self.graph, Elementwise()
        own = {str(b.var.name): b for b in bindings(self.func) if self._is_own_binding(b)}
        free = [name for name in own if name in self.steps and name not in self.absorbed]
        free = [name for name in free if name not in graph.groups]
        for name in free:
            elements.note(self.steps[name])
        needed = {str(var.name) for out in outputs(self.func) for var in used_vars(out)}
        for name, binding in own.items():
            if name not in free:
                needed |= {str(var.name) for var in used_vars(binding.value)}
        needed = {graph.source(name) for name in needed}
        for function in elements.functions(list(own), needed):
            self._note_function(function, own)
        order = {name: at for at, name in enumerate(own)}
        graph.groups = dict(sorted(graph.groups.items(), key=lambda item: order[item[0]]))

    def _note_function(self, function: Function, own: Mapping[str, relax.VarBinding]) -> None:
        """Its group; what only this function reads on the way belongs to it."""
        graph, name = self.graph, function.members[-1]
        call, root = own[name].value, function.root
        bounds = [self._bounds(own[each].value) for each in function.members]
        if str(graph.types[root].dtype) != "float32" and not graph.is_integer(root):
            return
        if all(each is not None for each in bounds):
            lo, hi = -np.inf, np.inf
            for each in bounds:
                assert each is not None
                lo, hi = (float(np.clip(bound, *each)) for bound in (lo, hi))
            kind: Kind = "requantise"
            graph.groups[name] = Group(
                kind, call, function.members[0], (root,), function.members, lo=lo, hi=hi
            )
            return
        mine = {name}
        for member in reversed(function.members[:-1]):
            readers = {graph.source(str(b.var.name)) for b in self.users[member]}
            if readers <= {*mine, member}:
                mine.add(member)
        members = tuple(member for member in function.members if member in mine)
        graph.groups[name] = Group("lookup", call, name, (root,), members, function=function)

    def _is_own(self, name: str, value: relax.Expr) -> bool:
        """Whether a variable is a call of its own: no constant and no other's quantized form."""
        graph = self.graph
        known = name in graph.constants or graph.source(name) != name
        return isinstance(value, Call) and not known

    def _is_own_binding(self, binding: relax.VarBinding) -> bool:
        return self._is_own(str(binding.var.name), binding.value)

    def _number(self, expr: relax.Expr) -> float | None:
        """The one number of a constant, directly or by name."""
        constant = self.value_of(expr)
        if constant is not None:
            return float(constant.value.reshape(())) if constant.value.size == 1 else None
        return None if isinstance(expr, relax.Var) else const_number(expr)

    def pass_scales_back(self) -> None:
        """Give what only a pool by maximum, a reshape or a concat reads the scale of its result:
        quantized before or behind it, the integers are the same."""
        graph = self.graph
        for name, group in reversed(graph.groups.items()):
            if group.kind in ("maxpool", "reshape", "concat", "move") and name in graph.scales:
                for x in {*group.inputs} & graph.groups.keys() & self.single:
                    graph.scales.setdefault(x, graph.scales[name])

    # ---------------------------------------------------------------- constants, given scales

    def value_of(self, expr: relax.Expr) -> Constant | None:
        """The constant that an argument is, directly or by name."""
        if isinstance(expr, relax.Var):
            return self.graph.constants.get(str(expr.name))
        value = const_value(expr)
        if value is None or value.dtype.kind not in "fiu":
            return None
        return Constant(value)

    def _constant(self, call: Call, var: relax.Var) -> Constant | None:
        """A dequantized constant, or another layout of one."""
        name = op_name(call)
        if name == "relax.dequantize":
            return dequantized([const_value(arg) for arg in call.args], int(call.attrs.axis))
        if name not in (*SAME_ELEMENTS, "relax.permute_dims"):
            return None
        constant = self.value_of(call.args[0])
        if constant is None:
            return None
        if name == "relax.permute_dims":
            axes = call.attrs.axes
            return moved(constant, None if axes is None else [int(axis) for axis in axes])
        return reshaped(constant, tuple(int(d) for d in var.ty.shape))

    def _note_scale(self, name: str, call: Call) -> None:
        """The scale that a quantize gives its operand, a dequantize an input of the model, and
        what only moves integers keeps."""
        graph, op, first = self.graph, op_name(call), call.args[0] if call.args else None
        if op == "relax.quantize" and isinstance(first, relax.Var):
            source = graph.source(str(first.name))
            scale = _given_scale(call, str(call.attrs.out_dtype))
            if scale is not None and graph.scales.setdefault(source, scale) == scale:
                graph.integer_of[name] = source
            if str(call.attrs.out_dtype) in _WIDE:
                graph.wide.add(source)
        elif op == "relax.dequantize" and isinstance(first, relax.Var):
            scale = _given_scale(call, str(first.ty.dtype))
            if str(first.ty.dtype) in _WIDE:
                graph.wide.add(name)
            if first in list(self.func.params) and scale is not None:
                graph.scales.setdefault(str(first.name), scale)
                graph.integer_of[str(first.name)] = str(first.name)
            source = graph.integer_of.get(str(first.name), "")
            if source and scale == graph.scales[source]:
                graph.real_of[name] = source
        elif op in (*MAX_POOLS, *SAME_ELEMENTS, "relax.concat"):
            args = first.fields if isinstance(first, relax.Tuple) else [first]
            names = [str(arg.name) if isinstance(arg, relax.Var) else "" for arg in args]
            scales = {graph.scales.get(graph.integer_of.get(n, "")) for n in names}
            only = scales.pop()
            if only is not None and not scales:
                graph.scales[name], graph.integer_of[name] = only, name

    # -------------------------------------------------------------------------------- groups

    def _group(self, name: str, call: Call) -> Group | None:
        op = op_name(call)
        if op in CONVOLUTIONS:
            return self._convolution(name, call)
        if op == "relax.matmul":
            return self._matmul(name, call)
        if op in MAX_POOLS or op in AVG_POOLS:
            return self._pool(name, call, "maxpool" if op in MAX_POOLS else "avgpool")
        if name in self.norms:
            return self._layer_norm(self.norms[name])
        if op in ("relax.mean", "relax.nn.adaptive_avg_pool2d"):
            return self._global_pool(name, call)
        if op in _PAIRS and not any(self.value_of(arg) is not None for arg in call.args):
            return self._pair(_PAIRS[op], name, call)
        if op == "relax.concat":
            return self._concat(name, call)
        if op in SAME_ELEMENTS:
            return self._interleaving(name, call) or self._unary("reshape", name, call)
        step = step_of(call)
        if step is not None:
            return replace(self._unary("move", name, call), moves=(step,))
        bounds = self._bounds(call)
        if bounds is not None:
            return replace(self._unary("requantise", name, call), lo=bounds[0], hi=bounds[1])
        return None

    def _convolution(self, name: str, call: Call) -> Group:
        weight = self.value_of(call.args[1])
        if weight is None:
            raise _StaysFloatError("its weights are not constant")
        attrs = call.attrs
        if not (str(attrs.data_layout).startswith("NC") and str(attrs.kernel_layout)[:2] == "OI"):
            raise _StaysFloatError(f"its layout is {attrs.data_layout}, not channels first")
        return replace(self._unary("conv", name, call), weight=weight)

    def _matmul(self, name: str, call: Call) -> Group:
        weight = self.value_of(call.args[1])
        if weight is None:
            raise _StaysFloatError("its second operand is not constant")
        if weight.value.ndim != 2 or len(call.args[0].ty.shape) != 2:
            raise _StaysFloatError(
                f"its operand has {len(call.args[0].ty.shape)} dimensions, not 2"
            )
        return replace(self._unary("dense", name, call), weight=moved(weight, None))

    def _pool(self, name: str, call: Call, kind: Kind) -> Group:
        attrs = call.attrs
        if not str(attrs.layout).startswith("NC"):
            raise _StaysFloatError(f"its layout is {attrs.layout}, not channels first")
        if kind == "avgpool":
            shape = self.graph.shape(name)[2:]
            outside = any(attrs.padding) and not attrs.count_include_pad
            if outside or end_padding(call, shape) != _ends(attrs.padding):
                raise _StaysFloatError("its windows divide by different areas")
            if any(int(d) != 1 for d in attrs.dilation):
                raise _StaysFloatError("its windows are dilated")
        return self._unary(kind, name, call)

    def _global_pool(self, name: str, call: Call) -> Group | None:
        """A mean over all spatial axes."""
        rank = len(call.args[0].ty.shape)
        if op_name(call) == "relax.mean":
            axes = sorted(int(axis) % rank for axis in call.attrs.axis or ())
            everything = rank > 2 and axes == list(range(2, rank))
        else:
            everything = self.graph.shape(name)[2:] == (1,) * (rank - 2)
        return self._unary("avgpool", name, call) if everything else None

    def _layer_norm(self, norm: LayerNorm) -> Group:
        """All of it as one group, named after its result; from the variance on to the inverse
        deviation it is a function of one activation."""
        self.absorbed.update(norm.members)
        if not norm.over_channels:
            raise _StaysFloatError(
                f"it normalises over axes {list(norm.axes)}, and the accelerator over the channels"
            )
        inner = (*(str(v.name) for v in (norm.mean, norm.centred, norm.variance)), norm.inverse)
        after = norm.members[norm.members.index(inner[2]) + 1 : -1]
        function = Function(inner[2], tuple(self.steps[each] for each in after))
        (call,) = (b.value for b in self.users[norm.inverse])
        group = self._of([norm.data], "layer_norm", norm.result, call)
        return replace(group, members=norm.members, inner=inner, function=function)

    def _pair(self, kind: Kind, name: str, call: Call) -> Group:
        """The operand with as many elements as the result comes first."""
        whole = self.graph.shape(name)
        pairs = (call.args, call.args[::-1])
        sizes = [[tuple(int(d) for d in arg.ty.shape) for arg in pair] for pair in pairs]
        for pair, (first, second) in zip(pairs, sizes, strict=True):
            if first == whole and (second == whole or spreads_over(second, whole)):
                return self._of(pair, kind, name, call)
        raise _StaysFloatError(
            f"its operands are {list(sizes[0][0])} and {list(sizes[0][1])}: the accelerator takes "
            "one for each element, channel or pixel"
        )

    def _concat(self, name: str, call: Call) -> Group | None:
        parts = call.args[0]
        if not isinstance(parts, relax.Tuple) or any(map(self.value_of, parts.fields)):
            return None
        if int(call.attrs.axis) % len(self.graph.shape(name)) != 1:
            raise _StaysFloatError("it does not join channels")
        return self._of(parts.fields, "concat", name, call)

    def _interleaving(self, name: str, call: Call) -> Group | None:
        """A reshape with the permutation and the reshape behind it, where they are one move."""
        chain = [name]
        for op in ("relax.permute_dims", "relax.reshape"):
            if chain[-1] not in self.single or chain[-1] in self.graph.scales:
                return None
            (follower,) = self.users[chain[-1]]
            if op_name(follower.value) != op:
                return None
            chain.append(str(follower.var.name))
        turned, joined = (self.users[each][0].value for each in chain[:2])
        moves = steps_of((call, turned, joined))
        if moves is None:
            return None
        self.absorbed.update(chain[1:])
        return replace(self._unary("move", name, call), members=tuple(chain), moves=moves)

    def _unary(self, kind: Kind, name: str, call: Call) -> Group:
        return self._of(call.args[:1], kind, name, call)

    def _of(self, args: Sequence[relax.Expr], kind: Kind, name: str, call: Call) -> Group:
        if not all(isinstance(arg, relax.Var) for arg in args):
            raise _StaysFloatError("its operand is a constant")
        other = {str(arg.ty.dtype) for arg in args if str(arg.name) not in self.graph.integer_of}
        if other - {"float32"}:
            raise _StaysFloatError(f"its operand is {other.pop()}, not float32")
        inputs = tuple(self.graph.source(str(arg.name)) for arg in args)
        return Group(kind, call, name, inputs, members=(name,))

    # ------------------------------------------------------------------- bias and activation

    def _extend(self, group: Group) -> Group:
        """Absorb what follows, as long as nothing else reads the value between."""
        while group.output in self.single and group.output not in self.graph.scales:
            follower = self.users[group.output][0]
            longer = self._absorb(group, follower.value)
            if longer is None:
                break
            group = replace(longer, members=(*group.members, str(follower.var.name)))
            self.absorbed.add(group.output)
        return group

    def _absorb(self, group: Group, call: relax.Expr) -> Group | None:
        bounds = self._bounds(call)
        if bounds is not None and group.kind in _CLIPPED:
            lo, hi = (float(np.clip(bound, *bounds)) for bound in (group.lo, group.hi))
            return replace(group, lo=lo, hi=hi)
        if group.kind == "move":
            step = step_of(call) if isinstance(call, Call) else None
            moves = None if step is None else with_step(group.moves, step)
            return None if moves is None else replace(group, moves=moves)
        clipped = group.lo > -np.inf or group.hi < np.inf
        if group.weight is not None and group.bias is None and not clipped:
            bias = self._bias(group, call)
            return None if bias is None else replace(group, bias=bias)
        return None

    def _bias(self, group: Group, call: relax.Expr) -> Constant | None:
        """The constant of an ``add`` that has one number per output channel."""
        if op_name(call) != "relax.add" or group.weight is None:
            return None
        bias = next(filter(None, map(self.value_of, call.args)), None)
        if bias is None:
            return None
        rank, channels = len(self.graph.shape(group.output)), len(group.weight.value)
        shape = (1,) * (rank - bias.value.ndim) + bias.value.shape
        if len(shape) != rank or shape[1] not in (1, channels) or bias.value.size != shape[1]:
            return None
        flat = reshaped(bias, (shape[1],))
        return flat if shape[1] == channels else Constant(np.repeat(flat.value, channels))

    def _bounds(self, call: relax.Expr) -> tuple[float, float] | None:
        """The real bounds of a relu, clip, or maximum or minimum with one number."""
        name = op_name(call)
        if name == "relax.nn.relu":
            return 0.0, np.inf
        if name == "relax.nn.relu6":
            return 0.0, 6.0
        if name == "relax.clip":
            lo, hi = (const_number(arg) for arg in call.args[1:])
            return None if lo is None or hi is None or lo > hi else (lo, hi)
        if name in ("relax.maximum", "relax.minimum"):
            bound = self.value_of(call.args[1])
            if bound is not None and bound.value.size == 1:
                number = float(bound.value.reshape(()))
                return (number, np.inf) if name == "relax.maximum" else (-np.inf, number)
        return None


def end_padding(call: Call, shape: Sequence[int]) -> tuple[int, ...]:
    """The padding behind each spatial dim that makes a pool's output ``shape`` with rounding down:
    more than the op's own where ``ceil_mode`` adds a window."""
    attrs, size = call.attrs, [int(d) for d in call.args[0].ty.shape][2:]
    ends = []
    for i, end in enumerate(_ends(attrs.padding)):
        reach = (int(attrs.pool_size[i]) - 1) * int(attrs.dilation[i]) + 1
        needed = (shape[i] - 1) * int(attrs.strides[i]) + reach - size[i] - int(attrs.padding[i])
        ends.append(max(end, needed))
    return tuple(ends)


def _ends(padding: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(p) for p in padding)[len(padding) // 2 :]


def _given_scale(call: Call, dtype: str) -> Scale | None:
    """The scale of a quantize or dequantize of a whole tensor to or from ``dtype``."""
    scale, zero_point = const_value(call.args[1]), const_value(call.args[2])
    if scale is None or zero_point is None or scale.size != 1 or zero_point.size != 1:
        return None
    if dtype not in _INTEGERS:
        return None
    return Scale(float(scale.reshape(())), int(zero_point.reshape(())), dtype)  # type: ignore[arg-type]
