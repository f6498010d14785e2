"""What a network's last function hides: softmax and its kind take large differences of what they
read to small ones, so how near two networks are is asked of what is before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.relax.rewriting import bindings, const_value, op_name, outputs

SATURATING = {
    "relax.nn.softmax": "softmax",
    "relax.nn.log_softmax": "log-softmax",
    "relax.sigmoid": "sigmoid",
    "relax.tanh": "tanh",
    "relax.erf": "erf",
    "relax.argmax": "argmax",
    "relax.argmin": "argmin",
}
MOST = 200  # variables that are looked through
_PASSING = {  # one result element for each element read, in some order, step or place
    "relax.reshape",
    "relax.flatten",
    "relax.squeeze",
    "relax.expand_dims",
    "relax.permute_dims",
    "relax.astype",
    "relax.quantize",
    "relax.dequantize",
    "relax.concat",
}
_LINEAR = ("relax.add", "relax.subtract", "relax.multiply", "relax.divide")  # with a constant


@dataclass(frozen=True)
class Before:
    """What is before the saturating functions of an output. names: variables; functions: their
    words, in the order of the names, "" for a part of the output that has none."""

    names: tuple[str, ...]
    functions: tuple[str, ...]

    def words(self) -> str:
        """The functions, for people."""
        return " and ".join(dict.fromkeys(filter(None, self.functions)))


def before_saturation(func: relax.Function) -> list[Before | None]:
    """For each output, what is before the saturating functions that make it or a part of it, seen
    through what only moves, scales or joins; None if there is none."""
    made = {binding.var: binding.value for binding in bindings(func)}
    found: list[Before | None] = []
    for out in outputs(func):
        leaves = list(_leaves(out, "", made, set()))
        before = Before(tuple(name for name, _ in leaves), tuple(word for _, word in leaves))
        found.append(before if before.words() else None)
    return found


def _leaves(
    expr: Any, word: str, made: dict[Any, Any], seen: set[Any]
) -> Iterator[tuple[str, str]]:
    """Variables that an expression is made of by functions that saturate, and these functions; the
    expression itself if there are none."""
    if not isinstance(expr, relax.Var) or expr in seen:
        return
    seen.add(expr)
    reads, new = _reads(made.get(expr), made) if len(seen) < MOST else ([], "")
    below = [list(_leaves(each, new or word, made, seen)) for each in reads]
    if new or any(each != word for leaves in below for _, each in leaves):
        for leaves in below:
            yield from leaves
    else:
        yield str(expr.name), word


def _reads(value: Any, made: dict[Any, Any]) -> tuple[list[Any], str]:
    """What an operator passes on, and the word for it if it saturates."""
    name = op_name(value)
    if name is None or not isinstance(value, Call):
        return [], ""
    if name in SATURATING:
        return [value.args[0]], SATURATING[name]
    if name == "relax.divide" and _is_softmax(value, made):
        return [made[value.args[0]].args[0]], "softmax"
    if name in _PASSING:
        first = value.args[0]
        return list(first.fields) if isinstance(first, relax.Tuple) else [first], ""
    if name in _LINEAR:
        passed = [arg for arg in value.args if const_value(arg) is None]
        return (passed, "") if len(passed) == 1 else ([], "")
    return [], ""


def _is_softmax(value: Call, made: dict[Any, Any]) -> bool:
    """Whether a division is of exponentials by their own sum."""
    top, bottom = value.args
    total: Any = made.get(bottom)
    return (
        op_name(made.get(top)) == "relax.exp"
        and op_name(total) == "relax.sum"
        and bool(total.args[0].same_as(top))
    )
