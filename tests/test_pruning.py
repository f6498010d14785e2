"""Every scheme through the whole compiler (``make test-pruning``): the exported model agrees with
onnxruntime, its zeros are found again, and every target computes TVM's bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from tests.runtime.pruned_nets import IMAGE, VIDEO, image_net, video_net
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.frontend.from_relax import export_onnx
from zeroskip.relay_passes.pruning.apply import prune
from zeroskip.relay_passes.pruning.detect import detect
from zeroskip.relay_passes.pruning.schemes.recipe import SCHEMES, Recipe, read_recipe
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.runtime.execution.validation import validate

TARGETS = ("dense256", "sparse256", "pattern256")
LIBRARY = "patterns = [[[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[1, 0, 1], [0, 0, 0], [1, 0, 1]]]"
MIXED = """
[[prune]]
scheme = "channels"
ratio = 0.25
layers = ["stem", "wide"]
[[prune]]
scheme = "pattern"
kernel = [3, 3]
connectivity = 0.3
[[prune]]
scheme = "nm"
kernel = [1, 1]
[[prune]]
scheme = "block"
layers = ["hidden", "last"]
block = [4, 16]
[[prune]]
scheme = "shape"
layers = "flat"
ratio = 0.25
"""

# recipe -> what is found in some of its layers; LIBRARY and MIXED stand for files
RECIPES = {
    "unstructured:sparsity=0.75": {"wide": "unstructured", "hidden": "unstructured"},
    "unstructured:sparsity=0.8,scope=global": {"wide": "unstructured"},
    "unstructured:sparsity=0.8,scope=erk": {"wide": "unstructured", "hidden": "unstructured"},
    "nm": {
        "wide": "nm: 2 of every 4 channels",
        "hidden": "nm: 2 of every 4 channels",
        "groups": "nm: 2 of every 4 channels",
    },
    "nm:n=1,m=8,skip=yes": {"three": "nm: 1 of every 8 channels", "point": "nm: 1 of every 8"},
    "group": {"wide": "group: 4 of every 16 weights in reduction order"},
    "group:q=2,g=8,skip_first=no": {"three": "group: 2 of every 8", "hidden": "nm: 2 of every 8"},
    "shape": {"three": "shape: 90 of 180 positions", "hidden": "channels"},
    "block:block=8x4,ratio=0.6": {"three": "block", "hidden": "block"},
    "kernel_group": {"three": "kernel_group", "wide": "kernel_group"},
    "kernel_group:form=vanilla,group=2x2,ratio=0.7": {"three": "block", "wide": "block"},
    "pattern:connectivity=0.3": {"three": "pattern: 8 patterns of 4 of 9 taps"},
    "pattern:library=pconv,connectivity=0.5,pointwise=0.75,balance=layer": {
        "three": "pattern: 4 patterns of 4 of 9 taps",
        "wide": "pattern: whole kernels, 50.0%",
    },
    "pattern:patterns=16,balance=global,connectivity=0.4": {"three": "pattern: 16 patterns"},
    "pattern:kernel=5x5,entries=8,patterns=6": {"wide": "pattern: 6 patterns of 8 of 25 taps"},
    "pattern:library=LIBRARY,skip=yes": {
        "three": "pattern: 2 patterns of 4 to 5 of 9 taps",
        "groups": "pattern: 2 patterns of 4 to 5 of 9 taps",
    },
    "channels:ratio=0.4": {"three": "dense", "wide": "dense"},
    "filters:ratio=0.4,scope=global": {"three": "dense"},
    "lowrank:energy=0.8,skip=yes": {"wide": "dense", "wide.basis": "dense"},
    "lowrank:ratio=0.5,skip=yes+filters:ratio=0.25": {"three": "dense", "three.basis": "dense"},
    "channels:criterion=l2,round_to=4+unstructured:sparsity=0.5": {"wide": "unstructured"},
    "MIXED": {"three": "pattern", "point": "nm", "hidden": "block", "flat": "shape"},
}
QUICK = (("MIXED", "pattern256"), ("group", "sparse256"), ("channels:ratio=0.4", "dense256"))
EVERY = [
    pytest.param(recipe, target, marks=[] if (recipe, target) == QUICK[0] else pytest.mark.pruning)
    for recipe in RECIPES
    for target in TARGETS
]


def recipe_of(text: str, folder: Path) -> Recipe:
    (folder / "library.toml").write_text(LIBRARY)
    (folder / "mixed.toml").write_text(MIXED)
    if text == "MIXED":
        return folder / "mixed.toml"
    return text.replace("LIBRARY", str(folder / "library.toml"))


def image(shape: tuple[int, ...] = IMAGE) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def exported(model: onnx.ModelProto, recipe: Recipe, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The pruned model, which onnxruntime computes as TVM does the pruned module: to 1e-5 of the
    largest output, since sums may be added in another order."""
    pruned = prune(import_float(model, {}), recipe)
    made = export_onnx(pruned)
    [wanted] = run_cpu(compile_for_cpu(pruned), "main", [image(shape)])
    session = onnxruntime.InferenceSession(made.SerializeToString())
    [found] = session.run(None, {"x": image(shape)})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    return made


