"""Every operation of the accelerator has its row in every table, and answers for itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.compiler.networks import GraphBuilder
from zeroskip.compiler.codegen.channelwise import INSTRUCTIONS
from zeroskip.compiler.codegen.group import EMITTERS
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.ops import AddRequant, Clip, Op, Residual
from zeroskip.compiler.ir.views import ChannelSlice, Value, whole
from zeroskip.compiler.ir.window import Window
from zeroskip.compiler.lowering.lower import LOWERINGS, lower
from zeroskip.compiler.scheduling.conv_search import ConvSearch
from zeroskip.compiler.scheduling.fusion import SEARCHES
from zeroskip.relay_passes.integer import layers
from zeroskip.relay_passes.integer.layers import DType, QTensor

# lowered with what is around them
STRUCTURE = {layers.DenseLayer, layers.ConcatLayer, layers.ReshapeLayer, layers.GatherLayer}
X, Y, R = (Value(name, 16, (4, 4), "int8", 0) for name in "xyr")
SUM = AddRequant(1, 2, 3, Clip(-7, 7))


def kinds(cls: type[Op]) -> set[type[Op]]:
    """The operations that are made, of this class or below it."""
    below = {kind for sub in cls.__subclasses__() for kind in kinds(sub)}
    return below if cls in (ops.Op, ops.Windowed) else below | {cls}


def test_every_operation_has_its_rows() -> None:
    assert kinds(Op) == set(ops.KINDS) == set(SEARCHES) == set(EMITTERS)
    on_array = {kind for kind, search in SEARCHES.items() if search is ConvSearch}
    moves = {kind for kind in ops.KINDS if kind.moves_only}
    assert set(INSTRUCTIONS) == set(ops.KINDS) - on_array - moves


def test_every_layer_is_lowered() -> None:
    assert set(LOWERINGS) | STRUCTURE == set(layers.KINDS)
    assert not set(LOWERINGS) & STRUCTURE


def conv(cls: type[ops.ConvOp]) -> ops.ConvOp:
    weight = np.zeros((16, 1 if cls is ops.DepthwiseOp else 16, 3, 3), np.int8)
    weight[2, 0, 1, 2] = 5
    none = np.zeros(16, np.int32)
    return cls("n", whole(X), whole(Y), Window((3, 3)), weight, none, none, none, Clip(-1, 1))


@pytest.mark.parametrize("cls", [ops.ConvOp, ops.DepthwiseOp])
def test_an_addition_that_is_fused_is_read_scaled_and_renamed(cls: type[ops.ConvOp]) -> None:
    op = conv(cls)
    assert (op.reads, op.operand, op.scaling) == ((whole(X),), None, None)
    fused = replace(op, residual=Residual("a", whole(R), SUM, Y, Clip(-1, 1)))
    assert (fused.reads, fused.scaling) == ((whole(X), whole(R)), SUM)
    moved = fused.with_views(lambda view: ChannelSlice(view.value, 16, view.channels))
    assert [view.offset for view in (*moved.reads, moved.y)] == [16, 16, 16]
    assert moved.residual is not None
    assert moved.residual.sum == SUM


def test_an_addition_reads_two_views() -> None:
    op = ops.AddOp("n", whole(X), whole(Y), whole(R), SUM)
    assert (op.reads, op.scaling, op.clip) == ((whole(X), whole(R)), SUM, SUM.clip)
    moved = op.with_views(lambda view: ChannelSlice(view.value, 16, view.channels))
    assert [view.offset for view in (*moved.reads, moved.y)] == [16, 16, 16]


def lowered(*outputs: str, b: GraphBuilder) -> list[Op]:
    return list(lower(b.graph(*outputs)).ops)


def test_a_table_joins_what_makes_its_argument() -> None:
    """And takes part in an addition's fusion; the values on the way have their names, in order."""
    b = GraphBuilder(np.random.default_rng(0))
    x = b.input(16, 4, 4)
    y = b.conv(x, 16, (1, 1))
    z = b.sum(y, x)
    made = b.lookup(z)
    (op,) = lowered(made, b=b)
    assert isinstance(op, ops.ConvOp)
    assert [value.name for value in op.before] == [y, z]
    assert (op.y.value.name, op.made_of.name) == (made, z)
    assert op.table is not None
    layer = b.nodes[-1].layer
    assert isinstance(layer, layers.LookupLayer)
    assert np.array_equal(op.table.table, layer.by_byte)


