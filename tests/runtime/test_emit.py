"""What ``--emit=relax`` prints, held to a file: ``pytest --update-golden`` writes it anew.

The network brings its own scales, so that nothing of it is measured on this machine.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.command import refused, said
from tests.runtime.test_qdq import network
from zeroskip.runtime.cli.main import main

GOLDEN = Path(__file__).parent / "golden"


def quantized_net() -> onnx.ModelProto:
    """A convolution with pruned kernels, ReLU and a pool in Q/DQ form."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (6, 3, 3, 3)).astype(np.int8)
    weight[rng.random((6, 3)) < 0.5] = 0
    constants = {
        "scale": np.float32(0.05),
        "zero": np.int8(3),
        "w": weight,
        "w_scale": np.full(6, 0.01, np.float32),
        "w_zero": np.zeros(6, np.int8),
        "out_scale": np.float32(0.1),
        "out_zero": np.int8(-128),
    }

    def both(x: str, name: str, scale: str, zero: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("QuantizeLinear", [x, scale, zero], [f"{name}_q"], f"{name}.q"),
            helper.make_node("DequantizeLinear", [f"{name}_q", scale, zero], [name], f"{name}.dq"),
        ]

    nodes = [
        *both("image", "x", "scale", "zero"),
        helper.make_node(
            "DequantizeLinear", ["w", "w_scale", "w_zero"], ["kernel"], "kernel.dq", axis=0
        ),
        helper.make_node("Conv", ["x", "kernel"], ["sum"], "conv", pads=[1] * 4),
        helper.make_node("Relu", ["sum"], ["positive"], "relu"),
        *both("positive", "y", "out_scale", "out_zero"),
        helper.make_node("MaxPool", ["y"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        *both("pooled", "label", "out_scale", "out_zero"),
    ]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("label", TensorProto.FLOAT, [1, 6, 4, 4])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def test_the_module_is_as_it_was(tmp_path: Path, update_golden: bool) -> None:
    onnx.save(quantized_net(), tmp_path / "net.onnx")
    done = CliRunner().invoke(
        main, ["compile", str(tmp_path / "net.onnx"), "--emit", "relax", "--target", "sparse256"]
    )
    assert done.exit_code == 0, done.output
    assert said(done) == []  # a model with its own scales needs no calibration
    file = GOLDEN / "relax.txt"
    if update_golden:
        file.parent.mkdir(exist_ok=True)
        file.write_text(done.stdout, encoding="utf-8")
    assert done.stdout == file.read_text(encoding="utf-8"), (
        "the module has changed; if it should, run pytest --update-golden and look at the change"
    )


def emit_all(folder: Path, *more: str) -> Result:
    onnx.save(quantized_net(), folder / "net.onnx")
    return CliRunner().invoke(main, ["compile", str(folder / "net.onnx"), "--emit=all", *more])


def test_every_pass_leaves_a_file(tmp_path: Path) -> None:
    done = emit_all(tmp_path, "--emit-folder", str(tmp_path / "dump"))
    assert done.exit_code == 0, done.output
    files = sorted((tmp_path / "dump").iterdir())
    numbers, names = zip(*(path.name.split("-", 1) for path in files), strict=True)
    assert [*map(int, numbers)] == [*range(len(files))]
    assert done.stdout == f"{len(files)} files in {tmp_path / 'dump'}\n"
    assert names[0] == "input.relax"
    shown = ("relax.relax", "layers.txt", "schedule.txt", "asm.asm", "mlir.mlir", "tosa.mlir")
    assert names[-6:] == shown
    passes = [name.removesuffix(".relax") for name in names[1:-6]]
    ours = ["FoldBatchNorm", "QuantizeInt8", "PartitionForAccelerator", "TileAndSchedule"]
    assert [name for name in passes if name in ours] == ours
    before, after = (files[names.index(f"{name}.relax")].read_text("utf-8") for name in ours[2:])
    assert "zeroskip.schedule" not in before
    assert "zeroskip.schedule" in after


def test_a_stage_without_a_text_is_said(tmp_path: Path) -> None:
    """TOSA's text has no layers of volumes; all other files are there."""
    model = network(
        "y = Conv(x, w)",
        "float[1,2,3,3,3] x",
        "float[1,4,1,1,1] y",
        w=np.ones((4, 2, 3, 3, 3), np.float32),
    )
    onnx.save(model, tmp_path / "net.onnx")
    command = ["compile", str(tmp_path / "net.onnx"), "--emit"]
    done = CliRunner().invoke(main, [*command, "all", "--emit-folder", str(tmp_path / "dump")])
    assert done.exit_code == 0, done.output
    names = [path.name.split("-", 1)[1] for path in sorted((tmp_path / "dump").iterdir())]
    assert names[-2:] == ["asm.asm", "mlir.mlir"]
    assert any("tosa is not among the files: 'Conv_y': 3 spatial" in line for line in said(done))
    refused(CliRunner().invoke(main, [*command, "tosa"]), "'Conv_y'", "use --emit=layers or mlir")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "--emit=all and --emit-folder go together"),
        (["--emit=asm", "--emit-folder", "{}/new"], "--emit=all and --emit-folder go together"),
        (["--emit-folder", "{}"], "holds files already; name an empty or a new folder"),
        (["--emit-folder", "{}/net.onnx/in"], "cannot be a folder of dumps"),
    ],
)
def test_a_folder_that_will_not_do_is_refused(
    tmp_path: Path, more: list[str], sentence: str
) -> None:
    done = emit_all(tmp_path, *(each.format(tmp_path) for each in more))
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
