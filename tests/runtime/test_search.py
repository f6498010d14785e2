"""`zeroskip search`: what it asks for is new, what it finds keeps the budgets, what is known
counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import zeroskip as package
from tests.runtime.command import files, refused, zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.io.telling import no_progress
from zeroskip.runtime.experiments.engine import Here, Work
from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.point import Point
from zeroskip.runtime.experiments.run import missing_of, run
from zeroskip.runtime.experiments.search import Found, Wish, check_wish, search_with, tpe
from zeroskip.runtime.experiments.sources import source_of
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import Outcome, Store

ACT, WGT, LATENCY = "sram.act_bytes", "sram.wgt_bytes", "dram.latency_cycles"
Figures = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("search")
    onnx.save(small_net(), made / "net.onnx")
    images = np.random.default_rng(3).standard_normal((8, *SHAPE[1:])).astype(np.float32)
    np.savez(made / "images.npz", x=images)
    np.savez(made / "labelled.npz", x=images, labels=np.arange(8) % 10)
    return made


def space_of(folder: Path, **axes: Any) -> Space:
    return Space.of(
        [source_of(folder / "net.onnx", calibrate=folder / "images.npz")],
        **{
            "targets": ["sparse256"],
            "settings": {ACT: [65536, 4096, 131072], WGT: [65536, 131072], LATENCY: range(40)},
            "schemes": ["dense", "unstructured"],
            "sparsities": [0.5, 0.75],
            **axes,
        },
    )


def work(figures: Figures) -> Work:
    """A point's figures by what it was asked to be."""

    def measure(_front: Any, point: Point, _code: str, _cache: str | None) -> Outcome:
        return Outcome({"recipe": "", "sparsity": 0.0, "cpu_share": 0.0, **figures(point.named())})

    return Work(lambda _front, _code, _cache: Outcome(), measure)


def bowl(named: Mapping[str, Any]) -> dict[str, Any]:
    """Least energy in the middle; area grows with ACT."""
    sparsity = named["asked_sparsity"] or 0.0
    away = (named[LATENCY] - 29) ** 2 + (named[ACT] != 65536) * 50 + (named[WGT] != 65536) * 50
    return {"microjoules": 10.0 + away - 4 * sparsity, "area_mm2": named[ACT] / 65536}


def found(
    folder: Path,
    figures: Figures,
    wish: Wish,
    trials: int = 30,
    store: Store | None = None,
    seed: int = 0,
    **axes: Any,
) -> Found:
    with store or Store(":memory:") as kept:
        engine = Here(None, work(figures))
        space = space_of(folder, **axes)
        return search_with(tpe(seed), space, wish, kept, engine, trials, seed, False, no_progress)


