"""Several images in one walk: each as if it were the only one, whatever happens to the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.accel_model.by_name import pack
from tests.accel_model.programs import ActPlace, Hand, par_rows, scalar_row
from zeroskip.accel_model.formats import to_reduction_order
from zeroskip.accel_model.functional import activations
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.machine.executor import Observer
from zeroskip.accel_model.machine.machine import MOST_IMAGES, Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.memory.limits import ResourceLimits
from zeroskip.accel_model.program.program import Program, Tile
from zeroskip.accel_model.spec import load_spec

SPEC = load_spec("sparse256")
SIDE = (6, 6)
MOST = (1 << 31) - 1
MEMORY = 16 * SPEC.act_rows + 64 * SPEC.acc_rows  # bytes of an image, but for its DRAM
Array = npt.NDArray[Any]


def images(count: int, channels: int = 20) -> dict[str, Array]:
    rng = np.random.default_rng(count)
    return {"x": rng.integers(-128, 128, (count, channels, *SIDE)).astype(np.int8)}


def kernel(hand: Hand, side: int) -> None:
    hand.add(
        isa.Kernel(rows=side, cols=side, row_stride=1, col_stride=1, row_dilation=1, col_dilation=1)
    )


def tile(hand: Hand, pc: int, channels: int) -> None:
    """What the instruction writes is told to observers."""
    hand.tile_of[pc] = len(hand.tiles)
    hand.tiles.append(Tile(0, 0, channels, (0, 0), SIDE))


def network() -> Hand:
    """Every compute instruction: a convolution in two parts with its own input added, a depthwise
    one, a maximum, an addition and an average."""
    hand = Hand(SPEC)
    rng = np.random.default_rng(1)
    x, *made = (hand.room(20, SIDE) for _ in range(6))
    hand.load(hand.input("x", images(1)["x"]), x)
    par = hand.params(par_rows(np.arange(20), np.full(20, 1 << 30), np.full(20, 36)))
    scale = hand.params(scalar_row(1 << 20, 1 << 19, shift=21))
    fields = {
        "filters": 20,
        "channels": 20,
        "mode": 0,
        "par": par,
        "acc": 3,
        "wgt": hand.weights(
            rng.integers(-127, 128, (20, 20, 3, 3)).astype(np.int8), np.arange(20), 0, "bitmap"
        ),
    }
    thin = hand.weights(
        rng.integers(-127, 128, (20, 1, 3, 3)).astype(np.int8), np.arange(20), 0, "dense"
    )

    def at(source: ActPlace, result: ActPlace) -> None:
        hand.set_input(source, SIDE, 3, 0, -1, -1)
        hand.set_output(result, SIDE, -4, -128, 127, 0)

    kernel(hand, 3)
    hand.add(
        isa.Operand(
            act=x.act,
            row=x.row,
            block=x.block,
            zero_point=3,
            unsigned=0,
            par=scale,
            mid_zero_point=2,
            mid_low=-100,
            mid_high=127,
        )
    )
    at(x, made[0])
    hand.add(isa.Conv(**fields, first=1, last=0, residual=0))
    tile(hand, hand.add(isa.Conv(**fields, first=0, last=1, residual=1)), 20)
    at(made[0], made[1])
    tile(hand, hand.add(isa.Depthwise(wgt=thin, par=par, channels=20, residual=0)), 20)
    at(made[1], made[2])
    tile(hand, hand.add(isa.MaxPool(channels=20)), 20)
    at(made[2], made[3])
    average = hand.params(scalar_row(1 << 20, shift=22))
    tile(hand, hand.add(isa.AvgPool(channels=20, par=average)), 20)
    kernel(hand, 1)
    hand.set_input(made[3], SIDE, 3, 0)
    hand.set_output(made[4], SIDE, -4, -128, 127, 0)
    tile(hand, hand.add(isa.Add(channels=20)), 20)
    hand.store(hand.output("y", 20, SIDE, "int8"), made[4])
    return hand


def limits(program: Program, together: int) -> ResourceLimits:
    """Memory for so many images in a walk."""
    return ResourceLimits(dram_bytes=together * (program.dram_bytes - len(program.image) + MEMORY))


def same(found: Run, want: Run) -> None:
    for name, values in want.outputs.items():
        assert np.array_equal(found.outputs[name], values)
    for name, counts in want.counters.items():
        assert np.array_equal(found.counters[name], counts)
    assert (found.end == want.end).all()
    assert (found.cycles, found.energy, found.images) == (want.cycles, want.energy, 1)


def keep(mine: list[Array]) -> Observer:
    """An observer that keeps the tiles."""

    def observer(_pc: int, _tile: Tile, values: Array, _before: tuple[Array, ...]) -> None:
        mine.append(values)

    return observer


@pytest.mark.parametrize("together", [1, 2, 3, 5, MOST_IMAGES])
def test_each_image_has_its_own_bits(together: int) -> None:
    program, data = network().program(), images(5)
    seen: list[list[Array]] = [[] for _ in range(5)]
    told: list[tuple[int, int]] = []
    run = Machine(SPEC, limits(program, together)).run(
        program,
        data,
        seed=7,
        progress=lambda *step: told.append(step),
        observers=[keep(mine) for mine in seen],
    )
    assert run.images == 5
    assert len({values.tobytes() for values in run.outputs["y"]}) == 5
    assert told == sorted(told)
    for number in range(5):
        watched: list[Array] = []
        alone = Machine(SPEC).run(
            program, {"x": data["x"][number : number + 1]}, seed=3, observers=[keep(watched)]
        )
        same(run.of_image(number), alone)
        assert len(watched) == 5
        for found, want in zip(seen[number], watched, strict=True):
            assert found.shape == want.shape == (1, 20, *SIDE)
            assert np.array_equal(found, want)


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_an_instruction_goes_through_some_images_after_others(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which changes neither bits nor the image that is named."""
    monkeypatch.setattr(activations, "SUMS", at_once * 4 * 2 * 16 * math.prod(SIDE))
    program, data = network().program(), images(5)
    seen: list[list[Array]] = [[] for _ in range(5)]
    run = Machine(SPEC).run(program, data, observers=[keep(mine) for mine in seen])
    monkeypatch.undo()
    wanted: list[list[Array]] = [[] for _ in range(5)]
    want = Machine(SPEC).run(program, data, observers=[keep(mine) for mine in wanted])
    assert np.array_equal(run.outputs["y"], want.outputs["y"])
    assert np.array_equal(np.stack(seen), np.stack(wanted))
    monkeypatch.setattr(activations, "SUMS", at_once * 4 * 16 * math.prod(SIDE))
    with pytest.raises(MachineError, match="image 4: ") as caught:
        Machine(SPEC).run(fragile().program(), places((4, 1), (5, 1)))
    assert caught.value.image == 4


