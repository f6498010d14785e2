"""Which groups become integer layers, and the scale of every activation among them."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
from tvm import relax

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer.fixed_point import BOUNDS, ActivationType
from zeroskip.relay_passes.quantize.float_graph import WEIGHTED, FloatGraph, Group, Kind, Scale
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.keep_float import BY_REQUEST, kept_float
from zeroskip.relay_passes.quantize.selections import only_select
from zeroskip.relay_passes.relax.rewriting import bindings, nodes_of, outputs, used_vars

_CARRIERS: tuple[Kind, ...] = ("requantise", "lookup", "concat", "reshape", "move")
_INHERITING: tuple[Kind, ...] = ("maxpool", "reshape", "move")
_KEEPING: tuple[Kind, ...] = (*_INHERITING, "requantise")  # exact in their input's scale
_NEAR = 2.0  # times its own scale: what a tensor that others read too takes for a concat's sake


@dataclass(frozen=True)
class Range:
    """The real values that an activation takes, from ``lo`` to ``hi``."""

    lo: float
    hi: float


def scale_of(seen: Range, dtype: ActivationType) -> Scale:
    """The asymmetric scale whose integers span the range, extended to hold 0 exactly; of int16 the
    symmetric one that TFLite has, max |x| / 32767."""
    low, high = BOUNDS[dtype]
    lo, hi = min(seen.lo, 0.0), max(seen.hi, 0.0)
    symmetric = dtype == "int16"
    scale = float(np.float32(max(-lo, hi) / high if symmetric else (hi - lo) / (high - low)))
    if scale == 0 or not np.isfinite(scale):
        return Scale(1.0, 0, dtype)
    if symmetric:
        return Scale(scale, 0, dtype)
    return Scale(scale, int(np.clip(round(low - lo / scale), low, high)), dtype)


def integer_groups(func: relax.Function, graph: FloatGraph, scaled: bool) -> dict[str, Group]:
    """The groups that become integer layers, by output.

    Convolutions and matrix products always do. The others do when what they read is integer or an
    input of the model, and those that only move or clip data when an integer layer is before or
    after them; a function of one activation only where an integer layer reads it, or the model
    gives it a scale. What ``KeepFloat`` marked does not, nor arithmetic that only chooses among
    boxes or elements (selections.py). Without calibration (``scaled`` false) a group whose output
    the model gives no scale stays float.
    """
    params = {str(p.name) for p in func.params if str(p.ty.dtype) == "float32"}
    known: Set[str] = graph.scales.keys() | (params if scaled else set())
    chosen: dict[str, Group] = {}
    floats, nodes = kept_float(func), nodes_of(func)
    selecting = {group.output for group in only_select(func, graph)}
    for name, group in graph.groups.items():
        asked = [nodes[each] for each in group.members if nodes.get(each) in floats]
        if asked:
            for node in asked:
                graph.reasons[node] = BY_REQUEST
            for each in group.members:
                graph.reasons.setdefault(
                    nodes.get(each, each),
                    f"it is one operation with '{asked[0]}', which is kept "
                    "in float by request (--float)",
                )
        elif name in selecting:
            _note(func, graph, group, "it only chooses, and a step of int8 makes another choice")
        elif not scaled and not _has_scales(group, known, graph):
            _note(func, graph, group, _lack(group, graph))
        elif group.kind in WEIGHTED or all(x in known for x in group.inputs):
            chosen[name] = group
            known = known | {name}
        else:
            _note(func, graph, group, "what it reads is float, on the CPU")
    computed: set[str] = set()
    for name, group in chosen.items():
        if group.kind not in _CARRIERS or computed & set(group.inputs):
            computed.add(name)
    for name, group in reversed(list(chosen.items())):
        if any(name in g.inputs for g in chosen.values()):
            continue
        if group.kind == "lookup" and (name not in computed or name not in graph.scales):
            del chosen[name]
            _note(func, graph, group, "no layer on the accelerator reads it")
        elif name not in computed:
            del chosen[name]
            _note(func, graph, group, "what is beside it is float, on the CPU")
    return chosen


def _has_scales(group: Group, known: Set[str], graph: FloatGraph) -> bool:
    """Whether a quantized model says enough: its own scales, or those that pass through."""
    keeps = group.kind in _KEEPING
    read = (*group.inputs, *group.inner)
    return (keeps or group.output in graph.scales) and all(x in known for x in read)


def _lack(group: Group, graph: FloatGraph) -> str:
    if graph.wide & {*group.inputs, group.output}:
        return "the quantized model gives it 16 bits, the accelerator takes 8"
    return "the quantized model gives it no scale, and there are no --calibrate samples"


def _note(func: relax.Function, graph: FloatGraph, group: Group, reason: str) -> None:
    graph.reasons.setdefault(nodes_of(func).get(group.name, group.name), reason)


def observed(func: relax.Function, graph: FloatGraph) -> list[str]:
    """The variables whose ranges quantization asks for: what integer layers read and write."""
    names: dict[str, None] = {}
    for name, group in integer_groups(func, graph, scaled=True).items():
        names.update(dict.fromkeys((*group.inputs, *group.inner, name)))
    return [name for name in names if name not in graph.scales]


def wide_observed(func: relax.Function) -> list[str]:
    """Those of ``observed`` that the model gives 16 bits."""
    graph = read_graph(func)
    return [name for name in observed(func, graph) if name in graph.wide]


def choose_scales(
    func: relax.Function,
    graph: FloatGraph,
    groups: Mapping[str, Group],
    ranges: Mapping[str, Range] | None,
    dtype: ActivationType,
) -> dict[str, Scale]:
    """The scale of every activation that an integer layer reads or writes, by variable.

    The model's own scales stay; without ranges what it gives none keeps its input's. A pool by
    maximum, a reshape and a move keep their input's too. What a concat reads takes the
    concat's where it may (``_joined``), so that nothing has to be rescaled in between.
    """
    scales = dict(graph.scales)
    shared = _joined(func, graph, groups, ranges, dtype)

    def choose(name: str) -> Scale:
        if name not in scales:
            target = shared.get(name, name)
            if target != name:
                scales[name] = choose(target)
            elif ranges is None or target not in ranges:
                raise PassError(
                    f"no range for activation '{name}': calibrate this very module first"
                )
            else:
                scales[name] = scale_of(ranges[target], dtype)
        return scales[name]

    for name, group in groups.items():
        first, *_ = [choose(x) for x in (*group.inputs, *group.inner)]
        keeps = group.kind in _INHERITING or ranges is None
        if keeps and name not in scales:
            scales[name] = first
        choose(name)
    return scales


def _joined(
    func: relax.Function,
    graph: FloatGraph,
    groups: Mapping[str, Group],
    ranges: Mapping[str, Range] | None,
    dtype: ActivationType,
) -> dict[str, str]:
    """Output of a group -> the concat output whose scale it takes, so that nothing is rescaled in
    front: where it is all that reads it, through what keeps its input's scale too, or where that
    scale is hardly larger than its own. Of outputs that keep their input's scale it says what the
    input may take."""
    results = [*outputs(func), *(b.value for b in bindings(func) if isinstance(b.value, relax.Var))]
    leaving = {graph.source(str(v.name)) for out in results for v in used_vars(out)}
    home = {each: name for name, group in groups.items() for each in group.members}
    readers: dict[str, list[str | None]] = {}
    for binding in bindings(func):
        name = str(binding.var.name)
        if graph.source(name) == name:
            for var in used_vars(binding.value):
                readers.setdefault(graph.source(str(var.name)), []).append(home.get(name))

    def size(name: str) -> float:
        if name in graph.scales:
            return graph.scales[name].scale
        return scale_of(ranges[name], dtype).scale if ranges and name in ranges else np.inf

    shared: dict[str, str] = {}
    for name in reversed(list(groups)):
        if name in leaving | graph.scales.keys():
            continue
        wanted = {_wanted(groups[each], shared) if each else None for each in readers.get(name, ())}
        found = sorted({each for each in wanted if each is not None}, key=size)
        if found and (len(wanted) == 1 or size(found[0]) <= _NEAR * size(name)):
            shared[name] = found[0]
    return shared


def _wanted(reader: Group, shared: Mapping[str, str]) -> str | None:
    """The concat output whose scale a reader would have its input in."""
    if reader.kind == "concat":
        return shared.get(reader.output, reader.output)
    return shared.get(reader.output) if reader.kind in _INHERITING else None
