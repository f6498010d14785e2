"""The machine against TVM: every bit of every layer, and the answers of the float network.

The reference is the integer Relax module compiled for llvm, in which each region is a function that
returns the results of all its layers. Each region gets the same inputs on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.machine import Inputs
from zeroskip.accel_model.program import Program, Tile
from zeroskip.accel_model.run import Run
from zeroskip.compiler.data import match_inputs
from zeroskip.compiler.network import Network, parts_of
from zeroskip.compiler.placement import nothing_runs
from zeroskip.relay_passes.cpu_schedule import compile_for_cpu, run_cpu
from zeroskip.runtime.packed import Hook, hooked, in_lockstep
from zeroskip.runtime.progress import Tell, silent
from zeroskip.runtime.session import Session, images_of

Array = npt.NDArray[Any]
LAYERS_ATTR = "zeroskip.layers"


@dataclass(frozen=True)
class Mismatch:
    """The first element that differs."""

    region: str
    layer: str
    index: tuple[int, ...]
    pc: int
    expected: int
    got: int

    def __str__(self) -> str:
        at = ", ".join(map(str, self.index))
        where = f"pc {self.pc}" if self.pc >= 0 else "the output"
        return (f"region '{self.region}', layer '{self.layer}', element [{at}], {where}: TVM has "
                f"{self.expected}, the accelerator {self.got}")


@dataclass(frozen=True)
class Validation:
    """What was compared. snr_db: of the outputs against the float network, by output's name;
    top1_agree: whether the largest element is at the same place, where that means something;
    coverage: how much of the network the regions are, in words."""

    regions: int
    exact_regions: int
    layers: int
    mismatch: Mismatch | None
    snr_db: dict[str, float]
    top1_agree: dict[str, bool]
    coverage: str = ""

    @property
    def exact(self) -> bool:
        return self.mismatch is None

    def text(self) -> str:
        """A few lines for people."""
        lines = [f"{self.exact_regions} of {self.regions} regions bit-exact against TVM's CPU "
                 f"({self.layers} layers compared)" if self.regions else "nothing was compared"]
        lines[0] += f", {self.coverage}" if self.coverage else ""
        if self.mismatch is not None:
            lines.append(f"first difference: {self.mismatch}")
        for name, snr in self.snr_db.items():
            same = "same" if self.top1_agree[name] else "another"
            lines.append(f"'{name}' against the float network: {snr:.1f} dB signal-to-noise, "
                         f"{same} top-1")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Seen:
    """A run of one region: its inputs, the run, and what each layer's tiles held."""

    program: Program
    inputs: Inputs
    run: Run
    layers: Layers


def validate(network: Network, inputs: Mapping[str, Array], tell: Tell = silent) -> Validation:
    """Compare one run. DataError if the inputs do not fit. tell: is told how far it is."""
    images = images_of(network, match_inputs(inputs, network.run_inputs, "input data"))
    tell("TVM's CPU, the host", 0, 1)
    session = Session(network)
    seen = list(in_lockstep([partial(_run_watched, session, arrays, tell) for arrays in images],
                            tell=tell))
    regions = [each for image in seen for each in image.regions]
    exact, layers = 0, 0
    first: Mismatch | None = None
    with parts_of(f"network '{network.name}'"):
        tell("TVM's CPU, compiling the reference", 0, 1)
        executable = compile_for_cpu(network.reference_module) if regions else None
        for number, one in enumerate(regions):
            tell(f"TVM's CPU, {one.program.name}", number, len(regions))
            mismatch, count = _compare(network, executable, one)
            exact += mismatch is None
            layers += count
            first = first or mismatch
        tell("TVM's CPU, the float network", 0, 1)
        snr, top1 = _against_float(network, images, [image.outputs for image in seen])
    placement = network.placement
    coverage = placement.coverage() if placement.regions else nothing_runs(
        network.spec.name, network.cpu, network.host_macs)
    return Validation(len(regions), exact, layers, first, snr, top1, coverage)


@dataclass(frozen=True, eq=False)
class _Watched:
    regions: list[_Seen]
    outputs: list[Array]


def _run_watched(session: Session, arrays: list[Array], tell: Tell) -> _Watched:
    """An image through TVM's host module, every region watched."""
    regions: list[_Seen] = []
    watching: list[Layers] = []

    def observe(program: Program) -> Layers:
        watching.append(Layers(program))
        return watching[-1]

    def done(program: Program, inputs: Inputs, run: Run) -> None:
        kept = {name: np.array(values) for name, values in inputs.items()}
        regions.append(_Seen(program, kept, run, watching.pop()))

    with hooked(Hook(done, observe, tell=tell)):
        outputs = session.run_host(arrays)
    return _Watched(regions, outputs)


