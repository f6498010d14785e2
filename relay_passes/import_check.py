"""The imported float module against onnxruntime on one sample, at every compile.

Every later check compares with the import; this one compares the import with the user's model,
as it was before our own rewrites and upgrades. A float network differs by reassociated sums only,
far above ``FLOAT_DB``: below that it is another network. In a quantised model such a sum
may move a value over a rounding edge, by a whole step: ``QUANTIZED_DB``, chosen and not measured.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from zeroskip.relay_passes.errors import FrontError

Array = npt.NDArray[Any]
FLOAT_DB = 40.0
QUANTIZED_DB = 15.0
HALF_DB = 25.0  # of a model whose own numbers are float16: the import computes in float32
_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
           "Multinomial", "Bernoulli"}


def check_import(model: str | Path | onnx.ModelProto, nodes: Sequence[onnx.NodeProto],
                 sample: Mapping[str, Array], got: Mapping[str, Array], images: int = 1) -> None:
    """Compare outputs by name, ``got``, with onnxruntime's for ``sample``, by input name.

    images: of the model's batch, where the import is of one of them; each is the sample then.

    FrontError names the node that makes the first output that differs. A model that onnxruntime
    cannot run, or that draws random numbers, is not checked and a warning says so.
    """
    if any(node.op_type in _RANDOM for node in nodes):
        warnings.warn("The import is not compared with onnxruntime: the model draws random "
                      "numbers.", RuntimeWarning, stacklevel=2)
        return
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    source = str(model) if isinstance(model, str | Path) else model.SerializeToString()
    try:
        session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
        known = {item.name for item in session.get_inputs()}
        names = list(got)
        want = session.run(names, {n: np.concatenate([x] * images) if images > 1 else x
                                   for n, x in sample.items() if n in known})
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no reason"
        warnings.warn(f"The import is not compared with onnxruntime, which cannot run this model "
                      f"({reason}).", RuntimeWarning, stacklevel=2)
        return
    quantized = any("Quantize" in n.op_type or n.op_type.startswith("QLinear") for n in nodes)
    limit = QUANTIZED_DB if quantized else FLOAT_DB
    for name, right in zip(names, want, strict=True):
        if images > 1:
            right = np.split(right, images)[0]
        if right.dtype == np.float16:
            limit = min(limit, HALF_DB)
        level = agreement(np.asarray(right), got[name])
        if level < limit:
            made = [n.name or n.op_type for n in nodes if name in n.output]
            place = f"Node '{made[0]}'" if made else f"Output '{name}'"
            raise FrontError(
                f"{place} does not give what onnxruntime gives (output '{name}' agrees to "
                f"{level:.0f} dB, {limit:.0f} are asked): replace it, or an operator before it, "
                "by other ONNX operators before export.")


def agreement(want: Array, got: Array) -> float:
    """Signal to noise in dB: infinity for the same values, minus infinity for another shape or
    other places of NaN and infinities."""
    if want.shape != got.shape:
        return -np.inf
    if want.dtype.kind not in "biuf":
        return np.inf
    a, b = want.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(a)
    if not (np.array_equal(finite, np.isfinite(b))
            and np.array_equal(a[~finite], b[~finite], equal_nan=True)):
        return -np.inf
    noise = float(np.sum((a[finite] - b[finite]) ** 2))
    signal = float(np.sum(a[finite] ** 2))
    if noise <= 1e-12 * max(a[finite].size, 1):
        return np.inf
    return 10 * float(np.log10(max(signal, 1e-300) / noise))
