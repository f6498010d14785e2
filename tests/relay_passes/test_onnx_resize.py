"""Resizes by any scale give ONNX's numbers, or are left to TVM where it is right."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, helper, numpy_helper

from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu


def resize(
    version: int, scales: Any = None, sizes: Any = None, rank: int = 4, **attrs: Any
) -> ModelProto:
    shape = [1, 2, 7, 9, 5][:rank]
    names = ["x", "", "s"] if sizes is None else ["x", "", "", "s"]
    if version == 11:
        names[1] = "roi"
    if version == 10:
        names = ["x", "s"]
    value = np.array(scales, np.float32) if sizes is None else np.array(sizes, np.int64)
    graph = helper.make_graph(
        [helper.make_node("Resize", names, ["y"], name="up", **attrs)],
        "resize",
        [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info("y", 1, [None] * rank)],
        [
            numpy_helper.from_array(value, "s"),
            numpy_helper.from_array(np.zeros(0, np.float32), "roi"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)


CASES = [
    *(
        dict(version=v, scales=[1, 1, s, s], mode=mode)
        for v in (11, 13, 18, 19)
        for s in (1.5, 0.6, 2)
        for mode in ("nearest", "linear")
    ),
    *(
        dict(version=13, scales=[1, 1, s, s], mode="cubic", cubic_coeff_a=-0.5, exclude_outside=e)
        for s in (1.5, 0.6, 2)
        for e in (0, 1)
    ),
    dict(version=10, scales=[1, 1, 1.5, 1.5], mode="nearest"),
    dict(version=10, scales=[1, 1, 1.5, 1.5], mode="linear"),
    dict(version=17, sizes=[1, 2, 10, 4], mode="linear"),
    dict(version=17, sizes=[1, 2, 10, 4], mode="nearest"),
    dict(version=17, sizes=[1, 2, 14, 18], mode="cubic"),
    dict(version=18, scales=[0.6, 0.6], axes=[2, 3], antialias=1, mode="linear"),
    dict(version=18, scales=[0.6, 0.6], axes=[2, 3], antialias=1, mode="cubic"),
    dict(
        version=18,
        sizes=[12, 12],
        axes=[2, 3],
        mode="linear",
        keep_aspect_ratio_policy="not_larger",
    ),
    dict(
        version=19,
        scales=[1, 1, 1.5, 1.5],
        mode="linear",
        coordinate_transformation_mode="half_pixel_symmetric",
    ),
    *(
        dict(version=13, scales=[1, 1, 1.5, 0.6], mode=mode, coordinate_transformation_mode=how)
        for mode in ("linear", "nearest")
        for how in ("asymmetric", "align_corners", "pytorch_half_pixel")
    ),
    dict(version=13, scales=[1, 1, 1.5], rank=3, mode="linear"),
    dict(version=13, scales=[1, 1.5], rank=2, mode="linear"),
]


def outputs(model: ModelProto, x: Any) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rewritten_resize_gives_what_the_model_gives(case: dict[str, Any]) -> None:
    model = resize(**case)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    got = outputs(normalise_onnx(model), x)
    np.testing.assert_allclose(got, outputs(model, x), rtol=0, atol=2e-5)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_tvm_computes_a_resize_by_a_scale_that_is_not_whole(mode: str) -> None:
    model = resize(13, [1, 1, 1.5, 0.6], mode=mode)
    x = np.random.default_rng(0).standard_normal((1, 2, 7, 9)).astype(np.float32)
    got = run_cpu(compile_for_cpu(import_float(model, {})), "main", [x])[0]
    np.testing.assert_allclose(got, outputs(model, x), rtol=0, atol=2e-5)


def test_a_resize_has_no_weights_that_could_be_pruned() -> None:
    """Its matrices are constants of a product, as a layer's weights are."""
    module = import_float(resize(13, [1, 1, 1.5, 0.6], mode="linear"), {})
    assert prunable_layers(module["main"]) == []
