"""The three networks of RapidOCR: text detection, its angle, and text recognition."""

import importlib.util
from pathlib import Path

import onnx
import pytest
import tvm
from tvm import relax

from tests.relay_passes.onnx_oracle import assert_close, inputs_of, reference, run_tvm
from zeroskip.relay_passes.frontend.load import load_onnx
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.relax.fold import FoldBatchNorm
from zeroskip.relay_passes.relax.rewriting import bindings, nodes_of, op_name

pytestmark = pytest.mark.ocr

SEED = 23
SHAPES = {"_det_": (1, 3, 320, 320), "_cls_": (1, 3, 48, 192), "_rec_": (1, 3, 48, 320)}


def normalised(kind: str) -> onnx.ModelProto:
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    if spec is None or spec.origin is None:
        pytest.skip("rapidocr_onnxruntime is not installed")
    [path] = Path(spec.origin).parent.glob(f"models/*{kind}*.onnx")
    return normalise_onnx(load_onnx(path), {"x": SHAPES[kind]})


@pytest.mark.parametrize("kind", SHAPES)
def test_imports_with_every_operator_known(kind: str) -> None:
    model = normalised(kind)
    onnx.checker.check_model(model, full_check=True)
    mod = tvm.transform.Sequential([FoldBatchNorm()])(import_onnx(model))
    relax.analysis.well_formed(mod)
    func = mod["main"]
    calls = [op_name(binding.value) for binding in bindings(func)]
    assert None not in calls
    assert not {"relax.call_tir", "relax.nn.batch_norm"}.intersection(calls)
    assert list(nodes_of(func)) == [binding.var.name for binding in bindings(func)]


def test_angle_keeps_its_numbers() -> None:
    model = normalised("_cls_")
    values = inputs_of(model, SEED)
    wanted = reference(model, values)
    mod = import_onnx(model)
    assert_close(run_tvm(mod, [values["x"]]), wanted)
    assert_close(run_tvm(tvm.transform.Sequential([FoldBatchNorm()])(mod), [values["x"]]), wanted)
