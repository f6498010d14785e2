"""Uncompressed zip files of raw arrays, written without a second copy of what they hold."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Parts: TypeAlias = Sequence[bytes | memoryview]  # the bytes of a member, one piece after another

_DATE = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal contents are equal files


def npy_parts(array: npt.NDArray[Any]) -> Parts:
    """An array as the parts of an .npy file: its header, and its own memory."""
    flat = np.ascontiguousarray(array).reshape(np.shape(array))
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(flat))
    return head.getvalue(), flat.reshape(-1).view(np.uint8).data


def digest(parts: Parts) -> str:
    """SHA-256 of the parts together, in hex."""
    made = hashlib.sha256()
    for part in parts:
        made.update(part)
    return made.hexdigest()


def write_zip(out: Any, members: Mapping[str, Parts]) -> None:
    """A zip of these members in this order; ``out`` is a file open for writing bytes."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as box:
        for name, parts in members.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.file_size = sum(len(part) for part in parts)
            with box.open(info, "w") as member:
                for part in parts:
                    member.write(part)
