"""Writing the body of an integer layer in Relax ops, and reading its parameters back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.relay_passes.attrs import NODE_ATTR, ZERO_POINT_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer.layers import FRACTION, QTensor
from zeroskip.relay_passes.relax.rewriting import const_value, make_const

Array = npt.NDArray[Any]


def constant(value: npt.ArrayLike, dtype: str) -> Any:
    """A Relax constant of exactly this dtype."""
    return make_const(np.asarray(value, dtype))


def along_channels(values: npt.ArrayLike, rank: int, dtype: str) -> Any:
    """A [K] vector as the constant that broadcasts over axis 1 of a tensor of ``rank`` dims; a
    number stays a number."""
    shape = (1, -1, *(1,) * (rank - 2)) if np.ndim(values) else ()
    return constant(np.reshape(values, shape), dtype)


class BodyWriter:
    """Emits the ops of one integer layer into a block builder."""

    def __init__(self, builder: relax.BlockBuilder) -> None:
        self._builder = builder

    def __call__(self, expr: Any) -> Any:
        return self._builder.emit(expr)

    def centred(self, x: Any, zero_point: int) -> Any:
        """``x - zero_point`` in int16, which holds it for int8 and uint8, and int16 less 0."""
        wide = self(relax.op.astype(x, "int16"))
        return self(relax.op.subtract(wide, constant(zero_point, "int16")))

    def scaled(self, v: Any, mult: npt.ArrayLike) -> Any:
        """``int64(v) * mult``, ``mult`` a number or one per channel (axis 1)."""
        wide = self(relax.op.astype(v, "int64"))
        return self(relax.op.multiply(wide, along_channels(mult, len(v.ty.shape), "int64")))

    def rounded(self, v: Any, shift: npt.ArrayLike, lo: int, hi: int, y: QTensor) -> Any:
        """``clip(((v + (1 << (shift - 1))) >> shift) + y.zero_point, lo, hi)`` of an int64 v, its
        last op not emitted."""
        rank, half = len(v.ty.shape), np.int64(1) << (np.asarray(shift, np.int64) - 1)
        v = self(relax.op.add(v, along_channels(half, rank, "int64")))
        v = self(relax.op.right_shift(v, along_channels(shift, rank, "int64")))
        return self._placed(v, lo, hi, y)

    def evened(self, v: Any, shift: int, lo: int, hi: int, y: QTensor) -> Any:
        """``clip(even(v, shift) + y.zero_point, lo, hi)`` of an int64 v, its last op not emitted.

        Its constants: half of what is dropped, bits dropped, bits kept, 1, less than half of what
        is kept, bits kept, then zero point and limits.
        """
        dropped = max(shift - FRACTION, 0)
        kept = constant(shift - dropped, "int64")
        t = self(relax.op.add(v, constant((1 << dropped) >> 1, "int64")))
        t = self(relax.op.right_shift(t, constant(dropped, "int64")))
        odd = self(relax.op.right_shift(t, kept))
        odd = self(relax.op.bitwise_and(odd, constant(1, "int64")))
        t = self(relax.op.add(t, constant((1 << (shift - dropped - 1)) - 1, "int64")))
        t = self(relax.op.right_shift(self(relax.op.add(t, odd)), kept))
        return self._placed(t, lo, hi, y)

    def _placed(self, v: Any, lo: int, hi: int, y: QTensor) -> Any:
        v = self(relax.op.add(v, constant(y.zero_point, "int64")))
        return relax.op.astype(self(self.clipped(v, lo, hi, "int64")), y.dtype)

    def clipped(self, v: Any, lo: int, hi: int, dtype: str) -> Any:
        """``v`` within lo..hi, its last op not emitted."""
        return relax.op.minimum(self(relax.op.maximum(v, constant(lo, dtype))), constant(hi, dtype))


class BodyReader:
    """The calls and the constants of an integer layer's function, in the order of its body."""

    def __init__(self, function: relax.Function) -> None:
        self.function = function
        self.calls = [
            binding.value
            for block in function.body.blocks
            for binding in block.bindings
            if isinstance(binding.value, tvm.ir.Call)
        ]
        found = (const_value(arg) for call in self.calls for arg in call.args)
        self.constants: list[Array] = [value for value in found if value is not None]

    def expect(self, ops: Sequence[str], constants: int) -> None:
        """Refuse a body that is not the one its kind writes."""
        found = [str(call.op.name).removeprefix("relax.") for call in self.calls]
        if found != list(ops) or len(self.constants) != constants:
            raise PassError(
                f"the integer function of '{self.function.attrs[NODE_ATTR]}' holds "
                f"{', '.join(found)} where its kind writes {', '.join(ops)}: partition before "
                "any pass that rewrites integer functions"
            )

    def input(self, index: int, zero_point: int | None = None) -> QTensor:
        """The activation a parameter takes."""
        return self._tensor(self.function.params[index], zero_point)

    def output(self, zero_point: int | None = None) -> QTensor:
        return self._tensor(self.function.body.body, zero_point)

    def _tensor(self, expr: Any, zero_point: int | None) -> QTensor:
        """Without a zero point in the body, the attribute of the function has it."""
        if zero_point is None:
            zero_point = int(self.function.attrs[ZERO_POINT_ATTR])
        dtype: Any = str(expr.ty.dtype)
        return QTensor(tuple(int(d) for d in expr.ty.shape), dtype, zero_point)
