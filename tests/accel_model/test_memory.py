"""What must not be read, written or used stops the run with one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.accel_model.programs import Hand, par_rows, scalar_row
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.instructions import Instruction
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.memory.address_sets import (
    ShadowLayout,
    bursts,
    first_unwritten,
    last_access,
    set_bits,
    stamp,
)
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.program import LayerInfo
from zeroskip.accel_model.spec import load_spec

SPEC = load_spec("sparse256")
SHAPE = isa.LoadShape(dram_pixel=16, dram_row=64, dram_block=256, act_row=4, act_block=16)


def network() -> Hand:
    """A maximum over 3 x 3 of a [1, 20, 4, 4] input, with provenance."""
    hand = Hand(SPEC)
    hand.layers.append(
        LayerInfo("features.3", "features.3", "maxpool", (1, 20, 4, 4), 0, 0, 0, 1, 1, 0, "")
    )
    here, result = hand.room(20, (4, 4)), hand.room(20, (4, 4))
    hand.load(hand.input("x", np.zeros((1, 20, 4, 4), np.int8)), here)
    hand.add(isa.Kernel(rows=3, cols=3, row_stride=1, col_stride=1, row_dilation=1, col_dilation=1))
    hand.set_input(here, (4, 4), 0, 0, -1, -1)
    hand.set_output(result, (4, 4), 0, -128, 127, 0)
    hand.add(isa.MaxPool(channels=20))
    hand.store(hand.output("y", 20, (4, 4), "int8"), result)
    return hand


def changed(hand: Hand, cls: type[Instruction], **fields: int) -> Hand:
    """The first instruction of a class with other fields."""
    pc = next(pc for pc, one in enumerate(hand.stream) if isinstance(one, cls))
    hand.stream[pc] = replace(hand.stream[pc], **fields)
    return hand


def without(hand: Hand, cls: type[Instruction]) -> Hand:
    hand.stream = [one for one in hand.stream if not isinstance(one, cls)]
    return hand


def convolution(**fields: int) -> Hand:
    """A 1 x 1 convolution of 20 channels to 5; fields of its ``conv``."""
    hand = Hand(SPEC)
    here, result = hand.room(20, (2, 2)), hand.room(5, (2, 2))
    hand.load(hand.input("x", np.ones((1, 20, 2, 2), np.int8)), here)
    hand.add(isa.Kernel(rows=1, cols=1, row_stride=1, col_stride=1, row_dilation=1, col_dilation=1))
    hand.set_input(here, (2, 2), 0, 0)
    hand.set_output(result, (2, 2), 0, -128, 127, 0)
    par = hand.params(par_rows(np.zeros(5), np.ones(5), np.ones(5)))
    wgt = hand.weights(np.ones((5, 20, 1, 1), np.int8), np.arange(5), 0, "bitmap")
    given = {
        "wgt": wgt,
        "par": par,
        "acc": 0,
        "filters": 5,
        "channels": 20,
        "mode": 0,
        "first": 1,
        "last": 1,
        "residual": 0,
    }
    hand.add(isa.Conv(**{**given, **fields}))
    hand.store(hand.output("y", 5, (2, 2), "int8"), result)
    return hand


def residual(**fields: int) -> Hand:
    """The same with its first rows added; fields of its ``operand``."""
    hand = convolution(residual=1)
    par = hand.params(scalar_row(1, 1, shift=1))
    hand.add(isa.Operand(act=0, row=2, block=4, zero_point=0, unsigned=0, par=par, **fields))
    pc = next(pc for pc, one in enumerate(hand.stream) if isinstance(one, isa.Conv))
    hand.stream[pc:] = hand.stream[-2:] + hand.stream[pc:-2]
    return hand


def stopped(hand: Hand, numbers: bool = True) -> str:
    with pytest.raises(MachineError) as caught:
        Machine(SPEC).run(hand.program(), hand.data, numbers=numbers)
    return str(caught.value)


CASES: list[tuple[str, Callable[[], Hand], str]] = [
    ("row never loaded", lambda: changed(network(), isa.Load, height=3), "ACT row 12, which was"),
    (
        "bytes never loaded",
        lambda: changed(network(), isa.Load, bytes=15),
        "ACT row 0, which was never written in part",
    ),
    (
        "input beyond ACT",
        lambda: changed(network(), isa.Input, act=65535),
        "reads ACT rows 65535..65550, but there are 17408",
    ),
    ("output beyond ACT", lambda: changed(network(), isa.Output, act=17404), "writes ACT rows"),
    ("load beyond ACT", lambda: changed(network(), isa.Load, act=17393), "writes ACT rows 17393"),
    ("load beyond DRAM", lambda: changed(network(), isa.Load, dram=0xFFFFFFF0), "reads DRAM bytes"),
    ("load of nothing", lambda: changed(network(), isa.Load, dram=4096), "reads DRAM byte 4096"),
    ("bytes past the row", lambda: changed(network(), isa.Load, lane=1), "moves elements 1..16"),
    (
        "store over weights",
        lambda: changed(convolution(), isa.Store, dram=0),
        "holds weights and parameters",
    ),
    ("store twice", lambda: changed(network(), isa.StoreShape, dram_pixel=8), "DRAM twice"),
    ("load twice", lambda: changed(network(), isa.LoadShape, act_row=3), "ACT twice"),
    ("output twice", lambda: changed(network(), isa.Output, block=0), "ACT twice"),
    ("output over input", lambda: changed(network(), isa.Output, act=5), "that it reads itself"),
    ("no kernel", lambda: without(network(), isa.Kernel), "needs what `kernel` sets"),
    ("no input", lambda: without(network(), isa.Input), "needs what `input` sets"),
    ("no output", lambda: without(network(), isa.Output), "needs what `output` sets"),
    ("no load shape", lambda: without(network(), isa.LoadShape), "needs what `loadshape` sets"),
    ("no store shape", lambda: without(network(), isa.StoreShape), "needs what `storeshape` sets"),
    ("limits", lambda: changed(network(), isa.Output, high=200), "not a range of int8"),
    ("nothing stored", lambda: without(network(), isa.Store), "output 'y' is not complete"),
    ("wgt never loaded", lambda: convolution(wgt=1), "reads WGT row 7, which was never written"),
    ("wgt beyond", lambda: convolution(wgt=60000), "reads WGT rows 60000"),
    ("more filters", lambda: convolution(filters=6), "reads WGT row 0, which was never written"),
    ("other channels", lambda: convolution(channels=17), "cannot decode its weights"),
    ("mode", lambda: convolution(mode=7), "asks for mode 7, and the array has 0..6"),
    ("par never loaded", lambda: convolution(par=1), "reads PAR row 9, which was never written"),
    ("par beyond", lambda: convolution(par=16383), "reads PAR rows"),
    ("acc never written", lambda: convolution(first=0), "reads ACC row 0, which was never written"),
    ("acc beyond", lambda: convolution(last=0, acc=511), "writes ACC rows 511..514"),
    ("no operand", lambda: convolution(residual=1), "needs what `operand` sets"),
    ("own limits", lambda: residual(mid_high=128), "limits its own result to -128..128, not"),
    ("own limits swapped", lambda: residual(mid_low=9, mid_high=8), "not a range of 8 bits"),
    ("weights size", lambda: changed(convolution(), isa.LoadWeights, size=8), "do not add up"),
    ("weights beyond", lambda: changed(convolution(), isa.LoadWeights, wgt=575), "writes WGT rows"),
]


@pytest.mark.parametrize(
    ("make", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_stops(make: Callable[[], Hand], said: str) -> None:
    assert said in stopped(make())


@pytest.mark.parametrize("make", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_stops_without_numbers_too(make: Callable[[], Hand]) -> None:
    assert stopped(make(), numbers=False) == stopped(make())


def test_unchanged_programs_run() -> None:
    for hand in (network(), convolution(), residual()):
        Machine(SPEC).run(hand.program(), hand.data)


def test_error_names_pc_instruction_and_layer() -> None:
    hand = changed(network(), isa.Load, height=3)
    pc = next(pc for pc, one in enumerate(hand.stream) if isinstance(one, isa.MaxPool))
    assert stopped(hand).startswith(f"pc {pc} maxpool of 'features.3': reads ACT row 12")


def test_padding_is_not_read() -> None:
    """Rows that no tap reaches may be unwritten: one output in the corner sees 2 x 2."""
    hand = network()
    changed(hand, isa.Load, height=2)
    hand.stream = [
        replace(one, height=1, width=1) if isinstance(one, isa.Output | isa.Store) else one
        for one in hand.stream
    ]
    hand.outputs.clear()
    Machine(SPEC).run(hand.program(), hand.data)


def test_sum_that_does_not_fit() -> None:
    hand = convolution()
    rows = par_rows(np.full(5, (1 << 31) - 1), np.ones(5), np.ones(5)).tobytes()
    hand.image[: len(rows)] = rows
    assert "does not fit in int32" in stopped(hand)


@pytest.mark.parametrize("shift", [0, 63])
def test_shift_that_means_nothing(shift: int) -> None:
    hand = convolution()
    rows = par_rows(np.zeros(5), np.ones(5), np.full(5, shift)).tobytes()
    hand.image[: len(rows)] = rows
    assert f"shifts by {shift}" in stopped(hand)


def test_pool_that_sees_nothing() -> None:
    hand = changed(network(), isa.Extent, top=-7)
    hand.stream = [
        replace(one, row_dilation=1) if isinstance(one, isa.Kernel) else one for one in hand.stream
    ]
    assert "no pixel of the input tile" in stopped(hand)


def test_add_takes_one_tap() -> None:
    hand = network()
    par = hand.params(scalar_row(1, 1, shift=1))
    pc = next(pc for pc, one in enumerate(hand.stream) if isinstance(one, isa.MaxPool))
    hand.stream[pc : pc + 1] = [
        isa.Operand(act=0, row=4, block=16, zero_point=0, unsigned=0, par=par),
        isa.Add(channels=20),
    ]
    assert "needs a kernel of one tap" in stopped(hand)


def test_other_description_is_refused() -> None:
    hand = network()
    other = replace(SPEC, clock_mhz=501.0)
    with pytest.raises(MachineError, match="another description; compile it again"):
        Machine(other).run(hand.program(), hand.data)


def test_inputs_are_checked() -> None:
    hand = network()
    program = hand.program()
    with pytest.raises(MachineError, match="input 'x' is missing; give it as int8"):
        Machine(SPEC).run(program, {})
    with pytest.raises(MachineError, match=r"is uint8 \[1, 20, 4, 4\]; give it as int8"):
        Machine(SPEC).run(program, {"x": hand.data["x"].view(np.uint8)})
    with pytest.raises(MachineError, match=r"is int8 \[1, 20, 4, 3\]; give it as int8"):
        Machine(SPEC).run(program, {"x": hand.data["x"][..., :3]})


def test_multiplies_are_audited() -> None:
    hand = network()
    hand.layers[0] = replace(hand.layers[0], effectual=5)
    assert stopped(hand) == (
        "audit of layer 'features.3': 0 multiplies were done and 0 passed over, not 5"
    )
    hand = network()
    hand.layers[0] = replace(hand.layers[0], real_macs=5)
    assert stopped(hand) == (
        "audit of layer 'features.3': 0 multiplies were by inputs within the image, not 5"
    )


CELLS = st.builds(
    AddressSet,
    st.integers(0, 20),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 9),
    st.integers(1, 4),
    st.integers(0, 30),
    st.integers(1, 3),
    st.integers(0, 60),
)


PLAIN = np.array(ShadowLayout(400, 0, 0, 0, 0, 0))


def named(cells: AddressSet) -> list[int]:
    """The addresses, one by one."""
    return [
        cells.first + b * cells.block + y * cells.row + x * cells.pixel + i
        for b in range(cells.blocks)
        for y in range(cells.height)
        for x in range(cells.width)
        for i in range(cells.length)
    ]


@settings(derandomize=True)
@given(CELLS)
def test_cells_are_the_addresses_of_their_equation(cells: AddressSet) -> None:
    names = named(cells)
    ticks = np.zeros(400, np.int32)
    stamp(ticks, np.array(cells), PLAIN, 7)
    assert set(np.flatnonzero(ticks)) == set(names)
    assert cells.last == max(names)
    assert cells.total == len(names)
    assert cells.repeats() == (len(set(names)) < len(names))
    assert sorted(named(cells.joined())) == sorted(names)
    assert cells.of(np.arange(400)).reshape(-1).tolist() == names


@settings(derandomize=True)
@given(CELLS, st.integers(0, 399))
def test_records_over_cells(cells: AddressSet, odd: int) -> None:
    names, row = named(cells), np.array(cells)
    ticks, written = np.zeros(400, np.int32), np.full(400, 3, np.int32)
    ticks[odd], written[odd] = 5, 1
    assert last_access(ticks, row, PLAIN) == (5 if odd in names else 0)
    assert first_unwritten(written, row, PLAIN, 2) == (odd if odd in names else -1)
    runs = [named(cells)[i : i + cells.length] for i in range(0, len(names), cells.length)]
    assert bursts(row, 8) == sum(len({n // 8 for n in run}) for run in runs)
    set_bits(written, row, PLAIN, 12)
    assert [n for n in range(400) if written[n] & 12 == 12] == sorted(set(names))


@settings(derandomize=True)
@given(CELLS, st.integers(0, 399), st.integers(0, 100), st.integers(0, 5))
def test_records_of_16_cells_together(cells: AddressSet, odd: int, fixed: int, gap: int) -> None:
    """The first ``fixed`` cells have no records; those of the others begin ``gap`` records in."""
    place = np.array(ShadowLayout(400, fixed, 4, gap - (fixed >> 4), 0, 0))
    names, row = {n for n in named(cells) if n >= fixed}, np.array(cells)
    records = np.zeros(gap + 26, np.int32)
    stamp(records, row, place, 7)
    assert set(np.flatnonzero(records)) == {gap + (n >> 4) - (fixed >> 4) for n in names}
    if odd >= fixed:
        records[:] = 0
        records[gap + (odd >> 4) - (fixed >> 4)] = 5
        assert last_access(records, row, place) == (5 if odd >> 4 in {n >> 4 for n in names} else 0)
    written = np.zeros(gap + 26, np.int32)
    set_bits(written, row, place, 0xFFFF)
    seen = {n for n in range(fixed, 400) if written[gap + (n >> 4) - (fixed >> 4)] >> (n & 15) & 1}
    assert seen == names
    assert first_unwritten(written, row, place, 0xFFFF) == -1
    if odd in names:
        written[gap + (odd >> 4) - (fixed >> 4)] &= ~(1 << (odd & 15))
        assert first_unwritten(written, row, place, 0xFFFF) == odd
