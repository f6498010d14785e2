import numpy as np
import pytest

from tests.relay_passes.onnx_oracle import parse
from tests.relay_passes.test_onnx_normalise import check_same, ops


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("a = Cast<to=1>(x)  b = Cast<to=1>(a)  y = Relu(b)", ["Relu"]),
        ("a = Cast<to=7>(x)  b = Cast<to=1>(a)  y = Relu(b)", ["Cast", "Cast", "Relu"]),
        (
            "a = Transpose<perm=[0,2,3,1]>(x)  b = Transpose<perm=[0,3,1,2]>(a)  y = Relu(b)",
            ["Relu"],
        ),
        (
            "a = Transpose<perm=[0,2,3,1]>(x)  b = Transpose<perm=[0,2,1,3]>(a) "
            "c = Transpose<perm=[0,3,1,2]>(b)  y = Relu(c)",
            ["Relu", "Transpose"],
        ),
        (
            "s = Constant<value_ints=[1,60]>()  t = Constant<value_ints=[1,3,4,5]>()  a = Reshape(x, s) "
            "b = Reshape(a, t)  y = Relu(b)",
            ["Relu"],
        ),
        ("y, i = MaxPool<kernel_shape=[2,1]>(x)", ["MaxPool"]),
        ("y = Cast<to=1>(x)", ["Identity"]),
    ],
)
def test_what_changes_nothing_goes(body: str, left: list[str]) -> None:
    shape = (
        "1,3,5,4"
        if "perm=[0,2,1,3]" in body
        else ("1,3,3,5" if "kernel_shape" in body else "1,3,4,5")
    )
    model = parse(f"g (float[1,3,4,5] x) => (float[{shape}] y) {{ {body} }}")
    result = check_same(model)
    assert ops(result) == left
    assert all(len(node.output) == 1 for node in result.graph.node)


def test_transposes_meet_across_bias_norm_and_relu() -> None:
    text = """g (float[1,3,4,5] x) => (float[1,3,4,5] y) {
        a = Transpose<perm=[0,2,3,1]>(x)  b = Sub(c, a)  d = Mul(b, c4)  e = Relu(d)
        f = Transpose<perm=[0,3,1,2]>(e)  y = Sigmoid(f) }"""
    c = np.asarray([0.5, -2, 3], np.float32)
    result = check_same(parse(text, c=c, c4=c[::-1].reshape(1, 1, 1, 3)))
    assert ops(result) == ["Sub", "Mul", "Relu", "Sigmoid"]
