"""One case of ONNX's through the whole compiler: right, refused, wrong, or something foreign.

What is wrong is told from what int8 costs in two steps. The imported float network must give what
the case expects, to the case's own tolerance. The accelerator must give TVM's integers in every
bit, and the whole then differs from what is expected by quantisation only: more than ``LOOSE_DB``
of signal to noise, or where no layer is quantised nothing but the float network.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from tests.campaigns.onnx_cases import Example
from zeroskip.accel_model.errors import ZeroskipError

Array = npt.NDArray[Any]
OUTCOMES = ("right", "refused", "wrong", "foreign")
LOOSE_DB = 15.0
LONGEST = 600  # characters of a sentence


class Verdict(NamedTuple):
    """outcome: one of OUTCOMES. why: a line, empty for what is right."""

    outcome: str
    why: str = ""


def judge(case: Example) -> Verdict:
    """What comes of the case, whatever is raised on the way."""
    try:
        with _silence() as written:
            verdict = _judge(case)
    except ZeroskipError as refusal:
        text = str(refusal)
        if not text or "\n" in text.strip() or len(text) > LONGEST:
            return Verdict("foreign", f"a sentence of {len(text)} characters: {text[:200]!r}")
        return Verdict("refused", text)
    except Exception as problem:
        return Verdict("foreign", f"{type(problem).__name__}: {' '.join(str(problem).split())[:300]}")
    if written:
        return Verdict("foreign", f"writes to the terminal: {' '.join(written[0].split())[:300]}")
    return verdict


def _judge(case: Example) -> Verdict:
    from zeroskip.compiler.driver import compile as compile_model
    from zeroskip.relay_passes.cpu_schedule import compile_for_cpu, run_cpu
    from zeroskip.runtime.session import Session, images_of
    from zeroskip.runtime.validation import validate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = compile_model(case.model, "sparse256", calibrate=_samples(case.inputs))
    arrays = {port.name: case.inputs[port.name] for port in network.run_inputs}
    found = Session(network).run(arrays)
    if set(found) != set(case.outputs):
        return Verdict("wrong", f"outputs {sorted(found)} for {sorted(case.outputs)}")

    executable = compile_for_cpu(network.floating_module)
    images = [run_cpu(executable, "main", image) for image in images_of(network, arrays)]
    floats = {port.name: parts[0] if len(parts) == 1 else np.concatenate(parts)
              for port, parts in zip(network.outputs, zip(*images, strict=True), strict=True)}
    for name, want in case.outputs.items():
        difference = compare(want, floats[name], case.rtol, case.atol)
        if difference:
            return Verdict("wrong", f"float output '{name}' {difference}")
        difference = (compare(want, found[name], case.rtol, case.atol) if not network.programs
                      else _roughly(want, found[name]))
        if difference:
            return Verdict("wrong", f"output '{name}' {difference}")
    if network.programs:
        checked = validate(network, arrays)
        if not checked.exact:
            return Verdict("wrong", f"not TVM's bits: {checked.mismatch}")
    return Verdict("right")


def _samples(inputs: Mapping[str, Any]) -> Any:
    """The case's own inputs as calibration data; random ones where they are no samples."""
    arrays = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
    fits = len(arrays) == len(inputs) and all(
        value.ndim and value.size and (value.dtype.kind != "f" or np.isfinite(value).all())
        for value in arrays.values())
    return arrays if fits and arrays else None


def compare(want: Any, got: Array, rtol: float, atol: float) -> str:
    """In which way two tensors differ; empty if they do not."""
    want = np.asarray(want)
    if want.shape != got.shape:
        return f"has shape {list(got.shape)}, not {list(want.shape)}"
    if want.dtype != got.dtype:
        return f"is {got.dtype}, not {want.dtype}"
    if want.dtype.kind in "biu":
        count = int(np.count_nonzero(want != got))
        return f"differs in {count} of {want.size}" if count else ""
    a, b = want.astype(np.float64), got.astype(np.float64)
    # A float16 is as far off as its own steps are; so is a sum of terms that cancel.
    coarse = 2 * float(np.finfo(want.dtype).eps) if want.dtype.kind == "f" else 0.02
    largest = float(np.abs(a[np.isfinite(a)]).max(initial=0))
    if np.allclose(b, a, rtol=max(rtol, coarse), atol=max(atol, coarse, 1e-6) * max(largest, 1),
                   equal_nan=True):
        return ""
    with np.errstate(all="ignore"):
        return f"is off by {np.nanmax(np.abs(a - b), initial=0):.2g} of {largest:.2g}"


def _roughly(want: Any, got: Array) -> str:
    """In which way an output differs by more than int8 costs."""
    want = np.asarray(want)
    if want.shape != got.shape or want.dtype != got.dtype:
        return compare(want, got, 0, 0)
    a, b = want.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return "has infinities elsewhere"
    noise, signal = (float(np.square(each[finite]).sum()) for each in (a - b, a))
    if noise == 0 or signal > noise * 10 ** (LOOSE_DB / 10):
        return ""
    return f"has {10 * np.log10(max(signal, 1e-300) / noise):.1f} dB of signal to noise"


def by_tvm(case: Example) -> str:
    """How TVM by itself fails to import and build the model or to give what is expected; empty if
    it does not."""
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    try:
        with _silence():
            module = relax.transform.DecomposeOpsForInference()(from_onnx(case.model))
            executable = tvm.compile(module, "llvm")
            machine = relax.VirtualMachine(executable, tvm.cpu())
            names = [str(param.name) for param in module["main"].params]
            given = [tvm.runtime.tensor(np.ascontiguousarray(value)) for value in
                     case.inputs.values()]
            result = machine["main"](*given[: len(names)])
            tensors = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
    except Exception as problem:
        return f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
    for (name, want), got in zip(case.outputs.items(), tensors, strict=True):
        try:
            difference = compare(want, got.numpy(), case.rtol, case.atol)
        except Exception as problem:
            return f"{type(problem).__name__}"
        if difference:
            return f"output '{name}' {difference}"
    return ""


@contextmanager
def _silence() -> Iterator[list[str]]:
    """What is written to both ends of the terminal meanwhile, by whatever language, in a list."""
    written: list[str] = []
    with tempfile.TemporaryFile() as file:
        before = [(number, os.dup(number)) for number in (1, 2)]
        for number, _ in before:
            os.dup2(file.fileno(), number)
        try:
            yield written
        finally:
            for number, kept in before:
                os.dup2(kept, number)
                os.close(kept)
            file.seek(0)
            text = file.read().decode(errors="replace").strip()
            if text:
                written.append(text)


def operators(model: onnx.ModelProto) -> str:
    """The operators of a model, for a list."""
    return ", ".join(dict.fromkeys(
        f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        for node in model.graph.node))
