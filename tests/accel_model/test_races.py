"""Tokens: races and deadlocks are found whatever the order, ordered programs always run alike."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.accel_model.programs import Hand, in_series, par_rows
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.instructions import Instruction, Unit
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.tokens import shuffled
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec

SPEC = load_spec("sparse256")
SEEDS = [None, *range(12)]


def pipeline(tiles: int = 6) -> tuple[Hand, list[Instruction]]:
    """A 1 x 1 convolution over image rows one by one, two buffers, weights loaded for each.

    Each tile's load, compute and store overlap with its neighbours'; the tokens are exactly those
    that are needed.
    """
    rng = np.random.default_rng(0)
    hand = Hand(SPEC)
    x = hand.input("x", rng.integers(-128, 128, (1, 16, tiles, 8)).astype(np.int8))
    y = hand.output("y", 16, (tiles, 8), "int8")
    weight = rng.integers(-127, 128, (16, 16, 1, 1)).astype(np.int8)
    par = hand.params(par_rows(np.zeros(16), np.full(16, 1 << 20), np.full(16, 29)))
    hand.weights(weight, np.arange(16), 0, "bitmap")
    load_weights = hand.stream.pop()
    assert isinstance(load_weights, isa.LoadWeights)
    hand.add(
        isa.LoadShape(dram_pixel=16, dram_row=0, dram_block=0, act_row=0, act_block=0),
        isa.StoreShape(dram_pixel=16, dram_row=0, dram_block=0, act_row=0, act_block=0),
        isa.Kernel(rows=1, cols=1, row_stride=1, col_stride=1, row_dilation=1, col_dilation=1),
    )
    load, compute, store = (int(unit) for unit in isa.UNITS)
    for n in range(tiles):
        here, there, dram = 8 * (n % 2), 100 + 8 * (n % 2), 128 * n
        used_before = n >= 2
        hand.add(
            isa.Load(
                act=here,
                dram=x.address + dram,
                width=8,
                height=1,
                blocks=1,
                bytes=16,
                lane=0,
                wait=compute if used_before else 0,
            ),
            replace(load_weights, wgt=20 * (n % 2), post=compute),
            isa.Input(act=here, row=8, block=8, zero_point=3, unsigned=0),
            isa.Extent(height=1, width=8, top=0, left=0),
            isa.Output(
                act=there,
                row=8,
                block=8,
                height=1,
                width=8,
                zero_point=0,
                low=-128,
                high=127,
                unsigned=0,
            ),
            isa.Conv(
                wgt=20 * (n % 2),
                par=par,
                acc=0,
                filters=16,
                channels=16,
                mode=0,
                first=1,
                last=1,
                residual=0,
                wait=load | (store if used_before else 0),
                post=store | (load if n + 2 < tiles else 0),
            ),
            isa.Store(
                act=there,
                dram=y.address + dram,
                width=8,
                height=1,
                blocks=1,
                bytes=16,
                lane=0,
                wait=compute,
                post=compute if n + 2 < tiles else 0,
            ),
        )
    return hand, hand.stream


def program(hand: Hand, stream: list[Instruction]) -> Program:
    hand.stream = stream
    return hand.program(series=False)


def without_wait(stream: list[Instruction], pc: int, unit: Unit) -> list[Instruction]:
    """Without one token: neither taken at ``pc`` nor given by its poster."""
    made = list(stream)
    queue = [at for at, one in enumerate(stream) if one.wait & unit and one.unit == stream[pc].unit]
    posts = [at for at, one in enumerate(stream) if one.unit == unit and one.post & stream[pc].unit]
    poster = posts[queue.index(pc)]
    made[pc] = replace(made[pc], wait=made[pc].wait & ~int(unit))
    made[poster] = replace(made[poster], post=made[poster].post & ~int(stream[pc].unit))
    return made


def tokens(stream: list[Instruction]) -> list[tuple[int, Unit]]:
    return [(pc, unit) for pc, one in enumerate(stream) for unit in isa.UNITS if one.wait & unit]


def test_any_order_gives_the_same_run() -> None:
    hand, stream = pipeline()
    series = Machine(SPEC).run(
        program(hand, in_series([replace(one, wait=0, post=0) for one in stream])), hand.data
    )
    runs = [Machine(SPEC).run(program(hand, stream), hand.data, seed=seed) for seed in SEEDS]
    for run, seed in zip(runs, SEEDS, strict=True):
        assert run.seed == seed
        assert np.array_equal(run.outputs["y"], series.outputs["y"]), f"seed {seed}"
        assert np.array_equal(run.end, runs[0].end), f"seed {seed}"
    assert runs[0].cycles < series.cycles


@pytest.mark.parametrize("which", range(len(tokens(pipeline()[1]))))
def test_every_token_is_needed(which: int) -> None:
    """Without any one of them there is a race, and the same one for every order."""
    hand, stream = pipeline()
    pc, unit = tokens(stream)[which]
    made = program(hand, without_wait(stream, pc, unit))
    said = set()
    for seed in SEEDS:
        with pytest.raises(MachineError) as caught:
            Machine(SPEC).run(made, hand.data, seed=seed)
        said.add(str(caught.value))
        assert caught.value.race
    assert len(said) == 1
    named = [int(n) for n in re.findall(r"pc (\d+)", said.pop())]
    assert len(named) == 2
    assert pc in named or stream[pc].unit in {stream[n].unit for n in named}


def test_race_names_both_instructions() -> None:
    hand, stream = pipeline()
    pc = next(pc for pc, one in enumerate(stream) if isinstance(one, isa.Store))
    made = program(hand, without_wait(stream, pc, Unit.COMPUTE))
    with pytest.raises(MachineError) as caught:
        Machine(SPEC).run(made, hand.data)
    assert str(caught.value) == (
        f"race: pc {pc - 1} conv and pc {pc} store touch the same ACT rows and no token orders them"
    )
    assert caught.value.pcs == (pc - 1, pc)


def test_race_is_found_even_if_the_reader_comes_first_in_the_program() -> None:
    hand, stream = pipeline(1)
    load = next(one for one in stream if isinstance(one, isa.Load))
    stream.remove(load)
    with pytest.raises(MachineError, match=r"race: pc .* conv and pc .* load touch"):
        Machine(SPEC).run(program(hand, [*stream, load]), hand.data)


def test_race_in_dram() -> None:
    """What was stored is loaded again without waiting for it."""
    hand = Hand(SPEC)
    x = hand.input("x", np.zeros((1, 16, 2, 2), np.int8))
    y = hand.output("y", 16, (2, 2), "int8")
    at, again = hand.room(16, (2, 2)), hand.room(16, (2, 2))
    hand.load(x, at)
    hand.store(y, at)
    hand.load(y, again)
    stream = in_series(hand.stream)
    Machine(SPEC).run(program(hand, stream), hand.data)
    stream[-2] = replace(stream[-2], wait=0)
    stream[-3] = replace(stream[-3], post=0)
    for seed in SEEDS:
        with pytest.raises(MachineError, match="pc 3 store and pc 5 load touch the same DRAM"):
            Machine(SPEC).run(program(hand, stream), hand.data, seed=seed)


def test_deadlock_names_every_stuck_unit() -> None:
    hand, stream = pipeline(1)
    for cls, wait in ((isa.Load, Unit.STORE), (isa.Conv, Unit.LOAD), (isa.Store, Unit.COMPUTE)):
        pc = next(pc for pc, one in enumerate(stream) if isinstance(one, cls))
        stream[pc] = replace(stream[pc], wait=int(wait))
    for seed in SEEDS:
        with pytest.raises(MachineError) as caught:
            Machine(SPEC).run(program(hand, stream), hand.data, seed=seed)
        assert str(caught.value) == (
            "deadlock: load at pc 4 load waits for store; compute at pc 9 conv waits for load; "
            "store at pc 10 store waits for compute"
        )


def test_tokens_left_over_are_no_error() -> None:
    hand, stream = pipeline(2)
    pc = next(pc for pc, one in enumerate(stream) if isinstance(one, isa.Store))
    stream[pc] = replace(stream[pc], post=int(Unit.LOAD | Unit.COMPUTE))
    Machine(SPEC).run(program(hand, stream), hand.data)


def test_config_instructions_complete_after_the_transfers_before_them() -> None:
    """A token of a ``loadshape`` says that the load before it is complete, too."""
    hand, stream = pipeline(1)
    pc = next(pc for pc, one in enumerate(stream) if isinstance(one, isa.LoadWeights))
    stream[pc] = replace(stream[pc], post=0)
    stream.insert(
        pc + 1,
        isa.LoadShape(
            dram_pixel=1, dram_row=0, dram_block=0, act_row=0, act_block=0, post=int(Unit.COMPUTE)
        ),
    )
    run = Machine(SPEC).run(program(hand, stream), hand.data)
    assert run.end[pc + 1] == run.end[pc]
    conv = next(at for at, one in enumerate(stream) if isinstance(one, isa.Conv))
    assert run.ready[conv] == run.end[pc]


def test_a_seed_is_an_order_of_its_own() -> None:
    unit = np.arange(60) % 3
    first, again, *others = (shuffled(unit, seed).tolist() for seed in (1, 1, 2, 3))
    assert first == again
    assert first not in others
