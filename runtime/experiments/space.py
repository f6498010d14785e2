"""The points of a sweep: networks x schemes x sparsities x targets x settings x objectives x
batches.

In Python by ``Space.of``; as a TOML file (``read_space``)

    networks = ["a.onnx", "b.onnx"]
    calibrate = "images.npz"
    schemes = ["dense", "unstructured", "pattern"]
    sparsities = [0.5, 0.75]
    targets = ["sparse256"]
    objectives = ["cycles"]
    batches = [1, 8]

    [set]
    "sram.act_bytes" = ["128KiB", "256KiB"]
    "sram.wgt_bytes" = {from = "64KiB", to = "256KiB", times = 2}

or, where networks have data of their own, with tables ``[[network]]`` of model, params, data,
preprocess, calibrate and shapes in the place of ``networks``. Paths are those of the file's folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, TypeAlias, Unpack, cast

from zeroskip.accel_model import physics
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.toml_file import read_toml
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.batching import MAX_IMAGES
from zeroskip.compiler.scheduling.objective import GOALS, Goal
from zeroskip.relay_passes.pruning.base.options import Options, brief, nearest
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe, read_recipe
from zeroskip.runtime.analysis.comparison import DENSE
from zeroskip.runtime.execution.preprocessing import read_preprocessing
from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.options import SpaceOptions
from zeroskip.runtime.experiments.point import FrontPoint, Point
from zeroskip.runtime.experiments.settings import Value, check_settings, read_values
from zeroskip.runtime.experiments.sources import Source, told_apart

METHODS = ("weights", "statistics")  # of reconstruction
SET = "set"  # the table of settings in a file
_FRONT_KEYS = ("params", "data", "preprocess", "calibrate", "shapes")  # of a network
_KEYS = {  # of a file: what it holds
    "networks": list,
    "network": list,
    "targets": list,
    "schemes": list,
    "sparsities": list,
    "objectives": list,
    "batches": list,
    "reconstruct": str,
    "params": str,
    "data": str,
    "preprocess": str,
    "calibrate": str,
    "shapes": dict,
    SET: dict,
}
Scheme: TypeAlias = tuple[str, tuple[Options, ...]]  # as it was asked for, and its options


@dataclass(frozen=True)
class Space:
    """Every combination of its axes.

    settings: key of hardware -> values. schemes: ``dense``, of no options, is the network as it is;
    a scheme of one is taken at each sparsity, of several as it is.
    """

    sources: tuple[Source, ...]
    targets: tuple[AccelSpec, ...]
    settings: Mapping[str, tuple[Value, ...]]
    schemes: tuple[Scheme, ...]
    sparsities: tuple[float, ...]
    objectives: tuple[Goal, ...]
    reconstruct: str | None = None
    batches: tuple[int | None, ...] = (None,)

    @staticmethod
    def of(sources: Sequence[Source], **given: Unpack[SpaceOptions]) -> Space:
        """The space of axes as users give them; a ZeroskipError names what cannot be one."""
        targets, schemes = given.get("targets", ("dense256",)), given.get("schemes", (DENSE,))
        sparsities = given.get("sparsities", (0.5, 0.75))
        objectives, reconstruct = given.get("objectives", ("cycles",)), given.get("reconstruct")
        batches = given.get("batches", (None,))
        for what, values in (
            ("network", sources),
            ("target", targets),
            ("scheme", schemes),
            ("sparsity", sparsities),
            ("objective", objectives),
            ("batch", batches),
        ):
            if not values:
                raise ExperimentError(f"the space is empty: name one {what} at least")
        specs = tuple(each if isinstance(each, AccelSpec) else load_spec(each) for each in targets)
        settings = given.get("settings") or {}
        axes = {key: read_values(values, f"'{key}'") for key, values in settings.items()}
        for spec in specs:
            physics.check(spec)
            check_settings(spec, axes)
        for sparsity in sparsities:
            if isinstance(sparsity, bool) or not isinstance(sparsity, int | float):
                raise ExperimentError(f"sparsity {brief(repr(sparsity))} is no number")
            if not 0 < sparsity < 1:
                raise ExperimentError(f"sparsity {sparsity:g} is not above 0 and below 1")
        for objective in objectives:
            if objective not in GOALS:
                raise ExperimentError(
                    f"objective '{brief(objective)}' is not known; {nearest(objective, GOALS)}"
                )
        for batch in batches:
            if batch is not None and (type(batch) is not int or not 1 <= batch <= MAX_IMAGES):
                raise ExperimentError(
                    f"batch {brief(repr(batch))} is no number of images; give 1 to {MAX_IMAGES}"
                )
        if reconstruct is not None and reconstruct not in METHODS:
            raise ExperimentError(
                f"reconstruct '{brief(reconstruct)}' is not known; {nearest(reconstruct, METHODS)}"
            )
        space = Space(
            told_apart(sources),
            specs,
            axes,
            tuple(map(_scheme, schemes)),
            tuple(map(float, sparsities)),
            tuple(objectives),
            reconstruct,
            tuple(batches),
        )
        for source in sources:
            _check_source(source, space)
        return space

    def __len__(self) -> int:
        """How many points there are."""
        hardware = len(self.targets) * prod(map(len, self.settings.values()))
        return sum(1 for _ in self.fronts()) * hardware * len(self.objectives) * len(self.batches)

    def fronts(self) -> Iterator[FrontPoint]:
        """What is shared by points that differ in their hardware, network by network."""
        for source in self.sources:
            for name, options in self.schemes:
                for sparsity in self.sparsities if len(options) == 1 else (None,):
                    yield FrontPoint(
                        source, self.targets[0], name, options, sparsity, self._method(options)
                    )

    def points_of(self, front: FrontPoint) -> Iterator[Point]:
        """The points that share it, target by target."""
        for target in self.targets:
            for values in product(*self.settings.values()):
                settings = tuple(zip(self.settings, values, strict=True))
                for objective, batch in product(self.objectives, self.batches):
                    yield Point(front, target, settings, objective, batch)

    def __iter__(self) -> Iterator[Point]:
        for front in self.fronts():
            yield from self.points_of(front)

    def _method(self, options: tuple[Options, ...]) -> str | None:
        return self.reconstruct if options else None


def _scheme(recipe: Recipe) -> Scheme:
    if recipe == DENSE:
        return DENSE, ()
    options = read_recipe(recipe)
    if isinstance(recipe, str | Path):
        return str(recipe), options
    return "+".join(map(str, options)), options


def _check_source(source: Source, space: Space) -> None:
    """A ZeroskipError for files that are not there, and for samples that something needs."""
    _ = source.digest
    if source.data is None and source.preprocessing is not None:
        raise ExperimentError(
            f"'{source.name}': a preprocessing is of data; give these with --data, or leave it out"
        )
    if source.data is None and source.calibrate is None and space.reconstruct is not None:
        raise ExperimentError(
            f"'{source.name}': weights are fitted to samples; give them with --calibrate or --data"
        )


def read_space(path: str | Path) -> Space:
    """The space in a TOML file; a ZeroskipError names the file, or a preprocessing's that it names,
    and what is wrong in it."""
    path = Path(path)
    content = read_toml(path, ExperimentError)
    _check_types(content, _KEYS, str(path))
    if ("networks" in content) == ("network" in content):
        raise ExperimentError(
            f"'{path}' must have networks = [...], paths of models, or tables [[network]], and not both"
        )
    kept = {
        key: content[key]
        for key in ("targets", "schemes", "sparsities", "objectives", "batches", "reconstruct")
        if key in content
    }
    for key in ("targets", "schemes"):
        if key in kept:
            kept[key] = [_beside(path, each) for each in _texts(kept[key], key, path)]
    sources = _sources(content, path)
    try:
        return Space.of(sources, settings=content.get(SET, {}), **kept)
    except ZeroskipError as problem:
        raise ExperimentError(f"'{path}': {problem}") from None


def _sources(content: Mapping[str, Any], path: Path) -> list[Source]:
    common = {key: content[key] for key in _FRONT_KEYS if key in content}
    if "networks" in content:
        tables = [{"model": model} for model in _texts(content["networks"], "networks", path)]
    else:
        tables = content["network"]
    sources = []
    for number, table in enumerate(tables, 1):
        where = f"{path}', network {number}"
        if not isinstance(table, Mapping):
            raise ExperimentError(f"'{where}: is no table; write [[network]] and model = below it")
        known = {"model": str, **{key: _KEYS[key] for key in _FRONT_KEYS}}
        _check_types(table, known, where.replace("'", ""))
        if "model" not in table:
            raise ExperimentError(f"'{where}: model is missing; give the path of a network")
        sources.append(_source({**common, **table}, path))
    return sources


def _source(table: Mapping[str, Any], path: Path) -> Source:
    files = {
        key: path.parent / table[key]
        for key in ("model", "params", "data", "calibrate")
        if key in table
    }
    shapes = cast("Mapping[str, Any]", table.get("shapes", {}))
    for name, sizes in shapes.items():
        whole = isinstance(sizes, list) and all(type(size) is int and size > 0 for size in sizes)
        if not whole or not sizes:
            raise ExperimentError(
                f"'{path}': shapes.{brief(name)} must be sizes such as [1, 3, 224, 224]"
            )
    preprocess = table.get("preprocess")
    return Source(
        **files,
        preprocessing=None if preprocess is None else read_preprocessing(path.parent / preprocess),
        shapes=tuple((name, tuple(sizes)) for name, sizes in shapes.items()),
    )


def _check_types(table: Mapping[str, Any], known: Mapping[str, type], where: str) -> None:
    kinds: dict[type, str] = {list: "a list", dict: "a table", str: "a text"}
    for key, value in table.items():
        if key not in known:
            raise ExperimentError(
                f"'{where}': '{brief(key)}' is no key of a space; {nearest(key, known)}"
            )
        if not isinstance(value, known[key]):
            raise ExperimentError(
                f"'{where}': {key} must be {kinds[known[key]]}, not {brief(repr(value))}"
            )


def _texts(values: Sequence[Any], key: str, path: Path) -> list[str]:
    for value in values:
        if not isinstance(value, str):
            raise ExperimentError(f"'{path}': {key} must be texts, not {brief(repr(value))}")
    return list(values)


def _beside(path: Path, name: str) -> str:
    """A TOML file of a target or a recipe, in the folder of the file that names it."""
    return str(path.parent / name) if name.endswith(".toml") and ":" not in name else name
