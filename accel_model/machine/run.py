"""The result of a run, and the checks that every run must pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import physics
from zeroskip.accel_model.execute.cost import Cost
from zeroskip.accel_model.isa.instructions import UNITS, Unit
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import LayerInfo, Program
from zeroskip.accel_model.spec import WGT_WORD_BYTES, AccelSpec

Int64 = npt.NDArray[np.int64]

LOAD, COMPUTE, STORE = (UNITS.index(unit) for unit in (Unit.LOAD, Unit.COMPUTE, Unit.STORE))
COUNTED = ("cycles", "macs", "real_macs", "dram_bytes", "useful_bytes")  # for any kind of array
PRODUCTS = "products"  # besides, where the array skips inputs


@dataclass(frozen=True, eq=False)
class Run:
    """What a program computed and how long it took. Arrays have an element for each pc.

    outputs: [N, C, *spatial] by name, of N ``images``; empty without numbers. moved: the program's,
    likewise; empty without observers. All else is of one image: of any, or, where activations
    change it, of the first, and ``each`` has the runs of all. cycles: until the last completion. unit: 0 load, 1 compute, 2 store. ready: cycle at
    which its tokens were there; start; free: its unit was free again; end: completed (a transfer's
    latency included). counters: ``COUNTED`` and the events of the kind of array. slots: int64
    [pcs, Kind.slots], multiplier-cycles. energy: picojoules by event. seed: of the order, None for
    program order.
    """

    outputs: dict[str, npt.NDArray[np.generic]]
    cycles: int
    unit: Int64
    ready: Int64
    start: Int64
    free: Int64
    end: Int64
    counters: dict[str, Int64]
    slots: Int64
    energy: dict[str, float]
    seed: int | None
    images: int = 1
    moved: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    each: tuple[Run, ...] = ()

    def of_image(self, number: int) -> Run:
        """The run of one of the images."""
        if self.images == 1:
            return self
        if self.each:
            return self.each[number]
        outputs, moved = (
            {name: values[number : number + 1] for name, values in tensors.items()}
            for tensors in (self.outputs, self.moved)
        )
        return replace(self, images=1, outputs=outputs, moved=moved)

    @property
    def all_cycles(self) -> tuple[int, ...]:
        """Cycles of every image."""
        return tuple(run.cycles for run in self.each) or (self.cycles,) * self.images

    @property
    def totals(self) -> dict[str, int]:
        """Sums of the counters."""
        return {name: int(values.sum()) for name, values in self.counters.items()}

    @property
    def picojoules(self) -> float:
        return sum(self.energy.values())


def counters(spec: AccelSpec, costs: Sequence[Cost]) -> tuple[dict[str, Int64], Int64]:
    """``Run.counters`` and ``Run.slots`` of instructions."""
    events = [name for name in spec.kind.events.values() if name not in COUNTED]
    skips_inputs = "inputs" in spec.kind.skips
    slots = [slot.name for slot in spec.kind.slots]
    rows = (
        (
            *(getattr(cost, name) for name in COUNTED),
            *(
                (cost.real_macs if cost.products is None else cost.products,)
                if skips_inputs
                else ()
            ),
            *(cost.events.get(name, 0) for name in events),
            *(cost.slots.get(name, 0) for name in slots),
        )
        for cost in costs
    )
    names = (*COUNTED, *((PRODUCTS,) if skips_inputs else ()), *events)
    width = len(names) + len(slots)
    table = np.fromiter(chain.from_iterable(rows), np.int64, width * len(costs))
    table = table.reshape(-1, width)
    columns = np.ascontiguousarray(table[:, : -len(slots)].T)
    return dict(zip(names, columns, strict=True)), table[:, -len(slots) :]


def energy(spec: AccelSpec, found: dict[str, Int64]) -> dict[str, float]:
    """Picojoules of each kind of event."""
    table = physics.energy(spec)
    return {
        event: float(getattr(table, event)) * int(found[counter].sum())
        for event, counter in spec.kind.events.items()
    }


def joined(program: Program, runs: Sequence[Run]) -> Run:
    """One run of the images of several; MachineError if they do not take the same time although
    the array does not look at activations."""
    first = runs[0]
    if program.spec.kind.looks_at_inputs:
        return _one_after_another(runs)
    for run in runs[1:]:
        if any((run.counters[name] != found).any() for name, found in first.counters.items()):
            raise MachineError(
                f"program '{program.name}' takes another time for each of the "
                "images; run them one at a time"
            )
    return _with_all(first, runs)


def _one_after_another(runs: Sequence[Run]) -> Run:
    """Runs whose time is each image's own."""
    alone = [run.of_image(number) for run in runs for number in range(run.images)]
    return alone[0] if len(alone) == 1 else replace(_with_all(alone[0], alone), each=tuple(alone))


def _with_all(first: Run, runs: Sequence[Run]) -> Run:
    """The first run with the outputs of all."""
    return replace(
        first,
        images=sum(run.images for run in runs),
        outputs={
            name: np.concatenate([run.outputs[name] for run in runs]) for name in first.outputs
        },
        moved={name: np.concatenate([run.moved[name] for run in runs]) for name in first.moved},
    )


# --------------------------------------------------------------------------------------- audit


