"""What users have, as what the compiler takes: one row for each kind of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import onnx

from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.relay.convert import relay_to_onnx
from zeroskip.relay_passes.relay.syntax import Array
from zeroskip.relay_passes.tosa.read_tosa import IntegerModel, tosa_to_integer
from zeroskip.relay_passes.tosa.tflite import tflite_to_tosa

Params: TypeAlias = str | Path | bytes | Mapping[str, Array]
Model: TypeAlias = str | Path | onnx.ModelProto | IntegerModel

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


def read_model(model: Model, params: Params | None = None) -> Model:
    """A model that the rest of the compiler takes: an ONNX model or its path, or integer layers.

    model: a path, an ONNX model or an ``IntegerModel``. Of a file what it is called or begins with
    says whether it is Relay's text, TOSA or TFLite; all else is taken for ONNX. params: of Relay's
    text, the path of a file that holds what ``relay.save_param_dict(params)`` gives, these bytes, or
    arrays by name. FrontError for parameters of another model, and as of ``relay_to_onnx`` and
    ``tosa_to_integer``.
    """
    if isinstance(model, str | Path):
        file = Path(model)
        head = _head(file)
        for kind in KINDS:
            if kind.holds(file, head):
                return kind.read(file, params)
    _refuse_params(params)
    return model


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
    return tosa_to_integer(text, str(file), name=file.stem)


def _read_tflite(file: Path, params: Params | None) -> Model:
    _refuse_params(params)
    content = _bytes(file, "a TFLite model")
    return tosa_to_integer(tflite_to_tosa(content, str(file)), f"{file} as TOSA", name=file.stem)


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
