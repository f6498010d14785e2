"""Reconstruction keeps zeros and shapes, brings every layer closer to its target, and says so."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tests.relay_passes.float_nets import RelaxNet, residual_net
from zeroskip.relay_passes.attrs import PRUNED_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.metrics import snr_db
from zeroskip.relay_passes.pruning.activations.interpreter import Interpreter, Operators
from zeroskip.relay_passes.pruning.base.layers import bias_of, prunable_layers, with_weights
from zeroskip.relay_passes.pruning.reconstruction import layer_fit
from zeroskip.relay_passes.pruning.reconstruction.reconstruct import Reconstruct, jobs_of
from zeroskip.relay_passes.pruning.schemes.recipe import parse_recipe
from zeroskip.relay_passes.relax.rewriting import bindings, make_const, op_name

OPERATORS = Operators()
SCHEMES = [
    "unstructured:sparsity={}",
    "shape:ratio={}",
    "block:block=4x4,ratio={}",
    "kernel_group:group=4x4,ratio={}",
    "pattern:pointwise={0},connectivity={0},skip=yes",
    "unstructured:sparsity={},criterion=saliency",
    "filters:ratio={}",
    "channels:ratio={}",
    "lowrank:ratio={},form=channel,kernel=3x3,skip=yes",
]


def pruned_by(recipe: str, mod: tvm.IRModule, samples: dict[str, Any] | None) -> tvm.IRModule:
    return tvm.transform.Sequential(parse_recipe(recipe, samples))(mod)


def snr(dense: tvm.IRModule, mod: tvm.IRModule, samples: dict[str, Any]) -> float:
    outputs = (Interpreter(each, samples, OPERATORS).run() for each in (dense, mod))
    return snr_db(*outputs)


def errors(mod: tvm.IRModule) -> dict[str, tuple[float, float]]:
    """Of each layer that was fitted, the error before and after."""
    found = {}
    for node, note in mod["main"].attrs[PRUNED_ATTR].items():
        if "error " in note:
            before, after = note.split("error ")[1].split(",")[0].split(" -> ")
            found[str(node)] = float(before), float(after)
    return found


def head(seed: int = 0, images: int = 12) -> tuple[tvm.IRModule, dict[str, Any]]:
    """Convolutions of every kind, an addition, a pool and a classifier whose logits come out."""
    net = RelaxNet(1, 4, 10, 10, seed=seed)
    x = net.relu("r0", net.conv("c0", net.x, 8))
    y = net.op("r1", relax.op.clip(net.conv("dw", x, 8, groups=8), 0, 1.5))
    x = net.op("sum", relax.op.add(net.conv("c1", y, 8, bias=False), x))
    x = net.relu("r2", net.conv("g", x, 12, kernel=1, groups=2))
    x = net.op("mean", relax.op.mean(net.conv("c2", x, 8), axis=[2, 3]))
    return net.finish(net.dense("fc", x, 6)), net.samples(images)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=3)
@given(strength=st.sampled_from([0.25, 0.5, 0.75]), seed=st.integers(0, 3))
def test_zeros_and_shapes_stay_and_every_layer_comes_closer(
    scheme: str, strength: float, seed: int
) -> None:
    dense, samples = head(seed)
    pruned = pruned_by(scheme.format(strength), dense, samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        made = Reconstruct(dense, samples)(pruned)
    before, after = (
        {layer.node: layer.weight for layer in prunable_layers(mod["main"])}
        for mod in (pruned, made)
    )
    assert before.keys() == after.keys()
    for node, weight in before.items():
        assert weight.shape == after[node].shape
        assert not after[node][weight == 0].any(), node
    notes = errors(made)
    assert notes, "something was pruned"
    assert all(fitted <= start for start, fitted in notes.values())
    assert snr(dense, made, samples) > snr(dense, pruned, samples)


def test_of_a_single_layer_the_fit_is_the_best_there_is() -> None:
    """No weights on the same support and no bias come closer, but for the damping."""
    net = RelaxNet(1, 5, 6, 6)
    dense = net.finish(net.conv("only", net.x, 4))
    samples = net.samples(20)
    pruned = pruned_by("unstructured:sparsity=0.6", dense, samples)
    made = Reconstruct(dense, samples)(pruned)
    func = made["main"]
    [layer] = prunable_layers(func)
    walk = Interpreter(dense, samples, OPERATORS)
    wanted = walk.run()[0].reshape(20, 4, 36)
    pixels = np.pad(samples["input"], ((0, 0), (0, 0), (1, 1), (1, 1)))
    columns = np.stack(
        [
            pixels[:, :, row : row + 6, col : col + 6].reshape(20, 5, 36)
            for row in range(3)
            for col in range(3)
        ],
        axis=2,
    ).reshape(20, 45, 36)
    x = columns.transpose(1, 0, 2).reshape(45, -1)
    for k in range(4):
        held = np.flatnonzero(layer.weight[k].reshape(-1))
        best = np.linalg.lstsq(
            np.vstack([x[held], np.ones(x.shape[1])]).T, wanted[:, k].reshape(-1)
        )
        error = np.square(
            Interpreter(made, samples, OPERATORS).run()[0].reshape(20, 4, 36)[:, k] - wanted[:, k]
        ).sum()
        assert error <= best[1][0] * 1.01


def test_what_was_not_pruned_stays_as_it_is() -> None:
    dense, samples = head()
    assert not jobs_of(dense["main"], dense["main"])
    made = Reconstruct(dense, samples)(dense)
    assert all(
        np.array_equal(one.weight, other.weight)
        for one, other in zip(
            prunable_layers(dense["main"]), prunable_layers(made["main"]), strict=True
        )
    )
    pruned = pruned_by("unstructured:sparsity=0.5,layers=/c2", dense, samples)
    assert {
        layer.node
        for layer in prunable_layers(pruned["main"])
        if layer.var in jobs_of(pruned["main"], dense["main"])
    } == {"/c2", "/fc"}


def test_statistics_restore_mean_and_variance() -> None:
    dense, samples = head()
    pruned = pruned_by("unstructured:sparsity=0.7", dense, samples)
    made = Reconstruct(dense, samples, "statistics")(pruned)
    assert snr(dense, made, samples) > snr(dense, pruned, samples)
    walks = [Interpreter(mod, samples, OPERATORS) for mod in (dense, made)]
    seen: list[dict[str, np.ndarray]] = [{}, {}]
    for walk, found in zip(walks, seen, strict=True):
        while walk.next is not None:
            name = walk.step()
            value = walk.values[name]
            if isinstance(value, np.ndarray):
                found[name] = value
    checked = 0
    for layer in prunable_layers(made["main"]):
        bias = bias_of(made["main"], layer.var)
        if bias is None:
            continue  # an addition is behind it
        one, other = (found[bias.var].reshape(12, len(layer.weight), -1) for found in seen)
        varies = layer.weight.reshape(len(layer.weight), -1).any(axis=1)
        for statistic, rows in ((np.mean, slice(None)), (np.std, varies)):
            np.testing.assert_allclose(
                statistic(one, axis=(0, 2))[rows],
                statistic(other, axis=(0, 2))[rows],
                rtol=1e-3,
                atol=1e-4,
            )
        checked += 1
    assert checked == 6


def test_a_normalisation_takes_up_the_shift_and_a_layer_without_bias_gets_one() -> None:
    net = RelaxNet(1, 6, 8, 8)
    x = net.conv("conv", net.x, 8, bias=False)
    ones, mean, var = (net.const(net.rng.uniform(0.5, 1.5, 8)) for _ in range(3))
    norm = net.op("norm", relax.op.nn.batch_norm(x, ones, mean, mean, var, axis=1, training=False))
    x = net.relu("relu", net.op("normed", relax.TupleGetItem(norm, 0)))
    dense, samples = net.finish(net.conv("bare", x, 5, bias=False)), net.samples(16)
    pruned = pruned_by("unstructured:sparsity=0.6", dense, samples)
    for method in ("weights", "statistics"):
        made = Reconstruct(dense, samples, method)(pruned)
        func = made["main"]
        assert [op_name(each.value) for each in bindings(func)] == [
            "relax.nn.conv2d",
            "relax.nn.batch_norm",
            None,
            "relax.nn.relu",
            "relax.nn.conv2d",
            "relax.add",
        ]
        conv, bare = (bias_of(func, layer.var) for layer in prunable_layers(func))
        assert conv is not None
        assert conv.at == 3
        assert bare is not None
        assert bare.value.shape == (5, 1, 1)
        assert snr(dense, made, samples) > snr(dense, pruned, samples)


def test_a_bound_behind_a_layer_need_not_be_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the results are cut off: targets that give way there bring the rest closer."""
    net = RelaxNet(1, 6, 8, 8, seed=3)
    dense, samples = net.finish(net.relu("relu", net.conv("conv", net.x, 8))), net.samples(40)
    pruned = pruned_by("unstructured:sparsity=0.7", dense, samples)
    eased = Reconstruct(dense, samples)(pruned)
    monkeypatch.setattr(layer_fit, "REFINEMENTS", 0)
    plain = Reconstruct(dense, samples)(pruned)
    gained = snr(dense, eased, samples) - snr(dense, plain, samples)
    assert gained > 0.1


