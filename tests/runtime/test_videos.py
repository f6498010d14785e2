"""Networks of videos, whole: every layer on the accelerator, every bit TVM's, kernel groups
skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import zeroskip
from models.video import c3d, r2plus1d_18
from tests.runtime.command import zeroskip as command
from tests.runtime.test_qdq import network
from zeroskip.compiler.artifact.network import Network


def video(name: str) -> onnx.ModelProto:
    """A narrow network of few pixels, all of whose layers have several frames as long as C3D's or
    R(2+1)D's have."""
    if name == "c3d":
        return c3d(frames=16, image=16, classes=10, width=1 / 8)
    return r2plus1d_18(frames=6, image=16, classes=10, width=1 / 4, stages=1)


def clip(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    shape = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]
    return {"image": np.random.default_rng(2).standard_normal(shape).astype(np.float32)}


@pytest.mark.parametrize(
    ("name", "target", "layers"),
    [
        pytest.param("c3d", "sparse256", 17, marks=pytest.mark.slow),
        ("r2plus1d_18", "kang256", 15),
    ],
)
def test_every_bit_is_tvm_s(name: str, target: str, layers: int) -> None:
    """Its import agrees with onnxruntime, or it would not compile."""
    made = zeroskip.compile(video(name), target)
    assert made.cpu == {}
    found = zeroskip.validate(made, clip(video(name)))
    assert found.exact, found.text()
    assert found.layers == layers


def test_kernel_groups_are_skipped() -> None:
    """RT3D's structure, by the pass of its own: an array that skips zeros does about a quarter
    of a layer's multiplies, and takes fewer cycles."""
    runs, model = [], video("r2plus1d_18")
    for prune in (None, "kernel_group:ratio=0.75"):
        session = zeroskip.Session(zeroskip.compile(model, "sparse256", prune=prune))
        session.run(clip(model))
        [program], [run] = session.network.programs.values(), session.runs.values()
        layer = next(each for each in program.layers if each.node == "layer1.1.2.space")
        runs.append((run.cycles, layer.effectual))
    (before, dense), (after, sparse) = runs
    assert sparse < 0.27 * dense
    assert after < 0.8 * before


def test_a_quantized_network_gives_onnxruntime_s_integers() -> None:
    """Scales of the model's own, padded frames included."""
    weight = np.random.default_rng(3).standard_normal((8, 3, 3, 3, 3)).astype(np.float32) / 5
    model = network(
        "q0 = QuantizeLinear(x, sx, zx) d = DequantizeLinear(q0, sx, zx) "
        "qw = QuantizeLinear<axis=0>(w, sw, zw) dw = DequantizeLinear<axis=0>(qw, sw, zw) "
        "c = Conv<pads=[1,1,1,1,1,1],strides=[2,1,1]>(d, dw) r = Relu(c) "
        "q1 = QuantizeLinear(r, sy, zy) e = DequantizeLinear(q1, sy, zy) "
        "y = MaxPool<kernel_shape=[2,2,2],strides=[1,2,2]>(e)",
        "float[1,3,5,6,6] x",
        "float[1,8,2,3,3] y",
        w=weight,
        sw=(np.abs(weight).max((1, 2, 3, 4)) / 127).astype(np.float32),
    )
    x = {"x": np.random.default_rng(4).standard_normal((1, 3, 5, 6, 6)).astype(np.float32)}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    [want] = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, x)
    made = zeroskip.compile(model, "dense256")
    assert made.cpu == {}
    np.testing.assert_array_equal(zeroskip.Session(made).run(x)["y"], want)


def test_what_is_not_taken_is_said(tmp_path: Path) -> None:
    """One sentence with the node and why; the rest runs."""
    model = network(
        "c = Conv(x, w) y = MaxPool<kernel_shape=[16,40,1]>(c)",
        "float[1,3,18,40,4] x",
        "float[1,8,1,1,2] y",
        w=np.ones((8, 3, 3, 1, 3), np.float32),
    )
    onnx.save(model, tmp_path / "net.onnx")
    done = command("compile", tmp_path / "net.onnx", "-o", tmp_path / "net.zsk")
    assert done.exit_code == 0, done.output
    [why] = Network.load(tmp_path / "net.zsk").cpu.items()
    assert why == (
        "MaxPool_y",
        "kernel (16, 40, 1): the accelerator takes up to 511 rows of frames",
    )
