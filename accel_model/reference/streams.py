"""How a lane reads its packed stream: a few pointers into the bits, one stage at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Weight:
    """A stored weight: tap within the stage, channel within the block, value."""

    tap: int
    channel: int
    value: int


@dataclass(frozen=True)
class PatternMasks:
    """Pattern masks of each slab, by number, and the bits of a number."""

    masks: Sequence[Sequence[int]]
    id_bits: int


class Pointer:
    """Reads bits of a stream, least significant first, from a position on."""

    def __init__(self, stream: bytes, byte: int, weight_bytes: int = 1) -> None:
        self.stream, self.bit, self.weight_bits = stream, 8 * byte, 8 * weight_bytes

    def take(self, count: int) -> int:
        value = 0
        for i in range(count):
            byte = self.stream[self.bit // 8]
            value |= (byte >> self.bit % 8 & 1) << i
            self.bit += 1
        return value

    def take_weight(self) -> int:
        raw = self.take(self.weight_bits)
        return raw - (1 << self.weight_bits) if raw >> (self.weight_bits - 1) else raw


class WeightReader:
    """The stages of one stream; ``stages`` are (block, taps, width) as the array walks them."""

    def __init__(
        self,
        kind: str,
        stream: bytes,
        stages: Sequence[tuple[int, tuple[int, ...], int]],
        table: PatternMasks | None,
        weight_bytes: int,
    ) -> None:
        self.kind, self.stages, self.table, self.at = kind, stages, table, 0
        self.header = Pointer(stream, 4)
        flags = sum((width + 7) // 8 for _, _, width in stages)
        behind = 4 + (0 if kind == "dense" else flags)
        self.numbers = Pointer(stream, behind)
        if table is not None:
            ahead = Pointer(stream, 4)
            kernels = ahead.take(8 * flags).bit_count()
            behind += (kernels * table.id_bits + 7) // 8
        self.values = Pointer(stream, behind, weight_bytes)

    def next_stage(self) -> list[Weight]:
        """The weights stored for the next stage; every position if the format is dense."""
        _, taps, width = self.stages[self.at]
        self.at += 1
        if self.kind == "dense":
            return [Weight(0, c, self.values.take_weight()) for c in range(width)]
        there = self.header.take((width + 7) // 8 * 8)
        channels = [c for c in range(width) if there >> c & 1]
        if self.kind == "bitmap":
            return [Weight(0, c, self.values.take_weight()) for c in channels]
        assert self.table is not None
        slab = taps[0] // 16
        weights = []
        for c in channels:
            mask = self.table.masks[slab][self.numbers.take(self.table.id_bits)]
            weights += [Weight(i, c, self.values.take_weight()) for i in range(16) if mask >> i & 1]
        return weights
