"""A run of a region against the reference: the results of all its layers, and its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax

from zeroskip.accel_model.io.telling import Progress
from zeroskip.accel_model.machine.machine import Inputs
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program, ResultPlace, Tile
from zeroskip.accel_model.program.tensor_layout import split_images
from zeroskip.compiler.artifact.network import Network
from zeroskip.relay_passes.attrs import LAYERS_ATTR
from zeroskip.relay_passes.relax.cpu import run_cpu
from zeroskip.runtime.execution.mlir_oracle import TITLE as MLIR
from zeroskip.runtime.execution.mlir_oracle import MlirOracle
from zeroskip.runtime.execution.packed import Hook, hooked
from zeroskip.runtime.execution.session import Session

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Mismatch:
    """The first element that differs. region: "" of an output of the network. pc: of the
    instruction that wrote it, -1 if no compute instruction did. oracle: who expected another."""

    region: str
    layer: str
    index: tuple[int, ...]
    pc: int
    expected: float
    got: float
    oracle: str = "TVM"

    def __str__(self) -> str:
        at = ", ".join(map(str, self.index))
        if not self.region:
            return (
                f"output '{self.layer}', element [{at}]: {self.oracle} has {self.expected}, the "
                f"network {self.got}"
            )
        where = f"pc {self.pc}" if self.pc >= 0 else "of no compute instruction"
        return (
            f"region '{self.region}', layer '{self.layer}', element [{at}], {where}: "
            f"{self.oracle} has {self.expected}, the accelerator {self.got}"
        )


class Written:
    """Puts the tiles that a run writes together to whole tensors, by name."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.tensors: dict[str, Array] = {}
        self._tiles: dict[str, list[tuple[Tile, int]]] = {}

    def __call__(self, pc: int, tile: Tile, values: Array, before: tuple[Array, ...]) -> None:
        info = self.program.layers[tile.layer]
        for name, held in zip((*info.before, info.value), (*before, values), strict=True):
            self._put(name, info.shape, pc, tile, held)

    def _put(self, name: str, shape: tuple[int, ...], pc: int, tile: Tile, values: Array) -> None:
        if name not in self.tensors:
            self.tensors[name] = np.zeros(shape, values.dtype)
            self._tiles[name] = []
        self.tensors[name][_place(tile)] = values
        self._tiles[name].append((tile, pc))

    def mask(self, name: str) -> npt.NDArray[np.bool_]:
        """Which elements of a tensor were written."""
        mask = np.zeros(self.tensors[name].shape, np.bool_)
        for tile, _ in self._tiles[name]:
            mask[_place(tile)] = True
        return mask

    def pc_of(self, name: str, index: tuple[int, ...]) -> int:
        """The compute instruction that wrote an element, -1 if none did."""
        for tile, pc in reversed(self._tiles.get(name, [])):
            if all(
                span.start <= at < span.stop
                for at, span in zip(index[1:], _place(tile)[1:], strict=True)
            ):
                return pc
        return -1


def _place(tile: Tile) -> tuple[slice, ...]:
    spans = zip((tile.channel, *tile.origin), (tile.channels, *tile.size), strict=True)
    return (slice(0, 1), *(slice(start, start + size) for start, size in spans))


@dataclass(frozen=True, eq=False)
class Seen:
    """A run of one region: its inputs, the run, and what its tiles held."""

    program: Program
    inputs: Mapping[str, Array]
    run: Run
    written: Written

    def given(self, function: relax.Function) -> list[Array]:
        """The inputs in the program's order, in the shapes of the reference's function."""
        shapes = [tuple(int(n) for n in param.ty.shape) for param in function.params]
        return [
            split_images(self.inputs[tensor.name], shape)
            for tensor, shape in zip(self.program.inputs, shapes, strict=True)
        ]

    def results(self, function: relax.Function) -> list[Array]:
        """Of each layer of the network, in the shapes of the reference's function; what was never
        written is empty."""
        fields = function.ret_ty.fields if hasattr(function.ret_ty, "fields") else [function.ret_ty]
        shapes = [tuple(int(n) for n in field.shape) for field in fields]
        found = [self.result(place)[0] for place in self.program.places]
        return [
            split_images(values, shape) if values.size else values
            for values, shape in zip(found, shapes, strict=True)
        ]

    def result(self, place: ResultPlace) -> tuple[Array, npt.NDArray[np.bool_]]:
        """A layer's result as the machine has it, and which elements were never written: from DRAM
        where it was moved there, else from the tiles. Empty if nothing of it was written."""
        channels = slice(place.offset, place.offset + place.channels)
        whole = {**self.inputs, **self.run.moved, **self.run.outputs}.get(place.value)
        if whole is not None:
            got = np.asarray(whole)[:, channels]
            return got, np.zeros(got.shape, np.bool_)
        if place.value not in self.written.tensors:
            return np.empty(0), np.empty(0, np.bool_)
        return (
            self.written.tensors[place.value][:, channels],
            ~self.written.mask(place.value)[:, channels],
        )


