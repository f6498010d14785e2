"""Cycles, energy and area of networks as 512 KiB of SRAM are split in other ways.

    python benchmarks/sizes.py [--targets sparse256] [--networks resnet50 fashion] [--points NAME
    ...]

All points of a target have the same bytes on the chip, windows and staging included: what windows
do not take, ACT and WGT get. The built-in targets have the sizes that RESULTS.md chooses by it.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.networks import model  # noqa: E402 - found through the path above
from zeroskip.accel_model.errors import ZeroskipError  # noqa: E402
from zeroskip.accel_model.spec import AccelSpec, load_spec, spec_from_table  # noqa: E402
from zeroskip.compiler.driver import compile as compile_network  # noqa: E402
from zeroskip.runtime.analysis.report import report  # noqa: E402
from zeroskip.runtime.execution.session import Session  # noqa: E402

KIB = 1024
NETWORKS = ("resnet50", "mobilenet_v2", "fashion")
OWN = {"window_entries": "windows"}  # what the table calls them
COLUMNS = ("target", "point", "network", "weights", "mm2", "cycles", "uJ", "uJ ms")


@dataclass(frozen=True)
class Point:
    """Sizes of a target. act, wgt, acc: KiB. banks: of ACT. own: those of its array's memories that
    are not the target's."""

    act: int
    wgt: int
    acc: int
    banks: int = 8
    own: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        own = "".join(f", {OWN.get(key, key)} {value}" for key, value in self.own)
        return f"ACT {self.act} in {self.banks}, WGT {self.wgt}, ACC {self.acc}{own}"

    def applied(self, spec: AccelSpec) -> AccelSpec:
        """The target with these sizes."""
        table = asdict(spec)
        table["sram"] |= {
            "act_bytes": self.act * KIB,
            "act_banks": self.banks,
            "wgt_bytes": self.wgt * KIB,
            "acc_bytes": self.acc * KIB,
        }
        table["array"] |= dict(self.own)
        return spec_from_table(table, f"{spec.name}, {self.name}")


def windows(entries: int) -> tuple[tuple[str, int], ...]:
    return (("window_entries", entries),)


SKIPPING = {
    "as before": Point(176, 144, 32, 8, windows(512)),
    "16 banks": Point(176, 144, 32, 16, windows(512)),
    "windows 256": Point(176, 208, 32, 16, windows(256)),
    "windows 128": Point(176, 240, 32, 16, windows(128)),
    "windows 128, 32 banks, more ACT": Point(240, 176, 32, 32, windows(128)),
    "windows 128, 32 banks, most ACT": Point(272, 144, 32, 32, windows(128)),
    "windows 128, 32 banks, more ACC": Point(240, 160, 48, 32, windows(128)),
}
PATTERN = {  # a stage has up to 16 taps of 16 channels; two of 3x3 are 288 entries
    "as before": Point(176, 144, 32, 8, windows(512)),
    "16 banks": Point(176, 144, 32, 16, windows(512)),
    "windows 432": Point(192, 148, 32, 32, windows(432)),
    "windows 288": Point(208, 168, 32, 32, windows(288)),
    "windows 288, more ACT": Point(240, 136, 32, 32, windows(288)),
}
DENSE = {
    "as before": Point(256, 172, 48, 8),
    "32 banks": Point(256, 172, 48, 32),
    "32 banks, more ACT": Point(288, 140, 48, 32),
    "32 banks, more WGT": Point(224, 204, 48, 32),
    "16 banks of 11 KiB, more WGT": Point(176, 252, 48, 16),
}


def in_32_banks(left: int) -> dict[str, Point]:
    """Ways to split so many KiB, ACT in 32 banks: as ``dense256``, and otherwise."""
    return {
        "as dense256": Point(288, left - 336, 48, 32),
        "more WGT": Point(256, left - 304, 48, 32),
        "most WGT": Point(224, left - 272, 48, 32),
        "more ACT": Point(320, left - 368, 48, 32),
        "less ACC": Point(288, left - 320, 32, 32),
        "less ACC, more ACT": Point(304, left - 336, 32, 32),
    }


