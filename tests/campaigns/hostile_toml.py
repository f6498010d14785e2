"""Hardware descriptions whose lines and values were altered."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import numpy as np

from tests.campaigns.programs import NETWORKS
from tests.compiler.networks import GraphBuilder
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import parse_spec, targets
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region

Rng = np.random.Generator
VALUES = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "16",
    "64",
    "100",
    "4096",
    "65536",
    "1048576",
    "1e9",
    "0.5",
    "nan",
    "inf",
    "-inf",
    "true",
    '"text"',
    "[1]",
    "{}",
    "''",
    "9" * 30,
    "0x10",
    "1_000",
    "1979-05-27",
    '"""',
    "\x00",
    "é",
    "-0.0",
]


@cache
def bases() -> list[str]:
    folder = resources.files("zeroskip.accel_model.targets")
    return [(folder / f"{name}.toml").read_text(encoding="utf-8") for name in targets()]


@cache
def network() -> Region:
    """What a description that is accepted is tried on."""
    return lower(NETWORKS["residual"](GraphBuilder(np.random.default_rng(0), density=0.4)))


def warm() -> None:
    for text in bases():
        _compile_and_run(text)


def altered_toml(rng: Rng) -> str:
    """Read a description; one that is accepted compiles and runs a network, or is too small."""
    return _compile_and_run(change_text(rng, bases()[rng.integers(len(bases()))]))


def _compile_and_run(text: str) -> str:
    spec = parse_spec(text, "own.toml")
    program = emit_region(network(), spec, plan_region(network(), spec))
    Machine(spec).run(program, {}, numbers=False)
    return "to its end"


def change_text(rng: Rng, text: str) -> str:
    lines = text.splitlines()
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(lines)))
        kind = rng.integers(8)
        if kind < 4:
            lines[at] = with_value(lines[at], VALUES[rng.integers(len(VALUES))])
        elif kind == 4:
            lines[at] = lines[at].replace("=", str(rng.choice(["", "==", ":", ".x ="])))
        elif kind == 5:
            del lines[at]
        elif kind == 6:
            lines.insert(at, lines[rng.integers(len(lines))])
        else:
            place = int(rng.integers(len(lines[at]) + 1))
            lines[at] = lines[at][:place] + chr(int(rng.integers(1, 400))) + lines[at][place:]
        if not lines:
            break
    return "\n".join(lines)


def with_value(line: str, value: str) -> str:
    return re.sub(r"=\s*[^#\s]+", lambda _match: f"= {value}", line)
