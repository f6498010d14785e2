"""The interpreter gives what the whole module compiled by TVM gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tests.relay_passes.float_nets import RelaxNet, residual_net
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.activations.im2col import Im2col
from zeroskip.relay_passes.pruning.activations.interpreter import Interpreter, Operators
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu

OPERATORS = Operators()  # compiled once for all of these tests


def assert_as_tvm(mod: tvm.IRModule, samples: dict[str, Any]) -> None:
    """Every output of every run, but for the order of sums."""
    walk = Interpreter(mod, samples, OPERATORS)
    made = walk.run()
    assert len(walk.values) <= len(made), "nothing is kept that is not an output"
    whole = compile_for_cpu(mod)
    batches = {str(param.name): int(param.ty.shape[0]) for param in mod["main"].params}
    for run in range(walk.runs):
        inputs = [samples[name][run * batch : (run + 1) * batch] for name, batch in batches.items()]
        for ours, theirs in zip(made, run_cpu(whole, "main", inputs), strict=True):
            assert ours[run].shape == theirs.shape
            np.testing.assert_allclose(ours[run], theirs, rtol=1e-4, atol=1e-4)


def test_a_network_of_everything_usual() -> None:
    mod, samples = residual_net()
    assert_as_tvm(mod, samples)


def test_several_outputs_tuples_and_normalisations() -> None:
    net = RelaxNet(2, 6, 9, 9)
    x = net.conv("conv", net.x, 8, bias=False)
    ones, mean, var = (net.const(net.rng.uniform(0.5, 1.5, 8)) for _ in range(3))
    norm = net.op("norm", relax.op.nn.batch_norm(x, ones, mean, mean, var, axis=1, training=False))
    x = net.op("normed", relax.TupleGetItem(norm, 0))
    parts = net.op("split", relax.op.split(x, 2, axis=1))
    left = net.op("left", relax.TupleGetItem(parts, 0))
    right = net.op("right", relax.op.sigmoid(net.op("r", relax.TupleGetItem(parts, 1))))
    mixed = net.op("mixed", relax.op.multiply(left, right))
    rows = net.op(
        "rows",
        relax.op.permute_dims(net.op("flat", relax.op.reshape(mixed, (2, 4, 81))), [0, 2, 1]),
    )
    mod = net.finish(
        net.op("matmul", relax.op.matmul(rows, net.const(net.weight(4, 5)))),
        net.op("table", relax.op.add(net.const(net.weight(4, 9, 9)), mixed)),
        mixed,
    )
    assert_as_tvm(mod, net.samples(3))


@settings(max_examples=12)
@given(rank=st.integers(1, 3), groups=st.sampled_from([1, 2, 6]), data=st.data())
def test_convolutions_of_every_geometry(rank: int, groups: int, data: st.DataObject) -> None:
    def sizes(low: int, high: int) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    kernel, strides, dilation, padding = sizes(1, 3), sizes(1, 3), sizes(1, 2), sizes(0, 2)
    behind, spatial = sizes(0, 2), [7] * rank
    net = RelaxNet(2, 6, *spatial)
    conv = getattr(relax.op.nn, f"conv{rank}d")
    mod = net.finish(
        net.op(
            "conv",
            conv(
                net.x,
                net.const(net.weight(12, 6 // groups, *kernel)),
                strides=strides,
                padding=[*padding, *behind],
                dilation=dilation,
                groups=groups,
            ),
        )
    )
    samples = net.samples(2)
    assert_as_tvm(mod, samples)
    call = mod["main"].body.blocks[0].bindings[0].value
    im2col, x = Im2col.of(call), samples["input"]
    weight = call.args[1].value.numpy()
    product = weight.reshape(groups, 12 // groups, -1) @ im2col.columns(x)
    np.testing.assert_allclose(product, im2col.rows(im2col.apply(weight, x)), rtol=1e-4, atol=1e-4)


def test_another_result_put_in_place_is_what_later_layers_read() -> None:
    net = RelaxNet(1, 4, 5, 5)
    mod = net.finish(net.relu("relu", net.conv("conv", net.x, 3, bias=False)))
    walk = Interpreter(mod, net.samples(2), OPERATORS)
    walk.put(np.full((2, 1, 3, 5, 5), -1.0, np.float32))
    walk.step()
    assert walk.next is None
    assert not walk.outputs()[0].any()


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        ({"input": np.zeros((0, 4, 5, 5), np.float32)}, "hold 0 samples"),
        ({"input": np.zeros((3, 4, 5), np.float32)}, r"are float32 of \[3, 4, 5\]"),
        ({"input": np.zeros((3, 4, 5, 5))}, "are float64"),
        ({"input": np.full((3, 4, 5, 5), np.nan, np.float32)}, "hold NaN or infinity"),
        ({"image": np.zeros((3, 4, 5, 5), np.float32)}, "'image', which is no input"),
        ({}, "lack input 'input'"),
    ],
)
def test_samples_that_do_not_fit(samples: dict[str, Any], sentence: str) -> None:
    net = RelaxNet(1, 4, 5, 5)
    mod = net.finish(net.conv("conv", net.x, 3))
    with pytest.raises(PassError, match=sentence):
        Interpreter(mod, samples)
