"""Where the packed weights of convolutions lie in a program, and which weights they are.

Read from the instructions alone: what a ``loadweights`` brought is what the ``conv`` that names its
first WGT row multiplies with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.program.program import Program


@dataclass(frozen=True)
class WeightStreams:
    """The filters of one ``loadweights``: ``size`` bytes of the image from ``dram`` on.

    layer: index in ``Program.layers``. first_filter: counted from the layer's first one.
    first_channel and reduction: of how many channels these are which, from the first of those that
    are summed together. table: image byte of the pattern table's first PAR row, and the bits of a
    pattern number; None where no table was set.
    """

    dram: int
    size: int
    layer: int
    taps: int
    first_filter: int
    filters: int
    first_channel: int
    channels: int
    reduction: int
    table: tuple[int, int] | None


def weight_streams(program: Program) -> list[WeightStreams]:
    """Every piece of the image that is the weights of a convolution, by its place.

    A piece that convolutions use in different ways is left out.
    """
    found: dict[int, WeightStreams | None] = {}
    for each in _uses(program):
        same = found.setdefault(each.dram, each)
        found[each.dram] = each if same == each else None
    firsts: dict[int, int] = {}
    for tile in program.tiles:
        firsts[tile.layer] = min(tile.channel, firsts.get(tile.layer, tile.channel))
    return [
        replace(each, first_filter=each.first_filter - firsts[each.layer])
        for _dram, each in sorted(found.items())
        if each is not None
    ]


def _uses(program: Program) -> list[WeightStreams]:
    """Of every convolution, with the first filter counted as its tile's channel is."""
    loads: dict[int, isa.LoadWeights] = {}
    params: dict[int, int] = {}
    taps, table = 1, None
    sums: dict[int, list[tuple[isa.LoadWeights, isa.Conv]]] = {}  # by ACC row
    found: list[WeightStreams] = []
    for pc, one in enumerate(decode_all(program.words)):
        if isinstance(one, isa.LoadWeights):
            loads[one.wgt] = one
        elif isinstance(one, isa.LoadParams):
            params[one.par] = one.dram
        elif isinstance(one, isa.Kernel):
            taps = one.rows * one.cols
        elif isinstance(one, isa.Table):
            table = (params[one.par], one.argument) if one.par in params else None
        elif isinstance(one, isa.Conv) and one.wgt in loads:
            parts = sums.setdefault(one.acc, [])
            if one.first:
                parts.clear()
            parts.append((loads[one.wgt], one))
            tile = int(program.tile_of[pc])
            if one.last and tile >= 0:
                found += _parts(
                    parts, program.tiles[tile].channel, int(program.layer_of[pc]), taps, table
                )
    return found


def _parts(
    parts: Sequence[tuple[isa.LoadWeights, isa.Conv]],
    channel: int,
    layer: int,
    taps: int,
    table: tuple[int, int] | None,
) -> list[WeightStreams]:
    """The chunks of one sum."""
    reduction = sum(conv.channels for _load, conv in parts)
    made, first = [], 0
    for load, conv in parts:
        made.append(
            WeightStreams(
                load.dram,
                load.size,
                layer,
                taps,
                channel,
                conv.filters,
                first,
                conv.channels,
                reduction,
                table,
            )
        )
        first += conv.channels
    return made
