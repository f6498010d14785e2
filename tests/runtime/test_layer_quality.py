"""Where quantization loses: each layer against the float network, and what compile says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from tests.runtime.command import zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.runtime.execution import losing_layers
from zeroskip.runtime.execution.session import Session

IMAGES = np.random.default_rng(3).standard_normal((4, *SHAPE[1:])).astype(np.float32)


def test_the_layers_of_all_regions_are_shown_in_order(tmp_path: Path) -> None:
    model = small_net(cpu_node=True)
    onnx.save(model, tmp_path / "net.onnx")
    np.savez(tmp_path / "images.npz", x=IMAGES)
    np.savez(tmp_path / "x.npz", x=IMAGES[:1])
    done = zeroskip(
        "compile",
        tmp_path / "net.onnx",
        "-o",
        tmp_path / "net.zsk",
        "--calibrate",
        tmp_path / "images.npz",
    )
    assert done.exit_code == 0, done.output
    done = zeroskip(
        "validate",
        tmp_path / "net.zsk",
        "--input",
        tmp_path / "x.npz",
        "--layers",
        "--json",
        tmp_path / "v.json",
    )
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads((tmp_path / "v.json").read_text())
    rows = found["quality"]
    assert [row["layer"] for row in rows] == [
        "conv0",
        "conv1",
        "add",
        "conv2",
        "pool",
        "flat",
        "fc",
    ]
    assert {row["region"] for row in rows} == {"region_00", "region_01"}
    assert rows[-1]["snr_db"] == pytest.approx(found["snr_db"]["y"], abs=1e-3)
    assert (found["layers"], found["of_layers"], found["exact"]) == (7, 7, True)
    table = [line.split() for line in done.stdout.splitlines() if "region_0" in line]
    assert [cells[:3] for cells in table] == [
        [row["layer"], row["kind"], row["region"]] for row in rows
    ]
    assert table[0][3] == f"{rows[0]['snr_db']:.1f}"
    pool = next(row for row in rows if row["layer"] == "pool")
    conv2 = next(row for row in rows if row["layer"] == "conv2")
    assert pool["lost_db"] == pytest.approx(conv2["snr_db"] - pool["snr_db"])


TEXT = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,6,6] x) => (float[1,8,6,6] y) {
    [first] a = Conv(x, w1)
    [spread] b = Conv(a, w2)
    [reads] c = Conv(b, w3)
    [last] d = Conv(c, w4)
    [end] %s
}
"""


def spread_net(end: str) -> onnx.ModelProto:
    """A tensor with one channel 100 times as large as the others, which alone matter."""
    rng = np.random.default_rng(0)
    model = parser.parse_model(TEXT % end)
    for name, channels in (("w1", 4), ("w2", 8), ("w3", 8), ("w4", 8)):
        weight = rng.standard_normal((8, channels, 1, 1)).astype(np.float32)
        if name == "w2":
            weight[0] *= 100
        if name == "w3":
            weight[:, 0] = 1e-5
        model.graph.initializer.append(numpy_helper.from_array(weight, name))
    return model


@pytest.mark.parametrize(
    ("end", "levels"), [("y = Softmax<axis=1>(d)", False), ("y = Relu(d)", True)]
)
def test_compile_names_the_layers_that_lose_most(end: str, levels: bool, tmp_path: Path) -> None:
    onnx.save(spread_net(end), tmp_path / "net.onnx")
    images = np.random.default_rng(1).standard_normal((4, 4, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "images.npz", x=images)
    recipes = ("--level", "unstructured:sparsity=0.1", "--level", "unstructured:sparsity=0.2")
    done = zeroskip(
        "compile",
        tmp_path / "net.onnx",
        "-o",
        tmp_path / "net.zsk",
        "--calibrate",
        tmp_path / "images.npz",
        "--method",
        "minmax",
        *(recipes if levels else ()),
    )
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stderr.splitlines() if "most is lost in" in line]
    assert len(lines) == 1 + levels
    for line in lines:
        assert line.startswith("zeroskip: warning: output 'y' is")
        assert ("before its softmax" in line) == ("Softmax" in end)
        assert "most is lost in 'reads' " in line
        assert "`--float NODE` keeps a layer in float" in line


def test_nothing_is_said_above_20_db_or_of_random_inputs(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that runs without TVM is looked at without it, too."""
    monkeypatch.setattr(Session, "run_host", lambda *_: pytest.fail("TVM ran"))
    arguments = ("compile", compiled / "net.onnx", "-o", tmp_path / "net.zsk")
    done = zeroskip(*arguments, "--calibrate", compiled / "images.npz")
    assert (done.exit_code, done.stderr) == (0, "")
    monkeypatch.setattr(losing_layers, "LEAST_DB", 1000.0)
    done = zeroskip(*arguments, "--calibrate", compiled / "images.npz")
    assert "output 'y' is" in done.stderr
    assert "from the float network's" not in zeroskip(*arguments).stderr
