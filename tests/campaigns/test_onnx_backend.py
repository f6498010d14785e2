"""A slice of ONNX's own cases, and that what must not happen would be seen."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.campaigns import onnx_check
from tests.campaigns.onnx_backend import BackendResult, Worker, attempt, could, counts
from tests.campaigns.onnx_cases import BackendRequest, Example, Form, example, form_of, frozen
from tests.campaigns.onnx_check import DISPUTED, BackendVerdict, compare, judge
from zeroskip.accel_model.errors import ZeroskipError

PARTS = 6  # that the slice is judged in

RIGHT: dict[Form, str] = {
    "as is": """and3d argmax_keepdims_example averagepool_2d_ceil averagepool_3d_default
        basic_conv_with_padding batchnorm_example clip_min_greater_than_max
        concat_2d_axis_1 conv_with_autopad_same convtranspose_pads dequantizelinear
        flatten_axis2 gathernd_example_int32 gemm_all_attributes globalaveragepool hardswish
        layer_normalization_2d_axis0
        lppool_2d_default lrn maxpool_2d_dilations mod_mixed_sign_int32
        prelu_broadcast qlinearconv quantizelinear_axis shape_start_1 size softmax_axis_1
        spacetodepth where_example""",
    "frozen": """clip_default_min cumsum_1d expand_dim_changed gather_negative_indices
        matmul_3d slice_neg_steps pow
        reduce_sum_keepdims_example resize_upsample_sizes_nearest scatternd slice
        tile unsqueeze_two_axes""",
}
REFUSED = {
    "bitshift_left_int32_negative_shift": "Node 'BitShift_z' (BitShift) may shift by a negative",
    "cast_FLOAT_to_INT4": "Node 'Cast_output' (Cast) makes a tensor of type INT4",
    "expand_dim_changed": "Node 'Expand_expanded' (Expand) depends on the values of 'new_shape'",
    "identity_sequence": "Input 'x' is not a tensor",
    "loop11": "Node 'Loop_res_y' (Loop) is control flow",
    "momentum": "has operator ai.onnx.preview.training.Momentum, which TVM cannot import",
    "sequence_insert_at_back": "Input 'sequence' is not a tensor",
    "strnormalizer_nostopwords_nochangecase": "Input 'x' is of type STRING",
}


@pytest.fixture(autouse=True, scope="module")
def frozen_heap() -> Iterator[None]:
    """What is there already is not looked through after each case."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("form", RIGHT)
@pytest.mark.parametrize(
    "part", [0, *(pytest.param(n, marks=pytest.mark.matrix) for n in range(1, PARTS))]
)
def test_a_slice_is_right(form: Form, part: int) -> None:
    for name in RIGHT[form].split()[part::PARTS]:
        verdict = judge(form_of(BackendRequest("node", f"test_{name}", form)))
        assert verdict == BackendVerdict("right"), name


@pytest.mark.parametrize("name", REFUSED)
def test_a_slice_is_refused(name: str) -> None:
    verdict = judge(form_of(BackendRequest("node", f"test_{name}", "as is")))
    assert verdict.outcome == "refused", verdict
    assert REFUSED[name] in verdict.why


def test_the_frozen_form_keeps_the_first_input_of_floats() -> None:
    case = frozen(example("node", "test_where_example"))
    assert case is not None
    assert [item.name for item in case.model.graph.input] == ["x"]
    assert {item.name for item in case.model.graph.initializer} == {"condition", "y"}
    assert list(case.inputs) == ["x"]
    assert frozen(example("node", "test_relu")) is None


def raising(problem: Exception) -> Callable[[Example], BackendVerdict]:
    def judging(_case: Example) -> BackendVerdict:
        raise problem

    return judging


def printing(case: Example) -> BackendVerdict:
    import os

    os.write(1, b"Warning: what nobody asked for")
    return BackendVerdict("right")


@pytest.mark.parametrize(
    ("does", "outcome", "why"),
    [
        (raising(ZeroskipError("no")), "refused", "no"),
        (raising(ZeroskipError("two\nlines")), "foreign", "a sentence of 9 characters"),
        (raising(ZeroskipError("a" * 3000)), "foreign", "a sentence of 3000 characters"),
        (raising(KeyError("axis")), "foreign", "KeyError: 'axis'"),
        (printing, "foreign", "right, but writes to the terminal: Warning: what nobody"),
    ],
)
def test_what_must_not_happen_is_seen(
    does: Callable[[Example], BackendVerdict],
    outcome: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnx_check, "_judge", does)
    verdict = judge(example("node", "test_relu"))
    assert verdict.outcome == outcome
    assert verdict.why.startswith(why)


def test_a_wrong_answer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a float network, and of one that is quantized: what int8 costs is not wrong."""
    monkeypatch.setattr(onnx_check, "by_onnxruntime", lambda _case: {})
    for name, limit in (("test_softmax_axis_1", 3e-3), ("test_globalaveragepool", 0.3)):
        case = example("node", name)
        [(port, want)] = case.outputs.items()
        other = Example(
            case.model, case.inputs, {port: want * (1 + limit) + limit}, case.rtol, case.atol
        )
        assert judge(other).outcome == "wrong", name


@pytest.mark.parametrize(
    ("want", "got", "why"),
    [
        (np.zeros(3), np.zeros(4), "shape [4], not [3]"),
        (np.zeros(3, np.int64), np.zeros(3, np.int32), "int32, not int64"),
        (np.array([1, 2]), np.array([1, 3]), "differs in 1 of 2"),
        (np.array([1.0, np.nan]), np.array([1.0, 0.0]), "off by"),
        (np.array([1.0, np.nan]), np.array([1.0005, np.nan]), ""),
        (np.array([1, 2048], np.float16), np.array([1, 2050], np.float16), ""),
    ],
)
def test_differences(want: Any, got: Any, why: str) -> None:
    difference = compare(want, got, 1e-3, 1e-7)
    assert (why in difference) if why else not difference


def test_a_disputed_case_is_judged_by_onnxruntime() -> None:
    wanted = BackendRequest("node", "test_resize_downsample_scales_linear_align_corners", "frozen")
    assert judge(form_of(wanted)) == BackendVerdict("right", DISPUTED)


class Dying(Worker):
    """A process that ends with the first question of each kind."""

    def ask(self, question: str, wanted: BackendRequest) -> Any:
        return "the process ended with -11" if question == "judge" else "Relu"


def test_a_case_that_ends_its_process_is_foreign() -> None:
    result = attempt(Dying(), BackendRequest("node", "test_relu", "as is"))
    assert result.verdict == BackendVerdict("foreign", "the process ended with -11")
    assert result.column == "foreign"


def test_tables() -> None:
    wanted = BackendRequest("node", "test_relu", "as is")
    found = [
        BackendResult(wanted, BackendVerdict("right"), "Relu"),
        BackendResult(wanted, BackendVerdict("refused", "not this"), "Relu", tvm="KeyError"),
        BackendResult(wanted, BackendVerdict("refused", "not that"), "Relu", tvm=""),
    ]
    assert counts(found).splitlines()[2] == "| node | as is | 3 | 1 | 1 | 1 | 0 | 0 |"
    assert could(found).splitlines()[2:] == ["| Relu | not that | 1 |"]
