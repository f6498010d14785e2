"""What lanes pass over in padding: taps, the order of outputs, repeats of groups, prices and the
machine's counters. Cycles are held to the stepped reference in ``test_lanes.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.accel_model.by_name import LANE_KINDS, conv_cycles, lanes
from tests.accel_model.by_name import stages as format_stages
from tests.accel_model.test_timing import TARGETS, random_conv
from zeroskip.accel_model.conformance import RandomConvolution
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import load_spec
from zeroskip.accel_model.timing import lane_array, lane_simulation
from zeroskip.accel_model.timing.padding import (
    PatchShare,
    worked_steps,
    worked_taps,
    written_cycles,
)
from zeroskip.accel_model.timing.shape import Strips, WindowShape, counted_outputs

FOURS = Strips(4, 4, 32)
SAME = WindowShape(14, 14, 14, -1, -1, 3, 3, 1, 1, 1, 1, 14, 14)  # 3x3, padding 1, 14 x 14


def test_border_columns_are_counted_by_themselves() -> None:
    rows, columns = counted_outputs(SAME, FOURS)
    assert columns[:14].tolist() == [0] * 14
    assert rows[:14].tolist() == list(range(14))
    assert columns[14:26].tolist() == list(range(1, 13))
    assert columns[-14:].tolist() == [13] * 14
    assert len({*zip(rows.tolist(), columns.tolist(), strict=True)}) == 196
    plain = np.arange(196)
    # strips of 14 outputs have no group of 15; in two banks a fetch takes 2 cycles, and 4 of them 8
    for strips in (None, Strips(15, 4, 32), Strips(8, 4, 1), Strips(8, 2, 2)):
        rows, columns = counted_outputs(SAME, strips)
        assert (rows * 14 + columns == plain).all()


def test_groups_pass_over_the_kernel_rows_and_columns_of_their_borders() -> None:
    worked = worked_taps(SAME, FOURS)
    first, above, middle = (worked.taps[worked.sets[n]].tolist() for n in (0, 4, 20))
    assert first == [False, True, True] * 3  # four outputs of the first column
    assert above == [False] * 3 + [True] * 6  # four of the first row between the border columns
    assert all(middle)
    # rows and strips end within fours, which work on what any of their outputs needs: 12 outputs
    # leave out a column of the kernel, 8 a row
    assert worked.outputs.tolist() == [176, 188, 176, 184, 196, 184, 176, 188, 176]


def test_outputs_of_one_column_are_written_one_by_one() -> None:
    writes = written_cycles(SAME, FOURS, 2)
    assert writes[:4].tolist() == [4, 4, 4, 3]  # two of the first column, two of the inner ones
    assert (writes[5:40] == 2).all()


@pytest.mark.parametrize("seed", range(24))
def test_the_share_of_patches_is_that_of_each_of_them(seed: int) -> None:
    """Of large kernels too, which see padding from several rows of patches: single rows of 5x5
    kernels were priced at four fifths."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 20, 2))
    kernel, stride = int(rng.choice([3, 5, 7])), int(rng.integers(1, 3))
    size = (height - 1) * stride + 1, (width - 1) * stride + 1
    before = -(kernel // 2)
    window = WindowShape(
        size[1], *size, before, before, kernel, kernel, stride, stride, 1, 1, height, width
    )
    high, wide = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
    strips = Strips(int(rng.choice([1, 4, 8])), 1, 32)
    worked = 0
    for y in range(0, height, high):
        for x in range(0, width, wide):
            patch = window._replace(
                top=before + y * stride,
                left=before + x * stride,
                out_height=min(high, height - y),
                out_width=min(wide, width - x),
            )
            worked += int(worked_taps(patch, strips).outputs.sum())
    share = PatchShare(window, strips).of(high, wide)
    assert share == worked / (window.taps * window.outputs), f"seed {seed}"


@pytest.mark.parametrize("kind", LANE_KINDS)
def test_rounds_between_the_borders_are_added_up_exactly(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the same recurrence stepped through every group of outputs."""
    rng, array = np.random.default_rng(7), lanes(load_spec(TARGETS[kind]))
    window = WindowShape(40, 40, 40, -1, -1, 3, 3, 1, 1, 1, 1, 40, 40)
    worked, whole = worked_taps(window, FOURS), format_stages(kind, 20, 9)
    steps = worked_steps(whole, 9 if kind == "pattern" else 1, worked)
    work = np.repeat(np.maximum(steps.window_entries // 2, 1)[:, np.newaxis], 70, axis=1)
    if kind != "dense":
        work = rng.integers(1, work + 1).astype(np.int32)
    groups = len(worked.sets)
    case: dict[str, Any] = {
        "array": array,
        "kind": kind,
        "work": work.astype(np.int32),
        "order": np.arange(70, dtype=np.int32),
        "reduction_steps": steps,
        "fetch": np.ones(groups, np.int32),
        "outputs": lane_array.group_pixels(1600, 4),
        "operand": None,
        "gang": 0,
        "out_blocks": 5,
        "last": True,
        "writes": written_cycles(window, FOURS, 2),
        "sets": worked.sets,
    }
    found = conv_cycles(**case)
    monkeypatch.setattr(
        lane_simulation,
        "simulate",
        lane_simulation.simulate.py_func,  # type: ignore[attr-defined]  # numba's
    )
    stepped: list[int] = []
    plain = lane_simulation._tile

    def tile(*arguments: Any) -> None:
        stepped.append(1)
        plain(*arguments)

    monkeypatch.setattr(lane_simulation, "_tile", tile)
    assert conv_cycles(**case) == found
    assert len(stepped) < groups / 2
    stepped.clear()
    monkeypatch.setattr(lane_simulation, "_period", lambda tile_ft, *_: len(tile_ft))
    assert conv_cycles(**case) == found
    assert len(stepped) == groups


@pytest.mark.parametrize("kind", LANE_KINDS)
@pytest.mark.parametrize("high", [1, 4])
def test_a_patch_that_sees_only_padding_is_priced_at_its_drain(kind: str, high: int) -> None:
    """Nothing is multiplied, every sum is requantized and written all the same; these windows were
    priced at nothing (found by seed 2709638468 of ``test_every_kind_conforms``)."""
    spec = load_spec(TARGETS[kind])
    tile = RandomConvolution(spec, np.random.default_rng([2709638468, 0]), filters=20)
    whole = tile.window._replace(top=-9, left=-9, out_height=high, out_width=4)
    case = replace(tile.case, window=whole, inputs=None, last=True)
    cycles = spec.kind.conv(spec, case).cycles
    price = spec.kind.price(spec, case)
    assert price.cycles_of(np.array([high]), np.array([4])) == pytest.approx(cycles, rel=0.2)
    patches = price.plus(price, 2).times(3).cycles_of(np.array([high]), np.array([4]))
    assert patches == pytest.approx(9 * cycles, rel=0.2)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_machine_counts_what_it_passes_over(kind: str) -> None:
    """The audit wants multiplies done and passed over to be the layer's."""
    runs = []
    for skip in (0, 1):
        hand, made = random_conv(kind, 0, skip)
        runs.append(Machine(hand.spec).run(hand.program(), hand.data))
        pc = made["pc"]
    every, some = ({name: int(run.counters[name][pc]) for name in run.counters} for run in runs)
    assert every["passed_over"] == 0
    above = np.count_nonzero(made["weight"][:, :, 0])  # of the kernel's first row
    assert some["passed_over"] == 4 * above > 0  # for the one four outputs within the first row
    assert some["macs"] == every["macs"] - some["passed_over"]
    assert some["real_macs"] == every["real_macs"]
    assert some["cycles"] < every["cycles"]
    assert some["wgt_words"] < every["wgt_words"]
    assert np.array_equal(runs[0].outputs["y"], runs[1].outputs["y"])
