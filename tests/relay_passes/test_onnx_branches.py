"""Ifs with a known condition."""

import onnx
import pytest

from tests.relay_passes.onnx_oracle import parse
from tests.relay_passes.test_onnx_layout import same_in_onnxruntime
from tests.relay_passes.test_onnx_normalise import ops
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import origin, subgraphs
from zeroskip.relay_passes.frontend.normalise import normalise_onnx

ELSE = "else_branch = e () => (float z2) { z2 = Identity(x) }"


def with_open_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The text form of ONNX gives every tensor of no stated shape the shape []."""
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        graphs += [each for node in graph.node for each in subgraphs(node)]
        for item in graph.output:
            item.type.tensor_type.ClearField("shape")
    return model


def test_branches_are_inlined_where_the_condition_is_known() -> None:
    """From the shape of the input, as torch exports squeeze; from a constant, reading what an If
    made, with names that another branch has too; within one another; and one that
    nothing needs."""
    model = parse(f"""g (float[1,3,4,1] x) => (float y) {{
        s = Shape(x)  i = Constant<value_int=3>()  n = Gather(s, i)  one = Constant<value_int=1>()
        c = Equal(n, one)  t = Constant<value=bool {{1}}>()  f = Constant<value=bool {{0}}>()
        m = Sigmoid(x)
        r = If (c) <then_branch = a () => (float z) {{
                ax = Constant<value_ints=[3]>()  z = Squeeze(m, ax) }}, {ELSE}>
        q = If (t) <then_branch = b () => (float w) {{
                k = Constant<value_float=2.0>()  z = Mul(r, k)
                w = If (f) <then_branch = d () => (float v) {{ v = Relu(z) }},
                            else_branch = e () => (float u) {{ u = Neg(z) }}> }}, {ELSE}>
        unused = If (c) <then_branch = a () => (float z) {{ z = Relu(q) }}, {ELSE}>
        p = If (f) <then_branch = b () => (float w) {{ w = Relu(q) }},
                    else_branch = e () => (float v) {{ v = Identity(q) }}>
        y = Tanh(p) }}""")
    made = same_in_onnxruntime(with_open_shapes(model))
    assert sorted(ops(made)) == ["Mul", "Neg", "Sigmoid", "Squeeze", "Tanh"]
    assert origin(next(node for node in made.graph.node if node.op_type == "Neg")) == "If_q"


def test_a_condition_that_depends_on_values_is_refused() -> None:
    model = parse(f"""g (float[1,3] x, bool c) => (float y) {{
        y = If (c) <then_branch = a () => (float z) {{ z = Relu(x) }}, {ELSE}> }}""")
    with pytest.raises(FrontError, match=r"Node 'If_y' \(If\) is control flow"):
        normalise_onnx(with_open_shapes(model))
