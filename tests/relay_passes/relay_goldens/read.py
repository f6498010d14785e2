"""The goldens as they are stored."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.relay_passes.relay_goldens.arrays import Array

HERE = Path(__file__).parent
KINDS = ("networks", "operators", "imported", "quantized", "ranks")


@cache
def _texts(kind: str) -> dict[str, bytes]:
    with zipfile.ZipFile(HERE / f"{kind}.zip") as box:
        return {name: box.read(name) for name in box.namelist()}


@cache
def _outputs(kind: str) -> dict[str, Array]:
    with np.load(HERE / f"{kind}.npz") as arrays:
        return dict(arrays)


def cases(kind: str) -> list[str]:
    """The names of a kind's cases."""
    return [name.removesuffix(".relay") for name in _texts(kind) if name.endswith(".relay")]


def text(kind: str, case: str) -> str:
    """What Relay printed."""
    return _texts(kind)[f"{case}.relay"].decode()


def params(kind: str, case: str) -> bytes | None:
    """What ``relay.save_param_dict`` wrote; None where the parameters are drawn."""
    return _texts(kind).get(f"{case}.params")


def outputs(kind: str, case: str) -> list[Array]:
    """What Relay computed, of large outputs evenly spread elements."""
    found = _outputs(kind)
    count = sum(name.rpartition("/")[0] == case for name in found)
    return [found[f"{case}/{position}"] for position in range(count)]


def like(array: Array, golden: Array) -> Array:
    """An output in the form in which its golden is stored."""
    if array.shape == golden.shape:
        return array
    return array.reshape(-1)[:: -(-array.size // 4096)]
