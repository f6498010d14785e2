"""Each compute instruction against its equation, on random programs written by hand.

ZEROSKIP_SEED starts the random numbers elsewhere; a failing test's name has its seed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.accel_model import equations as eq
from tests.accel_model.by_name import lanes
from tests.accel_model.programs import Hand, par_rows, scalar_row
from zeroskip.accel_model.execute import channelwise, convolution, moves, registers
from zeroskip.accel_model.execute.models import MODELS
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import Tile
from zeroskip.accel_model.spec import AccelSpec, load_spec

SEED = int(os.environ.get("ZEROSKIP_SEED", "1"))
TARGETS = {"dense": "dense256", "bitmap": "sparse256", "pattern": "pattern256"}
Array = npt.NDArray[Any]
Rng = np.random.Generator


def rng_of(seed: int) -> Rng:
    return np.random.default_rng([SEED, seed])


def small(kind: str, rng: Rng) -> AccelSpec:
    """The target of this kind with a small array, so that tiles are ragged and gangs full."""
    spec = load_spec(TARGETS[kind])
    count = int(rng.choice([16, 32, 64]))
    array = replace(
        lanes(spec),
        lanes=count,
        pixels=int(rng.choice([2, 4])),
        max_gang=2,
        window_entries=int(rng.choice([256, 1024])),
    )
    sram = replace(spec.sram, wgt_bytes=spec.wgt_rows * 4 * count * 8)
    return replace(spec, array=array, sram=sram)


class Values:
    """A random 8-bit tensor with a zero point."""

    def __init__(self, rng: Rng, channels: int, spatial: tuple[int, int]) -> None:
        self.dtype = str(rng.choice(["int8", "uint8"]))
        self.low, self.high = (0, 255) if self.dtype == "uint8" else (-128, 127)
        self.unsigned = int(self.dtype == "uint8")
        self.zero_point = int(rng.integers(self.low, self.high + 1))
        self.raw = rng.integers(self.low, self.high + 1, (1, channels, *spatial)).astype(self.dtype)

    @property
    def centred(self) -> Array:
        values: Array = self.raw[0].astype(np.int64) - self.zero_point
        return values

    def limits(self, rng: Rng) -> tuple[int, int]:
        low, high = sorted(rng.integers(self.low, self.high + 1, 2).tolist())
        return (self.low, self.high) if rng.random() < 0.5 else (low, high)


def pair(rng: Rng, low: int, end: int) -> tuple[int, int]:
    return int(rng.integers(low, end)), int(rng.integers(low, end))


def random_taps(rng: Rng, shape: tuple[int, int], most: int = 4) -> eq.Taps:
    """A window on an input of this shape, with padding on any side."""
    kernel, stride, dilation = pair(rng, 1, most), pair(rng, 1, 4), pair(rng, 1, 3)
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    before, after = ([int(rng.integers(0, r + 1)) for r in reach] for _ in range(2))
    out = [
        max(1, (n + b + a - r - 1) // s + 1)
        for n, b, a, r, s in zip(shape, before, after, reach, stride, strict=True)
    ]
    return eq.Taps(kernel, stride, dilation, -before[0], -before[1], (out[0], out[1]))


def set_kernel(hand: Hand, taps: eq.Taps) -> None:
    hand.add(
        isa.Kernel(
            rows=taps.kernel[0],
            cols=taps.kernel[1],
            row_stride=taps.stride[0],
            col_stride=taps.stride[1],
            row_dilation=taps.dilation[0],
            col_dilation=taps.dilation[1],
        )
    )


def requantization(rng: Rng, channels: int, terms: int) -> tuple[Array, Array, Array]:
    """bias, mult, shift that spread sums of that many products over 8 bits."""
    shift = rng.integers(20, 32, channels)
    mult = (rng.uniform(0.2, 2, channels) / (60 * np.sqrt(terms)) * 2.0**shift).astype(np.int64)
    return rng.integers(-2000, 2000, channels), np.maximum(mult, 1), shift


def looked_up(hand: Hand, rng: Rng, y: Values, expected: Array) -> Array:
    """The expected results, or what a random table has for them, which the next instruction is
    told to take."""
    before = any(isinstance(one, isa.Operand) and one.mid_lookup for one in hand.stream)
    if before or rng.random() < 0.5:
        return expected
    table = rng.integers(0, 256, 256).astype(np.uint8)
    hand.look_up(table)
    found: Array = table[expected & 255].view(y.dtype).astype(np.int64)
    return found


def run(hand: Hand, seed: int | None = None) -> Array:
    """The output [C, rows, cols] of a program in series."""
    program = hand.program()
    found = Machine(hand.spec).run(program, hand.data, seed=seed)
    timed = Machine(hand.spec).run(program, {}, numbers=False)
    assert timed.cycles == found.cycles
    assert not timed.outputs
    values: Array = found.outputs["y"][0].astype(np.int64)
    return values


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("seed", range(25))
def test_conv(kind: str, seed: int) -> None:
    rng = rng_of(seed)
    hand = Hand(small(kind, rng))
    channels, filters = (int(n) for n in rng.integers(1, 50, 2))
    shape = pair(rng, 1, 9)
    taps = random_taps(rng, shape)
    x, y = Values(rng, channels, shape), Values(rng, filters, taps.out)
    weight = rng.integers(-127, 128, (filters, channels, *taps.kernel)).astype(np.int8)
    weight[rng.random(weight.shape) < rng.choice([0, 0.5, 0.95])] = 0
    chunk = 16 * int(rng.integers(1, 4))
    gang = int(rng.integers(0, 3))
    order = rng.permutation(filters)
    low, high = y.limits(rng)
    bias, mult, shift = requantization(rng, filters, channels * taps.kernel[0] * taps.kernel[1])
    residual = Values(rng, filters, taps.out) if rng.random() < 0.5 else None

    source = hand.input("x", x.raw)
    here = hand.room(channels, shape, gap=int(rng.integers(0, 3)))
    hand.load(source, here)
    result = hand.room(filters, taps.out)
    set_kernel(hand, taps)
    hand.set_output(result, taps.out, y.zero_point, low, high, y.unsigned)
    par = hand.params(par_rows(bias, mult, shift))
    expected = eq.q(
        eq.conv(x.centred, weight, taps) + bias[:, None, None], mult, shift, y.zero_point, low, high
    )
    if residual is not None:
        expected = add_residual(
            hand,
            rng,
            residual,
            y,
            (low, high),
            taps,
            eq.conv(x.centred, weight, taps) + bias[:, None, None],
            (mult, shift),
        )
    expected = looked_up(hand, rng, y, expected)
    table = hand.patterns(weight) if kind == "pattern" else None
    for first in range(0, channels, chunk):
        part = weight[:, first : first + chunk]
        moved = replace(here, act=here.act + first // 16 * here.block)
        hand.set_input(moved, shape, x.zero_point, x.unsigned, taps.top, taps.left)
        wgt = hand.weights(part, order, gang, kind, table)
        last = first + chunk >= channels
        hand.add(
            isa.Conv(
                wgt=wgt,
                par=par,
                acc=3,
                filters=filters,
                channels=part.shape[1],
                mode=gang,
                first=int(first == 0),
                last=int(last),
                residual=int(last and residual is not None),
            )
        )
    hand.store(hand.output("y", filters, taps.out, y.dtype), result)
    assert np.array_equal(run(hand), expected)


def add_residual(
    hand: Hand,
    rng: Rng,
    r: Values,
    y: Values,
    limits: tuple[int, int],
    taps: eq.Taps,
    sums: Array,
    scale: tuple[Array, Array],
) -> Array:
    """Load the operand and set its register; the convolution's result with it added."""
    there = hand.room(r.raw.shape[1], taps.out)
    hand.load(hand.input("r", r.raw), there)
    mult_a, mult_b = (int(m) for m in rng.integers(-(1 << 29), 1 << 29, 2))
    row = scalar_row(mult_a, mult_b, shift=29)
    mid = (int(rng.integers(-256, 256)), -120, 125)
    own, zero, lookup = eq.q(sums, *scale, *mid), mid[0], int(rng.integers(0, 3))
    if lookup:  # before the addition
        table = rng.integers(0, 256, 256).astype(np.uint8)
        zero = int(rng.integers(-300, 300))
        row[0, 10:12] = np.array([zero], "<i2").view(np.uint8)
        own = table[own & 255].view(np.int8 if lookup == 1 else np.uint8).astype(np.int64)
        hand.add(isa.Lookup(par=hand.params(table.reshape(16, 16))))
    par = hand.params(row)
    hand.add(
        isa.Operand(
            act=there.act,
            row=there.row,
            block=there.block,
            par=par,
            zero_point=r.zero_point,
            unsigned=r.unsigned,
            mid_zero_point=mid[0],
            mid_low=mid[1],
            mid_high=mid[2],
            mid_lookup=lookup,
        )
    )
    return eq.scaled_sum(own - zero, r.centred, mult_a, mult_b, 29, y.zero_point, *limits)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("name", ["depthwise", "maxpool", "avgpool", "add", "multiply"])
