"""Reading and editing an ONNX graph: what the rewrites of `onnx_normalise` are written with."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.names import unused_name

Array: TypeAlias = npt.NDArray[Any]

# NodeProto.metadata_props key: the node of the user's file that a rewritten node stands for.
ORIGIN = "zeroskip.node"
# ModelProto.metadata_props key: the operators of the user's nodes, JSON.
OPERATORS = "zeroskip.operators"
DEFAULT_DOMAINS = ("", "ai.onnx")


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The node's attributes by name, strings decoded; FrontError for one without a value."""
    try:
        values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        return {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in values.items()
        }
    except ValueError as error:
        raise FrontError(
            f"Node '{node.name}' ({node.op_type}) has an attribute that cannot be read: "
            "export the model again."
        ) from error


def set_attributes(node: onnx.NodeProto, **values: Any) -> None:
    """Set attributes of the node; None removes one."""
    kept = [item for item in node.attribute if item.name not in values]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(
        helper.make_attribute(name, value) for name, value in values.items() if value is not None
    )


def input_name(node: onnx.NodeProto, index: int) -> str:
    """The name of an input, "" when that optional input is left out."""
    return str(node.input[index]) if index < len(node.input) else ""


def origin(node: onnx.NodeProto) -> str:
    """The name of the node in the user's file that `node` came from."""
    for item in node.metadata_props:
        if item.key == ORIGIN:
            return str(item.value)
    return str(node.name)


def set_origin(node: onnx.NodeProto, name: str) -> None:
    """Record which node of the user's file `node` stands for."""
    if name != node.name and origin(node) == node.name:
        node.metadata_props.add(key=ORIGIN, value=name)


def operators(model: onnx.ModelProto) -> dict[str, str]:
    """The operator of each node of the user's file, as far as the model records them."""
    held = next((item.value for item in model.metadata_props if item.key == OPERATORS), "{}")
    return {str(node): str(operator) for node, operator in json.loads(held).items()}


def opset(model: onnx.ModelProto) -> int:
    """The version of the default operator set (1 when the model names none)."""
    versions = [item.version for item in model.opset_import if item.domain in DEFAULT_DOMAINS]
    return int(max(versions, default=1))


def static_shape(info: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The tensor's shape if its rank and every dimension are known, else None."""
    dims = dimensions(info)
    if dims is None or any(dim is None for dim in dims):
        return None
    return tuple(dim for dim in dims if dim is not None)


def dimensions(info: onnx.ValueInfoProto) -> list[int | None] | None:
    """The tensor's dimensions, None for an unknown one; None alone for an unknown rank.

    Some exporters write an unknown dimension as -1 or 0 rather than leaving it out.
    """
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [
        int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in tensor.shape.dim
    ]


@dataclass(frozen=True)
class Index:
    """A snapshot of the graph by tensor name; valid until the graph is edited."""

    constants: Mapping[str, onnx.TensorProto]
    producer: Mapping[str, onnx.NodeProto]
    readers: Mapping[str, list[onnx.NodeProto]]
    infos: Mapping[str, onnx.ValueInfoProto]
    outputs: frozenset[str]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> "Index":
        graph = model.graph
        readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(filter(None, node.input)):
                readers.setdefault(name, []).append(node)
        return cls(
            constants={item.name: item for item in graph.initializer},
            producer={name: node for node in graph.node for name in node.output if name},
            readers=readers,
            infos={i.name: i for i in [*graph.input, *graph.value_info, *graph.output]},
            outputs=frozenset(item.name for item in graph.output),
        )

    def constant(self, name: str) -> Array | None:
        """The value of a constant tensor, None when `name` is not one."""
        if name not in self.constants:
            return None
        value: Array = numpy_helper.to_array(self.constants[name])
        return value

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The tensor's static shape, None when it is not known."""
        if name in self.constants:
            return tuple(self.constants[name].dims)
        return static_shape(self.infos[name]) if name in self.infos else None

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads the tensor, None if several do or the graph returns it."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None


def names_in_use(model: onnx.ModelProto) -> set[str]:
    """Every tensor name of the graph."""
    graph = model.graph
    named = {item.name for item in [*graph.input, *graph.output, *graph.initializer]}
    for node in graph.node:
        named.update(node.input)
        named.update(node.output)
    return named


def replace_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Give the graph these nodes, which must be in topological order."""
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def rename_reads(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Make every node that reads a tensor in `names` read the one it maps to."""
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name in names:
                node.input[position] = names[name]


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs that a node of control flow holds."""
    found = [item.g for item in node.attribute if item.type == onnx.AttributeProto.GRAPH]
    return found + [graph for item in node.attribute for graph in item.graphs]


def reads(node: onnx.NodeProto) -> set[str]:
    """Every tensor that a node reads, those that the graphs within it take from around them (and
    perhaps some of their own) included."""
    found = {name for name in node.input if name}
    for graph in subgraphs(node):
        found.update(*map(reads, graph.node), (item.name for item in graph.output))
    return found


def drop_unused(model: onnx.ModelProto) -> None:
    """Remove the nodes and constants on which no output depends."""
    needed = {item.name for item in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed |= reads(node)
            kept.append(node)
    if len(kept) < len(model.graph.node):
        replace_nodes(model, reversed(kept))
    initializers = model.graph.initializer
    for position in reversed(range(len(initializers))):
        if initializers[position].name not in needed:
            del initializers[position]


class Rewriter:
    """Walks the nodes once and puts others in their places (see `expand`)."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.index = Index.of(model)
        self._tensors = names_in_use(model)
        self._node_names = {node.name for node in model.graph.node}
        self._made: list[onnx.NodeProto] = []
        self._current = onnx.NodeProto()

    def expand(self, rewrite: Callable[["Rewriter", onnx.NodeProto], bool]) -> None:
        """Call `rewrite(self, node)` on each node; when it returns True, the nodes it made with
        `make` replace that node."""
        nodes: list[onnx.NodeProto] = []
        for node in self.model.graph.node:
            self._made, self._current = [], node
            nodes.extend(self._made if rewrite(self, node) else [node])
        replace_nodes(self.model, nodes)

    def make(
        self,
        op_type: str,
        inputs: Iterable[str],
        *,
        role: str = "",
        output: str = "",
        **attrs: Any,
    ) -> str:
        """Append a node of the default domain; the name of its output.

        Without a `role` the node takes the name of the one it replaces; with one, that name
        and the role. Without an `output` the tensor gets a fresh name.
        """
        name = self._current.name
        if role:
            name = unused_name(f"{self._current.name}/{role}", self._node_names)
        output = output or unused_name(f"{name}_output", self._tensors)
        node = helper.make_node(op_type, list(inputs), [output], name=name)
        set_attributes(node, **attrs)
        set_origin(node, origin(self._current))
        self._made.append(node)
        return output

    def constant(self, role: str, value: npt.ArrayLike) -> str:
        """Add a constant tensor; its name."""
        name = unused_name(f"{self._current.name}/{role}", self._tensors)
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name
