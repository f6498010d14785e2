"""Bands: which rows of its tensors a group of operations makes, needs and stores in each pass.

A group is a run of operations that is executed several times over, each time for a band of rows of
its results, so that what lies between them never needs more room on chip than a band of it. A
window that reaches over the edge of a band makes rows needed in two bands: they are stored by the
band that makes them and loaded by the next. One band is the plain execution of whole layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.compiler.ir.ops import Op, Value, View, Window
from zeroskip.compiler.ir.tiles import Span

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Strips:
    """Rows of a value, band by band; int64 [bands]. Those from ``needed`` to ``end`` are read or
    made in the band; those from ``made`` on are made in it, those before were made earlier; later
    bands need those from ``carried`` on."""

    value: Value
    needed: Ints
    made: Ints
    carried: Ints
    end: Ints

    @property
    def height(self) -> int:
        """Image rows that a buffer for any band has room for."""
        return int((self.end - self.needed).max())

    @property
    def buffer_rows(self) -> int:
        """ACT rows of that buffer."""
        return blocks(self.value.channels) * self.value.spatial[1] * self.height

    @property
    def most_made(self) -> int:
        """Rows that are made in a band, at most."""
        return int((self.end - self.made).max())

    def span(self, start: Ints, end: Ints, band: int) -> Span:
        """The rows between two of these borders in one band."""
        return Span(int(start[band]), int(end[band] - start[band]))


class Cutting:
    """Cuts a group into bands, from its last operation to its first.

    What no operation of the group reads is cut evenly; of everything else a band makes what the
    rows after it need, and the last band the rest.
    """

    def __init__(self, bands: int) -> None:
        self.bands = bands
        self.strips: dict[str, Strips] = {}  # of the values that the operations so far write
        self._ends: dict[str, Ints] = {}  # rows that they read: up to here, after each band
        self._firsts: dict[str, Ints] = {}  # and in each band from here on

    def precede(self, op: Op) -> bool:
        """Put an operation before the others; False if the group cannot be cut then: a value must
        be complete before it is read, and rows stay rows."""
        if self.bands > 1 and (
            not op.by_rows or any(view.value.name in self.strips for view in op.reads)
        ):
            return False
        value = op.y.value
        rows, numbers = value.spatial[0], np.arange(1, self.bands + 1)
        end = self._ends.get(value.name, rows * numbers // self.bands)
        end[-1] = rows
        made = np.concatenate(([0], end[:-1]))
        needed = np.minimum(made, self._firsts.get(value.name, made))
        later = np.append(np.minimum.accumulate(needed[::-1])[::-1][1:], rows)
        carried = np.minimum(np.maximum(later, made), end)
        self.strips[value.name] = Strips(value, needed, made, carried, end)
        for view, window in _reads(op):
            self._read(view, window, made, end)
        return True

    def _read(self, view: View, window: Window, made: Ints, end: Ints) -> None:
        """Note the rows that outputs made..end-1 look at (``tiles.source``)."""
        name, rows = view.value.name, view.value.spatial[0]
        top = made * window.stride[0] - window.pad[0]
        first = np.minimum(np.maximum(top, 0), rows - 1)
        bottom = np.maximum(np.minimum(top + window.span(0, end - made), rows), first + 1)
        some = end > made
        first, bottom = np.where(some, first, rows), np.where(some, bottom, 0)
        self._ends[name] = np.maximum.accumulate(np.maximum(self._ends.get(name, 0), bottom))
        self._firsts[name] = np.minimum(self._firsts.get(name, rows), first)


def cut(steps: Sequence[Op], bands: int) -> dict[str, Strips]:
    """For each value that the operations write, its rows in each band."""
    cutting = Cutting(bands)
    for op in reversed(steps):
        cutting.precede(op)
    return cutting.strips


def _reads(op: Op) -> Iterator[tuple[View, Window]]:
    """Everything an operation reads, and through which window."""
    for index, view in enumerate(op.reads):
        yield view, op.input_window if index == 0 else Window()
