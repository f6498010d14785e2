"""What all weight streams have in common: a header word before the body, and padding behind it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached

Bytes = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]

(
    ENDS_EARLY,
    NO_CHANNEL,
    NO_PATTERN,
    DIRTY,
    TOO_LONG,
    NO_HEADER,
    BEHIND,
    NO_PLACE,
    NOT_PACKED,
    TOO_WIDE,
) = range(1, 11)
FAULTS = {
    ENDS_EARLY: "ends before its contents do",
    NO_CHANNEL: "has a bit set for a channel that the layer does not have",
    NO_PATTERN: "has a pattern number that is not in the table",
    DIRTY: "has bits set in its padding",
    TOO_LONG: "is longer than its contents",
    NO_HEADER: "is not one: its header asks for more words than there are",
    NO_PLACE: "names a place that is not there, or not in order",
    BEHIND: "is followed by bytes behind the last of {filters}",
    NOT_PACKED: "is not as its weights are packed",
    TOO_WIDE: "has a weight that is not of 8 bits",
}


@njit_cached
def stream_end(raw: Bytes, at: int) -> int:
    """Where the stream that starts at ``at`` ends, by its header; -1 if it does not."""
    if at + 4 > len(raw):
        return -1
    words = int(raw[at + 2]) + (int(raw[at + 3]) << 8)
    end = at + 4 * words
    return end if words > 0 and end <= len(raw) else -1


@njit_cached
def name(raw: Bytes, at: int) -> int:
    """The output channel in the header of the stream that starts at ``at``."""
    return int(raw[at]) + (int(raw[at + 1]) << 8)


@njit_cached
def padding_fault(raw: Bytes, after: int, end: int) -> int:
    """The fault of a stream whose contents end at ``after``; 0: zeros up to a whole word follow."""
    if after > end:
        return ENDS_EARLY
    if end - after > 3:
        return TOO_LONG
    for i in range(after, end):
        if raw[i] != 0:
            return DIRTY
    return 0


@njit_cached
def count_nonzero(weights: Bytes) -> int:
    """Weights that are not zero."""
    found = np.int32(0)
    for i in range(len(weights)):
        found = np.int32(found + np.int32(weights[i] != 0))
    return int(found)


@njit_cached
def copy(given: Bytes, taken: Bytes) -> None:
    """Copy as many bytes as are taken; what numba makes of a slice is ten times slower."""
    for i in range(len(taken)):
        taken[i] = given[i]
