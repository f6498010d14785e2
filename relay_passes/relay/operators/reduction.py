"""Sums, means and extremes over axes."""

from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.values import RelayTensor


def reduced_axes(op: Operation, rank: int) -> list[int]:
    """The axes that go: those given, all without ``axis``, the others with ``exclude``."""
    given = op.attr("axis")
    if given is None:
        axes = set(range(rank))
    else:
        axes = {op.as_axis(axis, rank) for axis in op.integers("axis")}
    if op.flag("exclude"):
        axes = set(range(rank)) - axes
    return sorted(axes)


def _reduction(name: str) -> Rule:
    def convert(op: Operation) -> RelayTensor:
        data = op.tensor(0)
        if name == "ReduceMean":
            op.reals(0)
        axes, keep = reduced_axes(op, data.rank), int(op.flag("keepdims"))
        if not axes:
            return op.emit("Identity", data)
        if name == "ReduceSum":  # whose axes have been an operand since opset 13
            return op.emit(name, data, op.const(axes, "int64"), keepdims=keep)
        return op.emit(name, data, axes=axes, keepdims=keep)

    return Rule(convert, 1)


def _variance(op: Operation) -> RelayTensor:
    """The mean square of what is left of the data less the second operand, their mean."""
    data, mean = op.reals(0), op.reals(1)
    axes, keep = reduced_axes(op, data.rank), int(op.flag("keepdims"))
    if op.flag("unbiased") or not axes:
        raise op.refuse("is taken with unbiased=False over one axis at least")
    centred = op.emit("Sub", data, mean)
    return op.emit("ReduceMean", op.emit("Mul", centred, centred), axes=axes, keepdims=keep)


def _arg(name: str) -> Rule:
    def convert(op: Operation) -> RelayTensor:
        data = op.tensor(0)
        axes = reduced_axes(op, data.rank)
        if len(axes) != 1:
            raise op.refuse("is taken along one axis only: reshape before it")
        result = op.emit(
            name,
            data,
            axis=axes[0],
            keepdims=int(op.flag("keepdims")),
            select_last_index=int(op.flag("select_last_index")),
        )
        return op.emit("Cast", result, to=op.builder.number_of("int32"))

    return Rule(convert, 1)


TABLE = {
    "sum": _reduction("ReduceSum"),
    "mean": _reduction("ReduceMean"),
    "max": _reduction("ReduceMax"),
    "min": _reduction("ReduceMin"),
    "prod": _reduction("ReduceProd"),
    "variance": Rule(_variance, 2),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
}
