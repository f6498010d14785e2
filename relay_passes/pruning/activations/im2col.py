"""How a layer looks at its input: the matrix product that a convolution or a matmul is.

A layer with weights [K, C/groups, *kernel] computes, in each of its G groups, weights [K/G, E]
times columns [E, n]: E = C/G x taps is what a filter reads, n the number of places at which it is
computed. The order of E is that of the weights, channels and then taps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt
from tvm import relax

from zeroskip.relay_passes.relax.rewriting import op_name

Floats = npt.NDArray[np.floating]

CHUNK_BYTES = 64 << 20  # of the columns that exist at a time


@dataclass(frozen=True)
class Im2col:
    """Of a matmul the kernel is empty. padding: before and behind each spatial dimension."""

    groups: int = 1
    kernel: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def of(call: relax.Call) -> Im2col:
        """That of a ``relax.nn.conv*`` in TVM's usual layout or of a ``relax.matmul``."""
        if op_name(call) == "relax.matmul":
            return Im2col()
        attrs = call.attrs
        padding = [int(size) for size in attrs.padding]
        rank = len(padding) // 2
        return Im2col(
            int(attrs.groups),
            tuple(int(size) for size in list(call.args[1].ty.shape)[2:]),
            tuple(map(int, attrs.strides)),
            tuple(map(int, attrs.dilation)),
            tuple(zip(padding[:rank], padding[rank:], strict=True)),
        )

    def spatial(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The spatial size of the result."""
        return tuple(
            (length + sum(pad) - (taps - 1) * dilation - 1) // stride + 1
            for length, pad, taps, dilation, stride in zip(
                size, self.padding, self.kernel, self.dilation, self.strides, strict=True
            )
        )

    def columns(self, x: Floats) -> Floats:
        """[G, E, n] of inputs [images, C, *spatial], or of a matmul [..., C]: n counts images, then
        places."""
        if not self.kernel:
            return x.reshape(-1, x.shape[-1]).T[None]
        images, channels = x.shape[:2]
        size = self.spatial(x.shape[2:])
        padded = x
        if any(map(any, self.padding)):
            shape = [
                length + sum(pad) for length, pad in zip(x.shape[2:], self.padding, strict=True)
            ]
            padded = np.zeros((images, channels, *shape), x.dtype)
            inside = tuple(
                slice(first, first + length)
                for (first, _), length in zip(self.padding, x.shape[2:], strict=True)
            )
            padded[:, :, *inside] = x
        taps = prod(self.kernel)
        columns = np.empty((channels, taps, images, *size), x.dtype)
        for tap, place in enumerate(product(*map(range, self.kernel))):
            window = tuple(
                slice(at * dilation, at * dilation + (count - 1) * stride + 1, stride)
                for at, dilation, count, stride in zip(
                    place, self.dilation, size, self.strides, strict=True
                )
            )
            columns[:, tap] = padded[:, :, *window].swapaxes(0, 1)
        return columns.reshape(self.groups, channels // self.groups * taps, -1)

    def rows(self, y: Floats) -> Floats:
        """[G, K/G, n] of results [images, K, *spatial], or of a matmul [..., K]."""
        if not self.kernel:
            return y.reshape(-1, y.shape[-1]).T[None]
        return y.swapaxes(0, 1).reshape(self.groups, y.shape[1] // self.groups, -1)

    def apply(self, weight: Floats, x: Floats) -> Floats:
        """The layer's result without a bias. weight: as in ``Prunable``."""
        if not self.kernel:
            made: Floats = x @ weight.T
            return made
        size = self.spatial(x.shape[2:])
        result = np.empty((len(x), len(weight), *size), x.dtype)
        flat = weight.reshape(self.groups, len(weight) // self.groups, -1)
        for part in self.parts(x):
            made = np.matmul(flat, self.columns(x[part]))
            result[part] = made.reshape(len(weight), -1, *size).swapaxes(0, 1)
        return result

    def shifted(self, y: Floats, shift: Floats) -> Floats:
        """Results with a number added to each filter's. shift: [K]."""
        channel = shift.astype(y.dtype)
        y += channel.reshape(-1, *(1,) * len(self.kernel)) if self.kernel else channel
        return y

    def parts(self, x: Floats) -> Iterator[slice]:
        """The images, a few at a time, so that the columns of a part take ``CHUNK_BYTES``, or those
        of one image if that is more."""
        size = prod(self.spatial(x.shape[2:])) * prod(self.kernel) if self.kernel else 1
        each = size * (x.shape[1] if self.kernel else prod(x.shape[1:])) * x.itemsize
        step = max(1, CHUNK_BYTES // max(each, 1))
        for first in range(0, len(x), step):
            yield slice(first, first + step)
