"""An ONNX case through the whole compiler: every way to run it must agree."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from tests.campaigns.fuzz_case import FuzzCase
from tests.campaigns.fuzz_onnx import build_model, input_arrays
from tests.campaigns.fuzz_reference import run_reference
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import compile as compile_model
from zeroskip.compiler.errors import CompileError
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

Array = npt.NDArray[Any]
FLOAT_TOLERANCE = 1e-3  # of the largest magnitude of a tensor


def check_front(case: FuzzCase) -> str:
    """``exact`` or ``too small``; raises whatever goes wrong."""
    model, spec = build_model(case), case.spec()
    try:
        network = _compile(case, model, spec)
    except CompileError:
        if not case.changes:
            raise
        _compile(case, model, replace(case, changes={}).spec())
        return "too small"
    inputs = input_arrays(case, seed=2)
    found = Session(network, seed=case.order).run(inputs)
    checked = validate(network, inputs)
    assert checked.exact, f"validate: {checked.mismatch}"
    _check_images(network, inputs, found)
    _check_reference(network, inputs, found)
    _check_file(network, inputs, found)
    if not case.settings.keys() & {"prune", "qdq"}:
        _check_floats(network, model, inputs)
    return "exact"


def _compile(case: FuzzCase, model: onnx.ModelProto, spec: AccelSpec) -> Network:
    options = {key: case.settings[key] for key in ("prune", "method") if key in case.settings}
    return compile_model(model, spec, **options)


def _check_images(network: Network, inputs: dict[str, Array], found: dict[str, Array]) -> None:
    """Images that are run together have each what it has by itself."""
    if not all(port.shape for port in (*network.inputs, *network.outputs)):
        return
    flipped = {name: np.ascontiguousarray(np.flip(values)) for name, values in inputs.items()}
    alone = [found, Session(network).run(flipped), found]
    together = Session(network).run(
        {name: np.concatenate([values, flipped[name], values]) for name, values in inputs.items()}
    )
    for name, values in together.items():
        want = np.concatenate([each[name] for each in alone])
        _same(f"output '{name}' of three images", want, values)


def _check_reference(network: Network, inputs: dict[str, Array], found: dict[str, Array]) -> None:
    """The integer module on TVM's CPU gives the same outputs, where all arithmetic is integer."""
    arrays = [inputs[port.name] for port in network.inputs]
    if network.cpu:
        return
    wanted = run_cpu(compile_for_cpu(network.reference_module), "main", arrays)
    on_host = Session(network).run_host(arrays)
    for port, want, hosted in zip(network.outputs, wanted, on_host, strict=True):
        _same(f"output '{port.name}' of TVM's CPU", want, found[port.name])
        _same(f"output '{port.name}' of the host module", hosted, found[port.name])


def _check_file(network: Network, inputs: dict[str, Array], found: dict[str, Array]) -> None:
    """Saved, loaded and run again, it gives the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.zsk"
        network.save(path)
        again = Session(path).run(inputs)
        for name, values in found.items():
            _same(f"output '{name}' of the saved network", again[name], values)


def _same(what: str, want: Array, got: Array) -> None:
    assert want.shape == got.shape, f"{what} has shape {want.shape}, not {got.shape}"
    assert want.dtype == got.dtype, f"{what} is {want.dtype}, not {got.dtype}"
    assert np.array_equal(want, got, equal_nan=True), f"{what} differs"


def _check_floats(network: Network, model: onnx.ModelProto, inputs: dict[str, Array]) -> None:
    """The imported network gives what ONNX's own reference gives."""
    wanted = run_reference(model, inputs)
    arrays = [inputs[port.name] for port in network.inputs]
    found = run_cpu(compile_for_cpu(network.floating_module), "main", arrays)
    for port, want, got in zip(network.outputs, wanted, found, strict=True):
        assert want.shape == got.shape, f"float output '{port.name}' has another shape"
        error = float(np.abs(want - got).max()) / max(float(np.abs(want).max()), 1e-3)
        assert error <= FLOAT_TOLERANCE, f"float output '{port.name}' is off by {error:.1e}"
