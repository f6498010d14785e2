"""Transposes and Reshapes moved along the graph, to where they meet others and vanish.

A walk in the order of the nodes holds back every Transpose and Reshape: a tensor is then a `View`
of another one, its source. A node that has a form for the source's layout (`onnx_layout_rules`)
computes there, and its result is a view again; any other node reads the view, made at last. What
moved together stands or falls together: a group that would move as many elements as before stays
as the model has it, unless layers of a convolution's own layout gain by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Array,
    Index,
    attributes,
    drop_unused,
    names_in_use,
    origin,
    replace_nodes,
    set_attributes,
    set_origin,
)
from zeroskip.relay_passes.frontend.fold import remove_identities
from zeroskip.relay_passes.frontend.layout_rules import ELEMENTWISE, RULES, moved
from zeroskip.relay_passes.frontend.views import (
    Lazy,
    Shape,
    View,
    axes_of,
    identity,
    transpose_first,
    transposed,
)
from zeroskip.relay_passes.names import unused_name

# Their results are in the layout of layers, channels second.
_PLANAR = {
    "Conv",
    "ConvTranspose",
    "AveragePool",
    "MaxPool",
    "GlobalAveragePool",
    "BatchNormalization",
    "Gemm",
}


def move_transposes(model: onnx.ModelProto) -> None:
    """Move Transposes and Reshapes to where they merge, cancel or fold into constants.

    Needs inferred shapes, and leaves those of new tensors to be inferred. Linear in the number of
    nodes.
    """
    first = LayoutWalk(model, frozenset())
    kept = first.losing()
    last = LayoutWalk(model, kept) if kept else first
    if last.changed:
        last.commit()
        remove_identities(model)
        drop_unused(model)


@dataclass
class _Group:
    """What a group saves: elements that no Transpose moves any more, and nodes."""

    members: set[str] = field(default_factory=set)
    removed: int = 0
    elements: int = 0
    nodes: int = 0
    useful: bool = False

    def take(self, other: "_Group") -> None:
        self.members |= other.members
        self.removed += other.removed
        self.elements += other.elements
        self.nodes += other.nodes
        self.useful |= other.useful

    @property
    def wins(self) -> bool:
        if self.elements:
            return self.elements > 0
        return self.nodes > 0 or (self.useful and (self.removed > 0 or self.nodes == 0))


class LayoutWalk:
    """One walk over the graph, which it reads only; `commit` writes what it found.

    frozen: Transposes and Reshapes to be left where they are, by name.
    """

    def __init__(self, model: onnx.ModelProto, frozen: frozenset[str]) -> None:
        self.model, self.frozen, self.index = model, frozen, Index.of(model)
        self.lazies: dict[str, Lazy] = {}
        self.changed = False
        self._groups: list[_Group] = []
        self._parents: list[int] = []
        self._made: dict[tuple[str, View], str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, Array] = {}
        self._tensors = names_in_use(model)
        self._names = {node.name for node in model.graph.node}
        self._planar: set[str] = set()
        for name, transpose in _seeds(model, self.index).items():
            if name not in frozen:
                self._turn_input(name, transpose)
        for node in model.graph.node:
            self._step(node)

    def _step(self, node: onnx.NodeProto) -> None:
        rule = RULES.get(node.op_type) if node.domain in DEFAULT_DOMAINS else None
        if rule is None or node.name in self.frozen or not rule(self, node):
            if rule is not None and node.name in self.frozen:
                self._remember(node)
            self._keep(node)
            return
        self.changed = True
        for name in self.index.outputs.intersection(node.output):
            if name in self.lazies:
                self._output(name)

    def losing(self) -> frozenset[str]:
        """The Transposes and Reshapes that are better left where they are."""
        roots = {self._root(at) for at in range(len(self._groups))}
        return frozenset(
            name for at in roots if not self._groups[at].wins for name in self._groups[at].members
        )

    def commit(self) -> None:
        """Give the model the nodes and constants of this walk."""
        replace_nodes(self.model, self._nodes)
        self.model.graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(value), name)
            for name, value in self._constants.items()
        )
        del self.model.graph.value_info[:]

    # --------------------------------------------------------------------------- what rules ask

    def shape(self, name: str) -> Shape | None:
        """The shape of a tensor of the model, None if it is unknown or holds nothing."""
        shape = self.index.shape(name)
        return None if shape is None or 0 in shape else shape

    def lazy(self, name: str) -> Lazy | None:
        """The view that a tensor is, None if it stands in the graph itself."""
        found = self.lazies.get(name)
        return None if found is None or found.trivial else found

    def plain(self, name: str, node: onnx.NodeProto) -> Lazy:
        """Any tensor as a view, whose group a view that `node` begins would have."""
        found, shape = self.lazies.get(name), self.shape(name) or ()
        if found is not None and not found.trivial:
            return found
        source = name if found is None else found.source
        return Lazy(source, shape, identity(shape), -1, node, source in self._planar)

    def known(self, name: str) -> Array | None:
        """A constant, or the integers of one that is dequantized by one scale."""
        value, maker = self.index.constant(name), self.index.producer.get(name)
        if value is not None or maker is None or maker.op_type != "DequantizeLinear":
            return value
        scales = [self.index.constant(each) for each in maker.input[1:] if each]
        if not all(scale is not None and scale.size == 1 for scale in scales):
            return None
        return self.index.constant(maker.input[0])

    def remade(self, name: str, value: Array) -> str:
        """Another value in place of what `known` gives; its name."""
        if name in self.index.constants:
            return self.constant(name, value)
        maker = self.index.producer[name]
        return self.copy(maker, [self.constant(maker.input[0], value), *maker.input[1:]])

    def cost(self, lazy: Lazy, view: View) -> int:
        """The elements that must be moved to have another view of a source."""
        return view.size if view.moves and (lazy.source, view) not in self._made else 0

    # ------------------------------------------------------------------------- what rules make

    def hold(self, node: onnx.NodeProto, lazy: Lazy, view: View, elements: int = 0) -> None:
        """Let the node's result be a view; the node goes, and moves no elements."""
        self._groups.append(_Group({node.name}, elements, elements, 1))
        self._parents.append(len(self._parents))
        at = len(self._groups) - 1
        if lazy.group >= 0:
            self.join([at, lazy.group])
        self.lazies[node.output[0]] = replace(lazy, view=view, group=at, node=node)

    def join(self, groups: Sequence[int]) -> None:
        """Make these groups one."""
        roots = sorted({self._root(at) for at in groups if at >= 0})
        for other in roots[1:]:
            self._groups[roots[0]].take(self._groups[other])
            self._parents[other] = roots[0]

    def read(self, lazy: Lazy, view: View, output: str = "") -> str:
        """A tensor that is this view of the source, made if there is none."""
        if not output and not view.moves and view.shape == lazy.shape:
            return lazy.source
        key = (lazy.source, view)
        if key in self._made and not output:
            return self._made[key]
        steps = _steps(view, lazy.shape)
        value = lazy.source
        for at, (op_type, numbers) in enumerate(steps):
            last = at == len(steps) - 1
            value = self._move(lazy.node, op_type, numbers, value, output if last else "")
        if not steps:
            value = self._move(lazy.node, "Identity", (), value, output)
        if lazy.group >= 0:
            group = self._groups[self._root(lazy.group)]
            group.elements -= view.size if view.moves else 0
            group.nodes -= len(steps)
        self._made[key] = value
        return value

    def sink(
        self,
        node: onnx.NodeProto,
        inputs: Sequence[str],
        lazy: Lazy,
        views: Sequence[tuple[Shape, View]],
        *,
        elementwise: bool = False,
        op_type: str = "",
        **attrs: Any,
    ) -> None:
        """Compute the node in the source's layout, from these inputs and with these attributes;
        each of its results has a shape there and is a view of it. op_type: of another operator,
        which is the same there."""
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.op_type = op_type or node.op_type
        made.input[:] = inputs
        set_attributes(made, **attrs)
        for at, (shape, view) in enumerate(views):
            if node.output[at]:
                made.output[at] = unused_name(f"{node.output[at]}_moved", self._tensors)
                self.lazies[node.output[at]] = replace(
                    lazy, source=made.output[at], shape=shape, view=view
                )
        self._nodes.append(made)
        if elementwise and lazy.planar and lazy.group >= 0:
            self._groups[self._root(lazy.group)].useful = True

    def fold(self, node: onnx.NodeProto, inputs: Sequence[str]) -> None:
        """Keep the node, reading these."""
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.input[:] = [
            self.read(found, found.view) if (found := self.lazies.get(name)) else name
            for name in inputs
        ]
        self._nodes.append(made)
        if node.op_type in _PLANAR or (
            node.op_type in ELEMENTWISE and self._planar.intersection(node.input)
        ):
            self._planar.update(node.output)

    def copy(self, node: onnx.NodeProto, inputs: Sequence[str]) -> str:
        """A second node like this one, reading these; its result's name."""
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.name = unused_name(f"{node.name}/moved", self._names)
        made.input[:] = inputs
        made.output[:] = [unused_name(f"{node.output[0]}_moved", self._tensors)]
        set_origin(made, origin(node))
        self._nodes.append(made)
        return str(made.output[0])

    def constant(self, name: str, value: Array) -> str:
        """A constant of the same name, with a number if need be."""
        made = unused_name(f"{name}_moved", self._tensors)
        self._constants[made] = value
        return made

    # ----------------------------------------------------------------------------------- inside

    def _turn_input(self, name: str, transpose: onnx.NodeProto) -> None:
        """Transpose an input of the graph at once, as a node behind it does later."""
        shape = self.index.shape(name) or ()
        perm = attributes(transpose)["perm"]
        inner = tuple(shape[axis] for axis in perm)
        back = transposed(identity(inner), [int(axis) for axis in np.argsort(perm)])
        assert back is not None
        made = self._move(transpose, "Transpose", tuple(perm), name, "")
        self._groups.append(_Group({name}, 0, -back.size, -1, useful=True))
        self._parents.append(len(self._parents))
        self.lazies[name] = Lazy(made, inner, back, self._parents[-1], transpose, True)

    def _remember(self, node: onnx.NodeProto) -> None:
        """Let others that want the view that a frozen node makes read its result."""
        if self.lazy(node.input[0]) is None and (found := moved(self, node)) is not None:
            lazy, view, _ = found
            self._made.setdefault((lazy.source, view), node.output[0])

    def _keep(self, node: onnx.NodeProto) -> None:
        self.fold(node, node.input)

    def _output(self, name: str) -> None:
        """Make an output of the graph under its name; those who read it still see a view."""
        lazy = self.lazies[name]
        self.read(lazy, lazy.view, name)

    def _move(
        self, node: onnx.NodeProto, op_type: str, numbers: Shape, value: str, output: str
    ) -> str:
        """A Transpose or Reshape that stands for one of the model; its result's name."""
        name = unused_name(f"{origin(node)}/{op_type}", self._names)
        inputs, attrs = [value], {}
        if op_type == "Reshape":
            inputs.append(self.constant(f"{name}/shape", np.asarray(numbers, np.int64)))
        elif op_type == "Transpose":
            attrs["perm"] = list(numbers)
        result = output or unused_name(f"{name}_output", self._tensors)
        made = onnx.helper.make_node(op_type, inputs, [result], name, **attrs)
        set_origin(made, origin(node))
        self._nodes.append(made)
        return str(made.output[0])

    def _root(self, group: int) -> int:
        while self._parents[group] != group:
            self._parents[group] = self._parents[self._parents[group]]
            group = self._parents[group]
        return group


