"""The zoo's networks are valid, as large as the literature says, seeded, and of sane arithmetic."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from models.zoo import MODELS, mobilenet_v2, prune_unstructured, resnet

SIDE = 32  # every convolution halves 224 and 32 alike: at 224 each does (224 / 32)^2 times the work


def _weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _is_depthwise(weight: np.ndarray) -> bool:
    return weight.ndim == 4 and weight.shape[1] == 1


@pytest.mark.parametrize(
    ("name", "convolutions", "gmacs"),
    [
        ("resnet50", 53, 4.087),
        pytest.param("vgg16", 13, 15.347, marks=pytest.mark.matrix),
        ("mobilenet_v2", 52, 0.2996),
    ],
)
def test_convolutions_and_their_multiplies_at_224(
    name: str, convolutions: int, gmacs: float
) -> None:
    model = shape_inference.infer_shapes(MODELS[name](image=SIDE, classes=10), strict_mode=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.value_info, *model.graph.output)
    }
    weights = _weights(model)
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    macs = sum(weights[node.input[1]].size * prod(shapes[node.output[0]][2:]) for node in convs)
    assert len(convs) == convolutions
    assert macs * (224 // SIDE) ** 2 / 1e9 == pytest.approx(gmacs, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "parameters"), [("efficientnet_b0", 5_288_548), ("mobilenet_v3", 5_483_032)]
)
def test_gated_networks_have_the_parameters_of_torchvisions(name: str, parameters: int) -> None:
    """Statistics of normalisations are none."""
    model = MODELS[name](image=SIDE)
    onnx.checker.check_model(model, full_check=True)
    sizes = {each: weight.size for each, weight in _weights(model).items()}
    assert sum(n for each, n in sizes.items() if not each.endswith((".mean", ".var"))) == parameters
    assert all(node.name for node in model.graph.node)


@pytest.mark.parametrize(
    ("depth", "convolutions"),
    [
        (18, 20),
        (50, 53),
        *(pytest.param(*each, marks=pytest.mark.matrix) for each in ((34, 36), (101, 104))),
    ],
)
def test_resnets_are_valid_and_their_nodes_have_names(depth: int, convolutions: int) -> None:
    model = resnet(depth, image=SIDE, classes=10)
    onnx.checker.check_model(model, full_check=True)
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert "layer1.0.conv1" in names
    assert sum(node.op_type == "Conv" for node in model.graph.node) == convolutions


def test_the_stride_of_a_bottleneck_is_in_its_3x3() -> None:
    strides = {
        node.name: attribute.ints[0]
        for node in resnet(50, image=SIDE).graph.node
        for attribute in node.attribute
        if attribute.name == "strides"
    }
    assert [strides[f"layer2.0.conv{index}"] for index in (1, 2, 3)] == [1, 2, 1]


def test_the_seed_decides_the_weights() -> None:
    first, again, other = (
        mobilenet_v2(seed=seed, image=SIDE).SerializeToString(deterministic=True)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "mobilenet_v3", "efficientnet_b0"])
def test_activations_do_not_explode(name: str) -> None:
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    model = shape_inference.infer_shapes(MODELS[name](image=64, classes=10))
    (logits,) = ReferenceEvaluator(model).run(None, {"image": image})
    assert np.isfinite(logits).all()
    assert 0.01 < np.abs(logits).max() < 100


def test_magnitude_pruning_removes_the_smallest_of_each_layer() -> None:
    dense = mobilenet_v2(image=SIDE, classes=10)
    before, original = _weights(dense), dense.SerializeToString(deterministic=True)
    after = _weights(prune_unstructured(dense, 0.75))
    assert dense.SerializeToString(deterministic=True) == original
    for name, weight in before.items():
        kept = after[name]
        if not name.endswith("weight") or _is_depthwise(weight):
            np.testing.assert_array_equal(kept, weight)
            continue
        assert np.count_nonzero(kept == 0) == int(0.75 * weight.size)
        np.testing.assert_array_equal(kept[kept != 0], weight[kept != 0])
        assert np.abs(weight[kept == 0]).max() <= np.abs(kept[kept != 0]).min()
