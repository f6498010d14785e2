"""Folding in numpy: constants into constants, batch normalisation into convolution weights.

TVM's own FoldConstant compiles every constant expression, 50 s on ResNet-50; these few operators
take milliseconds.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.ir import Call, GenericConst

from zeroskip.relay_passes.relax.operators import CONVOLUTIONS, SAME_ELEMENTS, TRANSPOSED
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import (
    Array,
    Env,
    bindings,
    const_value,
    has_one_use,
    make_const,
    op_name,
    rebuild,
    substitute,
)

_Doubles = npt.NDArray[np.float64]

_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "relax.add": np.add,
    "relax.subtract": np.subtract,
    "relax.multiply": np.multiply,
    "relax.divide": np.divide,
    "relax.maximum": np.maximum,
    "relax.minimum": np.minimum,
    "relax.negative": np.negative,
    "relax.sqrt": np.sqrt,
    "relax.astype": lambda value: value,
}


@function_pass("FoldConstants")
class FoldConstants(Pass):
    """The pass of `fold_constants`."""

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return fold_constants(func)


def fold_constants(func: relax.Function) -> relax.Function:
    """Evaluate layout changes, casts and elementwise arithmetic on constants.

    Folds reshape, expand_dims, squeeze, flatten, permute_dims, broadcast_to, astype, take, add,
    subtract, multiply, divide, maximum, minimum, negative, sqrt and the sizes of a static shape.
    Quantize and dequantize are left, since later passes read their scales.
    """

    def visit(
        _builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
    ) -> relax.Expr | None:
        value = evaluate(substitute(binding.value, env), binding.var.ty)
        return None if value is None else make_const(value)

    return rebuild(func, visit)


def evaluate(expr: relax.Expr, ty: relax.Type) -> Array | None:
    """The value of a call on constants whose result has type `ty`; None for any other."""
    name = op_name(expr)
    if name is None:
        return None
    if name == "relax.shape_to_tensor":
        return _static_sizes(expr.args[0].ty)
    if not isinstance(ty, relax.TensorType):
        return None
    tensors = [arg for arg in expr.args if not isinstance(arg, relax.ShapeExpr)]
    values = [const_value(arg) for arg in tensors]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not values:
        return None
    shape = tuple(int(dim) for dim in ty.shape)
    if name in SAME_ELEMENTS:
        result: Array = known[0].reshape(shape)
    elif name == "relax.permute_dims":
        axes = expr.attrs.axes
        result = np.transpose(known[0], None if axes is None else [int(axis) for axis in axes])
    elif name == "relax.broadcast_to":
        result = np.broadcast_to(known[0], shape)
    elif name == "relax.take" and expr.attrs.mode == "wrap" and expr.attrs.axis is not None:
        result = np.take(known[0], known[1].astype(np.int64), int(expr.attrs.axis), mode="wrap")
    elif name in _ELEMENTWISE:
        result = np.asarray(_ELEMENTWISE[name](*known))
    else:
        return None
    return result.astype(str(ty.dtype), copy=False)


def _static_sizes(ty: relax.Type) -> Array | None:
    """The sizes of a shape that is known, as the tensor that holds them."""
    sizes = getattr(ty, "values", None)
    if sizes is None or not all(isinstance(size, int) or hasattr(size, "value") for size in sizes):
        return None
    return np.array([int(size) for size in sizes], np.int64)


@dataclass(frozen=True)
class Affine:
    """y = scale * x + shift with one number per channel (axis 1), in float64."""

    scale: _Doubles
    shift: _Doubles

    @property
    def is_uniform(self) -> bool:
        """Whether all channels have the same numbers."""
        return all(bool((each == each.flat[0]).all()) for each in (self.scale, self.shift))

    def of(self, channels: int) -> "Affine":
        """With a number for each of so many channels."""
        return Affine(
            np.broadcast_to(self.scale, (channels,)), np.broadcast_to(self.shift, (channels,))
        )

    def after(self, first: "Affine") -> "Affine":
        """This one applied to the result of `first`."""
        return Affine(self.scale * first.scale, self.scale * first.shift + self.shift)


_IDENTITY = Affine(np.ones(1), np.zeros(1))


@dataclass(frozen=True)
class _Step:
    """One binding that is an affine function of the variable `source`."""

    source: relax.Var
    affine: Affine
    is_norm: bool


@function_pass("FoldBatchNorm")
class FoldBatchNorm(Pass):
    """The pass of `fold_batch_norm`."""

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return fold_batch_norm(func)


def fold_batch_norm(func: relax.Function) -> relax.Function:
    """Fold batch_norm, and multiply, divide, add and subtract by a constant per channel, into
    the weights and bias of the convolution (1-D to 3-D, any groups; transposed: 1-D, 2-D) or
    constant matmul before.

    With the constants of batch_norm (Ioffe and Szegedy, 2015, equation at inference)
    ``y = gamma * (x - mean) / sqrt(var + eps) + beta``, computed in float64:
    ``scale = gamma / sqrt(var + eps)``, ``shift = beta - mean * scale``; then
    ``scale * (W x + b) + shift = (scale W) x + (scale b + shift)``. The layer becomes the
    convolution with new weights and one ``add`` of a constant [1,K,1,1], which takes the name of
    the last operator folded. Only values with one reader are folded.

    A batch_norm that follows anything else becomes a multiply and an add. One whose constants are
    not constants, or that is training, is left.
    """

    chains = find_chains(func)
    weights = {str(chain.root.name): chain for chain in chains.values() if chain.layer is not None}

    def visit(
        builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
    ) -> relax.Expr | None:
        name = str(binding.var.name)
        if name in weights:
            return _scaled(binding.value, weights[name].affine.scale, env)
        return chains[name].emit(builder, name, env) if name in chains else None

    return rebuild(func, visit)


@dataclass(frozen=True)
class Chain:
    """Affine steps on the value of `root`; `layer` is its call if that takes the scale."""

    root: relax.Var
    affine: Affine
    layer: Call | None

    def emit(self, builder: relax.BlockBuilder, name: str, env: Env) -> relax.Expr:
        """What replaces the last step."""
        value, rank = env[self.root], len(self.root.ty.shape)
        dtype = str(self.root.ty.dtype)
        if self.layer is None:
            scale = make_const(along_channels(self.affine.scale, rank).astype(dtype))
            value = builder.emit(relax.op.multiply(value, scale), f"{name}_multiply")
        elif not self.affine.shift.any():
            return value
        shift = make_const(along_channels(self.affine.shift, rank).astype(dtype))
        return relax.op.add(value, shift)


def find_chains(func: relax.Function, *, worth_only: bool = True) -> dict[str, Chain]:
    """The chains worth folding into the layer before, or all, by the name of their last
    variable."""
    made = {str(binding.var.name): binding.value for binding in bindings(func)}
    single = has_one_use(func)
    steps = _find_steps(made, single)
    inner = {str(step.source.name) for step in steps.values()} & single
    chains: dict[str, Chain] = {}
    for name, step in steps.items():
        if name in inner:
            continue
        path = [step]
        while str(path[-1].source.name) in single & steps.keys():
            path.append(steps[str(path[-1].source.name)])
        affine = reduce(lambda first, later: later.affine.after(first), path[::-1], _IDENTITY)
        root = path[-1].source
        scaled = root.name in single and takes_scale(made.get(str(root.name)))
        layer = made[str(root.name)] if scaled else None
        is_done = len(path) == 1 and _is_bias(made[name])
        has_norm = any(step.is_norm for step in path)
        if not worth_only or has_norm or (scaled and not is_done):
            chains[name] = Chain(root, affine, layer)
    return chains


def _is_bias(value: relax.Expr) -> bool:
    """Whether a step is already ``x + c`` with a number for every channel."""
    if op_name(value) != "relax.add":
        return False
    constant = const_value(value.args[1])
    return constant is not None and constant.size == int(value.args[0].ty.shape[1])


def _find_steps(made: Mapping[str, relax.Expr], single: Set[str]) -> dict[str, _Step]:
    steps: dict[str, _Step] = {}
    for name, value in made.items():
        step = _norm_step(value, made, single) or _arithmetic_step(value)
        if step is not None:
            steps[name] = step
    return steps


def _norm_step(value: relax.Expr, made: Mapping[str, relax.Expr], single: Set[str]) -> _Step | None:
    """Item 0 of an inference batch_norm on axis 1 of which no other item is read."""
    if not isinstance(value, relax.TupleGetItem) or value.index != 0:
        return None
    call = made.get(str(getattr(value.tuple_value, "name", "")))
    if call is None or op_name(call) != "relax.nn.batch_norm":
        return None
    data, *rest = call.args
    numbers = [const_value(arg) for arg in rest]
    gamma, beta, mean, var = (
        None if number is None else number.astype(np.float64) for number in numbers
    )
    if gamma is None or beta is None or mean is None or var is None:
        return None
    if (
        value.tuple_value.name not in single
        or not isinstance(data, relax.Var)
        or call.attrs.training
        or int(call.attrs.axis) != 1
    ):
        return None
    scale = gamma / np.sqrt(var + float(call.attrs.epsilon))
    return _Step(data, Affine(scale, beta - mean * scale), is_norm=True)


def _arithmetic_step(value: relax.Expr) -> _Step | None:
    """``x * c``, ``c * x``, ``x / c``, ``x + c``, ``c + x``, ``x - c`` or ``c - x``, c one number
    or one number per channel."""
    name = op_name(value)
    if name not in ("relax.add", "relax.subtract", "relax.multiply", "relax.divide"):
        return None
    data, other = value.args
    swapped = isinstance(data, GenericConst) and name != "relax.divide"
    if swapped:
        data, other = other, data
    constant = const_value(other)
    if constant is None or not isinstance(data, relax.Var):
        return None
    numbers = _per_channel(constant, [int(dim) for dim in data.ty.shape])
    if numbers is None or str(data.ty.dtype) not in ("float16", "float32", "float64"):
        return None
    zeros, ones = np.zeros_like(numbers), np.ones_like(numbers)
    if name == "relax.divide":
        return None if not numbers.all() else _Step(data, Affine(1 / numbers, zeros), False)
    if name == "relax.multiply":
        return _Step(data, Affine(numbers, zeros), False)
    if name == "relax.add":
        return _Step(data, Affine(ones, numbers), False)
    return _Step(data, Affine(-ones, numbers) if swapped else Affine(ones, -numbers), False)


def _per_channel(constant: Array, shape: Sequence[int]) -> _Doubles | None:
    """One number per channel (axis 1) of a constant that varies along no other axis."""
    rank = len(shape)
    if constant.ndim > rank or rank < 2:
        return None
    full = (1,) * (rank - constant.ndim) + constant.shape
    if full[1] not in (1, shape[1]) or constant.size != full[1]:
        return None
    return np.broadcast_to(constant.reshape(-1).astype(np.float64), (shape[1],))


def along_channels(numbers: _Doubles, rank: int) -> _Doubles:
    return numbers.reshape(1, -1, *([1] * (rank - 2)))


def takes_scale(call: relax.Expr | None) -> bool:
    """A layer whose output channels are rows or columns of a constant weight."""
    if call is None or op_name(call) not in (*CONVOLUTIONS, *TRANSPOSED, "relax.matmul"):
        return False
    weight = const_value(call.args[1])
    if weight is None or not np.issubdtype(weight.dtype, np.floating):
        return False
    if op_name(call) == "relax.matmul":
        return len(call.args[0].ty.shape) == 2 and weight.ndim == 2
    layout = "IO" if op_name(call) in TRANSPOSED else "OI"
    return str(call.attrs.kernel_layout).startswith(layout) and str(
        call.attrs.data_layout
    ).startswith("NC")


def _scaled(call: Call, scale: _Doubles, env: Env) -> relax.Expr:
    """The layer with the weights of each output channel multiplied by that channel's scale."""
    weight = cast(npt.NDArray[np.floating[Any]], const_value(call.args[1]))
    if op_name(call) == "relax.matmul":
        factors = scale.reshape(1, -1)
    elif op_name(call) in TRANSPOSED:  # [C, K / groups, ...]: C's part says which group it is of
        own = scale.reshape(int(call.attrs.groups), -1)
        factors = np.repeat(own, weight.shape[0] // len(own), 0).reshape(
            *weight.shape[:2], *([1] * (weight.ndim - 2))
        )
    else:
        factors = scale.reshape(-1, *([1] * (weight.ndim - 1)))
    scaled = make_const((weight * factors).astype(weight.dtype))
    return Call(call.op, [substitute(call.args[0], env), scaled], call.attrs, call.ty_args)
