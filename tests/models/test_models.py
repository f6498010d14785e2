"""The committed classifiers and their data are what models/README.md says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

MODELS_DIR = Path(__file__).resolve().parents[2] / "models"


@pytest.mark.parametrize("name", ["fashion_dense", "fashion_pattern", "fashion_residual"])
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
    assert data["image"].shape == (1000, 1, 28, 28)
    assert data["image"].dtype == np.float32
    assert 0 == data["image"].min() < data["image"].max() == 1
    assert np.bincount(data["labels"], minlength=10).min() > 50


@pytest.mark.parametrize("name", ["fashion_dense", "fashion_pattern", "fashion_residual"])
def test_committed_models_classify(name: str) -> None:
    """By ONNX's reference: what training measured survives in the file."""
    data = np.load(MODELS_DIR / "fashion_test.npz")
    network = ReferenceEvaluator(onnx.load(MODELS_DIR / f"{name}.onnx"))
    (logits,) = network.run(None, {"image": data["image"][:200]})
    assert np.mean(logits.argmax(1) == data["labels"][:200]) >= 0.9


def test_calibration_images_are_not_test_images() -> None:
    calibration = np.load(MODELS_DIR / "fashion_calibration.npz")["image"]
    held_out = {image.tobytes() for image in np.load(MODELS_DIR / "fashion_test.npz")["image"]}
    assert calibration.shape == (128, 1, 28, 28)
    assert calibration.dtype == np.float32
    assert 0 <= calibration.min() < calibration.max() <= 1
    assert len(held_out) == 1000
    assert not any(image.tobytes() in held_out for image in calibration)
