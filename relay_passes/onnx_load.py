"""Reading an ONNX file, refusing what is not one before anything else looks at it."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx.external_data_helper import load_external_data_for_model

from zeroskip.relay_passes.errors import FrontError


def load_onnx(path: str | Path) -> onnx.ModelProto:
    """The model in the file, with its external data, checked against the ONNX specification.

    FrontError when the file is missing or unreadable, is not ONNX or is cut short, lacks its
    external data, or breaks the specification.
    """
    file = Path(path)
    model = _parse(file)
    try:
        load_external_data_for_model(model, str(file.parent))
    except (OSError, onnx.checker.ValidationError, ValueError) as error:
        raise FrontError(
            f"'{file}' keeps weights in a file beside it that cannot be read "
            f"({first_line(error)}): put that file into '{file.parent}'."
        ) from error
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise FrontError(
            f"'{file}' breaks the ONNX specification ({first_line(error)}): export it again."
        ) from error
    except ValueError as error:
        raise FrontError(
            f"'{file}' is larger than ONNX's checker takes, 2 GiB: use a smaller model."
        ) from error
    return model


def first_line(error: BaseException) -> str:
    """The first sentence of a library's message, to stand inside one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__


def _parse(file: Path) -> onnx.ModelProto:
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise FrontError(f"'{file}' does not exist: give the path of an ONNX model.") from error
    except OSError as error:
        raise FrontError(f"'{file}' cannot be read ({error.strerror}).") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise FrontError(
            f"'{file}' is not an ONNX model or is cut short: export or copy it again."
        ) from error
    if not model.graph.node and not model.graph.output:
        raise FrontError(f"'{file}' holds no ONNX graph: export or copy it again.")
    return model
