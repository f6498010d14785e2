"""What the integer network lost against the float one: signal-to-noise of outputs and layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from zeroskip.compiler.artifact.network import Network
from zeroskip.relay_passes.relax.passes import with_unique_names
from zeroskip.relay_passes.relax.saturation import before_saturation
from zeroskip.runtime.execution.layer_quality import LayerCheck, LayerQuality, Power
from zeroskip.runtime.execution.region_check import Checked, Seen
from zeroskip.runtime.execution.watch import Ends, Watch, compared, ends_of

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class OutputQuality:
    """Of an output of the network; before: the function before which snr_db is taken, or ""."""

    snr_db: float
    top1_agree: bool
    before: str


class FloatCheck:
    """Takes runs of a network, image by image. layers: whether layers are looked at. floats:
    whether there is a float network; without one nothing is taken.

    reference: the network's reference, and what is before the saturating functions at its end.
    """

    def __init__(self, network: Network, layers: bool, floats: bool = True) -> None:
        self._network, self._images = network, network.images
        reference = with_unique_names(network.reference_module)
        self._ends: Ends = [None] * len(network.outputs)
        self._layers = LayerCheck(network) if layers else None
        self._float: Watch | None = None
        if floats:
            floating = with_unique_names(network.floating_module)
            if network.programs:  # else both are the same
                self._ends = ends_of(*map(before_saturation, (floating["main"], reference["main"])))
            ends = [name for pair in self._ends if pair for name in pair[0].names]
            tensors = sorted(self._layers.tensors) if self._layers is not None else []
            self._float = Watch(floating, [*ends, *tensors])
        names = [name for pair in self._ends if pair for name in pair[1].names]
        self.reference = Watch(reference, names)
        self._outputs = [Power() for _ in network.outputs]
        self._same = [True for _ in network.outputs]

    def add(
        self, arrays: list[Array], outputs: list[Array], regions: Sequence[tuple[Seen, Checked]]
    ) -> None:
        """An image: inputs and outputs of the network, and its regions."""
        if self._float is None:
            return
        floats, integers = self._float.values(arrays), self.reference.values(arrays)
        for at, (want, got) in enumerate(zip(self._float.outputs(arrays), outputs, strict=True)):
            first, second = (each.reshape(self._images, -1).argmax(axis=1) for each in (want, got))
            self._same[at] &= bool((first == second).all())
            for pair in compared(self._ends[at], (want, floats), (got, integers)):
                self._outputs[at].add(*pair)
        if self._layers is not None:
            for seen, checked in regions:
                self._layers.add(seen.program.name, floats, checked.tensors)

    def outputs(self) -> dict[str, OutputQuality]:
        """By name; none without a float network."""
        if self._float is None:
            return {}
        found = zip(self._network.outputs, self._outputs, self._same, self._ends, strict=True)
        return {
            port.name: OutputQuality(power.db, same, pair[0].words() if pair else "")
            for port, power, same, pair in found
        }

    def layers(self) -> list[LayerQuality]:
        """In the order of the network."""
        return [] if self._layers is None else self._layers.layers()
