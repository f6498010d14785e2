"""Layers as TOSA: what is written, and what is refused; MLIR itself judges in test_mlir_oracle."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from tvm import relax

from tests.compiler.networks import GraphBuilder
from tests.runtime.nets import small_net
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler import driver
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.from_relax import extract, extract_reference, region_names
from zeroskip.compiler.mlir.program_reader import read_programs
from zeroskip.compiler.mlir.program_text import MlirError
from zeroskip.compiler.mlir.tosa import layer_text, region_text
from zeroskip.compiler.passes import tosa_text
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer.layers import ConvLayer, Layer, QTensor
from zeroskip.relay_passes.integer.written_out import layers_in
from zeroskip.relay_passes.partition import reference_module


def graph() -> LayerGraph:
    b = GraphBuilder(np.random.default_rng(3))
    x = b.conv(b.input(6, 9, 8), 8, (3, 3), stride=2, pad=(1, 1, 1, 1))
    y = b.sum(b.conv(x, 8, (3, 3), pad=(1, 1, 1, 1), groups=8), x)
    y = b.concat(b.pool(y, "max", 2, 1), b.pool(y, "avg", 2, 1))
    return b.graph(b.dense(b.reshape(b.global_pool(y), 16), 10))


def convolution(**changes: object) -> ConvLayer:
    """A convolution of one pixel and one weight, changed."""
    plain = ConvLayer(
        x=QTensor((1, 1, 1, 1), "int8", 0),
        y=QTensor((1, 1, 1, 1), "int8", 0),
        weight=np.ones((1, 1, 1, 1), np.int8),
        bias=np.zeros(1, np.int32),
        mult=np.array([1 << 30], np.int32),
        shift=np.array([30], np.int32),
        strides=(1, 1),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=1,
        lo=-128,
        hi=127,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_region_calls_a_function_for_each_layer() -> None:
    made = graph()
    text = region_text(made)
    called = re.findall(r"func\.call @net\.(\d+)\(", text)
    assert [int(number) for number in called] == list(range(len(made.nodes)))
    defined = re.findall(r"^func\.func private @net\.(\d+)\(", text, re.MULTILINE)
    assert sorted(defined) == sorted(called)
    assert re.search(
        r"^func\.func @net\(%x0: tensor<1x6x9x8xi8>\) -> \(tensor<1x10xi8>\)", text, re.M
    )


def test_weights_are_in_the_order_of_tosa() -> None:
    """Filters, rows, columns, channels."""
    weight = np.arange(24).reshape(2, 3, 2, 2).astype(np.int8)
    layer = convolution(
        x=QTensor((1, 3, 2, 2), "int8", 0),
        y=QTensor((1, 2, 1, 1), "int8", 0),
        weight=weight,
        bias=np.zeros(2, np.int32),
        mult=np.full(2, 1 << 30, np.int32),
        shift=np.full(2, 30, np.int32),
    )
    text = layer_text(layer, "f", "n")
    digits = weight.transpose(0, 2, 3, 1).tobytes().hex().upper()
    assert f'dense<"0x{digits}"> : tensor<2x2x2x3xi8>' in text


def test_what_tosa_cannot_say_is_refused() -> None:
    volume = QTensor((1, 1, 1, 1, 1), "int8", 0)
    three = convolution(
        x=volume, y=volume, weight=np.ones((1, 1, 1, 1, 1), np.int8), strides=(1, 1, 1),
        dilation=(1, 1, 1), padding=(0,) * 6,
    )  # fmt: skip
    with pytest.raises(MlirError, match=r"'c1': 3 spatial dimensions: up to 2"):
        layer_text(three, "f", "c1")


def test_sums_are_limited_only_where_they_could_leave_tosas_range() -> None:
    plain = layer_text(convolution(), "f", "n")
    assert "tosa.minimum" not in plain
    large = layer_text(convolution(bias=np.array([2**31 - 300], np.int32)), "f", "n")
    assert "tosa.minimum" in large
    assert "tosa.maximum" in large


def test_a_text_of_layers_is_no_program() -> None:
    with pytest.raises(
        MlirError, match=r"t\.mlir: function @net\.0: a program is one block without"
    ):
        read_programs(region_text(graph()), "t.mlir")


def test_layers_are_read_back_from_the_reference() -> None:
    """Where they are written out in ops: the same layers, but for zero points that do not
    matter."""
    stages = driver.lower(small_net(cpu_node=True), load_spec("dense256"))
    reference = reference_module(stages.partitioned)
    names = region_names(stages.partitioned)
    assert len(names) == 2
    for name in names:
        layers = [node.layer for node in extract(stages.partitioned, name).nodes]
        written = extract_reference(reference, name)
        assert [_still(layer) for layer in layers] == [_still(node.layer) for node in written.nodes]
        assert [node.node for node in written.nodes] == [
            node.node for node in extract(stages.partitioned, name).nodes
        ]
    text = tosa_text(stages.partitioned)
    assert all(f"func.func @{name}(" in text for name in names)


def _still(layer: Layer) -> Layer:
    """The layer without the zero points of one that only moves data or takes the largest."""
    if layer.kind not in ("maxpool", "concat", "reshape"):
        return layer
    changes: dict[str, object] = {"y": replace(layer.y, zero_point=0)}
    if hasattr(layer, "x"):
        changes["x"] = replace(layer.x, zero_point=0)
    else:
        changes["xs"] = tuple(replace(x, zero_point=0) for x in layer.inputs)
    return replace(layer, **changes)  # type: ignore[arg-type]


def test_a_function_of_other_ops_is_refused() -> None:
    x = relax.Var("x", relax.TensorType((1, 4), "int8"))
    builder = relax.BlockBuilder()
    with builder.function("f", [x]):
        builder.emit_func_output(relax.Tuple([builder.emit(relax.op.add(x, x))]))
    with pytest.raises(PassError, match="integer function of 'n' holds add where its kind writes"):
        layers_in(builder.get()["f"], ["n"], ["reshape"])
    with pytest.raises(PassError, match="the reference of 'm' is not that of one layer"):
        layers_in(_twice(x), ["n", "m"], ["reshape", "reshape"])


def _twice(x: relax.Var) -> relax.Function:
    """A function that returns one result twice."""
    builder = relax.BlockBuilder()
    with builder.function("f", [x]):
        y = builder.emit(relax.op.reshape(x, (4, 1)))
        builder.emit_func_output(relax.Tuple([y, y]))
    return builder.get()["f"]


def test_windows_divide_exactly() -> None:
    """TOSA orders padding top, bottom, left, right; what no window reaches is left away."""
    x, y = QTensor((1, 1, 5, 9), "uint8", 200), QTensor((1, 1, 3, 4), "int8", 0)
    layer = convolution(
        x=x, y=y, weight=np.ones((1, 1, 3, 2), np.int8), strides=(2, 3), padding=(0, 1, 2, 2)
    )
    text = layer_text(layer, "f", "n")
    assert "pad = array<i64: 0, 2, 1, 1>" in text  # of 7 rows all, of 12 columns 11
    shorter = replace(layer, x=replace(x, shape=(1, 1, 5, 13)), padding=(0, 0, 2, 0))
    text = layer_text(shorter, "f", "n")
    assert "pad = array<i64: 0, 2, 0, 0>" in text  # of 13 columns the windows reach 11
    assert '"tosa.slice"' in text
    assert 'dense<"0x48"> : tensor<1xi8>' in text  # zero point 200 - 128
