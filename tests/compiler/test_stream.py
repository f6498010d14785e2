"""Tokens: every conflict between units is ordered, with no more waits than needed."""

from zeroskip.accel_model import isa
from zeroskip.accel_model.isa import Unit
from zeroskip.compiler.rows import Rows
from zeroskip.compiler.stream import Ring, Stream


def _load() -> isa.Load:
    return isa.Load(act=0, dram=0, width=1, height=1, blocks=1, bytes=16, lane=0)


def _pool() -> isa.MaxPool:
    return isa.MaxPool(channels=16)


def test_a_read_waits_for_the_write_of_another_unit() -> None:
    stream = Stream({"act": 8})
    stream.add(_load(), [], [Rows("act", 0, 4)])
    stream.add(_pool(), [Rows("act", 0, 4)], [Rows("act", 4, 4)])
    load, pool = stream.instructions
    assert load.post == Unit.COMPUTE
    assert pool.wait == Unit.LOAD


def test_an_overwrite_waits_for_the_last_reader() -> None:
    stream = Stream({"act": 8})
    stream.add(_load(), [], [Rows("act", 0, 4)])
    stream.add(_pool(), [Rows("act", 0, 4)], [Rows("act", 4, 4)])
    stream.add(_load(), [], [Rows("act", 2, 2)])
    assert stream.instructions[2].wait == Unit.COMPUTE
    assert stream.instructions[1].post == Unit.LOAD


def test_no_token_where_rows_do_not_meet() -> None:
    stream = Stream({"act": 8})
    stream.add(_load(), [], [Rows("act", 0, 4)])
    stream.add(_pool(), [Rows("act", 4, 2)], [Rows("act", 6, 2)])
    assert all(made.wait == made.post == 0 for made in stream.instructions)


def test_what_is_ordered_already_takes_no_second_token() -> None:
    stream = Stream({"act": 8})
    stream.add(_load(), [], [Rows("act", 0, 1)])
    stream.add(_load(), [], [Rows("act", 1, 1)])
    stream.add(_pool(), [Rows("act", 1, 1)], [Rows("act", 4, 1)])
    stream.add(_pool(), [Rows("act", 0, 1)], [Rows("act", 5, 1)])
    assert [made.wait for made in stream.instructions] == [0, 0, Unit.LOAD, 0]


def test_a_register_is_set_once_for_equal_values() -> None:
    stream = Stream({"act": 8})
    shape = {"dram_pixel": 16, "dram_row": 0, "dram_block": 0, "act_row": 1, "act_block": 1}
    stream.set(isa.LoadShape, **shape)
    stream.set(isa.LoadShape, **shape)
    stream.set(isa.StoreShape, **shape)
    assert [made.mnemonic for made in stream.instructions] == ["loadshape", "storeshape"]


def test_ring_finds_what_is_still_there_and_forgets_what_was_overwritten() -> None:
    ring = Ring(10)
    assert ring.reserve([("a", 4)]) == [(0, True)]
    assert ring.reserve([("b", 4)]) == [(4, True)]
    assert ring.reserve([("a", 4)]) == [(0, False)]
    assert ring.reserve([("c", 4)]) == [(0, True)]
    assert ring.reserve([("a", 4)]) == [(4, True)]


def test_ring_steps_over_what_is_pinned_and_says_when_nothing_fits() -> None:
    ring = Ring(10)
    ring.pin("kept", 4)
    assert ring.reserve([("a", 6)]) == [(4, True)]
    assert ring.reserve([("b", 6)]) == [(4, True)]
    assert ring.reserve([("c", 7)]) is None
    ring.unpin("kept")
    assert ring.reserve([("c", 7)]) == [(0, True)]


def test_needs_of_one_step_do_not_evict_each_other() -> None:
    ring = Ring(10)
    ring.reserve([("a", 6)])
    places = ring.reserve([("a", 6), ("b", 4)])
    assert places == [(0, False), (6, True)]
