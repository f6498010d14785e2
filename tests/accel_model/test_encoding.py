"""Instructions to words and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroskip.accel_model.isa.encoding import decode, decode_all, encode, encode_all
from zeroskip.accel_model.isa.instructions import (
    BY_OPCODE,
    UNITS,
    AvgPool,
    Conv,
    Extent,
    Input,
    Instruction,
    IsaError,
    MaxPool,
    Unit,
    instruction,
    layout,
    u,
)


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    """Any instruction with any legal values, the extremes often."""
    cls = draw(st.sampled_from(list(BY_OPCODE.values())))
    others = sum(unit for unit in UNITS if unit != cls.unit)
    values = {name: draw(st.integers(bits.low, bits.high)) for name, bits in layout(cls)}
    return cls(**{**values, "wait": values["wait"] & others, "post": values["post"] & others})


@settings(max_examples=300)
@given(one=instructions())
def test_round_trip(one: Instruction) -> None:
    word = encode(one)
    assert len(word) == 16
    assert decode(word) == one


@pytest.mark.parametrize("cls", BY_OPCODE.values())
def test_every_field_has_its_own_bits(cls: type[Instruction]) -> None:
    least = {name: bits.low if not bits.signed else 0 for name, bits in layout(cls)}
    base = int.from_bytes(encode(cls(**least)), "little")
    assert base & 63 == cls.opcode
    at = 6
    for name, bits in layout(cls):
        if name not in ("wait", "post"):
            value = min(bits.high, least[name] + 1)
            word = int.from_bytes(encode(cls(**{**least, name: value})), "little")
            assert (word ^ base) >> at << at == word ^ base
            assert (word ^ base) < 1 << at + bits.width
            assert word != base
        at += bits.width


@settings(max_examples=300)
@given(word=st.binary(min_size=16, max_size=16), opcode=st.sampled_from(sorted(BY_OPCODE)))
def test_any_word_is_an_instruction_or_refused(word: bytes, opcode: int) -> None:
    value = int.from_bytes(word, "little") >> 6 << 6 | opcode
    word = value.to_bytes(16, "little")
    try:
        one = decode(word)
    except IsaError:
        return
    assert encode(one) == word


def test_word_is_as_the_manual_says() -> None:
    one = Conv(
        wait=Unit.LOAD,
        post=Unit.LOAD | Unit.STORE,
        wgt=1,
        par=2,
        acc=3,
        filters=4,
        channels=5,
        mode=2,
        first=1,
        last=0,
        residual=1,
    )
    expected = (
        16
        | 1 << 6
        | 5 << 9
        | 1 << 12
        | 2 << 32
        | 3 << 46
        | 4 << 64
        | 5 << 77
        | 2 << 93
        | 1 << 97
        | 1 << 99
    )
    assert int.from_bytes(encode(one), "little") == expected


def test_negative_fields_keep_their_sign() -> None:
    for one in (
        Input(act=0, row=1, block=1, zero_point=-128, unsigned=0),
        Extent(height=1, width=1, top=-4096, left=-1),
    ):
        assert decode(encode(one)) == one


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"channels": 0}, r"maxpool channels=0 is outside 1\.\.65535"),
        ({"channels": 65536}, r"maxpool channels=65536 is outside 1\.\.65535"),
        ({"channels": 1, "wait": 8}, r"maxpool wait=8 is outside 0\.\.7"),
        ({"channels": 1, "wait": Unit.COMPUTE}, "maxpool cannot wait for or post to its own unit"),
        ({"channels": 1, "post": Unit.COMPUTE}, "maxpool cannot wait for or post to its own unit"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, int], sentence: str) -> None:
    with pytest.raises(IsaError, match=sentence):
        MaxPool(**values)


def test_words_that_are_no_instruction_are_refused() -> None:
    with pytest.raises(IsaError, match="no instruction has opcode 63"):
        decode(b"\xff" * 16)
    with pytest.raises(IsaError, match="maxpool has bits set beyond its fields"):
        decode((18 | 1 << 12 | 1 << 127).to_bytes(16, "little"))
    good = encode(AvgPool(channels=1, par=0))
    words = np.frombuffer(good + bytes(16), np.uint8).reshape(-1, 16)
    with pytest.raises(IsaError, match="pc 1: no instruction has opcode 0"):
        decode_all(words)


@settings(max_examples=50)
@given(stream=st.lists(instructions(), max_size=8))
def test_streams(stream: list[Instruction]) -> None:
    words = encode_all(stream)
    assert words.shape == (len(stream), 16)
    assert decode_all(words) == stream


def test_declarations_that_collide_or_overflow_are_refused() -> None:
    with pytest.raises(IsaError, match="opcode 18 is declared twice"):

        @instruction(18, Unit.COMPUTE)
        class Again(Instruction):
            """A second instruction of the same number."""

    with pytest.raises(IsaError, match="toolarge does not fit in 128 bits"):

        @instruction(60, Unit.COMPUTE)
        class TooLarge(Instruction):
            """A field more than a word has room for."""

            field: int = u(117, "117 bits behind the 12 that all have")

    assert 60 not in BY_OPCODE
