"""Which groups become integer layers, and the scale of every activation among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tvm import relax
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.graph import bindings, nodes_of, outputs, used_vars
from zeroskip.relay_passes.integer import BOUNDS
from zeroskip.relay_passes.quantise_graph import FloatGraph, Group, Kind, Scale

_WEIGHTED: tuple[Kind, ...] = ("conv", "dense")
_CARRIERS: tuple[Kind, ...] = ("requantise", "concat", "reshape")
_INHERITING: tuple[Kind, ...] = ("maxpool", "reshape")
_SCALED: tuple[Kind, ...] = ("conv", "dense", "add", "avgpool", "requantise")


@dataclass(frozen=True)
class Range:
    """The real values that an activation takes, from ``lo`` to ``hi``."""

    lo: float
    hi: float


def scale_of(seen: Range, dtype: Literal["int8", "uint8"]) -> Scale:
    """The asymmetric scale whose integers span the range, extended to hold 0 exactly."""
    low, high = BOUNDS[dtype]
    lo, hi = min(seen.lo, 0.0), max(seen.hi, 0.0)
    scale = float(np.float32((hi - lo) / (high - low)))
    if scale == 0 or not np.isfinite(scale):
        return Scale(1.0, 0, dtype)
    return Scale(scale, int(np.clip(round(low - lo / scale), low, high)), dtype)


def integer_groups(func: relax.Function, graph: FloatGraph, scaled: bool) -> dict[str, Group]:
    """The groups that become integer layers, by output.

    Convolutions and matrix products always do. The others do when what they read is integer or an
    input of the model, and those that only move or clip data when an integer layer is before or
    after them. Without calibration (``scaled`` false) a group whose output the model gives no
    scale stays float.
    """
    params = {str(p.name) for p in func.params if str(p.ty.dtype) == "float32"}
    known = params | graph.scales.keys()
    chosen: dict[str, Group] = {}
    for name, group in graph.groups.items():
        inherits = group.kind in (*_INHERITING, "requantise", "avgpool")
        if not (scaled or name in graph.scales or inherits):
            graph.reasons[_node(func, group)] = "the quantised model gives its output no scale"
        elif not scaled and not all(x in known for x in group.inputs):
            graph.reasons[_node(func, group)] = "the quantised model gives its input no scale"
        elif group.kind in _WEIGHTED or all(x in chosen or x in known for x in group.inputs):
            chosen[name] = group
            known = known | {name}
    read = {x for group in chosen.values() for x in group.inputs}
    for name, group in reversed(list(chosen.items())):
        before = any(x in chosen for x in group.inputs)
        if group.kind in _CARRIERS and not before and name not in read:
            del chosen[name]
            read = {x for other in chosen.values() for x in other.inputs}
    return chosen


def observed(func: relax.Function, graph: FloatGraph) -> list[str]:
    """The variables whose ranges quantisation asks for: what integer layers read and write."""
    names: dict[str, None] = {}
    for name, group in integer_groups(func, graph, scaled=True).items():
        names.update(dict.fromkeys((*group.inputs, name)))
    return [name for name in names if name not in graph.scales]


def choose_scales(
    func: relax.Function,
    graph: FloatGraph,
    groups: Mapping[str, Group],
    ranges: Mapping[str, Range],
    dtype: Literal["int8", "uint8"],
) -> dict[str, Scale]:
    """The scale of every activation that an integer layer reads or writes, by variable.

    The model's own scales stay. A pool by maximum and a reshape keep their input's; what is only
    read by one concat takes the concat's, so that nothing has to be rescaled in between.
    """
    scales = dict(graph.scales)
    shared = _joined(func, graph, groups)

    def choose(name: str) -> Scale:
        if name not in scales:
            target = shared.get(name, name)
            if target != name:
                scales[name] = choose(target)
            elif target not in ranges:
                raise PassError(
                    f"no range for activation '{name}': calibrate this very module first"
                )
            else:
                scales[name] = scale_of(ranges[target], dtype)
        return scales[name]

    for name, group in groups.items():
        first, *_ = [choose(x) for x in group.inputs]
        keeps = group.kind in _INHERITING or not ranges
        if keeps and name not in scales:
            scales[name] = first
        choose(name)
    return scales


def _joined(func: relax.Function, graph: FloatGraph, groups: Mapping[str, Group]) -> dict[str, str]:
    """Layer output -> the concat output whose scale it takes."""
    leaving = {graph.source(str(v.name)) for out in outputs(func) for v in used_vars(out)}
    readers: dict[str, list[str]] = {}
    for binding in bindings(func):
        for var in used_vars(binding.value):
            readers.setdefault(graph.source(str(var.name)), []).append(str(binding.var.name))
    shared: dict[str, str] = {}
    for name, group in reversed(list(groups.items())):
        for x in group.inputs if group.kind == "concat" else ():
            free = x in groups and groups[x].kind in (*_SCALED, "concat")
            if free and len(readers[x]) == 1 and not {x} & (leaving | graph.scales.keys()):
                shared[x] = shared.get(name, name)
    return shared


def _node(func: relax.Function, group: Group) -> str:
    return nodes_of(func).get(group.name, group.name)
