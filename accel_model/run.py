"""The result of a run, and the checks that every run must pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.faults import MachineError
from zeroskip.accel_model.isa import UNITS, Instruction, Unit
from zeroskip.accel_model.program import LayerInfo, Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing import Cost

Int64 = npt.NDArray[np.int64]

EVENTS = {  # key of spec.Energy -> counter
    "mac": "macs", "window_byte": "window_bytes", "act_row": "act_rows", "wgt_word": "wgt_words",
    "acc_row": "acc_rows", "requantise": "requantised", "dram_byte": "dram_bytes",
}


@dataclass(frozen=True, eq=False)
class Run:
    """What a program computed and how long it took. Arrays have an element for each pc.

    outputs: [1, C, *spatial] by name; empty without numbers. cycles: until the last completion.
    unit: 0 load, 1 compute, 2 store. ready: cycle at which its tokens were there; start; free: its
    unit was free again; end: completed (a transfer's latency included). counters: the fields of
    ``timing.Cost``. energy: picojoules by event. seed: of the order, None for program order.
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

    @property
    def totals(self) -> dict[str, int]:
        """Sums of the counters."""
        return {name: int(values.sum()) for name, values in self.counters.items()}

    @property
    def picojoules(self) -> float:
        return sum(self.energy.values())


def units(stream: Sequence[Instruction]) -> Int64:
    """int64 [n]: 0 load, 1 compute, 2 store."""
    numbers = {unit: index for index, unit in enumerate(UNITS)}
    return np.array([numbers[one.unit] for one in stream], np.int64)


def counters(costs: Sequence[Cost]) -> dict[str, Int64]:
    """The fields of the costs as arrays."""
    table = np.array(costs, np.int64).reshape(-1, len(Cost._fields))
    return {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(Cost._fields)}


def energy(spec: AccelSpec, found: dict[str, Int64]) -> dict[str, float]:
    """Picojoules of each kind of event."""
    return {event: float(getattr(spec.energy, event)) * int(found[counter].sum())
            for event, counter in EVENTS.items()}


# --------------------------------------------------------------------------------------- audit


def audit(spec: AccelSpec, program: Program, run: Run) -> None:
    """MachineError if time or traffic is less than physics allows, or work is missing.

    For each layer, and for the program: multiplies done are the layer's effectual ones; the array
    takes no less than they need and the bus no less than the bytes need; more bytes move than are
    asked for; no unit is busy for longer than the run.
    """
    array_cycles = np.where(run.unit == UNITS.index(Unit.COMPUTE), run.counters["cycles"], 0)
    for index, layer in enumerate(program.layers):
        mine = program.layer_of == index
        macs = int(run.counters["macs"][mine].sum())
        _require(macs == layer.effectual, layer,
                 f"{macs} multiplies were done, not {layer.effectual}")
        _require(int(array_cycles[mine].sum()) >= math.ceil(macs / spec.array.macs), layer,
                 f"{macs} multiplies took less than 1/{spec.array.macs} cycle each")
    moved, useful = run.counters["dram_bytes"], run.counters["useful_bytes"]
    _require(bool((moved >= useful).all()), None, "fewer bytes moved than were asked for")
    _require(run.cycles * spec.dram.bytes_per_cycle >= int(moved.sum()), None,
             "bytes moved faster than the bus can")
    _require(run.cycles * spec.array.macs >= int(run.counters["macs"].sum()), None,
             "more multiplies were done than the array has time for")
    for unit in range(len(UNITS)):
        _require(int(run.counters["cycles"][run.unit == unit].sum()) <= run.cycles, None,
                 f"the {str(UNITS[unit].name).lower()} unit was busy for longer than the run")


def _require(holds: bool, layer: LayerInfo | None, sentence: str) -> None:
    if not holds:
        where = "program" if layer is None else f"layer '{layer.node}'"
        raise MachineError(f"audit of {where}: {sentence}")
