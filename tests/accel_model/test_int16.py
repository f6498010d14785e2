"""Programs of 16-bit activations: what registers may say, and products that would not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.assembly_program import read_source
from zeroskip.accel_model.spec import SpecError, load_spec, parse_spec

ROOT = Path(__file__).parents[2]
TARGETS = ROOT / "accel_model" / "targets"
TEXT = (ROOT / "examples" / "assembly" / "compute_int16.asm").read_text(encoding="utf-8")
ONE = """
.target sparse256_int16
.input  x int16 1x1x1 0x200
.output y int16 1x1x1 0x240
.i32 0x000 {bias}
.i32 0x040 {mult}
.u8  0x080 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
.i32 0x090 {mult} 1
.u32 0x100 0x20000 1
loadparams par=0 dram=0 rows=10
loadweights wgt=0 dram=0x100 size=8 mode=0
loadshape dram_pixel=2 dram_row=2 dram_block=0 act_row=1 act_block=0
load act=0 dram=0x200 width=1 height=1 blocks=1 bytes=1 lane=0 post=compute
kernel rows={size} cols={size} row_stride=1 col_stride=1 row_dilation=1 col_dilation=1 wait=load
input act=0 row=1 block=0 zero_point=0 unsigned=0
extent height=1 width=1 top=0 left=0
output act=1 row=1 block=0 height=1 width=1 zero_point=0 low=0 high=0 unsigned=0
limits low=-32768 high=32767
{work} post=store
storeshape dram_pixel=2 dram_row=2 dram_block=0 act_row=1 act_block=0
store act=1 dram=0x240 width=1 height=1 blocks=1 bytes=1 lane=0 wait=compute
"""
DEPTHWISE, AVERAGE = "depthwise wgt=0 par=0 channels=1 residual=0", "avgpool channels=1 par=9"


def run(text: str, x: int = 300) -> Run:
    program = read_source(text, "own.asm")
    (given,) = program.inputs
    values = np.full((1, given.channels, *given.spatial), x, given.dtype)
    return Machine(program.spec).run(program, {given.name: values})


def one(work: str, mult: int, size: int = 1, bias: int = 0) -> str:
    return ONE.format(work=work, mult=mult, size=size, bias=bias)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "zero_point=0 unsigned=0\nextent",
            "zero_point=3 unsigned=0\nextent",
            "sets zero_point=3, w",
        ),
        (
            "zero_point=0 unsigned=0\nextent",
            "zero_point=0 unsigned=1\nextent",
            "sets unsigned=1, wh",
        ),
        ("low=0 high=0", "low=0 high=9", "sets high=9, which is of activations of 8 bits"),
        ("unsigned=0\nlimits", "unsigned=0 lookup=1\nlimits", "sets lookup=1, which is of activ"),
        ("limits low=-1000 high=20000", "", "needs what `limits` sets, and none came before it"),
        ("low=-1000 high=20000", "low=7 high=6", "limits its output to 7..6, not a range of int16"),
    ],
)
def test_registers_of_8_bits_say_nothing(old: str, new: str, said: str) -> None:
    run(TEXT)
    assert TEXT.count(old) == 1
    with pytest.raises(MachineError, match=said):
        run(TEXT.replace(old, new))


def test_limits_are_of_16_bits_only() -> None:
    narrow = ONE.replace("sparse256_int16", "sparse256").replace("int16", "int8")
    text = narrow.format(work=DEPTHWISE, mult=1, size=1, bias=0)
    with pytest.raises(MachineError, match="limits results of 16 bits; `output` and `operand`"):
        run(text.replace("dram_pixel=2 dram_row=2", "dram_pixel=1 dram_row=1"), 3)


def test_a_multiplier_has_15_bits_where_sums_have_48() -> None:
    assert run(one(DEPTHWISE, 1 << 15), 1).outputs["y"].item() == 1 << 14
    assert run(one(DEPTHWISE, -(1 << 15)), 1).outputs["y"].item() == -(1 << 14)
    with pytest.raises(MachineError, match="scales by 32769, and a product with a sum may not fit"):
        run(one(DEPTHWISE, (1 << 15) + 1), 1)


def test_an_average_of_too_many_values_is_refused() -> None:
    assert run(one(AVERAGE, (1 << 31) - 1, 255)).outputs["y"].item() == 32767
    with pytest.raises(MachineError, match="scales by 2147483647, and a product with a sum may"):
        run(one(AVERAGE, (1 << 31) - 1, 257))


def test_sums_are_of_32_or_48_bits() -> None:
    spec = load_spec("sparse256_int16")
    assert (spec.acc_row_bytes, spec.acc_rows) == (96, 384)
    assert spec.acc_rows * spec.acc_row_bytes == spec.sram.acc_bytes
    assert (spec.act_row_bytes, spec.act_rows) == (32, 17792)
    text = (TARGETS / "sparse256_int16.toml").read_text(encoding="utf-8")
    with pytest.raises(SpecError, match=r"storage\.sum_bits = 40 must be a multiple of 16"):
        parse_spec(text.replace("sum_bits = 48", "sum_bits = 40"), "own.toml")
    narrow = parse_spec(text.replace("sum_bits = 48", "sum_bits = 32"), "own.toml")
    assert "sum_bits" not in narrow.table["storage"]
    assert spec.table["storage"]["sum_bits"] == 48
    other = (TARGETS / "scnn256.toml").read_text(encoding="utf-8")
    with pytest.raises(
        SpecError, match="an array of kind scnn keeps sums of 32 bits; set it to 32"
    ):
        parse_spec(f"{other}\n[storage]\nsum_bits = 48\n", "own.toml")
