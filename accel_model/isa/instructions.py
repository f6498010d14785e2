"""The instruction set, declared once.

An instruction is a frozen dataclass: its fields carry their bit widths, its docstring carries its
meaning. Encoder, decoder, assembler, disassembler, range checks and ``docs/ISA.md`` are derived
from these declarations (``encoding.py``, ``assembly.py``); ``execute/models.py`` holds what each
class below touches, costs and does, and a test proves that none is missing.

Words are 128 bits, little endian, fields packed from bit 0 in the order of declaration:
opcode (6), wait (3), post (3), then the instruction's own.

Three in-order units run decoupled. ``wait`` and ``post`` are sets of units: before it starts, an
instruction takes one token from each unit it waits for; when it has completed, it gives one token
to each unit it posts to. There is one counting queue for each ordered pair of units.

Memories the instructions name (sizes are the spec's):

=====  ===========================  ==========================================================
ACT    rows of 16 elements          one row holds one pixel of one block of 16 channels
WGT    banks of 4-byte rows         packed weight streams, one stream per filter (formats/)
ACC    rows of 16 sums              16 partial sums: int32, or of as many bits as the target has
PAR    16-byte rows                 bias, multipliers, shifts, tables of formats
DRAM   bytes
=====  ===========================  ==========================================================

An element of ACT, and of a tensor in DRAM, is a byte, or a word of two bytes where the target
stores activations in 16 bits ([storage] of its description): its lower byte is the value, the upper
one 0. Weights in streams are as wide as the target stores weights.

On such a target a program may say (``activation_bits`` in its manifest) that all its activations
have values of 16 bits. They are int16 then, the whole word, with a zero point of 0: what ``input``,
``output`` and ``operand`` say of values of 8 bits (zero points, limits, ``unsigned``, tables) is 0,
``limits`` has the limits, and there are no tables of results. Sums of such a program have as many
bits as the target has for one ([storage] sum_bits, 32 or 48), in ACC too, those of others 32; one
that does not fit is an error, and so is a ``mult`` whose product with a sum might not fit in int64:
with sums of 48 bits it has 15 bits and a sign.

Notation: ``x[b, y, x, c]`` is block, row, column and channel of an activation tile; ``Q`` is
``clip(((v * mult + (1 << (shift - 1))) >> shift) + zero_point, low, high)`` computed in int64.
``even(p, shift)`` is ``p / 2^shift`` in int64, halves to the even neighbour as ONNX rounds: with
d = max(shift - 16, 0) and f = min(shift, 16), ``t = (p + ((1 << d) >> 1)) >> d`` keeps 16 bits of
fraction, so that a multiplier's error of 2^-31 parts nothing that lies halfway, and
``even = (t + (1 << (f - 1)) - 1 + ((t >> f) & 1)) >> f``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntFlag
from functools import cached_property
from typing import Any, ClassVar, dataclass_transform

from zeroskip.accel_model.errors import ZeroskipError

WORD_BYTES = 16
BLOCK = 16  # channels in an ACT row
PAR_ROWS = 9  # rows of PAR for 16 channels: 4 of bias, 4 of mult, 1 of shift
TABLE_ROWS = 16  # rows of PAR that a table of 256 results takes


class IsaError(ZeroskipError):
    """An instruction that cannot exist: an unknown name or opcode, or a field out of range."""


class Unit(IntFlag):
    """The three units, and sets of them."""

    NONE = 0
    LOAD = 1
    COMPUTE = 2
    STORE = 4


UNITS = (Unit.LOAD, Unit.COMPUTE, Unit.STORE)


@dataclass(frozen=True)
class Bits:
    """Width and signedness of a field; ``low`` and ``high`` are the least and greatest value."""

    width: int
    signed: bool
    doc: str
    least: int | None = None
    most: int | None = None

    @cached_property
    def low(self) -> int:
        if self.least is not None:
            return self.least
        return -(1 << (self.width - 1)) if self.signed else 0

    @cached_property
    def high(self) -> int:
        if self.most is not None:
            return self.most
        return (1 << (self.width - self.signed)) - 1


def u(width: int, doc: str, *, least: int = 0, most: int | None = None, default: Any = ...) -> Any:
    """An unsigned field of ``width`` bits."""
    return _declare(Bits(width, False, doc, least, most), default)


def s(width: int, doc: str, *, default: Any = ...) -> Any:
    """A two's complement field of ``width`` bits."""
    return _declare(Bits(width, True, doc), default)