def test_few_columns_are_said_and_not_crashed_on() -> None:
    dense, samples = head(images=1)
    pruned = pruned_by("unstructured:sparsity=0.1", dense, samples)
    with pytest.warns(
        RuntimeWarning,
        match=r"fewer columns than a filter has weights in 2 layers "
        r"\('/c2', '/fc'\)",
    ):
        made = Reconstruct(dense, samples)(pruned)
    note = str(made["main"].attrs[PRUNED_ATTR]["/fc"])
    assert note.endswith("1 columns for 8 unknowns: damped")
    assert all(np.isfinite(layer.weight).all() for layer in prunable_layers(made["main"]))


def test_progress_names_every_layer() -> None:
    dense, samples = head()
    told: list[tuple[str, int, int]] = []
    Reconstruct(dense, samples, progress=lambda *step: told.append(step))(
        pruned_by("unstructured:sparsity=0.5", dense, samples)
    )
    assert [node for node, _, _ in told] == ["/c0", "/dw", "/c1", "/g", "/c2", "/fc", ""]
    assert [(done, total) for _, done, total in told] == [(at, 6) for at in range(7)]


def test_what_is_refused() -> None:
    dense, samples = head()
    with pytest.raises(PassError, match="'labels' is not known; use weights or statistics"):
        Reconstruct(dense, samples, "labels")
    pruned = pruned_by("filters:ratio=0.5", dense, samples)
    with pytest.raises(PassError, match="'/c2' has 8 filters and the dense one 4"):
        Reconstruct(pruned, samples)(dense)
    with pytest.raises(PassError, match="hold 0 samples"):
        Reconstruct(dense, {"input": samples["input"][:0]})(pruned)
    with pytest.raises(PassError, match="criterion=saliency looks at sample inputs"):
        pruned_by("unstructured:criterion=saliency", dense, None)
    huge = {
        layer.var: np.full_like(layer.weight, np.inf)
        for layer in prunable_layers(dense["main"])[:1]
    }
    broken = tvm.IRModule({"main": with_weights(dense["main"], huge, {})})
    with pytest.raises(PassError, match="'/c0' reads or gives NaN or infinity"):
        Reconstruct(broken, samples)(pruned_by("unstructured", broken, samples))


def test_saliency_looks_at_what_a_weight_multiplies() -> None:
    """Of two equal weights the one goes whose input varies less."""
    net = RelaxNet(1, 2, 1, 1)
    x = net.op("scaled", relax.op.multiply(net.x, net.const([[[[3.0]], [[1.0]]]])))
    conv = relax.op.nn.conv2d(x, make_const(np.ones((1, 2, 1, 1), np.float32)))
    mod, samples = net.finish(net.op("conv", conv)), net.samples(50)
    made = pruned_by("unstructured:sparsity=0.5,criterion=saliency", mod, samples)
    [layer] = prunable_layers(made["main"])
    assert layer.weight.reshape(-1).tolist() == [1, 0]


def test_the_residual_network() -> None:
    dense, samples = residual_net()
    samples = {"input": np.concatenate([samples["input"]] * 3)}
    pruned = pruned_by("unstructured:sparsity=0.6", dense, samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        made = Reconstruct(dense, samples)(pruned)
    assert snr(dense, made, samples) > snr(dense, pruned, samples) + 3
