"""Row registers: strips, what depthwise layers reach with them, and time against the stepped
unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conftest import SEED
from tests.accel_model.by_name import with_lanes
from zeroskip.accel_model.reference.convolution import Outcome
from zeroskip.accel_model.reference.rows import RowWork, rows_of, step_rows, strip_width
from zeroskip.accel_model.spec import ACT_ROW, AccelSpec, load_spec, targets
from zeroskip.accel_model.timing.row_unit import (
    RowUnit,
    Strip,
    kernel_cycles,
    row_timing,
    strip_of,
)
from zeroskip.accel_model.timing.shape import WindowShape

SPEC = load_spec("sparse256")


def unit_of(spec: AccelSpec = SPEC) -> RowUnit:
    unit = spec.kind.row_unit(spec)
    assert unit is not None
    return unit


def window(
    kernel: tuple[int, int],
    output: tuple[int, int] = (28, 28),
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> WindowShape:
    size = [
        (n - 1) * step + (k - 1) * wide + 1
        for n, step, k, wide in zip(output, stride, kernel, dilation, strict=True)
    ]
    return WindowShape(size[1], size[0], size[1], 0, 0, *kernel, *stride, *dilation, *output)


@pytest.mark.parametrize(
    ("shape", "weighted", "strip"),
    [
        (window((3, 3)), True, Strip(5, 3)),
        (window((5, 5)), True, Strip(3, 5)),
        (window((7, 7)), True, Strip(2, 7)),
        (window((3, 3), stride=(2, 2)), True, Strip(5, 3)),
        (window((3, 3), dilation=(2, 2)), True, Strip(5, 3)),
        (window((3, 3), output=(7, 4)), True, Strip(4, 3)),  # no wider than the image
        (window((3, 1)), True, Strip(8, 2)),  # accumulators of rows in flight
        (window((3, 1), output=(1, 28)), True, Strip(16, 1)),
        (window((2, 2), stride=(2, 2)), False, Strip(8, 2)),
        (window((7, 7), output=(1, 1)), False, Strip(1, 7)),  # a global pool
        (window((9, 9)), False, Strip(1, 9)),
        (window((9, 9)), True, None),  # 9 rows of 16 bytes in 64
        (window((1, 1)), True, None),
        (window((3, 3), stride=(4, 4)), True, None),  # 15 pixels for 12 products
        (window((1, 17)), False, None),
        (window((3, 3), dilation=(1, 8)), True, None),  # 17 pixels
        (window((9, 1)), False, None),  # accumulators for 3 outputs, of which 4 go tap by tap
        (window((40, 1), output=(40, 1)), False, None),  # 41 rows of sums in 32 accumulators
    ],
)
def test_strips(shape: WindowShape, weighted: bool, strip: Strip | None) -> None:
    assert strip_of(unit_of(), shape, weighted) == strip


MOBILENET = [  # outputs a side, channels, stride, multiplies a cycle at least
    (112, 32, 1, 230),
    (56, 144, 1, 220),
    (28, 192, 1, 215),
    (14, 576, 1, 210),
    (7, 960, 1, 160),
    (56, 96, 2, 115),
    (14, 192, 2, 105),
]


@pytest.mark.parametrize(("side", "channels", "stride", "least"), MOBILENET)
def test_multiplies_a_cycle_of_mobilenets_layers(
    side: int, channels: int, stride: int, least: int
) -> None:
    """Tap by tap there are 64; with a stride of 2 fetching 4 pixels a cycle decides."""
    shape = window((3, 3), (side, side), (stride, stride))
    strip = strip_of(unit_of(), shape, True)
    assert strip is not None
    cycles = row_timing(unit_of(), shape, strip, channels // 16, kernel_cycles(9), False).cycles
    assert least < 9 * side * side * channels / cycles < 240


def stepped(spec: AccelSpec, work: RowWork) -> Outcome:
    outcome, rows = Outcome(), rows_of(spec)
    assert rows is not None
    step_rows(spec, rows, work, outcome)
    return outcome


@pytest.mark.parametrize("case", range(30))
def test_many_blocks_take_what_stepping_takes(case: int) -> None:
    """Blocks that repeat are added up; any array, with and without weights and an operand."""
    rng = np.random.default_rng([SEED, case])
    spec = with_lanes(
        replace(SPEC, sram=replace(SPEC.sram, act_banks=int(rng.choice([1, 2, 8])))),
        lanes=int(rng.choice([16, 32, 64])),
        drain_width=int(rng.choice([16, 32, 64])),
        row_pixels=int(rng.choice([8, 16])),
    )
    kernel = (int(rng.integers(1, 6)), int(rng.integers(2, 6)))
    output = (int(rng.integers(1, 6)), int(rng.integers(1, 9)))
    stride = (int(rng.integers(1, 3)),) * 2
    blocks, operand, weighted = 24, bool(rng.random() < 0.3), bool(rng.random() < 0.6)
    shape = window(kernel, output, stride)
    work = RowWork(16 * blocks, kernel, stride, (1, 1), output, operand, weighted)
    strip = strip_of(unit_of(spec), shape, weighted)
    assert strip_width(rows_of(spec), work) == (0 if strip is None else strip.pixels)
    if strip is None:
        return
    words = kernel_cycles(kernel[0] * kernel[1]) if weighted else 0
    timing = row_timing(unit_of(spec), shape, strip, blocks, words, operand)
    outcome = stepped(spec, work)
    assert timing.cycles == outcome.cycles
    assert ACT_ROW * timing.fetched == outcome.events["act_fetched"]


@pytest.mark.parametrize("operand", [False, True])
def test_slow_writes_hold_up_the_strip_after(operand: bool) -> None:
    """A row of 5 outputs is written in 5 cycles and multiplied in 3, one of the 2 left over in 2
    and 3: only accumulators (and the operand's registers) keep the second strip from catching
    up."""
    spec = with_lanes(SPEC, drain_width=16)
    shape = window((3, 3), (28, 7))
    strip = strip_of(unit_of(spec), shape, True)
    assert strip == (5, 3)
    timing = row_timing(unit_of(spec), shape, strip, 1, kernel_cycles(9), operand)
    work = RowWork(16, (3, 3), (1, 1), (1, 1), (28, 7), operand, weighted=True)
    assert timing.cycles == stepped(spec, work).cycles
    assert timing.cycles > 28 * 5 + 26 * 3  # a few rows ahead, not a whole strip


@pytest.mark.parametrize(
    "changes", [{"fetch": 2}, {"banks": 2}, {"written": 1}, {"register": 5}, {"multipliers": 8}]
)
def test_less_hardware_is_slower(changes: dict[str, int]) -> None:
    shape = window((3, 3))
    cycles = []
    for unit in (unit_of(), unit_of()._replace(**changes)):
        strip = strip_of(unit, shape, True)
        assert strip is not None
        cycles.append(row_timing(unit, shape, strip, 4, kernel_cycles(9), False).cycles)
    assert cycles[0] < cycles[1]


def test_weights_are_waited_for_once_where_outputs_are_few() -> None:
    """One output: 25 products of a channel take 5 cycles, and 8 words 8."""
    shape = window((5, 5), (1, 1))
    strip = strip_of(unit_of(), shape, True)
    assert strip is not None
    with_weights, without = (
        row_timing(unit_of(), shape, strip, 10, words, False).cycles
        for words in (kernel_cycles(25), 0)
    )
    assert kernel_cycles(25) == 8
    assert with_weights - without < kernel_cycles(25)  # 2 fetches for each of 5 rows hide the rest


def test_targets_with_row_registers() -> None:
    """Those of lanes; what is published of the others says nothing of such."""
    with_rows = {name for name in targets() if load_spec(name).kind.row_unit(load_spec(name))}
    assert with_rows == {"dense256", "sparse256", "sparse256_int16", "pattern256"}
    assert unit_of() == RowUnit(16, 16, 4, 32, 2, 64)
