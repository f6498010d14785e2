"""What the integer network lost against the float one, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.compiler.artifact.network import Network
from zeroskip.relay_passes.attrs import LAYERS_ATTR
from zeroskip.relay_passes.partition import Held, held_in
from zeroskip.relay_passes.relax.passes import with_unique_names
from zeroskip.relay_passes.relax.rewriting import bindings

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


class LayerCheck:
    """Takes runs of a network's regions.

    tensors: the float network's variables that the integer tensors stand for.
    """

    def __init__(self, network: Network) -> None:
        self._functions = {name: network.reference_module[name] for name in network.programs}
        self._held = {name: held_in(function) for name, function in self._functions.items()}
        self._powers = {name: [Power() for _ in held] for name, held in self._held.items()}
        main = with_unique_names(network.floating_module)["main"]
        self._order = {
            str(var.name): at
            for at, var in enumerate((*main.params, *(binding.var for binding in bindings(main))))
        }
        self.tensors = self._order.keys() & {
            each.tensor for held in self._held.values() for each in held
        }

    def add(self, region: str, floats: Mapping[str, Array], made: Sequence[Array]) -> None:
        """An image: variables of the float network, and a region's inputs and layers' results."""
        for held, power, values in zip(self._held[region], self._powers[region], made, strict=True):
            want = floats.get(held.tensor)
            if want is not None and want.size == values.size:
                power.add(want, (values.astype(np.float64) - held.zero_point) * held.scale)

    def power_of(self, tensor: str) -> Power | None:
        """Of the last integer tensor that stands for a variable; None if none does."""
        found = [
            power
            for name, held in self._held.items()
            for each, power in zip(held, self._powers[name], strict=True)
            if each.tensor == tensor
        ]
        return found[-1] if found and found[-1].signal else None

    def layers(self) -> list[LayerQuality]:
        """In the order of the network."""
        rows: list[tuple[int, LayerQuality]] = []
        for region, held in self._held.items():
            nodes = [str(node) for node in self._functions[region].attrs[LAYERS_ATTR]]
            for at, node in enumerate(nodes, len(held) - len(nodes)):
                rows.append(
                    (self._order.get(held[at].tensor, -1), self._quality(region, node, held, at))
                )
        return [row for _, row in sorted(rows, key=lambda row: row[0])]

    def _quality(self, region: str, node: str, held: list[Held], at: int) -> LayerQuality:
        known = [
            power.db if one.tensor in self.tensors and power.signal else math.nan
            for one, power in zip(held, self._powers[region], strict=True)
        ]
        read = min((known[x] for x in held[at].reads), default=math.nan)
        lost = read - known[at] if math.isfinite(read) and math.isfinite(known[at]) else math.nan
        return LayerQuality(region, node, held[at].kind, known[at], lost)
