"""Normalizations, with statistics that are given or taken from the input."""

import numpy as np

from zeroskip.relay_passes.relay.operators.layout import per_channel
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.values import RelayTensor, Value


def _batch_norm(op: Operation) -> Value:
    """The normalized data, and the mean and variance that were given: inference changes neither.

    Without ``scale`` gamma counts as 1 and without ``center`` beta as 0, whatever they hold.
    """
    data = op.reals(0)
    gamma, beta, mean, variance = (op.static(i, "statistics") for i in range(1, 5))
    axis = op.axis(data.rank, default=1)
    if any(x.shape != data.shape[axis : axis + 1] for x in (gamma, beta, mean, variance)):
        raise op.refuse(
            f"has statistics of other lengths than the {data.shape[axis]} channels of its input: "
            "give the parameters of this very module"
        )
    scale = gamma if op.flag("scale", True) else op.const(np.ones(gamma.shape), data.dtype)
    shift = beta if op.flag("center", True) else op.const(np.zeros(beta.shape), data.dtype)
    swap = list(range(data.rank))
    swap.insert(1, swap.pop(axis))
    result = op.emit(
        "BatchNormalization",
        op.turn(data, swap),
        scale,
        shift,
        mean,
        variance,
        epsilon=op.number("epsilon", 1e-5),
    )
    return op.turn(result, [int(i) for i in np.argsort(swap)]), mean, variance


def _statistics_of_input(op: Operation, axes: list[int]) -> RelayTensor:
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta`` over these axes."""
    data = op.reals(0)
    axis = op.axis(data.rank, default=-1 if op.op == "nn.layer_norm" else 1)
    mean = op.emit("ReduceMean", data, axes=axes, keepdims=1)
    centred = op.emit("Sub", data, mean)
    square = op.emit("Mul", centred, centred)
    variance = op.emit("ReduceMean", square, axes=axes, keepdims=1)
    epsilon = op.const(op.number("epsilon", 1e-5), data.dtype)
    deviation = op.emit("Sqrt", op.emit("Add", variance, epsilon))
    result = op.emit("Div", centred, deviation)
    for position, flag, onnx_op in ((1, "scale", "Mul"), (2, "center", "Add")):
        numbers = op.tensor(position)
        if numbers.shape != (data.shape[axis],):
            raise op.refuse(f"has {numbers.type} for {data.shape[axis]} channels: print it again")
        if op.flag(flag, True):
            shaped = op.reshape(numbers, per_channel(numbers.shape, axis, data.rank))
            result = op.emit(onnx_op, result, shaped)
    return result


def _layer_norm(op: Operation) -> RelayTensor:
    return _statistics_of_input(op, [op.axis(op.tensor(0).rank)])


def _instance_norm(op: Operation) -> RelayTensor:
    rank = op.tensor(0).rank
    axis = op.axis(rank, default=1)
    return _statistics_of_input(op, [i for i in range(1, rank) if i != axis])


def _lrn(op: Operation) -> RelayTensor:
    data = op.reals(0)
    if op.axis(data.rank, default=1) != 1:
        raise op.refuse("is taken along axis 1 only: transpose before it")
    return op.emit(
        "LRN",
        data,
        size=op.integer("size", 5),
        bias=op.number("bias", 2),
        alpha=op.number("alpha", 1e-4),
        beta=op.number("beta", 0.75),
    )


def _l2_normalize(op: Operation) -> RelayTensor:
    """``x / sqrt(max(sum(x^2), eps))``."""
    data = op.reals(0)
    axes = [op.as_axis(axis, data.rank) for axis in op.integers("axis", range(data.rank))]
    square = op.emit("Mul", data, data)
    total = op.emit("ReduceSum", square, op.const(axes, "int64"), keepdims=1)
    least = op.emit("Max", total, op.const(op.number("eps"), data.dtype))
    return op.emit("Div", data, op.emit("Sqrt", least))


def _softmax(name: str) -> Rule:
    def convert(op: Operation) -> RelayTensor:
        data = op.reals(0)
        return op.emit(name, data, axis=op.axis(data.rank))

    return Rule(convert, 1)


TABLE = {
    "nn.batch_norm": Rule(_batch_norm, 5),
    "nn.layer_norm": Rule(_layer_norm, 3),
    "nn.instance_norm": Rule(_instance_norm, 3),
    "nn.lrn": Rule(_lrn, 1),
    "nn.l2_normalize": Rule(_l2_normalize, 1),
    "nn.softmax": _softmax("Softmax"),
    "nn.fast_softmax": _softmax("Softmax"),
    "nn.log_softmax": _softmax("LogSoftmax"),
}
