"""The result of a run: counters, time and energy of every instruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import physics
from zeroskip.accel_model.execute.model import Cost
from zeroskip.accel_model.isa.instructions import UNITS, Unit
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LOAD, COMPUTE, STORE = (UNITS.index(unit) for unit in (Unit.LOAD, Unit.COMPUTE, Unit.STORE))
# for any kind of array
COUNTED = ("cycles", "macs", "real_macs", "passed_over", "dram_bytes", "useful_bytes")
PRODUCTS = "products"  # besides, where the array skips inputs


@dataclass(frozen=True, eq=False)
class Run:
    """What a program computed and how long it took. Arrays have an element for each pc.

    outputs: [N, C, *spatial] by name, of N ``images``; empty without numbers. moved: the program's,
    likewise; empty without observers. All else is of one image: of any, or, where activations
    change it, of the first, and ``each`` has the runs of all. cycles: until the last completion.
    unit: 0 load, 1 compute, 2 store. ready: cycle at which its tokens were there; start; free: its
    unit was free again; end: completed (a transfer's latency included). counters: ``COUNTED``, the
    events of the kind of array, and the flows of its ports (``physics.traffic``). slots: int64
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
    flows = physics.flows(spec)
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
            *(cost.traffic.get(name, 0) for name in flows),
            *(cost.slots.get(name, 0) for name in slots),
        )
        for cost in costs
    )
    names = (*COUNTED, *((PRODUCTS,) if skips_inputs else ()), *events, *flows)
    width = len(names) + len(slots)
    table = np.fromiter(chain.from_iterable(rows), np.int64, width * len(costs))
    table = table.reshape(-1, width)
    columns = np.ascontiguousarray(table[:, : -len(slots)].T)
    return dict(zip(names, columns, strict=True)), table[:, -len(slots) :]


def energy(spec: AccelSpec, found: dict[str, Int64]) -> dict[str, float]:
    """Picojoules of each kind of event."""
    return {event: float(each.sum()) for event, each in energies(spec, found).items()}


def energies(spec: AccelSpec, found: Mapping[str, Int64]) -> dict[str, Floats]:
    """Picojoules of each kind of event, of each instruction: what is written at the price of
    writing, the rest at that of reading."""
    table, splits = physics.prices(spec), spec.kind.splits
    spent: dict[str, Floats] = {}
    for event, counter in spec.kind.events.items():
        price, count, split = table[event], found[counter].astype(np.float64), splits.get(event)
        spent[event] = price.read * count
        if split is not None:
            written = passed(found, split.writes) / split.unit
            spent[event] = price.read * (count - written) + price.write * written
    return spent


def passed(found: Mapping[str, Int64], flows: Sequence[str]) -> Int64:
    """Several flows together, of each instruction."""
    total: Int64 = np.sum([found[flow] for flow in flows], axis=0, dtype=np.int64)
    return total


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
