import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.relay_passes.onnx_oracle import assert_close, inputs_of, parse, pool, reference, run_tvm
from zeroskip.relay_passes.frontend.editing import attributes
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx

SEED = 11


def windowed(op_type: str, attrs: str, size: int, kernel: int) -> onnx.ModelProto:
    """One Conv or pool on a 2x4 x size x (size+1) tensor, behind whatever `attrs` say."""
    weight = np.random.default_rng(SEED).standard_normal((4, 4, kernel, kernel))
    call = f"{op_type}<kernel_shape=[{kernel},{kernel}], {attrs}>"
    operands = "x, w" if op_type.startswith("Conv") else "x"
    text = (
        f"g (float[2,4,{size},{size + 1}] x) => (float[A,B,C,D] y) {{ [n] y = {call}({operands}) }}"
    )
    return parse(text, w=weight.astype(np.float32)) if "w" in operands else parse(text)


def check(model: onnx.ModelProto) -> onnx.ModelProto:
    result = normalise_onnx(model)
    onnx.checker.check_model(result, full_check=True)
    values = inputs_of(model, SEED)
    assert_close(reference(result, values), reference(model, values), 1e-5)
    return result


@settings(max_examples=30)
@given(
    mode=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]),
    size=st.integers(5, 10),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
)
def test_auto_pad_of_a_convolution(mode: str, size: int, kernel: int, stride: int) -> None:
    # onnx.reference pads by a negative amount where the stride exceeds the kernel.
    assume(kernel >= stride)
    attrs = f'auto_pad="{mode}", strides=[{stride},{stride}]'
    [node] = check(windowed("Conv", attrs, size, kernel)).graph.node
    assert "auto_pad" not in attributes(node)
    assert len(attributes(node)["pads"]) == 4


@pytest.mark.parametrize(
    ("op_type", "attrs", "kernel", "stride", "pads"),
    [
        # ceil(7/2)=4 rows need (4-1)*2+3=9 of 7; ceil(8/2)=4 columns need 9 of 8.
        ("MaxPool", 'auto_pad="SAME_UPPER"', 3, 2, [1, 0, 1, 1]),
        ("MaxPool", 'auto_pad="SAME_LOWER"', 3, 2, [1, 1, 1, 0]),
        ("AveragePool", 'auto_pad="SAME_UPPER"', 2, 1, [0, 0, 1, 1]),
        ("AveragePool", 'auto_pad="SAME_LOWER", count_include_pad=1', 2, 1, [1, 1, 0, 0]),
        ("AveragePool", 'auto_pad="VALID"', 3, 2, [0, 0, 0, 0]),
        ("AveragePool", "pads=[1,0,0,1]", 3, 1, [1, 0, 0, 1]),
        ("AveragePool", "pads=[1,0,0,1], count_include_pad=1", 3, 1, [1, 0, 0, 1]),
    ],
)
def test_pools_through_tvm(
    op_type: str, attrs: str, kernel: int, stride: int, pads: list[int]
) -> None:
    model = windowed(op_type, f"{attrs}, strides=[{stride},{stride}]", 7, kernel)
    result = normalise_onnx(model)
    [node] = result.graph.node
    assert attributes(node)["pads"] == pads
    x = inputs_of(model, SEED)["x"]
    wanted = pool(
        x, kernel, stride, pads, average=op_type == "AveragePool", counted="count" in attrs
    )
    assert_close(run_tvm(import_onnx(result), [x]), [wanted])


def test_a_stride_beyond_the_kernel_needs_no_padding() -> None:
    model = windowed("MaxPool", 'auto_pad="SAME_UPPER", strides=[3,3]', 8, 2)
    result = normalise_onnx(model)
    assert attributes(result.graph.node[0])["pads"] == [0, 0, 0, 0]
    x = inputs_of(model, SEED)["x"]
    rows = np.maximum(x[:, :, ::3], x[:, :, 1::3])
    assert_close(reference(result, {"x": x}), [np.maximum(rows[..., ::3], rows[..., 1::3])])


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_auto_pad_makes_windows_fit_that_are_larger_than_the_input(mode: str) -> None:
    [node] = check(windowed("Conv", f'auto_pad="{mode}"', 2, 5)).graph.node
    assert attributes(node)["pads"] == [2, 2, 2, 2]


