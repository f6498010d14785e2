"""Lines of MLIR's generic form, in SSA order: what a function's body is written with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.compiler.mlir.attributes import dense, tensor


@dataclass(frozen=True)
class MlirValue:
    """An SSA value: its name, and the shape and element type of the tensor that it is."""

    name: str
    shape: tuple[int, ...]
    element: str

    @property
    def type(self) -> str:
        return tensor(self.shape, self.element)


class Operations:
    """The body of a function as it grows; its arguments are ``%x0``, ``%x1``, ..."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(
        self,
        name: str,
        operands: Sequence[MlirValue],
        shape: Sequence[int],
        element: str,
        region: Sequence[str] = (),
        **attributes: str,
    ) -> MlirValue:
        """Add an operation of one result. region: lines of its only block, if it has one."""
        result = MlirValue(f"%{len(self.lines)}", tuple(shape), element)
        self._add(result.name, name, operands, result.type, region, attributes)
        return result

    def _add(
        self,
        result: str,
        name: str,
        operands: Sequence[MlirValue],
        kind: str,
        region: Sequence[str],
        attributes: Mapping[str, str],
    ) -> None:
        held = ", ".join(f"{key} = {value}" for key, value in attributes.items())
        properties = f" <{{{held}}}>" if held else ""
        block = "\n".join([" ({", *(f"  {line}" for line in region), "})"]) if region else ""
        self.lines.append(
            f'{result} = "{name}"({", ".join(x.name for x in operands)}){properties}{block} : '
            f"({', '.join(x.type for x in operands)}) -> {kind}"
        )

    def constant(self, values: npt.NDArray[Any]) -> MlirValue:
        """A TOSA constant of a signed type."""
        return self(
            "tosa.const", (), values.shape, f"i{8 * values.dtype.itemsize}", values=dense(values)
        )

    def number(self, value: int, dtype: str) -> MlirValue:
        """A TOSA constant of one element, as zero points are."""
        return self.constant(np.array([value], dtype))

    def shape(self, sizes: Sequence[int]) -> MlirValue:
        """A value of TOSA's type of shapes."""
        result = MlirShape(f"%{len(self.lines)}", tuple(sizes), "index")
        values = f"dense<[{', '.join(map(str, sizes))}]> : tensor<{len(sizes)}xindex>"
        self._add(result.name, "tosa.const_shape", (), result.type, (), {"values": values})
        return result


class MlirShape(MlirValue):
    """A value of type ``!tosa.shape<4>``."""

    @property
    def type(self) -> str:
        return f"!tosa.shape<{len(self.shape)}>"


def integers(values: Sequence[int], width: int = 64) -> str:
    """``array<i64: 1, 2>``."""
    return f"array<i{width}: {', '.join(map(str, values))}>"
