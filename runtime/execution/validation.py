"""The machine against TVM: every bit of every layer, and the answers of the float network.

The reference is the integer Relax module compiled for llvm, in which each region is a function that
returns the results of all its layers. Each region gets the same inputs on both sides; the network's
outputs are compared with a run of the whole reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.compiler.artifact.inputs import match_inputs
from zeroskip.compiler.artifact.network import Network, as_mismatch_error
from zeroskip.compiler.artifact.placement import nothing_runs
from zeroskip.relay_passes.relax.cpu import compile_alike
from zeroskip.runtime.execution.float_check import FloatCheck, OutputQuality
from zeroskip.runtime.execution.float_weights import with_float_weights
from zeroskip.runtime.execution.layer_quality import LayerQuality
from zeroskip.runtime.execution.mlir_oracle import TITLE as MLIR
from zeroskip.runtime.execution.mlir_oracle import MlirOracle
from zeroskip.runtime.execution.packed import in_lockstep
from zeroskip.runtime.execution.region_check import (
    Checked,
    Mismatch,
    Seen,
    check_outputs,
    check_region,
    run_watched,
)
from zeroskip.runtime.execution.session import Session, dequantized, images_of, quantized

__all__ = ["Mismatch", "Validation", "validate"]

Array = npt.NDArray[Any]
Oracle = Literal["tvm", "mlir"]
TVM = "TVM's CPU"


@dataclass(frozen=True)
class Validation:
    """What was compared, over all images of a run.

    layers: results of layers that were, of ``of_layers`` that the regions have; outputs: those of
    the network. snr_db: of the outputs against the float network, by output's name, taken before
    the function that ``snr_before`` names if there is one; top1_agree: whether the largest element
    is at the same place, where that means something. coverage: how much of the network the regions
    are, in words. quality: of each layer against the float network, where it was asked for. oracle:
    whose results the layers were compared with; the network's outputs always are with TVM's.
    no_floats: why there was no float network to compare with, or "".
    """

    regions: int
    exact_regions: int
    layers: int
    mismatch: Mismatch | None
    snr_db: dict[str, float]
    top1_agree: dict[str, bool]
    coverage: str = ""
    of_layers: int = 0
    outputs: int = 0
    snr_before: dict[str, str] = field(default_factory=dict)
    quality: tuple[LayerQuality, ...] = ()
    oracle: str = TVM
    no_floats: str = ""

    @property
    def exact(self) -> bool:
        return self.mismatch is None

    def text(self) -> str:
        """A few lines for people."""
        compared = (
            f"{self.layers} of {self.of_layers} layers compared, and {self.outputs} "
            f"network output{'s' * (self.outputs != 1)}{f' with {TVM}' * (self.oracle != TVM)}"
        )
        lines = [
            f"{self.exact_regions} of {self.regions} regions bit-exact against {self.oracle} "
            f"({compared})"
            if self.regions
            else "nothing was compared"
        ]
        lines[0] += f", {self.coverage}" if self.coverage else ""
        if self.mismatch is not None:
            lines.append(f"first difference: {self.mismatch}")
        for name, snr in self.snr_db.items():
            same = "same" if self.top1_agree[name] else "another"
            before = self.snr_before.get(name)
            where = f" before its {before}" if before else ""
            lines.append(
                f"'{name}' against the float network: {snr:.1f} dB signal-to-noise"
                f"{where}, {same} top-1"
            )
        if self.no_floats:
            lines.append(f"not compared with the float network: {self.no_floats}")
        return "\n".join(lines)

    def to_table(self) -> dict[str, Any]:
        """For JSON: the fields of this class; null for a signal-to-noise without noise."""
        return {
            **asdict(self),
            "exact": self.exact,
            "snr_db": {name: _finite(snr) for name, snr in self.snr_db.items()},
            "quality": [
                {
                    name: _finite(value) if isinstance(value, float) else value
                    for name, value in asdict(each).items()
                }
                for each in self.quality
            ],
        }


def validate(
    network: Network,
    inputs: Mapping[str, Array],
    progress: Progress = no_progress,
    *,
    layers: bool = False,
    oracle: Oracle = "tvm",
) -> Validation:
    """Compare one run. DataError if the inputs do not fit. progress: is told how far it is. layers:
    take the signal-to-noise of each layer too. oracle: whose results of the layers are right: TVM's
    or, in its place, MLIR's (``mlir_oracle.py``; OracleError if it is not installed). A network
    whose float weights are not there (``float_weights.py``) is compared without them, unless layers
    are asked for: then that is the error."""
    no_floats = ""
    try:
        network = with_float_weights(network)
    except ZeroskipError as problem:
        if layers:
            raise
        no_floats = str(problem)
    images = images_of(network, match_inputs(inputs, network.run_inputs, "input data"))
    judge = MlirOracle(network.reference_module) if oracle == "mlir" else None
    title = TVM if judge is None else MLIR
    with as_mismatch_error(f"network '{network.name}'"):
        progress("TVM's CPU, compiling", 0, 1)
        floats = FloatCheck(network, layers and bool(network.programs), not no_floats)
        reference, host = floats.reference, None
        if network.programs:
            reference.executable, host = compile_alike([reference.module, network.host_module])
    session = Session(network, host=host)
    seen = list(
        in_lockstep(
            [partial(run_watched, session, arrays, progress) for arrays in images],
            progress=progress,
        )
    )
    with as_mismatch_error(f"network '{network.name}'"):
        checked = []
        for number, (arrays, (regions, outputs)) in enumerate(zip(images, seen, strict=True)):
            made: list[Checked] = []
            for done, each in enumerate(regions):
                progress(
                    f"{title}, {each.program.name}",
                    number * len(regions) + done,
                    len(images) * len(regions),
                )
                made.append(check_region(network, reference.executable, each, judge))
            if network.programs:
                expected = reference.outputs(arrays)
                checked.append(_check_outputs(network, arrays, regions, made, expected, outputs))
            progress("TVM's CPU, the float network", 0, 1)
            floats.add(arrays, outputs, list(zip(regions, made, strict=True)))
    placement = network.placement
    coverage = (
        placement.coverage()
        if placement.regions
        else nothing_runs(network.spec.name, network.cpu, network.host_macs)
    )
    return replace(_summary(checked, floats, coverage), oracle=title, no_floats=no_floats)


def _finite(value: float) -> float | None:
    """For JSON, which has no infinities."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class _Image:
    """What was found of an image. outputs: how many of the network's were compared."""

    regions: list[Checked]
    mismatch: Mismatch | None
    outputs: int


