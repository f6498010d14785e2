"""Puts the networks of several levels together, one after the other, so that only what is stored
of a level is kept when the next one is compiled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats import nested
from zeroskip.accel_model.io.archive import Chunks, array_of, digest, npy_chunks
from zeroskip.compiler.artifact.derived_members import (
    NestedConstant,
    RebuiltProgram,
    WeightSource,
    split_program,
)
from zeroskip.compiler.artifact.nested_file import Derived, Levels
from zeroskip.compiler.artifact.network import MODULES, Network
from zeroskip.compiler.artifact.relax_modules import constant_member
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.relay_passes.integer.layers import ConvLayer, DenseLayer

Key = tuple[str, str, str]  # a constant of a network: module, function, variable


@dataclass(frozen=True, eq=False)
class Level:
    """A network, how it was pruned, and the layers of its regions by the region's name."""

    recipe: str
    network: Network
    graphs: Mapping[str, LayerGraph]


def pack_levels(levels: Iterable[Level]) -> Levels:
    """The networks of levels, the densest first, with their weights stored once.

    Whatever is not nested is stored as it is, so any networks may be put together.
    """
    packer = _Packer()
    for level in levels:
        packer.add(level)
    return packer.finish()


@dataclass(eq=False)
class _Growing:
    """A constant at the levels so far. names: its digest at each of them. depth: of each position,
    in how many levels it is not zero."""

    first: npt.NDArray[Any]
    names: list[str]
    depth: npt.NDArray[np.uint8]

    @staticmethod
    def start(array: npt.NDArray[Any], name: str) -> _Growing:
        return _Growing(array, [name], _there(array).astype(np.uint8))

    def add(self, array: npt.NDArray[Any], name: str) -> bool:
        """Whether the array is the next level, some of the weights of the one before."""
        if (array.shape, array.dtype) != (self.first.shape, self.first.dtype):
            return False
        there = _there(array)
        if (there & (self.depth < len(self.names))).any() or (
            _bits(array)[there] != _bits(self.first)[there]
        ).any():
            return False
        self.depth += there
        self.names.append(name)
        return True

    @property
    def granule(self) -> int:
        """Positions of a kernel."""
        size = prod(self.first.shape[2:])
        return size if size <= nested.MAX_GRANULE else 1


def _bits(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}")


def _there(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    there: npt.NDArray[np.bool_] = _bits(array) != 0
    return there


@dataclass(eq=False)
class _Packer:
    recipes: list[str] = field(default_factory=list)
    heads: list[dict[str, Any]] = field(default_factory=list)
    derived: dict[str, Derived] = field(default_factory=dict)
    parts: dict[str, Chunks] = field(default_factory=dict)
    constants: dict[Key, _Growing] = field(default_factory=dict)

    def add(self, level: Level) -> None:
        head, members = level.network.dump()
        names: dict[str, str] = head["sha256"]
        held = set()
        for key, member in _constants(members):
            array = array_of(members[member])
            if not self.recipes:
                self.constants[key] = _Growing.start(array, names[member])
                held.add(member)
            elif (
                key in self.constants
                and len(self.constants[key].names) == len(self.recipes)
                and self.constants[key].add(array, names[member])
            ):
                held.add(member)
        for region, member in head["programs"].items():
            self._add_program(level, region, names, members, member)
            held.add(member)
        for member in members.keys() - held:
            self._store(names[member], members[member])
        self.recipes.append(level.recipe)
        self.heads.append(head)

    def _add_program(
        self,
        level: Level,
        region: str,
        names: Mapping[str, str],
        members: Mapping[str, Chunks],
        member: str,
    ) -> None:
        program, parts = level.network.programs[region], members[member]
        known = {}
        for node in level.graphs[region].nodes:
            if isinstance(node.layer, ConvLayer):
                constant, groups, transposed = node.layer.weight, node.layer.groups, 0
            elif isinstance(node.layer, DenseLayer):
                constant, groups, transposed = np.ascontiguousarray(node.layer.weight.T), 1, 1
            else:
                continue
            name, _ = constant_member(constant)
            if name in members:
                known[node.node] = WeightSource(names[name], groups, 1, transposed), constant
        split = split_program(
            np.frombuffer(b"".join(parts), np.uint8), len(parts[0]), program, known
        )
        pieces = split.pieces
        if not pieces.size:  # all its weights are too small to be members
            self._store(names[member], parts)
            return
        if pieces.max() < 1 << 31:
            pieces = pieces.astype(np.int32)
        self.derived[names[member]] = RebuiltProgram(
            program.spec.format.full_name,
            self._keep([split.rest.tobytes()]),
            self._keep(npy_chunks(pieces)),
            self._keep(npy_chunks(split.orders)),
            split.sources,
        )

    def finish(self) -> Levels:
        """Constants that are the same at all levels are stored as they are."""
        for growing in self.constants.values():
            distinct = dict.fromkeys(growing.names)
            if len(distinct) == 1:
                self._store(growing.names[0], npy_chunks(growing.first))
                continue
            raw = nested.pack(
                growing.first.reshape(-1), growing.depth, len(growing.names), growing.granule
            )
            part = self._keep([raw.data])
            for name in distinct:
                self.derived[name] = NestedConstant(
                    part, growing.names.index(name), str(growing.first.dtype), growing.first.shape
                )
        stored = {name: parts for name, parts in self.parts.items() if name not in self.derived}
        return Levels(tuple(self.recipes), tuple(self.heads), self.derived, stored)

    def _keep(self, parts: Chunks) -> str:
        """Store a part; returns its digest."""
        name = digest(parts)
        self._store(name, parts)
        return name

    def _store(self, name: str, parts: Chunks) -> None:
        self.parts.setdefault(name, parts)


def _constants(members: Mapping[str, Chunks]) -> Iterable[tuple[Key, str]]:
    """The constants of a network's modules that may be weights, and their members."""
    for module in MODULES[1:]:
        table = json.loads(b"".join(members[f"modules/{module}.constants.json"]))
        for function, variables in table.items():
            for variable, member in variables.items():
                yield (module, function, variable), member
