"""The judge is judged: each way in which a comparison could say yes too easily."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zeroskip.accel_model.program import Tile
from zeroskip.relay_passes.pruning.quality import noise, snr_db
from zeroskip.runtime import validation
from zeroskip.runtime.validation import Layers, Mismatch, Validation


def judged(monkeypatch: pytest.MonkeyPatch, expected: np.ndarray, *, tiles: int,
           output: np.ndarray | None = None) -> tuple[Mismatch | None, int]:
    """A region of one layer of two pixels, of which the first ``tiles`` are written as zeros."""
    info = SimpleNamespace(result="conv", shape=(1, 1, 1, 2))
    outputs = () if output is None else (SimpleNamespace(name="y"),)
    program: Any = SimpleNamespace(name="r", inputs=(), outputs=outputs, layers=(info,))
    seen = Layers(program)
    for x in range(tiles):
        seen(7 + x, Tile(0, 0, 1, (0, x), (1, 1)), np.zeros((1, 1, 1, 1), np.int8))
    function = SimpleNamespace(params=(), attrs={validation.LAYERS_ATTR: ["conv"]})
    network: Any = SimpleNamespace(reference_module={"r": function},
                                   results={"r": [] if output is None else [0]})
    one: Any = SimpleNamespace(program=program, inputs={}, layers=seen,
                               run=SimpleNamespace(outputs={"y": output}))
    monkeypatch.setattr(validation, "run_cpu", lambda *_: [expected])
    return validation._compare(network, None, one)


ZEROS = np.zeros((1, 1, 1, 2), np.int8)


def test_a_region_that_is_right_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(monkeypatch, ZEROS, tiles=2, output=ZEROS) == (None, 1)


def test_an_element_that_nothing_wrote_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if TVM has there what the buffer happens to hold."""
    found, _ = judged(monkeypatch, ZEROS, tiles=1)
    assert found is not None
    assert (found.index, found.pc) == ((0, 0, 0, 1), -1)


def test_a_wrong_layer_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = judged(monkeypatch, np.array([[[[0, 3]]]], np.int8), tiles=2)
    assert found == Mismatch("r", "conv", (0, 0, 0, 1), 8, 3, 0)


def test_a_wrong_output_of_right_layers_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = judged(monkeypatch, ZEROS, tiles=2, output=np.array([[[[0, 5]]]], np.int8))
    assert found == Mismatch("r", "conv", (0, 0, 0, 1), -1, 0, 5)


def test_the_last_instruction_that_wrote_an_element_is_named() -> None:
    info = SimpleNamespace(shape=(1, 1, 1, 2))
    program: Any = SimpleNamespace(layers=(info,))
    seen = Layers(program)
    for pc in (3, 9):
        seen(pc, Tile(0, 0, 1, (0, 0), (1, 2)), np.zeros((1, 1, 1, 2), np.int8))
    assert seen.pc_of(0, (0, 0, 0, 1)) == 9


def test_exact_is_whether_there_is_no_difference() -> None:
    wrong = Mismatch("r", "conv", (0,), 1, 2, 3)
    assert Validation(1, 1, 1, None, {}, {}).exact
    assert not Validation(1, 0, 1, wrong, {}, {}).exact


def test_signal_to_noise_is_against_the_float_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signal 25, noise 1: 10 log10 25; and a largest element that is elsewhere is said."""
    ports = (SimpleNamespace(name="same"), SimpleNamespace(name="other"))
    network: Any = SimpleNamespace(floating_module=None, outputs=ports)
    floats = [np.array([3.0, 4.0]), np.array([3.0, 4.0])]
    monkeypatch.setattr(validation, "compile_for_cpu", lambda _: None)
    monkeypatch.setattr(validation, "run_cpu", lambda *_: floats)
    snr, same = validation._against_float(
        network, [[]], [[np.array([3.0, 5.0]), np.array([5.0, 4.0])]])
    assert snr["same"] == pytest.approx(13.9794, abs=1e-4)
    assert snr["other"] == pytest.approx(7.9588, abs=1e-4)
    assert same == {"same": True, "other": False}


def test_the_signal_of_a_pruned_network_is_that_of_the_dense_one() -> None:
    wanted, made = [np.array([10.0])], [np.array([9.0])]
    assert noise(wanted, made) == pytest.approx(0.01)
    assert snr_db(wanted, made) == pytest.approx(20)
