"""The imported float module against onnxruntime on one sample, at every compile.

Every later check compares with the import; this one compares the import with the user's model,
as it was before our own rewrites and upgrades. A float network differs by reassociated sums only,
far above ``FLOAT_DB``: below that it is another network. In a quantised model such a sum
may move a value over a rounding edge, by a whole step: ``QUANTIZED_DB``, chosen and not measured.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import tvm

from zeroskip.relay_passes.calibrate import has_own_scales, observer
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.graph import bindings, node_of
from zeroskip.relay_passes.onnx_load import load_onnx
from zeroskip.relay_passes.passes import with_unique_names

Array = npt.NDArray[Any]
Model: TypeAlias = str | Path | onnx.ModelProto
FLOAT_DB = 40.0
QUANTIZED_DB = 15.0
HALF_DB = 25.0  # of a model whose own numbers are float16: the import computes in float32
_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
           "Multinomial", "Bernoulli"}


def check_import(model: Model, module: tvm.IRModule, sample: Mapping[str, Array],
                 got: Mapping[str, Array], images: int, again: Callable[[], tvm.IRModule]) -> None:
    """Compare outputs by name, ``got``, of the imported module with onnxruntime's of the model for
    ``sample``, by input name.

    images: of the model's batch, where the import is of one of them; each is the sample then.
    again: imports the model once more, nothing folded; called where an output differs, to name the
    first node, in the model's order, whose result does.

    FrontError where an output differs. A model that onnxruntime cannot run, or that draws random
    numbers, is not compared, and a warning says so.
    """
    source = str(model) if isinstance(model, str | Path) else model.SerializeToString()
    try:
        want = _run(source, sample, list(got), images)
    except Exception as error:  # onnxruntime's, of many kinds
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no reason"
        warnings.warn("The import is not compared with onnxruntime, which cannot run this model "
                      f"({reason}).", RuntimeWarning, stacklevel=2)
        return
    limit = QUANTIZED_DB if has_own_scales(module["main"]) else FLOAT_DB
    levels = {name: _level(want[name], got[name], limit) for name in got}
    wrong = next((name for name, (level, least) in levels.items() if level < least), None)
    if wrong is None:
        return
    proto = load_onnx(model) if isinstance(model, str | Path) else model
    if any(node.op_type in _RANDOM for node in proto.graph.node):
        warnings.warn("The import is not compared with onnxruntime: the model draws random "
                      "numbers.", RuntimeWarning, stacklevel=2)
        return
    level, least = levels[wrong]
    first = _first_difference(proto, again(), sample, images, limit)
    place = f"Node '{first}'" if first else f"Output '{wrong}', or a node before it,"
    raise FrontError(
        f"{place} does not give what onnxruntime gives (output '{wrong}' agrees to {level:.0f} dB, "
        f"{least:.0f} are asked): replace it by other ONNX operators before export.")


def _run(source: str | bytes, sample: Mapping[str, Array], names: list[str], images: int
         ) -> dict[str, Array]:
    """What onnxruntime makes of these tensors, of one image."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
    known = {item.name for item in session.get_inputs()}
    inputs = {name: np.concatenate([x] * images) if images > 1 else x
              for name, x in sample.items() if name in known}
    results = session.run(names, inputs)
    return {name: np.asarray(value)[: len(value) // images] if images > 1 else np.asarray(value)
            for name, value in zip(names, results, strict=True)}


def _level(want: Array, got: Array, limit: float) -> tuple[float, float]:
    """How well two tensors agree, and how well they have to, in dB."""
    return agreement(want, got), min(limit, HALF_DB) if want.dtype == np.float16 else limit


def _first_difference(model: onnx.ModelProto, module: tvm.IRModule, sample: Mapping[str, Array],
                      images: int, limit: float) -> str | None:
    """The first node whose result differs, of those whose result the module holds in the same
    shape; None if all agree, or onnxruntime cannot give the tensors between."""
    module = with_unique_names(module)
    main = module["main"]
    variables = {node_of(main, each.var): str(each.var.name) for each in bindings(main)}
    tensors = {node.output[0]: node.name or f"{node.op_type}_{node.output[0]}"
               for node in model.graph.node if len(list(filter(None, node.output))) == 1}
    wanted = {tensor: name for tensor, name in tensors.items() if name in variables}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    own = {item.name for item in watched.graph.output}
    watched.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in wanted if name not in own)
    inputs = [np.asarray(sample[str(name)]) for name in main.attrs["zeroskip.inputs"]]
    try:
        want = _run(watched.SerializeToString(), sample, list(wanted), images)
    except Exception:  # what can be said without is said
        return None
    got = dict(zip(wanted, observer(module, [variables[name] for name in wanted.values()])(inputs),
                   strict=True))
    for tensor, name in wanted.items():
        if want[tensor].shape != got[tensor].shape:
            continue
        # A cube may stand in another layout here: it differs if the same numbers are not in it.
        levels = [_level(a, b, limit) for a, b in ((want[tensor], got[tensor]), (
            np.sort(want[tensor], axis=None), np.sort(got[tensor], axis=None)))]
        if all(level < least for level, least in levels):
            return name
    return None


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
