"""Arrays that users bring: read from .npz, matched to a network's inputs, refused clearly."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.compiler.errors import CompileError

if TYPE_CHECKING:
    from zeroskip.compiler.artifact.network import Port

Array = npt.NDArray[Any]
MAX_BYTES = 4 << 30  # of all arrays of a file together


class DataError(CompileError):
    """Data that do not fit the network's inputs; names the input and what it takes."""


def load_arrays(path: str | Path) -> dict[str, Array]:
    """The arrays of an .npz file by name; an .npy file is one array named after the file."""
    refuse_irregular(path)
    try:
        size = _size(Path(path))
        if size > MAX_BYTES:
            raise DataError(
                f"{path}: holds {size / 2**30:,.1f} GiB of arrays, more than the "
                f"{MAX_BYTES >> 30} GiB that are read; give fewer samples"
            )
        loaded = np.load(path, allow_pickle=False)
    except OSError as problem:
        raise DataError(f"{path}: cannot be read: {problem.strerror or problem}") from None
    except (
        ValueError,
        EOFError,
        TokenError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        MemoryError,
    ):
        raise DataError(f"{path}: is not an .npz or .npy file of plain arrays") from None
    if isinstance(loaded, np.ndarray):
        return {Path(path).stem: loaded}
    try:
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (
        ValueError,
        EOFError,
        OSError,
        TokenError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        MemoryError,
    ):
        raise DataError(
            f"{path}: is truncated, or holds objects that are not plain arrays or "
            "are larger than this computer's memory"
        ) from None


def _size(path: Path) -> int:
    """Bytes of all arrays of an .npz or .npy file, as their headers say: nothing is inflated."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            return _claimed(file)
        with zipfile.ZipFile(file) as box:
            total = 0
            for info in box.infolist():
                with box.open(info) as member:
                    total += _claimed(member)
            return total


def _claimed(file: IO[bytes]) -> int:
    """Bytes of the array whose header a file of it begins with."""
    major, minor = np.lib.format.read_magic(file)
    if (major, minor) == (1, 0):
        shape, _fortran, dtype = np.lib.format.read_array_header_1_0(file)
    else:  # numpy writes version 3 only where the names of fields are not ASCII
        shape, _fortran, dtype = np.lib.format.read_array_header_2_0(file)
    return math.prod(shape) * dtype.itemsize


def match_inputs(
    arrays: Mapping[str, Array], ports: Sequence[Port], what: str, *, samples: bool = False
) -> dict[str, Array]:
    """One array for each input, by the input's name.

    Types must be those of the inputs, and shapes too, or as many of them along the leading axis,
    equally many for all. With ``samples`` (calibration) numbers of another type are taken if they
    are of the same kind, and a single array serves a single input whatever its name. DataError for
    anything else, NaN and infinity included.
    """
    if samples and len(ports) == 1 and len(arrays) == 1:
        arrays = {ports[0].name: next(iter(arrays.values()))}
    known = ", ".join(f"'{port.name}' {port.dtype}{list(port.shape)}" for port in ports)
    for name in arrays:
        if name not in {port.name for port in ports}:
            raise DataError(f"{what} has '{name}', which is not an input; the inputs are {known}")
    found = {port.name: _matched(arrays, port, what, samples, known) for port in ports}
    times = {
        port.name: len(found[port.name]) // port.shape[0] if port.shape else 1 for port in ports
    }
    if not samples and len(set(times.values())) > 1:
        counts = ", ".join(f"'{name}' {count}" for name, count in times.items())
        raise DataError(
            f"{what} are for different numbers of runs: {counts}; give equally many for every input"
        )
    return found


def _matched(
    arrays: Mapping[str, Array], port: Port, what: str, samples: bool, known: str
) -> Array:
    if port.name not in arrays:
        raise DataError(f"{what} lacks input '{port.name}'; the inputs are {known}")
    array = np.asarray(arrays[port.name])
    shape = port.shape
    if samples:
        shape = port.shape or (1,)  # a sample of a single number is one number
        array = array.reshape(1) if not array.ndim and not port.shape else array
    fits = (
        array.ndim == len(shape)
        and array.shape[1:] == shape[1:]
        and (array.ndim == 0 or (len(array) > 0 and len(array) % shape[0] == 0))
    )
    if not fits:
        wanted = ["samples", *port.shape[1:]] if samples else list(port.shape)
        more = ", or several of these along the first axis" if port.shape and not samples else ""
        raise DataError(
            f"{what} for '{port.name}' has shape {list(array.shape)}; the network "
            f"takes {wanted}{more}".replace("'samples'", "samples")
        )
    taken = (
        np.can_cast(array.dtype, port.dtype, "same_kind")
        if samples
        else (array.dtype == port.dtype)
    )
    if not taken:
        raise DataError(
            f"{what} for '{port.name}' is {array.dtype}; the network takes {port.dtype}"
        )
    array = array.astype(port.dtype, copy=False)
    if (
        array.dtype == np.float64
        and np.isfinite(array).all()
        and (np.abs(array) > np.finfo(np.float32).max).any()
    ):
        raise DataError(
            f"{what} for '{port.name}' holds numbers beyond float32, in which networks "
            "are computed here; scale them down"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{what} for '{port.name}' holds NaN or infinity; remove those samples")
    return array
