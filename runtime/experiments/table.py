"""Points with their figures, as columns: what pandas, polars and files take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.metrics import Metric, metric_named, unbeaten
from zeroskip.runtime.experiments.point import Point
from zeroskip.runtime.experiments.store import Store

COMPILED = ("objective", "batch")  # how points are compiled
FIGURES = {  # column -> what it is
    "recipe": "the scheme's options that were applied",
    "sparsity": "weights gone or zero, of the layers that the scheme changed",
    "weights": "that are not zero",
    "macs": "multiplies by them",
    "snr_db": "of the int8 outputs against the dense float network's",
    "accuracy": "share of labels that the int8 network finds",
    "cycles": "of an image",
    "milliseconds": "of an image, at the target's clock",
    "microjoules": "of an image, with leakage and idle DRAM where the target names a technology",
    "edp": "energy x time of an image, uJ ms",
    "milliwatts": "mean power",
    "images_a_second": "of the accelerator's time alone",
    "dense_tops_a_watt": "two operations to a multiply of the dense network",
    "dense_tops_a_mm2": "the same, to the chip's area",
    "area_mm2": "of the chip",
    "sram_bytes": "of all memories on the chip",
    "stored_bytes": "weights as packed for the target, with metadata, and parameters",
    "cpu_share": "of the multiplies, those on the CPU, which the figures leave out",
    "notes": "what was warned of",
    "failure": "why there are no figures",
}


@dataclass(frozen=True, eq=False)
class Table:
    """A row for each point, in the order of the space.

    columns: name -> values, all as long: what was asked for (``network``, ``scheme``,
    ``asked_sparsity``, ``target``, each key that was set, ``objective`` and ``batch``), then
    ``FIGURES``.
    ``pandas.DataFrame(table.columns)`` and ``polars.DataFrame(table.columns)`` take them. A figure
    that a point has not is None. settings: the keys that were set.
    """

    columns: Mapping[str, list[Any]]
    settings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The points as dictionaries."""
        return [
            dict(zip(self.columns, values, strict=True))
            for values in zip(*self.columns.values(), strict=True)
        ]

    @property
    def choices(self) -> tuple[str, ...]:
        """Columns of what was chosen for a network; the batch if one was."""
        batch = any(value is not None for value in self.columns["batch"])
        return ("target", *self.settings, *COMPILED[: 1 + batch])

    @property
    def compiled(self) -> tuple[str, ...]:
        """Of ``COMPILED`` what differs between points."""
        return tuple(name for name in COMPILED if len(set(self.columns[name])) > 1)

    def of(self, network: str) -> Table:
        """The points of one network."""
        chosen = [number for number, name in enumerate(self.columns["network"]) if name == network]
        return self.at(chosen)

    def at(self, positions: Sequence[int]) -> Table:
        """Some of the points."""
        return Table(
            {name: [values[n] for n in positions] for name, values in self.columns.items()},
            self.settings,
        )

    @property
    def networks(self) -> list[str]:
        """Names, in the order in which they come."""
        return list(dict.fromkeys(self.columns["network"]))

    def has(self, metric: Metric) -> bool:
        """Whether some point has a figure of it."""
        return any(value is not None for value in self.columns[metric.column])

    def front(self, *names: str) -> Table:
        """The points that no other one of the same network beats in these metrics (``METRICS``)."""
        metrics, rows, found = [metric_named(name) for name in names], self.rows, []
        for network in self.networks:
            own = [n for n, row in enumerate(rows) if row["network"] == network]
            found += [own[n] for n in unbeaten([rows[n] for n in own], metrics)]
        return self.at(found)


def check_some(table: Table) -> None:
    """ExperimentError, with the most frequent sentence, if all points failed: data that do not fit,
    a network that is none."""
    failures = Counter(table.columns["failure"])
    if len(table) and None not in failures:
        (words, _count) = failures.most_common(1)[0]
        raise ExperimentError(f"none of the {len(table):,} points has figures: {words}")


def table_of(points: Iterable[Point], store: Store, settings: Sequence[str]) -> Table:
    """The points that the store knows, with what it knows of them."""
    rows: list[Mapping[str, Any]] = []
    for point in points:
        outcome = store.get(point.key)
        if outcome is not None:
            rows.append({**point.named(), **outcome.figures, "failure": outcome.failure})
    chosen = ("network", "scheme", "asked_sparsity", "target", *settings, *COMPILED)
    names = (*chosen, *FIGURES)
    return Table({name: [row.get(name) for row in rows] for name in names}, tuple(settings))
