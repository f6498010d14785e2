"""Arithmetic whose results only choose: which box stays, which element is the largest.

A step of int8 is noise to a layer that follows, and another choice to a selection: boxes of
640 pixels in 255 steps move by up to 1.3 pixels, and two that were apart overlap.
"""

from collections.abc import Iterator

from tvm import relax

from zeroskip.relay_passes.quantize.float_graph import WEIGHTED, FloatGraph, Group, Kind
from zeroskip.relay_passes.relax.rewriting import bindings, op_name, outputs, used_vars

_ARITHMETIC: tuple[Kind, ...] = ("add", "multiply", "extremum", "lookup", "requantise", "avgpool")
_BOXES = ("relax.vision.non_max_suppression", "relax.vision.all_class_non_max_suppression")
_VALUE, _CHOICE, _BOX = "value", "choice", "box"


def only_select(func: relax.Function, graph: FloatGraph) -> Iterator[Group]:
    """The arithmetic that nothing but selections reads, in any distance; last first.

    Of non-maximum suppression all of it back to the layer with weights: it compares coordinates
    with each other. Of what else gives indices or truth values (arg-max, the largest k,
    comparisons) only where no layer with weights is before it: of that layer's int8 results they
    are as good before the arithmetic as behind it. What the model itself gives a scale is left to
    the model.
    """
    uses = _uses(func, graph)
    computed = _computed(graph)
    for name, group in reversed(graph.groups.items()):
        if group.kind not in _ARITHMETIC or name in graph.scales:
            continue
        found = uses.get(name, set())
        if found == {_BOX} or (found and _VALUE not in found and name not in computed):
            yield group


def _computed(graph: FloatGraph) -> set[str]:
    """The outputs of groups that are layers with weights or behind one."""
    found: set[str] = set()
    for name, group in graph.groups.items():
        if group.kind in WEIGHTED or found & set(group.inputs):
            found.add(name)
    return found


def _uses(func: relax.Function, graph: FloatGraph) -> dict[str, set[str]]:
    """What becomes of each tensor in the end: a value, a choice or boxes to choose among."""
    weights = {m for g in graph.groups.values() if g.kind in WEIGHTED for m in g.members}
    uses: dict[str, set[str]] = {}

    def note(expr: relax.Expr, found: set[str]) -> None:
        for var in used_vars(expr):
            uses.setdefault(graph.source(str(var.name)), set()).update(found)

    for out in outputs(func):
        note(out, {_VALUE})
    for binding in reversed(bindings(func)):
        name, value = str(binding.var.name), binding.value
        if op_name(value) in _BOXES:
            note(value, {_BOX})
        elif name in weights:
            note(value, {_VALUE})
        elif graph.source(name) == name and not _is_real(binding.var.ty):
            note(value, {_CHOICE})
        else:
            note(value, uses.get(graph.source(name), set()))
    return uses


def _is_real(type_: object) -> bool:
    """Whether floats, and nothing else, are computed."""
    if isinstance(type_, relax.TensorType):
        return str(type_.dtype).startswith(("float", "bfloat"))
    return all(_is_real(each) for each in getattr(type_, "fields", ()))
