"""A planned region to a program: places tensors in DRAM, tiles in SRAM, and writes instructions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace
from math import lcm

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import encode_all
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.program import LayerInfo, Program, ResultPlace, Tile
from zeroskip.accel_model.program.tensor_layout import Tensor, blocks
from zeroskip.accel_model.spec import DRAM_GRANULE_BYTES as GRANULE
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.codegen.act_tile import ActTile, TileRequest
from zeroskip.compiler.codegen.registers import Registers
from zeroskip.compiler.codegen.rows import Rows
from zeroskip.compiler.codegen.sram_cache import SramCache
from zeroskip.compiler.codegen.strides import check_strides
from zeroskip.compiler.codegen.token_insertion import InstructionStream
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.compulsory_traffic import Mask, input_elements, joined, shared
from zeroskip.compiler.ir.layer_info import join_layers
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.tiles import DmaRun, Interval, Tile2D, dma_runs, patches
from zeroskip.compiler.ir.views import ChannelSlice, Value


class Image:
    """The DRAM image: constants one after another, each written once, from a multiple of ``align``
    bytes on."""

    def __init__(self, align: int) -> None:
        self.align = align
        self._parts: list[bytes] = []
        self._known: dict[Hashable, int] = {}
        self.size = 0

    def add(self, key: Hashable, make: Callable[[], bytes]) -> int:
        """Address of the bytes under ``key``; ``make`` is called the first time."""
        if key not in self._known:
            raw = make()
            self._known[key] = self.size
            self._parts.append(raw + bytes(-len(raw) % self.align))
            self.size += len(self._parts[-1])
        return self._known[key]

    def array(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(b"".join(self._parts), np.uint8)


@dataclass
class ProgramBuilder:
    """What the operations' emitters share: memories, stream, image, provenance.

    Of the stripe that is emitted, ``resident``: where values that stay on chip lie, by name;
    ``stored``: of each value written, the rows that go to DRAM; ``weights_stay``: whether weights
    are held for the stripes that follow; ``weights_next``: WGT rows that the operation after the
    one that is emitted needs first; ``waiting_sums``: the first rows of ACC, in which sums of
    an operation that trails wait. ``weight_table``: the operation and the part of its kernel that
    the table of the weight format is of, if that is known.
    """

    region: Region
    spec: AccelSpec
    stream: InstructionStream = field(init=False)
    registers: Registers = field(init=False)
    image: Image = field(init=False)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    layers: list[LayerInfo] = field(default_factory=list)
    made: list[Tile] = field(default_factory=list)
    resident: dict[str, ActTile] = field(default_factory=dict)
    stored: dict[str, Interval] = field(default_factory=dict)
    weights_stay: bool = False
    weights_next: Callable[[], int] = field(default=int, repr=False)
    waiting_sums: int = 0
    weight_table: tuple[int, int] | None = None
    align: int = field(init=False)
    act: SramCache = field(init=False)
    wgt: SramCache = field(init=False)
    par: SramCache = field(init=False)
    _scratch: Tensor = field(init=False)
    _table: bytes | None = None  # what the table of results holds
    _read: dict[str, Mask] = field(default_factory=dict)  # elements that the last layer reads

    def __post_init__(self) -> None:
        spec = self.spec
        # Tensors and tiles of weights start on a burst, and share no granule.
        self.align = lcm(spec.dram.burst_bytes, GRANULE)
        self.image = Image(self.align)
        end = self._place_tensors()
        sizes = {
            "act": spec.act_rows,
            "wgt": spec.wgt_rows,
            "par": spec.par_rows,
            "acc": spec.acc_rows,
            "dram": -(-end // GRANULE),
        }
        self.stream = InstructionStream(sizes)
        self.registers = Registers.of(self.stream, _values(self.region))
        self.act, self.wgt, self.par = (SramCache(sizes[name]) for name in ("act", "wgt", "par"))

    def _place_tensors(self) -> int:
        """Gives every value its place behind the image; returns the end, relative to there."""
        end = 0
        for value in _values(self.region):
            tensor = Tensor(value.name, end, value.channels, value.spatial, value.dtype, self.wide)
            check_strides(tensor)
            self.tensors[value.name] = tensor
            end += tensor.nbytes
            end += -end % self.align
        scratch = max((op.scratch_elements for op in self.region.ops), default=0)
        self._scratch = Tensor("scratch", end, scratch, (1, 1), element_bytes=self.wide)
        return end + self._scratch.nbytes

    @property
    def wide(self) -> int:
        """Bytes of an activation."""
        return self.spec.storage.activation_bytes

    # -------------------------------------------------------------------------- data movement

    def load(
        self, view: ChannelSlice, channels: Interval, tile: ActTile, rows_apart: int = 1
    ) -> None:
        """Bring a patch of some channels of a view into ACT, or of every so-many-th row of it."""
        if view.frames is None or not view.frames.woven:
            self._move(isa.LoadShape, isa.Load, view, channels, tile, rows_apart)
            return
        for number in range(view.frames.count):
            part = tile.turns(number, view.frames.count)
            if part.patch.rows.size:
                self._move(isa.LoadShape, isa.Load, view.frame(number), channels, part)

    def store(self, view: ChannelSlice, channels: Interval, tile: ActTile) -> None:
        """Write those rows of a tile that go to DRAM back to where its view lies."""
        rows = tile.patch.rows.within(self.stored[view.value.name])
        if rows.size:
            part = tile.at(Tile2D(rows, tile.patch.cols))
            self._move(isa.StoreShape, isa.Store, view, channels, part)

    def _move(
        self,
        shape: type[isa.Instruction],
        move: type[isa.Load | isa.Store],
        view: ChannelSlice,
        channels: Interval,
        tile: ActTile,
        rows_apart: int = 1,
    ) -> None:
        home = self.tensors[view.value.name]
        runs = dma_runs(view, home, channels)
        for part in patches(tile.patch, isa.MOST_SIDE, isa.MOST_SIDE):
            for run in runs:
                self._move_run(shape, move, rows_apart * home.spatial[1], run, tile.at(part))

    def _move_run(
        self,
        shape: type[isa.Instruction],
        move: type[isa.Load | isa.Store],
        width: int,
        run: DmaRun,
        tile: ActTile,
    ) -> None:
        """A run of the blocks of a tile. width: pixels in DRAM from one of its rows to the next."""
        patch = tile.patch
        down, right = patch.rows.start, patch.cols.start
        first = run.dram + (down * width + right) * run.dram_pixel
        self.stream.set(
            shape,
            dram_pixel=run.dram_pixel,
            dram_row=width * run.dram_pixel,
            dram_block=run.dram_block,
            act_row=tile.row,
            act_block=tile.block,
        )
        dram = self.dram_rows(
            first,
            run.count,
            run.dram_block,
            ((patch.rows.size - 1) * width + patch.cols.size - 1) * run.dram_pixel + run.piece,
        )
        act = Rows(
            "act",
            AddressSet(
                tile.act + run.block * tile.block,
                patch.cols.size,
                height=patch.rows.size,
                row=tile.row,
                blocks=run.count,
                block=tile.block,
            ),
        )
        made = move(
            act=act.start,
            dram=first,
            width=patch.cols.size,
            height=patch.rows.size,
            blocks=run.count,
            bytes=run.size,
            lane=run.lane,
        )
        into_act = move is isa.Load
        self.stream.add(made, [dram if into_act else act], [act if into_act else dram])

    def move_lane(
        self, move: type[isa.Load | isa.Store], tile: ActTile, lane: int, dram: int
    ) -> None:
        """Move one lane of a packed tile from or to neighbouring elements of DRAM."""
        shape = isa.LoadShape if move is isa.Load else isa.StoreShape
        self.stream.set(
            shape,
            dram_pixel=self.wide,
            dram_row=tile.row * self.wide,
            dram_block=0,
            act_row=tile.row,
            act_block=tile.block,
        )
        patch = tile.patch
        made = move(
            act=tile.act,
            dram=dram,
            width=patch.cols.size,
            height=patch.rows.size,
            blocks=1,
            bytes=1,
            lane=lane,
        )
        sides = [self.dram_rows(dram, 1, 0, patch.pixels * self.wide)], [tile.rows(1)]
        self.stream.add(made, *(sides if move is isa.Load else sides[::-1]))

    def scratch(self, size: int) -> int:
        """Address of ``size`` elements in DRAM for a change of shape, shared by all of them."""
        if size > self._scratch.channels:
            raise CompileError(f"'{self.node}': a reshape of {size} elements was not planned for")
        return self._scratch.address

    @staticmethod
    def dram_rows(first: int, count: int, stride: int, length: int) -> Rows:
        """The granules of ``count`` pieces of DRAM; one piece if they touch each other."""
        if count > 1 and stride % GRANULE == 0 and stride > length:
            low = first // GRANULE
            high = (first + length - 1) // GRANULE
            return Rows(
                "dram", AddressSet(low, high - low + 1, blocks=count, block=stride // GRANULE)
            )
        last = first + (count - 1) * stride + length - 1
        return Rows("dram", AddressSet(first // GRANULE, last // GRANULE - first // GRANULE + 1))

    def tiles(self, wanted: Sequence[TileRequest]) -> list[ActTile]:
        """The tiles of a step, all in ACT at once: where their values stay on chip, or else in
        rows of their own."""
        found = [self._resident_tile(want) for want in wanted]
        needs = [
            (want.key, blocks(want.channels.size) * want.patch.pixels)
            for want, tile in zip(wanted, found, strict=True)
            if tile is None
        ]
        stored = {want.key for want in wanted if not want.load}
        places = iter(self.reserve(self.act, needs, stored=stored))
        made = []
        for want, tile in zip(wanted, found, strict=True):
            if tile is None:
                act, fresh = next(places)
                tile = ActTile.packed(act, want.patch)
                if fresh and want.load:
                    self.load(want.view, want.channels, tile, want.rows_apart)
            made.append(tile)
        return made

    def _resident_tile(self, want: TileRequest) -> ActTile | None:
        home = self.resident.get(want.view.value.name)
        if home is None:
            return None
        return home.at(want.patch, (want.view.offset + want.channels.start) // isa.BLOCK)

    # ------------------------------------------------------------------------------ constants

    def set_table(self, table: ops.ResultTable | None) -> None:
        """The table that results go through from now on, loaded unless it is there already."""
        held = self._table if table is None else table.table.tobytes()
        if table is None or held == self._table:
            return
        self._table = held
        rows = table.table.reshape(isa.TABLE_ROWS, -1)
        (par,) = self.load_params((("results", held), rows))
        self.stream.add(isa.Lookup(par=par), [Rows("par", AddressSet(par, len(rows)))])

    def load_params(self, *wanted: tuple[Hashable, npt.NDArray[np.uint8]]) -> list[int]:
        """PAR rows of parameter blocks that one instruction needs; loaded where not there."""
        places = self.reserve(self.par, [(key, len(rows)) for key, rows in wanted])
        for (key, rows), (par, fresh) in zip(wanted, places, strict=True):
            if fresh:
                dram = self.image.add(key, rows.tobytes)
                self.stream.add(
                    isa.LoadParams(par=par, dram=dram, rows=len(rows)),
                    [],
                    [Rows("par", AddressSet(par, len(rows)))],
                )
        return [par for par, _ in places]

    def weights(
        self, key: Hashable, raw: npt.NDArray[np.uint8], rows: int, mode: int, ahead: int
    ) -> Rows:
        """WGT rows of packed streams, loaded if they are not there. ahead: rows of the streams that
        come after them. Where what is held leaves no room in one piece, nothing is held."""
        places = self.wgt.reserve([(key, rows)], ahead)
        if places is None:
            self.wgt.unpin()
            places = self.reserve(self.wgt, [(key, rows)], ahead)
        ((wgt, fresh),) = places
        held = Rows("wgt", AddressSet(wgt, rows))
        if fresh:
            dram = self.image.add(key, raw.tobytes)
            self.stream.add(
                isa.LoadWeights(wgt=wgt, dram=dram, size=len(raw), mode=mode), [], [held]
            )
        if self.weights_stay:
            self.wgt.pin(key, rows)
        return held

    def reserve(
        self,
        shelf: SramCache,
        needs: Sequence[tuple[Hashable, int]],
        ahead: int = 0,
        stored: Collection[Hashable] = (),
    ) -> list[tuple[int, bool]]:
        """Places for everything a step needs at once, beside which the next step finds its own
        (``SramCache.reserve``)."""
        places = shelf.reserve(needs, ahead, stored)
        if places is None:
            rows = sum(size for _, size in needs)
            raise CompileError(
                f"'{self.node}': a step needs {rows} rows in one of "
                f"{self.spec.name}'s memories of {shelf.rows}"
            )
        return places

    # ----------------------------------------------------------------------------- provenance

    @property
    def node(self) -> str:
        return self.layers[self.stream.layer].node

    def enter(self, layer: LayerInfo, read: dict[str, Mask]) -> int:
        """Enters a layer and what it reads; returns its number. Parts of a grouped convolution or
        of a concatenation share one."""
        last = self.layers[-1] if self.layers else None
        if last and (last.node, last.kind, last.value) == (layer.node, layer.kind, layer.value):
            both = shared(self._read, read) * self.wide
            self.layers[-1] = join_layers(self.layers[-1], layer, both)
            self._read = joined(self._read, read)
        else:
            self.layers.append(layer)
            self._read = read
        return len(self.layers) - 1

    def tile(self, channel: int, channels: int, patch: Tile2D) -> int:
        """Enters what the next compute instruction writes; returns its index."""
        self.made.append(
            Tile(
                self.stream.layer,
                channel,
                channels,
                (patch.rows.start, patch.cols.start),
                (patch.rows.size, patch.cols.size),
            )
        )
        return len(self.made) - 1

    def program(self) -> Program:
        """The finished program: tensors move behind the image."""
        base = self.image.size
        stream = [_shift(each, base) for each in self.stream.instructions]
        moved = {name: replace(t, address=t.address + base) for name, t in self.tensors.items()}
        end = base + self._scratch.address + self._scratch.nbytes
        return Program(
            name=self.region.name,
            spec=self.spec,
            words=encode_all(stream),
            image=self.image.array(),
            dram_bytes=end + -end % self.align,
            inputs=tuple(moved[v.name] for v in self.region.inputs),
            outputs=tuple(moved[v.name] for v in self.region.outputs),
            layers=tuple(self.layers),
            tiles=tuple(self.made),
            layer_of=self.stream.layer_of,
            tile_of=self.stream.tile_of,
            input_bytes=input_elements(self.region) * self.wide,
            moved=tuple(moved[name] for name in _moved(self.region)),
            places=tuple(_place(view, self.region) for view in self.region.places),
            activation_bits=self.registers.activation_bits,
        )


def _shift(made: isa.Instruction, base: int) -> isa.Instruction:
    """Activation addresses count from the end of the image until that is known."""
    if isinstance(made, isa.Load | isa.Store):
        fields = {name: getattr(made, name) for name, _ in isa.layout(type(made))}
        return type(made)(**{**fields, "dram": made.dram + base})
    return made


def _values(region: Region) -> list[Value]:
    """Every value that lies in DRAM, in order of first appearance."""
    seen: dict[str, Value] = {value.name: value for value in region.inputs}
    for op in region.ops:
        for view in (*op.reads, op.y):
            seen.setdefault(view.value.name, view.value)
    for value in region.outputs:
        seen.setdefault(value.name, value)
    return list(seen.values())


def _place(view: ChannelSlice, region: Region) -> ResultPlace:
    """Where a result is; one before a fused addition or table lies as what became of it does in its
    tensor."""
    name = view.value.name
    offset = next(
        (op.y.offset for op in region.ops if name in (value.name for value in op.before)), 0
    )
    return ResultPlace(name, offset + view.offset, view.channels)


def _moved(region: Region) -> list[str]:
    """Values that moves write and that are no outputs."""
    left = {value.name for value in region.outputs}
    return list(
        dict.fromkeys(
            op.y.value.name for op in region.ops if op.moves_only and op.y.value.name not in left
        )
    )
