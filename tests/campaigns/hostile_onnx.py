"""ONNX models altered at the level of protobuf messages."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]  # has no types
from onnx import parser

from tests.runtime.nets import small_net
from zeroskip.relay_passes.frontend.load import load_onnx
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx

Rng = np.random.Generator
INTS = [0, 1, -1, 2, 3, 7, 16, 17, 100, 1 << 31, -(1 << 31), (1 << 63) - 1, -(1 << 63), 1 << 40]
FLOATS = [0.0, -1.0, float("nan"), float("inf"), 1e38, 1e-45]
TEXTS = [
    "",
    "x",
    "y",
    "Relu",
    "Conv",
    "Loop",
    "If",
    "NoSuchOperator",
    "com.microsoft",
    "NCHW",
    "SAME_UPPER",
    "../weights.bin",
    "a b",
    "\x00",
]

QDQ = """<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,3,8,8] x) => (float[1,4,8,8] y)
<float s = {0.02}, int8 z = {1}, float t = {0.01}, int8 o = {0}> {
    q = QuantizeLinear(x, s, z)
    d = DequantizeLinear(q, s, z)
    w = Constant<value = int8[4,3,1,1] {1,2,3,4,5,6,7,8,9,10,11,12}>()
    e = DequantizeLinear(w, t, o)
    c = Conv<kernel_shape = [1, 1]>(d, e)
    r = QuantizeLinear(c, s, z)
    y = DequantizeLinear(r, s, z)
}"""
PLAIN = """<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1,4,8,8] x) => (float[1,64] y) {
    k = Constant<value_ints = [1, 64]>()
    a = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x)
    l = Constant<value_float = 0.0>() u = Constant<value_float = 6.0>()
    c = Clip(a, l, u)
    s = Sigmoid(c) m = Mul(s, c)
    f = Concat<axis = 1>(m, c)
    p = MaxPool<kernel_shape = [3, 3], strides = [1, 1], pads = [1, 1, 1, 1]>(f)
    t = Transpose<perm = [0, 2, 3, 1]>(p)
    n = Slice(t, b, e, i)
    b = Constant<value_ints = [0]>() e = Constant<value_ints = [2]>()
    i = Constant<value_ints = [1]>()
    y = Reshape(n, k)
}"""


@cache
def bases() -> list[bytes]:
    made = [small_net(), small_net(cpu_node=True), parser.parse_model(QDQ)]
    plain = parser.parse_model(PLAIN)
    constants = [node for node in plain.graph.node if node.op_type == "Constant"]
    others = [node for node in plain.graph.node if node.op_type != "Constant"]
    del plain.graph.node[:]
    plain.graph.node.extend(constants + others)
    return [model.SerializeToString() for model in (*made, plain)]


def warm() -> None:
    for data in bases():
        _compile(data)


def altered_model(rng: Rng) -> str:
    """Load and import a model; three of ten that are accepted go through the whole compiler."""
    model = onnx.ModelProto.FromString(bases()[rng.integers(len(bases()))])
    for _ in range(int(rng.integers(1, 4))):
        change(rng, model)
    data = model.SerializeToString()
    if rng.random() < 0.1:
        at = int(rng.integers(len(data)))
        data = data[:at] + rng.bytes(3) + data[at + int(rng.integers(0, 9)) :]
    return _compile(data) if rng.random() < 0.3 else _import(data)


def _import(data: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.onnx")
        path.write_bytes(data)
        import_onnx(normalise_onnx(load_onnx(path)))
    return "imported"


def _compile(data: bytes) -> str:
    from zeroskip.compiler.driver import compile as compile_network

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.onnx")
        path.write_bytes(data)
        compile_network(path, "sparse256")
    return "compiled"


def change(rng: Rng, model: onnx.ModelProto) -> None:
    """One field of one message somewhere in the model."""
    messages = list(_messages(model))
    message = messages[rng.integers(len(messages))]
    fields = [field for field, _ in message.ListFields()]
    if rng.random() < 0.2 or not fields:
        fields = list(message.DESCRIPTOR.fields)
    field = fields[rng.integers(len(fields))]
    if field.is_repeated:
        _change_list(rng, getattr(message, field.name), field, messages)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if rng.random() < 0.5:
            message.ClearField(field.name)
        else:
            _copy(rng, getattr(message, field.name), messages)
    elif rng.random() < 0.15:
        message.ClearField(field.name)
    else:
        _set(message, field.name, _scalar(rng, field, getattr(message, field.name), messages))


def _messages(message: Any) -> Any:
    """A message and all within it."""
    yield message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in value if field.is_repeated else [value]:
                yield from _messages(each)


def _change_list(rng: Rng, items: Any, field: Any, messages: list[Any]) -> None:
    kind = rng.integers(5)
    at = int(rng.integers(len(items))) if len(items) else 0
    if kind == 0 and len(items):
        del items[at]
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if kind == 1 and len(items):
            items.append(items[at])
        elif kind == 2 and len(items) > 1:
            copies = list(items)
            rng.shuffle(copies)
            kept = [type(each).FromString(each.SerializeToString()) for each in copies]
            del items[:]
            items.extend(kept)
        elif len(items):
            _copy(rng, items[at], messages)
    elif kind == 1 or not len(items):
        _extend(items, _scalar(rng, field, items[at] if len(items) else None, messages))
    else:
        try:
            items[at] = _scalar(rng, field, items[at], messages)
        except (ValueError, TypeError):
            return


def _copy(rng: Rng, message: Any, messages: list[Any]) -> None:
    """Another message of the same type in its place."""
    alike = [each for each in messages if type(each) is type(message) and each is not message]
    if alike:
        other = alike[rng.integers(len(alike))].SerializeToString()
        if len(other) < 1 << 20:
            message.ParseFromString(other)


def _scalar(rng: Rng, field: Any, old: Any, messages: list[Any]) -> Any:
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return FLOATS[rng.integers(len(FLOATS))]
    if field.type == FieldDescriptor.TYPE_STRING:
        names = [
            name
            for each in messages
            if isinstance(each, onnx.NodeProto)
            for name in (*each.input, *each.output)
        ] + TEXTS
        return names[rng.integers(len(names))]
    if field.type == FieldDescriptor.TYPE_BYTES:
        data = bytes(old or b"")
        at = int(rng.integers(len(data) + 1))
        return [data[:at], data + b"\x00", rng.bytes(8), b""][rng.integers(4)]
    if field.type == FieldDescriptor.TYPE_ENUM or field.cpp_type in (
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_UINT32,
    ):
        return int(rng.integers(0, 30))
    return INTS[rng.integers(len(INTS))]


def _set(message: Any, name: str, value: Any) -> None:
    try:
        setattr(message, name, value)
    except (ValueError, TypeError):
        message.ClearField(name)


def _extend(items: Any, value: Any) -> None:
    try:
        items.append(value)
    except (ValueError, TypeError):
        return