def test_auto_pad_counts_dilation() -> None:
    model = windowed("Conv", 'auto_pad="SAME_UPPER", dilations=[2,2], strides=[2,2]', 9, 3)
    [node] = normalise_onnx(model).graph.node
    # ceil(9/2)=5 rows need (5-1)*2+5=13 of 9; ceil(10/2)=5 columns need 13 of 10.
    assert attributes(node)["pads"] == [2, 1, 2, 2]


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (4, 2), (2, 2), (1, 2), (3, 1)])
def test_transposed_auto_pad_gives_the_specified_shape(mode: str, kernel: int, stride: int) -> None:
    model = windowed("ConvTranspose", f'auto_pad="{mode}", strides=[{stride},{stride}]', 5, kernel)
    result = normalise_onnx(model)
    [y] = reference(result, inputs_of(result, SEED))
    wanted = [size * stride if mode != "VALID" else (size - 1) * stride + kernel for size in (5, 6)]
    assert list(y.shape[2:]) == wanted


def test_transposed_output_shape_becomes_pads() -> None:
    model = windowed("ConvTranspose", "output_shape=[10,11], strides=[2,2]", 5, 3)
    [node] = normalise_onnx(model).graph.node
    assert attributes(node)["pads"] == [1, 1, 0, 1]
    assert attributes(node)["output_padding"] == [0, 0]


def padded(reader: str, value: float = 0.0, pads: str = "[0,0,1,2,0,0,0,1]") -> onnx.ModelProto:
    text = f"""g (float[1,2,6,7] x) => (float[A,B,C,D] y) {{
        p = Constant<value_ints={pads}>()  v = Constant<value_float={value}>()
        a = Pad(x, p, v)  [n] y = {reader} }}"""
    rng = np.random.default_rng(SEED)
    weights = {
        name: rng.standard_normal((3, channels, 3, 3)).astype(np.float32)
        for name, channels in (("w", 2), ("w3", 3))
        if f"{name})" in reader
    }
    return parse(text, **weights)  # type: ignore[arg-type]  # opset is not among them


@pytest.mark.parametrize(
    "reader",
    [
        "Conv<pads=[1,0,0,2]>(a, w)",
        "AveragePool<kernel_shape=[3,3]>(a)",
        "AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(a)",
    ],
)
def test_zero_pad_merges(reader: str) -> None:
    assert [node.op_type for node in check(padded(reader)).graph.node] == [reader.split("<")[0]]


@pytest.mark.parametrize(
    "model",
    [
        padded("Conv(a, w)", value=1.0),
        padded("Conv(a, w3)", pads="[0,1,1,2,0,0,0,1]"),
        padded("MaxPool<kernel_shape=[3,3]>(a)"),
        padded("AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(a)"),
        padded("AveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(a)"),
    ],
    ids=["value", "channels", "max", "uncounted", "ceil"],
)
def test_a_pad_that_means_something_else_stays(model: onnx.ModelProto) -> None:
    assert check(model).graph.node[0].op_type == "Pad"


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
def test_a_pad_by_other_pixels_takes_them(mode: str) -> None:
    text = f"""g (float[1,2,4,5] x) => (float[A,B,C,D] y) {{
        p = Constant<value_ints=[0,1,1,0,0,0,3,2]>()  y = Pad<mode="{mode}">(x, p) }}"""
    result = normalise_onnx(parse(text, opset=19))
    assert [node.op_type for node in result.graph.node] == ["Gather"] * 3
    x = np.random.default_rng(SEED).standard_normal((1, 2, 4, 5)).astype(np.float32)
    (got,) = reference(result, {"x": x})
    around = [(0, 0), (1, 0), (1, 3), (0, 2)]
    np.testing.assert_array_equal(got, np.pad(x, around, mode=mode))  # type: ignore[call-overload]  # one of three


def test_a_crop_stays() -> None:
    result = normalise_onnx(padded("Conv(a, w)", pads="[0,0,-1,0,0,0,0,0]"))
    assert [node.op_type for node in result.graph.node] == ["Pad", "Conv"]


def test_a_pad_that_two_read_stays() -> None:
    text = """g (float[1,1,4,4] x) => (float[A,B,C,D] y) {
        p = Constant<value_ints=[0,0,1,1,0,0,1,1]>()  a = Pad(x, p)
        c = Conv(a, w)  y = Add(a, c) }"""
    model = parse(text, w=np.ones((1, 1, 1, 1), np.float32))
    assert [node.op_type for node in check(model).graph.node] == ["Pad", "Conv", "Add"]