def test_more_images_than_a_walk_takes() -> None:
    program, count = network().program(), MOST_IMAGES + 2
    data = images(count)
    run = Machine(SPEC).run(program, data)
    for number in (0, MOST_IMAGES - 1, MOST_IMAGES, count - 1):
        same(
            run.of_image(number), Machine(SPEC).run(program, {"x": data["x"][number : number + 1]})
        )


def fragile() -> Hand:
    """Two convolutions, of channel 0 and of channel 1, whose sum does not fit in int32 where the
    input is positive."""
    hand = Hand(SPEC)
    x, made = hand.room(2, SIDE), hand.room(1, SIDE)
    hand.load(hand.input("x", images(1, 2)["x"]), x)
    par = hand.params(par_rows(np.full(1, MOST), np.ones(1), np.ones(1)))
    kernel(hand, 1)
    hand.set_input(x, SIDE, 0, 0)
    hand.set_output(made, SIDE, 0, -128, 127, 0)
    for channel in range(2):
        weight = np.zeros((1, 2, 1, 1), np.int8)
        weight[0, channel] = 1
        wgt = hand.weights(weight, np.arange(1), 0, "bitmap")
        hand.add(
            isa.Conv(
                wgt=wgt, par=par, acc=0, filters=1, channels=2, mode=0, first=1, last=1, residual=0
            )
        )
    hand.store(hand.output("y", 1, SIDE, "int8"), made)
    return hand


def places(*wide: tuple[int, int]) -> dict[str, Array]:
    """Six images of zeros; ``wide`` names an image and a channel that is positive."""
    x = np.zeros((6, 2, *SIDE), np.int8)
    for image, channel in wide:
        x[image, channel, 3, 2] = 1
    return {"x": x}


@pytest.mark.parametrize("together", [1, 2, 4, MOST_IMAGES])
@pytest.mark.parametrize(
    ("wide", "image", "channel"),
    [
        ([(4, 1)], 4, 1),
        ([(0, 0)], 0, 0),
        ([(3, 1), (5, 1)], 3, 1),
        ([(1, 1), (2, 0)], 1, 1),
        ([(1, 1), (3, 1), (5, 0)], 1, 1),
        ([(2, 0), (2, 1)], 2, 0),
    ],
)
def test_the_first_image_that_fails_by_itself_is_named(
    together: int, wide: list[tuple[int, int]], image: int, channel: int
) -> None:
    """Though another is stopped by an earlier instruction."""
    hand = fragile()
    program, data = hand.program(), places(*wide)
    pc = [pc for pc, one in enumerate(hand.stream) if isinstance(one, isa.Conv)][channel]
    with pytest.raises(MachineError) as alone:
        Machine(SPEC).run(program, {"x": data["x"][image : image + 1]})
    with pytest.raises(MachineError) as caught:
        Machine(SPEC, limits(program, together)).run(program, data, seed=2)
    assert str(alone.value) == f"pc {pc} conv: makes a sum that does not fit in int32"
    assert str(caught.value) == f"image {image}: {alone.value}"
    assert (caught.value.pcs, caught.value.image) == ((pc,), image)


