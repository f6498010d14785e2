"""Published figures are met, and the table says when one is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.published.__main__ import arrays, main, table
from benchmarks.published.row import Accepted, PublishedRow, below, between, equal, near, within
from zeroskip.accel_model.spec import load_spec, targets

FOLDER = Path(__file__).parents[1] / "benchmarks" / "published"


@pytest.mark.parametrize("name", sorted(arrays()))
def test_every_figure_is_met(name: str) -> None:
    rows = arrays()[name]()
    assert rows
    for row in rows:
        assert row.met, row


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_published_accelerators_are_descriptions(path: Path) -> None:
    spec = load_spec(str(path))
    assert spec.name == path.stem
    assert spec.name not in targets()


@pytest.mark.parametrize(
    ("accepted", "inside", "outside"),
    [
        (equal(9), [9], [8.999, 9.001]),
        (within(2, 0.1), [1.81, 2.19], [1.79, 2.21]),
        (near(0.8, 0.1), [0.71, 0.89], [0.69, 0.91]),
        (between(1.8, 2.2), [1.8, 2.2], [1.79, 2.21]),
        (below(0.2), [-1, 0.2], [0.21]),
    ],
)
def test_tolerances(accepted: Accepted, inside: list[float], outside: list[float]) -> None:
    row = PublishedRow("array", "figure", 2.0, 0.0, accepted)
    assert all(replace(row, ours=value).met for value in inside)
    assert not any(replace(row, ours=value).met for value in outside)


def test_a_row_shows_its_deviation_and_whether_it_is_met() -> None:
    row = PublishedRow("array", "figure", 2.0, 2.2, within(2, 0.05))
    assert row.deviation == pytest.approx(0.1)
    cells = [next(iter(column.cells)) for column in table([row]).columns]
    assert cells == ["array", "figure", "2", "2.2", "+10.0%", "5 %", "NO"]
    assert replace(row, published=None).deviation is None


def test_an_array_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["abacus"])
    assert ended.value.code == 2
    assert "abacus: not one of" in capsys.readouterr().err
