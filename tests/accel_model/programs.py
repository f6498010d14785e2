"""Programs written by hand: tensors and tiles are placed, instructions are the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.accel_model.by_name import lanes, pack, place
from zeroskip.accel_model.formats import PatternTable, make_table, to_reduction_order
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import encode_all
from zeroskip.accel_model.isa.instructions import Instruction
from zeroskip.accel_model.program.program import LayerInfo, Program, Tile
from zeroskip.accel_model.program.tensor_layout import Tensor, blocks
from zeroskip.accel_model.spec import AccelSpec

BASE = 1 << 20  # activations start here; the image lies below
Array = npt.NDArray[Any]


def in_series(stream: Sequence[Instruction]) -> list[Instruction]:
    """The same instructions with tokens so that each waits for the one before it."""
    made = list(stream)
    for pc in range(1, len(made)):
        before, after = made[pc - 1].unit, made[pc].unit
        if before != after:
            made[pc - 1] = replace(made[pc - 1], post=int(after))
            made[pc] = replace(made[pc], wait=int(before))
    return made


@dataclass(frozen=True)
class ActPlace:
    """A tile in ACT."""

    act: int
    row: int
    block: int


@dataclass
class Hand:
    """A program under construction."""

    spec: AccelSpec
    stream: list[Instruction] = field(default_factory=list)
    data: dict[str, Array] = field(default_factory=dict)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    layers: list[LayerInfo] = field(default_factory=list)
    tiles: list[Tile] = field(default_factory=list)
    tile_of: dict[int, int] = field(default_factory=dict)
    image: bytearray = field(default_factory=bytearray)
    end: int = BASE
    act: int = 0
    wgt: int = 0
    par: int = 0

    def add(self, *made: Instruction) -> int:
        """Append instructions; pc of the last."""
        self.stream += made
        return len(self.stream) - 1

    def constant(self, raw: bytes) -> int:
        """DRAM address of bytes of the image."""
        at = len(self.image)
        self.image += raw + bytes(-len(raw) % 16)
        return at

    def input(self, name: str, values: Array) -> Tensor:
        """An input of the program, [1, C, rows, cols]."""
        made = self._tensor(name, values.shape[1], values.shape[2:], str(values.dtype))
        self.data[name] = values
        self.inputs.append(made)
        return made

    def output(self, name: str, channels: int, spatial: tuple[int, ...], dtype: str) -> Tensor:
        made = self._tensor(name, channels, spatial, dtype)
        self.outputs.append(made)
        return made

    def _tensor(self, name: str, channels: int, spatial: tuple[int, ...], dtype: str) -> Tensor:
        made = Tensor(name, self.end, channels, spatial, dtype)
        self.end += made.nbytes + -made.nbytes % 64
        return made

    def room(self, channels: int, spatial: tuple[int, ...], gap: int = 0) -> ActPlace:
        """Free rows of ACT for a tile; ``gap`` unused rows after each image row."""
        row = spatial[1] + gap
        made = ActPlace(self.act, row, row * spatial[0])
        self.act += blocks(channels) * made.block
        return made

    def load(
        self, tensor: Tensor, at: ActPlace, first: int = 0, channels: int | None = None
    ) -> None:
        """Load whole blocks of a tensor from channel ``first`` on."""
        self._move(isa.LoadShape, isa.Load, tensor, at, first, channels)

    def store(self, tensor: Tensor, at: ActPlace) -> None:
        self._move(isa.StoreShape, isa.Store, tensor, at, 0, None)

    def _move(
        self, shape: Any, move: Any, tensor: Tensor, at: ActPlace, first: int, channels: int | None
    ) -> None:
        last = tensor.channels if channels is None else first + channels
        for number, channel in enumerate(range(first, last, 16)):
            block = channel // 16
            wide = tensor.block_width(block)
            rows, cols = tensor.spatial
            self.add(
                shape(
                    dram_pixel=wide, dram_row=wide * cols, dram_block=0, act_row=at.row, act_block=0
                ),
                move(
                    act=at.act + number * at.block,
                    dram=tensor.block_address(block),
                    width=cols,
                    height=rows,
                    blocks=1,
                    bytes=min(wide, last - channel),
                    lane=0,
                ),
            )

    def weights(
        self, weight: Array, order: Array, gang: int, kind: str, table: PatternTable | None = None
    ) -> int:
        """Load int8 [K, C, rows, cols]; stream n holds filter order[n]. First WGT row."""
        taps = weight.shape[2] * weight.shape[3]
        raw, lengths = pack(
            kind, to_reduction_order(weight)[order], weight.shape[1], taps, order, table
        )
        at = self.wgt
        self.wgt += place(lengths, lanes(self.spec).lanes >> gang, gang)
        self.add(
            isa.LoadWeights(wgt=at, dram=self.constant(raw.tobytes()), size=len(raw), mode=gang)
        )
        return at

    def patterns(self, weight: Array) -> PatternTable:
        table = make_table(weight)
        par = self.params(table.to_rows())
        self.add(isa.Table(par=par, rows=2 * table.slabs, argument=table.id_bits))
        return table

    def params(self, rows: Array) -> int:
        """Load uint8 [n, 16] to PAR; the first row there."""
        at = self.par
        self.par += len(rows)
        self.add(isa.LoadParams(par=at, dram=self.constant(rows.tobytes()), rows=len(rows)))
        return at

    def look_up(self, table: Array) -> None:
        """Results of what follows go through a table, uint8 [256], where the latest output says
        how they are before."""
        par = self.params(table.reshape(16, 16))
        latest = [one for one in self.stream if isinstance(one, isa.Output)][-1]
        self.add(isa.Lookup(par=par), replace(latest, lookup=1))

    def set_input(
        self,
        at: ActPlace,
        shape: tuple[int, ...],
        zero_point: int,
        unsigned: int,
        top: int = 0,
        left: int = 0,
    ) -> None:
        self.add(
            isa.Input(
                act=at.act, row=at.row, block=at.block, zero_point=zero_point, unsigned=unsigned
            ),
            isa.Extent(height=shape[0], width=shape[1], top=top, left=left),
        )

    def set_output(
        self,
        at: ActPlace,
        shape: tuple[int, ...],
        zero_point: int,
        low: int,
        high: int,
        unsigned: int,
    ) -> None:
        self.add(
            isa.Output(
                act=at.act,
                row=at.row,
                block=at.block,
                height=shape[0],
                width=shape[1],
                zero_point=zero_point,
                low=low,
                high=high,
                unsigned=unsigned,
            )
        )

    def program(self, *, series: bool = True) -> Program:
        """``series``: put tokens so that nothing overlaps."""
        stream = in_series(self.stream) if series else self.stream
        count = len(stream)
        tile_of = np.full(count, -1, np.int32)
        for pc, tile in self.tile_of.items():
            tile_of[pc] = tile
        layer = 0 if self.layers else -1
        return Program(
            name="hand",
            spec=self.spec,
            words=encode_all(stream),
            image=np.frombuffer(bytes(self.image), np.uint8),
            dram_bytes=self.end,
            inputs=tuple(self.inputs),
            outputs=tuple(self.outputs),
            layers=tuple(self.layers),
            tiles=tuple(self.tiles),
            layer_of=np.full(count, layer, np.int32),
            tile_of=tile_of,
        )


def par_rows(bias: Array, mult: Array, shift: Array) -> Array:
    """PAR rows of isa.Conv: of 16 channels bias (4 rows), mult (4 rows), shift (1 row)."""
    rows = []
    for first in range(0, len(bias), 16):
        part = slice(first, first + 16)
        for values, dtype in ((bias, "<i4"), (mult, "<i4"), (shift, np.uint8)):
            full = np.ones(16, dtype)
            full[: len(values[part])] = values[part]
            rows.append(full.view(np.uint8).reshape(-1, 16))
    return np.concatenate(rows)


def scalar_row(*mults: int, shift: int) -> Array:
    row = np.zeros((1, 16), np.uint8)
    row[0, : 4 * len(mults)] = np.array(mults, "<i4").view(np.uint8)
    row[0, 4 * len(mults)] = shift
    return row