def test_channel_by_channel(name: str, seed: int) -> None:
    rng = rng_of(seed)
    hand = Hand(small(str(rng.choice(list(TARGETS))), rng))
    channels = int(rng.integers(1, 40))
    shape = pair(rng, 2, 9)
    taps = random_taps(rng, shape)
    if name in ("add", "multiply"):
        taps = eq.Taps((1, 1), (1, 1), (1, 1), 0, 0, shape)
    x, y = Values(rng, channels, shape), Values(rng, channels, taps.out)
    low, high = y.limits(rng)
    here, result = hand.room(channels, shape), hand.room(channels, taps.out, gap=2)
    hand.load(hand.input("x", x.raw), here)
    set_kernel(hand, taps)
    hand.set_input(here, shape, x.zero_point, x.unsigned, taps.top, taps.left)
    hand.set_output(result, taps.out, y.zero_point, low, high, y.unsigned)
    area = taps.kernel[0] * taps.kernel[1]
    if name == "depthwise":
        weight = rng.integers(-127, 128, (channels, 1, *taps.kernel)).astype(np.int8)
        bias, mult, shift = requantization(rng, channels, area)
        par = hand.params(par_rows(bias, mult, shift))
        wgt = hand.weights(weight, rng.permutation(channels), 0, "dense")
        sums = eq.depthwise(x.centred, weight, taps) + bias[:, None, None]
        expected = eq.q(sums, mult, shift, y.zero_point, low, high)
        residual = int(rng.integers(0, 2))
        if residual:
            expected = add_residual(
                hand,
                rng,
                Values(rng, channels, taps.out),
                y,
                (low, high),
                taps,
                sums,
                (mult, shift),
            )
        made: isa.Instruction = isa.Depthwise(
            wgt=wgt, par=par, channels=channels, residual=residual
        )
    elif name == "maxpool":
        seen = eq.seen(x.centred, taps, -9999)
        if (seen.max(axis=3) == -9999).any():
            pytest.skip("an output sees only padding")
        expected = np.clip(seen.max(axis=3) + y.zero_point, low, high)
        made = isa.MaxPool(channels=channels)
    elif name == "avgpool":
        by = int(rng.choice([7, 16, 17, 28]))
        par = hand.params(scalar_row((1 << by) // area, shift=by))
        expected = eq.average(x.centred, taps, (1 << by) // area, by, y.zero_point, low, high)
        made = isa.AvgPool(channels=channels, par=par)
    else:
        # one value for each result, for each channel, for each pixel, or one for all
        of_channels, of_pixels = (bool(n) for n in rng.integers(0, 2, 2))
        size = taps.out if of_pixels else (1, 1)
        r = Values(rng, channels if of_channels else 1, size)
        there = hand.room(r.raw.shape[1], size)
        hand.load(hand.input("r", r.raw), there)
        by = int(rng.choice([7, 16, 17, 28]))
        mult_a, mult_b = (int(m) for m in rng.integers(-(2 << by), 2 << by, 2))
        mult_a = mult_a if name == "add" else mult_a // 100
        par = hand.params(scalar_row(mult_a, mult_b, shift=by))
        hand.add(
            isa.Operand(
                act=there.act,
                row=there.row * of_pixels,
                block=there.block * of_channels,
                par=par,
                zero_point=r.zero_point,
                unsigned=r.unsigned,
                step=int(of_pixels),
                spread=int(not of_channels),
            ),
        )
        if name == "add":
            made = isa.Add(channels=channels)
            expected = eq.scaled_sum(
                x.centred, r.centred, mult_a, mult_b, by, y.zero_point, low, high
            )
        else:
            made = isa.Multiply(channels=channels)
            expected = eq.scaled_product(x.centred, r.centred, mult_a, by, y.zero_point, low, high)
    expected = looked_up(hand, rng, y, expected)
    hand.add(made)
    hand.store(hand.output("y", channels, taps.out, y.dtype), result)
    assert np.array_equal(run(hand), expected)


def lookup_program(**output: int) -> Hand:
    """A maximum of one tap of 256 int8 values in order, through a table: all that it does."""
    hand = Hand(load_spec("dense256"))
    here, result = hand.room(16, (4, 4)), hand.room(16, (4, 4))
    hand.load(hand.input("x", np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 4, 4)), here)
    set_kernel(hand, eq.Taps((1, 1), (1, 1), (1, 1), 0, 0, (4, 4)))
    hand.set_input(here, (4, 4), 0, 0)
    fields = {"zero_point": 0, "low": -128, "high": 127, "unsigned": 1} | output
    hand.set_output(result, (4, 4), **fields)
    hand.look_up(np.arange(256, dtype=np.uint8)[::-1].copy())
    hand.add(isa.MaxPool(channels=16))
    hand.store(hand.output("y", 16, (4, 4), "uint8"), result)
    return hand


def test_a_lookup_by_itself_is_a_maximum_of_one_tap() -> None:
    """Every byte has an entry, and what is written may be of another type than what is looked up;
    limits are of the byte before the table, of any 8 bits."""
    before = np.arange(-128, 128).reshape(16, 4, 4)
    assert np.array_equal(run(lookup_program()), 255 - (before & 255))
    moved = lookup_program(zero_point=90, low=-28, high=200)
    assert np.array_equal(run(moved), 255 - (np.clip(before + 90, -28, 200) & 255))


def test_the_largest_product_is_exact() -> None:
    """Of 9 bits by 9 bits by 32 bits."""
    x = np.array([-128, 127, -128, 127], np.int8).reshape(1, 1, 2, 2)
    r = np.array([-128, 127, 127, -128], np.int8).reshape(1, 1, 2, 2)
    for zero, mult in ((127, 2**31 - 1), (-128, -(2**31)), (127, 1)):
        for shift in (62, 46, 40):
            hand = Hand(load_spec("dense256"))
            places = [hand.room(1, (2, 2)) for _ in range(3)]
            hand.load(hand.input("x", x), places[0])
            hand.load(hand.input("r", r), places[1])
            set_kernel(hand, eq.Taps((1, 1), (1, 1), (1, 1), 0, 0, (2, 2)))
            hand.set_input(places[0], (2, 2), zero, 0)
            par = hand.params(scalar_row(mult, 7, shift=shift))
            operand = isa.Operand(
                act=places[1].act, row=2, block=0, par=par, zero_point=zero, unsigned=0
            )
            hand.add(operand)
            hand.set_output(places[2], (2, 2), 3, -128, 127, 0)
            hand.add(isa.Multiply(channels=1))
            hand.store(hand.output("y", 1, (2, 2), "int8"), places[2])
            a, b = (each[0].astype(object) - zero for each in (x, r))
            wanted = eq.even(a * b * mult, shift) + 3
            assert np.array_equal(run(hand), np.clip(wanted, -128, 127))


def test_a_residual_has_a_value_for_each_result_and_one_table() -> None:
    rng = rng_of(0)
    for change, sentence in (
        ({"step": 0}, "has not a value for each of its results"),
        ({"spread": 1}, "has not a value for each of its results"),
        ({"mid_lookup": 1}, "there is one table for both"),
    ):
        hand = Hand(load_spec("dense256"))
        weight = rng.integers(-9, 9, (16, 16, 1, 1)).astype(np.int8)
        places = [hand.room(16, (2, 2)) for _ in range(3)]
        for place, name in zip(places, "xr", strict=False):
            values = rng.integers(-9, 9, (1, 16, 2, 2)).astype(np.int8)
            hand.load(hand.input(name, values), place)
        set_kernel(hand, eq.Taps((1, 1), (1, 1), (1, 1), 0, 0, (2, 2)))
        hand.set_input(places[0], (2, 2), 0, 0)
        par = hand.params(scalar_row(1, 1, shift=1))
        r = places[1]
        made: dict[str, int] = {"act": r.act, "row": r.row, "block": r.block, "par": par}
        hand.add(isa.Operand(zero_point=0, unsigned=0, **made, **change))
        hand.set_output(places[2], (2, 2), 0, -128, 127, 0)
        if "mid_lookup" in change:
            hand.look_up(np.zeros(256, np.uint8))
        own = hand.params(par_rows(np.zeros(16), np.ones(16), np.ones(16)))
        wgt = hand.weights(weight, np.arange(16), 0, "dense")
        fields = {"acc": 0, "filters": 16, "channels": 16, "mode": 0}
        hand.add(isa.Conv(wgt=wgt, par=own, first=1, last=1, residual=1, **fields))
        hand.store(hand.output("y", 16, (2, 2), "int8"), places[2])
        with pytest.raises(MachineError, match=sentence):
            run(hand)


def test_limits_before_a_table_are_a_range_of_8_bits() -> None:
    hand = lookup_program(low=-128, high=128)
    with pytest.raises(MachineError, match=r"limits its output to -128..128, not a range of 8 bit"):
        run(hand)


def test_a_result_cannot_be_looked_up_in_no_table() -> None:
    hand = lookup_program()
    hand.stream = [one for one in hand.stream if not isinstance(one, isa.Lookup)]
    with pytest.raises(MachineError, match=r"maxpool: needs what `lookup` sets, and none came"):
        run(hand)


def test_a_lookup_costs_a_cycle_for_each_row_and_a_read_for_each_result() -> None:
    hand = lookup_program()
    found = Machine(hand.spec).run(hand.program(), {}, numbers=False)
    stream = hand.stream
    pc = next(pc for pc, one in enumerate(stream) if isinstance(one, isa.Lookup))
    counted = {name: int(values[pc]) for name, values in found.counters.items() if values[pc]}
    copies = 32  # one for each result that leaves in a cycle
    assert counted == {
        "cycles": 17,
        "lookups": 16 * copies,
        "par_read": 256,
        "table_written": 256 * copies,
    }
    pool = next(pc for pc, one in enumerate(stream) if isinstance(one, isa.MaxPool))
    assert found.counters["lookups"][pool] == 256
    assert found.counters["looked_up"][pool] == 16 * 256


def test_partial_sums_belong_to_slots() -> None:
    """Two halves of a reduction whose streams come in another order do not add up."""
    rng = rng_of(0)
    hand = Hand(load_spec("dense256"))
    weight = rng.integers(1, 100, (20, 32, 1, 1)).astype(np.int8)
    x = rng.integers(1, 100, (1, 32, 2, 2)).astype(np.int8)
    here, result = hand.room(32, (2, 2)), hand.room(20, (2, 2))
    hand.load(hand.input("x", x), here)
    set_kernel(hand, eq.Taps((1, 1), (1, 1), (1, 1), 0, 0, (2, 2)))
    hand.set_output(result, (2, 2), 0, -128, 127, 0)
    par = hand.params(par_rows(np.zeros(20), np.full(20, 1 << 14), np.full(20, 28)))
    orders = np.arange(20), np.arange(20)[::-1]
    for half, order in enumerate(orders):
        part = weight[:, 16 * half : 16 * half + 16]
        hand.set_input(replace(here, act=here.act + half * here.block), (2, 2), 0, 0)
        wgt = hand.weights(part, order, 0, "dense")
        hand.add(
            isa.Conv(
                wgt=wgt,
                par=par,
                acc=0,
                filters=20,
                channels=16,
                mode=0,
                first=1 - half,
                last=half,
                residual=0,
            )
        )
    hand.store(hand.output("y", 20, (2, 2), "int8"), result)
    one, two = (
        np.einsum(
            "cyx,kc->kyx",
            x[0, 16 * h : 16 * h + 16].astype(np.int64),
            weight[:, 16 * h : 16 * h + 16, 0, 0],
        )
        for h in (0, 1)
    )
    assert np.array_equal(run(hand), eq.q(one[::-1] + two, 1 << 14, 28, 0, -128, 127))


def test_every_instruction_has_a_model() -> None:
    assert set(MODELS) == set(isa.BY_OPCODE.values())
    fragments = (registers.MODELS, moves.MODELS, convolution.MODELS, channelwise.MODELS)
    assert sum(map(len, fragments)) == len(MODELS)  # none is declared twice


def test_observer_sees_what_each_final_instruction_wrote() -> None:
    rng = rng_of(3)
    hand = Hand(load_spec("sparse256"))
    x = rng.integers(-128, 128, (1, 21, 4, 5)).astype(np.int8)
    here, result = hand.room(21, (4, 5)), hand.room(21, (4, 5))
    hand.load(hand.input("x", x), here)
    set_kernel(hand, eq.Taps((1, 1), (1, 1), (1, 1), 0, 0, (4, 5)))
    hand.set_input(here, (4, 5), 0, 0)
    hand.set_output(result, (4, 5), 0, -50, 60, 0)
    pc = hand.add(isa.MaxPool(channels=21))
    hand.tiles.append(Tile(0, 0, 21, (0, 0), (4, 5)))
    hand.tile_of[pc] = 0
    hand.store(hand.output("y", 21, (4, 5), "int8"), result)
    calls = []
    Machine(hand.spec).run(hand.program(), hand.data, observers=[lambda *seen: calls.append(seen)])
    assert [(at, tile.size) for at, tile, *_ in calls] == [(pc, (4, 5))]
    assert np.array_equal(calls[0][2], np.clip(x, -50, 60))
    assert calls[0][2].dtype == np.int8
