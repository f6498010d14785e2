"""The report of a run: per layer where the cycles, the bytes and the energy went.

Everything is counted from the run of the program itself. Of each layer the report states how far
it is from its bound, max(multiplies by weights that are not zero / multipliers, compulsory DRAM
bytes / bus width), and splits its cycles by cause.

A cycle in which the array computes belongs to the layer it computes. A cycle in which it idles
belongs to the layer it waits for: the one it computes next, or one that only moves data and whose
move ends first. What remains after the last of them is the last layer's. So the layers' cycles add
up to the run's. A layer whose weights were loaded while the array was still at the layer before it
may come out below its own bound; the run as a whole may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.encoding import decode_all
from zeroskip.accel_model.isa import UNITS, Conv, Depthwise, Instruction, Unit
from zeroskip.accel_model.program import LayerInfo, Program
from zeroskip.accel_model.run import EVENTS, Run
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.network import Network

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

COMPUTE = UNITS.index(Unit.COMPUTE)

CAUSES = {
    "multiply": "multiplying by weights that are not zero",
    "overhead": "lanes at work without such a multiply: zero weights that the array does not skip, "
                "words of a stream that hold no weight, outputs that a group of pixels lacks",
    "imbalance": "lanes waiting for the slowest one, which still holds the window",
    "fetch": "lanes waiting for activations from ACT",
    "drain": "lanes waiting for accumulators to be drained, and for the end of the instruction",
    "unused": "lanes without a filter",
    "channelwise": "instructions that work on 16 channels at a time: depthwise, pools, additions",
    "setup": "instructions that set registers and pattern tables",
    "load": "the array waiting for a load",
    "store": "the array waiting for a store to free its memory, and the end of the last stores",
    "move": "data being moved for a layer that computes nothing",
}


@dataclass(frozen=True)
class LayerReport:
    """One layer. node: the ONNX node, fused: the addition computed with it, or "".

    macs: multiplies of the dense layer; effectual: those by a weight that is not zero. bound:
    cycles that no such machine can beat. stalls: cycles by cause (``CAUSES``), together ``cycles``.
    dram_bytes: moved, in whole bursts. microjoules: of all its events.
    """

    node: str
    fused: str
    kind: str
    shape: tuple[int, ...]
    macs: int
    effectual: int
    cycles: int
    bound: int
    x_bound: float
    utilisation: float
    stalls: dict[str, float]
    dram_bytes: int
    microjoules: float
    schedule: str


@dataclass(frozen=True)
class RegionReport:
    """One program. cycles: of its run."""

    name: str
    cycles: int
    layers: tuple[LayerReport, ...]


@dataclass(frozen=True)
class Report:
    """A network's run on its target; the totals are sums over all layers of all regions.

    milliseconds: cycles at the target's clock. bound: the sum of the layers' bounds.
    cpu: nodes that stay on the CPU, and why.
    """

    network: str
    target: str
    clock_mhz: float
    macs: int
    effectual: int
    cycles: int
    milliseconds: float
    bound: int
    x_bound: float
    utilisation: float
    stalls: dict[str, float]
    dram_bytes: int
    microjoules: float
    regions: tuple[RegionReport, ...]
    cpu: dict[str, str]

    def to_table(self) -> dict[str, Any]:
        """For JSON; the fields and their names are this class's."""
        return asdict(self)


def report(network: Network, runs: Mapping[str, Run]) -> Report:
    """The report of the runs of a network's regions, by region."""
    spec = network.spec
    regions = tuple(region_report(runs[name], program)
                    for name, program in network.programs.items() if name in runs)
    layers = [layer for region in regions for layer in region.layers]
    cycles = sum(region.cycles for region in regions)
    effectual = sum(layer.effectual for layer in layers)
    bound = sum(layer.bound for layer in layers)
    return Report(
        network=network.name, target=spec.name, clock_mhz=spec.clock_mhz,
        macs=sum(layer.macs for layer in layers), effectual=effectual, cycles=cycles,
        milliseconds=cycles / spec.clock_mhz / 1000, bound=bound, x_bound=_ratio(cycles, bound),
        utilisation=_ratio(effectual, cycles * spec.array.macs),
        stalls={cause: sum(layer.stalls[cause] for layer in layers) for cause in CAUSES},
        dram_bytes=sum(layer.dram_bytes for layer in layers),
        microjoules=sum(layer.microjoules for layer in layers), regions=regions,
        cpu=dict(network.cpu))


def region_report(run: Run, program: Program) -> RegionReport:
    """The report of one program's run."""
    stream = decode_all(program.words)
    owned = _Ownership.of(run, program)
    causes = _causes(run, program, stream, owned)
    moved = _by_layer(run.counters["dram_bytes"], program)
    energy = _energy(run, program)
    layers = tuple(
        _layer(info, program.spec, int(owned.cycles[index]), causes[index], int(moved[index]),
               float(energy[index]))
        for index, info in enumerate(program.layers))
    return RegionReport(program.name, run.cycles, layers)


def _layer(info: LayerInfo, spec: AccelSpec, cycles: int, causes: Floats, moved: int,
           picojoules: float) -> LayerReport:
    bound = info.bound(spec.array.macs, spec.dram.bytes_per_cycle)
    return LayerReport(
        node=info.node, fused=info.result if info.result != info.node else "", kind=info.kind,
        shape=info.shape, macs=info.macs, effectual=info.effectual, cycles=cycles, bound=bound,
        x_bound=_ratio(cycles, bound),
        utilisation=_ratio(info.effectual, cycles * spec.array.macs),
        stalls=dict(zip(CAUSES, causes.tolist(), strict=True)), dram_bytes=moved,
        microjoules=picojoules / 1e6, schedule=info.schedule)


