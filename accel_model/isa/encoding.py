"""Instructions to 128-bit words and back, derived from the declarations in ``instructions.py``."""

from __future__ import annotations

from collections.abc import Iterable

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


def decode(word: bytes) -> Instruction:
    """The instruction of 16 bytes; IsaError for an unknown opcode or bits that mean nothing."""
    value = int.from_bytes(word, "little")
    cls = BY_OPCODE.get(value & 63)
    if cls is None:
        raise IsaError(f"no instruction has opcode {value & 63}")
    value >>= 6
    found: dict[str, int] = {}
    for name, bits in layout(cls):
        raw = value & ((1 << bits.width) - 1)
        found[name] = raw - (1 << bits.width) if bits.signed and raw >> (bits.width - 1) else raw
        value >>= bits.width
    if value:
        raise IsaError(f"{cls.mnemonic} has bits set beyond its fields")
    return cls(**found)


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
