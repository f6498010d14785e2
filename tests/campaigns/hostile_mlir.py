"""Programs as MLIR text whose words, lines and attributes were altered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from tests.campaigns.programs import sample
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.mlir.program_reader import read_programs
from zeroskip.compiler.mlir.program_text import programs_text

Rng = np.random.Generator
_WORD = re.compile(r'"[^"]*"|[%@!#]?[\w.]+|[^\s\w]')
WORDS = [
    "0", "1", "-1", "65535", "4294967296", "9" * 40, "0x10", "1.5", "nan", "true", "unit", "i32",
    "ui14", "si9", "index", "f64", "tensor<4xui8>", "tensor<99999999x99999999xui8>",
    "tensor<*xi8>", "tensor<?xi8>", "memref<3xi8>", "dense<0>", "dense<>", 'dense<"0xFF">',
    'dense<"0xF">', "array<i32: 1, 1>", "[", "]", "{", "}", "(", ")", "<", ">", ":", ",", "=",
    "->", "%to_compute_1", "%0", "%0:2", "^bb1", "@f", "@net", '"', '"\\FF"', '"\\', "loc", "func.func",
    "return", "module", "#map", "!zeroskip.load_to_compute", "!zeroskip.compute_to_load<3>",
    "!builtin.int", '"zeroskip.nothing"', "affine_map<(d0) -> (d0)>", "{-#", "#-}", "//", "\x00", "é",
    "dense_resource<a> : tensor<2xui8>", "[" * 2000, "{a=" * 2000, "opaque<\"a\", \"0x\">",
]  # fmt: skip


@cache
def bases() -> list[str]:
    """Small programs as text; the image of the second is shorter than a line of the first."""
    spec = load_spec("sparse256")
    return [
        programs_text([sample(name, spec, name, 0).program]) for name in ("depthwise", "joined")
    ]


def warm() -> None:
    for text in bases():
        _read_and_run(text)


def altered_mlir(rng: Rng) -> str:
    """Read a text; the programs in one that is accepted run, or are refused there."""
    return _read_and_run(change_text(rng, bases()[rng.integers(len(bases()))]))


def _read_and_run(text: str) -> str:
    programs = read_programs(text, "own.mlir")
    for program in programs:
        Machine(program.spec).run(program, {}, numbers=False)
    return "to its end" if programs else "nothing"


def change_text(rng: Rng, text: str, words: Sequence[str] = WORDS) -> str:
    """One to three alterations: a word, a number, a line, a piece, or what is between two
    tokens."""
    for _ in range(int(rng.integers(1, 4))):
        lines = text.split("\n")
        at = int(rng.integers(len(lines)))
        kind = rng.integers(8)
        if kind < 3:
            lines[at] = _with_word(rng, lines[at], words[int(rng.integers(len(words)))])
        elif kind == 3:
            lines[at] = _with_number(rng, lines[at])
        elif kind == 4:
            del lines[at]
        elif kind == 5:
            lines.insert(int(rng.integers(len(lines) + 1)), lines[at])
        elif kind == 6:
            other = int(rng.integers(len(lines)))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            place = int(rng.integers(len(lines[at]) + 1))
            lines[at] = lines[at][:place] + chr(int(rng.integers(1, 400))) + lines[at][place:]
        text = "\n".join(lines)
    return text


def _with_word(rng: Rng, line: str, word: str) -> str:
    places = [match.span() for match in _WORD.finditer(line)]
    if not places:
        return word
    start, end = places[rng.integers(len(places))]
    return line[:start] + word + line[end:]


def _with_number(rng: Rng, line: str) -> str:
    places = [match.span() for match in re.finditer(r"\d+", line)]
    if not places:
        return line
    start, end = places[rng.integers(len(places))]
    near = int(line[start:end][:9]) + int(rng.integers(-2, 3))
    value = near if rng.random() < 0.5 else int(rng.integers(0, 1 << int(rng.integers(1, 34))))
    return f"{line[:start]}{value}{line[end:]}"
