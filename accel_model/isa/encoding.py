"""Instructions to 128-bit words and back, derived from the declarations in ``instructions.py``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa.instructions import (
    BY_OPCODE,
    WORD_BYTES,
    Instruction,
    IsaError,
    layout,
)


def encode(one: Instruction) -> bytes:
    """The 16 bytes of an instruction."""
    word, at = one.opcode, 6
    for name, bits in layout(type(one)):
        word |= (getattr(one, name) & ((1 << bits.width) - 1)) << at
        at += bits.width
    return word.to_bytes(WORD_BYTES, "little")


@cache
def _places(opcode: int) -> tuple[tuple[tuple[str, int, int, int], ...], int]:
    """(name, first bit, mask, sign bit or 0) of each field, and the bits of all with the opcode."""
    found, at = [], 6
    for name, bits in layout(BY_OPCODE[opcode]):
        found.append((name, at, (1 << bits.width) - 1, bits.signed << (bits.width - 1)))
        at += bits.width
    return tuple(found), at


@lru_cache(maxsize=1 << 15)  # programs repeat many of their words, and are decoded more than once
def decode(word: bytes) -> Instruction:
    """The instruction of 16 bytes; IsaError for an unknown opcode or bits that mean nothing."""
    value = int.from_bytes(word, "little")
    cls = BY_OPCODE.get(value & 63)
    if cls is None:
        raise IsaError(f"no instruction has opcode {value & 63}")
    places, end = _places(cls.opcode)
    if value >> end:
        raise IsaError(f"{cls.mnemonic} has bits set beyond its fields")
    return cls(**{name: (((value >> at) & mask) ^ sign) - sign for name, at, mask, sign in places})


def encode_all(stream: Iterable[Instruction]) -> npt.NDArray[np.uint8]:
    """uint8 [n, 16]."""
    return np.frombuffer(b"".join(map(encode, stream)), np.uint8).reshape(-1, WORD_BYTES)


def decode_all(words: npt.NDArray[np.uint8]) -> list[Instruction]:
    """The instructions of uint8 [n, 16]; IsaError names the first pc that is not one."""
    raw = words.tobytes()
    stream = []
    for pc in range(len(raw) // WORD_BYTES):
        try:
            stream.append(decode(raw[pc * WORD_BYTES : (pc + 1) * WORD_BYTES]))
        except IsaError as problem:
            raise IsaError(f"pc {pc}: {problem}") from None
    return stream