def _seeds(model: onnx.ModelProto, index: Index) -> dict[str, onnx.NodeProto]:
    """The Transpose to which each input of the graph comes by nodes that can compute behind it, for
    inputs that come to one."""
    found: dict[str, onnx.NodeProto] = {}
    for item in model.graph.input:
        name, shape = item.name, index.shape(item.name)
        while (node := index.only_reader(name)) is not None and _goes_before(node, name, index):
            name = node.output[0]
        if node is not None and node.op_type == "Transpose" and name != item.name:
            perm = attributes(node).get("perm")
            turned = (
                None
                if perm is None or shape is None or 0 in shape or (len(shape) != len(perm))
                else transposed(identity(shape), perm)
            )
            if turned is not None and turned.moves:
                found[item.name] = node
    return found


def _goes_before(node: onnx.NodeProto, name: str, index: Index) -> bool:
    """Whether nothing but constants goes into a node beside this tensor."""
    return (
        node.domain in DEFAULT_DOMAINS
        and node.op_type in {*ELEMENTWISE, "Pad"}
        and all(each in index.constants for each in node.input if each not in ("", name))
    )


def _steps(view: View, source: Shape) -> list[tuple[str, Shape]]:
    """The fewest Transposes and Reshapes that make a view."""
    steps: list[tuple[str, Shape]] = []
    shape = source
    axes = axes_of(view, source)
    if view.moves:
        perm = None if axes is not None and axes.shape == source else transpose_first(view, source)
        if perm is None:
            whole = (view.dims, view.perm) if axes is None else (axes.shape, axes.perm)
            if whole[0] != source:
                steps.append(("Reshape", whole[0]))
            shape, perm = whole
        steps.append(("Transpose", perm))
        shape = tuple(shape[axis] for axis in perm)
    if shape != view.shape:
        steps.append(("Reshape", view.shape))
    return steps
