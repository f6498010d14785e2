"""The report of a run: per layer where the cycles, the bytes and the energy went.

Everything is counted from the run of the program itself. Of each layer the report states how far
it is from its bound, max(multiplies of weights that are not zero by inputs within the image /
multipliers, compulsory DRAM bytes / bus width), and by which causes (``loss_breakdown.py``); cycles
belong to layers as ``cycle_attribution.py`` says. A layer whose weights were loaded while the array
was still at the layer before it, or whose tensors stayed on the chip, may come out below its own
bound; the run as a whole may not take less than its multiplies or the bytes that it must move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from zeroskip.accel_model.arrays.base import Slot
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import Instruction
from zeroskip.accel_model.machine.run import PRODUCTS, Run, energies
from zeroskip.accel_model.program.program import LayerInfo, Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.artifact.placement import HostCall, Placement
from zeroskip.runtime.analysis.cycle_attribution import Int64, layers_of, sums
from zeroskip.runtime.analysis.efficiency import Efficiency, efficiency
from zeroskip.runtime.analysis.headline import cycles_line
from zeroskip.runtime.analysis.loss_breakdown import (
    Losses,
    causes_of,
    losses_of,
    parts,
    with_products,
)

MOVES: dict[str, tuple[type[Instruction], ...]] = {
    "inputs": (isa.Load,),
    "weights": (isa.LoadWeights, isa.LoadParams),
    "outputs": (isa.Store,),
}


@dataclass(frozen=True)
class Traffic:
    """Bytes on the DRAM bus. compulsory: each once; moved: in whole bursts."""

    compulsory: int
    moved: int


@dataclass(frozen=True)
class LayerReport:
    """One layer. node: the ONNX node, fused: the addition computed with it, or "".

    macs: multiplies of the dense layer; effectual: those by a weight that is not zero; real_macs:
    of these, by inputs within the image, not by padding. bound: cycles that no such machine can
    beat while every tensor goes through DRAM (``LayerInfo.needs``); utilisation: real_macs of what
    the multipliers could have done; limit: what sets it, "array" or "bus". lost: cycles by cause
    (``Report.causes``), together exactly cycles - bound: all are multiples of 1/2**n, small enough
    for floats to be exact, sums too. traffic: of inputs, weights (with parameters) and outputs;
    dram_bytes: all that moved. energy: microjoules by event, microjoules: of all.
    """

    node: str
    fused: str
    kind: str
    shape: tuple[int, ...]
    macs: int
    effectual: int
    real_macs: int
    cycles: int
    bound: int
    limit: str
    x_bound: float
    utilisation: float
    lost: dict[str, float]
    traffic: dict[str, Traffic]
    dram_bytes: int
    energy: dict[str, float]
    microjoules: float
    schedule: str

    @property
    def title(self) -> str:
        """The nodes that it computes."""
        return self.node + (f" + {self.fused}" if self.fused else "")


@dataclass(frozen=True)
class RegionReport:
    """One program. cycles: of its run. bound: the sum of the layers' bounds. network_bound: with
    all tensors between its layers on the chip. reachable_bound: with the SRAM that there is. lost:
    sums over the layers, cycles - bound."""

    name: str
    cycles: int
    bound: int
    network_bound: int
    reachable_bound: int
    lost: dict[str, float]
    layers: tuple[LayerReport, ...]


@dataclass(frozen=True)
class Report:
    """A network's run on its target; the totals are sums over all regions.

    milliseconds: cycles at the target's clock. macs_per_cycle, bytes_per_cycle: the widths of the
    array and the bus. bound: the sum of the layers' bounds. network_bound: the regions' bounds if
    no tensor between two layers of a region went through DRAM. reachable_bound: what no schedule of
    the regions goes below with the target's SRAM (``compiler.ir.reachable_bound``). causes: what
    cycles can be lost to on this target, each with its meaning. lost: cycles - bound by cause. cpu:
    nodes that stay on the CPU, and why; host_macs: multiplies of those that have any. host_calls:
    what the CPU does between the regions. placement: how much of the network all the figures are
    for. images: that one run of the programs computes; every figure is of such a run, but
    ``efficiency`` of an image. batch: runs of the model's batch, one after another. by_image:
    cycles of every sample, on an array that looks at activations; the other figures are of the
    sample of median time. weights_bound: the bound if no activation were zero; ``bound`` counts
    products of two values that are not zero where the array skips both. headline: the line that
    says so. efficiency: area, power and rates; None where the target names no technology.
    """

    network: str
    target: str
    clock_mhz: float
    macs_per_cycle: int
    bytes_per_cycle: int
    macs: int
    effectual: int
    real_macs: int
    cycles: int
    milliseconds: float
    bound: int
    x_bound: float
    network_bound: int
    x_network_bound: float
    reachable_bound: int
    x_reachable_bound: float
    utilisation: float
    causes: tuple[Slot, ...]
    lost: dict[str, float]
    traffic: dict[str, Traffic]
    dram_bytes: int
    energy: dict[str, float]
    microjoules: float
    regions: tuple[RegionReport, ...]
    cpu: dict[str, str]
    host_macs: dict[str, int]
    host_calls: tuple[HostCall, ...]
    placement: Placement
    batch: int
    headline: str
    efficiency: Efficiency | None = None
    by_image: tuple[int, ...] = ()
    weights_bound: int = 0
    images: int = 1

    @property
    def layers(self) -> tuple[LayerReport, ...]:
        """Of all regions, in the order of execution."""
        return tuple(layer for region in self.regions for layer in region.layers)

    def to_table(self) -> dict[str, Any]:
        """For JSON; the fields and their names are this class's."""
        table = asdict(self)
        table["placement"]["crossing"] = self.placement.crossing
        return {**table, "cpu_share": self.placement.cpu_share}


