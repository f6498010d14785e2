"""DianNao clock by clock, with its numbers, written from docs/arrays/diannao.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.convolution import BLOCK, Convolution, Outcome
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.diannao import TreeGeometry


class Tree:
    """16 multipliers and the adders below them: the sum of one filter at one output."""

    def __init__(self, conv: Convolution, stream: bytes, outcome: Outcome) -> None:
        self.channel = stream[0] + 256 * stream[1]
        self.conv, self.stream, self.spent = conv, stream, outcome.slots
        self.at, self.sum = 4, 0

    def clock(self, inputs: list[int], real: bool) -> None:
        """Multiply a row of up to 16 inputs by as many weights and add."""
        for value in inputs:
            weight = self.conv.weight_at(self.stream, self.at)
            self.at += self.conv.weight_bytes
            self.sum += weight * value
            cause = "zeros" if weight == 0 else "multiply" if real else "padding"
            self.spent[cause] += 1
        self.spent["narrow"] += BLOCK - len(inputs)


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution on the target's adder trees."""
    geometry, outcome = cast("TreeGeometry", spec.array), Outcome()
    together = geometry.tiles * geometry.trees
    groups = [conv.streams[at : at + together] for at in range(0, len(conv.streams), together)]
    for output in range(conv.output[0] * conv.output[1]):
        for group in groups:
            trees = [Tree(conv, stream, outcome) for stream in group]
            idle = together - len(trees)
            if conv.last and conv.operand_row is not None:
                outcome.cycles += 1
                outcome.slots["operand"] += BLOCK * together
                outcome.fetch(_rows(group))
            for first in range(0, len(conv.image), BLOCK):
                for tap in range(conv.kernel[0] * conv.kernel[1]):
                    inputs, real = _row(conv, first, tap, output)
                    for tree in trees:
                        tree.clock(inputs, real)
                    outcome.slots["unused"] += BLOCK * idle
                    outcome.fetch(1)
                    outcome.cycles += 1
            _finish(conv, trees, group, output, outcome)
    for _ in range(geometry.pipeline_cycles):
        outcome.cycles += 1
        outcome.slots["drain"] += BLOCK * together
    outcome.read_operand_scale(conv)
    return outcome.counted()


def _row(conv: Convolution, first: int, tap: int, output: int) -> tuple[list[int], bool]:
    """The inputs of a tap of a block at an output, and whether they lie in the tile."""
    r, s = divmod(tap, conv.kernel[1])
    oy, ox = divmod(output, conv.output[1])
    y = conv.top + oy * conv.stride[0] + r * conv.dilation[0]
    x = conv.left + ox * conv.stride[1] + s * conv.dilation[1]
    channels = conv.image[first : first + BLOCK]
    real = 0 <= y < len(channels[0]) and 0 <= x < len(channels[0][0])
    return [plane[y][x] if real else 0 for plane in channels], real


def _rows(group: Sequence[bytes]) -> int:
    """Blocks of 16 filters that begin in a group: rows that its results have in ACT."""
    return sum((stream[0] + 256 * stream[1]) % BLOCK == 0 for stream in group)


def _finish(
    conv: Convolution, trees: list[Tree], group: Sequence[bytes], output: int, outcome: Outcome
) -> None:
    """The sums leave: through the requantizers to ACT, or to ACC."""
    for tree in trees:
        outcome.sums[tree.channel, output] = tree.sum
        outcome.read_words(len(tree.stream) // 4 - 1)  # not its header
    outcome.move_sums(conv, -(-len(trees) // BLOCK))
    if conv.last:
        outcome.scale(conv, len(trees))
        outcome.write_back(_rows(group))
