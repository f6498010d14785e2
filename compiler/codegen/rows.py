"""Rows that instructions touch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from zeroskip.accel_model.program.address_set import AddressSet


class Rows(NamedTuple):
    """Rows of a memory, by its name; of DRAM its granules."""

    memory: str
    cells: AddressSet

    @property
    def start(self) -> int:
        """The lowest row."""
        return self.cells.first

    @property
    def last(self) -> int:
        """The highest row."""
        return self.cells.last

    def of(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The rows of an array [rows, ...] as a view (``AddressSet.of``); must be in bounds."""
        return self.cells.of(array)
