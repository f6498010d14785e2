"""What has which colour. Causes of lost cycles share some: twenty could not be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zeroskip.accel_model.arrays.base import Slot
from zeroskip.runtime.analysis.loss_breakdown import SAVED


class CauseGroup(NamedTuple):
    """Causes of one colour.

    color: a class of the style sheet, the causes' ``group``.
    title: in legends.
    causes: names.
    """

    color: str
    title: str
    causes: tuple[str, ...]


TITLES = {  # colour -> title; an array's causes choose among them
    "imbalance": "imbalance",
    "ragged": "fragmentation, unused multipliers",
    "zeros": "zero weights, padding",
    "fetch": "fetch, bank conflicts",
    "drain": "drain",
    "work": "other work not covered",
    "waiting": "waiting for load, store; prologue",
    "bus": "bus: extra and neighbours' bytes",
}
TRAFFIC_LABELS = {"inputs": "inputs", "weights": "weights, parameters", "outputs": "outputs"}


def groups_of(causes: Sequence[Slot]) -> list[CauseGroup]:
    """The causes by colour, without those that save."""
    return [
        CauseGroup(color, title, tuple(cause.name for cause in causes if cause.group == color))
        for color, title in TITLES.items()
        if any(cause.group == color for cause in causes)
    ]


def saved(lost: Mapping[str, float]) -> float:
    """Cycles of the bound that were not spent, as a positive number."""
    return -sum(lost[cause] for cause in SAVED)


def spent(lost: Mapping[str, float], group: CauseGroup) -> float:
    """Cycles lost to a group."""
    return sum(lost[cause] for cause in group.causes)


def listed(lost: Mapping[str, float], bound: float) -> list[str]:
    """A line for each cause that matters, the largest first, in cycles and in % of the bound."""
    ranked = sorted(lost, key=lambda cause: -abs(lost[cause]))
    return [
        f"{cause} {lost[cause]:+,.0f} ({lost[cause] / bound:+.1%})"
        for cause in ranked
        if abs(lost[cause]) >= max(0.5, 0.0005 * bound)
    ]