def report(network: Network, runs: Mapping[str, Run]) -> Report:
    """The report of the runs of a network's regions, by region.

    Of an array that looks at activations: of the image whose time is the median, and the headline
    says how far the others are from it.
    """
    spec, each = network.spec, _by_image(runs)
    if each:
        middle = sorted(range(len(each)), key=each.__getitem__)[(len(each) - 1) // 2]
        runs = {name: run.of_image(middle) for name, run in runs.items()}
    causes = causes_of(spec)
    regions = tuple(
        region_report(runs[name], program)
        for name, program in network.programs.items()
        if name in runs
    )
    layers = [layer for region in regions for layer in region.layers]
    cycles, bound, network_bound, reachable_bound = (
        sum(getattr(region, name) for region in regions)
        for name in ("cycles", "bound", "network_bound", "reachable_bound")
    )
    effectual, real = (
        sum(getattr(layer, name) for layer in layers) for name in ("effectual", "real_macs")
    )
    milliseconds = cycles / spec.clock_mhz / 1000
    energy = _added(spec.kind.events, (layer.energy for layer in layers))
    macs = sum(layer.macs for layer in layers)
    return Report(
        network=network.name,
        target=spec.name,
        clock_mhz=spec.clock_mhz,
        macs_per_cycle=spec.array.macs,
        bytes_per_cycle=spec.dram.bytes_per_cycle,
        macs=macs,
        effectual=effectual,
        real_macs=real,
        cycles=cycles,
        milliseconds=milliseconds,
        bound=bound,
        x_bound=_ratio(cycles, bound),
        network_bound=network_bound,
        x_network_bound=_ratio(cycles, network_bound),
        reachable_bound=reachable_bound,
        x_reachable_bound=_ratio(cycles, reachable_bound),
        utilisation=_ratio(real, cycles * spec.array.macs),
        causes=causes,
        lost=_added([cause.name for cause in causes], (region.lost for region in regions)),
        traffic=_all_traffic([layer.traffic for layer in layers]),
        dram_bytes=sum(layer.dram_bytes for layer in layers),
        energy=energy,
        microjoules=sum(layer.microjoules for layer in layers),
        regions=regions,
        cpu=dict(network.cpu),
        host_macs=dict(network.host_macs),
        host_calls=network.host_calls,
        placement=network.placement,
        batch=network.batch,
        images=network.images,
        by_image=tuple(each),
        weights_bound=sum(
            info.bound(*_width(spec))
            for name, program in network.programs.items()
            if name in runs
            for info in program.layers
        ),
        headline=cycles_line(network, cycles, each=each),
        efficiency=efficiency(
            spec,
            milliseconds / network.images,
            {event: microjoules / network.images for event, microjoules in energy.items()},
            real / network.images,
            macs / network.images,
        ),
    )


def region_report(run: Run, program: Program) -> RegionReport:
    """The report of one program's run, of one image. A program knows its reachable bound whatever
    its inputs are; where they are skipped, the products of this image may need more."""
    program = with_products(run, program)
    moved = _moved(run, program)
    energy = _energy(run, program)
    causes = [cause.name for cause in causes_of(program.spec)]
    layers = tuple(
        _layer(
            info,
            program.spec,
            losses,
            {kind: int(values[index]) for kind, values in moved.items()},
            {event: float(values[index]) for event, values in energy.items()},
        )
        for index, (info, losses) in enumerate(
            zip(program.layers, losses_of(run, program), strict=True)
        )
    )
    network_bound = program.needs.bound(*_width(program.spec))
    return RegionReport(
        name=program.name,
        cycles=run.cycles,
        bound=sum(layer.bound for layer in layers),
        network_bound=network_bound,
        reachable_bound=max(program.reachable, network_bound),
        lost=_added(causes, (layer.lost for layer in layers)),
        layers=layers,
    )


def _by_image(runs: Mapping[str, Run]) -> list[int]:
    """Cycles of every image, if each has its own time."""
    if not any(run.outputs and run.counters.keys() & {PRODUCTS} for run in runs.values()):
        return []
    return [sum(own) for own in zip(*(run.all_cycles for run in runs.values()), strict=True)]


def _width(spec: AccelSpec) -> tuple[int, int]:
    """Multiplies and bytes of a cycle."""
    return spec.array.macs, spec.dram.bytes_per_cycle


def _layer(
    info: LayerInfo,
    spec: AccelSpec,
    losses: Losses,
    moved: Mapping[str, int],
    energy: dict[str, float],
) -> LayerReport:
    bound = info.bound(*_width(spec))
    compulsory = {
        "inputs": info.input_bytes,
        "weights": info.weight_bytes,
        "outputs": info.output_bytes,
    }
    return LayerReport(
        node=info.node,
        fused=info.result if info.result != info.node else "",
        kind=info.kind,
        shape=info.shape,
        macs=info.macs,
        effectual=info.effectual,
        real_macs=info.real_macs,
        cycles=losses.cycles,
        bound=bound,
        limit=losses.limit,
        x_bound=_ratio(losses.cycles, bound),
        utilisation=_ratio(info.real_macs, losses.cycles * spec.array.macs),
        lost={cause: lost / parts(spec) for cause, lost in losses.lost.items()},
        traffic={kind: Traffic(compulsory[kind], moved[kind]) for kind in MOVES},
        dram_bytes=sum(moved.values()),
        energy=energy,
        microjoules=sum(energy.values()),
        schedule=info.schedule,
    )


def _moved(run: Run, program: Program) -> dict[str, Int64]:
    """int64 [layers] for each kind of ``MOVES``: bytes on the bus."""
    stream, layer = decode_all(program.words), layers_of(program)
    found = {}
    for kind, classes in MOVES.items():
        mine = np.array([isinstance(one, classes) for one in stream], np.bool_)
        found[kind] = sums(
            layer, np.where(mine, run.counters["dram_bytes"], 0), len(program.layers)
        )
    return found


def _energy(run: Run, program: Program) -> dict[str, Any]:
    """float64 [layers] for each event, microjoules."""
    layer = layers_of(program)
    return {
        event: sums(layer, spent, len(program.layers)) / 1e6
        for event, spent in energies(program.spec, run.counters).items()
    }


def _added(keys: Iterable[str], tables: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Sums by key."""
    rows = list(tables)
    return {key: sum((row[key] for row in rows), 0.0) for key in keys}


def _all_traffic(tables: Sequence[Mapping[str, Traffic]]) -> dict[str, Traffic]:
    return {
        kind: Traffic(
            sum(row[kind].compulsory for row in tables), sum(row[kind].moved for row in tables)
        )
        for kind in MOVES
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