def run_watched(
    session: Session, arrays: list[Array], progress: Progress
) -> tuple[list[Seen], list[Array]]:
    """An image through TVM's host module: every region, watched, and the network's outputs."""
    regions: list[Seen] = []
    watching: list[Written] = []

    def observe(program: Program) -> Written:
        watching.append(Written(program))
        return watching[-1]

    def done(program: Program, inputs: Inputs, run: Run) -> None:
        kept = {name: np.array(values) for name, values in inputs.items()}
        regions.append(Seen(program, kept, run, watching.pop()))

    with hooked(Hook(done, observe, progress=progress)):
        outputs = session.run_host(arrays)
    return regions, outputs


@dataclass(frozen=True, eq=False)
class Checked:
    """What was found of a region: the first difference, how many of its layers' results were
    compared, of how many, and what the machine has for the inputs and each of them, in the
    reference's shapes."""

    mismatch: Mismatch | None
    compared: int
    layers: int
    tensors: list[Array]


def check_region(
    network: Network, executable: Any, seen: Seen, oracle: MlirOracle | None = None
) -> Checked:
    """Compare every layer's result and every output of a region with those of TVM's executable, or
    of the oracle. An element that no instruction wrote is a difference too. ValueError if reference
    and program are not of the same layers."""
    program = seen.program
    function = network.reference_module[program.name]
    arrays = seen.given(function)
    names = [str(name) for name in function.attrs[LAYERS_ATTR]]
    expected, judge = (
        (run_cpu(executable, program.name, arrays), Mismatch.oracle)
        if oracle is None
        else (oracle.results(program.name, arrays), MLIR)
    )
    found: list[Mismatch] = []
    results = []
    for name, place, want in zip(names, program.places, expected, strict=True):
        got, missing = seen.result(place)
        if not got.size:
            got, missing = np.zeros_like(want), np.ones(want.shape, np.bool_)
            results.append(got)
        else:
            results.append(split_images(got, want.shape))
        laid = _laid_as(want, got)
        at = _first((laid != got) | missing)
        if at is not None:
            number = int(_laid_as(np.arange(want.size).reshape(want.shape), got)[at])
            pc = seen.written.pc_of(place.value, (at[0], at[1] + place.offset, *at[2:]))
            found.append(
                Mismatch(
                    program.name,
                    name,
                    tuple(int(n) for n in np.unravel_index(number, want.shape)),
                    pc,
                    int(laid[at]),
                    int(got[at]),
                    judge,
                )
            )
    for tensor, maker in zip(program.outputs, network.results[program.name], strict=True):
        want = expected[maker]
        got = split_images(seen.run.outputs[tensor.name], want.shape)
        at = _first(want != got)
        if at is not None:
            found.append(
                Mismatch(program.name, names[maker], at, -1, int(want[at]), int(got[at]), judge)
            )
    tensors = [*arrays, *results]
    return Checked(found[0] if found else None, len(results), len(names), tensors)


def _laid_as(want: Array, got: Array) -> Array:
    """A reference's array as the machine has it: the images of a batch one below the other."""
    if want.shape == got.shape:
        return want
    parts = want.reshape(len(want), got.shape[1], -1)
    return parts.swapaxes(0, 1).reshape(got.shape)


def _first(differs: npt.NDArray[np.bool_]) -> tuple[int, ...] | None:
    """Index of the first True."""
    flat = int(np.argmax(differs))
    if not differs.size or not differs.reshape(-1)[flat]:
        return None
    return tuple(int(n) for n in np.unravel_index(flat, differs.shape))


def check_outputs(names: list[str], expected: list[Array], outputs: list[Array]) -> Mismatch | None:
    """The first element of the network's outputs that differs in a bit."""
    for name, want, got in zip(names, expected, outputs, strict=True):
        if want.shape != got.shape or want.dtype != got.dtype:
            return Mismatch("", name, (), -1, float(want.size), float(got.size))
        at = _first(_differ(want, got))
        if at is not None:
            return Mismatch("", name, at, -1, want[at].item(), got[at].item())
    return None


def _differ(want: Array, got: Array) -> npt.NDArray[np.bool_]:
    """Where two arrays of one type and shape have other bits."""
    bits = [
        np.ascontiguousarray(each).reshape(-1).view(np.uint8).reshape(want.size, -1)
        for each in (want, got)
    ]
    differs: npt.NDArray[np.bool_] = (bits[0] != bits[1]).any(axis=1).reshape(want.shape)
    return differs
