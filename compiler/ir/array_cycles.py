"""Cycles of the array that no schedule of an operation goes below.

The compute unit executes one instruction after another, so those of all operations add up."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.least_cycles import ConvWork
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir.compulsory_traffic import real_outputs, touched
from zeroskip.compiler.ir.ops import ConvOp, DepthwiseOp, Op

Bools = npt.NDArray[np.bool_]


def least_array_cycles(op: Op, spec: AccelSpec) -> Fraction:
    """Cycles for the results to be written back, for the inputs to be fetched and, of convolutions,
    for the products: whichever takes longest. None for an operation that only moves data."""
    if op.moves_only:
        return Fraction(0)
    way, rows = spec.kind.datapath(spec), blocks(op.y.channels) * op.y.pixels
    written = Fraction(rows, way.rows) if way.in_rows else Fraction(0)
    if isinstance(op, DepthwiseOp):
        return max(written, _fetched(op, spec), _depthwise(op, spec))
    if isinstance(op, ConvOp):
        return max(written, spec.kind.least_cycles(spec, conv_work(op)))
    return max(written, _fetched(op, spec))


def conv_work(op: ConvOp) -> ConvWork:
    """What a convolution asks of the array."""
    down, right = real_outputs(op)
    added = op.y.pixels if op.operand is not None else 0
    return ConvWork(op.weight, op.images * np.outer(down, right), added)


def _fetched(op: Op, spec: AccelSpec) -> Fraction:
    """Each row of ACT that the operation looks at once, as many a cycle as a quad has pixels. An
    operand that several outputs share is not counted."""
    if op.x.frames is not None:
        return Fraction(0)
    looked = touched(op)[op.x.value.name][op.x.offset : op.x.offset + op.x.channels]
    rows = sum(
        int(looked[at : at + BLOCK].any(axis=0).sum()) for at in range(0, len(looked), BLOCK)
    )
    if op.operand is not None and not (op.operand_of_channels or op.operand_of_pixels):
        rows += blocks(op.y.channels) * op.y.pixels
    return Fraction(rows, spec.array.pixels)


def _depthwise(op: DepthwiseOp, spec: AccelSpec) -> Fraction:
    """A kernel row of some neighbouring outputs a cycle, 16 channels of each, where row registers
    serve it, or a tap of a quad. Taps that some block of 16 channels has no weight at, and those in
    padding, are not counted."""
    held = op.weight[:, 0] != 0
    there = np.all([held[at : at + BLOCK].any(axis=0) for at in range(0, len(held), BLOCK)], axis=0)
    registers = spec.kind.row_unit(spec)
    at_once = 0 if registers is None else registers.multipliers
    (down, _), inside = real_outputs(op), _columns_inside(op)
    cycles = Fraction(0)
    for rows, taps in zip(down.tolist(), there, strict=True):
        widths = np.bincount(inside[taps].sum(axis=0))
        for taps_of_row, columns in enumerate(widths.tolist()):
            if taps_of_row:
                rate = max(
                    Fraction(at_once // taps_of_row), Fraction(spec.array.pixels, taps_of_row)
                )
                cycles += rows * columns / rate
    return blocks(len(held)) * op.images * cycles


def _columns_inside(op: Op) -> Bools:
    """bool [kernel columns, output columns]: whether the tap lies within the image."""
    window, outputs = op.input_window, np.arange(op.y.spatial[1])
    taps = np.arange(window.kernel[1])[:, np.newaxis] * window.dilation[1] - window.pad[1]
    at = taps + outputs * window.stride[1]
    return np.asarray((at >= 0) & (at < op.x.spatial[1]))
