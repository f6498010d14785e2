"""What the multipliers of lanes may spend a cycle on, in the order of reports."""

from __future__ import annotations

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    MULTIPLY,
    PADDING,
    SETUP,
    Slot,
)

SLOTS = (
    MULTIPLY,
    Slot(
        "fragmentation",
        "lanes at work on outputs that the last group of pixels of a tile lacks",
        "ragged",
    ),
    Slot(
        "zeros",
        "lanes at zero weights that the array does not skip, or decoding words of a stream that "
        "hold no weight",
        "zeros",
    ),
    PADDING,
    Slot(
        "imbalance",
        "lanes waiting for the slowest one, which still holds the window",
        "imbalance",
    ),
    Slot("fetch", "lanes waiting for activations from ACT, at one fetch a cycle", "fetch"),
    CONFLICTS,
    Slot(
        "drain",
        "lanes waiting for accumulators to be drained, and for the end of the instruction",
        "drain",
    ),
    Slot(
        "unused",
        "lanes without a filter: fewer filters than lanes, or a last group that is not full",
        "ragged",
    ),
    CHANNELWISE,
    SETUP,
)