def audit(spec: AccelSpec, program: Program, run: Run) -> None:
    """MachineError if time or traffic is less than physics allows, or work is missing.

    What a layer needs is counted from the layer when it is compiled (``LayerInfo``), what was done
    by the machine from the packed weights and the transfers that it executes.
    """
    count, compute, load = run.counters, run.unit == COMPUTE, run.unit == LOAD
    columns = (
        count["macs"],
        count["real_macs"],
        count["cycles"] * compute,
        count["wgt_words"] * load,
        _done(run),
    )
    sums_of = [_by_layer(program, column) for column in columns]
    for layer, sums in zip(program.layers, zip(*sums_of, strict=True), strict=True):
        _audit_layer(spec, layer, *sums)
    _audit_instructions(spec, run)
    _audit_slots(spec, run)
    _audit_program(spec, program, run)


def _by_layer(program: Program, column: npt.NDArray[np.int64]) -> list[int]:
    """Sums of a counter over the instructions of each layer, exact below 2**53."""
    sums = np.bincount(program.layer_of + 1, column, len(program.layers) + 1)
    return [int(total) for total in sums[1 : len(program.layers) + 1]]


def _audit_layer(
    spec: AccelSpec, layer: LayerInfo, macs: int, real: int, cycles: int, words: int, done: int
) -> None:
    """Multiplies done are the effectual ones, as many as the layer has by real inputs among them,
    the array takes no less time than they need, and all weights come over the bus. Inputs and
    outputs need not: they may stay on chip."""
    where = f"layer '{layer.node}'"
    _require(macs == layer.effectual, where, f"{macs} multiplies were done, not {layer.effectual}")
    _require(
        real == layer.real_macs,
        where,
        f"{real} multiplies were by inputs within the image, not {layer.real_macs}",
    )
    _require(
        cycles >= math.ceil(done / spec.array.macs),
        where,
        f"{done} multiplies took {cycles} cycles, less than 1/{spec.array.macs} each",
    )
    weights = WGT_WORD_BYTES * words
    _require(
        weights >= layer.weight_bytes,
        where,
        f"{weights} bytes of weights were loaded, and they have {layer.weight_bytes}",
    )


def _audit_instructions(spec: AccelSpec, run: Run) -> None:
    """Each moves at least what it is asked for, no faster than the bus; none overlaps another of its unit or ends before it is through."""
    count = run.counters
    rules = [
        (count["dram_bytes"] >= count["useful_bytes"], "moved fewer bytes than it was asked for"),
        (
            count["cycles"] * spec.dram.bytes_per_cycle >= count["dram_bytes"],
            "moved bytes faster than the bus can",
        ),
        (
            count["cycles"] * spec.array.macs >= _done(run),
            "did more multiplies than the array has multipliers",
        ),
        (count["macs"] >= _done(run), "multiplied more than its weights that are not zero"),
        (count["macs"] >= count["real_macs"], "did fewer multiplies than it has real inputs for"),
        (run.ready <= run.start, "started before its tokens were there"),
        (run.start + count["cycles"] <= run.free, "freed its unit before it was done"),
        (run.free <= run.end, "was complete before it was done"),
    ]
    for holds, sentence in rules:
        if not holds.all():
            _require(False, f"pc {int(np.argmin(holds))}", f"it {sentence}")
    for unit in range(len(UNITS)):
        mine = run.unit == unit
        early = run.start[mine][1:] < run.free[mine][:-1]
        _require(
            not early.any(), f"the {str(UNITS[unit].name).lower()} unit", "two instructions overlap"
        )


def _done(run: Run) -> Int64:
    """Multiplies that there must be time for: by all inputs, or by those that are not zero."""
    return run.counters.get(PRODUCTS, run.counters["macs"])


def _audit_slots(spec: AccelSpec, run: Run) -> None:
    """Every multiplier does one thing in every cycle of the array, and nothing takes back time."""
    array = run.unit == COMPUTE
    slots, cycles = run.slots[array], run.counters["cycles"][array]
    wrong = (slots.sum(axis=1) != cycles * spec.array.macs) | (slots < 0).any(axis=1)
    if wrong.any():
        pc = int(np.flatnonzero(array)[np.argmax(wrong)])
        _require(False, f"pc {pc}", "what its multipliers did is not what there was time for")


def _audit_program(spec: AccelSpec, program: Program, run: Run) -> None:
    """The run takes as long as its multiplies, its bytes and its instructions at least, and what
    must cross the bus does: weights, inputs that something depends on, outputs."""
    moved = int(run.counters["dram_bytes"].sum())
    asked = int(run.counters["useful_bytes"][run.unit == LOAD].sum())
    needed = program.input_bytes + sum(layer.weight_bytes for layer in program.layers)
    _require(
        asked >= needed,
        "program",
        f"{asked} bytes were loaded, and weights and inputs have {needed}",
    )
    asked = int(run.counters["useful_bytes"][run.unit == STORE].sum())
    needed = program.output_bytes
    _require(asked >= needed, "program", f"{asked} bytes were stored, and outputs have {needed}")
    _require(
        run.cycles * spec.dram.bytes_per_cycle >= moved,
        "program",
        "bytes moved faster than the bus can",
    )
    _require(
        run.cycles * spec.array.macs >= int(_done(run).sum()),
        "program",
        "more multiplies were done than the array has time for",
    )
    _require(
        run.cycles >= int(run.end.max(initial=0)), "program", "it ended before its last instruction"
    )


def _require(holds: bool, where: str, sentence: str) -> None:
    if not holds:
        raise MachineError(f"audit of {where}: {sentence}")
