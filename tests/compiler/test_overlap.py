"""The time of operations whose transfers overlap, each against the sum that its words ask for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from zeroskip.compiler.scheduling import overlap_model
from zeroskip.compiler.scheduling.overlap_model import (
    ARRAY,
    COLUMNS,
    CROWDED,
    FULL,
    LOADS,
    NO_PREFETCH_ROOM,
    SPREAD,
    TIGHT,
    UNHIDDEN,
    WEIGHT_TILE,
    WEIGHTS,
    Turns,
    _pipelined,
    alternating_cycles,
    in_turn,
)


def cycles(*works: Mapping[str, float], rows: int = 10, latency: int = 0) -> float:
    """Of works by the names of their columns; the others are 0. In Python: there is no loop that
    numba would have to be quick for."""
    table = np.zeros((len(works), COLUMNS))
    for at, work in enumerate(works):
        for name, value in work.items():
            table[at, getattr(overlap_model, name)] = value
    began = np.zeros(len(works))
    return float(_pipelined.py_func(table, rows, latency, began))  # type: ignore[attr-defined]


def test_the_array_waits_for_its_first_activations_and_the_bus_for_its_answer() -> None:
    assert cycles({"ARRAY": 5, "FIRST_TILE": 10, "LOADS": 10}) == 15
    assert cycles({"ARRAY": 5, "FIRST_TILE": 10, "LOADS": 10}, latency=3) == 18


def test_the_slower_of_array_and_bus_decides() -> None:
    assert cycles({"ARRAY": 50, "WEIGHTS": 30}) == 50
    assert cycles({"ARRAY": 5, "WEIGHTS": 30}) == 30
    assert cycles({"ARRAY": 5, "STORES": 7, "LAST_TILE": 2}) == 7  # the bus ends last


@pytest.mark.parametrize(("rows", "whole"), [(12, 115), (11, 125)])
def test_weights_come_early_where_both_tiles_have_room(rows: int, whole: float) -> None:
    tile = {"WEIGHT_TILE": 10, "ROWS": 6, "ALL_ROWS": 6}
    assert cycles({"ARRAY": 100, **tile}, {"ARRAY": 5, **tile}, rows=rows) == whole


@pytest.mark.parametrize(("rows", "whole"), [(12, 105), (10, 105), (8, 105), (7, 140), (6, 140)])
def test_all_tiles_of_weights_come_early_where_there_is_room(rows: int, whole: float) -> None:
    """The two before them are used one after another: the rows of one are free after half of the
    time."""
    first = {"ARRAY": 100, "ROWS": 2, "ALL_ROWS": 4}
    second = {"ARRAY": 5, "WEIGHT_TILE": 10, "WEIGHTS": 40, "ROWS": 3, "ALL_ROWS": 6}
    assert cycles(first, second, rows=rows) == whole


def test_weights_larger_than_wgt_wait_behind_an_operation_without_any() -> None:
    second = {"ARRAY": 5, "WEIGHT_TILE": 10, "WEIGHTS": 40, "ROWS": 3, "ALL_ROWS": 12}
    assert cycles({"ARRAY": 100}, second) == 140
    assert cycles({}, second) == 50


def test_steps_that_take_turns_wait_more_often_where_tiles_have_no_room() -> None:
    works = np.zeros((2, 2, COLUMNS))
    works[:, 0, ARRAY], works[:, 0, LOADS], works[:, 1, WEIGHTS] = 100, 30, (0, 90)
    passes = 100 + SPREAD * 30, 120 + SPREAD * 100
    assert alternating_cycles(works, 3) == pytest.approx(sum(passes) + 2 * 2 * 3)
    works[1, 0, NO_PREFETCH_ROOM] = 1
    assert alternating_cycles(works, 3) == pytest.approx(sum(passes) + CROWDED * 30 + 2 * 2 * 3)


def test_a_layer_that_follows_takes_turns_with_the_one_that_it_follows() -> None:
    """Piece by piece: the array makes it in 25 cycles and multiplies it in 5."""
    works = np.zeros((4, COLUMNS))
    works[0, ARRAY], works[1:, ARRAY] = 7, (80, 20, 20)
    works[1, WEIGHT_TILE], works[1, WEIGHTS] = 1, 8
    works[3, WEIGHT_TILE], works[3, WEIGHTS] = 10, 90

    def turns(*given: float, alone: bool) -> float:
        before, together = in_turn(works, 1, Turns(4, alone, *given))
        assert before[ARRAY] == 7
        assert together[WEIGHT_TILE] == 1
        assert together[WEIGHTS] == 8 + 100
        return float(together[ARRAY])

    assert turns(100, alone=True) == 4 * (25 + 5)  # of its 25 cycles of the bus 23 are ahead
    assert turns(15, alone=True) == 4 * (25 + 10)  # WGT is full after 15
    assert turns(15, alone=False) == 25 + 10 + 3 * (30 + UNHIDDEN * 27)


def test_a_tile_of_weights_waits_for_all_that_others_hold() -> None:
    """It has room beside one of their tiles, not beside both."""
    first = {"ARRAY": 100, "ROWS": 4, "ALL_ROWS": 8}
    second = {"ARRAY": 60, "ROWS": 1, "ALL_ROWS": 2}
    third = {"ARRAY": 5, "WEIGHT_TILE": 70, "ROWS": 4, "ALL_ROWS": 4}
    assert cycles(first, second, third, rows=10) == 100 + 60 + 5  # hidden by the second
    assert cycles(first, second, third, rows=9) == 100 + 70 + 5


@pytest.mark.parametrize(("late", "whole"), [(0, 105), (FULL, 115)])
def test_activations_come_early_where_they_have_room(late: float, whole: float) -> None:
    second = {"ARRAY": 5, "FIRST_TILE": 10, "LOADS": 10, "NO_PREFETCH_ROOM": late}
    assert cycles({"ARRAY": 100}, second) == whole


@pytest.mark.parametrize(("late", "whole"), [(0, 135), (TIGHT, 145), (FULL, 205)])
def test_activations_that_are_tight_wait_for_results_that_are_stored(
    late: float, whole: float
) -> None:
    """Those of the operation before the one that runs take 40 cycles of the bus."""
    first, second = {"ARRAY": 10, "STORES": 40, "LAST_TILE": 40}, {"ARRAY": 100}
    third = {"ARRAY": 5, "FIRST_TILE": 90, "LOADS": 90, "NO_PREFETCH_ROOM": late}
    assert cycles(first, second, third) == whole


@pytest.mark.parametrize(("behind", "whole"), [(0, 20), (1, 25)])
def test_results_that_are_in_the_way_are_stored_first(behind: int, whole: float) -> None:
    first = {"ARRAY": 10, "STORES": 20, "LAST_TILE": 5}
    assert cycles(first, {"ARRAY": 5, "WAW_STALL": behind}) == whole
