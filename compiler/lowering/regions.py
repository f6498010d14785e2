"""The regions of a module as layers and as operations, each made once and kept between passes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tvm.ir import Call, GlobalVar, IRModule

from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.lowering.from_relax import extract
from zeroskip.compiler.lowering.lower import lower
from zeroskip.relay_passes.relax.rewriting import bindings


@dataclass(frozen=True, eq=False)
class LoweredRegion:
    """A region and what it was made from.

    parts: the function's body and the functions of the module that it calls.
    graph: its layers.
    """

    parts: tuple[Any, ...]
    graph: LayerGraph

    @cached_property
    def region(self) -> Region:
        """Its operations."""
        return lower(self.graph)

    def is_of(self, parts: tuple[Any, ...]) -> bool:
        """Whether it was made from these very objects."""
        return len(parts) == len(self.parts) and all(
            part.same_as(own) for part, own in zip(parts, self.parts, strict=True)
        )


class Regions:
    """What passes of one compile hand each other beside the module.

    A pass may change attributes of a region; as long as its body is the same object, its layers and
    operations are those that were made before. Passes that are used one by one make their own.
    """

    def __init__(self) -> None:
        self._kept: dict[str, LoweredRegion] = {}

    def graph(self, mod: IRModule, name: str) -> LayerGraph:
        """The layers of a region."""
        return self._lowered(mod, name).graph

    def region(self, mod: IRModule, name: str) -> Region:
        """The operations of a region."""
        return self._lowered(mod, name).region

    def _lowered(self, mod: IRModule, name: str) -> LoweredRegion:
        parts, kept = _parts(mod, name), self._kept.get(name)
        if kept is None or not kept.is_of(parts):
            kept = self._kept[name] = LoweredRegion(parts, extract(mod, name))
        return kept


def _parts(mod: IRModule, name: str) -> tuple[Any, ...]:
    func = mod[name]
    called = (
        mod[binding.value.op]
        for binding in bindings(func)
        if isinstance(binding.value, Call) and isinstance(binding.value.op, GlobalVar)
    )
    return func.body, *called
