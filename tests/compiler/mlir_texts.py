"""A program as MLIR text, and texts with one mistake each, which MLIR and our reader must refuse.

What is altered is found in the instruction set's declarations: no field is named here.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.campaigns.programs import Sample, sample
from zeroskip.accel_model.isa.instructions import BY_MNEMONIC, Bits
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.mlir.dialect import LISTED, fields_of, integer_type
from zeroskip.compiler.mlir.program_text import programs_text

ROOT = Path(__file__).parent.parent.parent
IRDL = ROOT / "docs" / "zeroskip.irdl.mlir"
_OPERATION = re.compile(r'^  (?P<results>%\w+(?:, %\w+)* = )?"zeroskip\.(?P<name>\w+)"')


@cache
def program() -> Sample:
    return sample("residual", load_spec("pattern256"), "residual", 0)


@cache
def good() -> str:
    return programs_text([program().program])


def operations(lines: list[str]) -> list[tuple[int, str]]:
    """(line, mnemonic) of every operation."""
    found = [(number, _OPERATION.match(line)) for number, line in enumerate(lines)]
    return [(number, match["name"]) for number, match in found if match]


def _with_field(
    wanted: Callable[[Bits], bool], value: Callable[[Bits], str], lines: list[str]
) -> list[str]:
    """The lines with another value for the first field whose bits are wanted."""
    for number, mnemonic in operations(lines):
        for name, bits in fields_of(BY_MNEMONIC[mnemonic]):
            if wanted(bits):
                held = re.compile(rf"\b{name} = -?\d+ : {integer_type(bits)}\b")
                assert held.search(lines[number])
                lines[number] = held.sub(f"{name} = {value(bits)}", lines[number], count=1)
                return lines
    raise AssertionError("no instruction of the program has such a field")


def _type_holds_more(bits: Bits) -> bool:
    return not bits.signed and bits.high < (1 << bits.width) - 1


def _beyond_the_list(lines: list[str]) -> list[str]:
    return _with_field(
        lambda bits: bits.high - bits.low < LISTED and _type_holds_more(bits),
        lambda bits: f"{bits.high + 1} : {integer_type(bits)}",
        lines,
    )


def _beyond_the_type(lines: list[str]) -> list[str]:
    return _with_field(
        lambda bits: not bits.signed,
        lambda bits: f"{1 << bits.width} : {integer_type(bits)}",
        lines,
    )


def _a_bit_of_another_type(lines: list[str]) -> list[str]:
    return _with_field(lambda bits: bits.width == 1, lambda bits: f"{bits.high} : i1", lines)


def _without_a_field(lines: list[str]) -> list[str]:
    number, mnemonic = operations(lines)[0]
    name, _ = fields_of(BY_MNEMONIC[mnemonic])[0]
    lines[number] = re.sub(rf"\b{name} = -?\d+ : \w+, ", "", lines[number])
    return lines


def _unknown(lines: list[str]) -> list[str]:
    number, mnemonic = operations(lines)[0]
    lines[number] = lines[number].replace(f"zeroskip.{mnemonic}", "zeroskip.nothing")
    return lines


def _takes(line: str) -> list[str]:
    match = re.search(r'"\((%\w+(?:, %\w+)*)\)', line)
    return match[1].split(", ") if match else []


def _wait_before_its_post(lines: list[str]) -> list[str]:
    for number, _ in operations(lines):
        for name in _takes(lines[number]):
            maker = next(
                at for at, line in enumerate(lines) if re.match(rf"  .*{name}\b.* = ", line)
            )
            lines.insert(maker, lines.pop(number))
            return lines
    raise AssertionError("nothing waits")


def _token_of_another_queue(lines: list[str]) -> list[str]:
    """An instruction takes a token that goes to another unit than its own."""
    posted: dict[str, str] = {}
    for number, _ in operations(lines):
        takes, line = _takes(lines[number]), lines[number]
        wanted = re.search(r": \((!zeroskip\.\w+)", line)
        for name, kind in posted.items():
            if takes and wanted and kind.rsplit("_", 1)[1] != wanted[1].rsplit("_", 1)[1]:
                lines[number] = line.replace(takes[0], name, 1).replace(
                    f": ({wanted[1]}", f": ({kind}", 1
                )
                return lines
        kinds = re.findall(r"!zeroskip\.\w+", line.rpartition("->")[2])
        posted |= dict(zip(re.findall(r"%\w+", line.partition(' = "')[0]), kinds, strict=False))
    raise AssertionError("no instruction could take another unit's token")


NEGATIVES: dict[str, Callable[[list[str]], list[str]]] = {
    "a value beyond the list of a field": _beyond_the_list,
    "a value beyond the type of a field": _beyond_the_type,
    "a bit of another type": _a_bit_of_another_type,
    "a field is missing": _without_a_field,
    "an unknown operation": _unknown,
    "a wait before its post": _wait_before_its_post,
    "a token of another queue": _token_of_another_queue,
}


def bad(name: str) -> str:
    altered = "\n".join(NEGATIVES[name](good().split("\n")))
    assert altered != good()
    return altered


def mlir_opt(text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What MLIR's own tool says of a text."""
    spec = importlib.util.find_spec("mlir")
    assert spec is not None, "mlir-opt comes with: pip install 'zeroskip[oracle]'"
    (folder,) = spec.submodule_search_locations or ("",)
    return subprocess.run(
        [f"{folder}/bin/mlir-opt", *options],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