def test_what_is_wrong_with_the_program_names_no_image() -> None:
    hand = fragile()
    hand.stream = [one for one in hand.stream if not isinstance(one, isa.Load)]
    with pytest.raises(MachineError) as caught:
        Machine(SPEC).run(hand.program(), places())
    assert str(caught.value).startswith("pc ")
    assert "never written" in str(caught.value)


def test_parameters_may_be_an_input() -> None:
    """Then they are not the same for all images."""
    hand = Hand(SPEC)
    x, made = hand.room(16, SIDE), hand.room(16, SIDE)
    hand.load(hand.input("x", images(1, 16)["x"]), x)
    scales = hand.input("scale", np.zeros((1, 16, 1, 1), np.int8))
    hand.add(isa.LoadParams(par=0, dram=scales.address, rows=1))
    kernel(hand, 1)
    hand.set_input(x, SIDE, 0, 0)
    hand.set_output(made, SIDE, 0, -128, 127, 0)
    hand.add(isa.AvgPool(channels=16, par=0))
    hand.store(hand.output("y", 16, SIDE, "int8"), made)
    data = {
        "x": images(1, 16)["x"].repeat(3, axis=0),
        "scale": np.concatenate([scalar_row(mult << 10, shift=12) for mult in (4, 2, 1)]).view(
            np.int8
        )[..., None, None],
    }
    run = Machine(SPEC).run(hand.program(), data)
    assert np.array_equal(run.outputs["y"][0], data["x"][0])
    assert len({values.tobytes() for values in run.outputs["y"]}) == 3


def test_weights_may_be_an_input_if_time_is_the_same() -> None:
    weight = np.zeros((3, 2, 32, 1, 1), np.int8)
    weight[0, :, :4], weight[1, :, 5:9], weight[2, 0, :8] = 5, 7, 9  # one lane has it all
    streams = [pack("bitmap", to_reduction_order(one), 32, 1, np.arange(2), None) for one in weight]
    size = len(streams[0][0])
    hand = Hand(SPEC)
    x, made = hand.room(32, SIDE), hand.room(2, SIDE)
    hand.load(hand.input("x", images(1, 32)["x"]), x)
    held = hand.input("w", np.zeros((1, size, 1, 1), np.int8))
    par = hand.params(par_rows(np.zeros(2), np.ones(2), np.ones(2)))
    hand.add(isa.LoadWeights(wgt=0, dram=held.address, size=size, mode=0))
    kernel(hand, 1)
    hand.set_input(x, SIDE, 0, 0)
    hand.set_output(made, SIDE, 0, -128, 127, 0)
    hand.add(
        isa.Conv(wgt=0, par=par, acc=0, filters=2, channels=32, mode=0, first=1, last=1, residual=0)
    )
    hand.store(hand.output("y", 2, SIDE, "int8"), made)
    program = hand.program()
    raw = np.stack([one.view(np.int8).reshape(size, 1, 1) for one, _ in streams])
    data = {"x": images(2, 32)["x"], "w": raw[:2]}
    run = Machine(SPEC).run(program, data)
    for number in range(2):
        same(
            run.of_image(number),
            Machine(SPEC).run(
                program, {name: values[number : number + 1] for name, values in data.items()}
            ),
        )
    with pytest.raises(MachineError, match="takes another time for each of the images; run them"):
        Machine(SPEC).run(program, {**data, "w": raw[1:]})


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ((2, 20, 4, 4), (3, 20, 4, 4), "different numbers of images: 'x' 2, 'y' 3"),
        (
            (0, 20, 4, 4),
            (0, 20, 4, 4),
            r"'x' is int8 \[0, 20, 4, 4\]; give it as int8 \[1, 20, 4, 4\], "
            "or several",
        ),
        ((20, 4, 4), (20, 4, 4), r"'x' is int8 \[20, 4, 4\]"),
        ((20,), (1, 20, 4, 4), r"'x' is int8 \[20\]"),
        ((), (1, 20, 4, 4), r"'x' is int8 \[\]"),
        ((2, 20, 4, 2), (1, 20, 4, 4), "'x' is int8"),
        ((2, 20, 4, 4), (2, 10, 8, 4), "'y' is int8"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    x: tuple[int, ...], y: tuple[int, ...], said: str
) -> None:
    hand = Hand(SPEC)
    for name in ("x", "y"):
        hand.input(name, np.zeros((1, 20, 4, 4), np.int8))
    with pytest.raises(MachineError, match=said):
        Machine(SPEC).run(hand.program(), {"x": np.zeros(x, np.int8), "y": np.zeros(y, np.int8)})
