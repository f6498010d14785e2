"""One case of ONNX's through the whole compiler: right, refused, wrong, or something foreign.

What is wrong is told from what int8 costs in two steps. The imported float network must give what
the case expects, to the case's own tolerance, or where the case is disputed what onnxruntime gives.
The accelerator must give TVM's integers in every
bit, and the whole then differs from what is expected by quantization only: more than ``LOOSE_DB``
of signal to noise, or where no layer is quantized nothing but the float network.
"""

from __future__ import annotations

import gc
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
DISPUTED = "as onnxruntime has it, not as the case"
LONGEST = 600  # characters of a sentence


class BackendVerdict(NamedTuple):
    """outcome: one of OUTCOMES. why: a line; of what is right, ``DISPUTED`` or nothing."""

    outcome: str
    why: str = ""


def judge(case: Example) -> BackendVerdict:
    """What comes of the case, whatever is raised on the way."""
    with _silence() as written:
        verdict = _outcome(case)
        gc.collect()  # TVM complains of some objects when they go
    if written and verdict.outcome != "foreign":
        return BackendVerdict(
            "foreign",
            f"{verdict.outcome}, but writes to the terminal: {' '.join(written[0].split())[:300]}",
        )
    return verdict


def _outcome(case: Example) -> BackendVerdict:
    try:
        return _judge(case)
    except ZeroskipError as refusal:
        text = str(refusal)
        if not text or "\n" in text.strip() or len(text) > LONGEST:
            return BackendVerdict(
                "foreign", f"a sentence of {len(text)} characters: {text[:200]!r}"
            )
        return BackendVerdict("refused", text)
    except Exception as problem:
        what = " ".join(str(problem).split())[:300]
        return BackendVerdict("foreign", f"{type(problem).__name__}: {what}")


def _judge(case: Example) -> BackendVerdict:
    from zeroskip.compiler.driver import compile as compile_model
    from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
    from zeroskip.runtime.execution.session import Session, images_of
    from zeroskip.runtime.execution.validation import validate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = compile_model(case.model, "sparse256", calibrate=_samples(case.inputs))
    arrays = {port.name: case.inputs[port.name] for port in network.run_inputs}
    found = Session(network).run(arrays)
    if set(found) != set(case.outputs):
        return BackendVerdict("wrong", f"outputs {sorted(found)} for {sorted(case.outputs)}")

    floats = found
    quantized = bool(network.programs) or _converts(network)
    if quantized:
        executable = compile_for_cpu(network.floating_module)
        images = [run_cpu(executable, "main", image) for image in images_of(network, arrays)]
        floats = {
            port.name: np.concatenate(parts) if len(parts) > 1 else parts[0]
            for port, parts in zip(network.outputs, zip(*images, strict=True), strict=True)
        }
    difference = _difference(case.outputs, floats, found if quantized else None, case)
    if difference and _difference(by_onnxruntime(case), floats, found if quantized else None, case):
        return BackendVerdict("wrong", difference)
    if network.programs and not (checked := validate(network, arrays)).exact:
        return BackendVerdict("wrong", f"not TVM's bits: {checked.mismatch}")
    return BackendVerdict("right", DISPUTED if difference else "")


def _difference(
    wanted: Mapping[str, Any],
    floats: Mapping[str, Array],
    integers: Mapping[str, Array] | None,
    case: Example,
) -> str:
    """In which way results are not those that are wanted; empty if they are."""
    for name in case.outputs:
        if name not in wanted:
            return f"output '{name}' is unknown"
        difference = compare(wanted[name], floats[name], case.rtol, case.atol)
        if not difference and integers is not None:
            difference = _roughly(wanted[name], integers[name])
        if difference:
            return f"output '{name}' {difference}"
    return ""


def by_onnxruntime(case: Example) -> dict[str, Any]:
    """What onnxruntime gives: of some cases something else than they expect. Nothing of what it
    cannot run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            case.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return dict(
            zip(case.outputs, session.run(list(case.outputs), dict(case.inputs)), strict=True)
        )
    except Exception:  # onnxruntime's own, of many kinds
        return {}


def _converts(network: Any) -> bool:
    """Whether the host quantizes what the float network does not."""
    from zeroskip.relay_passes.relax.rewriting import bindings, op_name

    host, floating = (
        sum(op_name(each.value) == "relax.quantize" for each in bindings(one["main"]))
        for one in (network.reference_module, network.floating_module)
    )
    return host > floating


def _samples(inputs: Mapping[str, Any]) -> Any:
    """The case's own inputs as calibration data; random ones where they are no samples."""
    arrays = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
    fits = len(arrays) == len(inputs) and all(
        value.size and (value.dtype.kind != "f" or np.isfinite(value).all())
        for value in arrays.values()
    )
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
    if np.allclose(
        b, a, rtol=max(rtol, coarse), atol=max(atol, coarse, 1e-6) * max(largest, 1), equal_nan=True
    ):
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
    with _silence():
        try:
            found = _alone(case)
        except Exception as problem:
            return f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        finally:
            gc.collect()
    for (name, want), got in zip(case.outputs.items(), found, strict=True):
        difference = compare(want, got, case.rtol, case.atol)
        if difference:
            return f"output '{name}' {difference}"
    return ""


def _alone(case: Example) -> list[Array]:
    """TVM's results, in the order of the outputs."""
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    module = relax.transform.DecomposeOpsForInference()(from_onnx(case.model))
    machine = relax.VirtualMachine(tvm.compile(module, "llvm"), tvm.cpu())
    count = len(module["main"].params)
    given = [tvm.runtime.tensor(np.asarray(value, order="C")) for value in case.inputs.values()]
    result = machine["main"](*given[:count])
    tensors = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
    return [tensor.numpy() for tensor in tensors]


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
    return ", ".join(
        dict.fromkeys(
            f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            for node in model.graph.node
        )
    )
