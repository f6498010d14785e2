"""TVM's binary arrays: one, and the list that ``relay.save_param_dict`` writes.

The layout is that of ``NDArray::Save`` (``include/tvm/runtime/ndarray.h``) and of
``SaveParams`` (``src/runtime/file_utils.cc``), all little-endian: a list is a 64-bit magic and a
reserved word, the number of names, each with its length, the number of arrays, the arrays. An array
is a 64-bit magic and a reserved word, device type and number (32 bits each), rank (32), type code
(8), bits (8), lanes (16), sizes (64 each), bytes of data (64), data.
"""

import math
import struct

import numpy as np

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.limits import MAX_ELEMENTS
from zeroskip.relay_passes.relay.syntax import Array
from zeroskip.relay_passes.relay.types import DTYPES, MAX_RANK

LIST_MAGIC = 0xF7E58D4F05049CB7
ARRAY_MAGIC = 0xDD5E40F096B4A13F
_TYPE_CODES = {0: "int", 1: "uint", 2: "float", 6: "bool"}  # DLPack's
_LONGEST = 1 << 12  # bytes of a name
_MOST = 100_000  # arrays


def read_params(data: bytes, where: str = "The parameters") -> dict[str, Array]:
    """The arrays of ``relay.save_param_dict`` by name.

    where: what the bytes are, in messages. FrontError for other bytes, too few or too many.
    """
    reader = _Reader(data, where)
    magic, _ = reader.take("QQ")
    if magic != LIST_MAGIC:
        raise reader.refusal("begin with another number than a list of arrays does")
    (count,) = reader.take("Q")
    if count > _MOST:
        raise reader.refusal(f"say that they hold {count} names, more than {_MOST}")
    names = [reader.name() for _ in range(count)]
    (held,) = reader.take("Q")
    if held != count:
        raise reader.refusal(f"hold {held} arrays for {count} names")
    if len(set(names)) != count:
        raise reader.refusal("hold a name twice")
    arrays = {name: reader.array(f"'{name[:60]}'") for name in names}
    reader.end()
    return arrays


def read_array(data: bytes, where: str) -> Array:
    """One array; FrontError as of ``read_params``."""
    reader = _Reader(data, where)
    array = reader.array("their array")
    reader.end()
    return array


class _Reader:
    def __init__(self, data: bytes, where: str) -> None:
        self._data = data
        self._position = 0
        self._where = where

    def refusal(self, what: str) -> FrontError:
        return FrontError(
            f"{self._where} {what}, at byte {self._position}: write them with "
            "relay.save_param_dict(params) and copy the file whole."
        )

    def take(self, form: str) -> tuple[int, ...]:
        """Numbers in the notation of ``struct``."""
        numbers: tuple[int, ...] = struct.unpack(f"<{form}", self._bytes(struct.calcsize(form)))
        return numbers

    def _bytes(self, count: int) -> bytes:
        if count > len(self._data) - self._position:
            raise self.refusal(
                f"end early, {len(self._data) - self._position} bytes where {count} should be"
            )
        self._position += count
        return self._data[self._position - count : self._position]

    def name(self) -> str:
        """A length and so many bytes of UTF-8."""
        (length,) = self.take("Q")
        if length > _LONGEST:
            raise self.refusal(f"say that a name has {length} bytes, more than {_LONGEST}")
        try:
            return self._bytes(length).decode()
        except UnicodeDecodeError:
            raise self.refusal("hold a name that is not UTF-8") from None

    def array(self, what: str) -> Array:
        """The array that begins here, in native byte order. what: it, in messages."""
        magic, _ = self.take("QQ")
        if magic != ARRAY_MAGIC:
            raise self.refusal(f"have another number where {what} should begin")
        _, _, rank = self.take("iii")
        code, bits, lanes = self.take("BBH")
        if not 0 <= rank <= MAX_RANK:
            raise self.refusal(f"say that {what} has {rank} dimensions")
        shape = self.take(f"{rank}q")
        kind = _TYPE_CODES.get(code, "")
        # 0.18 and before write bool as an unsigned integer of one bit.
        name = "bool" if kind == "bool" or (kind, bits) == ("uint", 1) else f"{kind}{bits}"
        if name not in DTYPES or lanes != 1:
            raise self.refusal(
                f"say that {what} is of type {code} with {bits} bits and {lanes} lanes, which no "
                "layer takes"
            )
        if min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
            raise self.refusal(f"say that {what} has shape {list(shape)}")
        dtype = DTYPES[name].newbyteorder("<")
        (size,) = self.take("q")
        if size != math.prod(shape) * dtype.itemsize:
            raise self.refusal(f"have {size} bytes for {what} of shape {list(shape)} and {name}")
        held = np.frombuffer(self._bytes(size), dtype if name != "bool" else np.uint8)
        return held.astype(DTYPES[name]).reshape(shape)

    def end(self) -> None:
        """FrontError unless all has been read."""
        if self._position != len(self._data):
            raise self.refusal(f"have {len(self._data) - self._position} bytes too many")
