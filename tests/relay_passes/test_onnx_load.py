from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.relay_passes.onnx_oracle import parse
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.load import load_onnx


def small() -> onnx.ModelProto:
    weight = np.ones((4, 3, 3, 3), np.float32)
    text = "g (float[1,3,8,8] x) => (float[1,4,6,6] y) { [c] y = Conv(x, w) }"
    return parse(text, w=weight)


def test_loads_a_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(small(), path)
    assert load_onnx(path).graph.node[0].name == "c"


def test_loads_external_data(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(small(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert load_onnx(path).graph.initializer[0].raw_data


def test_refuses_missing_external_data(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(small(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(FrontError, match="keeps weights in a file beside it"):
        load_onnx(path)


@pytest.mark.parametrize("content", [b"not a model at all", b"\x00" * 100, b"<html></html>"])
def test_refuses_what_is_not_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(FrontError, match=r"m\.onnx"):
        load_onnx(path)


def test_refuses_every_truncation(tmp_path: Path) -> None:
    content = small().SerializeToString()
    path = tmp_path / "m.onnx"
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(FrontError, match=r"m\.onnx"):
            load_onnx(path)


def test_refuses_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(FrontError, match="does not exist"):
        load_onnx(tmp_path / "none.onnx")
    with pytest.raises(FrontError, match="cannot be read"):
        load_onnx(tmp_path)


def test_refuses_a_model_that_breaks_the_specification(tmp_path: Path) -> None:
    model = small()
    model.graph.node[0].op_type = "NoSuchOperator"
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    with pytest.raises(FrontError, match="breaks the ONNX specification") as caught:
        load_onnx(path)
    assert "\n" not in str(caught.value)


def test_a_proto_whose_weights_were_not_loaded_takes_no_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that stands in the working directory."""
    weight = np.ones((1, 1, 1, 1), np.float32)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", 1, [1, 1, 4, 4])],
            [helper.make_tensor_value_info("y", 1, [1, 1, 4, 4])],
            [numpy_helper.from_array(weight, "w")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(
        model, tmp_path / "net.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    monkeypatch.chdir(tmp_path)
    unloaded = onnx.load("net.onnx", load_external_data=False)
    with pytest.raises(FrontError, match="'w' in a file that was not loaded"):
        import_float(unloaded, {})
    assert import_float("net.onnx", {})


@pytest.mark.parametrize("extra", [0, 4])
def test_an_empty_constant_of_shape_is_folded(extra: int) -> None:
    """As torch writes pads of all axes."""
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    given = pads if not extra else np.array([1, 1, 1, 1])
    nodes = [
        helper.make_node(
            "ConstantOfShape",
            ["k"],
            ["zeros"],
            value=helper.make_tensor("v", onnx.TensorProto.INT64, [1], [0]),
        ),
        helper.make_node("Concat", ["p", "zeros"], ["all"], axis=0),
        helper.make_node("Pad", ["x", "all"], ["y"]),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", 1, [1, 2, 4, 4])],
            [helper.make_tensor_value_info("y", 1, None)],
            [numpy_helper.from_array(np.array([extra]), "k"), numpy_helper.from_array(given, "p")],
        ),
        opset_imports=[helper.make_opsetid("", 14)],
        ir_version=8,
    )
    main = import_float(model, {})["main"]
    want = (
        np.array([1, 2, 4, 4])
        + np.concatenate([given, np.zeros(extra, np.int64)]).reshape(2, 4).sum(0)
    ).tolist()
    assert [int(size) for size in main.ret_ty.shape] == want


def test_a_shape_that_is_known_at_run_time_is_refused() -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("ConstantOfShape", ["x"], ["y"], name="fill")],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.INT64, [3])],
            [helper.make_tensor_value_info("y", 1, [None] * 3)],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(FrontError, match=r"'fill'.*known only at run time"):
        import_float(model, {})
