"""Tables of pruning: what became of each layer, and what its zeros are to each accelerator."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.markup import escape
from rich.table import Table

from zeroskip.accel_model import formats
from zeroskip.accel_model.formats import DENSE, FORMATS, PATTERN, WeightFormat
from zeroskip.accel_model.formats.pattern_table import histogram, stored_and_present
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.relay_passes.pruning.apply import LayerChange
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, prunable_layers
from zeroskip.relay_passes.pruning.detect import Structure
from zeroskip.runtime.render.tables import plain_table

RANK = 4  # of the weights of the convolutions that accelerators take, at most


@contextmanager
def echo_warnings() -> Iterator[None]:
    """Within it, warnings of passes become lines on standard error, at the end."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    for each in caught:
        if each.category is RuntimeWarning:
            click.echo(f"zeroskip: warning: {each.message}", err=True)


def changes_table(changes: Sequence[LayerChange]) -> Table:
    """What pruning made of each layer, and of all together."""
    table = plain_table("what pruning changed")
    table.add_column("layer", overflow="fold")
    table.add_column("what was done", overflow="fold")
    for name in ("weights", "left", "MMACs", "left", "KiB int8", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("in format", no_wrap=True)
    sums = np.zeros(6)
    for change in changes:
        before, after = (_size(layer) for layer in (change.before, change.after))
        numbers = [number for pair in zip(before, after, strict=True) for number in pair]
        sums += numbers
        done = change.note or ("new" if change.before is None else "nothing")
        table.add_row(
            escape(change.node),
            escape(done),
            *_cells(numbers),
            _least(change.after)[1] if change.after is not None else "",
        )
    table.add_section()
    table.add_row("all", "", *_cells(sums.tolist()), "")
    return table


def _size(layer: PrunableLayer | None) -> tuple[int, int, int]:
    """Weights that are not zero, multiplies by them, and bytes as int8 in the format for that."""
    if layer is None:
        return 0, 0, 0
    return int(np.count_nonzero(layer.weight)), layer.macs, _least(layer)[0]


def _cells(numbers: Sequence[float]) -> list[str]:
    return (
        [f"{number:,.0f}" for number in numbers[:2]]
        + [f"{number / 1e6:.2f}" for number in numbers[2:4]]
        + [f"{number / 1024:.1f}" for number in numbers[4:]]
    )


def structures_table(
    module: Any, structures: Sequence[Structure], specs: Sequence[AccelSpec]
) -> Table:
    """What the zeros of a float module's layers are made of (``detect``), and the format and bytes
    of their int8 weights on each accelerator."""
    table = plain_table("what the weights are made of")
    for name in ("layer", "weights", "structure"):
        table.add_column(name, overflow="fold")
    table.add_column("not zero", justify="right", no_wrap=True)
    for spec in specs:
        table.add_column(f"KiB on {escape(spec.name)}", justify="right", no_wrap=True)
    layers = prunable_layers(module["main"], dequantized=True)
    for layer, found in zip(layers, structures, strict=True):
        table.add_row(
            escape(layer.node),
            "x".join(map(str, layer.weight.shape)),
            str(found),
            f"{found.density:.1%}",
            *(_on(layer, spec.format) for spec in specs),
        )
    return table


def _on(layer: PrunableLayer, weights: WeightFormat) -> str:
    """Format and KiB of a layer on an array. Of the pattern format, how many patterns,
    and if they do not hold the layer exactly, how many weights are stored for each one that is
    not zero."""
    if layer.weight.ndim > RANK:
        return "stays on the CPU"
    words = (DENSE if layer.is_depthwise else weights).name
    if words == PATTERN.name:
        weight = _int8(layer)
        table = formats.make_table(weight)
        stored, _present = stored_and_present(table, histogram(weight))
        masks, kept = np.count_nonzero(table.masks), np.count_nonzero(weight)
        words = f"{masks} patterns" if masks > 1 else words
        words += f" x {stored / kept:.2f}" if stored > kept else ""
    return f"{words} {_bytes(layer, weights) / 1024:.1f}"


def _least(layer: PrunableLayer) -> tuple[int, str]:
    """The bytes of the format that takes least, and its name."""
    dense_only = layer.weight.ndim > RANK or layer.is_depthwise
    choices = (DENSE,) if dense_only else tuple(FORMATS.values())
    return min(
        ((_bytes(layer, weights), weights.name) for weights in choices),
        key=lambda choice: choice[0],
    )


def _bytes(layer: PrunableLayer, weights: WeightFormat) -> int:
    """Bytes of a layer's int8 weights in a format; weights that rounding makes zero not counted
    off. Depthwise convolutions have one format on every array."""
    own = DENSE.of_bytes(weights.weight_bytes) if layer.is_depthwise else weights
    return own.least_bytes(_int8(layer), None)


def _int8(layer: PrunableLayer) -> npt.NDArray[np.int8]:
    return np.asarray(layer.weight != 0, np.int8)
