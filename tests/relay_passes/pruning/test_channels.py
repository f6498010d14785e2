"""Channel pruning against its definition: the dense network with the removed channels at zero."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import relax

from tests.compiled_once import by_tvm
from tests.relay_passes.float_nets import Array, RelaxNet
from zeroskip.relay_passes.attrs import PRUNED_ATTR
from zeroskip.relay_passes.pruning.base.layers import prunable_layers, with_weights
from zeroskip.relay_passes.pruning.schemes.channels import (
    ChannelOptions,
    FilterOptions,
    PruneChannels,
    PruneFilters,
    RemovalOptions,
    kept_channels,
    remove_channels,
)
from zeroskip.relay_passes.relax.rewriting import Env, make_const, rebuild, substitute


def _run(func: relax.Function, x: Array) -> Array:
    executable = by_tvm(tvm.IRModule({"main": func}))
    result: Array = relax.VirtualMachine(executable, tvm.cpu())["main"](
        tvm.runtime.tensor(x)
    ).numpy()
    return result


def _silenced(func: relax.Function, options: RemovalOptions) -> relax.Function:
    """The dense function with every removed channel of every tensor multiplied by zero."""
    kept, _notes = kept_channels(func, options)

    def visit(
        builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
    ) -> relax.Expr | None:
        mask = kept.get(str(binding.var.name))
        shape = getattr(binding.var.ty, "shape", None)
        if mask is None or shape is None or mask.all():
            return None
        value = builder.emit(substitute(binding.value, env))
        ones = make_const(mask.astype(np.float32).reshape(1, -1, *[1] * (len(shape) - 2)))
        return relax.op.multiply(value, ones)

    return rebuild(func, visit)


def check_exact(module: tvm.IRModule, options: RemovalOptions) -> relax.Function:
    """The pruned function, compared with the silenced one; its layers all have channels."""
    dense = module["main"]
    pruned = remove_channels(dense, options)
    assert all(min(layer.weight.shape) > 0 for layer in prunable_layers(pruned))
    shape = [int(size) for size in dense.params[0].ty.shape]
    x = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(
        _run(pruned, x), _run(_silenced(dense, options), x), rtol=1e-4, atol=1e-4
    )
    return pruned


def classify(net: RelaxNet, x: relax.Var, classes: int = 5) -> tvm.IRModule:
    channels = int(x.ty.shape[1])
    x = net.op("gap", relax.op.mean(x, axis=[2, 3], keepdims=True))
    return net.finish(net.dense("fc", net.op("flat", relax.op.reshape(x, (1, channels))), classes))


def notes(func: relax.Function) -> dict[str, str]:
    return {str(node): str(note) for node, note in func.attrs[PRUNED_ATTR].items()}


def _batch_norm(net: RelaxNet, name: str, x: relax.Var) -> relax.Var:
    parts = [net.const(net.rng.uniform(0.5, 1.5, int(x.ty.shape[1]))) for _ in range(4)]
    both = net.op(f"{name}_bn", relax.op.nn.batch_norm(x, *parts, axis=1))
    return net.op(name, relax.TupleGetItem(both, 0))


def random_net(seed: int) -> tvm.IRModule:
    """Six random steps, each on one or two of the 8x8 tensors so far, then a classifier."""
    net = RelaxNet(1, 3, 8, 8, seed=seed)
    rng = np.random.default_rng(seed)
    so_far = [net.relu("r", net.conv("stem", net.x, 8))]
    for step in range(6):
        x, other = (so_far[rng.integers(len(so_far))] for _ in range(2))
        width, name = int(x.ty.shape[1]), f"s{step}"
        kind = rng.choice(
            ["conv", "point", "depthwise", "norm", "sigmoid", "add", "concat", "gate", "pool"]
        )
        if kind == "conv":
            x = net.relu(name, net.conv(f"{name}c", x, int(rng.integers(3, 12))))
        elif kind == "point":
            x = net.conv(name, x, int(rng.integers(3, 12)), kernel=1, bias=False)
        elif kind == "depthwise":
            x = net.conv(name, x, width, groups=width)
        elif kind == "norm":
            x = _batch_norm(net, name, x)
        elif kind == "sigmoid":
            x = net.op(name, relax.op.sigmoid(x))
        elif kind == "add":
            x = net.op(name, relax.op.add(x, net.conv(f"{name}c", other, width)))
        elif kind == "concat":
            x = net.op(name, relax.op.concat([x, other], axis=1))
        elif kind == "gate":
            mean = net.op(f"{name}m", relax.op.mean(other, axis=[2, 3], keepdims=True))
            x = net.op(name, relax.op.multiply(x, net.conv(f"{name}c", mean, width, kernel=1)))
        else:
            x = net.op(name, relax.op.nn.max_pool2d(x, (3, 3), (1, 1), (1, 1)))
        so_far.append(x)
    return classify(net, net.op("all", relax.op.concat(so_far[-3:], axis=1)))


@pytest.mark.parametrize(
    "seed", [pytest.param(0, marks=pytest.mark.slow), 1, 2, pytest.param(3, marks=pytest.mark.slow)]
)
def test_random_networks(seed: int) -> None:
    module = random_net(seed)
    scheme = FilterOptions if seed < 2 else ChannelOptions
    pruned = check_exact(
        module, scheme(0.5, "l2" if seed % 2 else "l1", scope="global" if seed % 3 else "set")
    )
    sizes = [
        sum(layer.weight.size for layer in prunable_layers(func))
        for func in (pruned, rebuild(module["main"], lambda *_: None))
    ]
    assert sizes[0] < sizes[1]


def test_gates_follow_what_they_multiply() -> None:
    """Squeeze and excitation: the gate and the tensor are one decision."""
    net = RelaxNet(1, 3, 8, 8)
    x = net.relu("r", net.conv("c0", net.x, 16))
    s = net.op("m", relax.op.mean(x, axis=[2, 3], keepdims=True))
    s = net.relu("sr", net.conv("s1", s, 4, kernel=1))
    s = net.op("sig", relax.op.sigmoid(net.conv("s2", s, 16, kernel=1)))
    pruned = check_exact(classify(net, net.op("mul", relax.op.multiply(x, s))), ChannelOptions())
    assert {layer.node: layer.weight.shape[:2] for layer in prunable_layers(pruned)} == {
        "/c0": (8, 3),
        "/s1": (2, 8),
        "/s2": (8, 2),
        "/fc": (5, 8),
    }


def test_every_layer_of_a_set_keeps_a_channel() -> None:
    """A set ranks all its channels together; the weakest layer still keeps its strongest."""
    net = RelaxNet(1, 3, 8, 8)
    x = net.relu("r", net.conv("c0", net.x, 8))
    joined = net.op("cat", relax.op.concat([net.conv("a", x, 4), net.conv("b", x, 12)], axis=1))
    y = net.conv("y", x, 16)
    module = classify(net, net.relu("r2", net.op("add", relax.op.add(joined, y))))
    layer = next(layer for layer in prunable_layers(module["main"]) if layer.node == "/y")
    weak = layer.weight.copy()
    weak[:4] *= 1e-6
    module = tvm.IRModule({"main": with_weights(module["main"], {layer.var: weak}, {})})
    pruned = check_exact(module, FilterOptions())
    found = notes(pruned)
    assert found["/a"] == "filters: 1 of 4 left"
    assert found["/b"] == "filters: 7 of 12 left"
    assert found["/y"] == "filters: 8 of 16 left"


def test_what_cannot_be_followed_is_named() -> None:
    net = RelaxNet(1, 3, 8, 8)
    x = net.relu("r", net.conv("c0", net.x, 8))
    x = net.conv("grouped", x, 8, groups=2)
    x = net.op("up", relax.op.image.resize2d(x, (16, 16), layout="NCHW"))
    found = notes(check_exact(classify(net, net.conv("c1", x, 8)), ChannelOptions()))
    assert found["/c0"] == "channels: all 8 stay: '/grouped' is a grouped convolution"
    assert found["/c1"] == "channels: 4 of 8 left"
    assert found["/fc"] == "channels: all 5 stay: the network's output"


def _prelu(net: RelaxNet, x: relax.Var) -> relax.Var:
    return net.op("odd", relax.op.nn.prelu(x, net.const(np.arange(8) / 10), axis=1))


def _concat_with_constant(net: RelaxNet, x: relax.Var) -> relax.Var:
    return net.op("odd", relax.op.concat([net.const(np.ones((1, 4, 8, 8))), x], axis=1))


def _added_dimension(net: RelaxNet, x: relax.Var) -> relax.Var:
    """[1, 8] plus a constant [1, 1, 8] has its channels last."""
    x = net.op("m", relax.op.mean(x, axis=[2, 3]))
    x = net.op("odd", relax.op.add(x, net.const(np.ones((1, 1, 8)))))
    return net.op("back", relax.op.reshape(x, (1, 8, 1, 1)))


def _mean_of_everything(net: RelaxNet, x: relax.Var) -> relax.Var:
    mean = net.op("odd", relax.op.mean(x))
    return net.op("sum", relax.op.add(net.conv("other", net.x, 8), mean))


@pytest.mark.parametrize(
    "odd", [_prelu, _concat_with_constant, _added_dimension, _mean_of_everything]
)
def test_what_cannot_be_followed_is_left_whole(
    odd: Callable[[RelaxNet, relax.Var], relax.Var],
) -> None:
    net = RelaxNet(1, 3, 8, 8)
    x = odd(net, net.relu("r", net.conv("c0", net.x, 8)))
    found = notes(check_exact(classify(net, net.conv("c1", x, 8)), ChannelOptions()))
    assert found["/c0"] == (
        "channels: all 8 stay: '/odd' is an operator that channels are not followed through"
    )
    assert found["/c1"] == "channels: 4 of 8 left"


@pytest.mark.parametrize("groups", [2, 8])
def test_groups_behind_what_is_not_followed_stay(groups: int) -> None:
    """Channels left unevenly in the groups would read the wrong ones."""
    net = RelaxNet(1, 3, 8, 8)
    x = net.relu("r", net.conv("c0", net.x, 8))
    x = net.op("up", relax.op.image.resize2d(x, (16, 16), layout="NCHW"))
    x = net.conv("g", x, 8, groups=groups)
    found = notes(check_exact(classify(net, net.conv("c1", x, 8)), ChannelOptions()))
    assert found["/g"] == "channels: all 8 stay: '/g' is a grouped convolution"


def _chain(first: Array, second: Array) -> tvm.IRModule:
    """1x1 convolutions with these weights, pooling, flattening, a classifier of ones."""
    net = RelaxNet(1, first.shape[1], 2, 2)
    x = net.x
    for name, weight in (("a", first), ("b", second)):
        x = net.relu(
            f"{name}r", net.op(name, relax.op.nn.conv2d(x, net.const(weight[:, :, None, None])))
        )
    flat = net.op("flat", relax.op.reshape(x, (1, 4 * len(second))))
    ones = np.repeat(np.arange(1, 1 + len(second)), 4)[:, None] * np.ones((1, 3))
    return net.finish(net.op("fc", relax.op.matmul(flat, net.const(ones))))


def test_filters_go_by_their_own_norm_and_channels_by_what_reads_them() -> None:
    first = np.array([[4, 0], [1, 1], [3, 0]])  # norms 4, 2, 3 (l1); 4, 1.4, 3 (l2)
    second = np.array([[1, 9, 0], [2, 0, 5]])  # reads the first's by 3, 9, 5 (l1)
    module = _chain(first, second)

    def left(options: RemovalOptions) -> dict[str, list[list[float]]]:
        func = check_exact(module, options)
        return {
            layer.node: [*map(list, layer.weight.reshape(layer.weight.shape[:2]))]
            for layer in prunable_layers(func)
            if layer.is_conv
        }

    assert left(FilterOptions(0.3, layers="/a"))["/a"] == [[4, 0], [3, 0]]
    assert left(ChannelOptions(0.3, layers="/a"))["/a"] == [[1, 1], [3, 0]]
    # Behind the flatten each channel is read at four places, the second twice as strongly.
    assert left(FilterOptions(0.5, layers="/b"))["/b"] == [[1, 9, 0]]
    assert left(ChannelOptions(0.5, layers="/b"))["/b"] == [[2, 0, 5]]
    assert left(FilterOptions(0.3, "l2"))["/a"] == [[4, 0], [3, 0]]


def test_globally_the_weakest_go_wherever_they_are() -> None:
    """Ranked by their worth relative to the set's mean, every layer keeps one."""
    first = np.diag([1, 1, 1, 1])
    second = np.array([[9, 9, 9, 9], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    func = check_exact(_chain(first, second), FilterOptions(0.5, scope="global"))
    found = notes(func)
    assert found["/a"] == "filters: 3 of 4 left"
    assert found["/b"] == "filters: 1 of 4 left"
    assert sum(layer.weight.shape[0] for layer in prunable_layers(func) if layer.is_conv) == 4


def test_no_ratio_removes_nothing_and_two_runs_agree() -> None:
    module = random_net(3)
    before = {layer.node: layer.weight for layer in prunable_layers(module["main"])}
    same = {
        layer.node: layer.weight for layer in prunable_layers(PruneChannels(0.0)(module)["main"])
    }
    assert same
    assert all(np.array_equal(before[node], weight) for node, weight in same.items())
    for scheme in (PruneChannels, PruneFilters):
        first, second = (scheme(0.5)(random_net(3))["main"] for _ in range(2))
        tvm.ir.assert_structural_equal(first, second)
