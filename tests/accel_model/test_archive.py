"""Zip files of raw members: exactly what was written, or refused."""

from __future__ import annotations

import io
import zipfile

import pytest

from zeroskip.accel_model.io.archive import read_zip, write_zip

MEMBERS = {"manifest.json": [b"{}"], "a/b.npy": [b"abc" * 5, b"d"]}


def written() -> bytes:
    out = io.BytesIO()
    write_zip(out, MEMBERS)
    return out.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as box:
        return {name: box.read(info) for name, info in read_zip(box, len(data)).items()}


def test_members_come_back() -> None:
    assert read(written()) == {name: b"".join(parts) for name, parts in MEMBERS.items()}


def test_every_bit_matters() -> None:
    """Headers, dates and rights that nobody looks at, too."""
    data = written()
    for at in range(len(data) * 8):
        altered = bytearray(data)
        altered[at // 8] ^= 1 << at % 8
        with pytest.raises(
            (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, OSError, EOFError)
        ):
            read(bytes(altered))


def test_bytes_beside_the_members_are_refused() -> None:
    for data in (b"x" + written(), written() + b"x"):
        with pytest.raises((zipfile.BadZipFile, ValueError)):
            read(data)
