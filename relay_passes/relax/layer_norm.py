"""Layer normalisation (Ba, Kiros and Hinton, "Layer normalization", 2016) in a float function.

    mean = E[x]    centred = x - mean    variance = E[centred^2]
    y = centred * inverse    inverse = 1 / sqrt(variance + epsilon)

with means over some axes. Exporters write it out in many ways, of which these are known: the square
as a product, a power or ``square``, the inverse deviation as a quotient, a power or ``rsqrt``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.relax.rewriting import (
    bindings,
    const_number,
    op_name,
    outputs,
    used_vars,
    users,
)


@dataclass(frozen=True)
class LayerNorm:
    """A layer normalisation, without the scale and the offset behind it.

    data: x. mean, centred, variance, positive: the variables above, ``positive`` being variance +
    epsilon. inverse: that of 1 / sqrt(positive), "" where the result is a quotient. members: every
    variable it computes, in order; the last is its result. axes: over which it takes the means,
    from 0 on.
    """

    data: relax.Var
    mean: relax.Var
    centred: relax.Var
    variance: relax.Var
    positive: relax.Var
    inverse: str
    members: tuple[str, ...]
    axes: tuple[int, ...]

    @property
    def result(self) -> str:
        return self.members[-1]

    @property
    def over_channels(self) -> bool:
        """Whether the means are over axis 1 alone."""
        return self.axes == (1,)


def layer_norms(func: relax.Function) -> dict[str, LayerNorm]:
    """The layer normalisations of a function in A-normal form, by the name of their results, whose
    steps nothing else reads."""
    made = {str(b.var.name): b.value for b in bindings(func) if isinstance(b.value, Call)}
    readers = users(func)
    leaving = {str(var.name) for out in outputs(func) for var in used_vars(out)}
    order = {name: at for at, name in enumerate(made)}
    found: dict[str, LayerNorm] = {}
    for name in made:
        norm = _Reader(made).read(name)
        if norm is None:
            continue
        members = tuple(sorted(norm.members, key=order.__getitem__))
        inner = members[:-1]
        alone = all(str(b.var.name) in members for each in inner for b in readers[each])
        if alone and not leaving.intersection(inner):
            found[name] = LayerNorm(**{**vars(norm), "members": members})
    return found


class _Reader:
    """Reads one normalisation back from its result, collecting its variables."""

    def __init__(self, made: Mapping[str, Call]) -> None:
        self.made, self.members = made, set[str]()

    def read(self, name: str) -> LayerNorm | None:
        call = self.made[name]
        if op_name(call) not in ("relax.divide", "relax.multiply"):
            return None
        pairs = (call.args, call.args[::-1]) if op_name(call) == "relax.multiply" else (call.args,)
        return next(filter(None, (self._of(name, *pair) for pair in pairs)), None)

    def _of(self, name: str, centred: relax.Expr, other: relax.Expr) -> LayerNorm | None:
        self.members = {name}
        less = self._call(centred, "relax.subtract")
        is_product = op_name(self.made[name]) == "relax.multiply"
        positive = self._positive(other, -1 if is_product else 1)
        variance = None if positive is None else self._variance(positive)
        if less is None or positive is None or variance is None:
            return None
        over = self._mean(variance)
        data, mean = less.args
        if over is None or not self._is_square(over[0], centred):
            return None
        first = self._mean(mean)
        if first is None or first[0] != data or first[1] != over[1]:
            return None
        return LayerNorm(
            data,
            mean,
            centred,
            variance,
            positive,
            str(other.name) if is_product else "",
            tuple(self.members),
            over[1],
        )

    def _call(self, expr: relax.Expr, *names: str) -> Call | None:
        """The call that makes a variable, if it is of one of these operators."""
        call = self.made.get(str(expr.name)) if isinstance(expr, relax.Var) else None
        if call is None or op_name(call) not in names:
            return None
        self.members.add(str(expr.name))
        return call

    def _positive(self, expr: relax.Expr, sign: int) -> relax.Var | None:
        """What a variable is the root of (sign 1), or the inverse root (-1)."""
        call = self._call(expr, "relax.sqrt", "relax.rsqrt", "relax.power", "relax.divide")
        if call is None:
            return None
        first, *rest = call.args
        known = {"relax.sqrt": 1, "relax.rsqrt": -1}.get(str(call.op.name))
        if known is None and op_name(call) == "relax.power":
            known = {0.5: 1, -0.5: -1}.get(const_number(rest[0]) or 0.0)
        elif known is None and const_number(first) == 1:
            return self._positive(rest[0], -sign)
        return first if known == sign and isinstance(first, relax.Var) else None

    def _variance(self, positive: relax.Var) -> relax.Var | None:
        """What a positive number is added to."""
        call = self._call(positive, "relax.add")
        for one, other in () if call is None else (call.args, call.args[::-1]):
            if isinstance(one, relax.Var) and (const_number(other) or 0) > 0:
                return one
        return None

    def _mean(self, expr: relax.Expr) -> tuple[relax.Expr, tuple[int, ...]] | None:
        """What a variable is the mean of, and over which axes, which it keeps."""
        call = self._call(expr, "relax.mean")
        if call is None or not call.attrs.keepdims or call.attrs.axis is None:
            return None
        rank = len(call.args[0].ty.shape)
        return call.args[0], tuple(sorted(int(axis) % rank for axis in call.attrs.axis))

    def _is_square(self, expr: relax.Expr, of: relax.Expr) -> bool:
        call = self._call(expr, "relax.multiply", "relax.power", "relax.square")
        if call is None or call.args[0] != of:
            return False
        if op_name(call) == "relax.multiply":
            return bool(call.args[1] == of)
        return op_name(call) == "relax.square" or const_number(call.args[1]) == 2


def written_out(
    builder: relax.BlockBuilder, name: str, call: Call, data: relax.Expr
) -> relax.Expr | None:
    """``nn.layer_norm`` over the channels alone in the operators above, all but the last emitted;
    None of any other.

    name: of the result. data: what takes the operand's place.
    """
    attrs, rank = call.attrs, len(call.args[0].ty.shape)
    axes = [int(axis) % rank for axis in attrs.axes]
    if axes != [1] or str(call.args[0].ty.dtype) != "float32":
        return None
    op, emit = relax.op, builder.emit
    less = emit(op.subtract(data, emit(op.mean(data, axes, True), f"{name}_mean")), f"{name}_less")
    square = emit(op.multiply(less, less), f"{name}_square")
    variance = emit(op.mean(square, axes, True), f"{name}_variance")
    epsilon = relax.const(float(attrs.epsilon), "float32")
    positive = emit(op.add(variance, epsilon), f"{name}_positive")
    value = op.multiply(less, inverse_root(builder, name, positive))
    for with_it, apply, constant in zip(
        (attrs.scale, attrs.center), (op.multiply, op.add), call.args[1:], strict=True
    ):
        if with_it:
            along = emit(op.reshape(constant, (-1, *(1,) * (rank - 2))), f"{name}_along")
            value = apply(emit(value, f"{name}_normal"), along)
    return value


def inverse_root(builder: relax.BlockBuilder, name: str, positive: relax.Expr) -> relax.Var:
    """``1 / sqrt(positive)``, emitted."""
    root = builder.emit(relax.op.sqrt(positive), f"{name}_deviation")
    one = relax.const(1.0, "float32")
    return builder.emit(relax.op.divide(one, root), f"{name}_inverse")
