"""The checks that every run must pass, whatever it computed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import physics
from zeroskip.accel_model.isa.instructions import UNITS
from zeroskip.accel_model.machine.run import COMPUTE, LOAD, PRODUCTS, STORE, Run, passed
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import LayerInfo, Program
from zeroskip.accel_model.spec import WGT_WORD_BYTES, AccelSpec


def audit(spec: AccelSpec, program: Program, run: Run) -> None:
    """MachineError if time or traffic is less than physics allows, or work is missing.

    What a layer needs is counted from the layer when it is compiled (``LayerInfo``), what was done
    by the machine from the packed weights and the transfers that it executes.
    """
    count, compute, load = run.counters, run.unit == COMPUTE, run.unit == LOAD
    columns = (
        count["macs"],
        count["passed_over"],
        count["real_macs"],
        count["cycles"] * compute,
        count["wgt_words"] * load,
        _done(run),
    )
    sums_of = [_by_layer(program, column) for column in columns]
    for layer, sums in zip(program.layers, zip(*sums_of, strict=True), strict=True):
        _audit_layer(spec, layer, *sums)
    _audit_instructions(spec, run)
    _audit_ports(spec, run)
    _audit_slots(spec, run)
    _audit_program(spec, program, run)


def _by_layer(program: Program, column: npt.NDArray[np.int64]) -> list[int]:
    """Sums of a counter over the instructions of each layer, exact below 2**53."""
    sums = np.bincount(program.layer_of + 1, column, len(program.layers) + 1)
    return [int(total) for total in sums[1 : len(program.layers) + 1]]


def _audit_layer(
    spec: AccelSpec,
    layer: LayerInfo,
    macs: int,
    passed_over: int,
    real: int,
    cycles: int,
    words: int,
    done: int,
) -> None:
    """Multiplies done, and those by padding that are passed over, are the effectual ones, as many
    as the layer has by real inputs among those done; the array takes no less time than they need,
    and all weights come over the bus. Inputs and outputs need not: they may stay on chip."""
    where = f"layer '{layer.node}'"
    _require(
        macs + passed_over == layer.effectual,
        where,
        f"{macs} multiplies were done and {passed_over} passed over, not {layer.effectual}",
    )
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
    """Each moves at least what it is asked for, no faster than the bus; none overlaps another of
    its unit or ends before it is through."""
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
    _audit_bus(run)


def _audit_bus(run: Run) -> None:
    """Loads and stores have the one bus in turn; so bytes are within its width in every span
    between two events, and not only in the sum over all."""
    moving = np.flatnonzero(run.counters["dram_bytes"])
    turns = moving[np.argsort(run.start[moving], kind="stable")]
    free = run.start[turns] + run.counters["cycles"][turns]
    early = run.start[turns][1:] < free[:-1]
    _require(not early.any(), "the bus", "two transfers overlap")


def _audit_ports(spec: AccelSpec, run: Run) -> None:
    """No port passes more than its width in every cycle, and flows are all that events count."""
    count = run.counters
    for resource in physics.resources(spec):
        for port in resource.ports:
            through = passed(count, port.flows)
            most = resource.per_cycle(port) * count["cycles"]
            if (through > most).any():
                pc = int(np.argmax(through > most))
                _require(
                    False,
                    f"pc {pc}",
                    f"{through[pc] * port.unit} bytes went through port '{port}' of {resource.name} "
                    f"in {count['cycles'][pc]} cycles, which passes {most[pc] * port.unit:g} at most",
                )
    for event, split in spec.kind.splits.items():
        wrong = split.unit * count[spec.kind.events[event]] != passed(count, split.flows)
        if wrong.any():
            pc = int(np.argmax(wrong))
            _require(
                False,
                f"pc {pc}",
                f"{' and '.join(split.flows)} are not the bytes of its {spec.kind.events[event]}",
            )


def _done(run: Run) -> npt.NDArray[np.int64]:
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
    _require(
        run.cycles >= program.reachable,
        "program",
        f"it took {run.cycles} cycles, and no schedule reaches less than {program.reachable}",
    )


def _require(holds: bool, where: str, sentence: str) -> None:
    if not holds:
        raise MachineError(f"audit of {where}: {sentence}")
