"""Which channels of which tensors are one decision: the analysis under channel and filter pruning.

Every channel of every tensor has an identity. A convolution or matmul makes new ones, elementwise
operators pass them on, an addition of two tensors makes each pair one, a concatenation puts lists
one behind the other, a flatten repeats each for its pixels. What cannot be followed is frozen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from tvm import relax

from zeroskip.relay_passes.pruning.base.layers import Globs, PrunableLayer, prunable_layers
from zeroskip.relay_passes.relax.rewriting import (
    bindings,
    const_value,
    node_of,
    op_name,
    outputs,
    used_vars,
)

Ids = npt.NDArray[np.int64]

SAME_CHANNELS = {
    "relax." + name
    for name in (
        "nn.relu",
        "clip",
        "sigmoid",
        "tanh",
        "nn.leakyrelu",
        "nn.gelu",
        "nn.silu",
        "exp",
        "abs",
        "negative",
        *(
            f"nn.{kind}_pool{rank}d"
            for kind in ("max", "avg", "adaptive_avg")
            for rank in (1, 2, 3)
        ),
    )
}
PAIRWISE = {
    "relax." + name for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")
}


@dataclass
class Channels:
    """The channels of a function: identities by tensor, which are one, and which must stay.

    producers: the layers that make channels. readers: those that sum over channels, with the
    identity of each that they read (of a matmul behind a flatten, of each of its inputs).
    """

    ids: dict[str, Ids] = field(default_factory=dict)
    producers: dict[str, PrunableLayer] = field(default_factory=dict)
    readers: list[tuple[PrunableLayer, Ids]] = field(default_factory=list)
    frozen: dict[int, str] = field(default_factory=dict)  # identity -> why it must stay
    _parent: list[int] = field(default_factory=list)

    def new(self, count: int) -> Ids:
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def __len__(self) -> int:
        """How many identities there are."""
        return len(self._parent)

    def find(self, one: int) -> int:
        """The identity that stands for all that are one with this."""
        while self._parent[one] != one:
            self._parent[one] = self._parent[self._parent[one]]
            one = self._parent[one]
        return one

    def join(self, some: Ids, others: Ids) -> None:
        for a, b in zip(some.tolist(), others.tolist(), strict=True):
            self._parent[self.find(a)] = self.find(b)

    def freeze(self, ids: Ids | None, why: str) -> None:
        for one in () if ids is None else np.unique(ids).tolist():
            self.frozen.setdefault(one, why)

    def roots(self, ids: Ids) -> Ids:
        return np.array([self.find(one) for one in ids.tolist()], np.int64)


def analyse(func: relax.Function, globs: Globs) -> Channels:
    """The channels of a float function; layers that do not match keep theirs."""
    found = Channels()
    chosen = {layer.var for layer in prunable_layers(func, globs)}
    layers = {layer.var: layer for layer in prunable_layers(func)}
    for param in func.params:
        shape = _shape(param)
        if len(shape) > 1:
            found.ids[str(param.name)] = found.new(shape[1])
            found.freeze(found.ids[str(param.name)], "the network's input")
    for binding in bindings(func):
        name, node = str(binding.var.name), node_of(func, binding.var)
        ids = _follow(found, binding, layers.get(name))
        shape = _shape(binding.var)
        if ids is not None and len(shape) > 1 and shape[1] != len(ids):
            ids = None  # a constant that was concatenated, or one that adds a dimension
        if ids is None:
            for var in used_vars(binding.value):
                found.freeze(
                    found.ids.get(str(var.name)),
                    f"'{node}' is an operator that channels are not followed through",
                )
        else:
            found.ids[name] = ids
        if name in found.producers and name not in chosen:
            found.freeze(found.ids.get(name), f"'{node}' is not among the layers to prune")
    for output in outputs(func):
        for var in used_vars(output):
            found.freeze(found.ids.get(str(var.name)), "the network's output")
    return found


def _follow(found: Channels, binding: relax.VarBinding, layer: PrunableLayer | None) -> Ids | None:
    """Channels of what a binding makes; None if they cannot be followed."""
    value, name = binding.value, op_name(binding.value)
    read = [found.ids.get(str(var.name)) for var in used_vars(value)]
    shape = _shape(binding.var)
    if isinstance(value, relax.TupleGetItem):
        return read[0] if value.index == 0 else None
    if not read or any(ids is None for ids in read):
        return _producer(found, layer, shape) if layer is not None else None
    known = [ids for ids in read if ids is not None]
    if layer is not None:
        return _layer(found, layer, known[0], shape)
    if name == "relax.nn.batch_norm" and all(
        const_value(arg) is not None for arg in value.args[1:]
    ):
        return known[0]
    if name in SAME_CHANNELS:
        return known[0]
    if name in PAIRWISE:
        return _pair(found, value, known)
    if name == "relax.mean" and min(map(int, value.attrs.axis or [0])) >= 2:
        return known[0]
    if name == "relax.concat" and int(value.attrs.axis) == 1:
        return np.concatenate(known)
    if name in ("relax.reshape", "relax.squeeze", "relax.flatten") and len(shape) >= 2:
        return _reshaped(known[0], _shape(value.args[0]), shape)
    return None


def _producer(found: Channels, layer: PrunableLayer, shape: Sequence[int]) -> Ids | None:
    """A layer on something that is not followed: what it makes is its own."""
    if not layer.is_conv and len(shape) != 2:
        return None  # its channels are the last dimension
    found.producers[layer.var] = layer
    made = found.new(shape[1])
    if layer.groups > 1:
        found.freeze(made, f"'{layer.node}' is a grouped convolution")
    return made


def _layer(found: Channels, layer: PrunableLayer, read: Ids, shape: Sequence[int]) -> Ids | None:
    """A convolution or matmul: new channels, its own of each in a depthwise one."""
    if layer.is_conv and layer.groups > 1:
        if layer.is_depthwise and layer.weight.shape[0] == len(read):
            return read
        made = found.new(shape[1])
        for ids in (read, made):
            found.freeze(ids, f"'{layer.node}' is a grouped convolution")
        return made
    if not layer.is_conv and (len(shape) != 2 or len(read) != layer.weight.shape[1]):
        return None
    found.readers.append((layer, read))
    return _producer(found, layer, shape)


def _pair(found: Channels, call: relax.Call, read: list[Ids]) -> Ids | None:
    """Elementwise with a constant, or of two tensors whose channels are then the same."""
    shapes = [_shape(arg) for arg in call.args]
    if len(read) == 1:
        constant = next(arg for arg in call.args if const_value(arg) is not None)
        own = next(_shape(arg) for arg in call.args if isinstance(arg, relax.Var))
        if len(own) < len(_shape(constant)):
            return None
        return read[0] if channel_axis(_shape(constant), len(own), len(read[0])) != -2 else None
    if len(shapes[0]) != len(shapes[1]) or len(read[0]) != len(read[1]):
        return None
    found.join(read[0], read[1])
    return read[0]


def channel_axis(shape: Sequence[int], rank: int, channels: int) -> int:
    """The axis of a constant that runs over the channels of a tensor of ``rank`` dimensions: -1 if
    none does (it is the same for all), -2 if the constant does not fit."""
    axis = 1 - (rank - len(shape))
    if axis < 0 or shape[axis] == 1:
        return -1
    return axis if shape[axis] == channels else -2


def _reshaped(read: Ids, before: Sequence[int], after: Sequence[int]) -> Ids | None:
    """A flatten repeats each channel for its pixels; dimensions of 1 may come and go."""
    if before[:2] == after[:2]:
        return read
    pixels = int(np.prod(before[2:]))
    if len(after) == 2 and after[1] == before[1] * pixels:
        return np.repeat(read, pixels)
    return None


def _shape(expr: relax.Expr) -> tuple[int, ...]:
    shape = getattr(expr.ty, "shape", None)
    return () if shape is None else tuple(int(size) for size in shape)
