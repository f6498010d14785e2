"""SRAM macros: energy, leakage, area and time of a memory from its size, width and ports.

``sram.csv`` holds what CACTI 7 says of memories of 64 words and more, 4 to 64 bytes wide, up to
1 MiB, at four sizes an octave (``benchmarks/make_sram_table.py`` made it; low-standby-power cells,
300 K). Between its points each figure is interpolated log-log in words and width. Below what CACTI
takes, the rules of the package hwcomponents-cacti (T. Andrulis, MIT) hold: a memory of fewer than
64 words is one of 64 with energy times (words / 64)^0.78, leakage and area times words / 64; a
word narrower than 4 bytes is one of 4 with energy times 0.3 + 0.7 width / 4, leakage and area times
width / 4; the times stay.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.technology.node import NODES, TechnologyError, nanometres

PORTS = ("1rw", "1r1w", "2rw")
LEAST_WIDTH, MOST_WIDTH = 1, 64  # bytes
LEAST_WORDS = 8
MOST_BYTES = 1 << 20
TABLE_WIDTH, TABLE_WORDS = 4, 64  # the least in the table

Figures = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Macro:
    """One memory as a memory compiler would make it.

    read_pj, write_pj: picojoules of a word read or written. leakage_mw: milliwatts, always.
    area_mm2: square millimetres. access_ns: nanoseconds from the address to the data. cycle_ns:
    nanoseconds between two accesses by the same port.
    """

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_mm2: float
    access_ns: float
    cycle_ns: float


@lru_cache(maxsize=4096)
def sram(node: str, size: int, width: int, ports: str = "1rw") -> Macro:
    """The macro of ``size`` bytes with words of ``width`` bytes; TechnologyError outside the table.

    ports: "1rw" (one access a cycle), "1r1w" (a read and a write) or "2rw" (any two).
    """
    nanometres(node)
    _refuse(size, width, ports)
    words, wide = size / width, max(width, TABLE_WIDTH)
    deep = max(words, TABLE_WORDS)
    narrow, shallow = width / wide, words / deep
    energy = (0.3 + 0.7 * narrow) * shallow**0.78
    bits = narrow * shallow
    scale = np.array([energy, energy, bits, bits, 1.0, 1.0])
    return Macro(*(scale * _interpolated(node, ports, deep, wide)).tolist())


def _refuse(size: int, width: int, ports: str) -> None:
    if ports not in PORTS:
        raise TechnologyError(f"ports {ports[:50]!r} are not one of {', '.join(PORTS)}")
    if not LEAST_WIDTH <= width <= MOST_WIDTH:
        raise TechnologyError(
            f"an SRAM {width} bytes wide is outside the table ({LEAST_WIDTH} to {MOST_WIDTH}); "
            "build it of narrower ones side by side"
        )
    if size < LEAST_WORDS * width:
        raise TechnologyError(
            f"an SRAM of {size} bytes, {width} wide, has less than {LEAST_WORDS} words; "
            "build it of flip-flops"
        )
    if max(size, width * TABLE_WORDS) * max(1, TABLE_WIDTH / width) > MOST_BYTES:
        raise TechnologyError(
            f"an SRAM of {size} bytes, {width} wide, is beyond the table ({MOST_BYTES} bytes); "
            "split it into banks"
        )


def _interpolated(node: str, ports: str, words: float, width: int) -> Figures:
    """The six figures, log-log between the four neighbours in the table."""
    table = _table()
    (low, high), across = _neighbours(_axes()[1], width)
    (few, many), along = _neighbours(_axes()[0], words)
    rows = []
    for wide in (low, high):
        few_row, many_row = (table.get((node, ports, n, wide)) for n in (few, many))
        if few_row is None or many_row is None:
            raise TechnologyError(
                f"an SRAM of {words:.0f} words, {width} bytes wide, is beyond the table; "
                "split it into banks"
            )
        rows.append((1 - along) * few_row + along * many_row)
    logarithms: Figures = (1 - across) * rows[0] + across * rows[1]
    return np.exp(logarithms)


def _neighbours(axis: tuple[int, ...], value: float) -> tuple[tuple[int, int], float]:
    """The two points of an axis around a value, and how far it is from the first (logarithms)."""
    at = bisect_right(axis, value) - 1
    if axis[at] == value:
        return (axis[at], axis[at]), 0.0
    low, high = axis[at], axis[min(at + 1, len(axis) - 1)]
    return (low, high), math.log(value / low) / math.log(high / low) if high > low else 0.0


@lru_cache(maxsize=1)
def _axes() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Words, and widths, that are in the table, in order."""
    words, widths = ({key[index] for key in _keys()} for index in (0, 1))
    return tuple(sorted(words)), tuple(sorted(widths))


def _keys() -> list[tuple[int, int]]:
    return [(words, width) for _, _, words, width in _table()]


@lru_cache(maxsize=1)
def _table() -> dict[tuple[str, str, int, int], Figures]:
    """Logarithms of the figures of ``Macro`` by node, ports, words and width."""
    file = resources.files("zeroskip.accel_model.technology") / "sram.csv"
    names = {number: name for name, number in NODES.items()}
    figures = [field.name for field in fields(Macro)]
    table = {}
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        width = int(row["width"])
        key = (names[int(row["node_nm"])], row["ports"], int(row["bytes"]) // width, width)
        table[key] = np.log(np.array([float(row[name]) for name in figures]))
    return table
