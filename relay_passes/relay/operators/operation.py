"""A Relay call whose operands are converted: what the rules for operators read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.relay.builder import Builder
from zeroskip.relay_passes.relay.syntax import Array
from zeroskip.relay_passes.relay.types import DTYPES, refusal
from zeroskip.relay_passes.relay.values import Accumulator, RelayTensor, Value

LARGEST = 1 << 31  # of an integer attribute
_COUNTS = {1: "one", 2: "two", 3: "three"}


@dataclass
class Operation:
    """One call.

    builder: where ONNX nodes go.
    op: Relay's name of the operator.
    label: what its ONNX nodes are called by.
    line: where it stands in the text.
    args: its operands.
    attrs: its attributes that are written; those left out have their defaults.
    """

    builder: Builder
    op: str
    label: str
    line: int
    args: tuple[Value, ...]
    attrs: dict[str, Any]
    _read: set[str] = field(default_factory=set)

    def refuse(self, what: str) -> FrontError:
        """The refusal of this call. what: with the remedy."""
        return refusal(self.line, f"{self.op} {what}")

    def finish(self) -> None:
        """FrontError for an attribute that no rule read."""
        for name in self.attrs.keys() - self._read:
            raise self.refuse(
                f"has an attribute '{name[:40]}' that is not known: use TVM 0.18 or before"
            )

    # Operands

    def tensor(self, position: int) -> RelayTensor:
        """An operand that is a tensor."""
        value = self.args[position]
        if isinstance(value, Accumulator):
            raise self.refuse(
                "reads int32 sums of a quantized layer: put qnn.requantize or qnn.dequantize "
                "before it"
            )
        if not isinstance(value, RelayTensor):
            raise self.refuse(f"has a tuple as operand {position}: take a field of it")
        return value

    def tensors(self, position: int) -> list[RelayTensor]:
        """An operand that is a tuple of tensors, of one at least."""
        value = self.args[position]
        if not isinstance(value, tuple) or not value:
            raise self.refuse(f"has no tuple of tensors as operand {position}: print it again")
        fields: list[RelayTensor] = []
        for part in value:
            if not isinstance(part, RelayTensor):
                raise self.refuse(
                    f"has something else than tensors in operand {position}: requantize each"
                )
            fields.append(part)
        return fields

    def constant(self, position: int, what: str) -> Array:
        """An operand whose value is known. what: it, in messages."""
        return self.known(self.tensor(position), what)

    def known(self, tensor: RelayTensor, what: str) -> Array:
        """The value of a tensor; FrontError if it is an input or computed."""
        value = self.builder.value(tensor)
        if value is None:
            raise self._unknown(tensor, what)
        return value

    def static(self, position: int, what: str) -> RelayTensor:
        """An operand that follows from constants alone. what: it, in messages."""
        tensor = self.tensor(position)
        if not tensor.static:
            raise self._unknown(tensor, what)
        return tensor

    def _unknown(self, tensor: RelayTensor, what: str) -> FrontError:
        return self.refuse(
            f"reads its {what} from '{tensor.name[:60]}', which is not known before the network "
            "runs: give the parameters (--params, or params= in Python), or fold constants with "
            "relay.transform.FoldConstant()"
        )

    def reals(self, position: int) -> RelayTensor:
        """An operand of floats."""
        tensor = self.tensor(position)
        if not tensor.dtype.startswith("float"):
            raise self.refuse(
                f"of {tensor.dtype} is taken of floats only: keep the qnn operators "
                "(do not run qnn.transform.CanonicalizeOps), or quantize behind it"
            )
        return tensor

    # Attributes

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute as it is written."""
        self._read.add(name)
        return self.attrs.get(name, default)

    def integer(self, name: str, default: int) -> int:
        """An attribute that is an integer."""
        value = self.attr(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
            raise self._no(name, "an integer")
        return value

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """An attribute that is a list of integers; one integer is a list of one."""
        value = self.attr(name, default)
        items = (value,) if isinstance(value, int) else value
        if not isinstance(items, Sequence) or isinstance(items, str):
            raise self._no(name, "a list of integers")
        for item in items:
            if isinstance(item, bool) or not isinstance(item, int) or abs(item) > LARGEST:
                raise self._no(name, "a list of integers")
        return tuple(items)

    def number(self, name: str, default: float | None = None) -> float:
        """An attribute that is a number; without a default it has to be there."""
        value = self.attr(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._no(name, "a number")
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """An attribute that is true or false."""
        value = self.attr(name, default)
        if value not in (0, 1, True, False):
            raise self._no(name, "True or False")
        return bool(value)

    def text(self, name: str, default: str) -> str:
        """An attribute that is a text."""
        value = self.attr(name, default)
        if not isinstance(value, str):
            raise self._no(name, "a text")
        return value

    def choice(self, name: str, default: str, *taken: str) -> str:
        """An attribute that is one of some texts."""
        value = self.text(name, default)
        if value not in taken:
            raise self.refuse(f'has {name}="{value[:40]}": taken are {", ".join(map(repr, taken))}')
        return value

    def sizes(self, name: str, count: int, default: Sequence[int] = (1,)) -> tuple[int, ...]:
        """An attribute of so many positive sizes; one stands for all."""
        values = self.integers(name, default)
        if len(values) not in (1, count) or min(values, default=0) < 1:
            raise self._no(name, f"{_COUNTS[count]} positive integer{'s'[: count - 1]}")
        return values * count if len(values) == 1 else values

    def axis(self, rank: int, name: str = "axis", default: int = -1) -> int:
        """An attribute that is an axis, counted from the front."""
        return self.as_axis(self.integer(name, default), rank)

    def as_axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= axis < rank:
            raise self.refuse(f"has axis {axis} of {rank} dimensions: print the module again")
        return axis % rank

    def dtype(self, name: str, default: str) -> str:
        """An attribute that is an element type; none and ``void`` mean the default."""
        value = self.attr(name)
        if value in (None, "", "void"):
            value = default
        if value not in DTYPES:
            raise self._no(name, "an element type that ONNX has")
        return str(value)

    def _no(self, name: str, wanted: str) -> FrontError:
        value = self.attrs.get(name)
        return self.refuse(f"has {name}={str(value)[:40]} where {wanted} should be")

    # Emitting

    def emit(self, onnx_op: str, *inputs: RelayTensor | None, **attrs: Any) -> RelayTensor:
        """One ONNX node; its result."""
        return self.builder.emit(onnx_op, inputs, **attrs)

    def const(self, value: npt.ArrayLike, dtype: str) -> RelayTensor:
        """A new constant of this element type."""
        return self.builder.constant(np.asarray(value).astype(DTYPES[dtype]))

    def turn(self, tensor: RelayTensor, order: Sequence[int]) -> RelayTensor:
        """The axes in another order; of a constant, at once."""
        if tuple(order) == tuple(range(tensor.rank)):
            return tensor
        value = self.builder.value(tensor)
        if value is not None:
            return self.builder.constant(value.transpose(order))
        role = "" if self.op in ("transpose", "layout_transform") else "transpose"
        return self.emit("Transpose", tensor, perm=list(order), role=role)

    def reshape(self, tensor: RelayTensor, shape: Sequence[int]) -> RelayTensor:
        """The elements in another shape of as many; of a constant, at once."""
        if tuple(shape) == tensor.shape:
            return tensor
        value = self.builder.value(tensor)
        if value is not None and value.size == np.prod(shape, dtype=np.int64):
            return self.builder.constant(value.reshape(shape))
        return self.emit("Reshape", tensor, self.const(shape, "int64"), allowzero=1)


Convert: TypeAlias = Callable[[Operation], Value]


@dataclass(frozen=True)
class Rule:
    """How an operator is converted.

    convert: emits it; the value of the call.
    operands: how many it has.
    """

    convert: Convert
    operands: int