def test_points_are_asked_for_once_each(folder: Path) -> None:
    """In a space so small that an optimizer comes back to the best."""
    asked: list[str] = []

    def figures(named: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(json.dumps(named))
        return bowl(named)

    axes: dict[str, Any] = {"settings": {ACT: [65536, 4096], WGT: [65536], LATENCY: range(25, 35)}}
    made = found(folder, figures, Wish.of(["energy"]), trials=40, **axes)
    assert len(asked) == len(set(asked)) == len(made.table) == 40


def test_a_small_space_is_searched_to_its_end(folder: Path) -> None:
    axes: dict[str, Any] = {"settings": {LATENCY: [1, 2, 3]}, "sparsities": [0.5]}
    figures: Figures = lambda named: {"microjoules": float(named[LATENCY])}  # noqa: E731
    made = found(folder, figures, Wish.of(["energy"]), trials=50, **axes)
    assert len(made.table) == len(space_of(folder, **axes)) == 6
    assert made.best.columns["microjoules"] == [1.0]


def test_the_best_keeps_the_budgets(folder: Path) -> None:
    free = found(folder, bowl, Wish.of(["energy"]), trials=80)
    bound = found(folder, bowl, Wish.of(["energy"], ["area=0.5mm2"]), trials=80)
    assert min(free.table.columns["microjoules"]) == free.best.columns["microjoules"][0]
    (best,) = bound.best.rows
    assert best["area_mm2"] <= 0.5
    kept = [row for row in bound.table.rows if row["area_mm2"] <= 0.5]
    assert best["microjoules"] == min(row["microjoules"] for row in kept)
    # The optimizer knows of the budget: a third of the points would keep it by chance.
    assert len(kept) > 0.5 * len(bound.table)


def test_the_optimizer_is_better_than_chance(folder: Path) -> None:
    from optuna.samplers import RandomSampler

    def best_of(sampler: Any, seed: int) -> float:
        with Store(":memory:") as store:
            made = search_with(
                sampler,
                space_of(folder),
                Wish.of(["energy"]),
                store,
                Here(None, work(bowl)),
                40,
                seed,
                False,
                no_progress,
            )
        return float(made.best.columns["microjoules"][0])

    seeds = range(9)
    tried = [best_of(tpe(seed), seed) for seed in seeds]
    chance = [best_of(RandomSampler(seed=seed), seed) for seed in seeds]
    assert np.median(tried) < np.median(chance)


def test_the_same_seed_asks_for_the_same_points(folder: Path) -> None:
    one, same, other = (
        found(folder, bowl, Wish.of(["energy"]), seed=seed).table.columns for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_what_a_store_knows_is_not_measured_again(folder: Path, tmp_path: Path) -> None:
    axes: dict[str, Any] = {
        "settings": {LATENCY: [1, 2, 3], ACT: [65536, 131072]},
        "sparsities": [0.5],
    }
    measured = []

    def figures(named: Mapping[str, Any]) -> dict[str, Any]:
        measured.append(named[LATENCY])
        return {"microjoules": float(named[LATENCY])}

    space = space_of(folder, **{**axes, "settings": {LATENCY: [1, 2], ACT: [65536]}})
    with Store(tmp_path / "s.sqlite") as store:  # of a sweep of a part
        run(space, missing_of(space, store), store, Here(None, work(figures)), no_progress)
    assert len(measured) == 4
    made = found(folder, figures, Wish.of(["energy"]), 9, Store(tmp_path / "s.sqlite"), **axes)
    assert len(made.table) == len(measured) == 9
    again = found(folder, figures, Wish.of(["energy"]), 9, Store(tmp_path / "s.sqlite"), **axes)
    assert len(measured) == 9
    assert sorted(map(str, again.table.rows)) == sorted(map(str, made.table.rows))


def test_failures_do_not_end_a_search(folder: Path) -> None:
    def figures(named: Mapping[str, Any]) -> dict[str, Any]:
        return {} if named[LATENCY] % 2 else bowl(named)  # no energy: as if nothing ran

    made = found(folder, figures, Wish.of(["energy"]), trials=30)
    assert len(made.table) == 30
    assert None in made.table.columns["microjoules"]
    assert made.best.rows[0][LATENCY] % 2 == 0


def test_several_goals_give_the_points_that_none_beats(folder: Path) -> None:
    made = found(folder, bowl, Wish.of(["energy", "area"]), trials=60)
    best = {(row["microjoules"], row["area_mm2"]) for row in made.best.rows}
    rows = {(row["microjoules"], row["area_mm2"]) for row in made.table.rows}
    assert best == {
        one
        for one in rows
        if not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in rows)
    }


def test_no_point_within_the_budgets_is_said(folder: Path) -> None:
    made = found(folder, bowl, Wish.of(["energy"], ["area=0.0625", "energy=1uJ"]), trials=60)
    assert len(made.best) == 0
    misses = [max(row["area_mm2"] / 0.0625, row["microjoules"]) - 1 for row in made.table.rows]
    assert f"misses it by {min(misses):.1%}" in made.nearest_miss()


@pytest.mark.parametrize(
    ("goals", "budgets", "words"),
    [
        ([], [], "name a goal"),
        (["speed"], [], "is no metric"),
        (["snr", "snr"], [], "twice"),
        (["snr"], ["area"], "not of the form"),
        (["accuracy"], [], "labels"),
        (["energy"], ["accuracy=90%"], "labels"),
    ],
)
def test_wishes_are_refused(goals: list[str], budgets: list[str], words: str, folder: Path) -> None:
    with pytest.raises(ExperimentError, match=words):
        check_wish(space_of(folder), Wish.of(goals, budgets))


def test_wishes_that_no_point_can_have_are_refused(folder: Path, tmp_path: Path) -> None:
    source = source_of(folder / "net.onnx")
    with pytest.raises(ExperimentError, match="snr needs samples"):
        check_wish(Space.of([source]), Wish.of(["snr"]))
    with pytest.raises(ExperimentError, match="of one network"):
        check_wish(Space.of([source, source]), Wish.of(["cycles"]))
    labelled = source_of(folder / "net.onnx", data=folder / "labelled.npz")
    check_wish(Space.of([labelled]), Wish.of(["accuracy", "snr"]))


def test_networks_are_searched_as_they_are_compiled(folder: Path, tmp_path: Path) -> None:
    made = package.search(
        folder / "net.onnx",
        ["cycles", "snr"],
        budgets=["cpu=0"],
        trials=3,
        targets=["sparse256"],
        settings={ACT: "64KiB,128KiB"},
        schemes=["dense", "unstructured"],
        calibrate=folder / "images.npz",
        store=tmp_path / "s.sqlite",
    )
    assert len(made.table) == 3
    done = zeroskip(
        *("search", folder / "net.onnx", "--goals", "cycles,snr", "--budget", "cpu=0"),
        *("--trials", "3", "--targets", "sparse256", "--set", f"{ACT}=64KiB,128KiB"),
        *("--schemes", "dense,unstructured", "--calibrate", folder / "images.npz"),
        *("--store", tmp_path / "s.sqlite", "--workers", "1", "--csv", tmp_path / "t.csv"),
    )
    assert done.exit_code == 0, done.output
    assert "3 of 16 points are known" in done.stdout
    assert "with cpu <= 0 in cycles and snr" in done.stdout
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 4


def test_every_option_of_a_sweep_is_one_of_a_search(folder: Path) -> None:
    """Sparsities alone have another default."""
    made = package.search(
        folder / "net.onnx", ["cycles"], trials=2, schemes=["nm:m=8"], sparsities=[0.5, 0.75]
    )
    assert sorted(made.table.columns["asked_sparsity"]) == [0.5, 0.75]
    with pytest.raises(TypeError, match="search takes no option 'trial'"):
        package.search(folder / "net.onnx", ["cycles"], trial=2)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--goals", "speed"], ("is no metric",)),
        (["--goals", "accuracy"], ("labels", "--data")),
        (["--goals", "energy", "--budget", "area=x"], ("area=NUMBER",)),
        (["--goals", "energy", "--set", "sram.act=1"], ("did you mean",)),
    ],
)
def test_the_command_refuses(
    arguments: list[str], words: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    before = files(tmp_path)
    done = zeroskip("search", folder / "net.onnx", "--store", tmp_path / "s.sqlite", *arguments)
    refused(done, *words)
    assert files(tmp_path) == before


def test_without_the_library_the_remedy_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna.samplers", None)
    with pytest.raises(ExperimentError, match=r"zeroskip\[search\]"):
        package.search(folder / "net.onnx", ["cycles"])