def _check_outputs(
    network: Network,
    arrays: list[Array],
    seen: list[Seen],
    regions: list[Checked],
    expected: list[Array],
    outputs: list[Array],
) -> _Image:
    """An image whose regions were compared: the network's outputs."""
    names = [port.name for port in network.outputs]
    mismatch = next((each.mismatch for each in regions if each.mismatch is not None), None)
    for made in (outputs, *_without_tvm(network, arrays, seen)):
        mismatch = mismatch or check_outputs(names, expected, made)
    return _Image(regions, mismatch, len(expected))


def _without_tvm(network: Network, arrays: list[Array], regions: list[Seen]) -> list[list[Array]]:
    """The outputs as ``Session.run`` makes them where it does without TVM; none where it does not,
    or where it gives the region other inputs than TVM: then they show nothing."""
    plan = network.direct
    if plan is None or len(regions) != 1:
        return []
    (seen,) = regions
    given = quantized(plan, seen.program, arrays)
    if any(not np.array_equal(given[name], value) for name, value in seen.inputs.items()):
        return [[np.empty(0)] * len(network.outputs)]
    return [dequantized(plan, seen.program, seen.run.outputs)]


def _summary(checked: list[_Image], floats: FloatCheck, coverage: str) -> Validation:
    regions = [each for image in checked for each in image.regions]
    quality: dict[str, OutputQuality] = floats.outputs()
    return Validation(
        regions=len(regions),
        exact_regions=sum(each.mismatch is None for each in regions),
        layers=sum(each.compared for each in regions),
        mismatch=next((each.mismatch for each in checked if each.mismatch is not None), None),
        snr_db={name: each.snr_db for name, each in quality.items()},
        top1_agree={name: each.top1_agree for name, each in quality.items()},
        coverage=coverage,
        of_layers=sum(each.layers for each in regions),
        outputs=sum(each.outputs for each in checked),
        snr_before={name: each.before for name, each in quality.items() if each.before},
        quality=tuple(floats.layers()),
    )
