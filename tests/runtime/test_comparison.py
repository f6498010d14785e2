"""A comparison's arithmetic, on numbers by hand: quality, gain, titles, what figures are for."""

from __future__ import annotations

import math

from zeroskip.compiler.artifact.placement import Placement
from zeroskip.runtime.analysis.comparison import DENSE, Comparison, Entry, Gain

WHOLE = Placement(1, 1, 0, 1, 0, 8, 0)
HALF = Placement(2, 1024, 1, 2, 1, 8, 4)
NONE = Placement(0, 0, 2, 2, 2, 8, 8)


def entry(scheme: str, accuracy: float | None, *gains: tuple[int, Placement]) -> Entry:
    made = {
        target: Gain(cycles, 1, 1.0, placement)
        for target, (cycles, placement) in zip(("a", "b"), gains, strict=True)
    }
    return Entry(scheme, "", 0.5, 1, 1, 30.0, accuracy, made)


def comparison(*entries: Entry) -> Comparison:
    return Comparison("m", 1, ("a", "b"), entries, "conv", {})


def test_quality_is_accuracy_where_it_is_known() -> None:
    known, unknown = (entry(DENSE, each, (1, WHOLE), (1, WHOLE)) for each in (0.9, None))
    assert (known.quality, unknown.quality) == (0.9, 30.0)
    assert comparison(known).labelled
    assert not comparison(unknown).labelled


def test_the_front_is_of_accuracy_and_a_tie_is_beaten_by_either() -> None:
    """Equal quality in fewer cycles, or better quality in as many, beats."""
    made = comparison(
        entry(DENSE, 0.9, (100, WHOLE), (100, WHOLE)),
        entry("slower", 0.9, (101, WHOLE), (100, WHOLE)),
        entry("worse", 0.8, (100, WHOLE), (99, WHOLE)),
    )
    assert [one.scheme for one in made.front("a")] == [DENSE]
    assert [one.scheme for one in made.front("b")] == [DENSE, "slower", "worse"]


def test_a_gain_is_against_the_dense_network_on_the_first_target() -> None:
    dense, pruned = (
        entry(DENSE, None, (100, WHOLE), (80, WHOLE)),
        entry("pruned", None, (50, WHOLE), (0, NONE)),
    )
    made = comparison(dense, pruned)
    assert made.faster(dense, "a") == 1.0
    assert made.faster(dense, "b") == 1.25
    assert made.faster(pruned, "a") == 2.0
    assert math.isnan(made.faster(pruned, "b"))
    assert (dense.title, pruned.title) == (DENSE, "pruned 50%")


def test_networks_that_differ_in_what_runs_are_named() -> None:
    made = comparison(
        entry(DENSE, None, (100, WHOLE), (80, HALF)), entry("pruned", None, (50, WHOLE), (0, NONE))
    )
    assert made.coverages() == [
        f"cycles on a: {WHOLE.coverage()}",
        f"cycles of dense on b: {HALF.coverage()}",
        "cycles of pruned 50% on b: for none of the multiplies: nothing runs there, "
        "`zeroskip report` says why",
    ]
