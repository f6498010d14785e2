"""Where the cycles above the bound went: each lost cycle by cause, exactly.

The bound of a layer is that of the resource that it needs for longer: the *array*, for its
multiplies of weights that are not zero by inputs within the image, or the *bus*, for its compulsory
bytes (``LayerInfo.needs``).
Cycles in which that resource does what the bound counts are not lost; all others are:

- Where the array is the limit, so is the time of its multipliers: what they do in each slot
  (``Run.slots``) but multiply, and the cycles in which the array waits.
- Where the bus is the limit, a cycle in which it moves the layer's bytes is not lost, whatever the
  array does meanwhile: *traffic* is the part of them that is not compulsory, each byte counting
  alike, and *rows*, where DRAM has pages, the part in which rows are opened, closed or refreshed.
  A cycle in which it moves another layer's bytes is *neighbours*. A cycle in which it idles
  goes to what the array does then: multiplies and instructions that the transfers do not cover.
  Of an instruction of which only some cycles are counted, each use is counted in proportion.

Three causes are negative, for what of the bound was not paid within the layer's own cycles:
*overlap*, compulsory bytes that moved while the array was at another layer; *resident*, compulsory
bytes that never moved (they stayed on the chip, or a stride skips them); *rounding*, since a bound
is a whole number of cycles. So of each layer, and
of sums of layers, the causes add up to cycles - bound.

Everything is counted in whole parts of a cycle, ``parts(spec)`` to one, and shares are cut to whole
parts, so the sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lcm
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import Slot
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import Instruction, Unit
from zeroskip.accel_model.machine.run import PRODUCTS, Run
from zeroskip.accel_model.physics.common import bus_rows
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.runtime.analysis.cycle_attribution import NONE, Spans, layers_of, sums

Int64 = npt.NDArray[np.int64]
Parts: TypeAlias = dict[str, int]
WORKING = (isa.Conv, isa.Depthwise, isa.MaxPool, isa.AvgPool, isa.Add, isa.Multiply)

BUS_CAUSES = (
    Slot("prologue", "the array waiting before a layer's first working instruction", "waiting"),
    Slot("load", "the array waiting for a load later on", "waiting"),
    Slot(
        "store",
        "the array waiting for a store to free memory, and the end of the last stores",
        "waiting",
    ),
    Slot("move", "waiting within a layer that computes nothing and only moves data", "waiting"),
    Slot(
        "traffic",
        "the bus moving bytes that are not compulsory: halos and weights again, whole bursts, "
        "parameters; and rows of ACT that take longer than their few bytes",
        "bus",
    ),
    Slot(
        "neighbours", "the bus moving another layer's bytes in a layer that the bus limits", "bus"
    ),
    Slot(
        "overlap",
        "saved: compulsory bytes that moved while the array was at another layer",
        "saved",
    ),
    Slot(
        "resident",
        "saved: compulsory bytes that never moved: they stayed on the chip, or no output looks at "
        "them",
        "saved",
    ),
    Slot("rounding", "the bound is a whole number of cycles", "saved"),
)
ROWS = Slot(
    "rows",
    "in a layer that the bus limits, the bus held while rows of DRAM are opened, closed and refreshed",
    "bus",
)
SAVED = tuple(cause.name for cause in BUS_CAUSES if cause.group == "saved")  # never positive


def causes_of(spec: AccelSpec) -> tuple[Slot, ...]:
    """What cycles can be lost to on a target: what its multipliers do, and the bus."""
    return (*spec.kind.slots, *(() if spec.dram.timing is None else (ROWS,)), *BUS_CAUSES)


@dataclass(frozen=True)
class Losses:
    """Of one layer. cycles: that belong to it. limit: "array" or "bus". lost: parts of a cycle by
    cause (``causes_of``), together (cycles - bound) x ``parts``."""

    cycles: int
    limit: str
    lost: Parts


def parts(spec: AccelSpec) -> int:
    """Parts of a cycle in which a multiply, a lane's cycle and a byte on the bus are whole."""
    return lcm(spec.array.macs, spec.dram.bytes_per_cycle)


def with_products(run: Run, program: Program) -> Program:
    """The program with the multiplies that its layers need on an array that skips zero inputs."""
    if PRODUCTS not in run.counters:
        return program
    done = sums(layers_of(program), run.counters[PRODUCTS], len(program.layers))
    layers = [
        replace(info, real_macs=int(count))
        for info, count in zip(program.layers, done, strict=True)
    ]
    return replace(program, layers=tuple(layers))


