"""What has which colour. Causes of lost cycles share some: twenty could not be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from zeroskip.runtime.analysis.loss_breakdown import CAUSES, SAVED


class CauseGroup(NamedTuple):
    """color: a class of the style sheet."""

    color: str
    title: str
    causes: tuple[str, ...]


GROUPS = (
    CauseGroup("imbalance", "imbalance", ("imbalance",)),
    CauseGroup("ragged", "fragmentation, unused lanes", ("fragmentation", "unused")),
    CauseGroup("zeros", "zero weights, padding", ("zeros", "padding")),
    CauseGroup("fetch", "fetch, bank conflicts", ("fetch", "conflicts")),
    CauseGroup("drain", "drain", ("drain",)),
    CauseGroup("work", "other work not covered", ("channelwise", "multiply", "setup")),
    CauseGroup(
        "waiting", "waiting for load, store; prologue", ("prologue", "load", "store", "move")
    ),
    CauseGroup("bus", "bus: extra and neighbours' bytes", ("traffic", "neighbours")),
)
COLOR_OF = {cause: group.color for group in GROUPS for cause in group.causes} | dict.fromkeys(
    SAVED, "saved"
)
TRAFFIC_LABELS = {"inputs": "inputs", "weights": "weights, parameters", "outputs": "outputs"}


def saved(lost: Mapping[str, float]) -> float:
    """Cycles of the bound that were not spent, as a positive number."""
    return -sum(lost[cause] for cause in SAVED)


def spent(lost: Mapping[str, float], group: CauseGroup) -> float:
    """Cycles lost to a group."""
    return sum(lost[cause] for cause in group.causes)


def listed(lost: Mapping[str, float], bound: float) -> list[str]:
    """A line for each cause that matters, the largest first, in cycles and in % of the bound."""
    ranked = sorted(CAUSES, key=lambda cause: -abs(lost[cause]))
    return [
        f"{cause} {lost[cause]:+,.0f} ({lost[cause] / bound:+.1%})"
        for cause in ranked
        if abs(lost[cause]) >= max(0.5, 0.0005 * bound)
    ]