class Layers:
    """Puts the tiles that a run writes together to whole results of layers."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.results: dict[int, Array] = {}
        self._tiles: dict[int, list[tuple[Tile, int]]] = {}

    def __call__(self, pc: int, tile: Tile, values: Array) -> None:
        shape = self.program.layers[tile.layer].shape
        if tile.layer not in self.results:
            self.results[tile.layer] = np.zeros(shape, values.dtype)
            self._tiles[tile.layer] = []
        self.results[tile.layer][_place(tile)] = values
        self._tiles[tile.layer].append((tile, pc))

    def written(self, layer: int) -> npt.NDArray[np.bool_]:
        """Which elements of a layer's result were written by its own tiles."""
        mask = np.zeros(self.program.layers[layer].shape, np.bool_)
        for tile, _ in self._tiles[layer]:
            mask[_place(tile)] = True
        return mask

    def pc_of(self, layer: int, index: tuple[int, ...]) -> int:
        """The instruction that wrote an element, -1 if none did."""
        for tile, pc in reversed(self._tiles[layer]):
            if all(span.start <= at < span.stop
                   for at, span in zip(index[1:], _place(tile)[1:], strict=True)):
                return pc
        return -1


def _place(tile: Tile) -> tuple[slice, ...]:
    spans = zip((tile.channel, *tile.origin), (tile.channels, *tile.size), strict=True)
    return (slice(0, 1), *(slice(start, start + size) for start, size in spans))


def _compare(network: Network, executable: Any, one: _Seen) -> tuple[Mismatch | None, int]:
    """The first difference in a region, and how many layers' results were compared.

    An element that no instruction wrote is a difference too.
    """
    program = one.program
    function = network.reference_module[program.name]
    shapes = [tuple(int(n) for n in param.ty.shape) for param in function.params]
    arrays = [one.inputs[tensor.name].reshape(shape)
              for tensor, shape in zip(program.inputs, shapes, strict=True)]
    names = [str(name) for name in function.attrs[LAYERS_ATTR]]
    expected = run_cpu(executable, program.name, arrays)
    compared = 0
    for index, layer in enumerate(program.layers):
        if index not in one.layers.results or names.count(layer.result) != 1:
            continue
        got = one.layers.results[index]
        want = expected[names.index(layer.result)]
        if want.size != got.size:
            continue  # a part of a concatenation, compared with the whole
        compared += 1
        want, written = want.reshape(got.shape), one.layers.written(index)
        at = _first((want != got) | ~written)
        if at is not None:
            return Mismatch(program.name, layer.result, at, one.layers.pc_of(index, at),
                            int(want[at]), int(got[at])), compared
    for tensor, maker in zip(program.outputs, network.results[program.name], strict=True):
        want = expected[maker]
        got = one.run.outputs[tensor.name].reshape(want.shape)
        at = _first(want != got)
        if at is not None:
            return Mismatch(program.name, names[maker], at, -1, int(want[at]), int(got[at])
                            ), compared
    return None, compared


def _first(differs: npt.NDArray[np.bool_]) -> tuple[int, ...] | None:
    """Index of the first True."""
    flat = int(np.argmax(differs))
    if not differs.size or not differs.reshape(-1)[flat]:
        return None
    return tuple(int(n) for n in np.unravel_index(flat, differs.shape))


def _against_float(network: Network, images: list[list[Array]], outputs: list[list[Array]]
                   ) -> tuple[dict[str, float], dict[str, bool]]:
    """Signal-to-noise in dB and top-1 agreement of each output with the float network's, over all
    images of a run."""
    executable = compile_for_cpu(network.floating_module)
    floats = [run_cpu(executable, "main", arrays) for arrays in images]
    snr, top1 = {}, {}
    for port, wants, gots in zip(network.outputs, zip(*floats, strict=True),
                                 zip(*outputs, strict=True), strict=True):
        pairs = [(want.astype(np.float64), got) for want, got in zip(wants, gots, strict=True)]
        noise = sum(float(np.square(want - got).sum()) for want, got in pairs)
        signal = sum(float(np.square(want).sum()) for want, _ in pairs)
        snr[port.name] = 10 * np.log10(signal / noise) if noise and signal else float("inf")
        top1[port.name] = all(bool(np.argmax(want) == np.argmax(got)) for want, got in pairs)
    return snr, top1
