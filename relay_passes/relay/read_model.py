"""A model's file of either kind: ONNX, or Relay's text with its parameters beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import onnx
import tvm

from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.relay.convert import relay_to_onnx
from zeroskip.relay_passes.relay.syntax import Array

Params: TypeAlias = str | Path | bytes | Mapping[str, Array]
Model: TypeAlias = str | Path | onnx.ModelProto | tvm.IRModule

_SUFFIX = ".relay"
_BEGIN = b"#[version"  # of what astext() prints
_LOOKED_AT = 256  # bytes


def read_model(model: Model, params: Params | None = None) -> Model:
    """A model that the rest of the compiler takes: Relay's text converted to ONNX, all else as it is.

    model: a path, an ONNX model or a module of Relax. A file is Relay's text if it is called ``.relay`` or begins as
    such a text does. params: of Relay's text, the path of a file that holds what
    ``relay.save_param_dict(params)`` gives, these bytes, or arrays by name. FrontError for
    parameters of another model, and as of ``relay_to_onnx``.
    """
    if isinstance(model, str | Path) and _is_relay(Path(model)):
        file = Path(model)
        text, arrays = _text(file), _arrays(params)
        try:
            return relay_to_onnx(text, arrays, name=file.stem)
        except FrontError as error:
            raise FrontError(f"'{file}': {error}") from error
    if params is not None:
        raise FrontError(
            "Parameters belong to Relay's text, and this model is none: leave --params (params=) "
            "out, an ONNX model holds its own."
        )
    return model


def _is_relay(file: Path) -> bool:
    if file.suffix == _SUFFIX:
        return True
    try:
        if not file.is_file():
            return False
        with file.open("rb") as content:
            return content.read(_LOOKED_AT).lstrip().startswith(_BEGIN)
    except OSError:
        return False


def _text(file: Path) -> str:
    try:
        return _bytes(file, "a Relay text").decode()
    except UnicodeDecodeError as error:
        raise FrontError(f"'{file}' is no text in UTF-8: write it with mod.astext()") from error


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
