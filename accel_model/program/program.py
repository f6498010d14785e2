"""A compiled program and its file: instructions, DRAM image, tensors, provenance, fingerprint.

The file is an uncompressed zip of ``manifest.json`` and raw ``.npy`` arrays: no pickle, no code,
readable with ordinary tools. The manifest holds the SHA-256 of every array and of itself; a file
that was cut, altered or made by another format version is refused with one sentence.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.archive import (
    digest,
    members_of,
    npy_chunks,
    read_npy,
    seal,
    write_zip,
)
from zeroskip.accel_model.io.validate import checked_int, checked_text, from_table, short_message
from zeroskip.accel_model.program.bound import Needs
from zeroskip.accel_model.program.tensor_layout import Tensor
from zeroskip.accel_model.spec import AccelSpec, SpecError, spec_from_table
from zeroskip.accel_model.storage import IN_BYTES

FORMAT = 6
MAX_DRAM_BYTES = 1 << 32
MAX_RESULT = 1 << 28  # elements of a layer's result
VALUE_TYPES = {8: ("int8", "uint8"), 16: ("int16",)}  # of tensors, by the bits of activations


class ProgramError(ZeroskipError):
    """A program file that cannot be loaded; says what is wrong with it."""


@dataclass(frozen=True)
class LayerInfo:
    """What the report and the audit need to know of a layer; computed from the layer itself.

    ``result`` is the node whose output the layer's tiles hold: ``node`` itself, or the addition
    that was fused into it. ``macs`` counts every multiply of the dense layer, ``effectual`` those
    with a non-zero weight, ``real_macs`` those of them whose input lies within the image: the
    others multiply by padding. ``input_bytes``, ``output_bytes`` and ``weight_bytes`` are what the
    layer needs: inputs that its result depends on and outputs, each once, and weights in the ideal
    size of the target's format. ``shape`` is that of the tensor ``value``, of which its tiles are a
    part. ``before``: the names of what it computes on the way to its result, in order: before the
    addition and before the table that are fused into it.
    """

    node: str
    result: str
    kind: str
    shape: tuple[int, ...]
    macs: int
    effectual: int
    real_macs: int
    input_bytes: int
    output_bytes: int
    weight_bytes: int
    schedule: str
    value: str = ""
    before: tuple[str, ...] = ()

    @property
    def needs(self) -> Needs:
        """With its tensors in DRAM."""
        return Needs(self.real_macs, self.input_bytes + self.output_bytes + self.weight_bytes)

    def bound(self, macs_per_cycle: int, bytes_per_cycle: int) -> int:
        """Cycles of its needs: multiplies or bytes, whichever take longer."""
        return self.needs.bound(macs_per_cycle, bytes_per_cycle)


@dataclass(frozen=True)
class Tile:
    """The part of a layer's output that one compute instruction writes: origins and sizes."""

    layer: int
    channel: int
    channels: int
    origin: tuple[int, ...]
    size: tuple[int, ...]


@dataclass(frozen=True)
class ResultPlace:
    """Where a result of the network is: channels from ``offset`` on of the tensor ``value``, which
    is an input, one that layers write, or one before a fused addition or table."""

    value: str
    offset: int
    channels: int


