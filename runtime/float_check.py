"""What the integer network lost against the float one: signal-to-noise of outputs and layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.compiler.network import Network
from zeroskip.relay_passes.graph import bindings
from zeroskip.relay_passes.partition import LAYERS_ATTR, Held, held_in
from zeroskip.relay_passes.passes import with_unique_names
from zeroskip.relay_passes.saturation import before_saturation
from zeroskip.runtime.region_check import Checked, Seen
from zeroskip.runtime.watch import Watch, compared, ends_of

Array = npt.NDArray[Any]


@dataclass
class Power:
    """Signal and noise, added up."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, want: Array, got: Array) -> None:
        """want: the float network's tensor, the signal; got: what stands for it, of one size."""
        exact = want.reshape(-1).astype(np.float64)
        self.signal += float(np.square(exact).sum())
        self.noise += float(np.square(exact - got.reshape(-1)).sum())

    @property
    def db(self) -> float:
        """Infinity where there is no noise or no signal."""
        if not self.noise or not self.signal:
            return math.inf
        return 10 * math.log10(self.signal / self.noise)


@dataclass(frozen=True)
class LayerQuality:
    """How near a layer's result is to the float network's tensor, with all that was lost before it;
    lost_db: how much less that is than of the worst tensor that it reads. NaN: not known."""

    region: str
    layer: str
    kind: str
    snr_db: float
    lost_db: float


@dataclass(frozen=True)
class OutputQuality:
    """Of an output of the network; before: the function before which snr_db is taken, or ""."""

    snr_db: float
    top1_agree: bool
    before: str


def finite(value: float) -> float | None:
    """For JSON, which has no infinities."""
    return value if math.isfinite(value) else None


class FloatCheck:
    """Takes runs of a network, image by image. layers: whether layers are looked at.

    reference: the network's reference, and what is before the saturating functions at its end.
    """

    def __init__(self, network: Network, layers: bool) -> None:
        self._network = network
        floating = with_unique_names(network.floating_module)
        reference = with_unique_names(network.reference_module)
        self._ends = ends_of(*map(before_saturation, (floating["main"], reference["main"])))
        if not network.programs:  # both are the same
            self._ends = [None] * len(self._ends)
        self._held = {name: held_in(network.reference_module[name])
                      for name in network.programs} if layers else {}
        self._order = {str(binding.var.name): at
                       for at, binding in enumerate(bindings(floating["main"]))}
        known = self._order.keys() | {str(param.name) for param in floating["main"].params}
        self._tensors = known & {each.tensor for held in self._held.values() for each in held}
        pairs = [pair for pair in self._ends if pair]
        self._float = Watch(floating, [*(name for pair in pairs for name in pair[0].names),
                                       *sorted(self._tensors)])
        self.reference = Watch(reference, [name for pair in pairs for name in pair[1].names])
        self._outputs = [Power() for _ in network.outputs]
        self._same = [True for _ in network.outputs]
        self._layers = {name: [Power() for _ in held] for name, held in self._held.items()}

    def add(self, arrays: list[Array], outputs: list[Array],
            regions: Sequence[tuple[Seen, Checked]]) -> None:
        """An image: inputs and outputs of the network, and its regions."""
        floats, integers = self._float.values(arrays), self.reference.values(arrays)
        for at, (want, got) in enumerate(zip(self._float.outputs(arrays), outputs, strict=True)):
            self._same[at] &= bool(np.argmax(want) == np.argmax(got))
            for pair in compared(self._ends[at], (want, floats), (got, integers)):
                self._outputs[at].add(*pair)
        for seen, checked in regions if self._held else ():
            self._add_region(floats, seen, checked)

    def _add_region(self, floats: dict[str, Array], seen: Seen, checked: Checked) -> None:
        name = seen.program.name
        made = [*(seen.inputs[tensor.name] for tensor in seen.program.inputs), *checked.results]
        for held, power, values in zip(self._held[name], self._layers[name], made, strict=True):
            if held.tensor in floats and floats[held.tensor].size == values.size:
                real = (values.astype(np.float64) - held.zero_point) * held.scale
                power.add(floats[held.tensor], real)

    def outputs(self) -> dict[str, OutputQuality]:
        """By name."""
        found = zip(self._network.outputs, self._outputs, self._same, self._ends, strict=True)
        return {port.name: OutputQuality(power.db, same, pair[0].words() if pair else "")
                for port, power, same, pair in found}

    def layers(self) -> list[LayerQuality]:
        """In the order of the network."""
        rows: list[tuple[int, LayerQuality]] = []
        for region, held in self._held.items():
            nodes = [str(node) for node in
                     self._network.reference_module[region].attrs[LAYERS_ATTR]]
            first = len(held) - len(nodes)
            for at, node in enumerate(nodes, first):
                rows.append((self._order.get(held[at].tensor, -1),
                             self._quality(region, node, held, at)))
        return [row for _, row in sorted(rows, key=lambda row: row[0])]

    def _quality(self, region: str, node: str, held: list[Held], at: int) -> LayerQuality:
        known = [power.db if one.tensor in self._tensors else math.nan
                 for one, power in zip(held, self._layers[region], strict=True)]
        read = min((known[x] for x in held[at].reads), default=math.nan)
        lost = read - known[at] if math.isfinite(read) and math.isfinite(known[at]) else math.nan
        return LayerQuality(region, node, held[at].kind, known[at], lost)
