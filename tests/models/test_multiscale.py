"""Networks that split, resize and join: as large as the literature says, each one region, exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from models.detector import yolox_nano
from models.multiscale import shufflenet_v2, unet, yolov5
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.execution.validation import validate

SMALL = {
    "unet": lambda: unet(image=16, width=8, levels=2),
    "yolov5": lambda: yolov5(image=32, width=1 / 16, depth=0.1, classes=3),
    "yolox_nano": lambda: yolox_nano(image=32, width=1 / 16, depth=0.1, classes=3),
}


def image(side: int) -> dict[str, np.ndarray]:
    values = np.random.default_rng(1).standard_normal((1, 3, side, side))
    return {"image": values.astype(np.float32)}


@pytest.mark.parametrize(
    ("model", "millions"),
    [
        (lambda: shufflenet_v2(image=32), 2.279),  # torchvision's shufflenet_v2_x1_0
        (lambda: unet(image=32), 31.03),
        (lambda: yolov5(image=32), 1.867),  # Ultralytics' yolov5n
        (lambda: yolox_nano(image=32), 0.91),  # the paper's table 3
    ],
)
def test_parameters(model: Callable[[], onnx.ModelProto], millions: float) -> None:
    made = model()
    onnx.checker.check_model(made, full_check=True)
    learned = ("weight", "bias", "scale")
    count = sum(
        numpy_helper.to_array(each).size
        for each in made.graph.initializer
        if each.name.endswith(learned)
    )
    assert count / 1e6 == pytest.approx(millions, rel=5e-3)


@pytest.mark.parametrize("name", SMALL)
def test_activations_do_not_explode(name: str) -> None:
    model = SMALL[name]()
    side = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    for result in ReferenceEvaluator(model).run(None, image(side)):
        assert np.isfinite(result).all()
        assert 0.01 < np.abs(result).max() < 100


@pytest.mark.parametrize("name", ["unet", pytest.param("yolov5", marks=pytest.mark.slow)])
def test_a_network_is_one_region_and_exact(name: str) -> None:
    model = SMALL[name]()
    side = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    network = compile_network(model, "sparse256")
    assert network.cpu == {}
    assert network.placement.regions == 1
    judged = validate(network, image(side))
    assert judged.exact, judged.text()
    assert min(judged.snr_db.values()) > 15
