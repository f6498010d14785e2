"""What users have, as what the compiler takes: one row for each kind of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import onnx
import tvm

from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.torch_names import name_by_modules, names_modules
from zeroskip.relay_passes.pytorch import is_torch, load_pt2, torch_to_onnx
from zeroskip.relay_passes.relay.convert import relay_to_onnx
from zeroskip.relay_passes.relay.syntax import Array
from zeroskip.relay_passes.tosa.read_tosa import IntegerModel, module_to_integer, tosa_to_integer
from zeroskip.relay_passes.tosa.syntax import read_module
from zeroskip.relay_passes.tosa.tflite import tflite_to_tosa
from zeroskip.relay_passes.tosa.to_onnx import module_to_onnx

Params: TypeAlias = str | Path | bytes | Mapping[str, Array]
Model: TypeAlias = str | Path | onnx.ModelProto | IntegerModel | tvm.IRModule

_LOOKED_AT = 256  # bytes of a file


@dataclass(frozen=True)
class Kind:
    """Files of one kind. suffix: what they are called. begin: what they begin with, blanks aside.
    read: of the path, and of parameters that were given beside it."""

    suffix: str
    begin: bytes
    read: Callable[[Path, Params | None], Model]

    def holds(self, file: Path, head: bytes) -> bool:
        return file.suffix == self.suffix or (bool(self.begin) and head.startswith(self.begin))


def read_model(model: Model | Any, params: Params | None = None, example: Any = None) -> Model:
    """A model that the rest of the compiler takes: an ONNX model or its path, or integer layers.

    model: a path, an ONNX model, an ``IntegerModel``, a module of Relax, or a module or exported
    program of torch's. Of a file what it is called or begins with says whether it is Relay's text,
    TOSA, TFLite or torch's (.pt2); all else is taken for ONNX. params: of Relay's text, the path of
    a file that holds what ``relay.save_param_dict(params)`` gives, these bytes, or arrays by name.
    example: of a torch module's inputs (``torch_to_onnx``). FrontError for parameters or an example
    of another model, and as of ``relay_to_onnx``, ``tosa_to_integer``, ``tosa_to_onnx`` and
    ``torch_to_onnx``.
    """
    for is_kind, read in OBJECTS:
        if is_kind(model):
            _refuse_params(params)
            return read(model, example)
    if example is not None:
        raise FrontError("An example belongs to a module of torch's: leave example= out.")
    if isinstance(model, str | Path):
        file = Path(model)
        head = _head(file)
        for kind in KINDS:
            if kind.holds(file, head):
                return kind.read(file, params)
    _refuse_params(params)
    return _named_by_modules(model) if isinstance(model, onnx.ModelProto) else model


def _named_by_modules(model: onnx.ModelProto) -> onnx.ModelProto:
    """An export of torch's with names of its modules; the user's own is left as it is."""
    if not names_modules(model):
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    name_by_modules(made)
    return made


def _refuse_params(params: Params | None) -> None:
    if params is not None:
        raise FrontError(
            "Parameters belong to Relay's text, and this model is none: leave --params (params=) "
            "out, an ONNX model holds its own."
        )


def _head(file: Path) -> bytes:
    try:
        if not file.is_file():
            return b""
        with file.open("rb") as content:
            return content.read(_LOOKED_AT).lstrip()
    except OSError:
        return b""


def _read_relay(file: Path, params: Params | None) -> Model:
    text, arrays = _text(file, "a Relay text", "mod.astext()"), _arrays(params)
    try:
        return relay_to_onnx(text, arrays, name=file.stem)
    except FrontError as error:
        raise FrontError(f"'{file}': {error}") from error


def _read_tosa(file: Path, params: Params | None) -> Model:
    _refuse_params(params)
    text = _text(file, "a text of TOSA", "mlir-opt or tosa-converter-for-tflite --text")
    module = read_module(text, str(file))
    if module.real:
        return module_to_onnx(module, file.stem)
    return module_to_integer(module, file.stem)


def _read_tflite(file: Path, params: Params | None) -> Model:
    _refuse_params(params)
    content = _bytes(file, "a TFLite model")
    return tosa_to_integer(tflite_to_tosa(content, str(file)), f"{file} as TOSA", name=file.stem)


def _read_pt2(file: Path, params: Params | None) -> Model:
    _refuse_params(params)
    return load_pt2(file)


def _refuse_bytecode(file: Path, _params: Params | None) -> Model:
    raise FrontError(
        f"'{file}' is MLIR bytecode: write it as text, with mlir-opt, or with "
        "tosa-converter-for-tflite --text."
    )


KINDS = (
    Kind(".relay", b"#[version", _read_relay),
    Kind(".mlirbc", b"ML\xefR", _refuse_bytecode),
    Kind(".mlir", b"", _read_tosa),
    Kind(".tflite", b"", _read_tflite),
    Kind(".pt2", b"", _read_pt2),
)
OBJECTS: tuple[tuple[Callable[[object], bool], Callable[[Any, Any], Model]], ...] = (
    (is_torch, torch_to_onnx),
)


def _text(file: Path, what: str, writer: str) -> str:
    try:
        return _bytes(file, what).decode()
    except UnicodeDecodeError as error:
        raise FrontError(f"'{file}' is no text in UTF-8: write it with {writer}") from error


def _arrays(params: Params | None) -> bytes | Mapping[str, Array] | None:
    if isinstance(params, str | Path):
        return _bytes(Path(params), "its parameters")
    if params is None or isinstance(params, bytes | Mapping):
        return params
    raise FrontError(
        f"A {type(params).__name__} is no parameters: give a path, bytes or arrays by name"
    )


def _bytes(file: Path, what: str) -> bytes:
    refuse_irregular(file)
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise FrontError(f"'{file}' does not exist: give the path of {what}.") from error
    except OSError as error:
        raise FrontError(f"'{file}' cannot be read ({error.strerror}).") from error