@dataclass(frozen=True)
class Program:
    """One accelerator region, ready to run.

    spec: the accelerator it was made for; it runs on no other.
    words: uint8 [n, 16], the instructions in program order (all units in one stream).
    image: uint8, the DRAM bytes from address 0 on: packed weights and parameters.
    dram_bytes: size of the DRAM arena; activations lie behind the image.
    layer_of: int32 [n], the layer of each instruction (-1: none).
    tile_of: int32 [n], index in ``tiles`` of what the instruction writes (-1: nothing final).
    input_bytes: of the inputs, those that some layer's result depends on.
    moved: tensors in DRAM that are no outputs and of which no compute instruction writes all.
    places: of the result of each layer of the network, in its order; those that are joined into
    one operation and those that only move data included.
    reachable: cycles that no program of these layers takes less than with the accelerator's SRAM.
    activation_bits: that values of activations have: 8, or 16 on a target that stores as many.
    """

    name: str
    spec: AccelSpec
    words: npt.NDArray[np.uint8]
    image: npt.NDArray[np.uint8]
    dram_bytes: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    layers: tuple[LayerInfo, ...]
    tiles: tuple[Tile, ...]
    layer_of: npt.NDArray[np.int32]
    tile_of: npt.NDArray[np.int32]
    input_bytes: int = 0
    moved: tuple[Tensor, ...] = ()
    places: tuple[ResultPlace, ...] = ()
    reachable: int = 1
    activation_bits: int = 8

    @property
    def value_bytes(self) -> int:
        """Bytes of the value of an activation."""
        return self.activation_bits // 8

    @property
    def sum_bits(self) -> int:
        """Bits of a sum: of 8-bit activations 32, of others as many as the target has."""
        return IN_BYTES.sum_bits if self.value_bytes == 1 else self.spec.storage.sum_bits

    @property
    def act_type(self) -> npt.DTypeLike:
        """What a value is held in."""
        return np.uint8 if self.value_bytes == 1 else np.uint16

    @property
    def sum_type(self) -> npt.DTypeLike:
        """What a sum is held in."""
        return np.int32 if self.value_bytes == 1 else np.int64

    @property
    def target(self) -> str:
        """Name of the accelerator."""
        return self.spec.name

    @property
    def fingerprint(self) -> str:
        """Of the accelerator's description: every number of it."""
        return self.spec.fingerprint

    @property
    def output_bytes(self) -> int:
        """Bytes of DRAM that belong to an output and not to the image, each once."""
        total, reached = 0, len(self.image)
        for first, last in sorted(
            (each.address, each.address + each.nbytes) for each in self.outputs
        ):
            total += max(0, last - max(first, reached))
            reached = max(reached, last)
        return total

    @property
    def needs(self) -> Needs:
        """Of all layers, with every tensor between two of them on the chip."""
        weights = sum(layer.weight_bytes for layer in self.layers)
        return Needs(
            sum(layer.real_macs for layer in self.layers),
            weights + self.input_bytes + self.output_bytes,
        )

    def parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """What a file says in words, as tables of text and numbers, and its arrays."""
        tiles = np.array([_flat_tile(tile) for tile in self.tiles], np.int32).reshape(
            len(self.tiles), -1
        )
        head: dict[str, Any] = {
            "format": FORMAT,
            "name": self.name,
            "spec": self.spec.table,
            **self.spec.plugin,
            "dram_bytes": self.dram_bytes,
            "input_bytes": self.input_bytes,
            "reachable": self.reachable,
            "inputs": [t.table for t in self.inputs],
            "outputs": [t.table for t in self.outputs],
            "layers": [asdict(layer) for layer in self.layers],
            "moved": [t.table for t in self.moved],
            "places": [asdict(place) for place in self.places],
        }
        if self.activation_bits != Program.activation_bits:
            head["activation_bits"] = self.activation_bits
        arrays: dict[str, npt.NDArray[Any]] = {
            "words": self.words,
            "image": self.image,
            "layer_of": self.layer_of,
            "tile_of": self.tile_of,
            "tiles": tiles,
        }
        return head, arrays

    @staticmethod
    def from_parts(head: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Program:
        """The program of ``parts``; ProgramError if they are not those of one."""
        with _refusing("parts are"):
            _check_format(head)
            return _build(head, arrays)

    def to_bytes(self) -> bytes:
        """The program file."""
        head, arrays = self.parts()
        raw = {name: npy_chunks(array) for name, array in arrays.items()}
        head["sha256"] = {name: digest(parts) for name, parts in raw.items()}
        head["seal"] = seal(head)
        out = io.BytesIO()
        write_zip(
            out,
            {
                "manifest.json": [json.dumps(head, indent=1).encode()],
                **{f"{name}.npy": parts for name, parts in raw.items()},
            },
        )
        return out.getvalue()

    @staticmethod
    def from_bytes(data: bytes | memoryview) -> Program:
        """The program in a file's bytes; ProgramError if they are not exactly what was written."""
        try:
            raw = members_of(data)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,
        ) as problem:
            raise ProgramError(
                f"the program is truncated or altered ({short_message(problem)}); compile it again"
            ) from None
        with _refusing("manifest is"):
            return _read(raw)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Within it, whatever is wrong with tables and arrays becomes a ProgramError."""
    try:
        yield
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        OverflowError,
        SpecError,
    ) as problem:
        raise ProgramError(
            f"the program's {what} not usable ({short_message(problem)}); compile it again"
        ) from None


def _read(raw: Mapping[str, memoryview]) -> Program:
    head = json.loads(bytes(raw["manifest.json"]))
    _check_format(head)
    given = head.pop("seal")
    if given != seal(head) or any(
        digest([raw[f"{name}.npy"]]) != expected for name, expected in head["sha256"].items()
    ):
        raise ProgramError("the program was altered after it was written; compile it again")
    return _build(head, {name: read_npy(raw[f"{name}.npy"]) for name in head["sha256"]})


def _check_format(head: dict[str, Any]) -> None:
    if head["format"] != FORMAT:
        raise ProgramError(
            f"the program has format {str(head['format'])[:20]}, this version reads "
            f"{FORMAT}; compile it again"
        )


def _build(head: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Program:
    words = arrays["words"].astype(np.uint8, casting="safe").reshape(-1, 16)
    image = arrays["image"].astype(np.uint8, casting="safe", copy=False).reshape(-1)
    layer_of, tile_of, tiles = (
        arrays[name].astype(np.int32, casting="safe") for name in ("layer_of", "tile_of", "tiles")
    )
    if layer_of.shape != (len(words),) or tile_of.shape != (len(words),):
        raise ProgramError(
            "the program's provenance does not match its instructions; compile it again"
        )
    layers = tuple(_layer(table) for table in head["layers"])
    spec = spec_from_table(head["spec"], "the program")
    tensors = {
        key: tuple(_tensor(table, spec.storage.activation_bytes) for table in head[key])
        for key in ("inputs", "outputs", "moved")
    }
    bits = checked_int(head.get("activation_bits", 8), "activation_bits", 8, 16)
    check_values(bits, spec, [tensor for of in tensors.values() for tensor in of])
    return Program(
        name=checked_text(head["name"], "name"),
        spec=spec,
        words=words,
        image=image,
        dram_bytes=checked_int(head["dram_bytes"], "dram_bytes", len(image), MAX_DRAM_BYTES),
        inputs=tensors["inputs"],
        outputs=tensors["outputs"],
        layers=layers,
        tiles=tuple(_tile(row, layers) for row in tiles.tolist()),
        layer_of=layer_of,
        tile_of=tile_of,
        input_bytes=checked_int(head["input_bytes"], "input_bytes"),
        moved=tensors["moved"],
        places=tuple(_place(table) for table in head["places"]),
        reachable=checked_int(head["reachable"], "reachable", 1),
        activation_bits=bits,
    )


def check_values(bits: int, spec: AccelSpec, tensors: Iterable[Tensor]) -> None:
    """ProgramError unless the target can hold activations with values of so many bits, and the
    tensors are of such."""
    stored = spec.storage.activation_bits
    if bits not in VALUE_TYPES or bits > stored:
        raise ProgramError(
            f"the program has activations of {bits} bits, and its target '{spec.name}' stores "
            f"{stored}; compile it for one whose [storage] activation_bits is {bits}"
        )
    for tensor in tensors:
        if tensor.dtype not in VALUE_TYPES[bits]:
            raise ProgramError(
                f"tensor '{tensor.name}' of the program is {tensor.dtype[:20]}, and its "
                f"activations have {bits} bits: {' or '.join(VALUE_TYPES[bits])}"
            )
        if tensor.address % (bits // 8):
            raise ProgramError(
                f"tensor '{tensor.name}' of the program begins at byte {tensor.address}, within a "
                f"word of {bits} bits"
            )


def _tensor(table: Any, element_bytes: int) -> Tensor:
    made = Tensor.from_table(table, element_bytes)
    checked_int(made.address, "Tensor.address")
    checked_int(made.channels, "Tensor.channels", 1)
    for size in made.spatial:
        checked_int(size, "Tensor.spatial", 1)
    return made


def _place(table: Any) -> ResultPlace:
    made = from_table(ResultPlace, table)
    checked_int(made.offset, "Place.offset")
    checked_int(made.channels, "Place.channels", 1)
    return made


def _flat_tile(tile: Tile) -> list[int]:
    return [tile.layer, tile.channel, tile.channels, *tile.origin, *tile.size]


def _layer(table: Any) -> LayerInfo:
    made = from_table(LayerInfo, table)
    for name in ("macs", "input_bytes", "output_bytes", "weight_bytes"):
        checked_int(getattr(made, name), f"LayerInfo.{name}")
    checked_int(made.effectual, "LayerInfo.effectual", 0, made.macs)
    checked_int(made.real_macs, "LayerInfo.real_macs", 0, made.effectual)
    for size in made.shape:
        checked_int(size, "LayerInfo.shape", 1)
    checked_int(math.prod(made.shape), "elements of LayerInfo.shape", 1, MAX_RESULT)
    return made


def _tile(row: list[int], layers: tuple[LayerInfo, ...]) -> Tile:
    """A tile within the result of its layer."""
    rank, odd = divmod(len(row) - 3, 2)
    if odd or not 0 <= row[0] < len(layers) or min(row) < 0:
        raise ValueError(f"a tile is {row}")
    made = Tile(row[0], row[1], row[2], tuple(row[3 : 3 + rank]), tuple(row[3 + rank :]))
    ends = [
        start + size
        for start, size in zip(
            (made.channel, *made.origin), (made.channels, *made.size), strict=True
        )
    ]
    shape = layers[made.layer].shape[1:]
    if len(ends) != len(shape) or any(end > size for end, size in zip(ends, shape, strict=True)):
        raise ValueError(f"the tile {row} is not within its layer's result, {list(shape)}")
    return made
