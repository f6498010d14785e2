"""A published figure of an accelerator beside the one that its model gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Accepted:
    """The values of a figure that count as reproduced: low <= value <= high.

    text: the rule, as the table shows it.
    """

    low: float
    high: float
    text: str


def equal(value: float) -> Accepted:
    """Exactly this value."""
    return Accepted(value, value, "equal")


def within(value: float, share: float) -> Accepted:
    """At most a share of ``value`` away from it, either way."""
    return Accepted(value * (1 - share), value * (1 + share), f"{100 * share:g} %")


def near(value: float, difference: float) -> Accepted:
    """At most ``difference`` away from it."""
    return Accepted(value - difference, value + difference, f"+-{difference:g}")


def between(low: float, high: float) -> Accepted:
    """In a range, both ends included."""
    return Accepted(low, high, f"{low:g} to {high:g}")


def below(limit: float) -> Accepted:
    """At most ``limit``."""
    return Accepted(-inf, limit, f"below {limit:g}")


@dataclass(frozen=True)
class PublishedRow:
    """A figure.

    array: the accelerator.
    figure: what is counted or compared, and by which rule where several are possible.
    published: its value in the publication; None: in words only, or not at all.
    ours: what the model gives.
    accepted: values that count as reproduced.
    """

    array: str
    figure: str
    published: float | None
    ours: float
    accepted: Accepted

    @property
    def deviation(self) -> float | None:
        """Ours from the published value, as a share of it; None without one."""
        return None if self.published is None else self.ours / self.published - 1

    @property
    def met(self) -> bool:
        return self.accepted.low <= self.ours <= self.accepted.high


@cache
def data(name: str) -> Any:
    """A JSON file of this folder; its README says where the values are from."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
