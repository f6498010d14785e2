"""Weights of 16 bits in streams: where a format has a byte for a weight, a word of two.

The values still have 8 bits, so the upper byte of a word, which is the second, repeats the sign.
What is no weight (counts, places, masks) stays as it is. Every format is packed and read with
weights of a byte; here its bodies are made wider and narrower, by the places that the format names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.stream_header import (
    BEHIND,
    ENDS_EARLY,
    NO_HEADER,
    TOO_WIDE,
    padding_fault,
    stream_end,
)

Bytes = npt.NDArray[np.uint8]
HEADER_BYTES = 4


class WeightPlaces(NamedTuple):
    """Where the weights of a body are: in groups of bytes, one in each, which follow each other.

    first: bytes before the groups. groups: how many. before, after: bytes of a group before its
    weight and behind it. behind: bytes that follow the groups, padding not counted.
    """

    first: int
    groups: int
    before: int = 0
    after: int = 0
    behind: int = 0

    def end(self, weight_bytes: int) -> int:
        """Where the contents of a body end."""
        group = self.before + weight_bytes + self.after
        return self.first + self.groups * group + self.behind


Find: TypeAlias = Callable[[Bytes], WeightPlaces]  # the weights of a body, from what is before them


def _groups(body: Bytes, places: WeightPlaces, weight_bytes: int) -> Bytes:
    """uint8 [groups, bytes of a group]."""
    end = places.end(weight_bytes) - places.behind
    group = places.before + weight_bytes + places.after
    return body[places.first : end].reshape(places.groups, group)


def _resized(body: Bytes, places: WeightPlaces, old: int, new: int) -> Bytes:
    """A body with weights of ``new`` bytes for ``old``, without padding; upper bytes repeat the
    sign."""
    groups = _groups(body, places, old)
    made = np.zeros((places.groups, places.before + new + places.after), np.uint8)
    made[:, : places.before + 1] = groups[:, : places.before + 1]
    if new > 1:
        sign = np.where(groups[:, places.before] > 127, 255, 0)
        made[:, places.before + 1 : places.before + new] = sign[:, np.newaxis]
    made[:, places.before + new :] = groups[:, places.before + old :]
    behind = places.end(old) - places.behind
    return np.concatenate(
        [body[: places.first], made.reshape(-1), body[behind : behind + places.behind]]
    )


def _joined(heads: list[Bytes], bodies: list[Bytes]) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Streams, and the words of each; heads: uint8 [4], of which the channel is taken."""
    words = np.array([1 + -(-len(body) // 4) for body in bodies], np.int64)
    made = np.zeros(4 * int(words.sum()), np.uint8)
    at = 0
    for head, body, count in zip(heads, bodies, words.tolist(), strict=True):
        made[at : at + 2] = head[:2]
        made[at + 2], made[at + 3] = count & 0xFF, count >> 8 & 0xFF
        made[at + HEADER_BYTES : at + HEADER_BYTES + len(body)] = body
        at += 4 * count
    return made, words


def widened(
    raw: Bytes, filters: int, find: Find, weight_bytes: int
) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Streams whose weights have a byte with weights of so many, and the words of each."""
    heads, bodies, at = [], [], 0
    for _ in range(filters):
        end = int(stream_end(raw, at))
        body = raw[at + HEADER_BYTES : end]
        heads.append(raw[at : at + HEADER_BYTES])
        bodies.append(_resized(body, find(body), 1, weight_bytes))
        at = end
    return _joined(heads, bodies)


def narrowed(raw: Bytes, filters: int, find: Find, weight_bytes: int) -> tuple[int, int, Bytes]:
    """``widened`` the other way round: a fault or 0, its stream, and the streams."""
    heads, bodies, at = [], [], 0
    for f in range(filters):
        end = int(stream_end(raw, at))
        if end < 0:
            return NO_HEADER, f, raw[:0]
        body = raw[at + HEADER_BYTES : end]
        places = find(body)
        after = at + HEADER_BYTES + places.end(weight_bytes)
        fault = ENDS_EARLY if after > end else int(padding_fault(raw, after, end))
        if fault:
            return fault, f, raw[:0]
        groups = _groups(body, places, weight_bytes)
        sign = np.where(groups[:, places.before] > 127, 255, 0)[:, np.newaxis]
        if (groups[:, places.before + 1 : places.before + weight_bytes] != sign).any():
            return TOO_WIDE, f, raw[:0]
        heads.append(raw[at : at + HEADER_BYTES])
        bodies.append(_resized(body, places, weight_bytes, 1))
        at = end
    if at != len(raw):
        return BEHIND, filters - 1, raw[:0]
    return 0, 0, _joined(heads, bodies)[0]
