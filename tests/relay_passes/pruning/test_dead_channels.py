"""Channels that cannot matter go, and nothing else changes."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import tvm
from tvm import relax

from tests.relay_passes.float_nets import Array, RelaxNet
from tests.relay_passes.pruning.test_channels import classify, random_net
from zeroskip.relay_passes.attrs import PRUNED_ATTR
from zeroskip.relay_passes.frontend.from_relax import export_onnx
from zeroskip.relay_passes.pruning.base.layers import prunable_layers, with_weights
from zeroskip.relay_passes.pruning.schemes.channels import ChannelOptions, remove_channels
from zeroskip.relay_passes.pruning.schemes.dead_channels import RemoveDeadChannels


def run(module: tvm.IRModule, x: Array) -> Array:
    session = onnxruntime.InferenceSession(export_onnx(module).SerializeToString())
    result: Array = session.run(None, {session.get_inputs()[0].name: x})[0]
    return result


def shapes(module: tvm.IRModule) -> dict[str, tuple[int, ...]]:
    return {layer.node: layer.weight.shape[:2] for layer in prunable_layers(module["main"])}


def check_same(before: tvm.IRModule) -> tvm.IRModule:
    after = RemoveDeadChannels()(before)
    shape = [int(size) for size in before["main"].params[0].ty.shape]
    x = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(run(after, x), run(before, x), rtol=1e-4, atol=1e-5)
    return after


Part = slice | list[int]


def silence(module: tvm.IRModule, **parts: tuple[Part, Part]) -> tvm.IRModule:
    """Zero weights [filters, channels] of the layers of these names."""
    func, weights = module["main"], {}
    for layer in prunable_layers(func):
        name = layer.node.lstrip("/")
        if name in parts:
            weight = layer.weight.copy()
            weight[parts[name]] = 0
            weights[layer.var] = weight
    return tvm.IRModule({"main": with_weights(func, weights, {})})


ALL = slice(None)


def chain(*, bias: float | None = None, padding: int = 1) -> tvm.IRModule:
    """Three convolutions of 8 filters with ReLUs; ``bias``: of all filters of the first."""
    net = RelaxNet(1, 3, 8, 8)
    x = net.conv("c0", net.x, 8, bias=False)
    if bias is not None:
        x = net.op("biased", relax.op.add(x, net.const(np.full((1, 8, 1, 1), bias))))
    x = net.relu("r0", x)
    x = net.relu("r1", net.conv("c1", x, 8, bias=False, padding=padding))
    return classify(net, net.relu("r2", net.conv("c2", x, 8, bias=False)))


@pytest.mark.parametrize("bias", [None, -0.5, 0.0])
def test_filters_of_zeros_go(bias: float | None) -> None:
    after = check_same(silence(chain(bias=bias), c0=(slice(2, 5), ALL)))
    assert shapes(after) == {"/c0": (5, 3), "/c1": (8, 5), "/c2": (8, 8), "/fc": (5, 8)}
    assert dict(after["main"].attrs[PRUNED_ATTR]) == {"/c0": "dead channels removed: 5 of 8 left"}


def test_what_is_another_constant_stays() -> None:
    before = silence(chain(bias=0.5), c0=(slice(2, 5), ALL))
    assert shapes(check_same(before)) == shapes(before)


def test_constants_go_into_the_bias_of_a_layer_without_padding() -> None:
    after = check_same(silence(chain(bias=0.5, padding=0), c0=(slice(2, 5), ALL)))
    assert shapes(after)["/c0"] == (5, 3)
    assert str(after["main"].attrs[PRUNED_ATTR]["/c1"]).startswith(
        "3 constant channels went into its bias"
    )


def test_only_whole_blocks_go() -> None:
    before = silence(chain(), c0=(slice(2, 7), ALL))
    left = [shapes(RemoveDeadChannels(block)(before))["/c0"][0] for block in (1, 2, 4, 8)]
    assert left == [3, 4, 4, 8]


def test_channels_that_nothing_reads_go_and_what_made_only_them() -> None:
    """c2 reads nothing of c1's first six channels; what those alone read of c0 goes in turn."""
    before = silence(chain(bias=0.5), c2=(ALL, slice(0, 6)), c1=(slice(6, 8), slice(0, 4)))
    after = check_same(before)
    assert shapes(after) == {"/c0": (4, 3), "/c1": (2, 4), "/c2": (8, 2), "/fc": (5, 8)}
    note = str(after["main"].attrs[PRUNED_ATTR]["/c0"])
    assert note == "dead channels removed: 4 of 8 left"


def test_every_layer_keeps_a_channel() -> None:
    after = check_same(silence(chain(), c0=(ALL, ALL), c1=(ALL, ALL)))
    assert shapes(after) == {"/c0": (1, 3), "/c1": (1, 1), "/c2": (1, 1), "/fc": (5, 1)}


