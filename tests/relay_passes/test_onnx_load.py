from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.relay_passes.onnx_oracle import parse
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.onnx_load import load_onnx


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
