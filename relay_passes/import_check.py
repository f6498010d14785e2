"""The imported float module against onnxruntime on one sample, at every compile.

Every later check compares with the import; this one compares the import with the user's model,
as it was before our own rewrites and upgrades. A float network differs by reassociated sums only,
far above ``FLOAT_DB``: below that it is another network. In a quantized model such a sum
may move a value over a rounding edge, by a whole step: ``QUANTIZED_DB``, chosen and not measured.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import tvm
from onnx.reference import ReferenceEvaluator

from zeroskip.relay_passes.attrs import OUTPUTS_ATTR
from zeroskip.relay_passes.errors import FrontError, PassError
from zeroskip.relay_passes.frontend.editing import opset
from zeroskip.relay_passes.frontend.floats import cast_floats
from zeroskip.relay_passes.frontend.load import load_onnx
from zeroskip.relay_passes.quantize.calibrate import has_own_scales, observer
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.passes import with_unique_names
from zeroskip.relay_passes.relax.rewriting import bindings, node_of

Array = npt.NDArray[Any]
Model: TypeAlias = str | Path | onnx.ModelProto
FLOAT_DB = 40.0
QUANTIZED_DB = 15.0
HALF_DB = 25.0  # of a model whose own numbers are float16: the import computes in float32
LARGE = 64 << 20  # bytes of a model from which on it is not handed over in memory
_PAGE = 4096
_REFERENCE_OPSET = 7  # it knows no other broadcasting than numpy's
_REFERENCE_NODES, _REFERENCE_ELEMENTS = 64, 1 << 16  # some tenths of a second
_RANDOM = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
}


class ImportCheck:
    """What onnxruntime makes of a model for one sample, to be compared with its import.

    It is found when this is made, so that onnxruntime, which holds the weights once more, has gone
    before the import is compiled.
    """

    def __init__(
        self,
        model: Model,
        module: tvm.IRModule,
        sample: Mapping[str, Array],
        images: int,
        again: Callable[[], tvm.IRModule],
    ) -> None:
        """module: the import. sample: by input name. images: of the model's batch, where the import
        is of one of them; each is the sample then. again: imports the model once more, nothing
        folded; called where an output differs, to name the first node, in the model's order, whose
        result does."""
        self._model, self._sample, self._images, self._again = model, sample, images, again
        self._names = [str(name) for name in module["main"].attrs[OUTPUTS_ATTR]]
        self._limit = QUANTIZED_DB if has_own_scales(module["main"]) else FLOAT_DB
        self._why, self._judge = "", "onnxruntime"
        try:
            self._want = _run_model(model, sample, self._names, images)
        except Exception as error:  # onnxruntime's, of many kinds
            text, self._judge = str(error).strip(), "ONNX's reference"
            want = _run_reference(model, sample, self._names, images)
            if want is None:
                self._why = text.splitlines()[0][:200] if text else "no reason"
            self._want = want or {}

    def __call__(self, results: Sequence[Array | None]) -> None:
        """Compare the outputs of the imported module for the sample; None: one is a constant.

        FrontError where an output differs. A small model that onnxruntime cannot run is compared
        with ONNX's own reference; a large one, or one that draws random numbers, is not compared,
        and a warning says so.
        """
        if not self.comparable:
            warnings.warn(
                "The import is not compared with onnxruntime, which cannot run this "
                f"model ({self._why}).",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        wrong = self._wrong(results)
        if wrong is not None:
            self._refuse(*wrong)

    def agrees(self, results: Sequence[Array | None]) -> bool:
        """Whether these outputs would pass; not if nothing is known of them."""
        return self.comparable and self._wrong(results) is None

    @property
    def comparable(self) -> bool:
        """Whether onnxruntime could run the model."""
        return not self._why

    def _wrong(self, results: Sequence[Array | None]) -> tuple[str, float, float] | None:
        """The first output that differs, how well it agrees and how well it has to."""
        return _first_wrong(self._want, self._names, results, self._limit)

    def _refuse(self, wrong: str, level: float, least: float) -> None:
        """FrontError for an output, unless the model draws random numbers."""
        model = self._model
        proto = load_onnx(model) if isinstance(model, str | Path) else model
        if any(node.op_type in _RANDOM for node in proto.graph.node):
            warnings.warn(
                "The import is not compared with onnxruntime: the model draws random numbers.",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        first = _first_difference(proto, self._again(), self._sample, self._images, self._limit)
        maker = next(
            (
                node.name or f"{node.op_type}_{node.output[0]}"
                for node in proto.graph.node
                if wrong in node.output
            ),
            wrong,
        )
        place = f"Node '{first}'" if first else f"Node '{maker}', or one before it,"
        raise FrontError(
            f"{place} does not give what {self._judge} gives (output '{wrong}' agrees to "
            f"{level:.0f} dB, {least:.0f} are asked): replace it by other ONNX operators before "
            "export."
        )


class RelaxCheck:
    """What a user's Relax function gives for one sample, to be compared with its normal form."""

    comparable = True

    def __init__(self, given: tvm.IRModule, module: tvm.IRModule, sample: Sequence[Array]) -> None:
        """given: the module as the user gave it. module: its normal form. sample: the inputs."""
        self._names = [str(name) for name in module["main"].attrs[OUTPUTS_ATTR]]
        self._limit = QUANTIZED_DB if has_own_scales(module["main"]) else FLOAT_DB
        given = with_unique_names(given)
        wanted = run_cpu(compile_for_cpu(given), "main", sample)
        self._want = dict(zip(self._names, wanted, strict=True))

    def __call__(self, results: Sequence[Array | None]) -> None:
        """PassError where an output of the normal form differs; None: one is a constant."""
        wrong = self._wrong(results)
        if wrong is not None:
            name, level, least = wrong
            raise PassError(
                f"Output '{name}' of the normalised module agrees with the module that was given to "
                f"{level:.0f} dB, {least:.0f} are asked: give the module before its layouts were "
                "changed."
            )

    def agrees(self, results: Sequence[Array | None]) -> bool:
        """Whether these outputs would pass."""
        return self._wrong(results) is None

    def _wrong(self, results: Sequence[Array | None]) -> tuple[str, float, float] | None:
        return _first_wrong(self._want, self._names, results, self._limit)


