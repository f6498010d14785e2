"""Networks and data of an experiment by their content, and the version of the code that reads
them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Unpack

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

import zeroskip
from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.runtime.execution.labelled_data import class_folders
from zeroskip.runtime.execution.preprocessing import Preprocessing
from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.options import SourceOptions

LIBRARIES = ("apache-tvm", "numba", "numpy", "onnx", "onnxruntime", "scipy")
READERS = {  # of models that not ONNX's libraries read
    ".mlir": ("xdsl",),
    ".pt2": ("torch", "onnxscript"),
    ".tflite": ("tosa-converter-for-tflite", "xdsl"),
}
PICTURES = ("pillow",)  # reads folders of them
_SHOWS = ("runtime/cli", "runtime/render")  # changes no figure
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Source:
    """A network and the data that go with it.

    model: its file. params: of Relay's text. shapes: of inputs that it leaves open. data: what
    quality is measured with, a file or a folder of pictures; preprocessing: how these become
    inputs. calibrate: what ranges and weights are fitted to; None: the data. label: what it is
    called, else as its file is.
    """

    model: Path
    params: Path | None = None
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    data: Path | None = None
    calibrate: Path | None = None
    preprocessing: Preprocessing | None = None
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.model.stem

    @property
    def sizes(self) -> Mapping[str, tuple[int, ...]]:
        return dict(self.shapes)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of all that is in the files, of the shapes, the preprocessing and the
        versions of the libraries that read such files; names do not count, but those of classes.

        ExperimentError for a file that cannot be read, DataError for a folder without pictures.
        """
        pictures = PICTURES if self.data is not None and self.data.is_dir() else ()
        parts = {
            "model": [digest_of(path) for path in (self.model, *_beside(self.model))],
            "readers": _versions((*READERS.get(self.model.suffix, ()), *pictures)),
            "shapes": [[name, *sizes] for name, sizes in sorted(self.shapes)],
            "params": None if self.params is None else digest_of(self.params),
            "data": None if self.data is None else _content(self.data),
            "calibrate": None if self.calibrate is None else digest_of(self.calibrate),
            "preprocessing": repr(self.preprocessing),
        }
        return sealed(parts)


def source_of(model: str | Path, **given: Unpack[SourceOptions]) -> Source:
    """A network by paths as users give them."""
    params, data, calibrate = (
        None if path is None else Path(path)
        for path in (given.get("params"), given.get("data"), given.get("calibrate"))
    )
    shapes = tuple((name, tuple(sizes)) for name, sizes in (given.get("shapes") or {}).items())
    return Source(Path(model), params, shapes, data, calibrate, given.get("preprocessing"))


def told_apart(sources: Sequence[Source]) -> tuple[Source, ...]:
    """The sources, those of files that are called alike with the ending, or else the path, as their
    name: figures of different networks are not to be taken for one's."""
    paths: dict[str, set[Path]] = {}
    for source in sources:
        paths.setdefault(source.name, set()).add(source.model)

    def label(source: Source) -> str:
        alike = paths[source.name]
        if len(alike) == 1:
            return source.label
        endings = {path.name for path in alike}
        return source.model.name if len(endings) == len(alike) else str(source.model)

    return tuple(replace(source, label=label(source)) for source in sources)


def sealed(value: object) -> str:
    """Hex SHA-256 of a value of JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _content(data: Path) -> object:
    """The digest of a file; of a folder, those of the pictures of each class."""
    if not data.is_dir():
        return digest_of(data)
    return [[name, [digest_of(each) for each in own]] for name, own in class_folders(data)]


def digest_of(path: Path) -> str:
    """Hex SHA-256 of a file; ExperimentError if it cannot be read."""
    refuse_irregular(path)
    try:
        now = path.stat()
        return _digest(path, now.st_size, now.st_mtime_ns)
    except OSError as problem:
        raise ExperimentError(f"'{path}' cannot be read: {problem.strerror}") from None


@lru_cache(maxsize=1 << 16)  # a folder of pictures is many
def _digest(path: Path, _size: int, _changed: int) -> str:
    """Of a file as it is, read once in a process while it stays so."""
    made = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            made.update(chunk)
    return made.hexdigest()


def _beside(model: Path) -> list[Path]:
    """The files beside an ONNX model that hold its weights; of other models there are none."""
    try:
        graph = onnx.load(str(model), load_external_data=False).graph
    except (DecodeError, ValueError, OSError, onnx.checker.ValidationError):
        return []
    names = {
        entry.value
        for tensor in graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [model.parent / name for name in sorted(names)]


@cache
def code_version() -> str:
    """Hex digest of all code that figures come from, and the versions of the libraries below it:
    another version never takes this one's figures for its own."""
    package = Path(zeroskip.__file__).parent
    files = [
        path
        for folder in ("accel_model", "relay_passes", "compiler", "runtime")
        for path in _sources(package / folder)
        if not path.relative_to(package).as_posix().startswith(_SHOWS)
    ]
    content = {path.relative_to(package).as_posix(): digest_of(path) for path in files}
    return sealed([content, _versions(LIBRARIES)])[:16]


def _versions(libraries: Iterable[str]) -> dict[str, str | None]:
    """Of libraries, by name; None for one that is not installed."""
    found: dict[str, str | None] = {}
    for name in libraries:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _sources(folder: Path) -> Iterable[Path]:
    """What code is and what it reads: not targets, which are counted by their content."""
    return sorted(path for suffix in ("py", "csv") for path in folder.rglob(f"*.{suffix}"))
