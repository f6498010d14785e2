"""Tokens: every conflict between units is ordered, with no more waits than needed."""

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.instructions import Unit
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.compiler.codegen.rows import Rows
from zeroskip.compiler.codegen.token_insertion import InstructionStream


def _load() -> isa.Load:
    return isa.Load(act=0, dram=0, width=1, height=1, blocks=1, bytes=16, lane=0)


def _pool() -> isa.MaxPool:
    return isa.MaxPool(channels=16)


def test_a_read_waits_for_the_write_of_another_unit() -> None:
    stream = InstructionStream({"act": 8})
    stream.add(_load(), [], [Rows("act", AddressSet(0, 4))])
    stream.add(_pool(), [Rows("act", AddressSet(0, 4))], [Rows("act", AddressSet(4, 4))])
    load, pool = stream.instructions
    assert load.post == Unit.COMPUTE
    assert pool.wait == Unit.LOAD


def test_an_overwrite_waits_for_the_last_reader() -> None:
    stream = InstructionStream({"act": 8})
    stream.add(_load(), [], [Rows("act", AddressSet(0, 4))])
    stream.add(_pool(), [Rows("act", AddressSet(0, 4))], [Rows("act", AddressSet(4, 4))])
    stream.add(_load(), [], [Rows("act", AddressSet(2, 2))])
    assert stream.instructions[2].wait == Unit.COMPUTE
    assert stream.instructions[1].post == Unit.LOAD


def test_no_token_where_rows_do_not_meet() -> None:
    stream = InstructionStream({"act": 8})
    stream.add(_load(), [], [Rows("act", AddressSet(0, 4))])
    stream.add(_pool(), [Rows("act", AddressSet(4, 2))], [Rows("act", AddressSet(6, 2))])
    assert all(made.wait == made.post == 0 for made in stream.instructions)


def test_what_is_ordered_already_takes_no_second_token() -> None:
    stream = InstructionStream({"act": 8})
    stream.add(_load(), [], [Rows("act", AddressSet(0, 1))])
    stream.add(_load(), [], [Rows("act", AddressSet(1, 1))])
    stream.add(_pool(), [Rows("act", AddressSet(1, 1))], [Rows("act", AddressSet(4, 1))])
    stream.add(_pool(), [Rows("act", AddressSet(0, 1))], [Rows("act", AddressSet(5, 1))])
    assert [made.wait for made in stream.instructions] == [0, 0, Unit.LOAD, 0]


def test_a_register_is_set_once_for_equal_values() -> None:
    stream = InstructionStream({"act": 8})
    shape = {"dram_pixel": 16, "dram_row": 0, "dram_block": 0, "act_row": 1, "act_block": 1}
    stream.set(isa.LoadShape, **shape)
    stream.set(isa.LoadShape, **shape)
    stream.set(isa.StoreShape, **shape)
    assert [made.mnemonic for made in stream.instructions] == ["loadshape", "storeshape"]
