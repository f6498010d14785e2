"""Bytes of nested levels against networks of their own, and cycles of each level.

    python benchmarks/nested.py [--models models/fashion_dense.onnx ...] [--resnet50]

Weights of separate networks: the packed filter streams in their programs, headers, bitmaps or
pattern numbers and padding included. Weights of the bundle: the nested weights (values, and for
each level what says which of them it has), and what of each program makes streams of them again
(pieces, orders of filters); layers whose streams are not made of nested weights count in full at
every level. Files are whole .zsk files, float and integer modules included.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from zeroskip.accel_model.io.archive import read_npy  # noqa: E402 - found through the path above
from zeroskip.accel_model.program.weight_map import weight_streams  # noqa: E402
from zeroskip.compiler.artifact.derived_members import NestedConstant, RebuiltProgram  # noqa: E402
from zeroskip.compiler.artifact.nested_file import Levels  # noqa: E402
from zeroskip.compiler.artifact.network import Network  # noqa: E402
from zeroskip.compiler.multi_level import compile_levels  # noqa: E402
from zeroskip.runtime.execution.session import Session  # noqa: E402

SCHEMES = {  # name: target and levels
    "unstructured 50, 75, 90 %": (
        "sparse256",
        [f"unstructured:sparsity={part}" for part in (0.5, 0.75, 0.9)],
    ),
    "dense, 50, 75 %": ("sparse256", [f"unstructured:sparsity={part}" for part in (0, 0.5, 0.75)]),
    "patterns, kernels 0, 50, 75 %": (
        "pattern256",
        [f"pattern:connectivity={part},pointwise={max(part, 0.5)}" for part in (0, 0.5, 0.75)],
    ),
    "blocks 50, 75, 90 %": (
        "sparse256",
        [f"block:block=4x4,ratio={part},skip_first=yes" for part in (0.5, 0.75, 0.9)],
    ),
    "4:8, 2:8, 1:8": ("sparse256", [f"nm:n={n},m=8,skip_first=yes,skip=yes" for n in (4, 2, 1)]),
}
COLUMNS = (
    "network",
    "levels",
    "separate KiB",
    "nested KiB",
    "saved",
    "ideal separate KiB",
    "separate files KiB",
    "one file KiB",
    "saved",
    "cycles of the levels",
    "load s",
)


@dataclass(frozen=True)
class Bytes:
    """separate: of each level's streams. ideal: the least that the target's format takes. nested:
    of all levels together."""

    separate: list[int]
    ideal: list[int]
    nested: int


def weigh(levels: Levels, networks: list[Network]) -> Bytes:
    """The bytes of the weights."""
    separate, ideal, nested = [], [], 0
    parts: set[str] = set()
    for head, network in zip(levels.heads, networks, strict=True):
        streams = 0
        for name, program in network.programs.items():
            sizes = sum(each.size for each in weight_streams(program))
            found = levels.derived[head["sha256"][head["programs"][name]]]
            assert isinstance(found, RebuiltProgram)
            pieces = read_npy(b"".join(levels.parts[found.pieces]))
            nested += sizes - int(pieces[:, 1].sum())
            parts |= {
                found.pieces,
                found.orders,
                *(_part(levels, source.member) for source in found.sources),
            }
            streams += sizes
        separate.append(streams)
        ideal.append(
            sum(
                layer.weight_bytes
                for program in network.programs.values()
                for layer in program.layers
            )
        )
    nested += sum(len(piece) for part in parts for piece in levels.parts[part])
    return Bytes(separate, ideal, nested)


def _part(levels: Levels, member: str) -> str:
    found = levels.derived.get(member)
    return found.part if isinstance(found, NestedConstant) else member


def row(name: str, model: Any, scheme: str, cache: str) -> str:
    """A line of the table."""
    target, recipes = SCHEMES[scheme]
    levels = compile_levels(model, target, recipes, cache=cache)
    networks = [levels.network(number) for number in range(len(recipes))]
    found = weigh(levels, networks)
    with tempfile.TemporaryDirectory() as folder:
        levels.save(Path(folder, "levels.zsk"))
        for number, network in enumerate(networks):
            network.save(Path(folder, f"{number}.zsk"))
        whole = Path(folder, "levels.zsk").stat().st_size
        files = sum(Path(folder, f"{number}.zsk").stat().st_size for number in range(len(recipes)))
        started = time.perf_counter()
        loaded = Network.load(Path(folder, "levels.zsk"), len(recipes) - 1)
        seconds = time.perf_counter() - started
    assert [each.to_bytes() for each in loaded.programs.values()] == [
        each.to_bytes() for each in networks[-1].programs.values()
    ]
    cycles = [sum(run.cycles for run in Session(network).time().values()) for network in networks]
    cells = (
        name,
        f"{scheme}, {target}",
        _kib(sum(found.separate)),
        _kib(found.nested),
        f"{1 - found.nested / sum(found.separate):.1%}",
        _kib(sum(found.ideal)),
        _kib(files),
        _kib(whole),
        f"{1 - whole / files:.1%}",
        " ".join(f"{each:,}" for each in cycles),
        f"{seconds:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def _kib(size: int) -> str:
    return f"{size / 1024:,.1f}"


def main() -> None:
    """Measure and print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models", nargs="*", type=Path, default=[ROOT / "models" / "fashion_dense.onnx"]
    )
    parser.add_argument("--resnet50", action="store_true", help="also ResNet-50, seeded weights")
    parser.add_argument("--schemes", nargs="+", choices=list(SCHEMES), default=list(SCHEMES))
    options = parser.parse_args()
    networks: list[tuple[str, Any]] = [(path.stem, path) for path in options.models]
    if options.resnet50:
        from models.zoo import MODELS

        networks.append(("resnet50", MODELS["resnet50"]()))
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * 2}{' ---: |' * (len(COLUMNS) - 2)}")
    with tempfile.TemporaryDirectory() as cache:
        for name, model in networks:
            for scheme in options.schemes:
                print(row(name, model, scheme, cache), flush=True)


if __name__ == "__main__":
    main()
