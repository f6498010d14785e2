"""Instructions through assembler and encoder and back are the same (``make roundtrips``).

    python -m tests.campaigns.roundtrips [--count 100000] [--seed 0]

Random instructions with any legal values, then every instruction of the programs of
``programs.py``: ``asm -> bytes -> asm`` and ``bytes -> asm -> bytes``. Then random words of 128
bits: what decodes encodes to the same word, and what does not is refused in one line.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter

from tests.campaigns.programs import samples
from zeroskip.accel_model.assembly import assemble, disassemble
from zeroskip.accel_model.encoding import decode, decode_all, encode
from zeroskip.accel_model.isa import BY_OPCODE, UNITS, WORD_BYTES, Instruction, IsaError, layout


def random_instruction(rng: random.Random) -> Instruction:
    """Any instruction; each field is any value or, as often, one of its extremes."""
    cls = rng.choice(list(BY_OPCODE.values()))
    others = sum(unit for unit in UNITS if unit != cls.unit)
    values = {}
    for name, bits in layout(cls):
        values[name] = rng.choice((bits.low, bits.high, rng.randint(bits.low, bits.high),
                                   rng.randint(bits.low, bits.high)))
    return cls(**{**values, "wait": values["wait"] & others, "post": values["post"] & others})


def survives(one: Instruction) -> bool:
    """Whether the instruction comes back from text and from bytes, both ways round."""
    text, word = disassemble([one]), encode(one)
    (again,) = assemble(text)
    return again == one == decode(word) and encode(again) == word and (
        disassemble([decode(word)]) == text)


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


def main() -> None:
    """Exit 1 if anything came back different."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="random instructions, and words")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begin, rng = time.monotonic(), random.Random(options.seed)
    rows = {"random instructions": Counter(
        "the same" if survives(random_instruction(rng)) else "wrong" for _ in range(options.count))}
    compiled = [one for each in samples() for one in decode_all(each.program.words)]
    rows["compiled instructions"] = Counter("the same" if survives(one) else "wrong"
                                            for one in compiled)
    rows["random words"] = Counter(word_is_faithful(random_word(rng))
                                   for _ in range(options.count))
    columns = ("the same", "decoded", "refused", "wrong")
    print(f"| | cases | {' | '.join(columns)} |\n| --- |{' ---: |' * (len(columns) + 1)}")
    for name, seen in rows.items():
        cells = (seen.total(), *(seen[column] for column in columns))
        print(f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} |")
    wrong = sum(seen["wrong"] for seen in rows.values())
    print(f"\nseed {options.seed}, {time.monotonic() - begin:.0f} s; {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
