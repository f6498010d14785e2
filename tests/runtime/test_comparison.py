"""A comparison's arithmetic, on numbers by hand: quality, gain, titles, what figures are for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from rich.table import Table

from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.artifact.placement import Placement
from zeroskip.runtime.analysis.comparison import DENSE, Comparison, Entry, Gain
from zeroskip.runtime.analysis.efficiency import RATES, efficiency, rates
from zeroskip.runtime.render.comparison_table import comparison_parts
from zeroskip.runtime.render.pages.comparison import comparison_page

WHOLE = Placement(1, 1, 0, 0, 1, 0, 8, 0)
HALF = Placement(2, 1024, 0, 1, 2, 1, 8, 4)
NONE = Placement(0, 0, 0, 2, 2, 2, 8, 8)


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


def test_rates_stand_in_the_table_the_page_and_json() -> None:
    """Of networks that run; a target without technology has none."""
    spec = load_spec("sparse256")
    spent = dict.fromkeys(spec.kind.events, 1.0)
    fast = efficiency(spec, 0.5, spent, 10**6, 10**7)
    assert fast is not None
    dense = entry(DENSE, None, (100, WHOLE), (100, WHOLE))
    gains = {"a": replace(dense.gains["a"], efficiency=fast), "b": dense.gains["b"]}
    made = comparison(replace(dense, gains=gains))
    cells = rates(fast)
    assert len(cells) == len(RATES)
    assert cells[RATES.index("images/s")] == "2,000.0"
    assert cells[RATES.index("TOPS")] == f"{2 * 10**7 / 0.5e-3 / 1e12:.3f}"
    assert cells[RATES.index("uJ ms")] == f"{fast.microjoules * 0.5:,.2f}"
    table = next(part for part in reversed(comparison_parts(made)) if isinstance(part, Table))
    assert table.row_count == 1
    columns = [list(column.cells) for column in table.columns]
    assert [column[0] for column in columns] == [DENSE, "a", *cells]
    page = comparison_page(replace(made, masks={dense.title: np.ones((1, 1), np.bool_)}))
    assert all(f"<td>{cell}</td>" in page for cell in cells)
    plain = replace(made, entries=(dense,), masks={dense.title: np.ones((1, 1), np.bool_)})
    assert "Area, power and rates" in page
    assert "Area, power and rates" not in comparison_page(plain)
    assert sum(isinstance(part, Table) for part in comparison_parts(plain)) == 1
    (written,) = made.to_table()["entries"]
    assert written["gains"]["a"]["efficiency"]["edp"] == fast.edp
    assert written["gains"]["b"]["efficiency"] is None
