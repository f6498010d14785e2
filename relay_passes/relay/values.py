"""What a Relay value is while its function is converted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from zeroskip.relay_passes.relay.syntax import Array
from zeroskip.relay_passes.relay.types import TensorType


@dataclass(frozen=True)
class RelayTensor:
    """A tensor of the ONNX graph.

    name: its name there.
    type: its shape and element type, as ONNX infers them.
    static: whether it follows from constants alone.
    """

    name: str
    type: TensorType
    static: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return self.type.shape

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        return len(self.type.shape)

    @property
    def dtype(self) -> str:
        """Its element type, in Relay's words."""
        return self.type.dtype


@dataclass(frozen=True, eq=False)
class Accumulator:
    """The int32 sums of a quantized layer: ``real = scale * sum``, with zero point 0.

    ONNX has no such tensor between DequantizeLinear and QuantizeLinear: the layer is written when
    the sums are requantized, with the bias that was added by then.

    write: emits the layer on real values, for a scale of the sums, and with a bias or without; the
    tensor.
    scale: the product of the operands' scales, of one number or one for each channel.
    axis: that of the channels.
    shape: of the sums.
    bias: int32 of one number or one for each channel, if one was added.
    relu: whether negative sums were made 0.
    """

    write: Callable[[Array, RelayTensor | None], RelayTensor]
    scale: Array
    axis: int
    shape: tuple[int, ...]
    bias: Array | None = None
    relu: bool = False

    def plus(self, bias: Array) -> Accumulator:
        """With a bias added."""
        return replace(self, bias=bias if self.bias is None else self.bias + bias)

    def rectified(self) -> Accumulator:
        """With negative sums made 0."""
        return replace(self, relu=True)


Value: TypeAlias = "RelayTensor | Accumulator | tuple[Value, ...]"
