"""How near each layer is to the float network, as a table for terminals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from zeroskip.runtime.render.tables import plain_table

if TYPE_CHECKING:
    from zeroskip.runtime.execution.layer_quality import LayerQuality


def quality_table(layers: Sequence[LayerQuality]) -> Table:
    """A row for each layer in the order of the network; its region where there are several."""
    several = len({layer.region for layer in layers}) > 1
    table = plain_table("each layer against the float network")
    table.add_column("layer", overflow="fold")
    table.add_column("kind", no_wrap=True)
    if several:
        table.add_column("region", no_wrap=True)
    for name in ("SNR dB", "lost dB"):
        table.add_column(name, justify="right", no_wrap=True)
    for layer in layers:
        table.add_row(
            escape(layer.layer),
            layer.kind,
            *([escape(layer.region)] * several),
            _db(layer.snr_db),
            _db(layer.lost_db),
        )
    return table


def _db(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.1f}" if math.isfinite(value) else "exact"
