"""Instructions through assembler and encoder and back are the same (``make roundtrips``).

    python -m tests.campaigns.roundtrips [--count 100000] [--seed 0]

The compiled programs of ``shuffles.py``, whole and instruction by instruction, and random
instructions with any legal values: ``asm -> bytes -> asm`` and ``bytes -> asm -> bytes``. Then
random words of 128 bits: what decodes encodes to the same word, and what does not is refused in one
line.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter

import numpy as np

from tests.campaigns.shuffles import programs
from tests.campaigns.tables import provenance, table
from zeroskip.accel_model.isa.assembly import assemble, disassemble
from zeroskip.accel_model.isa.encoding import decode, decode_all, encode, encode_all
from zeroskip.accel_model.isa.instructions import (
    BY_OPCODE,
    UNITS,
    WORD_BYTES,
    Instruction,
    IsaError,
    layout,
)
from zeroskip.accel_model.program.program import Program


def random_instruction(rng: random.Random) -> Instruction:
    """Any instruction; each field is any value or, as often, one of its extremes."""
    cls = rng.choice(list(BY_OPCODE.values()))
    others = sum(unit for unit in UNITS if unit != cls.unit)
    values = {}
    for name, bits in layout(cls):
        values[name] = rng.choice(
            (
                bits.low,
                bits.high,
                rng.randint(bits.low, bits.high),
                rng.randint(bits.low, bits.high),
            )
        )
    return cls(**{**values, "wait": values["wait"] & others, "post": values["post"] & others})


def survives(one: Instruction) -> bool:
    """Whether the instruction comes back from text and from bytes, both ways round."""
    text, word = disassemble([one]), encode(one)
    (again,) = assemble(text)
    return (
        again == one == decode(word)
        and encode(again) == word
        and (disassemble([decode(word)]) == text)
    )


def word_is_faithful(word: bytes) -> str:
    """'decoded' or 'refused'; 'wrong' if it changes on the way or is refused without a sentence."""
    try:
        one = decode(word)
    except IsaError as problem:
        text = str(problem)
        return "refused" if text and "\n" not in text else "wrong"
    return "decoded" if encode(one) == word and survives(one) else "wrong"


def random_word(rng: random.Random) -> bytes:
    """Any 128 bits, or those of an instruction with a few flipped."""
    if rng.random() < 0.3:
        return rng.randbytes(WORD_BYTES)
    value = int.from_bytes(encode(random_instruction(rng)), "little")
    for _ in range(rng.randint(0, 3)):
        value ^= 1 << rng.randrange(8 * WORD_BYTES)
    return value.to_bytes(WORD_BYTES, "little")


def program_survives(program: Program) -> bool:
    """Whether a whole program comes back from its text, its words and its file."""
    stream = decode_all(program.words)
    text = disassemble(stream)
    again = assemble(text)
    return (
        again == stream
        and np.array_equal(encode_all(again), program.words)
        and disassemble(decode_all(encode_all(again))) == text
        and Program.from_bytes(program.to_bytes()).to_bytes() == program.to_bytes()
    )


def main() -> None:
    """Exit 1 if anything came back different."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000, help="random instructions, and words")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begin, rng = time.monotonic(), random.Random(options.seed)
    made = [make()[0] for make in programs().values()]
    rows = {
        "compiled programs": Counter(
            "the same" if program_survives(each) else "wrong" for each in made
        ),
        "their instructions": Counter(
            "the same" if survives(one) else "wrong"
            for each in made
            for one in decode_all(each.words)
        ),
        "random instructions": Counter(
            "the same" if survives(random_instruction(rng)) else "wrong"
            for _ in range(options.count)
        ),
        "random words": Counter(word_is_faithful(random_word(rng)) for _ in range(options.count)),
    }
    columns = ("the same", "decoded", "refused", "wrong")
    print(
        table(
            ("what goes there and back", "cases", *columns),
            (
                (name, seen.total(), *(seen[column] for column in columns))
                for name, seen in rows.items()
            ),
        )
    )
    wrong = sum(seen["wrong"] for seen in rows.values())
    print(f"\n{provenance(f'seed {options.seed}', begin)}; {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
