"""Keywords of ``sweep`` and ``search``, declared once, by what they are about.

They are types of keyword arguments (PEP 692): a call is checked where it is written, and each part
is handed on whole to whoever takes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar, cast

from zeroskip.accel_model.io.telling import Progress
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.scheduling.objective import Goal
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe
from zeroskip.runtime.execution.preprocessing import Preprocessing


class SourceOptions(TypedDict, total=False):
    """What goes with each network.

    data: what quality is measured with: an .npz, an array for each input, whose leading axis counts
        samples, and ``labels`` [n] if the model classifies, or a folder with a folder of pictures
        for each class (``execution.labelled_data``); None: the samples of ``calibrate``.
    preprocessing: how the data's pictures become inputs; None: as the network's input says.
    calibrate: an .npz of what ranges and, with ``reconstruct``, weights are fitted to; None: the
        data without their labels. Without either there is no quality, and ranges come from random
        inputs.
    params: the parameters of Relay's text.
    shapes: sizes of inputs that the model leaves open.
    """

    data: str | Path | None
    preprocessing: Preprocessing | None
    calibrate: str | Path | None
    params: str | Path | None
    shapes: Mapping[str, Sequence[int]] | None


class SpaceOptions(TypedDict, total=False):
    """The axes of a space beside its networks.

    targets: accelerators: names, paths of TOML files or specs; ``dense256`` if left out.
    settings: key of hardware, such as ``sram.act_bytes``, -> values: one, a list, a text such as
        ``64KiB,128KiB``, or a range (``experiments.settings.read_values``).
    schemes: recipes; ``dense``, all there is if left out, is the network as it is; one of a single
        scheme is taken at each sparsity, of several as it is.
    sparsities: ratios of weights to remove from the layers of a scheme.
    objectives: what schedules are chosen by: ``cycles`` if left out, ``energy``, ``edp``.
    batches: images that one program computes, figures are of one of them; ``[None]`` if left out:
        one, whatever the model's batch.
    reconstruct: ``weights`` or ``statistics``: what is left is fitted to the dense layers' outputs.
    """

    targets: Sequence[str | AccelSpec]
    settings: Mapping[str, Any] | None
    schemes: Sequence[Recipe]
    sparsities: Sequence[float]
    objectives: Sequence[Goal]
    batches: Sequence[int | None]
    reconstruct: str | None


class EngineOptions(TypedDict, total=False):
    """Where points are measured.

    workers: processes of this computer; 1, this process, if left out.
    scheduler: the address of a scheduler of dask.distributed, in their place.
    cache: a folder for schedules.
    """

    workers: int
    scheduler: str | None
    cache: str | Path | None


class RunOptions(EngineOptions, total=False):
    """How the points of a space are measured.

    store: a file in which figures are kept, so that the same, ended at any moment, goes on where it
        was; in memory if left out.
    retry: points that failed before are measured again.
    progress: told what is being done, points done, and points.
    """

    store: str | Path
    retry: bool
    progress: Progress | None


class ExperimentOptions(SourceOptions, SpaceOptions, RunOptions, total=False):
    """All keywords that ``sweep`` and ``search`` share."""


Part = TypeVar("Part", SourceOptions, SpaceOptions, EngineOptions, RunOptions)


def part_of(options: Mapping[str, Any], kind: type[Part]) -> Part:
    """Those of the options that are of one kind."""
    chosen = {name: options[name] for name in kind.__annotations__ if name in options}
    return cast("Part", chosen)


def checked(options: ExperimentOptions, function: str) -> ExperimentOptions:
    """The options; TypeError for a name that is none of them, as for any function's keyword."""
    for name in options:
        if name not in ExperimentOptions.__annotations__:
            known = ", ".join(ExperimentOptions.__annotations__)
            raise TypeError(f"{function} takes no option {name!r}; its options are {known}")
    return options
