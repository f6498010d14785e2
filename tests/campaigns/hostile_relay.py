"""Relay's text and its parameters altered: words of the text, its metadata, bytes of the arrays."""

from __future__ import annotations

import json
import re
from functools import cache

import numpy as np

from tests.campaigns.hostile_programs import change_json
from tests.relay_passes.relay_goldens import read
from tests.relay_passes.relay_goldens.arrays import drawn
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.relay.convert import relay_to_onnx
from zeroskip.relay_passes.relay.ndarray import read_params
from zeroskip.relay_passes.relay.parser import parse_function

Rng = np.random.Generator
Base = tuple[str, bytes | None]
NUMBERS = [0, 1, 0xFF, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]
WORDS = [
    *("0", "1", "-1", "3", "1000000", "9" * 50, "1f", "-1f", "nanf", "inff", "1e30f", "2i64"),
    *("%0", "%1", "%1.0", "%x", "%input", "%nothing", "@main", "meta", "[", "]", "(", ")", "{"),
    *("}", ",", ";", ":", "=", "->", "?", "let", "if", "fn", "def", "True", "None", '"NHWC"'),
    *('"HWIO"', '"OIHW"', '"int32"', '"float16"', '"half_pixel"', "int8", "uint8", "float32"),
    *("bool", "Tensor[(1, 4, 6, 8), float32]", "Tensor[(?), int8]", "[0, 0, 1, 1]", "[-5]", "[]"),
    *("axis=7", "axis=-1", "groups=3", "padding=[9, 9]", "strides=[0, 1]", "newshape=[-1, -1]"),
    *("/*", "*/", "#", "\x00", '"', "é"),
]
_TOKEN = re.compile(r'/\*.*?\*/|"[^"\n]*"|[%@]?[\w.\-]+|\s+|.', re.DOTALL)
_IMPORTED = 0.05  # of the cases go through the importer too


@cache
def bases() -> list[Base]:
    """Texts with their parameters: every single operator, quantized networks, one of floats."""
    found: list[Base] = [(read.text("operators", case), None) for case in read.cases("operators")]
    for case in read.cases("quantized"):
        found += [(read.text("quantized", case), read.params("quantized", case))] * 12
    return found


@cache
def operators() -> list[str]:
    """The names of operators in the texts."""
    return sorted(
        {name for text, _ in bases() for name in re.findall(r"\b([a-z]\w*(?:\.\w+)+)\(", text)}
    )


def warm() -> None:
    """Convert and import each kind of text once."""
    for text, params in (bases()[0], bases()[-1]):
        convert(text, params, imported=True)


def convert(text: str, params: bytes | None, *, imported: bool) -> str:
    """Convert, with drawn parameters where there are none, and import the result if asked to."""
    arrays = None
    if params is None:
        function, _ = parse_function(text)
        arrays = {
            param.name: drawn("case", param.name, param.type.shape, param.type.dtype)
            for param in function.params
            if param.name not in ("x", "y", "input") and int(np.prod(param.type.shape)) < 1 << 16
        }
    model = relay_to_onnx(text, params if params is not None else arrays)
    if imported:
        import_onnx(normalise_onnx(model))
        return "imported"
    return "converted"


def altered_relay(rng: Rng) -> str:
    """A text or its parameters altered in one to three places, then converted."""
    text, params = bases()[rng.integers(len(bases()))]
    if params is not None and rng.random() < 0.3:
        params = change_bytes(rng, params)
        read_params(params)
    else:
        for _ in range(int(rng.integers(1, 4))):
            text = change_text(rng, text)
    return convert(text, params, imported=bool(rng.random() < _IMPORTED))


def change_text(rng: Rng, text: str) -> str:
    """One word, line or number of the text, or of its metadata section, changed."""
    head, mark, section = text.partition("#[metadata]")
    if section and rng.random() < 0.3:
        return head + mark + change_section(rng, section)
    kind = int(rng.integers(5))
    if kind == 0:
        lines = head.splitlines(keepends=True)
        at, other = (int(rng.integers(len(lines))) for _ in range(2))
        lines[at : at + int(rng.integers(2))] = [lines[other]]
        return "".join(lines) + mark + section
    words = _TOKEN.findall(head)
    if kind == 1:
        at = int(rng.integers(len(words)))
        words[at] = "" if rng.random() < 0.5 else WORDS[rng.integers(len(WORDS))]
    elif kind == 2:
        ends = [at for at, word in enumerate(words) if word == ")"] or [0]
        extra = [word for word in WORDS if "=" in word[1:]]
        words.insert(ends[rng.integers(len(ends))], f", {extra[rng.integers(len(extra))]}")
    else:
        _replace_alike(rng, words)
    return "".join(words) + mark + section


def _replace_alike(rng: Rng, words: list[str]) -> None:
    """One word by another of its kind, so that the text still is one."""
    kinds = [_kind(word) for word in words]
    wanted = sorted({kind for kind in kinds if kind})
    if not wanted:
        return
    kind = wanted[rng.integers(len(wanted))]
    places = [at for at, own in enumerate(kinds) if own == kind]
    pool = [*{words[at]: None for at in places}, *(word for word in WORDS if _kind(word) == kind)]
    if kind == "operator":
        pool += operators()
    words[places[rng.integers(len(places))]] = pool[rng.integers(len(pool))]


def _kind(word: str) -> str:
    if re.fullmatch(r"-?\d[\d.]*(e[+-]?\d+)?(f\d*|i\d*)?", word):
        return "number"
    if word.startswith("%"):
        return "variable"
    if word.startswith('"'):
        return "text"
    if word in ("int8", "uint8", "int32", "int64", "float32", "float16", "bool"):
        return "type"
    if word == "relay.Constant":
        return ""
    return "operator" if re.fullmatch(r"[a-z]\w*(\.\w+)+", word) else ""


def change_section(rng: Rng, section: str) -> str:
    """The metadata as JSON with a value changed, or as text cut or with other bytes."""
    if rng.random() < 0.2:
        at = int(rng.integers(len(section)))
        return section[:at] + WORDS[rng.integers(len(WORDS))] * int(rng.integers(2))
    table = json.loads(section) if section.strip().endswith("}") else {}
    change_json(rng, table)
    return "\n" + json.dumps(table)


def change_bytes(rng: Rng, data: bytes) -> bytes:
    """A few bytes, a whole word, or the length changed."""
    at = int(rng.integers(len(data)))
    kind = int(rng.integers(4))
    if kind == 0:
        return data[:at]
    if kind == 1:
        word = NUMBERS[rng.integers(len(NUMBERS))].to_bytes(8, "little")
        at = min(at, 200) if rng.random() < 0.7 else at  # where names and the first array begin
        return data[:at] + word + data[at + 8 :]
    if kind == 2:
        return data[:at] + rng.bytes(3) + data[at + int(rng.integers(0, 9)) :]
    return data + rng.bytes(int(rng.integers(1, 9)))
