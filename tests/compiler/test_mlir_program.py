"""Programs as MLIR text and back: the same bytes, and every mistake is named."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.campaigns.programs import TARGETS, sample, tiny
from tests.compiler.mlir_texts import IRDL, NEGATIVES, ROOT, bad, good, program
from zeroskip.accel_model.isa.encoding import encode_all
from zeroskip.accel_model.isa.instructions import BY_MNEMONIC, Instruction, Unit
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.mlir.attributes import attribute, dense, string, symbol
from zeroskip.compiler.mlir.dialect import fields_of, irdl
from zeroskip.compiler.mlir.program_reader import load_programs, read_programs
from zeroskip.compiler.mlir.program_text import MlirError, programs_text
from zeroskip.relay_passes.tosa import mlir_text


@pytest.mark.diagonal
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("network", ["residual", "depthwise", "joined"])
def test_a_program_comes_back_with_the_same_bytes(network: str, target: str) -> None:
    spec = tiny(load_spec(target)) if network == "residual" else load_spec(target)
    made = sample(network, spec, network, 0).program
    (back,) = read_programs(programs_text([made]), "text")
    assert back.to_bytes() == made.to_bytes()


def test_several_programs_come_back_in_their_order() -> None:
    one = program().program
    named = [replace(one, name=name) for name in ("b", "a", 'it\'s "7"\n\\é')]
    assert [back.to_bytes() for back in read_programs(programs_text(named), "text")] == [
        of.to_bytes() for of in named
    ]


def test_writing_needs_no_package() -> None:
    code = (
        "import sys; sys.modules['xdsl'] = None\n"
        "from tests.compiler.mlir_texts import good\n"
        "assert 'zeroskip.conv' in good()\n"
        "from zeroskip.compiler.mlir.program_reader import read_programs\n"
        "try: read_programs(good(), 'x.mlir')\n"
        "except Exception as problem: print(type(problem).__name__, problem)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.startswith("MlirError x.mlir: reading MLIR needs xDSL")
    assert "pip install 'zeroskip[mlir]'" in done.stdout


def test_the_dialect_is_printed_from_the_declarations() -> None:
    assert IRDL.read_text(encoding="utf-8") == irdl(), "run make docs"
    assert set(re.findall(r"irdl\.operation @(\w+)", irdl())) == set(BY_MNEMONIC)


@pytest.mark.parametrize("name", NEGATIVES)
def test_mistakes_are_refused(name: str) -> None:
    with pytest.raises(MlirError, match=r"^bad\.mlir(: function @net: instruction \d+| line \d+)"):
        read_programs(bad(name), "bad.mlir")


def least(unit: Unit, **tokens: int) -> Instruction:
    """An instruction of a unit with the least value in every field."""
    cls = next(cls for cls in BY_MNEMONIC.values() if cls.unit == unit)
    return cls(**{name: bits.low for name, bits in fields_of(cls)}, **tokens)


def with_stream(stream: list[Instruction]) -> Program:
    none = np.full(len(stream), -1, np.int32)
    return replace(program().program, words=encode_all(stream), layer_of=none, tile_of=none)


def test_a_token_must_be_its_queues_oldest() -> None:
    """SSA alone would let two waits change places; the machine's queues would not notice."""
    posts, waits = least(Unit.LOAD, post=Unit.COMPUTE), least(Unit.COMPUTE, wait=Unit.LOAD)
    text = programs_text([with_stream([posts, posts, waits, waits])])
    assert len(read_programs(text, "text")) == 1
    crossed = text.replace("(%to_compute_0)", "(%other)").replace("_1)", "_0)")
    with pytest.raises(
        MlirError, match=r"instruction 2.*token 1 of load_to_compute.*turn of token 0"
    ):
        read_programs(crossed.replace("%other", "%to_compute_1"), "text")


def test_a_token_is_taken_once() -> None:
    posts, waits = least(Unit.LOAD, post=Unit.COMPUTE), least(Unit.COMPUTE, wait=Unit.LOAD)
    text = programs_text([with_stream([posts, posts, waits, waits])])
    with pytest.raises(
        MlirError, match=r"instruction 3.*token 0 of load_to_compute.*turn of token 1"
    ):
        read_programs(text.replace("(%to_compute_1)", "(%to_compute_0)"), "text")


