"""Where a compiled network loses: its first calibration image on the machine, against the float
network's tensors, which calibration has computed anyway."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.compiler.artifact.network import Network, as_mismatch_error
from zeroskip.relay_passes.relax.passes import with_unique_names
from zeroskip.relay_passes.relax.rewriting import outputs
from zeroskip.relay_passes.relax.saturation import before_saturation
from zeroskip.runtime.execution.layer_quality import LayerCheck, LayerQuality, Power
from zeroskip.runtime.execution.region_check import Seen, Written, run_watched
from zeroskip.runtime.execution.session import Session, quantized

Array = npt.NDArray[Any]
LEAST_DB = 20.0  # of an output, below which layers are named
NAMED = 3  # layers at most
WORTH_DB = 0.5  # that a layer which is named loses at least


class FirstImage:
    """The first image that calibration runs: the network's inputs, and variables of the float
    network."""

    def __init__(self) -> None:
        self.inputs: list[Array] = []
        self.values: Mapping[str, Array] = {}

    def __call__(self, inputs: list[Array], values: Mapping[str, Array]) -> None:
        self.inputs, self.values = inputs, values


def losing_layers(
    network: Network, image: FirstImage, progress: Progress = no_progress
) -> list[str]:
    """A line for each output that is less than ``LEAST_DB`` from the float network's, with the
    layers that lose most."""
    if not network.programs or not image.values:
        return []
    image = _of_images(image, network.images)
    with as_mismatch_error(f"network '{network.name}'"):
        check = LayerCheck(network)
        for seen in _run(network, image.inputs, progress):
            function = network.reference_module[seen.program.name]
            made = [*seen.given(function), *seen.results(function)]
            check.add(seen.program.name, image.values, made)
        names = [port.name for port in network.outputs]
        ends = _ends(network)
        return [
            _line(name, power.db, words, check.layers())
            for name, (tensors, words) in zip(names, ends, strict=True)
            if (power := _sum(check, tensors)) is not None and power.db < LEAST_DB
        ]


def _of_images(image: FirstImage, images: int) -> FirstImage:
    """The image as often as a run of the network takes one."""
    made = FirstImage()
    if images == 1:
        return image
    made.inputs = [np.concatenate([values] * images) for values in image.inputs]
    made.values = {
        name: np.concatenate([values] * images) if values.ndim else values
        for name, values in image.values.items()
    }
    return made


def _run(network: Network, arrays: list[Array], progress: Progress) -> list[Seen]:
    """The image through the machine, and through TVM's host where the network needs it."""
    if network.direct is None:
        return run_watched(Session(network), arrays, progress)[0]
    program = network.programs[network.direct.program]
    given, written = quantized(network.direct, program, arrays), Written(program)
    run = Machine(network.spec).run(
        program, given, observers=[written], progress=partial(progress, program.name)
    )
    return [Seen(program, given, run, written)]


def _ends(network: Network) -> list[tuple[tuple[str, ...], str]]:
    """The float variables by which each output is judged, and before what."""
    main = with_unique_names(network.floating_module)["main"]
    return [
        (end.names, end.words()) if end is not None else ((str(getattr(out, "name", "")),), "")
        for out, end in zip(outputs(main), before_saturation(main), strict=True)
    ]


def _sum(check: LayerCheck, tensors: tuple[str, ...]) -> Power | None:
    """Of these tensors together; None if one of them is not of the accelerator."""
    found = [check.power_of(each) for each in tensors]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return None
    return Power(sum(each.signal for each in known), sum(each.noise for each in known))


def _line(output: str, snr: float, before: str, layers: list[LayerQuality]) -> str:
    worst = sorted(
        (layer for layer in layers if layer.lost_db >= WORTH_DB), key=lambda layer: -layer.lost_db
    )[:NAMED]
    where = f" before its {before}" if before else ""
    named = ", ".join(f"'{layer.layer}' {layer.lost_db:.1f} dB" for layer in worst)
    said = f"most is lost in {named}" if worst else "no layer loses much more than the others"
    return (
        f"output '{output}' is{where} {snr:.1f} dB from the float network's on the first "
        f"calibration image; {said}. `--float NODE` keeps a layer in float; "
        "`zeroskip validate --layers` shows all"
    )