def losses_of(run: Run, program: Program) -> list[Losses]:
    """The losses of each layer of a run."""
    program = with_products(run, program)
    spec, stream, spans = program.spec, decode_all(program.words), Spans.of(run, program)
    count, unit = len(program.layers), parts(program.spec)
    cycles = sums(spans.owner, spans.length, count)
    width = spec.array.macs, spec.dram.bytes_per_cycle
    limits = np.array([info.needs.limit(*width) for info in program.layers])
    at_bus = (limits == "bus")[spans.owner] & (spans.bus != NONE)
    own = at_bus & (spans.bus == spans.owner)
    found = {cause.name: np.zeros(count, np.int64) for cause in causes_of(spec)}
    found["neighbours"] = unit * sums(spans.owner, np.where(at_bus & ~own, spans.length, 0), count)
    _charge_array(found, run, program, stream, spans, np.where(at_bus, 0, spans.length))
    inside = sums(spans.owner, np.where(own, spans.length, 0), count)
    held, moving = (sums(layers_of(program), each, count) for each in _transfers(run, spec))
    made = []
    for index, info in enumerate(program.layers):
        lost = {cause: int(values[index]) for cause, values in found.items()}
        needed = int(info.needs.times(*width)[limits[index]] * unit)
        if limits[index] == "bus":
            bus = int(inside[index]), int(moving[index]), int(held[index])
            lost |= _of_bus(unit, needed, *bus)
            if spec.dram.timing is None:
                del lost[ROWS.name]
        else:
            lost["multiply"] = 0  # these are what the bound counts
        lost["rounding"] = needed - unit * info.bound(*width)
        made.append(Losses(int(cycles[index]), str(limits[index]), lost))
    return made


def _transfers(run: Run, spec: AccelSpec) -> tuple[Int64, Int64]:
    """int64 [instructions] each: cycles that transfers hold the bus, and those in which they move
    bytes of DRAM or rows of ACT."""
    moves, rows = run.counters["dram_bytes"] > 0, run.counters["act_rows"]
    beats = run.counters["dram_bytes"] // spec.dram.bytes_per_cycle
    moving = np.maximum(beats, -(-rows // bus_rows(spec)))
    return np.where(moves, run.counters["cycles"], 0), np.where(moves, moving, 0)


def _of_bus(unit: int, needed: int, inside: int, moved: int, held: int) -> Parts:
    """What the bus did for a layer that it limits and that needs so many parts of a cycle. held:
    cycles of the layer's transfers; inside: those among the layer's own cycles; moved: those in
    which bytes move."""
    moving = unit * inside * moved // max(held, 1)
    compulsory = moving
    if unit * moved > needed:
        compulsory = compulsory * needed // (unit * moved)
    resident = max(0, needed - unit * moved)
    return {
        ROWS.name: unit * inside - moving,
        "traffic": moving - compulsory,
        "resident": -resident,
        "overlap": -(needed - resident - compulsory),
    }


def _charge_array(
    found: dict[str, Int64],
    run: Run,
    program: Program,
    stream: list[Instruction],
    spans: Spans,
    charged: Int64,
) -> None:
    """Add ``charged`` cycles of each span, in parts, to what the array does in it."""
    unit, count, spec = parts(program.spec), len(program.layers), program.spec
    layer = layers_of(program)[spans.array]
    uses = run.slots[spans.array] * (unit // spec.array.macs)
    busy = sums(spans.busy, charged, len(spans.array))
    used = sums(layer, _shares(uses, busy, run.counters["cycles"][spans.array]), count)
    for number, use in enumerate(spec.kind.slots):
        found[use.name] += used[:, number]
    waited = unit * sums(spans.awaited, charged, len(spans.array))
    cause = _wait_causes(run, stream, spans.array, layer)
    for name in ("prologue", "load", "store"):
        found[name] += sums(layer, np.where(cause == name, waited, 0), count)
    found["store"] += unit * sums(spans.owner, np.where(spans.tail, charged, 0), count)
    found["move"] += unit * sums(spans.owner, np.where(spans.moving, charged, 0), count)


def _shares(uses: Int64, some: Int64, of: Int64) -> Int64:
    """Of uses [n, k], each row for ``of`` cycles, those of ``some`` cycles, in proportion.

    Sums from the left are cut to whole parts, so that a row adds up to its part exactly.
    """
    until = np.cumsum(uses, axis=1) * some[:, np.newaxis] // of[:, np.newaxis]
    return np.diff(until, axis=1, prepend=0)


def _wait_causes(
    run: Run, stream: list[Instruction], array: Int64, layer: Int64
) -> npt.NDArray[np.str_]:
    """Why the array waits before each of its instructions: "prologue" up to a layer's first
    working one, then the unit whose token it got last, "load" or "store"."""
    came = np.full((2, len(array)), NONE, np.int64)
    for row, giver in enumerate((Unit.LOAD, Unit.STORE)):
        gave = [
            pc for pc, one in enumerate(stream) if one.unit == giver and one.post & Unit.COMPUTE
        ]
        takers = [n for n, pc in enumerate(array) if stream[pc].wait & giver]
        came[row, takers] = run.end[gave[: len(takers)]]
    cause = np.where(came[0] >= came[1], "load", "store").astype("<U8")
    started: set[int] = set()
    for number, pc in enumerate(array.tolist()):
        if layer[number] not in started:
            cause[number] = "prologue"
            if isinstance(stream[pc], WORKING):
                started.add(int(layer[number]))
    return cause