def _first_wrong(
    want: Mapping[str, Array], names: Sequence[str], results: Sequence[Array | None], limit: float
) -> tuple[str, float, float] | None:
    """The first output that differs, how well it agrees and how well it has to; None: none does."""
    for name, got in zip(names, results, strict=True):
        if got is not None:
            level, least = _level(want[name], got, limit)
            if level < least:
                return name, level, least
    return None


def _run_model(
    model: Model, sample: Mapping[str, Array], names: list[str], images: int
) -> dict[str, Array]:
    """What onnxruntime makes of these tensors, of one image; where it lacks an operator for floats
    of other widths, with float32 within, as the import has."""
    try:
        if isinstance(model, str | Path):
            return _run(str(model), sample, names, images)
        if model.ByteSize() < LARGE:
            return _run(model.SerializeToString(), sample, names, images)
        with TemporaryDirectory() as folder:
            return _run(_beside(model, Path(folder)), sample, names, images)
    except Exception:
        cast = load_onnx(model) if isinstance(model, str | Path) else _copy(model)
        if not cast_floats(cast):
            raise
        return _run(cast.SerializeToString(), sample, names, images)


def _beside(model: onnx.ModelProto, folder: Path) -> str:
    """A file of the model whose weights lie in another beside it, where onnxruntime need not hold
    them twice."""
    made = onnx.ModelProto()
    _set_fields(model, made, "graph")
    _set_fields(model.graph, made.graph, "initializer")
    with (folder / "weights").open("wb") as weights:
        for item in model.graph.initializer:
            kept = made.graph.initializer.add()
            if len(item.raw_data) < _PAGE:
                kept.CopyFrom(item)
                continue
            _set_fields(item, kept, "raw_data")
            kept.data_location = onnx.TensorProto.EXTERNAL
            place = {"location": "weights", "offset": weights.tell(), "length": len(item.raw_data)}
            for key, value in place.items():
                kept.external_data.add(key=key, value=str(value))
            weights.write(item.raw_data)
            weights.write(bytes(-weights.tell() % _PAGE))
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    return str(folder / "model.onnx")