# ------------------------------------------------------------------------------ whose cycles


@dataclass(frozen=True, eq=False)
class _Ownership:
    """Who owns which cycles. cycles: int64 [layers]; of those, moving: spent on a layer that only
    moves data, tail: after the array's last instruction. gaps: int64 [compute instructions], cycles
    in which the array waits for each of them."""

    cycles: Int64
    moving: Int64
    tail: Int64
    gaps: Int64

    @staticmethod
    def of(run: Run, program: Program) -> _Ownership:
        count = len(program.layers)
        layer_of = _layers(program)
        array = np.flatnonzero(run.unit == COMPUTE)
        start, free, layer = run.start[array], run.free[array], layer_of[array]
        movers = _movers(run, layer_of, layer)
        moved = run.end[movers]
        edges = np.unique(np.concatenate(([0, run.cycles], start, free, moved)))
        left, length = edges[:-1], np.diff(edges)
        following = np.searchsorted(free, left, side="right")  # the instruction now or next
        some = following < len(array)
        begins = np.append(start, run.cycles)[following]
        busy = some & (left >= begins)
        move = np.searchsorted(moved, left, side="right")
        moving = ~busy & (move < len(movers)) & (np.append(moved, -1)[move] <= begins)
        moving &= move < len(movers)
        last = layer[-1] if len(array) else count - 1
        owner = np.where(some, np.append(layer, last)[following], last)
        if len(movers):
            owner = np.where(moving, layer_of[np.append(movers, movers[-1])[move]], owner)
        waits = ~busy & ~moving
        return _Ownership(
            cycles=_sum(owner, length, count),
            moving=_sum(owner[moving], length[moving], count),
            tail=_sum(owner[waits & ~some], length[waits & ~some], count),
            gaps=_sum(following[waits & some], length[waits & some], len(array)))


def _movers(run: Run, layer_of: Int64, computing: Int64) -> Int64:
    """Transfers of layers without a compute instruction, in order of their end."""
    moves = np.flatnonzero((run.unit != COMPUTE) & ~np.isin(layer_of, computing))
    return moves[np.argsort(run.end[moves], kind="stable")]


def _layers(program: Program) -> Int64:
    """Layer of each instruction; what belongs to none counts as the first one's."""
    return np.maximum(program.layer_of, 0).astype(np.int64)


def _by_layer(values: Int64, program: Program) -> Int64:
    return _sum(_layers(program), values, len(program.layers))


def _sum(index: Int64, values: Int64, count: int) -> Int64:
    """int64 [count]: sums of the values that have each index."""
    sums = np.zeros(count, np.int64)
    np.add.at(sums, index, values)
    return sums


# ------------------------------------------------------------------------------------- causes


def _causes(run: Run, program: Program, stream: list[Instruction], owned: _Ownership) -> Floats:
    """float64 [layers, causes], cycles; a row adds up to its layer's cycles."""
    found = {cause: np.zeros(len(program.layers)) for cause in CAUSES}
    array = np.flatnonzero(run.unit == COMPUTE)
    layer = _layers(program)[array]
    for cause, cycles in _working(run, program.spec, [stream[pc] for pc in array], array).items():
        np.add.at(found[cause], layer, cycles)
    late = _latest_giver(run, stream, array)
    for cause in ("load", "store"):
        mine = late == cause
        np.add.at(found[cause], layer[mine], owned.gaps[mine])
    found["store"] += owned.tail
    found["move"] += owned.moving
    return np.stack(list(found.values()), axis=1)


def _working(run: Run, spec: AccelSpec, stream: list[Instruction], array: Int64
             ) -> dict[str, Floats]:
    """float64 [compute instructions] by cause: the cycles in which each works."""
    counted = {name: run.counters[name][array] for name in
               ("cycles", "macs", "lane_busy", "imbalance", "fetch_wait", "drain_wait", "unused")}
    lanes = spec.array.lanes
    multiply = counted["macs"] / spec.array.macs
    conv = np.array([isinstance(one, Conv) for one in stream], np.bool_)
    channelwise = np.array([isinstance(one, Depthwise) or one.mnemonic in
                            ("maxpool", "avgpool", "add") for one in stream], np.bool_)
    rest = counted["cycles"] - multiply
    return {
        "multiply": multiply,
        "overhead": np.where(conv, counted["lane_busy"] / lanes - multiply, 0.0),
        "imbalance": counted["imbalance"] / lanes,
        "fetch": counted["fetch_wait"] / lanes,
        "drain": counted["drain_wait"] / lanes,
        "unused": counted["unused"] / lanes,
        "channelwise": np.where(channelwise, rest, 0.0),
        "setup": np.where(conv | channelwise, 0.0, rest),
    }


def _latest_giver(run: Run, stream: list[Instruction], array: Int64) -> npt.NDArray[np.str_]:
    """Of each compute instruction, the unit whose token it got last: "load", "store" or ""."""
    came = np.full((2, len(array)), -1, np.int64)
    givers = (Unit.LOAD, Unit.STORE)
    for row, giver in enumerate(givers):
        gave = [pc for pc, one in enumerate(stream)
                if one.unit == giver and one.post & Unit.COMPUTE]
        takers = [n for n, pc in enumerate(array) if stream[pc].wait & giver]
        came[row, takers] = run.end[gave[: len(takers)]]
    return np.where(came.max(axis=0) < 0, "", np.where(came[0] >= came[1], "load", "store"))


def _energy(run: Run, program: Program) -> Floats:
    """float64 [layers], picojoules."""
    spent = np.zeros(len(program.layers))
    for event, counter in EVENTS.items():
        each = float(getattr(program.spec.energy, event))
        spent += each * _by_layer(run.counters[counter], program)
    return spent


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
