"""The committed classifiers are what models/README.md says; the zoo has the sizes it should."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, shape_inference

from models.zoo import MODELS, prune_unstructured, resnet

MODELS_DIR = Path(__file__).resolve().parents[2] / "models"


@pytest.mark.parametrize("name", ["fashion_dense", "fashion_pattern"])
def test_committed_models_are_small_and_valid(name: str) -> None:
    path = MODELS_DIR / f"{name}.onnx"
    assert path.stat().st_size <= 2_000_000
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    kinds = {node.op_type for node in model.graph.node}
    assert {"Conv", "BatchNormalization", "Add", "MaxPool"} <= kinds


def test_pattern_model_has_patterns_and_balanced_filters() -> None:
    model = onnx.load(MODELS_DIR / "fashion_pattern.onnx")
    patterns = set()
    for tensor in model.graph.initializer:
        weight = numpy_helper.to_array(tensor)
        if weight.ndim != 4 or tensor.name.startswith("stem"):
            continue
        kernels = (weight != 0).reshape(*weight.shape[:2], 9)
        assert set(np.unique(kernels.sum(axis=2))) <= {0, 4}
        kept = kernels.any(axis=2).sum(axis=1)
        assert kept.min() == kept.max() == weight.shape[1] // 2
        patterns |= {tuple(mask) for mask in kernels[kernels.any(axis=2)].tolist()}
    assert len(patterns) <= 8


def test_test_images_are_the_thousand_promised() -> None:
    data = np.load(MODELS_DIR / "fashion_test.npz")
    assert data["images"].shape == (1000, 1, 28, 28)
    assert data["images"].dtype == np.uint8
    assert np.bincount(data["labels"], minlength=10).min() > 50


@pytest.mark.parametrize(
    ("name", "gmacs"), [("resnet50", 4.087), ("vgg16", 15.347), ("mobilenet_v2", 0.299)])
def test_multiplies_of_the_convolutions(name: str, gmacs: float) -> None:
    model = shape_inference.infer_shapes(MODELS[name]())
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
              for value in (*model.graph.value_info, *model.graph.output)}
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    total = sum(prod(weights[node.input[1]]) * prod(shapes[node.output[0]][2:])
                for node in model.graph.node if node.op_type == "Conv")
    assert total / 1e9 == pytest.approx(gmacs, abs=5e-4)


def test_magnitude_pruning_removes_what_it_says() -> None:
    model = prune_unstructured(resnet(18, image=32), 0.75)
    for tensor in model.graph.initializer:
        weight = numpy_helper.to_array(tensor)
        if weight.ndim == 4:
            assert np.mean(weight == 0) == pytest.approx(0.75, abs=0.01)
