"""A network at several sparsities in one file, each weight stored once (nested levels).

Level 0 is the densest; each further level has some of the weights of the level before, with the
same values (Moon et al., IEEE JETCAS 9(4), 2019; Kim et al., "NestedNet", CVPR 2018). All levels
have the same weight scales, chosen by level 0, so that a weight is the same integer in all of them.
Which accelerator runs at which level is chosen when the file is loaded.

A level is a whole network: its manifest is that of a file of its own, its programs are the bytes
that compiling it alone would give. What is stored differs. Members lie in the file under the digest
of their contents, so what levels have in common is there once; and a member may be made of others
instead (``derived_members.py``): weights from nested weights (``accel_model/formats/nested.py``),
programs from weights and what lies between them. What comes out has the digest that the level's
manifest says, or it is refused. Biases, multipliers, instructions and modules are each level's own.

The file is a zip as a network's is: ``manifest.json`` with the levels' recipes and manifests and
what is derived, and ``parts/<sha256>``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from zeroskip.accel_model.io.archive import Chunks, digest, pieces, read_npy, seal
from zeroskip.accel_model.io.validate import checked_text, from_table
from zeroskip.compiler.artifact.derived_members import NestedConstant, RebuiltProgram, join_program
from zeroskip.compiler.artifact.network import (
    FORMAT,
    Network,
    NetworkError,
    as_network_error,
    check_head,
    read_network,
    write_members,
)

LEVELS_FORMAT = 2
FOLDER = "parts/"
GROWTH = 256  # times the bytes that are stored: the most that a member is made to

Derived: TypeAlias = NestedConstant | RebuiltProgram
ReadPart: TypeAlias = Callable[[str], bytes]  # by its digest


@dataclass(frozen=True, eq=False)
class Levels:
    """Networks that share their weights.

    recipes: of each level, as it was given. heads: the manifests. derived: what is made of other
    members, by digest. parts: all else, by digest.
    """

    recipes: tuple[str, ...]
    heads: tuple[dict[str, Any], ...]
    derived: Mapping[str, Derived]
    parts: Mapping[str, Chunks]

    def network(self, level: int = 0) -> Network:
        """The network of a level; NetworkError if there is none of this number."""
        stored = sum(len(piece) for parts in self.parts.values() for piece in parts)
        store = _Store(self.derived, self._reading, stored * GROWTH)
        with as_network_error("the network"):
            return _network(self.recipes, self.heads, store, "the network", level)

    @contextmanager
    def _reading(self) -> Iterator[ReadPart]:
        yield lambda name: b"".join(self.parts[name])

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        manifest: dict[str, Any] = {
            "format": LEVELS_FORMAT,
            "levels": [
                {"recipe": recipe, "network": head}
                for recipe, head in zip(self.recipes, self.heads, strict=True)
            ],
            "derived": {name: asdict(each) for name, each in self.derived.items()},
            "parts": sorted(self.parts),
        }
        manifest["seal"] = seal(manifest)
        members = {f"{FOLDER}{name}": self.parts[name] for name in sorted(self.parts)}
        write_members(path, lambda: (manifest, members))


def read_level(
    box: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    head: dict[str, Any],
    path: str,
    level: int,
) -> Network:
    """The network of a level in a file that ``Levels.save`` wrote.

    What is wrong with the file is an error that ``network.refusing`` knows.
    """
    check_head(head, LEVELS_FORMAT, path)
    if set(members) != {"manifest.json", *(f"{FOLDER}{name}" for name in head["parts"])}:
        raise NetworkError(f"{path}: was altered after it was written; compile it again")
    for name in head["parts"]:
        if digest(pieces(box, members[f"{FOLDER}{name}"])) != name:
            raise NetworkError(
                f"{path}: member {FOLDER}{name} was altered after it was written; compile it again"
            )
    derived = {
        name: RebuiltProgram.from_table(table)
        if "sources" in table
        else from_table(NestedConstant, table)
        for name, table in head["derived"].items()
    }
    stored = sum(info.file_size for info in members.values())
    recipes = tuple(checked_text(each["recipe"], "recipe") for each in head["levels"])
    heads = tuple(each["network"] for each in head["levels"])
    return _network(
        recipes, heads, _Store(derived, partial(_reading, path), stored * GROWTH), path, level
    )


@contextmanager
def _reading(path: str) -> Iterator[ReadPart]:
    with zipfile.ZipFile(path) as box:
        yield lambda name: box.read(f"{FOLDER}{name}")


def _network(
    recipes: tuple[str, ...],
    heads: tuple[dict[str, Any], ...],
    store: _Store,
    path: str,
    level: int,
) -> Network:
    if not 0 <= level < len(heads):
        there = ", ".join(f"{number}: {recipe}" for number, recipe in enumerate(recipes))
        raise NetworkError(f"{path}: has no level {level}; give one of {there}")
    head = check_head(dict(heads[level]), FORMAT, path)
    network = read_network(head, partial(store.members, head["sha256"]), path)
    return replace(network, level=level, levels=recipes)


@dataclass(frozen=True, eq=False)
class _Store:
    """Parts, and what is made of them: of at most ``limit`` bytes each."""

    derived: Mapping[str, Derived]
    reading: Callable[[], AbstractContextManager[ReadPart]]
    limit: int

    @contextmanager
    def members(self, names: Mapping[str, str]) -> Iterator[Callable[[str], bytes]]:
        """Reads members by name; names: the digest of each."""
        with self.reading() as read:
            yield lambda name: self._get(names[name], read)

    def _get(self, name: str, read: ReadPart) -> bytes:
        """The contents of this digest. ValueError if what is made has another."""
        found = self.derived.get(name)
        if found is None:
            return read(name)
        if isinstance(found, NestedConstant):
            made = found.build(read(found.part), self.limit)
        else:
            made = self._program(found, read)
        if digest([made]) != name:
            raise ValueError(f"what is made of nested weights is not {name[:16]}")
        return made

    def _program(self, found: RebuiltProgram, read: ReadPart) -> bytes:
        sources = []
        for source in found.sources:
            if isinstance(self.derived.get(source.member), RebuiltProgram):
                raise ValueError("a program is not made of programs")
            sources.append((source.groups, source.weight(read_npy(self._get(source.member, read)))))
        pieces, orders = (read_npy(read(name)) for name in (found.pieces, found.orders))
        made = join_program(
            found.kind,
            np.frombuffer(read(found.rest), np.uint8),
            pieces.astype(np.int64, casting="safe"),
            orders.astype(np.uint16, casting="safe"),
            sources,
            self.limit,
        )
        return made.tobytes()
