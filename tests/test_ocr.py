"""The three published networks inside rapidocr-onnxruntime (Apache-2.0): hard-swish,
squeeze-excite, transposed convolutions and layer normalisation on the accelerator, attention on
the CPU (``make test-ocr``)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.execution.validation import validate

MODELS = {  # the input's shape, and the regions that there are
    "ch_ppocr_mobile_v2.0_cls_infer": ((1, 3, 48, 192), 1),
    "ch_PP-OCRv4_det_infer": ((1, 3, 320, 320), 1),
    "ch_PP-OCRv4_rec_infer": ((1, 3, 48, 320), 3),
}


@pytest.mark.ocr
@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256"])
@pytest.mark.parametrize("name", MODELS)
def test_every_region_is_bit_exact(name: str, target: str) -> None:
    package = find_spec("rapidocr_onnxruntime")
    assert package is not None, "install the ocr extra: make test-ocr does"
    assert package.origin is not None
    path = Path(package.origin).parent / "models" / f"{name}.onnx"
    shape, regions = MODELS[name]
    network = compile_network(path, target, shapes={"x": shape})
    x = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    found = validate(network, {network.inputs[0].name: x})
    print(name, target, found.text())
    assert found.exact, found.text()
    assert found.regions == regions
    assert len(network.host_calls) == regions + 1  # one before each, and one behind the last
    assert network.cpu
