"""What the streams of arrays that decode before they multiply hold, position by position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from zeroskip.accel_model.reference.convolution import (
    BLOCK,
    ROW,
    SUM,
    WORD,
    Convolution,
    Outcome,
)
from zeroskip.accel_model.reference.streams import Pointer
from zeroskip.accel_model.spec import AccelSpec


@dataclass(frozen=True)
class Stored:
    """A weight of a stream, a stored zero included: its channel, its tap and its value."""

    channel: int
    tap: int
    value: int


@dataclass(frozen=True)
class Filter:
    """A stream, read: the output channel it names, its words, what it stores, in its order."""

    channel: int
    words: int
    weights: Sequence[Stored]


def read_filters(
    conv: Convolution, read: Callable[[bytes, int, int, int], list[Stored]]
) -> list[Filter]:
    """All streams of a convolution; ``read(stream, channels, taps, bytes of a weight)`` says what
    is in one."""
    channels, taps = len(conv.image), conv.kernel[0] * conv.kernel[1]
    return [
        Filter(
            stream[0] + 256 * stream[1],
            len(stream) // 4,
            read(stream, channels, taps, conv.weight_bytes),
        )
        for stream in conv.streams
    ]


def block_order(channels: int, taps: int) -> Iterator[tuple[int, int]]:
    """(channel, tap) of each position: blocks of 16 channels, taps of a block, channels of a
    tap."""
    for first in range(0, channels, BLOCK):
        for tap in range(taps):
            for channel in range(first, min(first + BLOCK, channels)):
                yield channel, tap


def read_dense(stream: bytes, channels: int, taps: int, wide: int) -> list[Stored]:
    """Every weight."""
    values = Pointer(stream, 4, wide)
    return [Stored(c, tap, values.take_weight()) for c, tap in block_order(channels, taps)]


def read_runs(stream: bytes, channels: int, taps: int, wide: int) -> list[Stored]:
    """Weights with the zeros before them, channel by channel."""
    count = stream[4] + 256 * stream[5]
    values, runs = Pointer(stream, 6, wide), Pointer(stream, 6 + count * wide)
    weights, at = [], 0
    for _ in range(count):
        at += runs.take(4)
        weights.append(Stored(at // taps, at % taps, values.take_weight()))
        at += 1
    return weights


def read_bitmap(stream: bytes, channels: int, taps: int, wide: int) -> list[Stored]:
    """A bit for every position, then the weights that are there."""
    stages = [
        (first, tap, min(BLOCK, channels - first))
        for first in range(0, channels, BLOCK)
        for tap in range(taps)
    ]
    behind = 4 + sum((width + 7) // 8 for _, _, width in stages)
    bits, values = Pointer(stream, 4), Pointer(stream, behind, wide)
    weights = []
    for first, tap, width in stages:
        there = bits.take((width + 7) // 8 * 8)
        weights += [
            Stored(first + c, tap, values.take_weight()) for c in range(width) if there >> c & 1
        ]
    return weights


def place(conv: Convolution, tap: int, output: int) -> tuple[int, int]:
    """Row and column of the tile that a tap of an output looks at, which may lie in padding."""
    r, s = divmod(tap, conv.kernel[1])
    oy, ox = divmod(output, conv.output[1])
    return (
        conv.top + oy * conv.stride[0] + r * conv.dilation[0],
        conv.left + ox * conv.stride[1] + s * conv.dilation[1],
    )


def value_at(conv: Convolution, channel: int, tap: int, output: int) -> int | None:
    """The input that a tap of an output looks at; None in padding."""
    y, x = place(conv, tap, output)
    plane = conv.image[channel]
    return plane[y][x] if 0 <= y < len(plane) and 0 <= x < len(plane[0]) else None


def row_of_wgt(spec: AccelSpec) -> int:
    """Bytes of a row of a bank of WGT: what the bus brings in a cycle, four weights at least."""
    return min(64, max(WORD * spec.storage.weight_bytes, spec.dram.bytes_per_cycle))


def stream_rate(spec: AccelSpec) -> int:
    """Bytes of all banks of WGT in a cycle: a row of each, or what the array says that it takes."""
    return spec.wgt_banks * (spec.kind.datapath(spec).stream_bytes or row_of_wgt(spec))


def cycles_to_send(spec: AccelSpec, words: int) -> int:
    """Cycles in which WGT sends so many words of streams, all banks together."""
    return -(-WORD * words // stream_rate(spec))


def supply(spec: AccelSpec, conv: Convolution, outcome: Outcome, *more: tuple[int, int]) -> None:
    """Wait for what memories have still to send: inputs and operand of ACT, a row of each bank in a
    cycle, and streams of WGT, as much of each bank as the bus brings. more: bytes of other ways,
    and how many of them pass in a cycle."""
    rows = 0
    if conv.last and conv.operand_row is not None:
        rows = conv.out_blocks * conv.output[0] * conv.output[1]
    banks = max(spec.sram.act_banks, spec.kind.datapath(spec).results)
    ways = [
        (ROW * (rows + outcome.events["act_rows"]) + outcome.events["input_read"], ROW * banks),
        (WORD * outcome.events["wgt_words"], stream_rate(spec)),
        *more,
    ]
    left = [amount - rate * outcome.cycles for amount, rate in ways]
    while any(amount > 0 for amount in left):
        left = [amount - rate for amount, (_, rate) in zip(left, ways, strict=True)]
        outcome.cycles += 1
        outcome.slots["supply"] += spec.array.macs


def finish(conv: Convolution, banks: int, pipeline_cycles: int, outcome: Outcome) -> None:
    """What becomes of the sums, and the last cycles. banks: streams of a group of WGT's rows."""
    pixels, filters = conv.output[0] * conv.output[1], len(conv.streams)
    rows = 0  # of ACC for an output
    for first in range(0, filters, banks):
        rows += -(-min(banks, filters - first) // BLOCK)
    outcome.move_sums(conv, rows * pixels)
    for moves, flow in ((not conv.first, "acc_sums_read"), (not conv.last, "acc_sums_written")):
        if moves:
            outcome.events[flow] += SUM * filters * pixels
    if conv.last:
        if conv.operand_row is not None:
            outcome.fetch(conv.out_blocks * pixels)
        outcome.read_operand_scale(conv)
        outcome.scale(conv, filters * pixels)
        outcome.write_back(conv.out_blocks * pixels, filters * pixels)
    outcome.cycles += pipeline_cycles
    outcome.events["cycles"] = outcome.cycles
