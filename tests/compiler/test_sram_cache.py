"""Rows of a memory that are handed out, found again, held and taken back; rows over time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zeroskip.compiler.codegen.sram_cache import SramCache
from zeroskip.compiler.scheduling.sram_allocator import LiveBuffer, allocate, largest_gap


def reserved(shelf: SramCache, *needs: tuple[str, int]) -> list[tuple[int, bool]]:
    """The places of needs that fit."""
    places = shelf.reserve(needs)
    assert places is not None
    return places


def test_what_is_still_there_is_found_and_what_was_overwritten_is_not() -> None:
    shelf = SramCache(10)
    ((a, fresh),) = reserved(shelf, ("a", 4))
    assert fresh
    assert shelf.reserve([("a", 4)]) == [(a, False)]
    assert reserved(shelf, ("b", 8))[0][1]
    assert reserved(shelf, ("a", 4))[0][1]


def test_what_was_used_longest_ago_is_disturbed_first() -> None:
    shelf = SramCache(9)
    places = {key: reserved(shelf, (key, 3))[0][0] for key in "abc"}
    assert sorted(places.values()) == [0, 3, 6]
    shelf.reserve([("a", 3)])
    assert shelf.reserve([("d", 3)]) == [(places["b"], True)]
    assert shelf.reserve([("a", 3), ("c", 3)]) == [(places["a"], False), (places["c"], False)]


def test_what_is_pinned_stays_until_it_is_not() -> None:
    shelf = SramCache(10)
    assert shelf.pin("kept", 4) == (0, True)
    for key in "ab":
        assert shelf.reserve([(key, 6)]) == [(4, True)]
    assert shelf.reserve([("c", 7)]) is None
    assert shelf.pin("kept", 4) == (0, False)
    shelf.unpin()
    assert shelf.reserve([("c", 7)]) is not None


def test_nothing_that_is_taken_is_handed_out() -> None:
    shelf = SramCache(10)
    shelf.reserve([("a", 3)])
    shelf.block_out([(2, 3)])
    places = reserved(shelf, ("a", 3), ("b", 2))
    assert {fresh for _, fresh in places} == {True}
    assert all(
        first >= 5 or first + rows <= 2 for (first, _), rows in zip(places, (3, 2), strict=True)
    )
    assert shelf.reserve([("c", 6)]) is None
    shelf.block_out([])
    assert shelf.reserve([("c", 6)]) is not None


def test_what_is_left_of_a_piece_was_used_when_all_of_it_was() -> None:
    """Of an old piece and a new one, of which the ends are taken, the old one is disturbed."""
    shelf = SramCache(12)
    for key in ("old", "new"):
        shelf.reserve([(key, 6)])
    old = reserved(shelf, ("old", 6))[0][0]
    shelf.reserve([("new", 6)])
    shelf.block_out([(4, 4)])
    ((at, fresh),) = reserved(shelf, ("next", 3))
    assert fresh
    assert old <= at < old + 6


def test_what_is_stored_stays_off_what_others_write_next() -> None:
    for stored in (True, False):
        shelf = SramCache(12)
        shelf.reserve([("late", 6)])
        shelf.block_out([], soon=[(0, 6)])
        ((late, _),) = reserved(shelf, ("late", 6))
        shelf.block_out([], soon=[(6 - late, 6)])
        places = shelf.reserve([("result", 6)], stored={"result"} if stored else ())
        assert places == [(late if stored else 6 - late, True)]


def test_needs_of_one_step_do_not_evict_each_other() -> None:
    shelf = SramCache(10)
    ((a, _),) = reserved(shelf, ("a", 6))
    ((again, fresh), (b, _)) = reserved(shelf, ("a", 6), ("b", 4))
    assert (again, fresh) == (a, False)
    assert abs(a - b) >= 4


def test_a_piece_leaves_room_for_the_one_that_comes_next() -> None:
    places = {}
    for ahead in (0, 6):
        shelf = SramCache(12)
        for key, rows in (("a", 3), ("b", 3), ("c", 2)):
            shelf.reserve([(key, rows)])
        shelf.reserve([("d", 3)], ahead=ahead)
        shelf.reserve([("e", 6)])
        places[ahead] = reserved(shelf, ("d", 3))[0]
    assert [fresh for _, fresh in places.values()] == [True, False]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 20)), max_size=8),
    st.integers(1, 39),
    st.integers(1, 39),
)
def test_the_next_piece_leaves_what_has_room_beside_it_whole(
    before: list[tuple[int, int]], rows: int, ahead: int
) -> None:
    shelf = SramCache(40)
    for piece in before:
        shelf.reserve([(piece, piece[1])])
    shelf.reserve([("this", rows)], ahead)
    shelf.reserve([("next", ahead)])
    assert (reserved(shelf, ("this", rows))[0][1] is False) == (rows + ahead <= 40)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """Rows that are taken, from where and how many, and pieces of one step: key and rows."""
    pieces = st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 12)),
        min_size=1,
        max_size=3,
        unique_by=lambda piece: piece[0],
    )
    return draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10), pieces), max_size=12))


@given(steps())
def test_pieces_of_a_step_never_meet_and_are_found_only_while_they_are_whole(
    wanted: list[tuple[int, int, list[tuple[int, int]]]],
) -> None:
    shelf = SramCache(40)
    content: list[object] = [None] * 40  # who wrote each row
    for at, taken, pieces in wanted:
        shelf.block_out([(at, taken)] if taken else [])
        content[at : at + taken] = ["taken"] * taken
        places = shelf.reserve([((key, rows), rows) for key, rows in pieces])
        free = largest_gap([(at, at + taken)], 40)
        if sum(rows for _, rows in pieces) <= free:
            assert places is not None
        if places is None:
            continue
        used: set[int] = set(range(at, at + taken))
        for (first, fresh), (key, rows) in zip(places, pieces, strict=True):
            mine = range(first, first + rows)
            assert 0 <= first <= 40 - rows
            assert used.isdisjoint(mine)
            used.update(mine)
            if not fresh:
                assert content[first : first + rows] == [(key, rows)] * rows
        for (first, _), (key, rows) in zip(places, pieces, strict=True):
            content[first : first + rows] = [(key, rows)] * rows


def test_buffers_meet_where_a_step_needs_both() -> None:
    early = LiveBuffer(0, 1, 1)
    assert early.overlaps(early)
    assert early.overlaps(LiveBuffer(1, 2, 1))
    assert LiveBuffer(1, 2, 1).overlaps(early)
    assert not early.overlaps(LiveBuffer(2, 3, 1))


@given(
    st.lists(
        st.builds(
            lambda first, more, rows: LiveBuffer(first, first + more, rows),
            st.integers(0, 8),
            st.integers(0, 4),
            st.integers(1, 20),
        ),
        max_size=10,
    )
)
def test_buffers_that_are_needed_at_once_never_meet(needs: list[LiveBuffer]) -> None:
    acts = allocate(needs, 64)
    if acts is None:  # only if the plainest order does not fit either
        assert sum(need.rows for need in needs) > 64
        return
    for one, low in zip(needs, acts, strict=True):
        assert 0 <= low <= 64 - one.rows
        for two, other in zip(needs, acts, strict=True):
            if one is not two and one.overlaps(two):
                assert low + one.rows <= other or other + two.rows <= low