def test_all_schemes_are_here() -> None:
    assert {
        each.scheme
        for text in RECIPES
        if text != "MIXED" and "LIBRARY" not in text
        for each in read_recipe(text)
    } == set(SCHEMES)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, marks=[] if text in dict(QUICK) else pytest.mark.pruning)
        for text in RECIPES
    ],
)
def test_exported_models_agree_and_their_zeros_are_found_again(text: str, tmp_path: Path) -> None:
    made = exported(image_net(), recipe_of(text, tmp_path), IMAGE)
    found = {each.node: each for each in detect(import_float(made, {}))}
    for node, words in RECIPES[text].items():
        assert str(found[node]).startswith(words)


@pytest.mark.parametrize(("text", "target"), EVERY)
def test_every_bit_is_tvm_s(text: str, target: str, tmp_path: Path) -> None:
    network = compile_network(image_net(), target, prune=recipe_of(text, tmp_path))
    assert network.cpu == {}
    found = validate(network, {"x": image()})
    assert found.exact, found.text()
    assert found.layers >= 8


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("kernel_group", id="kgs"),
        pytest.param(
            "kernel_group:form=vanilla,group=2x2", marks=pytest.mark.pruning, id="vanilla"
        ),
        pytest.param("pattern:kernel=3x3x3,entries=9", marks=pytest.mark.pruning, id="pattern"),
        pytest.param("shape+unstructured:layers=last", marks=pytest.mark.pruning, id="shape"),
        pytest.param("channels", marks=pytest.mark.pruning, id="channels"),
    ],
)
def test_3d_convolutions(text: str) -> None:
    """They run on the accelerator, frame by frame, and lose what the scheme says."""
    exported(video_net(), text, VIDEO)
    network = compile_network(video_net(), "sparse256", prune=text)
    assert network.cpu == {}
    found = validate(network, {"x": image(VIDEO)})
    assert found.exact, found.text()


def test_compiling_leaves_out_channels_that_cannot_matter() -> None:
    """A block of filters of zeros whose bias a ReLU removes: neither computed, nor stored, nor
    read. Fewer channels than a block may stay (``lower_fastest``)."""
    model = image_net()
    for tensor in model.graph.initializer:
        if tensor.name in ("three.w", "three.b"):
            values = numpy_helper.to_array(tensor).copy()
            values[2:18] = 0 if tensor.name == "three.w" else -0.5
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    network = compile_network(model, "dense256")
    shapes = {
        layer.node: layer.shape for program in network.programs.values() for layer in program.layers
    }
    assert shapes["three"] == (1, 22 + 4, 12, 12), "in the tensor of the concatenation"
    assert shapes["pool"] == (1, 26, 4, 4)
    found = validate(network, {"x": image()})
    assert found.exact, found.text()
    session = onnxruntime.InferenceSession(model.SerializeToString())
    [wanted] = session.run(None, {"x": image()})
    [got] = run_cpu(compile_for_cpu(network.floating_module), "main", [image()])
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
