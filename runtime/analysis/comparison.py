"""What a comparison of pruning schemes found: values, without what measures them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.compiler.artifact.placement import Placement
from zeroskip.runtime.analysis.accuracy import bootstrap_interval
from zeroskip.runtime.analysis.efficiency import Efficiency

DENSE = "dense"  # the scheme of the network that nothing was removed from
FRONT = "*"  # the mark of what no other entry beats
HALVINGS = 6  # of the interval of sparsities where a loss decides

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Gain:
    """A network on one accelerator. stored_bytes: weights as they are packed for it, with all
    metadata and padding, and parameters. microjoules: of all events. placement: how much of the
    network these are for. efficiency: area, power and rates of an image, standing power included;
    None where nothing runs or the target names no technology."""

    cycles: int
    stored_bytes: int
    microjoules: float
    placement: Placement
    efficiency: Efficiency | None = None


@dataclass(frozen=True)
class Entry:
    """One network. scheme: as it was asked for; recipe: what was applied. sparsity: of the layers
    that it changed. weights: of all layers, not zero. macs: multiplies by them.

    snr_db: of the int8 outputs against the dense float ones. accuracy: the share of labels that
    the int8 network finds; None without labels. gains: by target. repeats: the quality again, of
    each draw of the calibration samples. losing: the points of accuracy (dB without labels) that
    decided the sparsity; None if the sparsity was asked for.
    """

    scheme: str
    recipe: str
    sparsity: float
    weights: int
    macs: int
    snr_db: float
    accuracy: float | None
    gains: dict[str, Gain]
    repeats: tuple[float, ...] = ()
    losing: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the quality lies for other calibration samples of such a kind, 95 % sure, by
        ``bootstrap_interval``; an accuracy stays within 0..1. None without repeats."""
        if not self.repeats:
            return None
        low, high = bootstrap_interval(self.quality, self.repeats)
        return (low, high) if self.accuracy is None else (max(0.0, low), min(1.0, high))

    @property
    def quality(self) -> float:
        """Accuracy where it is known, else dB."""
        return self.snr_db if self.accuracy is None else self.accuracy

    @property
    def quality_text(self) -> str:
        """The quality, and its interval if there is one."""
        return f"{self.own_text} {self.interval_text}".rstrip()

    @property
    def own_text(self) -> str:
        """The quality alone."""
        return self._written(self.quality)

    @property
    def interval_text(self) -> str:
        """``[91.20%, 92.90%]``; nothing without repeats."""
        return f"[{', '.join(map(self._written, self.interval))}]" if self.interval else ""

    def _written(self, value: float) -> str:
        return f"{value:.1f}" if self.accuracy is None else f"{value:.2%}"

    @property
    def title(self) -> str:
        if self.scheme == DENSE:
            return self.scheme
        return f"{self.scheme} {self.sparsity:.0%}{self.losing_text}"

    @property
    def losing_text(self) -> str:
        """`` for 1 point``; nothing where the sparsity was asked for."""
        if self.losing is None:
            return ""
        unit = "dB" if self.accuracy is None else "point" if self.losing == 1 else "points"
        return f" for {self.losing:g} {unit}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Networks in the order in which they were asked for, the dense one first.

    samples: how many the quality was measured with. layer: whose masks [K, C, *kernel] are kept,
    by the title of the entry; of layers that were cut to size, what is left; empty: it has gone.
    missed: schemes that lose more than they may at every sparsity that was tried, a sentence each.
    before: the functions at the end before which signal-to-noise is taken, in words, or "". batch:
    images of one program, an image of which the figures are; None: one.
    """

    model: str
    samples: int
    targets: tuple[str, ...]
    entries: tuple[Entry, ...]
    layer: str
    masks: dict[str, Mask]
    before: str = ""
    batch: int | None = None
    missed: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        return self.entries[0].accuracy is not None

    @property
    def quality_name(self) -> str:
        return "accuracy" if self.labelled else "SNR dB"

    def front(self, target: str) -> list[Entry]:
        """The entries that no other one beats on a target: none is as good in fewer cycles, none
        better in as many."""
        return [
            entry
            for entry in self.entries
            if not any(_beats(other, entry, target) for other in self.entries)
        ]

    def faster(self, entry: Entry, target: str) -> float:
        """How many times as fast as the dense network on the first target; NaN where nothing
        runs on the accelerator."""
        return _times(self.entries[0].gains[self.targets[0]], entry.gains[target])

    def own_faster(self, entry: Entry, target: str) -> float:
        """How many times as fast as the dense network on the same target."""
        return _times(self.entries[0].gains[target], entry.gains[target])

    def faster_for_its_area(self, entry: Entry, target: str) -> float:
        """``faster`` of as many such arrays, or so large a part of one, as have the area of the
        first target: what it would be if work divided without loss. NaN where areas are not
        known."""
        mine, first = (
            gain.efficiency.area_mm2 if gain.efficiency else float("nan")
            for gain in (entry.gains[target], self.entries[0].gains[self.targets[0]])
        )
        return self.faster(entry, target) * first / mine

    def times_as_fast(self, entry: Entry) -> dict[str, dict[str, float | None]]:
        """By target: against the dense network on the first target (``common``), on the same one
        (``own``), and on the first for its area (``equal_area``); None where it is not known."""
        return {
            target: {
                name: None if math.isnan(value) else value
                for name, value in (
                    ("common", self.faster(entry, target)),
                    ("own", self.own_faster(entry, target)),
                    ("equal_area", self.faster_for_its_area(entry, target)),
                )
            }
            for target in self.targets
        }

    def coverages(self) -> list[str]:
        """What the figures of each target are for; networks that differ in it are named."""
        lines = []
        for target in self.targets:
            titles: dict[str, list[str]] = {}
            for entry in self.entries:
                placement = entry.gains[target].placement
                words = (
                    placement.coverage()
                    if placement.regions
                    else (
                        "for none of the multiplies: nothing runs there, `zeroskip report` says why"
                    )
                )
                titles.setdefault(words, []).append(entry.title)
            for words, named in titles.items():
                which = "" if len(titles) == 1 else f" of {', '.join(named)}"
                lines.append(f"cycles{which} on {target}: {words}")
        return lines

    def explanations(self) -> list[str]:
        """What the columns mean."""
        before = f", before their {self.before}," if self.before else ""
        quality = (
            "accuracy: labels that the int8 network finds"
            if self.labelled
            else f"SNR: of the int8 outputs{before} against the dense float network's"
        )
        count = len(self.entries[0].repeats)
        drawn = (
            "; in brackets: where it lies, 95 % sure, for other calibration samples of such a kind, by "
            f"the bootstrap standard error of {count} draws with replacement (seeds 0 to {count - 1}); "
            "the samples that it is measured with are the same in all of them"
            if count
            else ""
        )
        together = (
            ""
            if self.batch is None
            else f"cycles, energy and rates: of an image, {self.batch} of which one program computes; "
        )
        return [
            f"{quality}, over {self.samples:,} samples{drawn}; sparsity: of the layers that a scheme "
            f"changed{self._chosen()}; weights and MMACs: not zero, of the whole network",
            f"{together}faster: than the dense network on {self.targets[0]}; own: than the dense network "
            f"on the same target; on CPU: of the multiplies, "
            "which cycles and energy leave out; KiB: weights as packed for the target, with "
            f"metadata, and parameters; {FRONT}: on the target's Pareto front, no other is as "
            "good in fewer cycles",
        ]

    def _chosen(self) -> str:
        """How sparsities were chosen where they were not asked for."""
        if all(entry.losing is None for entry in self.entries):
            return ""
        unit = "points of accuracy" if self.labelled else "dB"
        return (
            f" (for n {unit}: the largest, to 1/{2**HALVINGS}, at which the int8 network loses no "
            "more against the dense one, by the same samples)"
        )

    def to_table(self) -> dict[str, Any]:
        """For JSON: the fields of this class, without the masks, and the fronts."""
        return {
            "model": self.model,
            "samples": self.samples,
            "targets": list(self.targets),
            "layer": self.layer,
            "snr_before": self.before,
            "batch": self.batch,
            "missed": list(self.missed),
            "entries": [self._entry_table(entry) for entry in self.entries],
            "front": {
                target: [entry.title for entry in self.front(target)] for target in self.targets
            },
        }

    def _entry_table(self, entry: Entry) -> dict[str, Any]:
        return {
            **asdict(entry),
            "repeats": list(entry.repeats),
            "interval": entry.interval,
            "times_as_fast": self.times_as_fast(entry),
        }


def _times(slow: Gain, fast: Gain) -> float:
    """How many times as fast one is; NaN where nothing runs."""
    return slow.cycles / fast.cycles if fast.cycles else float("nan")


def _beats(one: Entry, other: Entry, target: str) -> bool:
    mine, its = (each.gains[target].cycles for each in (one, other))
    return (
        one.quality >= other.quality and mine <= its and (one.quality > other.quality or mine < its)
    )
