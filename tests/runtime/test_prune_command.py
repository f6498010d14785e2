"""`zeroskip prune`: what is written computes what our pruned module does; nothing by halves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.relay_passes.onnx_oracle import parse
from tests.runtime.command import files, refused, said, zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.frontend import to_relax
from zeroskip.relay_passes.pruning.apply import layer_changes, prune
from zeroskip.relay_passes.pruning.base.options import declared
from zeroskip.relay_passes.pruning.detect import detect
from zeroskip.relay_passes.pruning.schemes.recipe import SCHEMES
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu

RECIPE = "channels:ratio=0.25+pattern:connectivity=0.5+nm:layers=fc"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "net.onnx"
    onnx.save(small_net(), path)
    return path


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("wish", ["--prune", "--detect"])
def test_a_wrong_import_is_refused_with_its_node(
    batch: int, wish: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at a compile; a batch is written as it is and compared as it is."""
    real = to_relax._convert_node

    def wrong(importer: Any, node: onnx.NodeProto) -> None:
        node.op_type = "Relu" if node.op_type == "Abs" else node.op_type
        real(importer, node)

    net = parse(
        f"g (float[{batch},3,4,4] x) => (float[{batch},4,4,4] y) "
        "{ [odd] a = Abs(x)\n [conv] y = Conv(a, w) }"
    )
    weight = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    net.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    onnx.save(net, tmp_path / "net.onnx")
    command = [
        "prune",
        tmp_path / "net.onnx",
        *(["-o", tmp_path / "p.onnx", "--prune", "unstructured"] if wish == "--prune" else [wish]),
    ]
    assert zeroskip(*command).exit_code == 0
    (tmp_path / "p.onnx").unlink(missing_ok=True)
    monkeypatch.setattr(to_relax, "_convert_node", wrong)
    refused(zeroskip(*command), "Node 'odd' does not give what onnxruntime gives")
    assert not (tmp_path / "p.onnx").exists()


def sizes(path: Path) -> dict[str, tuple[int, ...]]:
    """The weights of the nodes of a model."""
    graph = onnx.load(path).graph
    held = {item.name: tuple(item.dims) for item in graph.initializer}
    return {
        node.name: held[node.input[1]]
        for node in graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul")
    }


def test_the_written_model_computes_what_the_pruned_module_does(
    model: Path, tmp_path: Path
) -> None:
    """Within float32's rounding of sums in another order: 1e-5 of the largest output."""
    done = zeroskip("prune", model, "-o", tmp_path / "p.onnx", "--prune", RECIPE)
    assert done.exit_code == 0, done.output
    assert said(done) == []
    for words in (
        "conv1",
        "12 of 16 left",
        "8 patterns, connectivity 0.5",
        "nm 2:4",
        "all",
        f"wrote {tmp_path / 'p.onnx'}",
    ):
        assert words in done.stdout
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    [wanted] = run_cpu(compile_for_cpu(prune(import_float(model, {}), RECIPE)), "main", [x])
    session = onnxruntime.InferenceSession(tmp_path / "p.onnx")
    [found] = session.run(None, {"x": x})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    assert [each.name for each in session.get_outputs()] == ["y"]
    assert sizes(model) == {"conv0": (16, 3, 3, 3), "conv1": (16, 16, 3, 3), "fc": (10, 1024)}
    assert sizes(tmp_path / "p.onnx") == {
        "conv0": (12, 3, 3, 3),
        "conv1": (12, 12, 3, 3),
        "fc": (768, 10),
    }
    assert (tmp_path / "p.onnx").stat().st_size < 0.76 * model.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["p.onnx"]


def test_the_written_model_compiles_to_the_same_time(model: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[prune]]\nscheme = "channels"\n[[prune]]\nscheme = "pattern"')
    zeroskip("prune", model, "-o", tmp_path / "net.onnx", "--prune", recipe)
    told = []
    for source, options in ((tmp_path / "net.onnx", ()), (model, ("--prune", recipe))):
        made = zeroskip(
            "compile", source, "-o", tmp_path / "n.zsk", "--target", "pattern256", *options
        )
        assert made.exit_code == 0, made.output
        assert "8 patterns of 4 of 9 taps" in made.stdout
        told.append(zeroskip("report", tmp_path / "n.zsk", "--weights").stdout)
        assert "8 patterns of 4 of 9 taps" in told[-1]
    assert told[0] == told[1]


