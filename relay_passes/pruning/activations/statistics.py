"""What a layer reads over samples: columns, and their second moments.

A layer's squared error over its columns x is, for a change d of a filter's weights, d' H d with
H = mean of (x - mean)(x - mean)': the Hessian of every filter of a group alike, once the bias takes
up the mean. Everything here is about that H.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tvm

from zeroskip.relay_passes.pruning.activations.im2col import Im2col
from zeroskip.relay_passes.pruning.activations.interpreter import Interpreter, Operators

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
Samples: TypeAlias = Mapping[str, npt.NDArray[Any]]  # input -> [n, ...]

COLUMNS = 1 << 15  # of a layer that are looked at, at most
COLUMN_BYTES = 512 << 20  # that these take, at most
SEED = 0  # of the choice of columns


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns that a layer reads, less their mean. x: float32 [G, E, n]; mean: [G, E, 1];
    chosen: which n of all columns, in order (None: all)."""

    x: npt.NDArray[np.float32]
    mean: Doubles
    chosen: npt.NDArray[np.int64] | None

    @property
    def count(self) -> int:
        return int(self.x.shape[2])

    @cached_property
    def variance(self) -> Doubles:
        """The diagonal of H: [G, E]."""
        power: Doubles = np.einsum("gen,gen->ge", self.x, self.x, dtype=np.float64)
        return power / self.count

    @cached_property
    def gram(self) -> Doubles:
        """H of each group: [G, E, E]."""
        return self.cross(self.x)

    @property
    def groups(self) -> tuple[Columns, ...]:
        """Of each group alone: G = 1."""
        if len(self.x) == 1:
            return (self,)  # which is not kept: it would keep itself
        return tuple(
            Columns(x[None], mean[None], self.chosen)
            for x, mean in zip(self.x, self.mean, strict=True)
        )

    def times(self, rows: Doubles) -> Doubles:
        """rows H: [G, R, E] -> [G, R, E], through what is smaller, H or the columns."""
        if self.count < self.x.shape[1]:
            return (rows @ self.x) @ self.x.swapaxes(1, 2) / self.count
        return rows @ self.gram

    def take(self, rows: Floats) -> Floats:
        """The same columns of results [G, R, all]."""
        return rows if self.chosen is None else rows[:, :, self.chosen]

    def cross(self, rows: Floats) -> Doubles:
        """Mean of (row - its mean) (x - mean)': [G, R, n] -> [G, R, E]."""
        products: Doubles = (rows @ self.x.swapaxes(1, 2)).astype(np.float64)
        return products / self.count


def columns(im2col: Im2col, read: Floats, limit: int = COLUMNS) -> Columns:
    """The columns of what a layer reads: all, or so many chosen at random with ``SEED`` that they
    are at most ``limit`` and take at most ``COLUMN_BYTES``."""
    parts = [*im2col.parts(read)]
    first = im2col.columns(read[parts[0]])
    places = first.shape[2] // len(read[parts[0]])
    total = len(read) * places
    most = max(1, min(limit, COLUMN_BYTES // (first.shape[0] * first.shape[1] * 4)))
    chosen = None
    if total > most:
        chosen = np.sort(np.random.default_rng(SEED).choice(total, most, replace=False))
    x = np.empty((*first.shape[:2], min(total, most)), np.float32)
    done = 0
    for part in parts:
        found = first if part.start == 0 else im2col.columns(read[part])
        if chosen is not None:
            start = part.start * places
            low, high = np.searchsorted(chosen, (start, start + found.shape[2]))
            found = found[:, :, chosen[low:high] - start]
        x[:, :, done : done + found.shape[2]] = found
        done += found.shape[2]
    mean = x.mean(axis=2, keepdims=True, dtype=np.float64)
    x -= mean
    return Columns(x, mean, chosen)


def layer_columns(
    mod: tvm.IRModule, samples: Samples, names: Iterable[str], operators: Operators | None = None
) -> Iterator[tuple[str, Columns]]:
    """The columns of the layers with these variables, in order, one layer at a time."""
    wanted = set(names)
    walk = Interpreter(mod, samples, operators=operators)
    while wanted and walk.next is not None:
        binding = walk.next
        name = str(binding.var.name)
        if name in wanted:
            wanted.remove(name)
            yield name, columns(Im2col.of(binding.value), walk.read(binding))
        walk.step()
