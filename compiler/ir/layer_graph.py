"""The layers of one region as a graph: what extraction hands to lowering. No TVM here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeroskip.relay_passes.integer.layers import Layer, QTensor

if TYPE_CHECKING:
    import networkx as nx  # half a second of processor for its algorithms: a run needs none


@dataclass(frozen=True, eq=False)
class Node:
    """A layer, the names of the values it reads (in order) and of the one it writes."""

    node: str
    layer: Layer
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class LayerGraph:
    """A region. ``tensors`` has the shape and type of every value, by name."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    tensors: dict[str, QTensor]

    def network(self) -> nx.DiGraph:
        """Nodes are indices into ``nodes``; an edge goes from producer to consumer."""
        import networkx as nx

        made = {node.output: index for index, node in enumerate(self.nodes)}
        graph = nx.DiGraph()
        graph.add_nodes_from(range(len(self.nodes)))
        graph.add_edges_from(
            (made[name], index)
            for index, node in enumerate(self.nodes)
            for name in node.inputs
            if name in made
        )
        return graph

    def ordered(self) -> Iterator[Node]:
        """Nodes in execution order; among those that are ready, the order of the network."""
        import networkx as nx

        for index in nx.lexicographical_topological_sort(self.network()):
            yield self.nodes[index]

    def uses(self, name: str) -> int:
        """How many layers and region outputs read a value."""
        return sum(node.inputs.count(name) for node in self.nodes) + self.outputs.count(name)


def makers(graph: LayerGraph) -> list[int]:
    """For each output of a region, the index of the layer that makes it."""
    made = {node.output: index for index, node in enumerate(graph.nodes)}
    return [made[name] for name in graph.outputs]
