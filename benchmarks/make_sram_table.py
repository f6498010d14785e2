"""Make the table of SRAM macros with CACTI: ``accel_model/technology/sram.csv``.

CACTI 7 comes with the package hwcomponents-cacti (MIT), which wants Python 3.12; install it into an
environment of its own, run ``make opt`` in its folder ``cacti`` where its binary does not start,
and give the folder of the package:

    python benchmarks/make_sram_table.py .../site-packages/hwcomponents_cacti

The configuration is that package's ``default_cfg.cfg`` (ITRS low-standby-power cells and
periphery, 300 K, leakage first) with size, width, ports and node set. With ``--held-out`` it writes
points between those of the table instead, with which the tests compare the interpolation:
``tests/accel_model/sram_held_out.csv``.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "accel_model" / "technology" / "sram.csv"
HELD_OUT = ROOT / "tests" / "accel_model" / "sram_held_out.csv"

NODES = (45, 22)
PORTS = {"1rw": (1, 0, 0), "1r1w": (0, 1, 1), "2rw": (2, 0, 0)}  # read-write, read, write
WIDTHS = (4, 8, 16, 32, 64)  # the least that CACTI takes is 4 bytes
FEWEST_WORDS = 64  # likewise
MOST_BYTES = 1 << 20
SIZES = tuple(quarters << power for power in range(6, 19) for quarters in (4, 5, 6, 7))

COLUMNS = {  # of the table: CACTI's name, and what its unit is multiplied by
    "read_pj": ("Dynamic read energy (nJ)", 1000),
    "write_pj": ("Dynamic write energy (nJ)", 1000),
    "leakage_mw": ("Standby leakage per bank(mW)", 1),
    "area_mm2": ("Area (mm2)", 1),
    "access_ns": ("Access time (ns)", 1),
    "cycle_ns": ("Random cycle time (ns)", 1),
}

Point = tuple[int, str, int, int]  # node in nm, ports, bytes, bytes of a word


def points() -> Iterator[Point]:
    """The lines of the table: four sizes an octave, one width."""
    for node in NODES:
        for ports in PORTS:
            for width in WIDTHS:
                for size in SIZES:
                    if FEWEST_WORDS * width <= size <= MOST_BYTES:
                        yield node, ports, size, width


def held_out() -> Iterator[Point]:
    """Points in the middle between those of the table: in size, in width, in both."""
    between = [
        ((9 if power % 2 else 15) << power, width)
        for power, width in zip(range(6, 17), (4, 8, 16, 4, 64, 16, 8, 32, 16, 64, 16), strict=True)
    ]
    widths = [(384, 6), (6144, 12), (12288, 24), (49152, 48), (98304, 12), (786432, 24)]
    both = [(3888, 6), (22528, 16), (26880, 12), (61440, 24), (221184, 48), (442368, 6)]
    for node in NODES:
        for ports in PORTS:
            for size, width in (*between, *widths, *both):
                if size >= FEWEST_WORDS * width:
                    yield node, ports, size, width


def line(package: Path, point: Point) -> list[object]:
    """A line of the table: the point, and what CACTI writes of it with five digits."""
    told = cacti(package, point)
    return [*point, *(f"{told[name] * scale:.5g}" for name, scale in COLUMNS.values())]


def cacti(package: Path, point: Point) -> dict[str, float]:
    """What CACTI writes of one memory, by the names of its columns."""
    node, ports, size, width = point
    both, reads, writes = PORTS[ports]
    memory = f"""
-size (bytes) {size}
-read-write port {both}
-exclusive read port {reads}
-exclusive write port {writes}
-block size (bytes) {width}
-technology (u) {node / 1000}
-output/input bus width {width * 8}
-UCA bank 1
-cache type "ram"
-tag size (b) 0
-associativity 1
"""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "memory.cfg"
        defaults = (package / "default_cfg.cfg").read_text(encoding="utf-8")
        asked.write_text(defaults + memory, encoding="utf-8")
        run = subprocess.run(
            ["./cacti", "-infile", str(asked)],
            cwd=package / "cacti",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,
            text=True,
            check=False,
        )
        answer = asked.with_name(asked.name + ".out")
        if run.returncode or not answer.exists():
            sys.exit(f"CACTI gives nothing for {point}: {run.stdout[-300:]}")
        with answer.open(encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
    wanted = {name for name, _ in COLUMNS.values()}
    return {name.strip(): float(row[name]) for name in row if name and name.strip() in wanted}


def main() -> None:
    """Write the table."""
    asked = argparse.ArgumentParser(description="Make the table of SRAM macros with CACTI.")
    asked.add_argument("package", type=Path, help="folder of the package hwcomponents_cacti")
    asked.add_argument("--held-out", action="store_true", help="write the points of the tests")
    asked.add_argument("--jobs", type=int, default=2, help="processes of CACTI at a time")
    given = asked.parse_args()
    wanted, target = (held_out(), HELD_OUT) if given.held_out else (points(), TABLE)
    with ThreadPoolExecutor(given.jobs) as pool:
        rows = list(pool.map(lambda point: line(given.package, point), wanted))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["node_nm", "ports", "bytes", "width", *COLUMNS])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
