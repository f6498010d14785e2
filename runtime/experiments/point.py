"""One compile of an experiment as a value, and the key under which its figures are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.plugins import origin_of
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.scheduling.objective import Goal
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.runtime.analysis.comparison import DENSE
from zeroskip.runtime.experiments.settings import Value, settings_text, with_settings
from zeroskip.runtime.experiments.sources import Source, code_version, sealed


@dataclass(frozen=True)
class FrontPoint:
    """What points share that differ in their hardware only: a network, pruned and calibrated.

    scheme: as it was asked for. recipe: its options; none: the network as it is. sparsity: what a
    recipe of one scheme is brought to; None: it is taken as it is. reconstruct: how the weights
    that are left are fitted, ``weights`` or ``statistics``. base: the target on whose machine
    quality is measured, which is the same on all.
    """

    source: Source
    base: AccelSpec
    scheme: str = DENSE
    recipe: tuple[Options, ...] = ()
    sparsity: float | None = None
    reconstruct: str | None = None

    @cached_property
    def key(self) -> str:
        """Hex digest of all that it depends on."""
        return sealed(
            [
                code_version(),
                self.source.digest,
                [repr(options) for options in self.recipe],
                self.sparsity,
                self.reconstruct,
            ]
        )

    @property
    def title(self) -> str:
        strength = "" if self.sparsity is None else f" at {self.sparsity:g}"
        return f"{self.source.name}, {self.scheme}{strength}"


@dataclass(frozen=True)
class Point:
    """One network on one accelerator.

    target: whose numbers are changed by ``settings``: keys of a hardware description and values.
    objective: what schedules are chosen by. batch: images that one program computes; None: one,
    whatever the model's batch.
    """

    front: FrontPoint
    target: AccelSpec
    settings: tuple[tuple[str, Value], ...] = ()
    objective: Goal = "cycles"
    batch: int | None = None

    @property
    def table(self) -> dict[str, Any]:
        """The hardware description with the settings, not yet checked."""
        return with_settings(self.target.table, dict(self.settings))

    @cached_property
    def key(self) -> str:
        """Hex digest of all that its figures depend on: names of files and targets do not count."""
        try:
            table = {
                key: value for key, value in self.table.items() if key not in ("name", "summary")
            }
        except ZeroskipError as problem:  # no such hardware: the point's failure
            table = {"refused": str(problem)}
        kind = table.get("array", {}).get("kind")
        origin = origin_of(kind) if kind is not None else None
        return sealed([self.front.key, table, repr(origin), self.objective, self.batch])

    @property
    def title(self) -> str:
        settings = f" with {settings_text(self.settings)}" if self.settings else ""
        return f"{self.front.title}, on {self.target.name}{settings}"

    def named(self) -> Mapping[str, Any]:
        """What it was asked to be, column by column."""
        return {
            "network": self.front.source.name,
            "scheme": self.front.scheme,
            "asked_sparsity": self.front.sparsity,
            "target": self.target.name,
            "objective": self.objective,
            "batch": self.batch,
            **dict(self.settings),
        }