def test_without_a_file_it_only_tells(model: Path, tmp_path: Path) -> None:
    before = files(model.parent)
    done = zeroskip("prune", model, "--prune", "unstructured:sparsity=0.75")
    assert done.exit_code == 0, done.output
    assert "unstructured 0.75: 108 of 432 weights left" in done.stdout
    assert "wrote" not in done.stdout
    assert files(model.parent) == before


def test_detect_says_what_a_model_has(model: Path, tmp_path: Path) -> None:
    done = zeroskip("prune", model, "--detect")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("dense  ") >= 3
    for target in ("dense256", "sparse256", "pattern256"):
        assert f"KiB on {target}" in done.stdout
    zeroskip("prune", model, "-o", tmp_path / "p.onnx", "--prune", "nm:n=1")
    done = zeroskip("prune", tmp_path / "p.onnx", "--detect")
    assert "nm: 1 of every 4 channels" in done.stdout
    assert "25.0%" in done.stdout


def test_a_dense_network_is_compiled_without_a_word_on_zeros(model: Path, tmp_path: Path) -> None:
    done = zeroskip("compile", model, "-o", tmp_path / "n.zsk")
    assert done.stdout == ""


def test_schemes_lists_every_option() -> None:
    done = zeroskip("schemes")
    assert done.exit_code == 0
    for name, (options, _make) in SCHEMES.items():
        assert f"{name}: {options.doc}" in done.stdout
        for key, kind, _default in declared(options):
            assert f"  {key}: {kind.doc}" in done.stdout


def quantized() -> onnx.ModelProto:
    """A Q/DQ convolution: its weights are integers."""
    rng = np.random.default_rng(0)
    held = {
        "w": rng.integers(-9, 9, (8, 3, 3, 3)).astype(np.int8),
        "s": np.float32(0.1),
        "zi": np.int8(0),
        "zu": np.uint8(128),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "zu"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "zu"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "s", "zi"], ["e"]),
        helper.make_node("Conv", ["d", "e"], ["y"], name="conv"),
    ]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 14, 14])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def test_what_cannot_be_pruned_is_refused_and_nothing_written(model: Path, tmp_path: Path) -> None:
    onnx.save(quantized(), tmp_path / "q.onnx")
    (tmp_path / "bad.toml").write_text('[[prune]]\nscheme = "patern"')
    before = files(tmp_path)
    out = tmp_path / "p.onnx"
    for source, recipe, words in (
        (model, "patern", ["did you mean 'pattern'"]),
        (model, "nm:layers=conv9", ["layers=conv9", "'conv1'"]),
        (model, "nm:m=32", ["'conv1' has 16 input channels", "skip=yes"]),
        (model, str(tmp_path / "bad.toml"), ["bad.toml', table 1, line 1", "pattern"]),
        (model, str(tmp_path / "none.toml"), ["none.toml", "cannot be read"]),
        (tmp_path / "q.onnx", "unstructured", ["pruned before it is quantized"]),
        (tmp_path / "none.onnx", "unstructured", ["does not exist"]),
    ):
        refused(zeroskip("prune", source, "-o", out, "--prune", recipe), *words)
    refused(
        zeroskip("prune", model, "-o", tmp_path / "no" / "p.onnx", "--prune", "nm"),
        "cannot be written",
    )
    assert files(tmp_path) == before
    incomplete: list[list[str | Path]] = [[], ["-o", out]]
    for arguments in incomplete:
        done = zeroskip("prune", model, *arguments)
        assert done.exit_code == 2
        assert "give a recipe with --prune" in done.stderr


def test_changes_name_every_layer_before_and_after(model: Path) -> None:
    dense = import_float(model, {})
    changes = layer_changes(dense, prune(dense, "channels"))
    assert [change.node for change in changes] == ["conv0", "conv1", "fc"]
    macs = []
    for change in changes:
        assert change.before is not None
        assert change.after is not None
        assert change.before.macs > change.after.macs
        macs.append(change.before.macs)
    assert macs[0] == 256 * 432
    assert {each.kind for each in detect(dense)} == {"dense"}
