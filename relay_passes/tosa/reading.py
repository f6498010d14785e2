"""What is known of a text while it is read: its values, and the layers that they became."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from zeroskip.relay_passes.tosa.build import Building
from zeroskip.relay_passes.tosa.syntax import Array, Operation, Value
from zeroskip.relay_passes.tosa.tensors import (
    ChannelSlice,
    Padded,
    Product,
    Reduced,
    Sums,
    View,
    Wide,
)

Held: TypeAlias = "Array | View | Padded | ChannelSlice | Sums | Wide | Product | Reduced"


class Reading:
    """What each value of the text is; ``building`` has the layers."""

    def __init__(self) -> None:
        self.building = Building()
        self.known: dict[Value, Held] = {}
        self.uses: Counter[Value] = Counter()
        self.function = ""  # that is called; "" in the main one

    def view(self, op: Operation, at: int = 0) -> View:
        """An operand that is an activation."""
        held = self.held(op.operand(at))
        if isinstance(held, View):
            return held
        found = self.cut(held, op.operand(at).type.shape, f"{self.label(op)}/slice")
        if found is not None:
            return found
        return op.refuse(
            f"reads {_WORDS.get(type(held), 'what is no activation')} as operand {at}: the "
            "accelerator has layers of int8 tensors only"
        )

    def cut(self, held: Held, size: tuple[int, ...], label: str) -> View | None:
        """Some channels of an activation, or one without its last pixels, as a layer of its own."""
        whole = held.whole if isinstance(held, ChannelSlice) else held
        if not isinstance(whole, Padded) or any(whole.before) or max(whole.after) > 0:
            return None
        start = (0, 0, 0, held.start if isinstance(held, ChannelSlice) else 0)
        return self.building.cut(whole.view, start, size, label)

    def padded(self, op: Operation) -> Padded:
        """The first operand, with what pads it or cuts it."""
        held = self.held(op.operand(0))
        return held if isinstance(held, Padded) else Padded(self.view(op))

    def label(self, op: Operation) -> str:
        """What the layer of an operator is called: in a function that is called, by that."""
        return self.function or op.label

    def held(self, value: Value) -> Held:
        """What a value is; a view knows whether this is its only use."""
        held = self.known[value]
        if isinstance(held, View) and self.uses[value] > 1:
            return replace(held, sole=False)
        return held

    def constant(self, value: Value) -> Array | None:
        """The value of a constant; None of what is computed."""
        held = self.known.get(value)
        return held if isinstance(held, np.ndarray) else None


_WORDS: dict[type, str] = {
    Sums: "sums of a convolution that are not rescaled to int8",
    Wide: "int32 numbers that are not rescaled to int8",
    Product: "products that are not rescaled to int8",
    Reduced: "sums that are not rescaled to int8",
    Padded: "a padded or cut tensor",
    ChannelSlice: "some channels of a tensor",
    np.ndarray: "a constant",
}
