"""Programs written by hand: the examples compute what they say, mistakes are named by line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from zeroskip.accel_model.isa.instructions import BY_MNEMONIC, UNITS
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.assembly_program import SourceError, read_source

EXAMPLES = Path(__file__).parents[2] / "examples" / "assembly"
SMALL = ".target dense256\n.input x int8 16x1x1 0x40\n.output y int8 16x1x1 0x80\n"


def run(
    name: str, seed: int | None = None
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.generic]]]:
    """The example's input, without its batch, and its outputs likewise."""
    program = read_source((EXAMPLES / f"{name}.asm").read_text(encoding="utf-8"), name)
    x = program.inputs[0]
    low, high = np.iinfo(x.dtype).min, np.iinfo(x.dtype).max
    values = np.random.default_rng(0).integers(low, high + 1, (1, x.channels, *x.spatial))
    done = Machine(program.spec).run(program, {"x": values.astype(x.dtype)}, seed=seed)
    return values[0], {key: value[0] for key, value in done.outputs.items()}


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_load(seed: int | None) -> None:
    x, out = run("load", seed)
    assert np.array_equal(out["y"], np.clip([x[0] + x[1] + x[2], x[0] - x[2]], -128, 127))


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_compute(seed: int | None) -> None:
    x, out = run("compute", seed)
    quads = x.reshape(16, 2, 2, 2, 2)
    best, mean = quads.max(axis=(2, 4)), np.rint(quads.sum(axis=(2, 4)) / 4).astype(np.int64)
    total = np.clip(best + mean, -128, 127)
    edge = quads[:, :, :, :, 0].sum(axis=2) - quads[:, :, :, :, 1].sum(axis=2)
    assert np.array_equal(out["total"], total)
    assert np.array_equal(out["product"], np.clip(best * mean, 0, 127))
    assert np.array_equal(out["edge"], np.clip(edge, -128, 127))
    assert np.array_equal(out["y"][0], np.clip(total[0] - total[2], -128, 127))


def test_compute_with_16_bits() -> None:
    x, out = run("compute_int16")
    best = x.reshape(16, 2, 2, 2, 2).max(axis=(2, 4))
    assert out["y"].dtype == np.int16
    assert np.array_equal(out["y"], np.clip(best, -1000, 20000))
    assert best.max() > 20000


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_store(seed: int | None) -> None:
    x, out = run("store", seed)
    assert np.array_equal(out["same"], x)
    assert np.array_equal(out["inner"], x[:, 1:3, 2:5])
    assert np.array_equal(out["pairs"], x[[4, 5, 6, 7, 0, 1, 2, 3]])


@pytest.mark.parametrize("unit", UNITS)
def test_each_unit_has_an_example_of_all_its_instructions(unit: object) -> None:
    name = str(getattr(unit, "name", "")).lower()
    text = "\n".join(each.read_text(encoding="utf-8") for each in EXAMPLES.glob(f"{name}*.asm"))
    used = {line.split()[0] for line in re.sub(r";.*", "", text).splitlines() if line.strip()}
    wanted = {mnemonic for mnemonic, cls in BY_MNEMONIC.items() if cls.unit == unit}
    assert wanted <= used


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no accelerator"),
        (".target nowhere", "line 1: target 'nowhere' is not known"),
        (".target dense256\n.target dense256", "line 2: .target is given twice"),
        (".target dense256\nfly x=1", "line 2: 'fly' is not an instruction"),
        (".target dense256\n.words 0 1", "line 2: '.words 0 1' is not a directive"),
        (".u8 0", "line 1: '.u8 0' is not a directive"),
        (".u8 0 256", "line 1: 256 is outside 0..255"),
        (".i8 0 x", "line 1: 'x' is not an integer"),
        (".u8 -1 0", "line 1: address -1 is outside"),
        (".target dense256\n.u8 0xfffffff0 1", "the image ends at byte"),
        (".input x float32 1x1 0", "line 1: tensor 'x' is float32"),
        (".input x int8 16 0", "line 1: tensor 'x' has shape 16"),
        (".input x int8 0x4 0", "line 1: tensor 'x' has shape 0x4"),
        (".input x int8 65536x65536 1", "line 1: tensor 'x' ends beyond"),
        (
            SMALL.replace("int8", "int16"),
            "activations of 16 bits, and its target 'dense256' stores 8",
        ),
        (
            SMALL.replace("dense256", "sparse256_int16").replace("x int8", "x int16"),
            "tensor 'y' of the program is int8, and its activations have 16 bits: int16",
        ),
        (
            ".target sparse256_int16\n.input x int16 16x1x1 0x41",
            "tensor 'x' of the program begins at byte 65, within a word of 16 bits",
        ),
        (SMALL + ".u8 0x7f 1 2", "tensor 'x' begins at 0x40, within the constants"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)) as problem:
        read_source(text, "own.asm")
    assert str(problem.value).startswith("own.asm")
    assert "\n" not in str(problem.value)
