"""A float function as groups of ops, the scales that it gives and why an op stays float."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from tvm.ir import Call

from zeroskip.relay_passes.integer.fixed_point import ActivationType
from zeroskip.relay_passes.quantize.constants import Constant
from zeroskip.relay_passes.quantize.elementwise import Function
from zeroskip.relay_passes.quantize.moves import Step

Kind = Literal[
    "conv",
    "dense",
    "add",
    "multiply",
    "extremum",
    "maxpool",
    "avgpool",
    "layer_norm",
    "requantise",
    "lookup",
    "concat",
    "reshape",
    "move",
]
WEIGHTED: tuple[Kind, ...] = ("conv", "dense")


@dataclass(frozen=True)
class Scale:
    """How an activation is quantized: ``real = scale * (value - zero_point)``."""

    scale: float
    zero_point: int
    dtype: ActivationType

    def __str__(self) -> str:
        return f"scale={self.scale:.6g} zp={self.zero_point}"


@dataclass(frozen=True, eq=False)
class Group:
    """One op with an integer form, and the bias and activation it absorbs.

    ``inputs`` and ``output`` are variable names, quantize/dequantize pairs seen through;
    ``members`` are all variables that the group computes. ``lo`` and ``hi`` are the real bounds
    of the activation. ``function`` is what a lookup computes, ``moves`` are the steps of a "move".
    ``inner`` are members whose scales the layers need too: of a "layer_norm" mean, centred value,
    variance and inverse deviation, the last as a ``function`` of the one before.
    """

    kind: Kind
    call: Call
    name: str
    inputs: tuple[str, ...]
    members: tuple[str, ...]
    weight: Constant | None = None
    bias: Constant | None = None
    lo: float = -np.inf
    hi: float = np.inf
    function: Function | None = None
    moves: tuple[Step, ...] = ()
    inner: tuple[str, ...] = ()

    @property
    def output(self) -> str:
        return self.members[-1]


@dataclass(eq=False)
class FloatGraph:
    """What ``read_graph`` finds in a function. Keys are variable names."""

    types: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)  # by output, in order
    scales: dict[str, Scale] = field(default_factory=dict)  # those the model gives
    real_of: dict[str, str] = field(default_factory=dict)  # dequantize's result -> tensor
    integer_of: dict[str, str] = field(default_factory=dict)  # quantize's result -> tensor
    wide: set[str] = field(default_factory=set)  # tensors that the model gives 16 bits
    reasons: dict[str, str] = field(default_factory=dict)  # ONNX node -> why it stays float

    def source(self, name: str) -> str:
        """The tensor that a variable stands for."""
        return self.real_of.get(name) or self.integer_of.get(name, name)

    def is_integer(self, name: str) -> bool:
        """Whether the variable is an integer tensor itself, not the quantized form of another."""
        return self.integer_of.get(name) == name

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(d) for d in self.types[name].shape)
