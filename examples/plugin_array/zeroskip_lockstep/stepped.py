"""The same array clock by clock, from the packed streams and without the code of the fast model."""

from __future__ import annotations

from zeroskip.accel_model.reference.convolution import Convolution, Outcome
from zeroskip.accel_model.spec import AccelSpec


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """Group by group, quad by quad, stage by stage; a cycle is a weight of each filter."""
    array, outcome = spec.array, Outcome()
    lanes, width = array.filters, array.pixels  # type: ignore[attr-defined]  # of this kind
    outputs = conv.output[0] * conv.output[1]
    filters = [_stages(stream, conv) for stream in conv.streams]
    for first in range(0, len(filters), lanes):
        group = filters[first : first + lanes]
        for quad in range(0, outputs, width):
            inside = range(quad, min(quad + width, outputs))
            began_at = outcome.cycles
            for stage in range(len(group[0])):
                left = [list(weights[stage]) for weights in group]
                began = False
                while any(left) or not began:
                    began = True
                    outcome.cycles += 1
                    for slot, weights in enumerate(left):
                        if weights:
                            _multiply(conv, outcome, first + slot, weights.pop(0), inside)
                outcome.events["act_rows"] += len(inside)
            for _row in range(len(inside) * -(-len(group) // 16)):  # one has left in each cycle
                began_at += 1
            outcome.cycles = max(outcome.cycles, began_at)
    if conv.last:
        outcome.events["act_rows"] += (
            (1 + (conv.operand_row is not None)) * conv.out_blocks * outputs
        )
    outcome.cycles += array.pipeline_cycles
    outcome.events["cycles"] = outcome.cycles
    return outcome


def _stages(stream: bytes, conv: Convolution) -> list[list[tuple[int, int, int]]]:
    """(channel, tap, value) of each stage's weights: a bitmap of each stage, then all values."""
    taps, channels = conv.kernel[0] * conv.kernel[1], len(conv.image)
    bitmaps, at = [], 4
    for block in range(0, channels, 16):
        size = (min(16, channels - block) + 7) // 8
        for tap in range(taps):
            bitmaps.append((block, tap, int.from_bytes(stream[at : at + size], "little")))
            at += size
    stages = []
    for block, tap, bits in bitmaps:
        stage = []
        for channel in range(16):
            if bits >> channel & 1:
                stage.append((block + channel, tap, conv.weight_at(stream, at)))
                at += conv.weight_bytes
        stages.append(stage)
    return stages


def _multiply(
    conv: Convolution, outcome: Outcome, n: int, weight: tuple[int, int, int], outputs: range
) -> None:
    """One weight of stream n by the inputs of neighbouring outputs."""
    channel, tap, value = weight
    name = int.from_bytes(conv.streams[n][:2], "little")
    r, s = divmod(tap, conv.kernel[1])
    image = conv.image[channel]
    for output in outputs:
        oy, ox = divmod(output, conv.output[1])
        y = conv.top + oy * conv.stride[0] + r * conv.dilation[0]
        x = conv.left + ox * conv.stride[1] + s * conv.dilation[1]
        inside = 0 <= y < len(image) and 0 <= x < len(image[0])
        outcome.slots["multiply" if inside else "padding"] += 1
        key = (name, output)
        outcome.sums[key] = outcome.sums.get(key, 0) + (value * image[y][x] if inside else 0)
