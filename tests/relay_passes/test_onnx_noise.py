"""Random networks full of noise: onnxruntime computes the same before and behind the rewrites."""

import numpy as np
import onnx
from hypothesis import given, settings

from tests.relay_passes.noisy_nets import noisy_models
from tests.relay_passes.onnx_oracle import inputs_of
from tests.relay_passes.test_onnx_layout import run_onnxruntime
from zeroskip.relay_passes.frontend.normalise import normalise_onnx


@given(noisy_models())
@settings(derandomize=True, deadline=None, max_examples=120)
def test_noise_goes_and_the_numbers_stay(model: onnx.ModelProto) -> None:
    values = inputs_of(model, 1)
    want = run_onnxruntime(model, values)
    made = normalise_onnx(model)
    onnx.checker.check_model(made, full_check=True)
    got = run_onnxruntime(made, values)
    for a, b in zip(want, got, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4 * max(1, np.abs(a).max(initial=0)))
    kinds = {node.op_type for node in made.graph.node}
    assert not kinds & {"Dropout", "If", "Cast"}