def test_added_tensors_lose_a_channel_together() -> None:
    def made(both: bool) -> tvm.IRModule:
        net = RelaxNet(1, 3, 8, 8)
        x = net.conv("a", net.x, 8, bias=False)
        x = net.op("add", relax.op.add(x, net.conv("b", net.x, 8, bias=False)))
        module = classify(net, net.relu("r", net.conv("c", x, 8, bias=False)))
        parts: dict[str, tuple[Part, Part]] = {"a": ([1, 2, 3], ALL)}
        return silence(module, **parts | ({"b": ([2, 3, 4], ALL)} if both else {}))

    assert shapes(check_same(made(both=False)))["/c"] == (8, 8)
    assert shapes(check_same(made(both=True))) == {
        "/a": (6, 3),
        "/b": (6, 3),
        "/c": (8, 6),
        "/fc": (5, 8),
    }


def test_outputs_and_what_is_not_followed_keep_theirs() -> None:
    net = RelaxNet(1, 3, 8, 8)
    x = net.relu("r0", net.conv("c0", net.x, 8, bias=False))
    x = net.op("up", relax.op.image.resize2d(x, (16, 16), layout="NCHW"))
    before = silence(
        net.finish(net.conv("c1", x, 8, bias=False)), c0=(slice(2, 5), ALL), c1=([1, 2], ALL)
    )
    assert shapes(check_same(before)) == shapes(before)


@pytest.mark.parametrize("columns", [8, 6])  # as many as there are channels, and not
def test_matmuls_over_the_last_axis_keep_what_they_read_and_make(columns: int) -> None:
    net = RelaxNet(1, 3, 8, columns)
    x = net.relu("r0", net.conv("c0", net.x, 8, bias=False))
    x = net.op("m0", relax.op.matmul(x, net.const(net.weight(8, columns).T)))
    x = net.op("turned", relax.op.permute_dims(x, [0, 1, 3, 2]))
    x = net.op("m1", relax.op.matmul(x, net.const(net.weight(8, 8).T)))
    before = silence(
        classify(net, net.conv("c1", x, 8)),
        c0=([1], ALL),
        m0=([2], ALL),
        m1=([3], ALL),
        c1=(ALL, [4]),
    )
    assert shapes(check_same(before)) == shapes(before)


def test_grouped_layers_keep_what_they_read_and_make() -> None:
    net = RelaxNet(1, 3, 8, 8)
    x = net.relu("r0", net.conv("c0", net.x, 8, bias=False))
    x = net.relu("r1", net.conv("g", x, 6, groups=2, bias=False))
    before = silence(classify(net, net.conv("c1", x, 8)), c0=([1], ALL), g=([1], ALL))
    assert shapes(check_same(before)) == shapes(before)


def test_gates_flattening_and_depthwise_layers() -> None:
    net = RelaxNet(1, 3, 8, 8)
    x = net.relu("r0", net.conv("c0", net.x, 8, bias=False))
    gate = net.op("mean", relax.op.mean(x, axis=[2, 3], keepdims=True))
    gate = net.op("sig", relax.op.sigmoid(net.conv("s", gate, 8, kernel=1)))
    x = net.op("mul", relax.op.multiply(x, gate))
    x = net.relu("r1", net.conv("dw", x, 8, groups=8, bias=False))
    x = net.op("flat", relax.op.reshape(x, (1, 512)))
    module = net.finish(net.dense("fc", x, 5))
    before = silence(module, c0=([1, 2], ALL), dw=([3], ALL))
    assert shapes(check_same(before))["/dw"] == (6, 1), "the gate reads channel 3 of c0"
    before = silence(module, c0=([1, 2], ALL), dw=([3], ALL), s=(ALL, [3]))
    assert shapes(check_same(before)) == {
        "/c0": (5, 3),
        "/s": (5, 5),
        "/dw": (5, 1),
        "/fc": (5, 320),
    }


def test_random_networks() -> None:
    smaller = 0
    for seed in range(6):
        module, rng = random_net(seed), np.random.default_rng(seed)
        func, weights = module["main"], {}
        for layer in prunable_layers(func):
            weight = layer.weight.copy()
            weight[rng.random(len(weight)) < 0.3] = 0
            weight[:, rng.random(weight.shape[1]) < 0.3] = 0
            weights[layer.var] = weight
        before = tvm.IRModule({"main": with_weights(func, weights, {})})
        after = check_same(before)
        smaller += shapes(after) != shapes(before)
        tvm.ir.assert_structural_equal(RemoveDeadChannels()(after), after)
    assert smaller >= 4


def test_nothing_dead_changes_nothing() -> None:
    module = random_net(1)
    assert RemoveDeadChannels()(module)["main"].same_as(module["main"])


def test_matmuls_of_sequences_are_left_whole() -> None:
    """[1, 7, 12] x [12, 5]: dimension 1 is not what the layer makes."""
    net = RelaxNet(1, 7, 12)
    x = net.op("soft", relax.op.nn.softmax(net.x, axis=-1))
    x = net.op("m", relax.op.matmul(x, net.const(net.weight(12, 5))))
    module = net.finish(net.op("out", relax.op.nn.softmax(x)))
    assert shapes(RemoveDeadChannels()(module)) == {"/m": (5, 12)}
    assert dict(remove_channels(module["main"], ChannelOptions(0.5)).attrs[PRUNED_ATTR]) == {}