def _declare(bits: Bits, default: Any) -> Any:
    if default is ...:
        return field(metadata={"bits": bits})
    return field(default=default, metadata={"bits": bits})


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What every instruction has: the tokens it waits for and those it posts."""

    opcode: ClassVar[int]
    unit: ClassVar[Unit]
    mnemonic: ClassVar[str]

    wait: int = u(3, "units to take a token from before starting", default=0)
    post: int = u(3, "units to give a token to when complete", default=0)

    def __post_init__(self) -> None:
        for name, bits in layout(type(self)):
            value = getattr(self, name)
            if not bits.low <= value <= bits.high:
                raise IsaError(f"{self.mnemonic} {name}={value} is outside {bits.low}..{bits.high}")
        if (int(self.wait) | int(self.post)) & int(self.unit):
            raise IsaError(f"{self.mnemonic} cannot wait for or post to its own unit")


BY_OPCODE: dict[int, type[Instruction]] = {}
BY_MNEMONIC: dict[str, type[Instruction]] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(u, s))
def instruction(opcode: int, unit: Unit) -> Any:
    """Class decorator: makes the class a frozen dataclass and enters it in the tables."""

    def enter(cls: type[Instruction]) -> type[Instruction]:
        made = dataclass(frozen=True, kw_only=True)(cls)
        made.opcode, made.unit, made.mnemonic = opcode, unit, cls.__name__.lower()
        if opcode in BY_OPCODE:
            raise IsaError(f"opcode {opcode} is declared twice")
        if 6 + sum(bits.width for _, bits in layout(made)) > 8 * WORD_BYTES:
            raise IsaError(f"{made.mnemonic} does not fit in {8 * WORD_BYTES} bits")
        BY_OPCODE[opcode] = BY_MNEMONIC[made.mnemonic] = made
        return made

    return enter


def layout(cls: type[Instruction]) -> tuple[tuple[str, Bits], ...]:
    """(name, bits) of each field after the opcode, from bit 6 upwards."""
    cached: tuple[tuple[str, Bits], ...] | None = cls.__dict__.get("_layout")
    if cached is None:
        cached = tuple((f.name, f.metadata["bits"]) for f in fields(cls))
        cls._layout = cached  # type: ignore[attr-defined]  # cache on the class itself
    return cached


# ---------------------------------------------------------------------------------- load unit


@instruction(1, Unit.LOAD)
class LoadShape(Instruction):
    """Set the strides of the ``load`` instructions that follow."""

    dram_pixel: int = u(6, "bytes between neighbouring pixels in DRAM", least=1)
    dram_row: int = u(24, "bytes between image rows in DRAM")
    dram_block: int = u(30, "bytes between channel blocks in DRAM")
    act_row: int = u(18, "ACT rows between image rows")
    act_block: int = u(20, "ACT rows between channel blocks")


@instruction(2, Unit.LOAD)
class Load(Instruction):
    """Move an activation tile from DRAM to ACT.

    ``ACT[act + b*act_block + y*act_row + x][lane : lane+bytes] =
    DRAM[dram + b*dram_block + y*dram_row + x*dram_pixel : ... + bytes]``
    for b < blocks, y < height, x < width. Where elements have two bytes, ``lane`` and ``bytes``
    count elements; addresses and strides of DRAM are bytes all the same, multiples of two.
    """

    act: int = u(20, "first ACT row")
    dram: int = u(32, "first DRAM byte")
    width: int = u(14, "pixels in a row", least=1)
    height: int = u(14, "image rows", least=1)
    blocks: int = u(12, "channel blocks", least=1)
    bytes: int = u(5, "bytes of each pixel", least=1, most=16)
    lane: int = u(4, "first byte within the ACT row")


@instruction(3, Unit.LOAD)
class LoadWeights(Instruction):
    """Move packed filter streams from DRAM to WGT.

    The bytes are streams one after another; the first word of each is {u16 channel, u16 words}
    and says how many 4-byte words the stream has. In a ``mode`` the array works on groups of S
    streams, each in B neighbouring banks (docs/ARRAYS.md says which modes an array has): stream n
    belongs to group n // S, slot n % S; word k of slot s goes to bank s*B + k % B, row r + k // B,
    where r starts at ``wgt`` and grows by the rows of the longest stream of each group.
    """

    wgt: int = u(20, "first WGT row")
    dram: int = u(32, "first DRAM byte")
    size: int = u(24, "bytes, a multiple of 4", least=4)
    mode: int = u(4, "how the array is used")


@instruction(4, Unit.LOAD)
class LoadParams(Instruction):
    """Move ``rows`` 16-byte rows from DRAM to PAR: ``PAR[par + i] = DRAM[dram + 16*i : +16]``."""

    par: int = u(14, "first PAR row")
    dram: int = u(32, "first DRAM byte")
    rows: int = u(14, "rows", least=1)


# ------------------------------------------------------------------------------- compute unit


@instruction(8, Unit.COMPUTE)
class Kernel(Instruction):
    """Set the window of the instructions that follow: taps, strides, dilations (rows, columns)."""

    rows: int = u(9, "kernel rows", least=1)
    cols: int = u(9, "kernel columns", least=1)
    row_stride: int = u(7, "output to output, rows", least=1)
    col_stride: int = u(7, "output to output, columns", least=1)
    row_dilation: int = u(7, "tap to tap, rows", least=1)
    col_dilation: int = u(7, "tap to tap, columns", least=1)


@instruction(9, Unit.COMPUTE)
class Input(Instruction):
    """Set where the input tile lies: ``x[b, y, x, c] = ACT[act + b*block + y*row + x][c] -
    zero_point``."""

    act: int = u(20, "first ACT row")
    row: int = u(18, "ACT rows between image rows")
    block: int = u(20, "ACT rows between channel blocks")
    zero_point: int = s(17, "value that means 0")
    unsigned: int = u(1, "1: uint8, 0: int8")


@instruction(13, Unit.COMPUTE)
class Extent(Instruction):
    """Set the size of the input tile, and which input the first output looks at.

    Tap (r, s) of output (oy, ox) reads y = top + oy*row_stride + r*row_dilation and
    x = left + ox*col_stride + s*col_dilation; outside 0 <= y < height, 0 <= x < width it reads 0
    (for ``maxpool``: it is left out).
    """

    height: int = u(16, "image rows in the tile", least=1)
    width: int = u(16, "pixels in a row", least=1)
    top: int = s(16, "input row of tap 0 of output row 0")
    left: int = s(16, "input column of tap 0 of output column 0")


@instruction(10, Unit.COMPUTE)
class Output(Instruction):
    """Set the output tile: ``ACT[act + b*block + y*row + x][c] = y[b, y, x, c]``, and its Q.

    With ``lookup`` the byte ``table[y & 255]`` is written in the place of y (``lookup``): ``low``
    and ``high`` are then any range of 8 bits, and ``unsigned`` is the type of what is written.
    """

    act: int = u(20, "first ACT row")
    row: int = u(18, "ACT rows between image rows")
    block: int = u(20, "ACT rows between channel blocks")
    height: int = u(14, "image rows in the tile", least=1)
    width: int = u(14, "pixels in a row", least=1)
    zero_point: int = s(9, "value that means 0")
    low: int = s(9, "least value")
    high: int = s(9, "greatest value")
    unsigned: int = u(1, "1: uint8, 0: int8")
    lookup: int = u(1, "1: write what the table holds for a result", default=0)


@instruction(15, Unit.COMPUTE)
class Limits(Instruction):
    """Set the limits of results of 16 bits, for which ``output`` and ``operand`` have no room.

    In a program of 16-bit activations ``low``, ``high``, ``mid_low`` and ``mid_high`` are these,
    wherever the equations below name them; no other program has this instruction.
    """

    low: int = s(16, "least value")
    high: int = s(16, "greatest value")
    mid_low: int = s(16, "least value of a convolution's own result", default=-32768)
    mid_high: int = s(16, "greatest value of a convolution's own result", default=32767)


@instruction(11, Unit.COMPUTE)
class Operand(Instruction):
    """Set the second operand of ``add``, ``multiply`` and of a convolution with ``residual``.

    ``r[b, y, x, c] = ACT[act + b*block + y*row + x*step][c] - zero_point``, same shape as the
    output; with ``spread`` byte 0 serves all c. So row = 0 and step = 0 are one value for a
    channel, block = 0 and spread = 1 one for a pixel; a convolution's residual has step = 1 and
    spread = 0. PAR[par] holds {i32 mult_a, i32 mult_b, u8 shift}. For a convolution, mid_* are the
    zero point and the limits of its own result before the addition (it has the bits of an
    activation there). With ``mid_lookup`` what is added is ``table[own & 255]`` (``lookup``), as
    int8 (1) or uint8 (2), less the i16 in bytes 10 and 11 of PAR[par]; the output then has no
    ``lookup`` of its own.
    """

    act: int = u(20, "first ACT row")
    row: int = u(18, "ACT rows between image rows")
    block: int = u(20, "ACT rows between channel blocks")
    zero_point: int = s(9, "value that means 0")
    unsigned: int = u(1, "1: uint8, 0: int8")
    par: int = u(14, "PAR row of the two multipliers and the shift")
    mid_zero_point: int = s(9, "zero point of the convolution's own result", default=0)
    mid_low: int = s(9, "least value of the convolution's own result", default=-128)
    mid_high: int = s(9, "greatest value of the convolution's own result", default=127)
    step: int = u(1, "ACT rows between pixels", default=1)
    spread: int = u(1, "1: channel 0 serves all channels", default=0)
    mid_lookup: int = u(2, "1, 2: add what the table holds, int8 or uint8", most=2, default=0)


@instruction(12, Unit.COMPUTE)
class Table(Instruction):
    """Set the table that filter streams refer to: ``PAR[par : par + rows]`` and an argument.

    The array's weight format says what they mean. Kernel patterns: two rows for each slab of 16
    taps, 16 masks of 16 bits; the argument is the width of a pattern number in the streams.
    """

    par: int = u(14, "first PAR row")
    rows: int = u(13, "PAR rows", least=1)
    argument: int = u(8, "what the format needs beside the rows")


@instruction(14, Unit.COMPUTE)
class Lookup(Instruction):
    """Set the table of results: ``table[16*i + j] = PAR[par + i][j]`` for i, j < 16.

    It serves every instruction whose ``output`` or ``operand`` has its bit ``lookup``.
    """

    par: int = u(14, "first of 16 PAR rows")


@instruction(16, Unit.COMPUTE)
class Conv(Instruction):
    """Convolve the input tile with ``filters`` filters over ``channels`` channels.

    ``acc[k, oy, ox] = sum over c, r, s of w[k, c, r, s] * x[c, ...]``; unless ``first``, ACC is
    added to it; unless ``last``, it goes to ACC and nothing else happens. At the last,
    ``v = acc + bias[k]``, ``y = Q(v)`` with mult[k], shift[k]; with ``residual``,
    ``y = clip(even((y - mid_zero_point)*mult_a + r*mult_b, shift) + zp, low, high)``.
    PAR[par + 9*(k//16) : +9] holds bias (4 rows), mult (4 rows), shift (1 row) of 16 channels.
    Sums lie in ACC output by output from row ``acc`` on, 16 slots of a group to a row: a sum has
    the place of its stream, so the streams of all chunks of a reduction are in one order.
    Filter streams name their output channel k. ``mode`` says how many filters are worked on at
    once, and on how many neighbouring outputs (outputs counted row by row).
    """

    wgt: int = u(20, "first WGT row")
    par: int = u(14, "first PAR row")
    acc: int = u(18, "first ACC row")
    filters: int = u(13, "filters", least=1)
    channels: int = u(16, "input channels", least=1)
    mode: int = u(4, "how the array is used")
    first: int = u(1, "1: start from 0, 0: from ACC")
    last: int = u(1, "1: requantize and write, 0: to ACC")
    residual: int = u(1, "1: add the operand")


@instruction(17, Unit.COMPUTE)
class Depthwise(Instruction):
    """``acc[c, oy, ox] = sum over r, s of w[c, r, s] * x[c, ...]``, then as ``conv`` at its last.

    Streams are dense, one per channel, placed as in mode 0.
    """

    wgt: int = u(20, "first WGT row")
    par: int = u(14, "first PAR row")
    channels: int = u(16, "channels", least=1)
    residual: int = u(1, "1: add the operand")


@instruction(18, Unit.COMPUTE)
class MaxPool(Instruction):
    """``y = clip(max over taps of x + zero_point of the output, low, high)``."""

    channels: int = u(16, "channels", least=1)


@instruction(19, Unit.COMPUTE)
class AvgPool(Instruction):
    """``y = clip(even(mult * sum over taps of x, shift) + zero_point, low, high)``.

    PAR[par] holds {i32 mult, u8 shift}. One tap: a requantize.
    """

    channels: int = u(16, "channels", least=1)
    par: int = u(14, "PAR row of multiplier and shift")


@instruction(20, Unit.COMPUTE)
class Add(Instruction):
    """``y = clip(even(x*mult_a + r*mult_b, shift) + zero_point, low, high)``."""

    channels: int = u(16, "channels", least=1)


@instruction(21, Unit.COMPUTE)
class Multiply(Instruction):
    """``y = clip(even(x*r*mult_a, shift) + zero_point, low, high)``."""

    channels: int = u(16, "channels", least=1)


# --------------------------------------------------------------------------------- store unit


@instruction(32, Unit.STORE)
class StoreShape(Instruction):
    """Set the strides of the ``store`` instructions that follow (as ``loadshape``)."""

    dram_pixel: int = u(6, "bytes between neighbouring pixels in DRAM", least=1)
    dram_row: int = u(24, "bytes between image rows in DRAM")
    dram_block: int = u(30, "bytes between channel blocks in DRAM")
    act_row: int = u(18, "ACT rows between image rows")
    act_block: int = u(20, "ACT rows between channel blocks")


@instruction(33, Unit.STORE)
class Store(Instruction):
    """Move an activation tile from ACT to DRAM: ``load`` the other way round."""

    act: int = u(20, "first ACT row")
    dram: int = u(32, "first DRAM byte")
    width: int = u(14, "pixels in a row", least=1)
    height: int = u(14, "image rows", least=1)
    blocks: int = u(12, "channel blocks", least=1)
    bytes: int = u(5, "bytes of each pixel", least=1, most=16)
    lane: int = u(4, "first byte within the ACT row")


# Channels of a tile: those that an instruction counts and a load or store moves, in whole blocks.
MOST_CHANNELS = BLOCK * min(
    dict(layout(Conv))["channels"].high // BLOCK, dict(layout(Load))["blocks"].high
)
# Rows and columns of a tile: those that an instruction writes, and a load or store moves.
MOST_SIDE = min(
    dict(layout(cls))[name].high for cls in (Load, Output) for name in ("height", "width")
)
BUS = (Load, LoadWeights, LoadParams, Store)  # those that use the DRAM bus
