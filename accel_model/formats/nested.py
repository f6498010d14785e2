"""The nested format: weights of one layer at several sparsities, each weight stored once.

Levels are numbered from the densest, 0; the weights of a level that are not zero are a subset of
those of the level before and have the same values (Moon et al., "Memory-Reduced Network Stacking
for Edge-Level CNN Architecture with Structured Weight Pruning", IEEE JETCAS 9(4), 2019; Kim et
al., "NestedNet", CVPR 2018). ``depth`` says of each position in how many levels it is there.

Layout, little endian: a header {u8 bytes of a value, u8 levels, u8 granule, u8 0, u64 positions};
for each level how it follows from the one before, at first from all positions; then the values of
level 0 in order. A level is {u8 way} and what the way needs, each part padded to a byte, bits LSB
first:

- 0, all stay: nothing.
- 1, single: a bit for each position that was there: it stays.
- 2, granules of neighbouring positions, such as kernels: {u32 masks}; a bit for each granule that
  had a position: it keeps one; the masks, ``ceil(granule / 8)`` bytes each; for each granule that
  is left the number of its mask, as many bits as the count of masks needs. A position stays if it
  was there and its mask has its bit. So patterns cost their number, whole kernels one bit.

``pack`` takes the way that needs fewest bytes. This is how a network file holds weights; arrays
read their own formats, packed from a level when it is loaded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.reduction_order import FormatError

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[Any]

MAX_LEVELS = 255
MAX_GRANULE = 64
_HEADER = struct.Struct("<BBBBQ")
_COUNT = struct.Struct("<I")
_ALL, _SINGLE, _GRANULES = range(3)


def pack(values: Values, depth: Bytes, levels: int, granule: int = 1) -> Bytes:
    """Values of the densest level and in how many levels each is, both [positions].

    levels: 1..255, at least every depth. granule: 1..64, neighbours that may go together; divides
    positions. FormatError if a value at depth 0 has a bit set, or the numbers do not fit.
    """
    bits = _bits(values)
    if depth.dtype != np.uint8 or depth.shape != bits.shape or depth.max(initial=0) > levels:
        raise FormatError(f"{len(bits)} values take as many depths of uint8 up to {levels}")
    if bits[depth == 0].any():
        raise FormatError("a value that is in no level is not 0")
    _check(bits.itemsize, levels, granule, len(bits))
    parts = [
        np.frombuffer(_HEADER.pack(bits.itemsize, levels, granule, 0, len(bits)), np.uint8),
        *_levels(depth, levels, granule),
        bits[depth > 0].view(np.uint8),
    ]
    return np.concatenate(parts)


def nbytes(depth: Bytes, levels: int, granule: int, itemsize: int) -> int:
    """Bytes that ``pack`` takes."""
    return (
        _HEADER.size
        + sum(len(part) for part in _levels(depth, levels, granule))
        + itemsize * int(np.count_nonzero(depth))
    )


def unpack(raw: Bytes, level: int, dtype: npt.DTypeLike, positions: int) -> Values:
    """The values of a level, [positions]; zeros where it has none.

    dtype and positions are what the caller expects, and bound the memory. FormatError for bytes
    that ``pack`` cannot have made of such values, or a level that is not there.
    """
    kind, reader = np.dtype(dtype), _LevelReader(raw)
    itemsize, levels, granule, zero, count = _HEADER.unpack(reader.take(_HEADER.size).tobytes())
    if (itemsize, count, zero) != (kind.itemsize, positions, 0):
        raise FormatError(
            f"nested weights are {count} of {itemsize} bytes, not {positions} of {kind.itemsize}"
        )
    _check(itemsize, levels, granule, count)
    if not 0 <= level < levels:
        raise FormatError(f"nested weights have levels 0..{levels - 1}, not {level}")
    there = np.ones(count, np.bool_)
    first = wanted = there
    for number in range(levels):
        there = _read_level(reader, there, granule)
        first = there if number == 0 else first
        wanted = there if number == level else wanted
    kept = int(np.count_nonzero(first))
    stored = reader.take(kept * itemsize)
    if reader.left:
        raise FormatError("there are bytes behind the values of nested weights")
    made = np.zeros(count, f"<u{itemsize}")
    made[first] = stored.view(made.dtype)
    made[~wanted] = 0
    return made.view(kind)


def _bits(values: Values) -> npt.NDArray[np.unsignedinteger[Any]]:
    if values.ndim != 1 or values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
        raise FormatError(f"nested weights are a row of numbers, not {values.dtype} {values.shape}")
    return np.ascontiguousarray(values).view(f"<u{values.dtype.itemsize}")


def _check(itemsize: int, levels: int, granule: int, positions: int) -> None:
    if (
        itemsize not in (1, 2, 4, 8)
        or not 1 <= levels <= MAX_LEVELS
        or not 1 <= granule <= MAX_GRANULE
        or positions % granule
    ):
        raise FormatError(
            f"nested weights cannot have {levels} levels of {positions} values of "
            f"{itemsize} bytes in granules of {granule}"
        )


# -------------------------------------------------------------------------------- writing levels


def _levels(depth: Bytes, levels: int, granule: int) -> Iterator[Bytes]:
    """What each level needs."""
    before = np.ones(len(depth), np.bool_)
    for level in range(levels):
        after = depth > level
        yield _level(before, after, granule)
        before = after


def _level(before: Mask, after: Mask, granule: int) -> Bytes:
    """How a level follows from the one before, in the way that needs fewest bytes."""
    if np.array_equal(before, after):
        return np.array([_ALL], np.uint8)
    ways = [np.concatenate([[np.uint8(_SINGLE)], _packed(after[before])])]
    if granule > 1:
        ways.append(_by_granules(before.reshape(-1, granule), after.reshape(-1, granule)))
    return min(ways, key=len)


def _by_granules(before: Mask, after: Mask) -> Bytes:
    """before, after: [granules, granule]."""
    alive = np.asarray(before.any(axis=1))
    kept = alive & np.asarray(after.any(axis=1))
    # Where a position was gone before, its bit does not matter: 1, so that fewer masks differ.
    words = _words(after[kept] | ~before[kept])
    masks, numbers = np.unique(words, return_inverse=True)
    width = -(-before.shape[1] // 8)
    table = masks[:, None].view(np.uint8)[:, :width]
    head = np.frombuffer(bytes([_GRANULES]) + _COUNT.pack(len(masks)), np.uint8)
    return np.concatenate(
        [
            head,
            _packed(kept[alive]),
            table.reshape(-1),
            _packed(_digits(numbers, _digit_bits(len(masks)))),
        ]
    )


def _words(masks: Mask) -> npt.NDArray[np.uint64]:
    """Rows of up to 64 bits as numbers, the first position the lowest bit."""
    raw = np.zeros((len(masks), 8), np.uint8)
    packed = np.packbits(masks, axis=1, bitorder="little")
    raw[:, : packed.shape[1]] = packed
    return raw.view("<u8").reshape(-1)


def _digit_bits(count: int) -> int:
    return max(0, count - 1).bit_length()


def _digits(numbers: npt.NDArray[np.integer[Any]], width: int) -> Mask:
    """The bits of numbers, one after another, LSB first."""
    places = np.arange(width)
    return (numbers.reshape(-1, 1) >> places & 1).astype(np.bool_).reshape(-1)


def _packed(bits: Mask) -> Bytes:
    return np.packbits(bits, bitorder="little")


# -------------------------------------------------------------------------------- reading levels


class _LevelReader:
    """Takes parts from bytes, never more than there are."""

    def __init__(self, raw: Bytes) -> None:
        self._raw, self._at = np.ascontiguousarray(raw, np.uint8).reshape(-1), 0

    @property
    def left(self) -> int:
        return len(self._raw) - self._at

    def take(self, count: int) -> Bytes:
        if count > self.left:
            raise FormatError("nested weights end before their contents do")
        self._at += count
        return self._raw[self._at - count : self._at]

    def bits(self, count: int) -> Mask:
        """So many bits; those that pad the last byte must be 0."""
        every = np.unpackbits(self.take(-(-count // 8)), bitorder="little")
        if every[count:].any():
            raise FormatError("nested weights have bits set in their padding")
        return every[:count].view(np.bool_)


def _read_level(reader: _LevelReader, before: Mask, granule: int) -> Mask:
    """Which positions a level has, of those that were there before."""
    way = int(reader.take(1)[0])
    if way == _ALL:
        return before
    if way == _SINGLE:
        after = before.copy()
        after[before] = reader.bits(int(np.count_nonzero(before)))
        return after
    if way != _GRANULES:
        raise FormatError(f"nested weights have a level of kind {way}")
    rows = before.reshape(-1, granule)
    (count,) = _COUNT.unpack(reader.take(_COUNT.size).tobytes())
    kept = np.asarray(rows.any(axis=1))
    kept[kept] = reader.bits(int(np.count_nonzero(kept)))
    width = -(-granule // 8)
    table = np.unpackbits(
        reader.take(count * width).reshape(count, width), axis=1, bitorder="little"
    )[:, :granule].view(np.bool_)
    left, digits = int(np.count_nonzero(kept)), _digit_bits(count)
    places = reader.bits(left * digits).reshape(left, digits)
    numbers = (places << np.arange(digits)).sum(axis=1)
    if left and (not count or numbers.max(initial=0) >= count):
        raise FormatError("nested weights have the number of a mask that is not in the table")
    after = np.zeros(rows.shape, np.bool_)
    after[kept] = rows[kept] & table[numbers]
    return after.reshape(-1)
