"""What the multipliers do while a compute instruction runs, to the slot.

A slot is one multiplier in one cycle. The machine counts lane-cycles by what the lanes wait for
(``timing.Cost``); here these are cut finer, and by rules that need nothing but the instruction and
its registers:

- Of a busy lane's slots, those on outputs that the last group of pixels lacks are *fragmentation*:
  every group takes as long as a full one. Of the rest, those that multiply a weight that is not
  zero by an input within the image are *multiply*, by padding *padding*, the others *zeros*.
- Of the waits for the fetch unit, *conflicts* are as large a part as of the unit's cycles are lost
  to bank conflicts: every cycle beyond one for each fetch of a quad.
- An instruction that treats channels alike would take so much less without conflicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.instructions import Instruction
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.memory.operand_window import OperandWindow
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing.lane_array import Int32, quad_conflicts, simple_cycles

Int64 = npt.NDArray[np.int64]
Registers = dict[type[Instruction], Any]  # of each register the instruction that set it

USES = (
    "multiply",
    "fragmentation",
    "zeros",
    "padding",
    "imbalance",
    "fetch",
    "conflicts",
    "drain",
    "unused",
    "channelwise",
    "setup",
)
Channelwise: TypeAlias = isa.Depthwise | isa.MaxPool | isa.AvgPool | isa.Add
CHANNELWISE = (isa.Depthwise, isa.MaxPool, isa.AvgPool, isa.Add)
WORKING = (isa.Conv, *CHANNELWISE)


def uses_of(run: Run, spec: AccelSpec, array: Int64, stream: Sequence[Instruction]) -> Int64:
    """int64 [compute instructions, USES], slots; a row adds up to cycles x multipliers.

    array: their pcs. stream: all instructions of the program.
    """
    found = np.zeros((len(array), len(USES)), np.int64)
    counted = {name: values[array].tolist() for name, values in run.counters.items()}
    registers: Registers = {}
    for number, pc in enumerate(array.tolist()):
        one = stream[pc]
        registers[type(one)] = one
        counts = {name: values[number] for name, values in counted.items()}
        if isinstance(one, isa.Conv):
            slots = _conv(spec, one, registers, counts)
        elif isinstance(one, CHANNELWISE):
            slots = _channelwise(spec, one, registers, counts)
        else:
            slots = {"setup": counts["cycles"] * spec.array.macs}
        found[number] = [slots.get(use, 0) for use in USES]
    return found


def _conv(
    spec: AccelSpec, one: isa.Conv, registers: Registers, counts: dict[str, int]
) -> dict[str, int]:
    pixels = spec.array.pixels
    window = _window(registers)
    group = pixels << one.gang
    groups = -(-window.outputs // group)
    busy = counts["lane_busy"] * pixels
    useful = counts["lane_busy"] // (groups << one.gang) * window.outputs
    waits = counts["fetch_wait"] * pixels
    conflicts = _of_conflicts(waits, spec, one, registers)
    return {
        **_multiplies(counts),
        "fragmentation": busy - useful,
        "zeros": useful - counts["macs"],
        "imbalance": counts["imbalance"] * pixels,
        "fetch": waits - conflicts,
        "conflicts": conflicts,
        "drain": counts["drain_wait"] * pixels,
        "unused": counts["unused"] * pixels,
    }


def _multiplies(counts: dict[str, int]) -> dict[str, int]:
    return {"multiply": counts["real_macs"], "padding": counts["macs"] - counts["real_macs"]}


def _of_conflicts(waits: int, spec: AccelSpec, one: isa.Conv, registers: Registers) -> int:
    """The part of the waits for the fetch unit that is due to conflicts."""
    window = _window(registers)
    passes = -(-one.filters // (spec.array.lanes >> one.gang))
    fetches = [(passes * blocks(one.channels) * window.taps, _conflicts(spec, window))]
    if one.last and one.residual:
        fetches.append((blocks(one.filters), _operand_conflicts(spec, window, registers)))
    taken = sum(count * int(cycles.sum()) for count, cycles in fetches)
    least = sum(count * len(cycles) for count, cycles in fetches)
    return waits * (taken - least) // taken


def _channelwise(
    spec: AccelSpec, one: Channelwise, registers: Registers, counts: dict[str, int]
) -> dict[str, int]:
    window, operand = _window(registers), None
    conflicts = _conflicts(spec, window)
    if isinstance(one, isa.Add) or (isinstance(one, isa.Depthwise) and one.residual):
        operand = _operand_conflicts(spec, window, registers)
    free = simple_cycles(
        spec.array,
        blocks(one.channels),
        window.taps,
        np.ones_like(conflicts),
        window.outputs,
        None if operand is None else np.ones_like(operand),
    )
    lost = (counts["cycles"] - free) * spec.array.macs
    return {
        **_multiplies(counts),
        "conflicts": lost,
        "channelwise": free * spec.array.macs - counts["macs"],
    }


def _window(registers: Registers) -> OperandWindow:
    """The window of the next instruction, as far as time depends on it."""
    return OperandWindow.of(
        *(registers[cls] for cls in (isa.Input, isa.Kernel, isa.Output))
    ).anywhere


def _conflicts(spec: AccelSpec, window: OperandWindow) -> Int32:
    return _quads(
        window.out_height,
        window.out_width,
        window.row,
        window.top,
        window.left,
        window.row_stride,
        window.col_stride,
        spec.sram.act_banks,
        spec.array.pixels,
    )


def _operand_conflicts(spec: AccelSpec, window: OperandWindow, registers: Registers) -> Int32:
    return _quads(
        window.out_height,
        window.out_width,
        registers[isa.Operand].row,
        0,
        0,
        1,
        1,
        spec.sram.act_banks,
        spec.array.pixels,
    )


@lru_cache(maxsize=4096)
def _quads(
    height: int,
    width: int,
    row: int,
    top: int,
    left: int,
    row_stride: int,
    col_stride: int,
    banks: int,
    pixels: int,
) -> Int32:
    """int32 [quads]: cycles of a fetch of each quad; 1 without conflicts."""
    return quad_conflicts(
        height,
        width,
        row=row,
        top=top,
        left=left,
        row_stride=row_stride,
        col_stride=col_stride,
        banks=banks,
        pixels=pixels,
    )
