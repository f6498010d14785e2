"""The registers of the array, set as an operation's tile has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.compiler.codegen.act_tile import ActTile
from zeroskip.compiler.codegen.token_insertion import InstructionStream
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.tiles import InputTile
from zeroskip.compiler.ir.views import Value
from zeroskip.compiler.ir.window import Window

NO_CLIP = ops.Clip(0, 0)  # what registers of 8-bit limits hold where values have 16


@dataclass(frozen=True)
class Registers:
    """Sets registers in a stream; one that holds the same already is left. activation_bits: of
    values, 8 or 16."""

    stream: InstructionStream
    activation_bits: int

    @staticmethod
    def of(stream: InstructionStream, values: Iterable[Value]) -> Registers:
        """Of a program with these values."""
        return Registers(stream, 16 if any(each.dtype == "int16" for each in values) else 8)

    @property
    def wide(self) -> bool:
        return self.activation_bits > 8

    def set_kernel(self, window: Window) -> None:
        self.stream.set(
            isa.Kernel,
            rows=window.kernel[0],
            cols=window.kernel[1],
            row_stride=window.stride[0],
            col_stride=window.stride[1],
            row_dilation=window.dilation[0],
            col_dilation=window.dilation[1],
        )

    def set_input(self, tile: ActTile, looked: InputTile, value: Value) -> None:
        patch = looked.patch
        self.stream.set(
            isa.Input,
            act=tile.act,
            row=tile.row,
            block=tile.block,
            zero_point=value.zero_point,
            unsigned=int(value.dtype == "uint8"),
        )
        self.stream.set(
            isa.Extent,
            height=patch.rows.size,
            width=patch.cols.size,
            top=looked.top,
            left=looked.left,
        )

    def set_output(self, tile: ActTile, op: ops.Op, clip: ops.Clip) -> None:
        """clip: of the result, before a table."""
        if self.wide:
            mid = clip if op.residual is None else op.residual.pre_add_clip
            self.stream.set(
                isa.Limits, low=clip.low, high=clip.high, mid_low=mid.low, mid_high=mid.high
            )
            clip = NO_CLIP
        self.stream.set(
            isa.Output,
            act=tile.act,
            row=tile.row,
            block=tile.block,
            height=tile.patch.rows.size,
            width=tile.patch.cols.size,
            zero_point=op.made_of.zero_point,
            low=clip.low,
            high=clip.high,
            unsigned=int(op.y.value.dtype == "uint8"),
            lookup=int(op.table is not None),
        )

    def set_operand(self, tile: ActTile, op: ops.Op, par: int) -> None:
        """par: row of the scaling."""
        assert op.operand is not None
        value, mid = op.operand.value, op.residual
        extra = {}
        if self.wide:
            extra = {"mid_low": NO_CLIP.low, "mid_high": NO_CLIP.high}
        elif mid is not None:
            extra = {
                "mid_zero_point": mid.own.zero_point,
                "mid_low": mid.pre_add_clip.low,
                "mid_high": mid.pre_add_clip.high,
            }
            if mid.table is not None:
                extra["mid_lookup"] = 1 + (mid.pre_add.dtype == "uint8")
        self.stream.set(
            isa.Operand,
            act=tile.act,
            row=0 if op.operand_of_channels else tile.row,
            block=0 if op.operand_of_pixels else tile.block,
            zero_point=value.zero_point,
            unsigned=int(value.dtype == "uint8"),
            par=par,
            step=int(not op.operand_of_channels),
            spread=int(op.operand_of_pixels),
            **extra,
        )
