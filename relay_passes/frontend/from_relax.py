"""A float Relax module as a standard ONNX model: what pruning made, for any other tool.

The inverse of `import_onnx`, for the operators that convolutional networks use. Nodes and tensors
bear the names of the ONNX nodes they came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import tvm
from onnx import helper, numpy_helper
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.attrs import INPUTS_ATTR, OUTPUTS_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.relax.rewriting import (
    bindings,
    const_number,
    const_value,
    node_of,
    op_name,
    outputs,
)

OPSET = 17
IR_VERSION = 8  # the oldest that holds this opset: every runtime reads it


def export_onnx(mod: tvm.IRModule, name: str = "network") -> onnx.ModelProto:
    """The function `main` of a float module, checked against the ONNX specification.

    Inputs and outputs have the names that the module was imported with. PassError names the node
    whose operator has no ONNX equivalent here.
    """
    func = mod["main"]
    writer = _OnnxWriter()
    inputs = _names(func, INPUTS_ATTR, [str(param.name) for param in func.params])
    for param, given in zip(func.params, inputs, strict=True):
        writer.known[param] = given
        writer.taken.add(given)
    results = outputs(func)
    leaving = _names(func, OUTPUTS_ATTR, [f"output{n}" for n in range(len(results))])
    writer.taken.update(leaving)
    for binding in bindings(func):
        writer.write(binding, node_of(func, binding.var))
    ends = dict(zip(leaving, results, strict=True))  # a name may leave twice: with the same value
    for given, value in ends.items():
        writer.add("Identity", given, [writer.name_of(value)], [given])
    graph = helper.make_graph(
        writer.nodes,
        name,
        [_value(given, param.ty) for param, given in zip(func.params, inputs, strict=True)],
        [_value(given, value.ty) for given, value in ends.items()],
        writer.initializers,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="zeroskip",
    )
    _without_identities(model)
    _merge_biases(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def _names(func: relax.Function, attribute: str, otherwise: list[str]) -> list[str]:
    if func.attrs is None or attribute not in func.attrs:
        return otherwise
    return [str(name) for name in func.attrs[attribute]]


def _value(name: str, ty: Any) -> onnx.ValueInfoProto:
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(str(ty.dtype)))
    return helper.make_tensor_value_info(name, dtype, _ints(ty.shape))


def _without_identities(model: onnx.ModelProto) -> None:
    """Give what an output copies the output's name, unless it has another one already."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    given = _given(graph)
    for node in [node for node in graph.node if node.op_type == "Identity"]:
        source, target = node.input[0], node.output[0]
        if source in given or source not in makers:
            continue
        for each in graph.node:
            for names in (each.input, each.output):
                for index, name in enumerate(names):
                    if name == source:
                        names[index] = target
        graph.node.remove(node)


def _merge_biases(graph: onnx.GraphProto) -> None:
    """Put the constant that is added to a convolution's channels into the convolution."""
    makers = {name: node for node in graph.node for name in node.output}
    constants = {item.name: item for item in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    for add in [node for node in graph.node if node.op_type == "Add"]:
        conv, bias = makers.get(add.input[0]), constants.get(add.input[1])
        if (
            conv is None
            or bias is None
            or conv.op_type != "Conv"
            or len(conv.input) != 2
            or uses[add.input[0]] != 1
            or uses[bias.name] != 1
            or conv.output[0] in _given(graph)
        ):
            continue
        filters, *kernel = constants[conv.input[1]].dims
        if list(bias.dims) != [1, filters, *[1] * (len(kernel) - 1)]:
            continue
        conv.input.append(bias.name)
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias).reshape(-1), bias.name))
        conv.output[0] = add.output[0]
        graph.node.remove(add)


def _given(graph: onnx.GraphProto) -> set[str]:
    return {item.name for item in (*graph.input, *graph.output)}


