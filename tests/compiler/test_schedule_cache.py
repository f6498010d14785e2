"""Schedules on disk: found again only for what they were found for."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.compiler.scheduling.schedule_cache import PlanCache, default_folder

SPEC = load_spec("sparse256")


def region(seed: int = 0, filters: int = 24) -> Region:
    b = GraphBuilder(np.random.default_rng(seed), density=0.3)
    x = b.conv(b.input(20, 9, 9), filters, (3, 3), pad=(1, 1, 1, 1))
    return lower(b.graph(b.pool(x, "max", 2, 2, 0)))


def test_the_second_time_nothing_is_searched(tmp_path: Path) -> None:
    first, second = PlanCache(tmp_path), PlanCache(tmp_path)
    plans = plan_region(region(), SPEC, cache=first)
    assert (first.found, first.made) == (0, 1)
    assert plan_region(region(), SPEC, cache=second) == plans == plan_region(region(), SPEC)
    assert (second.found, second.made) == (1, 0)


def test_other_weights_shapes_hardware_or_effort_are_others(tmp_path: Path) -> None:
    plan_region(region(), SPEC, cache=PlanCache(tmp_path))
    slower = replace(SPEC, dram=replace(SPEC.dram, latency_cycles=101))
    for other, spec in ((region(seed=1), SPEC), (region(filters=25), SPEC), (region(), slower)):
        cache = PlanCache(tmp_path)
        plan_region(other, spec, cache=cache)
        assert cache.made == 1
    cache = PlanCache(tmp_path)
    cache.groups(region(), SPEC, "tuned 4", lambda: plan_region(region(), SPEC))
    assert cache.made == 1


def test_other_wiring_is_another(tmp_path: Path) -> None:
    """The same operations, which hand each other other values."""

    def wired(swapped: bool) -> Region:
        b = GraphBuilder(np.random.default_rng(0))
        x, y = b.input(16, 5, 5), b.input(16, 5, 5)
        z = b.conv(x, 16, (1, 1))
        return lower(b.graph(b.conv(y if swapped else z, 16, (1, 1)), z))

    one, two = wired(False), wired(True)
    cache = PlanCache(tmp_path)
    plan_region(one, SPEC, cache=cache)
    plan_region(two, SPEC, cache=cache)
    plan_region(replace(one, outputs=one.outputs[::-1]), SPEC, cache=cache)
    assert (cache.found, cache.made) == (0, 3)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"groups": [], "sha256": ""}', b"\xff\x00"]
)
def test_an_altered_entry_is_searched_for_again(tmp_path: Path, content: bytes) -> None:
    plans = plan_region(region(), SPEC, cache=PlanCache(tmp_path))
    for entry in tmp_path.rglob("*.json"):
        entry.write_bytes(content)
    again = PlanCache(tmp_path)
    assert plan_region(region(), SPEC, cache=again) == plans
    assert (again.found, again.made) == (0, 1)
    assert PlanCache(tmp_path).groups(region(), SPEC, "", list) == plans


def test_a_plan_changed_by_hand_is_not_believed(tmp_path: Path) -> None:
    plan_region(region(), SPEC, cache=PlanCache(tmp_path))
    for entry in tmp_path.rglob("*.json"):
        entry.write_text(entry.read_text().replace(r"\"rows\": ", r"\"rows\": 1"))
    again = PlanCache(tmp_path)
    plan_region(region(), SPEC, cache=again)
    assert again.found == 0


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    assert plan_region(region(), SPEC, cache=PlanCache(tmp_path / "x"))


def _fill(folder: str) -> int:
    return len(plan_region(region(), SPEC, cache=PlanCache(folder)))


def test_several_writers_at_once(tmp_path: Path) -> None:
    with get_context("spawn").Pool(2) as pool:
        assert pool.map(_fill, [str(tmp_path)] * 8) == [1] * 8
    assert sorted(path.suffix for path in tmp_path.rglob("*.*")) == [".json"]
    cache = PlanCache(tmp_path)
    plan_region(region(), SPEC, cache=cache)
    assert (cache.found, cache.made) == (1, 0)


def test_where_a_user_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROSKIP_CACHE", "/somewhere")
    assert default_folder() == Path("/somewhere")
    monkeypatch.delenv("ZEROSKIP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_folder() == Path("/cache/zeroskip/schedules")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache/zeroskip/schedules"