def _set_fields(source: Any, made: Any, but: str) -> None:
    """Copy the fields of a message, but one."""
    for field, value in source.ListFields():
        if field.name == but:
            continue
        if hasattr(value, "extend"):
            getattr(made, field.name).extend(value)
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(value)
        else:
            setattr(made, field.name, value)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def _run(
    source: str | bytes, sample: Mapping[str, Array], names: list[str], images: int
) -> dict[str, Array]:
    """What onnxruntime makes of these tensors, of one image."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    # One inference does not repay a second copy of the weights in another order.
    options.add_session_config_entry("session.disable_prepacking", "1")
    # Threads that wait for the next node would otherwise spin: up to half of the processor time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
    known = {item.name for item in session.get_inputs()}
    inputs = {
        name: np.concatenate([x] * images) if images > 1 else x
        for name, x in sample.items()
        if name in known
    }
    results = session.run(names, inputs)
    return {
        name: np.asarray(value)[: len(value) // images] if images > 1 else np.asarray(value)
        for name, value in zip(names, results, strict=True)
    }


def _run_reference(
    model: Model, sample: Mapping[str, Array], names: list[str], images: int
) -> dict[str, Array] | None:
    """The same by ONNX's own reference, which knows all operators but takes long; None for a model
    that is not small, and where it fails."""
    proto = load_onnx(model) if isinstance(model, str | Path) else model
    elements = sum(math.prod(item.dims) for item in proto.graph.initializer) + images * sum(
        x.size for x in sample.values()
    )
    if (
        opset(proto) < _REFERENCE_OPSET
        or len(proto.graph.node) > _REFERENCE_NODES
        or elements > _REFERENCE_ELEMENTS
    ):
        return None
    inputs = {name: np.concatenate([x] * images) if images > 1 else x for name, x in sample.items()}
    try:
        results = ReferenceEvaluator(proto).run(names, inputs)
    except Exception:  # it lacks some operators, too
        return None
    return {
        name: np.asarray(value)[: len(value) // images] if images > 1 else np.asarray(value)
        for name, value in zip(names, results, strict=True)
    }


def _level(want: Array, got: Array, limit: float) -> tuple[float, float]:
    """How well two tensors agree, and how well they have to, in dB."""
    return agreement(want, got), min(limit, HALF_DB) if want.dtype == np.float16 else limit


def _first_difference(
    model: onnx.ModelProto,
    module: tvm.IRModule,
    sample: Mapping[str, Array],
    images: int,
    limit: float,
) -> str | None:
    """The first node whose result differs, of those whose result the module holds in the same
    shape; None if all agree, or onnxruntime cannot give the tensors between."""
    module = with_unique_names(module)
    main = module["main"]
    variables = {node_of(main, each.var): str(each.var.name) for each in bindings(main)}
    tensors = {
        node.output[0]: node.name or f"{node.op_type}_{node.output[0]}"
        for node in model.graph.node
        if len(list(filter(None, node.output))) == 1
    }
    wanted = {tensor: name for tensor, name in tensors.items() if name in variables}
    watched = _copy(model)
    own = {item.name for item in watched.graph.output}
    watched.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in wanted if name not in own
    )
    inputs = [np.asarray(sample[str(name)]) for name in main.attrs["zeroskip.inputs"]]
    try:
        want = _run_model(watched, sample, list(wanted), images)
    except Exception:  # what can be said without is said
        return None
    got = dict(
        zip(
            wanted,
            observer(module, [variables[name] for name in wanted.values()])(inputs),
            strict=True,
        )
    )
    for tensor, name in wanted.items():
        if want[tensor].shape != got[tensor].shape:
            continue
        # A cube may stand in another layout here: it differs if the same numbers are not in it.
        levels = [
            _level(a, b, limit)
            for a, b in (
                (want[tensor], got[tensor]),
                (np.sort(want[tensor], axis=None), np.sort(got[tensor], axis=None)),
            )
        ]
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
    if not (
        np.array_equal(finite, np.isfinite(b))
        and np.array_equal(a[~finite], b[~finite], equal_nan=True)
    ):
        return -np.inf
    noise = float(np.sum((a[finite] - b[finite]) ** 2))
    signal = float(np.sum(a[finite] ** 2))
    if noise <= 1e-12 * max(a[finite].size, 1):
        return np.inf
    return 10 * float(np.log10(max(signal, 1e-300) / noise))
