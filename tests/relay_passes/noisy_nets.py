"""Random networks with what exporters leave in them: nodes without effect and moves of data."""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

Shape: TypeAlias = tuple[int, ...]
Value: TypeAlias = tuple[str, Shape]

_UNARY = ("Relu", "Sigmoid", "Tanh", "Neg", "LeakyRelu")
_BINARY = ("Add", "Sub", "Mul", "Max", "Min")
_NOISE = (
    "cast",
    "transposes",
    "identity",
    "times",
    "plus",
    "power",
    "reshapes",
    "slice",
    "pad",
    "concat",
    "sum",
    "expand",
    "tile",
    "dropout",
    "if",
    "gather",
    "relus",
    "squeeze",
)
_LAYERS = (
    "unary",
    "unary",
    "constant",
    "constant",
    "both",
    "transpose",
    "transpose",
    "reshape",
    "conv",
    "pool",
    "norm",
    "reduce",
    "concat",
    "slice",
    "split",
    "pad",
    "softmax",
    "dense",
    "pointwise",
    "resize",
    "global",
)
_LARGEST = 1500


class Noisy:
    """Draws a network node by node; a node that does not fit the shape at hand is not drawn."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 999)))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        sizes = st.sampled_from([2, 3, 4, 1])
        self.input = (draw(st.sampled_from([1, 1, 2])), *draw(st.tuples(sizes, sizes, sizes)))
        self.values: list[Value] = [("x", self.input)]

    def choose(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def constant(self, value: npt.ArrayLike) -> str:
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.constants.append(numpy_helper.from_array(array, f"c{len(self.constants)}"))
        return f"c{len(self.constants) - 1}"

    def add(self, op_type: str, inputs: list[str], outputs: int = 1, **attrs: Any) -> str:
        name = f"n{len(self.nodes)}"
        results = [f"{name}_{at}" if at else name for at in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, results, name, **attrs))
        return name

    def step(self) -> None:
        at = self.choose([*[self.values[-1]] * 6, *self.values[-3:]])
        kind = self.choose(_NOISE if self.draw(st.integers(0, 2)) == 0 else _LAYERS)
        made = getattr(self, f"_{kind}")(*at)
        if made is not None and math.prod(made[1]) <= _LARGEST:
            self.values.append(made)

    # ------------------------------------------------------------------------------------ noise

    def _cast(self, x: str, shape: Shape) -> Value:
        if self.draw(st.booleans()):
            x = self.add("Cast", [x], to=TensorProto.FLOAT)
        return self.add("Cast", [x], to=TensorProto.FLOAT), shape

    def _transposes(self, x: str, shape: Shape) -> Value:
        perm = self.draw(st.permutations(range(len(shape))))
        there = self.add("Transpose", [x], perm=perm)
        between, _ = self._unary(there, shape) if self.draw(st.booleans()) else (there, shape)
        return self.add("Transpose", [between], perm=np.argsort(perm).tolist()), shape

    def _identity(self, x: str, shape: Shape) -> Value:
        return self.add("Identity", [x]), shape

    def _times(self, x: str, shape: Shape) -> Value:
        op_type = self.choose(["Mul", "Div"])
        return self.add(op_type, [x, self.constant(np.ones(self._broadcast(shape)))]), shape

    def _plus(self, x: str, shape: Shape) -> Value:
        op_type = self.choose(["Add", "Sub"])
        return self.add(op_type, [x, self.constant(np.zeros(self._broadcast(shape)))]), shape

    def _power(self, x: str, shape: Shape) -> Value:
        return self.add("Pow", [x, self.constant(1.0)]), shape

    def _reshapes(self, x: str, shape: Shape) -> Value:
        between, _ = self._reshape(x, shape)
        return self.add("Reshape", [between, self.constant(np.asarray(shape, np.int64))]), shape

    def _slice(self, x: str, shape: Shape) -> Value:
        axis = self.draw(st.integers(0, len(shape) - 1))
        begin = self.draw(st.integers(0, shape[axis] - 1)) if self.draw(st.booleans()) else 0
        name = self.add(
            "Slice",
            [
                x,
                *(
                    self.constant(np.asarray([n], np.int64))
                    for n in (begin, 2**31 if not begin else shape[axis], axis - len(shape))
                ),
            ],
        )
        return name, (*shape[:axis], shape[axis] - begin, *shape[axis + 1 :])

    def _pad(self, x: str, shape: Shape) -> Value:
        counts = [self.choose([0, 0, 0, 1]) for _ in range(2 * len(shape))]
        if not self.draw(st.booleans()):
            counts = [0] * len(counts)
        name = self.add("Pad", [x, self.constant(np.asarray(counts, np.int64))])
        ends = zip(counts[: len(shape)], counts[len(shape) :], shape, strict=True)
        return name, tuple(map(sum, ends))

    def _concat(self, x: str, shape: Shape) -> Value:
        axis = self.draw(st.integers(0, len(shape) - 1))
        others = [name for name, other in self.values if other == shape]
        parts = [x, *(self.choose(others) for _ in range(self.draw(st.integers(0, 2))))]
        size = shape[axis] * len(parts)
        return self.add("Concat", parts, axis=axis), (*shape[:axis], size, *shape[axis + 1 :])

    def _sum(self, x: str, shape: Shape) -> Value:
        return self.add(self.choose(["Sum", "Max", "Min", "Mean"]), [x]), shape

    def _expand(self, x: str, shape: Shape) -> Value:
        wanted = self._broadcast(shape)
        return self.add("Expand", [x, self.constant(np.asarray(wanted, np.int64))]), shape

    def _tile(self, x: str, shape: Shape) -> Value:
        counts = [1] * len(shape)
        if self.draw(st.booleans()):
            counts[-1] = 2
        name = self.add("Tile", [x, self.constant(np.asarray(counts, np.int64))])
        return name, (*shape[:-1], shape[-1] * counts[-1])

    def _dropout(self, x: str, shape: Shape) -> Value:
        return self.add("Dropout", [x]), shape

    def _if(self, x: str, shape: Shape) -> Value:
        branches = []
        for number, op_type in enumerate(("Relu", "Neg")):
            result = helper.make_tensor_value_info(f"r{number}", TensorProto.FLOAT, None)
            node = helper.make_node(op_type, [x], [f"r{number}"])
            branches.append(helper.make_graph([node], "branch", [], [result]))
        name = self.add(
            "If",
            [self.constant(np.asarray(self.draw(st.booleans())))],
            then_branch=branches[0],
            else_branch=branches[1],
        )
        return name, shape

    def _gather(self, x: str, shape: Shape) -> Value:
        axis = self.draw(st.integers(0, len(shape) - 1))
        order = list(range(shape[axis]))
        if self.draw(st.booleans()):
            order.reverse()
        return self.add("Gather", [x, self.constant(np.asarray(order, np.int64))], axis=axis), shape

    def _relus(self, x: str, shape: Shape) -> Value:
        for _ in range(2):
            if self.draw(st.booleans()):
                x = self.add("Relu", [x])
            else:
                bounds = sorted(self.choose([-1.0, 0.0, 0.5]) + n for n in (0, 1))
                x = self.add("Clip", [x, *map(self.constant, bounds)])
        return x, shape

    def _squeeze(self, x: str, shape: Shape) -> Value:
        axes = self.constant(np.asarray([self.draw(st.integers(0, len(shape)))], np.int64))
        return self.add("Squeeze", [self.add("Unsqueeze", [x, axes]), axes]), shape

    # ----------------------------------------------------------------------------------- layers

    def _unary(self, x: str, shape: Shape) -> Value:
        return self.add(self.choose(_UNARY), [x]), shape

    def _constant(self, x: str, shape: Shape) -> Value:
        other = self.constant(self.rng.standard_normal(self._broadcast(shape)))
        operands = [x, other] if self.draw(st.booleans()) else [other, x]
        return self.add(self.choose(_BINARY), operands), shape

    def _both(self, x: str, shape: Shape) -> Value:
        fits = [
            (name, other)
            for name, other in self.values
            if len(other) <= len(shape)
            and all(a in (1, b) for a, b in zip(other[::-1], shape[::-1], strict=False))
        ]
        other, _ = self.choose(fits)
        return self.add(self.choose(_BINARY), [x, other]), shape

    def _transpose(self, x: str, shape: Shape) -> Value:
        perm = (
            self.choose([(0, 2, 3, 1), (0, 3, 1, 2)])
            if len(shape) == 4 and self.draw(st.booleans())
            else self.draw(st.permutations(range(len(shape))))
        )
        return self.add("Transpose", [x], perm=list(perm)), tuple(shape[axis] for axis in perm)

    def _reshape(self, x: str, shape: Shape) -> Value:
        left, made = math.prod(shape), []
        for _ in range(self.draw(st.integers(0, 3))):
            made.append(self.choose([n for n in range(1, left + 1) if left % n == 0]))
            left //= made[-1]
        made.append(left)
        return self.add("Reshape", [x, self.constant(np.asarray(made, np.int64))]), tuple(made)

    def _conv(self, x: str, shape: Shape) -> Value | None:
        if len(shape) != 4:
            return None
        weight = self.rng.standard_normal((3, shape[1], 3, 3)) / 4
        return self.add("Conv", [x, self.constant(weight)], pads=[1] * 4), (shape[0], 3, *shape[2:])

    def _pool(self, x: str, shape: Shape) -> Value | None:
        if len(shape) != 4 or min(shape[2:]) < 2:
            return None
        name = self.add(self.choose(["MaxPool", "AveragePool"]), [x], kernel_shape=[2, 2])
        return name, (*shape[:2], shape[2] - 1, shape[3] - 1)

    def _norm(self, x: str, shape: Shape) -> Value | None:
        if len(shape) < 2:
            return None
        numbers = [*self.rng.standard_normal((3, shape[1])), self.rng.uniform(0.5, 2, shape[1])]
        return self.add("BatchNormalization", [x, *map(self.constant, numbers)]), shape

    def _reduce(self, x: str, shape: Shape) -> Value | None:
        axes = sorted(self.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
        kept = self.draw(st.booleans())
        name = self.add(
            self.choose(["ReduceMean", "ReduceSum", "ReduceMax"]),
            [x, self.constant(np.asarray(axes, np.int64))],
            keepdims=int(kept),
        )
        made = [
            1 if axis in axes else n for axis, n in enumerate(shape) if kept or axis not in axes
        ]
        return (name, tuple(made)) if made else None

    def _split(self, x: str, shape: Shape) -> Value | None:
        even = [axis for axis, size in enumerate(shape) if size % 2 == 0]
        if not even:
            return None
        axis = self.choose(even)
        name = self.add("Split", [x], 2, axis=axis, num_outputs=2)
        half = (*shape[:axis], shape[axis] // 2, *shape[axis + 1 :])
        self.values.append((f"{name}_1", half))
        return name, half

    def _softmax(self, x: str, shape: Shape) -> Value:
        axis = self.draw(st.integers(-len(shape), len(shape) - 1))
        return self.add("Softmax", [x], axis=axis), shape

    def _dense(self, x: str, shape: Shape) -> Value:
        flat = self.add("Flatten", [x], axis=1)
        rows = math.prod(shape[1:])
        weight = self.constant(self.rng.standard_normal((rows, 5)) / 4)
        return self.add("MatMul", [flat, weight]), (shape[0], 5)

    def _pointwise(self, x: str, shape: Shape) -> Value:
        weight = self.constant(self.rng.standard_normal((shape[-1], 3)) / 2)
        made = (*shape[:-1], 3)
        return self.add("MatMul", [x, weight]), made

    def _resize(self, x: str, shape: Shape) -> Value | None:
        if len(shape) != 4:
            return None
        axis = self.draw(st.integers(1, 3))
        scales = [2.0 if at == axis else 1.0 for at in range(4)]
        name = self.add(
            "Resize",
            [x, "", self.constant(np.asarray(scales, np.float32))],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return name, tuple(size * int(scale) for size, scale in zip(shape, scales, strict=True))

    def _global(self, x: str, shape: Shape) -> Value | None:
        if len(shape) != 4:
            return None
        return self.add("GlobalAveragePool", [x]), (*shape[:2], 1, 1)

    # ---------------------------------------------------------------------------------- helpers

    def _broadcast(self, shape: Shape) -> Shape:
        kept = tuple(size if self.draw(st.booleans()) else 1 for size in shape)
        return kept[self.draw(st.integers(0, len(kept))) :]

    def model(self, outputs: int) -> onnx.ModelProto:
        left = [self.values[-1], *self.values[1::3]]
        names = dict.fromkeys(name for name, _ in left if name != "x")
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in list(names)[:outputs]
        ]
        graph = helper.make_graph(
            self.nodes,
            "noisy",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.input)],
            ends,
            self.constants,
        )
        return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])


@st.composite
def noisy_models(draw: Any) -> onnx.ModelProto:
    net = Noisy(draw)
    net.values.append(net._transpose(*net.values[0]))
    for _ in range(draw(st.integers(6, 14))):
        net.step()
    return net.model(draw(st.sampled_from([1, 1, 1, 3])))