def around(target: str, **own: tuple[int, ...]) -> dict[str, Point]:
    """The sizes of a built-in target, 32 or 16 KiB moved from one memory to another, and other
    sizes of its array's memories, with ACT and WGT sharing what is left."""
    spec = load_spec(target)
    sram = spec.sram
    act, wgt, acc = (size // KIB for size in (sram.act_bytes, sram.wgt_bytes, sram.acc_bytes))
    banks, least = sram.act_banks, sram.act_banks * 16 // KIB or 1
    found = {
        "as it is": Point(act, wgt, acc, banks),
        "more ACT": Point(act + 32, wgt - 32, acc, banks),
        "most ACT": Point(act + 64, wgt - 64, acc, banks),
        "more WGT": Point(act - 32, wgt + 32, acc, banks),
        "less ACC, more ACT": Point(act + 16, wgt, acc - 16, banks),
        "more ACC, less WGT": Point(act, wgt - 16, acc + 16, banks),
    }
    found = {name: point for name, point in found.items() if min(point.wgt, point.acc) > 0}
    for key, sizes in own.items():
        for size in sizes:
            there = Point(act, wgt, acc, banks, ((key, size),))
            left = (spec.sram_bytes - there.applied(spec).sram_bytes) // KIB
            more = left // 2 // least * least
            found[f"{key} {size}"] = replace(there, act=act + more, wgt=wgt + left - more)
    return found


@dataclass(frozen=True)
class Sweep:
    """Points of a target, and what is run on each: weights as ``networks.SCHEMES`` or ``RECIPES``
    name them."""

    points: dict[str, Point]
    weights: tuple[str, ...]
    fashion: tuple[tuple[str, str | None], ...] = field(default=())


SWEEPS = {
    "dense256": Sweep(DENSE, ("dense",), (("fashion_dense", None),)),
    "sparse256": Sweep(
        SKIPPING, ("75 %", "dense"), (("fashion_dense", "unstructured:sparsity=0.75"),)
    ),
    "pattern256": Sweep(PATTERN, ("pattern 8x",), (("fashion_pattern", None),)),
    "diannao256": Sweep(in_32_banks(480), ("dense",), (("fashion_dense", None),)),
    "cambriconx256": Sweep(
        in_32_banks(476), ("75 %",), (("fashion_dense", "unstructured:sparsity=0.75"),)
    ),
    "nm256": Sweep(in_32_banks(476), ("1:4",), (("fashion_dense", "nm:n=1,m=4"),)),
    "kang256": Sweep(in_32_banks(476), ("4:16",), (("fashion_dense", "nm:n=4,m=16"),)),
}
THREE_QUARTERS = (("fashion_dense", "unstructured:sparsity=0.75"),)
SWEEPS |= {
    "systolic256": Sweep(
        around("systolic256", accumulators=(512,)), ("dense",), (("fashion_dense", None),)
    ),
    "dcnn256": Sweep(around("dcnn256"), ("dense",), (("fashion_dense", None),)),
    "scnn256": Sweep(
        around("scnn256", accumulators=(512,), fifo_bytes=(512,)), ("75 %",), THREE_QUARTERS
    ),
    "eyeriss256": Sweep(around("eyeriss256", pad_bytes=(240, 432)), ("75 %",), THREE_QUARTERS),
    "sparten256": Sweep(around("sparten256", unit_bytes=(320,)), ("75 %",), THREE_QUARTERS),
    "zhu256": Sweep(around("zhu256", block_pixels=(512, 2048)), ("75 %",), THREE_QUARTERS),
    "sparse256_int16": Sweep(around("sparse256_int16"), ("75 %",), THREE_QUARTERS),
    "abm256": Sweep(around("abm256", window_entries=(512,)), ("75 %",), THREE_QUARTERS),
}
RECIPES = {"1:4": "nm:n=1,m=4", "4:16": "nm:n=4,m=16"}


def cases(sweep: Sweep, network: str) -> Iterator[tuple[str, Any, str | None]]:
    """What stands in the table under weights, the model, and the recipe that prunes it."""
    if network == "fashion":
        for name, recipe in sweep.fashion:
            yield recipe or name, str(ROOT / "models" / f"{name}.onnx"), recipe
        return
    for scheme in sweep.weights:
        made, recipe = model(network, "dense" if scheme in RECIPES else scheme)
        yield scheme, made, RECIPES.get(scheme, recipe)


def row(spec: AccelSpec, made: Any, recipe: str | None) -> str:
    """Area, cycles, energy and their product, as cells."""
    try:
        network = compile_network(made, spec, prune=recipe)
    except ZeroskipError as problem:
        return f"{problem} ||||"
    whole = report(network, Session(network).time())
    chip = whole.efficiency
    if chip is None:
        return "nothing ran ||||"
    return f"{chip.area_mm2:.3f} | {whole.cycles:,} | {chip.microjoules:,.1f} | {chip.edp:,.2f}"


def main() -> None:
    """Print the rows as they are measured."""
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("--targets", nargs="+", default=list(SWEEPS), choices=list(SWEEPS))
    asked.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    asked.add_argument("--points", nargs="+", help="only these (default: all)")
    given = asked.parse_args()
    print(f"{date.today()}, {platform.machine()}\n")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * 4 + "---:|" * (len(COLUMNS) - 4), flush=True)
    for target in given.targets:
        sweep = SWEEPS[target]
        for network in given.networks:
            for weights, made, recipe in cases(sweep, network):
                for name, point in sweep.points.items():
                    if given.points and name not in given.points:
                        continue
                    cells = row(point.applied(load_spec(target)), made, recipe)
                    shown = f"{name}: {point.name}"
                    print(f"| {target} | {shown} | {network} | {weights} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
