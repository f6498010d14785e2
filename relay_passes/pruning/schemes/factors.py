"""Two convolutions in place of one: the pairs of weights of a rank that come nearest to it.

A convolution [K, C, *kernel] becomes a basis of r filters and, behind it, a second one of K filters
on r channels. Each spatial axis goes to one of the two, with its stride, padding and dilation; in
the other the kernel's size there is 1. Of a matmul, and if the basis takes every axis, the second
has 1x1 kernels. Plain numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from string import ascii_lowercase

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
ROUNDING = 1e-9  # of a layer's energy; below it, processors differ
Axes = tuple[int, ...]  # spatial axes, 0 for the first behind the channels


@dataclass(frozen=True, eq=False)
class Geometry:
    """What a convolution costs beside its weight: sizes of its input and output, no channels."""

    shape: tuple[int, ...]  # [K, C, *kernel]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def macs(self) -> int:
        """Multiplies of the convolution itself, for one image."""
        return prod(self.shape) * prod(self.outputs)

    def rank_macs(self, axes: Axes) -> int:
        """Multiplies of a pair of factors for each rank; the basis takes ``axes``."""
        filters, channels, *kernel = self.shape
        between = prod(
            self.outputs[axis] if axis in axes else self.inputs[axis] for axis in range(len(kernel))
        )
        own = prod(kernel[axis] for axis in axes)
        return channels * own * between + filters * prod(kernel) // own * prod(self.outputs)


def axes_of(kernel: Sequence[int], form: str) -> list[Axes]:
    """What the basis may take: of ``channel`` every axis, of ``spatial`` some but not all of those
    that are longer than 1, of ``auto`` either. Axes of length 1 always go to the basis."""
    whole = tuple(range(len(kernel)))
    if form == "channel":
        return [whole]
    long = [axis for axis in whole if kernel[axis] > 1]
    short = [axis for axis in whole if kernel[axis] == 1]
    parts = [
        tuple(sorted([*short, *some]))
        for count in range(1, len(long))
        for some in combinations(long, count)
    ]
    return parts if form == "spatial" else [whole, *parts]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """All that is needed to make the factors of any rank.

    shape: [K, C, *kernel]. axes: of the basis. energies: float64 [n], descending; what is lost by
    leaving out a direction (see ``decompose``). matrix: the weight, [C * taps of axes, K * taps of
    the others]. vectors: orthonormal directions in columns [.., n], of the matrix's rows if
    ``of_rows``, else of its columns; keeping some is a projection of the matrix on them.
    """

    shape: tuple[int, ...]
    axes: Axes
    energies: Doubles
    matrix: Doubles
    vectors: Doubles
    of_rows: bool

    def rank(self, energy: float) -> int:
        """The least rank, at least 1, that keeps this share of the energy."""
        lost = np.append(np.cumsum(self.energies[::-1])[::-1], 0)  # by keeping 0, 1, ..
        return max(1, int(np.argmax(lost <= (1 - energy + ROUNDING) * lost[0])))

    def kept(self, rank: int) -> float:
        """The share of the energy that a rank keeps, a multiple of ``ROUNDING``: forms that keep as
        much are then equal on every processor."""
        total = float(self.energies.sum())
        share = float(self.energies[:rank].sum()) / total if total else 1.0
        return round(share / ROUNDING) * ROUNDING

    def factors(self, rank: int) -> tuple[Doubles, Doubles]:
        """The basis [r, C, *kernel of axes] and the second weight [K, r, *kernel of the others].

        Both sides of a direction have the same L2 norm, so that neither is worse to quantize than
        the other.
        """
        filters, channels, *kernel = self.shape
        vectors = self.vectors[:, :rank]
        left, right = (
            (vectors, vectors.T @ self.matrix)
            if self.of_rows
            else (self.matrix @ vectors, vectors.T)
        )
        norms = np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1)
        alive = (norms[0] > 0) & (norms[1] > 0)
        balance = np.sqrt(np.divide(norms[1], norms[0], out=np.ones(rank), where=alive))
        own = [size if axis in self.axes else 1 for axis, size in enumerate(kernel)]
        others = [1 if axis in self.axes else size for axis, size in enumerate(kernel)]
        basis = (left * balance).T.reshape(rank, channels, *own)
        second = (right / balance[:, None]).reshape(rank, filters, *others)
        return np.ascontiguousarray(basis), np.ascontiguousarray(second.swapaxes(0, 1))


def decompose(weight: Floats, axes: Axes, gram: Floats | None = None) -> Spectrum:
    """The spectrum of a weight [K, C, *kernel] whose basis takes ``axes``.

    Without ``gram``: a singular value decomposition. The energies are squared singular values and
    the squared error of a rank is the sum of those left out, the least there can be (Eckart and
    Young, Psychometrika 1(3), 1936); that this holds for spatial pairs too was shown by Tai et al.,
    "Convolutional Neural Networks with Low-Rank Regularization", ICLR 2016.

    gram: X X^T over inputs, [C * taps, C * taps] in the order of ``weight.reshape(K, -1)``: the sum
    of x x^T over the patches that the layer sees. Then |(W - W_r) X|^2 takes the place of
    |W - W_r|^2: the directions are those of the outputs' energy (Zhang et al., TPAMI 38(10), 2016,
    who subtract the outputs' mean first). With every axis that is exact; of a part of them, the
    taps of the second factor are taken to see alike inputs that are not correlated.
    """
    matrix = _matrix(np.asarray(weight, np.float64), axes)
    rows, columns = matrix.shape
    if gram is None and rows < columns:
        energies, vectors = _eigen(matrix @ matrix.T)
        return Spectrum(weight.shape, axes, energies, matrix, vectors, of_rows=True)
    seen = matrix if gram is None else _patches_of(gram, weight.shape, axes) @ matrix
    energies, vectors = _eigen(matrix.T @ seen)
    return Spectrum(weight.shape, axes, energies, matrix, vectors, of_rows=False)


def _matrix(weight: Doubles, axes: Axes) -> Doubles:
    """[C * taps of axes, K * taps of the others]."""
    others = [axis for axis in range(weight.ndim - 2) if axis not in axes]
    ordered = weight.transpose(1, *(axis + 2 for axis in axes), 0, *(axis + 2 for axis in others))
    rows = prod(ordered.shape[: 1 + len(axes)])
    return np.ascontiguousarray(ordered.reshape(rows, -1))


def _patches_of(gram: Floats, shape: Sequence[int], axes: Axes) -> Doubles:
    """The Gram matrix of the part of a patch that the basis sees, the mean over where it lies."""
    rank = len(shape) - 2
    kept = [0, *(axis + 1 for axis in axes)]
    first = ascii_lowercase[: rank + 1]
    second = "".join(letter.upper() if at in kept else letter for at, letter in enumerate(first))
    both = np.asarray(gram, np.float64).reshape(*shape[1:], *shape[1:])
    wanted = "".join(first[at] for at in kept)
    part = np.einsum(f"{first}{second}->{wanted}{wanted.upper()}", both)
    size = prod(shape[at + 1] for at in kept)
    return np.ascontiguousarray(part.reshape(size, size)) * (size / prod(shape[1:]))


def _eigen(symmetric: Doubles) -> tuple[Doubles, Doubles]:
    """Eigenvalues, descending and at least 0, and their vectors in columns."""
    values, vectors = np.linalg.eigh(symmetric)
    return np.maximum(values[::-1], 0), vectors[:, ::-1]
