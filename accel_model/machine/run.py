"""The result of a run, and the checks that every run must pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.execute.cost import InstructionCost
from zeroskip.accel_model.isa.instructions import UNITS, Unit
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import LayerInfo, Program
from zeroskip.accel_model.spec import WGT_WORD_BYTES, AccelSpec

Int64 = npt.NDArray[np.int64]

LOAD, COMPUTE, STORE = (UNITS.index(unit) for unit in (Unit.LOAD, Unit.COMPUTE, Unit.STORE))
LANE_CYCLES = ("lane_busy", "imbalance", "fetch_wait", "drain_wait", "unused")

EVENTS = {  # key of spec.Energy -> counter
    "mac": "macs",
    "window_byte": "window_bytes",
    "act_row": "act_rows",
    "wgt_word": "wgt_words",
    "acc_row": "acc_rows",
    "requantise": "requantised",
    "dram_byte": "dram_bytes",
}


@dataclass(frozen=True, eq=False)
class Run:
    """What a program computed and how long it took. Arrays have an element for each pc.

    outputs: [N, C, *spatial] by name, of N ``images``; empty without numbers. moved: the program's,
    likewise; empty without observers. All else is of one image, whichever: activations do not
    change it. cycles: until the last completion. unit: 0 load, 1 compute, 2 store. ready: cycle at
    which its tokens were there; start; free: its unit was free again; end: completed (a transfer's
    latency included). counters: the fields of ``timing.Cost``. energy: picojoules by event. seed:
    of the order, None for program order.
    """

    outputs: dict[str, npt.NDArray[np.generic]]
    cycles: int
    unit: Int64
    ready: Int64
    start: Int64
    free: Int64
    end: Int64
    counters: dict[str, Int64]
    energy: dict[str, float]
    seed: int | None
    images: int = 1
    moved: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    def of_image(self, number: int) -> Run:
        """The run of one of the images."""
        if self.images == 1:
            return self
        outputs, moved = (
            {name: values[number : number + 1] for name, values in tensors.items()}
            for tensors in (self.outputs, self.moved)
        )
        return replace(self, images=1, outputs=outputs, moved=moved)

    @property
    def totals(self) -> dict[str, int]:
        """Sums of the counters."""
        return {name: int(values.sum()) for name, values in self.counters.items()}

    @property
    def picojoules(self) -> float:
        return sum(self.energy.values())


def counters(costs: Sequence[InstructionCost]) -> dict[str, Int64]:
    """The fields of the costs as arrays."""
    width = len(InstructionCost._fields)
    table = np.fromiter(chain.from_iterable(costs), np.int64, width * len(costs))
    table = table.reshape(-1, width)
    return {
        name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(InstructionCost._fields)
    }


def energy(spec: AccelSpec, found: dict[str, Int64]) -> dict[str, float]:
    """Picojoules of each kind of event."""
    return {
        event: float(getattr(spec.energy, event)) * int(found[counter].sum())
        for event, counter in EVENTS.items()
    }


def joined(program: Program, runs: Sequence[Run]) -> Run:
    """One run of the images of several; MachineError if they do not take the same time."""
    first = runs[0]
    for run in runs[1:]:
        if any((run.counters[name] != found).any() for name, found in first.counters.items()):
            raise MachineError(
                f"program '{program.name}' takes another time for each of the "
                "images; run them one at a time"
            )
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
    for index, layer in enumerate(program.layers):
        _audit_layer(spec, layer, run, program.layer_of == index)
    _audit_instructions(spec, run)
    _audit_program(spec, program, run)


def _audit_layer(spec: AccelSpec, layer: LayerInfo, run: Run, mine: npt.NDArray[np.bool_]) -> None:
    """Multiplies done are the effectual ones, as many as the layer has by real inputs among them,
    the array takes no less time than they need, and all weights come over the bus. Inputs and
    outputs need not: they may stay on chip."""
    where = f"layer '{layer.node}'"
    macs = int(run.counters["macs"][mine].sum())
    _require(macs == layer.effectual, where, f"{macs} multiplies were done, not {layer.effectual}")
    real = int(run.counters["real_macs"][mine].sum())
    _require(
        real == layer.real_macs,
        where,
        f"{real} multiplies were by inputs within the image, not {layer.real_macs}",
    )
    cycles = int(run.counters["cycles"][mine & (run.unit == COMPUTE)].sum())
    _require(
        cycles >= math.ceil(macs / spec.array.macs),
        where,
        f"{macs} multiplies took {cycles} cycles, less than 1/{spec.array.macs} each",
    )
    weights = WGT_WORD_BYTES * int(run.counters["wgt_words"][mine & (run.unit == LOAD)].sum())
    _require(
        weights >= layer.weight_bytes,
        where,
        f"{weights} bytes of weights were loaded, and they have {layer.weight_bytes}",
    )


def _audit_instructions(spec: AccelSpec, run: Run) -> None:
    """Each moves at least what it is asked for, no faster than the bus; no lane does two things at
    a time; none overlaps another of its unit or ends before it is through."""
    count = run.counters
    rules = [
        (count["dram_bytes"] >= count["useful_bytes"], "moved fewer bytes than it was asked for"),
        (
            count["cycles"] * spec.dram.bytes_per_cycle >= count["dram_bytes"],
            "moved bytes faster than the bus can",
        ),
        (
            count["cycles"] * spec.array.macs >= count["macs"],
            "did more multiplies than the array has multipliers",
        ),
        (count["macs"] >= count["real_macs"], "did fewer multiplies than it has real inputs for"),
        (
            count["cycles"] * spec.array.lanes >= sum(count[name] for name in LANE_CYCLES),
            "kept lanes busy for longer than it took",
        ),
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
        run.cycles * spec.array.macs >= int(run.counters["macs"].sum()),
        "program",
        "more multiplies were done than the array has time for",
    )
    _require(
        run.cycles >= int(run.end.max(initial=0)), "program", "it ended before its last instruction"
    )


def _require(holds: bool, where: str, sentence: str) -> None:
    if not holds:
        raise MachineError(f"audit of {where}: {sentence}")
