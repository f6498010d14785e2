"""What points are compared by: the objectives and budgets of a search, the axes of a front."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zeroskip.relay_passes.pruning.base.options import brief, nearest
from zeroskip.runtime.experiments.errors import ExperimentError

_NUMBER = re.compile(r"([-+]?\d*\.?\d+(?:e[-+]?\d+)?)\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Metric:
    """A figure of a point. column: of the table. best: ``min`` or ``max``. label: with its unit.
    scales: units of a budget and what they multiply."""

    name: str
    column: str
    best: str
    label: str
    scales: Mapping[str, float] = field(hash=False)

    def value(self, figures: Mapping[str, Any]) -> float | None:
        """Of a point; None where it has none."""
        found = figures.get(self.column)
        return None if found is None else float(found)

    def loss(self, value: float) -> float:
        """The lower the better."""
        return value if self.best == "min" else -value


_LIST = (
    Metric("accuracy", "accuracy", "max", "accuracy", {"": 1.0, "%": 0.01}),
    Metric("snr", "snr_db", "max", "SNR, dB", {"": 1.0, "dB": 1.0}),
    Metric("cycles", "cycles", "min", "cycles", {"": 1.0, "k": 1e3, "M": 1e6}),
    Metric("time", "milliseconds", "min", "time, ms", {"ms": 1.0, "us": 1e-3, "s": 1e3}),
    Metric("energy", "microjoules", "min", "energy, uJ", {"uJ": 1.0, "mJ": 1e3}),
    Metric("edp", "edp", "min", "energy x time, uJ ms", {"": 1.0}),
    Metric("area", "area_mm2", "min", "area, mm2", {"": 1.0, "mm2": 1.0}),
    Metric(
        "bytes", "stored_bytes", "min", "bytes stored", {"": 1.0, "KiB": 2.0**10, "MiB": 2.0**20}
    ),
    Metric("cpu", "cpu_share", "min", "multiplies on the CPU", {"": 1.0, "%": 0.01}),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _LIST}
CPU = METRICS["cpu"]


def metric_named(name: str) -> Metric:
    """ExperimentError, with what was meant, if there is none."""
    if name not in METRICS:
        raise ExperimentError(f"'{brief(name)}' is no metric; {nearest(name, METRICS)}")
    return METRICS[name]


@dataclass(frozen=True)
class Budget:
    """What a point may take at most of a metric, or must have at least of one to be maximised."""

    metric: Metric
    limit: float

    @staticmethod
    def parse(text: str) -> Budget:
        """``area=2.5mm2``, ``accuracy=92%``, ``snr=20dB``; ExperimentError for another form."""
        name, equals, given = text.partition("=")
        metric = metric_named(name.strip())
        number = _NUMBER.fullmatch(given.strip())
        units = ", ".join(unit for unit in metric.scales if unit)
        if not equals or number is None or number[2] not in metric.scales:
            with_units = f", in {units}" if units else ""
            raise ExperimentError(
                f"budget '{brief(text)}' is not of the form {metric.name}=NUMBER{with_units}"
            )
        return Budget(metric, float(number[1]) * metric.scales[number[2]])

    def excess(self, figures: Mapping[str, Any]) -> float:
        """By how much it is missed, 0 or less if it is kept; relative to the limit. Infinite where
        the point has no such figure."""
        value = self.metric.value(figures)
        if value is None:
            return math.inf
        over = self.metric.loss(value) - self.metric.loss(self.limit)
        return over / abs(self.limit) if self.limit else over

    def __str__(self) -> str:
        sign = "<=" if self.metric.best == "min" else ">="
        return f"{self.metric.name} {sign} {self.limit:g}"


def unbeaten(points: Sequence[Mapping[str, Any]], metrics: Sequence[Metric]) -> list[int]:
    """The positions of points that no other one beats: none is as good in every metric and better
    in one. A point that leaves more multiplies to the CPU beats none that leaves less: its figures
    are for less. Points that lack a figure are not among them; of equal ones the first is."""
    metrics = [*metrics, CPU] if CPU not in metrics else list(metrics)
    losses: dict[tuple[float, ...], int] = {}
    for number, figures in enumerate(points):
        values = [metric.value(figures) for metric in metrics]
        if all(value is not None and math.isfinite(value) for value in values):
            key = tuple(
                metric.loss(value)
                for metric, value in zip(metrics, values, strict=True)
                if value is not None
            )
            losses.setdefault(key, number)
    return sorted(losses[key] for key in _minimal(losses))


def _minimal(losses: Iterable[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Those of distinct points that none is below: in the order of sorting, whoever beats a point
    comes before it."""
    kept: list[tuple[float, ...]] = []
    for point in sorted(losses):
        if not any(
            all(mine <= its for mine, its in zip(other, point, strict=True)) for other in kept
        ):
            kept.append(point)
    return kept
