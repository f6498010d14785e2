"""Uncompressed zip files of raw arrays: written without a second copy of what they hold, and read
without believing what they say of themselves."""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from tokenize import TokenError
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Chunks: TypeAlias = Sequence[bytes | memoryview]  # the bytes of a member, one piece after another

PIECE = 1 << 20  # bytes that are read at once
_HEADER = 1 << 14  # bytes in which the header of an .npy file ends
_DATE = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal contents are equal files
_DAY = 0 << 9 | 1 << 5 | 1  # the same as it is stored: years since 1980, month, day
_UNIX, _MODE = 3, 0o600 << 16  # the system and the rights that members are said to have
_ENTRY = struct.Struct("<4s4B4H3L5H2L")  # of the directory; the member's name follows
_END = struct.Struct("<4s4H2LH")  # of the directory: disks, members, size and place, a comment
_LOCAL, _LENGTHS = 30, struct.Struct("<2H")  # bytes before a member's name; of name and of more
_PLAIN, _FEW = 2_000_000_000, 1 << 16  # bytes, members: a larger zip has other headers


def npy_chunks(array: npt.NDArray[Any]) -> Chunks:
    """An array as the parts of an .npy file: its header, and its own memory."""
    flat = np.ascontiguousarray(array).reshape(np.shape(array))
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(flat))
    return head.getvalue(), flat.reshape(-1).view(np.uint8).data


def array_of(parts: Chunks) -> npt.NDArray[Any]:
    """The array whose ``npy_chunks`` these are: no copy."""
    head, held = parts
    stream = io.BytesIO(head)
    np.lib.format.read_magic(stream)
    shape, _fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    return np.frombuffer(held, dtype).reshape(shape)


def digest(parts: Iterable[bytes | memoryview]) -> str:
    """SHA-256 of the parts together, in hex."""
    made = hashlib.sha256()
    for part in parts:
        made.update(part)
    return made.hexdigest()


def seal(value: Any) -> str:
    """SHA-256 of a value as JSON, in hex: that nobody has changed it by hand."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def pieces(box: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's bytes, piece by piece: it may be as large as all the weights."""
    with box.open(info) as member:
        while piece := member.read(PIECE):
            yield piece


def write_zip(out: Any, members: Mapping[str, Chunks]) -> None:
    """A zip of these members in this order; ``out`` is a file open for writing bytes."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as box:
        for name, parts in members.items():
            info = _info(name, sum(len(part) for part in parts))
            with box.open(info, "w") as member:
                for part in parts:
                    member.write(part)


def _info(name: str, size: int) -> zipfile.ZipInfo:
    """What is said of a member."""
    info = zipfile.ZipInfo(name, _DATE)
    info.file_size = info.compress_size = size
    info.create_system, info.external_attr = _UNIX, _MODE
    return info


def read_zip(box: zipfile.ZipFile, limit: int) -> dict[str, zipfile.ZipInfo]:
    """The members of a zip that ``write_zip`` may have made; ValueError for any other.

    limit: bytes of the file. Members are stored as they are, so none is larger than that. Of files
    below 2 GB every byte beside the members' own is what ``write_zip`` writes.
    """
    found = {info.filename: info for info in box.infolist()}
    for info in box.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
            raise ValueError(f"member {info.filename!r} is compressed or larger than the file")
    if len(found) != len(box.infolist()):
        raise ValueError("a member is there twice")
    if limit < _PLAIN and len(found) < _FEW:
        _check_headers(box, limit)
    return found


def members_of(data: bytes | memoryview) -> dict[str, memoryview]:
    """The members of a zip in memory, each where it lies there: no copy. Errors are those of
    ``zipfile`` and ``read_zip``."""
    held = memoryview(data).toreadonly()
    with zipfile.ZipFile(_Held(held)) as box:
        return {name: _member(held, info) for name, info in read_zip(box, len(held)).items()}


def _member(held: memoryview, info: zipfile.ZipInfo) -> memoryview:
    head = held[info.header_offset : info.header_offset + _LOCAL]
    if len(head) != _LOCAL:
        raise zipfile.BadZipFile(f"File {info.filename!r} is cut")
    start = info.header_offset + _LOCAL + sum(_LENGTHS.unpack(head[-_LENGTHS.size :]))
    member = held[start : start + info.file_size]
    if len(member) != info.file_size or zlib.crc32(member) != info.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
    return member


class _Held(io.RawIOBase):
    """Memory as a file to read from."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        if base + offset < 0:
            raise OSError("a place before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _check_headers(box: zipfile.ZipFile, size: int) -> None:
    """ValueError if anything but the members of a zip of ``size`` bytes is not as written."""
    file: Any = box.fp
    at, directory = 0, bytearray()
    for info in box.infolist():
        made = _info(info.filename, info.file_size)
        made.CRC = info.CRC
        header, name = made.FileHeader(), info.filename.encode("ascii")
        file.seek(at)
        if file.read(len(header)) != header:
            raise ValueError(f"member {info.filename!r} has another header")
        directory += (
            _ENTRY.pack(
                b"PK\1\2",
                made.create_version,
                _UNIX,
                made.extract_version,
                0,
                0,
                0,
                0,
                _DAY,
                info.CRC,
                info.file_size,
                info.file_size,
                len(name),
                0,
                0,
                0,
                0,
                _MODE,
                at,
            )
            + name
        )
        at += len(header) + info.file_size
    count = len(box.infolist())
    directory += _END.pack(b"PK\5\6", 0, 0, count, count, len(directory), at, 0)
    file.seek(at)
    if at + len(directory) != size or file.read(len(directory)) != directory:
        raise ValueError("the directory of its members is another one")


def read_npy(raw: bytes | memoryview) -> npt.NDArray[Any]:
    """The array of an .npy file's bytes, not writable and not a copy; ValueError if it is none.

    Numbers only, and exactly as many as there are bytes: nothing is allocated for what a header
    merely claims.
    """
    head = io.BytesIO(bytes(raw[:_HEADER]))
    if np.lib.format.read_magic(head) != (1, 0):
        raise ValueError("an array of another version of the format")
    try:
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    except TokenError:  # which numpy does not turn into a ValueError
        raise ValueError("an array whose header is cut") from None
    count = math.prod(shape)
    if (
        fortran
        or dtype.kind not in "biuf"
        or min(shape, default=0) < 0
        or (count * dtype.itemsize != len(raw) - head.tell())
    ):
        raise ValueError(f"an array of {dtype} {shape} in {len(raw)} bytes")
    return np.frombuffer(raw, dtype, count, head.tell()).reshape(shape)
