"""Plans: how one operation is cut into tiles and ordered."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TypeAlias

ROWS = "rows"  # the outer loop of a dense layer that trails
CHANNELS = "channels"  # of one that follows


@dataclass(frozen=True)
class ConvPlan:
    """How a convolution is cut and ordered.

    ``filters``, ``rows``, ``cols`` and ``channels`` are the sizes of a tile (channels: of a chunk
    of the reduction); ``outer`` is what stays longest: 'weights', all chunks of a tile of filters;
    'chunks', one of them, while the sums of all pixels wait in ACC; 'pixels'; or 'rows' of the
    input or 'channels' of it, while the sums of all filters wait in ACC (``trailing``).
    ``keep_input`` holds the whole input on chip while the filters pass over it. ``kernel_rows`` and
    ``kernel_cols``: parts that the kernel is cut into along each axis (``kernel_parts``).
    """

    mode: int
    filters: int
    rows: int
    cols: int
    channels: int
    outer: str
    keep_input: bool
    kernel_rows: int = 1
    kernel_cols: int = 1

    @property
    def kernel_cuts(self) -> tuple[int, int]:
        return self.kernel_rows, self.kernel_cols

    def __str__(self) -> str:
        kept = ", input kept" if self.keep_input else ""
        if self.kernel_cuts != (1, 1):
            kept += f", kernel in {self.kernel_rows} x {self.kernel_cols} parts"
        return (
            f"filters {self.filters} x rows {self.rows} x cols {self.cols} x channels "
            f"{self.channels}, mode {self.mode}, {self.outer} outer{kept}"
        )


@dataclass(frozen=True)
class ChannelPlan:
    """How an operation that treats channels alike is cut: depthwise, pools, add, copies."""

    channels: int
    rows: int
    cols: int

    def __str__(self) -> str:
        return f"channels {self.channels} x rows {self.rows} x cols {self.cols}"


Plan: TypeAlias = ConvPlan | ChannelPlan


@dataclass(frozen=True)
class Buffer:
    """Where a value stays in ACT. maker: the first operation of its group that writes it; act:
    first row."""

    maker: int
    act: int


@dataclass(frozen=True)
class GroupPlan:
    """A run of operations that are executed together, ``stripes`` times over (stripes.py);
    ``plans`` has the tiles of each, ``buffers`` the values that stay on chip between them."""

    stripes: int
    plans: tuple[Plan, ...]
    buffers: tuple[Buffer, ...] = ()

    @property
    def trails(self) -> bool:
        """Whether the last operation trails the others by a stripe (``trailing``)."""
        last = self.plans[-1]
        return isinstance(last, ConvPlan) and last.outer == ROWS

    @property
    def follows(self) -> bool:
        """Whether the last operation follows another's channels (``trailing``)."""
        last = self.plans[-1]
        return isinstance(last, ConvPlan) and last.outer == CHANNELS

    @property
    def passes(self) -> int:
        """Times that its instructions are gone through."""
        return self.stripes + self.trails


def group_text(group: GroupPlan) -> str:
    """A group as one line of JSON. A kernel that is whole is not said to be."""
    table = asdict(group)
    for plan in table["plans"]:
        for name in ("kernel_rows", "kernel_cols"):
            if plan.get(name) == 1:
                del plan[name]
    return json.dumps(table)


def read_group(text: str) -> GroupPlan:
    """The group of one line of JSON."""
    fields = json.loads(text)
    plans = tuple(
        ConvPlan(**each) if "mode" in each else ChannelPlan(**each) for each in fields["plans"]
    )
    return GroupPlan(fields["stripes"], plans, tuple(Buffer(**each) for each in fields["buffers"]))