def test_a_program_that_waits_for_what_comes_later_has_no_text() -> None:
    posts, waits = least(Unit.LOAD, post=Unit.COMPUTE), least(Unit.COMPUTE, wait=Unit.LOAD)
    first = with_stream([waits, posts])
    with pytest.raises(MlirError, match=r"program 'net' pc 0: waits for a token of \w+ that no"):
        programs_text([first])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no function"),
        ("%", "line 1: "),
        ("module {", "line 1: "),
        ("module {}\n}", "line 2: "),
        ('module {}\n"' + "a" * 100, "line 2: holds a string that has no end"),
        ('"' + "a" * 100 + '\\q"() : () -> ()', "line 1: holds a string that has no end"),
        ('"a.b"() : () -> ()', "holds a.b; a program is a func.func"),
        ("func.func @f() { return }", "function @f: a program has the attributes"),
        ("func.func private @f()", "function @f: a program is one block"),
        ("func.func @f(%x: i32) { return }", "one block without arguments"),
        ('func.func @f() -> i32 { %0 = "a.b"() : () -> i32 return %0 : i32 }', "ends with"),
        (f"func.func @f() {{ {'(' * 5000}", "line 1"),
        ("func.func @f() attributes {a = " + "[" * 3000, "is not MLIR that can be read"),
        (
            "func.func @f() attributes {a = dense<0> : tensor<99999x99999xi8>} { return }",
            "more than",
        ),
        ("func.func @f() attributes {a = dense<0> : tensor<99999999999xi8>} { return }", "an axis"),
    ],
)
def test_other_texts_are_refused(text: str, words: str) -> None:
    with pytest.raises(MlirError) as told:
        read_programs(text, "bad.mlir")
    assert str(told.value).startswith("bad.mlir")
    assert words in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"format" = ', '"format" = 9', "the program has format 9"),
        ('"dram_bytes" = ', '"dram_bytes" = -', "parts are not usable (dram_bytes"),
        ('"places" = [', '"places" = [i8, ', "holds i8, which is no text or number"),
        ("zeroskip.image = dense", "zeroskip.images = dense", "has the attributes zeroskip.image"),
        ("xui8>", "xi8>", "zeroskip.image is not a dense tensor of ui8"),
        ("zeroskip.layer = 0 : i32", "zeroskip.layer = 0 : i64", "not of type i32"),
        ("zeroskip.layer = 0 : i32", "speed = 0 : i32", "has no field 'speed'"),
        ("Sizes = array<i32: 0, 0>", "Sizes = array<i32: 0, 1>", "what its tokens say"),
    ],
)
def test_what_is_no_instruction_is_checked_too(old: str, new: str, words: str) -> None:
    with pytest.raises(MlirError, match=r"^x\.mlir: function @net: ") as told:
        read_programs(good().replace(old, new, 1), "x.mlir")
    assert words in str(told.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.mlir").write_bytes(b"\xff")
    for name in ("x.mlir", "none.mlir"):
        with pytest.raises(MlirError, match=rf"{name}: cannot be read"):
            load_programs(tmp_path / name)


def test_a_text_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlir_text, "MAX_TEXT", 5)
    with pytest.raises(MlirError, match="has 6 characters, more than 5"):
        read_programs("module", "x")


def test_attributes_are_what_mlir_reads() -> None:
    assert attribute({"a": [1, -2.5, 1e-05, True], "b": "x"}) == (
        '{"a" = [1, -2.5, 1.0e-05, true], "b" = "x"}'
    )
    assert string('a"\\\né') == r'"a\22\5C\0A\C3\A9"'
    assert (symbol("conv_1"), symbol("a b")) == ("@conv_1", '@"a b"')
    assert dense(np.array([[1, -1]], np.int16)) == 'dense<"0x0100FFFF"> : tensor<1x2xi16>'
    assert dense(np.empty((0, 3), np.int8)) == "dense<> : tensor<0x3xi8>"
    with pytest.raises(TypeError, match="object"):
        attribute([object()])


def test_the_tables_of_a_program_hold_what_attributes_can_say() -> None:
    head, _ = program().program.parts()
    assert isinstance(Program.from_parts(*program().program.parts()), Program)
    attribute(head)