@dataclass
class _OnnxWriter:
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    known: dict[Any, str] = field(default_factory=dict)
    tuples: dict[Any, list[str]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    node: str = ""  # the ONNX node that is being written

    def write(self, binding: relax.VarBinding, node: str) -> None:
        value, self.node = binding.value, node
        if isinstance(value, relax.TupleGetItem):
            self.known[binding.var] = self.tuples[value.tuple_value][value.index]
            return
        if isinstance(value, relax.Var):
            self.known[binding.var] = self.name_of(value)
            return
        operator = op_name(value)
        rule = RULES.get(operator or "")
        if rule is None or not isinstance(value, Call):
            raise PassError(
                f"Node '{node}' ({operator or type(value).__name__}) has no ONNX form "
                "here: prune the model before whatever made it, or leave it out."
            )
        made = rule(self, value, binding.var.ty)
        if isinstance(made, str):
            self.known[binding.var] = made
        else:
            self.tuples[binding.var] = made

    def name_of(self, expr: relax.Expr) -> str:
        """The tensor that stands for a variable or a constant."""
        value = const_value(expr)
        if value is not None:
            return self.constant(value)
        return self.known[expr]

    def constant(self, value: Any) -> str:
        name = self.unused(f"{self.node}.constant")
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def unused(self, stem: str) -> str:
        name, number = stem, 1
        while name in self.taken:
            number += 1
            name = f"{stem}.{number}"
        self.taken.add(name)
        return name

    def add(
        self,
        operator: str,
        name: str,
        inputs: Sequence[str],
        results: Sequence[str],
        **attributes: Any,
    ) -> None:
        self.nodes.append(helper.make_node(operator, inputs, results, name=name, **attributes))

    def emit(self, operator: str, inputs: Sequence[Any], **attributes: Any) -> str:
        """A node of one result; inputs are Relax expressions or names."""
        names = [each if isinstance(each, str) else self.name_of(each) for each in inputs]
        result = self.unused(self.node)
        self.add(operator, result, names, [result], **attributes)
        return result


Rule = Callable[[_OnnxWriter, Call, Any], "str | list[str]"]
RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def enter(rule: Rule) -> Rule:
        RULES.update({f"relax.{name}": rule for name in names})
        return rule

    return enter


def _ints(values: Any) -> list[int]:
    return [int(value) for value in values]


def _floats(values: Any) -> list[float]:
    return [float(value) for value in values]


def _plainly(operator: str) -> Rule:
    return lambda writer, call, _ty: writer.emit(operator, list(call.args))


RULES.update(
    {
        f"relax.{name}": _plainly(operator)
        for name, operator in {
            "add": "Add",
            "subtract": "Sub",
            "multiply": "Mul",
            "divide": "Div",
            "power": "Pow",
            "maximum": "Max",
            "minimum": "Min",
            "matmul": "MatMul",
            "negative": "Neg",
            "abs": "Abs",
            "exp": "Exp",
            "log": "Log",
            "sqrt": "Sqrt",
            "erf": "Erf",
            "floor": "Floor",
            "ceil": "Ceil",
            "sigmoid": "Sigmoid",
            "tanh": "Tanh",
            "nn.relu": "Relu",
        }.items()
    }
)


@_rule("nn.leakyrelu")
def _leaky(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    return writer.emit("LeakyRelu", [call.args[0]], alpha=float(call.attrs.alpha))


@_rule("nn.silu")
def _silu(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    return writer.emit("Mul", [call.args[0], writer.emit("Sigmoid", [call.args[0]])])


@_rule("clip")
def _clip(writer: _OnnxWriter, call: Call, ty: Any) -> str:
    bounds = [writer.constant(np.array(const_number(arg), str(ty.dtype))) for arg in call.args[1:3]]
    return writer.emit("Clip", [call.args[0], *bounds])


@_rule("nn.conv1d", "nn.conv2d", "nn.conv3d")
def _conv(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    attrs = call.attrs
    _expect_channels_first(writer, str(attrs.data_layout), str(attrs.kernel_layout), "OI")
    return writer.emit(
        "Conv",
        call.args,
        group=int(attrs.groups),
        pads=_ints(attrs.padding),
        strides=_ints(attrs.strides),
        dilations=_ints(attrs.dilation),
    )


@_rule("nn.conv1d_transpose", "nn.conv2d_transpose")
def _conv_transpose(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    attrs = call.attrs
    _expect_channels_first(writer, str(attrs.data_layout), str(attrs.kernel_layout), "IO")
    return writer.emit(
        "ConvTranspose",
        call.args,
        group=int(attrs.groups),
        pads=_ints(attrs.padding),
        strides=_ints(attrs.strides),
        dilations=_ints(attrs.dilation),
        output_padding=_ints(attrs.output_padding),
    )


def _expect_channels_first(writer: _OnnxWriter, data: str, kernel: str, order: str) -> None:
    if not data.startswith("NC") or not kernel.startswith(order):
        raise PassError(
            f"Node '{writer.node}' has layouts {data} and {kernel}, which ONNX does "
            "not know: export before any pass that changes layouts."
        )


@_rule("nn.max_pool1d", "nn.max_pool2d", "nn.max_pool3d")
def _max_pool(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    return writer.emit(
        "MaxPool", call.args, dilations=_ints(call.attrs.dilation), **_pool(call.attrs)
    )


@_rule("nn.avg_pool1d", "nn.avg_pool2d", "nn.avg_pool3d")
def _avg_pool(writer: _OnnxWriter, call: Call, ty: Any) -> str:
    """Single pixels with zeros around them are a Pad: ONNX's windows are larger than its
    padding."""
    attrs = call.attrs
    pads = _ints(attrs.padding)
    if any(pads) and {*_ints(attrs.pool_size), *_ints(attrs.strides)} == {1}:
        half = len(pads) // 2
        amounts = np.array([0, 0, *pads[:half], 0, 0, *pads[half:]], np.int64)
        zero = writer.constant(np.array(0, str(ty.dtype)))
        return writer.emit("Pad", [call.args[0], writer.constant(amounts), zero])
    return writer.emit(
        "AveragePool",
        call.args,
        count_include_pad=int(call.attrs.count_include_pad),
        **_pool(call.attrs),
    )


def _pool(attrs: Any) -> dict[str, Any]:
    return {
        "kernel_shape": _ints(attrs.pool_size),
        "strides": _ints(attrs.strides),
        "pads": _ints(attrs.padding),
        "ceil_mode": int(attrs.ceil_mode),
    }


@_rule("nn.adaptive_avg_pool1d", "nn.adaptive_avg_pool2d", "nn.adaptive_avg_pool3d")
def _adaptive_pool(writer: _OnnxWriter, call: Call, ty: Any) -> str:
    if set(_ints(ty.shape)[2:]) != {1}:
        raise PassError(
            f"Node '{writer.node}' is an adaptive pooling to {_ints(ty.shape)[2:]}, "
            "which ONNX does not have: use a pooling with a fixed kernel."
        )
    return writer.emit("GlobalAveragePool", call.args)


@_rule("mean", "max", "min", "prod")
def _reduce(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    operator = {"mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd"}[
        str(call.op.name).rpartition(".")[2]
    ]
    axes = {} if call.attrs.axis is None else {"axes": _ints(call.attrs.axis)}
    return writer.emit(operator, call.args, keepdims=int(call.attrs.keepdims), **axes)


@_rule("sum")
def _sum(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    rank = len(call.args[0].ty.shape)
    axes = range(rank) if call.attrs.axis is None else _ints(call.attrs.axis)
    return writer.emit(
        "ReduceSum",
        [call.args[0], writer.constant(np.array(list(axes), np.int64))],
        keepdims=int(call.attrs.keepdims),
    )


@_rule("reshape", "flatten", "squeeze", "expand_dims")
def _reshape(writer: _OnnxWriter, call: Call, ty: Any) -> str:
    shape = writer.constant(np.array(_ints(ty.shape), np.int64))
    return writer.emit("Reshape", [call.args[0], shape])


@_rule("broadcast_to")
def _expand(writer: _OnnxWriter, call: Call, ty: Any) -> str:
    return writer.emit(
        "Expand", [call.args[0], writer.constant(np.array(_ints(ty.shape), np.int64))]
    )


@_rule("permute_dims")
def _transpose(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    rank = len(call.args[0].ty.shape)
    axes = call.attrs.axes
    return writer.emit(
        "Transpose", call.args, perm=_ints(range(rank - 1, -1, -1) if axes is None else axes)
    )


@_rule("concat")
def _concat(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    return writer.emit("Concat", list(call.args[0].fields), axis=int(call.attrs.axis or 0))


@_rule("stack")
def _stack(writer: _OnnxWriter, call: Call, ty: Any) -> str:
    axis = int(call.attrs.axis or 0) % len(ty.shape)
    axes = writer.constant(np.array([axis], np.int64))
    parts = [writer.emit("Unsqueeze", [part, axes]) for part in call.args[0].fields]
    return writer.emit("Concat", parts, axis=axis)


@_rule("split")
def _split(writer: _OnnxWriter, call: Call, ty: Any) -> list[str]:
    axis = int(call.attrs.axis)
    sizes = np.array([int(part.shape[axis]) for part in ty.fields], np.int64)
    results = [writer.unused(writer.node) for _ in sizes]
    writer.add(
        "Split",
        results[0],
        [writer.name_of(call.args[0]), writer.constant(sizes)],
        results,
        axis=axis,
    )
    return results


@_rule("strided_slice")
def _slice(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    axes, begin, end, *strides = ([int(each.value) for each in arg.fields] for arg in call.args[1:])
    steps = strides[0] if strides else [1] * len(axes)
    parts = [writer.constant(np.array(each, np.int64)) for each in (begin, end, axes, steps)]
    return writer.emit("Slice", [call.args[0], *parts])


@_rule("nn.softmax")
def _softmax(writer: _OnnxWriter, call: Call, _ty: Any) -> str:
    return writer.emit("Softmax", call.args, axis=int(call.attrs.axis))


@_rule("astype")
def _cast(writer: _OnnxWriter, call: Call, ty: Any) -> str:
    return writer.emit(
        "Cast", call.args, to=helper.np_dtype_to_tensor_dtype(np.dtype(str(ty.dtype)))
    )


@_rule("nn.batch_norm")
def _batch_norm(writer: _OnnxWriter, call: Call, _ty: Any) -> list[str]:
    return [writer.emit("BatchNormalization", call.args, epsilon=float(call.attrs.epsilon))]


@_rule("nn.pad")
def _pad(writer: _OnnxWriter, call: Call, ty: Any) -> str:
    widths = _ints(call.attrs.pad_width)
    pads = np.array(widths[0::2] + widths[1::2], np.int64)
    fill = np.array(float(call.attrs.pad_value), str(ty.dtype))
    return writer.emit(
        "Pad",
        [call.args[0], writer.constant(pads), writer.constant(fill)],
        mode=str(call.attrs.pad_mode),
    )


@_rule("image.resize2d")
def _resize(writer: _OnnxWriter, call: Call, ty: Any) -> str:
    attrs = call.attrs
    mode = {"nearest_neighbor": "nearest", "linear": "linear", "cubic": "cubic"}[str(attrs.method)]
    rounding = {"round": "round_prefer_floor", "": "round_prefer_floor"}.get(
        str(attrs.rounding_method), str(attrs.rounding_method)
    )
    sizes = writer.constant(np.array(_ints(ty.shape), np.int64))
    return writer.emit(
        "Resize",
        [call.args[0], "", "", sizes],
        mode=mode,
        nearest_mode=rounding,
        cubic_coeff_a=float(attrs.cubic_alpha),
        coordinate_transformation_mode=str(attrs.coordinate_transformation_mode),
    )
