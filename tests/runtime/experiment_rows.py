"""Points of a sweep as a table, without one."""

from __future__ import annotations

from typing import Any

from zeroskip.runtime.experiments.table import COMPILED, FIGURES, Table

ACT = "sram.act_bytes"


def row(network: str, scheme: str, act: int, number: int, **figures: Any) -> dict[str, Any]:
    """A point: the larger its number, the faster, and the worse its quality."""
    return {
        "network": network,
        "scheme": scheme,
        "asked_sparsity": 0.5,
        "target": "<sparse256>",
        ACT: act,
        "objective": "cycles",
        "batch": None,
        "sparsity": 0.5,
        "snr_db": 20.0 - number,
        "cycles": 1000 - 70 * number,
        "milliseconds": 2.0 - 0.1 * number,
        "microjoules": 10.0 + (number % 3),
        "area_mm2": act / 65536,
        "stored_bytes": 2048,
        "cpu_share": 0.0,
        **figures,
    }


def table_of(rows: list[dict[str, Any]]) -> Table:
    names = ("network", "scheme", "asked_sparsity", "target", ACT, *COMPILED, *FIGURES)
    return Table({name: [each.get(name) for each in rows] for name in names}, (ACT,))
