"""Assembly text: every instruction comes back, every mistake is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.accel_model.test_encoding import instructions
from zeroskip.accel_model.isa.assembly import assemble, disassemble, line, manual
from zeroskip.accel_model.isa.instructions import (
    BY_OPCODE,
    Conv,
    Instruction,
    IsaError,
    Operand,
    Unit,
    layout,
)

GOOD = "maxpool channels=7"


@settings(max_examples=300)
@given(stream=st.lists(instructions(), max_size=6))
def test_round_trip(stream: list[Instruction]) -> None:
    text = disassemble(stream)
    assert assemble(text) == stream
    assert len(text.splitlines()) == len(stream)


def test_text_of_an_instruction() -> None:
    one = Conv(
        wait=Unit.LOAD,
        post=Unit.STORE | Unit.LOAD,
        wgt=0,
        par=1,
        acc=2,
        filters=3,
        channels=4,
        mode=0,
        first=1,
        last=1,
        residual=0,
    )
    assert line(one) == (
        "conv wgt=0 par=1 acc=2 filters=3 channels=4 mode=0 first=1 last=1 "
        "residual=0 wait=load post=load|store"
    )
    text = (
        "\n  ; a comment = here\n"
        "conv post=store|load wait=load residual=0 last=1 first=0b1 mode=0 channels=0x4 "
        "filters=3 acc=2 par=+1 wgt=0 ; conv wgt=9\r\n"
    )
    assert assemble(text) == [one]


def test_defaults_may_be_left_out_or_said() -> None:
    short = "operand act=1 row=2 block=3 zero_point=-4 unsigned=0 par=5"
    (one,) = assemble(short)
    assert isinstance(one, Operand)
    assert (one.mid_low, one.mid_high, one.wait) == (-128, 127, 0)
    assert line(one) == short
    assert assemble(f"{short} mid_low=-128 wait=none post=none") == [one]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("jump to=7", "'jump' is not an instruction; they are loadshape, load,"),
        ("MaxPool channels=7", "'MaxPool' is not an instruction"),
        ("maxpool", "maxpool needs a value for channels"),
        ("maxpool channels", "maxpool 'channels' is not of the form field=value"),
        ("maxpool channels=", "maxpool channels= is not an integer"),
        ("maxpool channels=1_0", "maxpool channels=1_0 is not an integer"),
        ("maxpool channels=1.5", "is not an integer"),
        ("maxpool channels=" + "9" * 5000, "is not an integer"),
        ("maxpool channels=0", r"maxpool channels=0 is outside 1\.\.65535"),
        ("maxpool channels=-1", "is outside"),
        ("maxpool chanels=1", "maxpool has no field 'chanels'; it has channels, wait, post"),
        ("maxpool channels=1 channels=1", "maxpool channels is given twice"),
        ("maxpool channels=1 opcode=3", "maxpool has no field 'opcode'"),
        ("maxpool channels=1 wait=5", "'5' is not a unit; they are load, compute, store"),
        ("maxpool channels=1 wait=load|", "'' is not a unit"),
        ("maxpool channels=1 wait=compute", "maxpool cannot wait for or post to its own unit"),
    ],
)
def test_mistakes_are_named_with_their_line(wrong: str, sentence: str) -> None:
    with pytest.raises(IsaError, match=f"^line 3: .*{sentence}"):
        assemble(f"{GOOD}\n\n{wrong}\n{GOOD}\n")


@settings(max_examples=200)
@given(text=st.text(alphabet="maxpool channels=7;|wait\t0b \x0c\u2028²", max_size=40))
def test_any_text_is_assembled_or_refused(text: str) -> None:
    try:
        found = assemble(f"{GOOD}\n{text}")
    except IsaError as problem:
        refusal = str(problem)
    else:
        assert found[0] == assemble(GOOD)[0]
        return
    assert refusal.startswith("line 2: ")


def test_manual_tells_all_there_is() -> None:
    text = manual()
    for cls in BY_OPCODE.values():
        section = text.split(f"### {cls.mnemonic} (opcode {cls.opcode})", 1)[1].split("###")[0]
        at = 6
        for name, bits in layout(cls):
            assert f"| {at}..{at + bits.width - 1} | {name} |" in section or (
                bits.width == 1 and f"| {at} | {name} |" in section
            )
            assert bits.doc in section
            at += bits.width
    assert "``" not in text
    assert "=====" not in text


def test_manual_in_the_repository_is_current() -> None:
    file = Path(__file__).parents[2] / "docs" / "ISA.md"
    assert file.read_text(encoding="utf-8") == manual(), (
        'write it again: python -c "from zeroskip.accel_model.isa.assembly import manual; '
        'print(manual(), end=str())" > docs/ISA.md'
    )