def test_a_table_before_an_addition_stays_in_one_operation() -> None:
    """Unless the sum has a table too: there is one for a result."""
    b = GraphBuilder(np.random.default_rng(0))
    x = b.input(16, 4, 4)
    y = b.conv(x, 16, (1, 1))
    made = b.lookup(y)
    z = b.sum(x, made)
    (op,) = lowered(z, b=b)
    assert [value.name for value in op.before] == [y, made]
    assert op.table is None
    assert op.residual is not None
    assert op.any_table is op.residual.table is not None
    assert (op.residual.own.name, op.y.value.name) == (y, z)
    both = lowered(b.lookup(z), b=b)
    assert [type(op) for op in both] == [ops.ConvOp, ops.AddOp]
    assert all(op.table is not None for op in both)


def test_a_table_of_what_is_read_elsewhere_is_an_operation() -> None:
    b = GraphBuilder(np.random.default_rng(0))
    x = b.conv(b.input(16, 4, 4), 16, (1, 1))
    y = b.lookup(x)
    assert [type(op) for op in lowered(y, x, b=b)] == [ops.ConvOp, ops.LookupOp]
    z = b.lookup(y)  # one table for a result
    assert [type(op) for op in lowered(z, b=b)] == [ops.ConvOp, ops.LookupOp]


def test_a_table_joins_all_parts_of_a_grouped_convolution() -> None:
    b = GraphBuilder(np.random.default_rng(0))
    y = b.lookup(b.conv(b.input(64, 4, 4), 64, (3, 3), pad=(1, 1, 1, 1), groups=2))
    made = lowered(y, b=b)
    assert len(made) > 1
    assert {op.y.value.name for op in made} == {y}
    assert len({op.y.offset for op in made}) == len(made)
    assert all(op.table is not None for op in made)


@given(
    arrays(np.uint8, 256), st.sampled_from(["int8", "uint8"]), st.sampled_from(["int8", "uint8"])
)
def test_a_table_by_byte_has_the_values_of_that_by_number(
    raw: np.ndarray, x: DType, y: DType
) -> None:
    a, b = QTensor((1, 1, 16, 16), x, 0), QTensor((1, 1, 16, 16), y, 0)
    layer = layers.LookupLayer(x=a, y=b, table=raw.view(y))
    low, high = layers.BOUNDS[x]
    numbers = np.arange(low, high + 1).astype(x)
    found = layer.by_byte[numbers.view(np.uint8)].view(y)
    assert np.array_equal(found, layer.table[numbers.astype(int) - low])


@pytest.mark.parametrize(
    ("channels", "size"), [(16, (4, 4)), (16, (1, 1)), (1, (4, 4)), (1, (1, 1))]
)
def test_a_product_reads_a_factor_that_channels_or_pixels_share(
    channels: int, size: tuple[int, int]
) -> None:
    factor = whole(Value("s", channels, size, "int8", 0))
    op = ops.MultiplyOp("n", whole(X), whole(Y), factor, SUM)
    assert (op.reads, op.scaling, op.clip) == ((whole(X), factor), SUM, SUM.clip)
    assert (op.operand_of_channels, op.operand_of_pixels) == (size == (1, 1), channels == 1)
    moved = op.with_views(lambda view: ChannelSlice(view.value, 16, view.channels))
    assert [view.offset for view in (*moved.reads, moved.y)] == [16, 16, 16]


def test_weights_are_where_they_are_not_zero() -> None:
    full, own = conv(ops.ConvOp), conv(ops.DepthwiseOp)
    for op, channel in ((full, 0), (own, 2)):
        assert op.tap_weights is not None
        assert np.argwhere(op.tap_weights).tolist() == [[1, 2]]
        assert op.weighed is not None
        assert np.argwhere(op.weighed).tolist() == [[channel, 1, 2]]
    assert (full.channel_weights, own.channel_weights) == (0, 9)


def test_moves_have_no_weights_and_a_change_of_shape_needs_room() -> None:
    copy, reshape = (cls("n", whole(X), whole(Y)) for cls in (ops.CopyOp, ops.ReshapeOp))
    assert copy.tap_weights is None
    assert copy.weighed is None
    assert (copy.by_rows, reshape.by_rows) == (True, False)
    assert (copy.scratch_elements, reshape.scratch_elements) == (0, 256)
