"""The machine's times and counts against references that step clock by clock (``make cycles``).

    python -m tests.campaigns.cycles [--count 2000] [--seed 0] [--jobs 2]

``--count`` random tiles of every kind of array and weight format, and of every instruction that
treats channels alike; as many transfers of each kind; as many programs of the three units under
random tokens; then whole networks. Cycles and every counter of ``timing.Cost`` must be equal, and
what the stepped lanes sum up must be the convolution.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from tests.accel_model.arrays.input_kinds import RANDOM
from tests.accel_model.arrays.input_tiles import difference as input_difference
from tests.accel_model.arrays.input_tiles import random_tile, wider
from tests.accel_model.arrays.tiles import SMALL, random_storage
from tests.accel_model.arrays.tiles import difference as array_tile
from tests.accel_model.by_name import lane_cycles, lanes, pack, slots_at, with_lanes
from tests.accel_model.by_name import stages as format_stages
from tests.accel_model.test_lanes import TARGETS, LaneCase, random_case, random_weight, some, sums
from tests.accel_model.test_lanes import step as step_tile
from tests.campaigns.programs import NETWORKS, sample, samples
from tests.campaigns.shuffles import CLASSIFIERS
from tests.campaigns.tables import provenance, table
from zeroskip.accel_model.execute.model import Cost
from zeroskip.accel_model.execute.models import MODELS
from zeroskip.accel_model.execute.state import State, Streams
from zeroskip.accel_model.formats import DENSE, FORMATS, Shape, make_table, to_reduction_order
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.instructions import UNITS, Instruction
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import COUNTED
from zeroskip.accel_model.memory.wgt_banks import decode
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.reference.channels import Channelwise, step_channels
from zeroskip.accel_model.reference.convolution import Outcome
from zeroskip.accel_model.reference.dma import Transfer, row_rate, step_transfer
from zeroskip.accel_model.reference.filters import cycles_to_send
from zeroskip.accel_model.reference.machine import step_program, step_tokens
from zeroskip.accel_model.spec import AccelSpec, DramTiming, Storage, load_spec
from zeroskip.accel_model.technology import DRAM_TIMINGS
from zeroskip.accel_model.timing.timeline import timeline

CHANNELWISE_KERNELS = ((1, 1), (2, 2), (3, 3), (1, 4), (5, 3), (5, 5), (3, 1), (7, 7))
CHUNK = 200  # cases that a process is given at once
Rng = np.random.Generator
Check = Callable[[Rng], str]  # what differs, "" if nothing


@dataclass(frozen=True)
class CycleKind:
    """What is compared, and how one random case of it is.

    name: in tables.
    check: draws a case and compares.
    sample: cases of it in the quick tests of campaigns; 0: it has a quick test of its own.
    """

    name: str
    check: Check
    sample: int = 30


def kinds() -> Iterator[CycleKind]:
    for kind in TARGETS:
        yield CycleKind(f"convolution, {kind} weights", partial(convolution, kind=kind), 15)
    for name in ("depthwise", "maxpool", "avgpool", "add", "multiply"):
        yield CycleKind(name, partial(channelwise, name=name))
    for name in ("load", "store", "loadweights", "loadparams"):
        yield CycleKind(f"transfer, {name}", partial(transfer, name=name))
    yield CycleKind("tokens and bus", tokens)
    for kind in SMALL:
        yield CycleKind(f"convolution, {kind} array", partial(array_tile, kind=kind), 0)
    for kind in RANDOM:
        yield CycleKind(
            f"convolution, {kind} array, with inputs", partial(input_tile, kind=kind), 10
        )


def input_tile(rng: Rng, kind: str) -> str:
    """A tile of an array that looks at activations, with masks of 0..100 %, clumped and not."""
    return input_difference(wider(rng, random_tile(rng, RANDOM[kind](rng))))


# ------------------------------------------------------------------------------ instructions


def fast(spec: AccelSpec, one: Instruction, *registers: Instruction, **held: Any) -> Cost:
    """The cost of an instruction after others that set registers."""
    state = State(spec, None, None)  # type: ignore[arg-type]  # time needs no memory
    for register in registers:
        state.registers[type(register)] = register
    for name, value in held.items():
        setattr(state, name, value)
    return MODELS[type(one)].cost(state, one)


def difference(cost: Cost, outcome: Outcome, spec: AccelSpec | None = None) -> str:
    """The counters that are not equal; with a spec of lanes those of a convolution too."""
    counters = {name: getattr(cost, name) for name in COUNTED}
    counters |= {**cost.events, **cost.traffic}
    if spec is not None:
        counters |= lane_cycles(spec, cost.slots)
    named = counters.keys() | outcome.events.keys()
    return ", ".join(
        f"{name} {counters.get(name, 0)}, stepped {outcome.events[name]}"
        for name in sorted(named)
        if counters.get(name, 0) != outcome.events[name]
    )


def convolution(rng: Rng, kind: str) -> str:
    """A tile, on a small array or on the target's own: shapes, strides, dilations, sparsities,
    gangs, ragged edges, whole and partial reductions, with and without a residual."""
    case = random_case(rng, kind)
    chosen = rng.random()
    if chosen < 0.04:
        case = on_the_target(rng, case, kind)
    elif chosen < 0.5:
        case = farther(rng, case)
    filters = len(case.weight)
    case = replace(
        case,
        order=rng.permutation(filters).astype(np.int32),
        out_blocks=blocks(filters),
        operand_row=case.operand_row if case.last else None,
    )
    first = bool(rng.random() < 0.7)
    spec = load_spec(TARGETS[kind])
    spec = replace(spec, array=case.array, sram=replace(spec.sram, act_banks=case.banks))
    one = isa.Conv(
        wgt=0,
        par=0,
        acc=0,
        filters=filters,
        channels=case.weight.shape[1],
        mode=case.gang,
        first=int(first),
        last=int(case.last),
        residual=int(case.operand_row is not None),
    )
    registers: list[Instruction] = [
        *_input(case.row, case.image.shape[1:], case.top, case.left),
        _kernel(case.kernel, case.stride, case.dilation),
        _output(case.output),
    ]
    if case.operand_row is not None:
        registers.append(_operand(case.operand_row))
    outcome = step_tile(case, kind, first, partial(cycles_to_send, spec))
    found = difference(fast(spec, one, *registers, streams=_decoded(case, kind)), outcome, spec)
    return found or ("" if outcome.sums == sums(case) else "sums are not the convolution")


def farther(rng: Rng, case: LaneCase) -> LaneCase:
    """With more outputs, and windows that reach farther, in a larger image."""
    image = rng.integers(-128, 128, (len(case.image), *rng.integers(1, 16, 2)))
    output = (int(rng.integers(1, 9)), int(rng.integers(1, 12)))
    return replace(
        case,
        image=image,
        output=output,
        row=image.shape[2] + int(rng.integers(0, 9)),
        stride=(int(rng.integers(1, 5)), int(rng.integers(1, 5))),
        dilation=(int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        top=int(rng.integers(-6, 7)),
        left=int(rng.integers(-6, 7)),
        operand_row=None if case.operand_row is None else output[1] + int(rng.integers(0, 9)),
    )


def on_the_target(rng: Rng, case: LaneCase, kind: str) -> LaneCase:
    """With as many lanes, as large windows and as many banks as the target has."""
    spec = load_spec(TARGETS[kind])
    gang = int(rng.integers(0, lanes(spec).max_gang + 1))
    weight = random_weight(rng, (int(rng.integers(1, 150)), *case.weight.shape[1:]))
    largest = int(format_stages(kind, weight.shape[1], weight[0, 0].size).window_entries.max())
    array = replace(lanes(spec), window_entries=max(lanes(spec).window_entries, largest))
    return replace(case, array=array, banks=spec.sram.act_banks, weight=weight, gang=gang)


def _decoded(case: LaneCase, kind: str) -> Streams:
    filters, channels = case.weight.shape[:2]
    taps = case.kernel[0] * case.kernel[1]
    table = make_table(case.weight) if kind == "pattern" else None
    raw, _ = pack(kind, to_reduction_order(case.weight), channels, taps, case.order, table)
    return Streams(decode(FORMATS[kind], raw, filters, Shape(channels, taps), table), 0, 0)


def channelwise(rng: Rng, name: str) -> str:
    """A tile of a depthwise convolution, a pooling or an addition."""
    channels, output = int(rng.integers(1, 70)), (int(rng.integers(1, 9)), int(rng.integers(1, 9)))
    pair = name in ("add", "multiply")
    kernel = (1, 1) if pair else some(rng, *CHANNELWISE_KERNELS)
    stride, dilation = some(rng, (1, 1), (2, 2), (1, 3)), some(rng, (1, 1), (2, 1), (2, 3))
    row, top, left = int(rng.integers(1, 20)), *(int(n) for n in rng.integers(-3, 2, 2))
    residual = pair or (name == "depthwise" and bool(rng.random() < 0.4))
    operand_row = output[1] + int(rng.integers(0, 3)) if residual else None
    step = int(not pair or rng.random() < 0.6)
    if not step:  # one value for a channel, or for a row of the image
        operand_row = int(some(rng, 0, 0, 1, 2, 8))
    spec = load_spec(str(some(rng, *TARGETS.values())))
    banks = int(some(rng, 1, 2, 4, 8))
    spec = replace(spec, sram=replace(spec.sram, act_banks=banks))
    spec = with_lanes(
        spec,
        lanes=int(some(rng, 16, 64)),  # of 16 banks weights may come slower than rows of ACT
        pixels=int(some(rng, 1, 2, 4)),
        pipeline_cycles=int(rng.integers(0, 12)),
        drain_width=int(some(rng, 4, 16, 32, 64)),
        row_pixels=int(some(rng, 0, 4, 8, 16, 24)),
    )
    spec = replace(spec, storage=random_storage(rng))
    registers = [
        *_input(row, (9, 9), top, left),
        _kernel(kernel, stride, dilation),
        _output(output),
        _operand(operand_row or 0, step),
    ]
    held: dict[str, Any] = {}
    more: dict[str, Any] = {"requantised": name != "maxpool"}
    if name == "depthwise":
        weight = rng.integers(-127, 128, (channels, 1, *kernel)).astype(np.int8)
        weight[rng.random(weight.shape) < rng.random()] = 0
        taps = kernel[0] * kernel[1]
        order = np.arange(channels, dtype=np.int32)
        dense, shape = spec.stored(DENSE), Shape(1, taps)
        raw, lengths = dense.pack(to_reduction_order(weight), shape, order)
        held["streams"] = Streams(decode(dense, raw, channels, shape, None), 0, 0)
        more |= {"weights": weight.reshape(channels, taps).tolist(), "words": int(lengths.sum())}
    instructions: dict[str, Instruction] = {
        "depthwise": isa.Depthwise(wgt=0, par=0, channels=channels, residual=int(residual)),
        "maxpool": isa.MaxPool(channels=channels),
        "avgpool": isa.AvgPool(channels=channels, par=0),
        "add": isa.Add(channels=channels),
        "multiply": isa.Multiply(channels=channels),
    }
    outcome = step_channels(
        spec,
        Channelwise(
            channels=channels,
            size=(9, 9),
            row=row,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            top=top,
            left=left,
            output=output,
            operand_row=operand_row,
            operand_step=step,
            **more,
        ),
    )
    return difference(fast(spec, instructions[name], *registers, **held), outcome)


def _input(row: int, shape: tuple[int, ...], top: int, left: int) -> tuple[isa.Input, isa.Extent]:
    return (
        isa.Input(act=0, row=row, block=0, zero_point=0, unsigned=0),
        isa.Extent(height=shape[0], width=shape[1], top=top, left=left),
    )


def _output(shape: tuple[int, int]) -> isa.Output:
    return isa.Output(
        act=0,
        row=shape[1],
        block=0,
        height=shape[0],
        width=shape[1],
        zero_point=0,
        low=-128,
        high=127,
        unsigned=0,
    )


def _operand(row: int, step: int = 1) -> isa.Operand:
    return isa.Operand(act=0, row=row, block=0, zero_point=0, unsigned=0, par=0, step=step)


def _kernel(
    kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> isa.Kernel:
    return isa.Kernel(
        rows=kernel[0],
        cols=kernel[1],
        row_stride=stride[0],
        col_stride=stride[1],
        row_dilation=dilation[0],
        col_dilation=dilation[1],
    )


def transfer(rng: Rng, name: str) -> str:
    """A transfer over a bus of any width, flat or with rows of DRAM behind it: strided pieces that
    touch each other or not."""
    width = int(some(rng, 4, 8, 16, 32, 64))
    spec = load_spec("dense256")
    dram = replace(spec.dram, bytes_per_cycle=width, burst_bytes=max(width, int(some(rng, 32, 64))))
    if rng.random() < 0.7:
        dram = replace(dram, timing=random_timing(rng, dram.burst_bytes))
    sram = replace(spec.sram, act_banks=int(some(rng, 1, 2, 4, 8, 16)))
    spec = replace(spec, dram=dram, sram=sram, storage=random_storage(rng))
    first = int(rng.integers(0, 1 << 12))
    if name == "loadparams":
        rows = int(rng.integers(1, 60))
        made = isa.LoadParams(par=0, dram=first, rows=rows)
        outcome = step_transfer(spec, Transfer(first, 16 * rows))
        outcome.events["par_loaded"] = 16 * rows
        outcome.events["dram_read"] = outcome.events["dram_bytes"]
        return difference(fast(spec, made), outcome)
    if name == "loadweights":
        size = 4 * int(rng.integers(1, 600))
        outcome = step_transfer(spec, Transfer(first, size))
        outcome.events["wgt_words"] = size // 4
        outcome.events["wgt_loaded"] = size
        outcome.events["dram_read"] = outcome.events["dram_bytes"]
        return difference(
            fast(spec, isa.LoadWeights(wgt=0, dram=first, size=size, mode=0)), outcome
        )
    width, height, deep = (int(n) for n in rng.integers(1, 7, 3))
    counts = width, height, deep
    length = int(rng.integers(1, 17))
    steps, whole = [], length
    for count in counts:
        steps.append(whole if rng.random() < 0.5 else whole + int(rng.integers(1, 200)))
        whole = steps[-1] * count
    wide = spec.storage.activation_bytes
    first, steps = first * wide, [step * wide for step in steps]
    steps[0] = min(steps[0], 64 - wide)
    shape, move = (isa.LoadShape, isa.Load) if name == "load" else (isa.StoreShape, isa.Store)
    register = shape(
        dram_pixel=steps[0], dram_row=steps[1], dram_block=steps[2], act_row=9, act_block=99
    )
    one = move(
        act=0, dram=first, width=counts[0], height=counts[1], blocks=counts[2], bytes=length, lane=0
    )
    rows = width * height * deep
    outcome = step_transfer(
        spec,
        Transfer(first, length * wide, counts, (steps[0], steps[1], steps[2])),
        rows,
        row_rate(spec),
        writes=name == "store",
    )
    outcome.events["act_rows"] = rows
    outcome.events["act_loaded" if name == "load" else "act_stored"] = 16 * rows
    outcome.events["dram_read" if name == "load" else "dram_written"] = outcome.events["dram_bytes"]
    return difference(fast(spec, one, register), outcome)


def random_timing(rng: Rng, burst: int) -> DramTiming:
    """Rows of DRAM: those of a device, or small ones with times of up to some 40 cycles."""
    if rng.random() < 0.3:
        device = DRAM_TIMINGS[str(some(rng, *DRAM_TIMINGS))]
        return DramTiming(channels=2, queue=16, **device)  # type: ignore[arg-type]  # whole counts
    times = {
        name: float(rng.integers(1, 80)) for name in ("trcd_ns", "trp_ns", "tras_ns", "twr_ns")
    }
    return DramTiming(
        channels=int(some(rng, 1, 2)),
        page_bytes=max(burst, int(some(rng, 64, 128, 512))),
        banks=int(some(rng, 1, 2, 4, 8)),
        queue=int(some(rng, 1, 2, 5, 16)),
        trrd_ns=float(rng.integers(0, 40)),
        trfc_ns=float(rng.integers(0, 400)),
        trefi_ns=float(rng.integers(1200, 4000)),
        **times,
    )


# ------------------------------------------------------------------------------------ tokens


def tokens(rng: Rng) -> str:
    """A program of up to 40 instructions of any length, whose waits are for tokens it gives."""
    stream, cycles = random_stream(rng)
    latency = int(some(rng, 0, 1, 7, 100))
    stepped = step_tokens(stream, latency, lambda pc, _one: Counter(cycles=cycles[pc]))
    numbers = {unit: n for n, unit in enumerate(UNITS)}
    found = timeline(
        np.array([numbers[one.unit] for one in stream]),
        np.array([one.wait for one in stream]),
        np.array([one.post for one in stream]),
        np.array(cycles),
        np.array([isinstance(one, isa.Load | isa.Store) for one in stream]),
        latency,
    )
    for name, values in found._asdict().items():
        other = [getattr(each, name) for each in stepped]
        if values.tolist() != other:
            return f"{name} {values.tolist()}, stepped {other}"
    return ""


def random_stream(rng: Rng) -> tuple[list[Instruction], list[int]]:
    shape = {"dram_pixel": 1, "dram_row": 1, "dram_block": 1, "act_row": 1, "act_block": 1}
    move = {"act": 0, "dram": 0, "width": 1, "height": 1, "blocks": 1, "bytes": 1, "lane": 0}
    window = dict.fromkeys(
        ("rows", "cols", "row_stride", "col_stride", "row_dilation", "col_dilation"), 1
    )
    makers = {
        isa.Unit.LOAD: ((isa.LoadShape, shape), (isa.Load, move)),
        isa.Unit.STORE: ((isa.StoreShape, shape), (isa.Store, move)),
        isa.Unit.COMPUTE: ((isa.Kernel, window),) * 2,
    }
    given = {(giver, taker): 0 for giver in UNITS for taker in UNITS}
    stream: list[Instruction] = []
    cycles: list[int] = []
    for _ in range(int(rng.integers(1, 41))):
        unit = UNITS[rng.integers(3)]
        cls, fields = makers[unit][rng.integers(2)]
        wait = post = 0
        for other in UNITS:
            if other != unit and given[other, unit] and rng.random() < 0.5:
                given[other, unit] -= 1
                wait |= other
            if other != unit and rng.random() < 0.4:
                given[unit, other] += 1
                post |= other
        stream.append(cls(**fields, wait=wait, post=post))
        cycles.append(int(some(rng, 1, 1, 2, 5, 30)))
    return stream, cycles


# ---------------------------------------------------------------------------- whole networks


def network(program: Program) -> str:
    """Every moment and every counter of every instruction, those of bytes through ports too."""
    run = Machine(program.spec).run(program, {}, numbers=False)
    wrong = []
    for pc, each in enumerate(step_program(program)):
        expected = {name: int(getattr(run, name)[pc]) for name in ("ready", "start", "free", "end")}
        expected |= {name: int(values[pc]) for name, values in run.counters.items()}
        if "lane_busy" in each.events:
            expected |= lane_cycles(program.spec, slots_at(run, program.spec, pc))
        found = {
            name: getattr(each, name) if hasattr(each, name) else each.events[name]
            for name in expected
        }
        if found != expected:
            wrong.append(f"pc {pc}: {expected}, stepped {found}")
    return "; ".join(wrong)


@cache
def networks(seed: int) -> dict[str, Callable[[], Program]]:
    """What makes each network's program, by its name: small ones, and the two Fashion-MNIST
    classifiers on every target."""
    made: dict[str, Callable[[], Program]] = {
        each.name: partial(getattr, each, "program") for each in samples(seed)
    }
    for target in TARGETS.values():
        wide = replace(load_spec(target), storage=Storage(16, 16))
        for name in NETWORKS:
            title = f"{name}, {target}, 16 bits"
            made[title] = partial(_made, name, wide, title, seed)
    for path in CLASSIFIERS:
        for target in (*TARGETS.values(), *(small.target for small in SMALL.values())):
            made[f"{path.stem}, {target}"] = partial(_compiled, path, target)
    return made


def _made(name: str, spec: AccelSpec, title: str, seed: int) -> Program:
    return sample(name, spec, title, seed).program


def _compiled(path: Path, target: str) -> Program:
    from zeroskip.compiler.driver import compile as compile_network

    (program,) = compile_network(path, target).programs.values()
    return program


# -------------------------------------------------------------------------------- the campaign


@dataclass(frozen=True)
class CyclePart:
    """Some cases of one kind, or one network. compared: cases, or cycles of a network."""

    name: str
    compared: int
    differences: list[str]


def cases(number: int, seed: int, first: int, count: int) -> CyclePart:
    """``count`` cases of a kind from ``first`` on."""
    kind = list(kinds())[number]
    wrong = [
        f"{kind.name}, case {case}: {found}"
        for case in range(first, first + count)
        if (found := kind.check(np.random.default_rng([seed, number, case])))
    ]
    return CyclePart(kind.name, count, wrong)


def whole(name: str, seed: int) -> CyclePart:
    """One network."""
    program = networks(seed)[name]()
    found = network(program)
    cycles = Machine(program.spec).run(program, {}, numbers=False).cycles
    return CyclePart(name, cycles, [f"{name}: {found}"] if found else [])


def main() -> None:
    """Exit 1 if anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000, help="cases of each kind")
    parser.add_argument("--seed", type=int, default=0, help="other seeds are other cases")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    begin = time.monotonic()
    rows = {each.name: [0, 0] for each in kinds()} | {
        name: [0, 0] for name in networks(options.seed)
    }
    failures = 0
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        work = [pool.submit(whole, name, options.seed) for name in networks(options.seed)]
        for number, _ in enumerate(kinds()):
            work += [
                pool.submit(cases, number, options.seed, first, min(CHUNK, options.count - first))
                for first in range(0, options.count, CHUNK)
            ]
        for ended, done in enumerate(as_completed(work), 1):
            part = done.result()
            rows[part.name][0] += part.compared
            rows[part.name][1] += len(part.differences)
            failures += len(part.differences)
            print(*part.differences, sep="\n", end="\n" if part.differences else "", flush=True)
            print(
                f"{ended} of {len(work)} parts, {failures} differ, "
                f"{time.monotonic() - begin:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    whole_programs = [(name, *rows.pop(name)) for name in networks(options.seed)]
    print(
        table(("random cases", "cases", "different"), ((name, *row) for name, row in rows.items())),
        table(("whole programs", "cycles", "different"), whole_programs),
        sep="\n\n",
    )
    print(f"\n{provenance(f'seed {options.seed}', begin, options.jobs)}; {failures} differ")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
