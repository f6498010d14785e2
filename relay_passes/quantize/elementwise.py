"""Functions of one activation: the parts of a float function that a table of 256 values computes.

A *function* is a chain of elementwise operators with constants in which every operand that is none
comes from one activation, its *root*: ``sigmoid(x)``, ``x * sigmoid(x)``, ``x * clip(x + 3, 0, 6) /
6``. It is evaluated in float64 at the root's quantized values, so it is exact up to the rounding of
its result; what the model itself quantizes on the way is rounded there too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.relax.rewriting import op_name

Doubles = npt.NDArray[np.float64]
Operator: TypeAlias = Callable[..., Any]
Rounding: TypeAlias = Callable[[Doubles], Doubles]

_GELU = math.sqrt(2 / math.pi)  # of the approximation by tanh (Hendrycks and Gimpel, 2016)


def _sigmoid(x: Doubles) -> Doubles:
    y: Doubles = 1 / (1 + np.exp(-x))
    return y


def _erf(x: Doubles) -> Doubles:
    return np.array([math.erf(value) for value in x.flat]).reshape(x.shape)


def _clip(x: Doubles, low: float, high: float) -> Doubles:
    return np.minimum(np.maximum(x, low), high)


_OPERATORS: dict[str, Operator] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "add": np.add,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "clip": _clip,
    "cos": np.cos,
    "cosh": np.cosh,
    "divide": np.divide,
    "equal": np.equal,
    "erf": _erf,
    "exp": np.exp,
    "floor": np.floor,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "log": np.log,
    "logical_and": np.logical_and,
    "logical_not": np.logical_not,
    "logical_or": np.logical_or,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "negative": np.negative,
    "not_equal": np.not_equal,
    "power": np.power,
    "round": np.rint,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": _sigmoid,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "subtract": np.subtract,
    "tan": np.tan,
    "tanh": np.tanh,
    "where": np.where,
    "nn.gelu": lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2,
    "nn.gelu_tanh": lambda x: x * (1 + np.tanh(_GELU * (x + 0.044715 * x**3))) / 2,
    "nn.relu": lambda x: np.maximum(x, 0),
    "nn.relu6": lambda x: _clip(x, 0, 6),
    "nn.silu": lambda x: x * _sigmoid(x),
}  # by the op's name behind "relax."; those with attributes are in ``_operator``


@dataclass(frozen=True)
class Step:
    """An operator of a function: what it gives, and its operands, names of others or numbers."""

    name: str
    compute: Operator
    operands: tuple[str | float, ...]

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(each for each in self.operands if isinstance(each, str))


@dataclass(frozen=True)
class Function:
    """An activation as a function of another, element by element.

    root: what it is a function of.
    steps: in order; the last gives the result.
    """

    root: str
    steps: tuple[Step, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """The variables that it computes."""
        return tuple(step.name for step in self.steps)

    def __call__(self, x: Doubles, rounded: Mapping[str, Rounding]) -> Doubles:
        """The results for real values of the root; rounded: how the model rounds what is on the
        way, by variable. Not a number where the function has no value."""
        known: dict[str, Any] = {self.root: x}
        with np.errstate(all="ignore"):
            for step in self.steps:
                operands = [
                    known[each] if isinstance(each, str) else each for each in step.operands
                ]
                value = step.compute(*operands)
                known[step.name] = rounded[step.name](value) if step.name in rounded else value
        return np.broadcast_to(np.asarray(known[self.steps[-1].name], np.float64), x.shape)


class Elementwise:
    """The elementwise operators of a float function, and the functions that they make up."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}
        self._roots: dict[str, tuple[str, ...]] = {}

    def note(self, step: Step) -> bool:
        """Take up an operator, in the order of the function; whether what it reads comes from one
        activation."""
        first, *others = (self.roots(each) for each in sorted(step.reads))
        common = tuple(each for each in first if all(each in other for other in others))
        if common:
            self._steps[step.name], self._roots[step.name] = step, common
        return bool(common)

    def roots(self, name: str) -> tuple[str, ...]:
        """The activations that a variable is a function of, itself first, then those before."""
        return (name, *self._roots.get(name, ()))

    def functions(self, names: Sequence[str], needed: Set[str]) -> Iterator[Function]:
        """Those that give what is needed, the last first: each from the activation farthest back,
        but from none behind one that is needed itself.

        names: all variables in order. needed: what anything else reads, or what is given out.
        """
        wanted = set(needed)
        for name in reversed(names):
            roots = self._roots.get(name)
            if name in wanted and roots:
                root = next((each for each in roots if each in wanted), roots[-1])
                wanted.add(root)
                yield Function(root, tuple(self._between(root, name)))

    def _between(self, root: str, name: str) -> list[Step]:
        """The steps from a root to a variable, in order."""
        found: dict[str, Step] = {}

        def visit(each: str) -> None:
            if each != root and each not in found:
                for read in sorted(self._steps[each].reads):
                    visit(read)
                found[each] = self._steps[each]

        visit(name)
        return list(found.values())


def read_step(
    var: relax.Var,
    call: Call,
    source: Callable[[str], str],
    number: Callable[[relax.Expr], float | None],
) -> Step | None:
    """The step of an elementwise operator whose operands have its result's shape or are one number;
    None for any other call.

    source: the tensor that a variable stands for. number: that of a constant, if it is one.
    """
    compute = _operator(call)
    if compute is None:
        return None
    shape, operands = _shape(var), list[str | float]()
    for arg in call.args:
        value = number(arg)
        if value is not None:
            operands.append(value)
        elif isinstance(arg, relax.Var) and _shape(arg) == shape:
            operands.append(source(str(arg.name)))
        else:
            return None
    step = Step(str(var.name), compute, tuple(operands))
    return step if step.reads else None


def _operator(call: Call) -> Operator | None:
    word = (op_name(call) or "").removeprefix("relax.")
    if word == "nn.leakyrelu":
        slope = float(call.attrs.alpha)
        return lambda x: np.where(x < 0, slope * x, x)
    if word == "nn.softplus":
        beta, threshold = float(call.attrs.beta), float(call.attrs.threshold)
        return lambda x: np.where(x * beta > threshold, x, np.log1p(np.exp(beta * x)) / beta)
    if word == "astype":
        return (lambda x: x) if str(call.attrs.dtype).startswith(("float", "bool")) else None
    return _OPERATORS.get(word)


def _shape(var: relax.Var) -> tuple[int, ...] | None:
    """Its sizes; None of what is no tensor of a fixed shape."""
    shape = getattr(var.ty, "shape", None)
    return None if shape is None else tuple(int(size) for size in shape)
