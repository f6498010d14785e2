"""Whole programs written by hand: assembly with the memory that it works on.

Lines are instructions (``assembly.py``) or directives; ``;`` starts a comment. Addresses are DRAM
bytes. A tensor's shape is channels x rows x columns (or channels x positions), without the 1.

==========================================  ===================================================
``.target sparse256``                       the accelerator: a name, or the path of a TOML file
``.input x int8 16x4x4 0x400``              a tensor that the user gives, and where it lies: int8,
                                            uint8, or, if all tensors are, int16
``.output y uint8 2x4x4 0x800``             a tensor that the program leaves behind
``.u8 0x40 1 2 0xff``                       bytes of the image, from an address on
``.i8`` ``.u16`` ``.i32`` ``.u32``          the same in other types, little endian
==========================================  ===================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.isa.assembly import parse_integer, parse_line
from zeroskip.accel_model.isa.encoding import encode_all
from zeroskip.accel_model.isa.instructions import Instruction
from zeroskip.accel_model.program.program import (
    MAX_DRAM_BYTES,
    VALUE_TYPES,
    Program,
    ProgramError,
    check_values,
)
from zeroskip.accel_model.program.tensor_layout import Tensor
from zeroskip.accel_model.spec import AccelSpec, load_spec

_DATA = {".u8": "<u1", ".i8": "<i1", ".u16": "<u2", ".i32": "<i4", ".u32": "<u4"}
_TENSORS = (".input", ".output")
_BITS = {dtype: bits for bits, dtypes in VALUE_TYPES.items() for dtype in dtypes}
MAX_IMAGE_BYTES = 1 << 24  # written by hand


class SourceError(ZeroskipError):
    """A source that is no program; names the line."""


@dataclass
class _Source:
    spec: AccelSpec | None = None
    stream: list[Instruction] = field(default_factory=list)
    data: list[tuple[int, bytes]] = field(default_factory=list)
    tensors: dict[str, list[Tensor]] = field(
        default_factory=lambda: {kind: [] for kind in _TENSORS}
    )

    def read(self, words: list[str]) -> None:
        if not words[0].startswith("."):
            self.stream.append(parse_line(words))
        elif words[0] == ".target" and len(words) == 2:
            if self.spec is not None:
                raise SourceError(".target is given twice")
            self.spec = load_spec(words[1])
        elif words[0] in _TENSORS and len(words) == 5:
            self.tensors[words[0]].append(_tensor(*words[1:]))
        elif words[0] in _DATA and len(words) > 2:
            self.data.append((_address(words[1]), _values(words[0], words[2:])))
        else:
            known = ", ".join(
                [
                    ".target NAME",
                    *(f"{kind} NAME TYPE CxHxW ADDRESS" for kind in _TENSORS),
                    *(f"{kind} ADDRESS VALUE ..." for kind in _DATA),
                ]
            )
            raise SourceError(f"{' '.join(words[:3])!r} is not a directive; they are {known}")

    def image(self) -> np.ndarray:
        """uint8: the bytes that were given, 0 between them."""
        end = max((at + len(raw) for at, raw in self.data), default=0)
        if end > MAX_IMAGE_BYTES:
            raise SourceError(
                f"the image ends at byte {end}; keep constants below {MAX_IMAGE_BYTES}"
            )
        image = np.zeros(end, np.uint8)
        for at, raw in self.data:
            image[at : at + len(raw)] = np.frombuffer(raw, np.uint8)
        return image


def read_source(text: str, name: str) -> Program:
    """The program of a source; ``name`` names it, in errors too.

    SourceError says what is wrong in which line.
    """
    source = _Source()
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split(";", 1)[0].split()
        try:
            if words:
                source.read(words)
        except ZeroskipError as problem:
            raise SourceError(f"{name} line {number}: {problem}") from None
    if source.spec is None:
        raise SourceError(f"{name}: names no accelerator; begin with .target dense256")
    try:
        image = source.image()
    except SourceError as problem:
        raise SourceError(f"{name}: {problem}") from None
    wide = source.spec.storage.activation_bytes
    found = {
        kind: tuple(replace(each, element_bytes=wide) for each in source.tensors[kind])
        for kind in _TENSORS
    }
    tensors = [each for kind in _TENSORS for each in found[kind]]
    bits = max((_BITS[each.dtype] for each in tensors), default=Program.activation_bits)
    try:
        check_values(bits, source.spec, tensors)
    except ProgramError as problem:
        raise SourceError(f"{name}: {problem}") from None
    end = max([len(image), *(each.address + each.nbytes for each in tensors)])
    for each in tensors:
        if each.address < len(image):
            raise SourceError(
                f"{name}: tensor '{each.name}' begins at {each.address:#x}, within "
                f"the constants, which end at {len(image):#x}"
            )
        if each.address + each.nbytes > MAX_DRAM_BYTES:
            raise SourceError(
                f"{name}: tensor '{each.name}' ends beyond the {MAX_DRAM_BYTES} bytes of DRAM"
            )
    count = len(source.stream)
    return Program(
        name=name,
        spec=source.spec,
        words=encode_all(source.stream),
        image=image,
        dram_bytes=end,
        inputs=found[".input"],
        outputs=found[".output"],
        layers=(),
        tiles=(),
        layer_of=np.full(count, -1, np.int32),
        tile_of=np.full(count, -1, np.int32),
        activation_bits=bits,
    )


def _tensor(name: str, dtype: str, shape: str, address: str) -> Tensor:
    if dtype not in _BITS:
        raise SourceError(f"tensor '{name}' is {dtype}; it may be {' or '.join(_BITS)}")
    sizes = [_integer(size) for size in shape.split("x")]
    if len(sizes) < 2 or min(sizes) < 1:
        raise SourceError(
            f"tensor '{name}' has shape {shape}; write channels x rows x columns, such as 16x4x4"
        )
    made = Tensor(name, _address(address), sizes[0], tuple(sizes[1:]), dtype)
    if made.address + made.nbytes > MAX_DRAM_BYTES:
        raise SourceError(f"tensor '{name}' ends beyond the {MAX_DRAM_BYTES} bytes of DRAM")
    return made


def _address(word: str) -> int:
    value = _integer(word)
    if not 0 <= value < MAX_DRAM_BYTES:
        raise SourceError(f"address {word} is outside 0..{MAX_DRAM_BYTES - 1:#x}")
    return value


def _values(kind: str, words: list[str]) -> bytes:
    dtype = np.dtype(_DATA[kind])
    limits = np.iinfo(dtype)
    values = [_integer(word) for word in words]
    for value in values:
        if not limits.min <= value <= limits.max:
            raise SourceError(f"{value} is outside {limits.min}..{limits.max}, what {kind} holds")
    return np.array(values, dtype).tobytes()


def _integer(word: str) -> int:
    try:
        return parse_integer(word)
    except ValueError:
        raise SourceError(f"{word!r} is not an integer") from None
