"""Low rank: the best factors there are, in the layer's place, at what they are said to cost."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tests.compiled_once import by_tvm
from tests.relay_passes.float_nets import Array, RelaxNet
from tests.relay_passes.pruning.test_channels import classify, notes
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.frontend.from_relax import export_onnx
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.schemes.factors import Geometry, axes_of, decompose
from zeroskip.relay_passes.pruning.schemes.low_rank import (
    DecomposeLowRank,
    LowRankOptions,
    Pair,
    choose_pair,
    with_pairs,
)
from zeroskip.relay_passes.pruning.schemes.recipe import parse_recipe
from zeroskip.relay_passes.relax.rewriting import bindings, node_of


def run(module: tvm.IRModule, x: Array) -> Array:
    """The exported module in onnxruntime."""
    session = onnxruntime.InferenceSession(export_onnx(module).SerializeToString())
    result: Array = session.run(None, {session.get_inputs()[0].name: x})[0]
    return result


def random_weight(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


def product(basis: Array, second: Array, axes: tuple[int, ...]) -> Array:
    """The weight [K, C, *kernel] that two factors stand for."""
    others = [axis for axis in range(basis.ndim - 2) if axis not in axes]
    assert all(basis.shape[axis + 2] == 1 for axis in others)
    assert all(second.shape[axis + 2] == 1 for axis in axes)
    result: Array = (second[:, :, None] * basis[None]).sum(axis=1)
    return result


SHAPES = st.integers(0, 3).flatmap(
    lambda rank: st.tuples(
        st.tuples(st.integers(1, 6), st.integers(1, 6), *[st.integers(1, 4)] * rank),
        st.integers(0, 1 << 32),
    )
)


# ---------------------------------------------------------------------------------- the factors


@settings(max_examples=100)
@given(SHAPES, st.data())
def test_what_a_rank_loses_is_the_singular_values_left_out(case: Any, data: st.DataObject) -> None:
    shape, seed = case
    weight = random_weight(np.random.default_rng(seed), *shape)
    axes = data.draw(st.sampled_from(axes_of(shape[2:], "auto")))
    spectrum = decompose(weight, axes)
    own = prod(shape[axis + 2] for axis in axes) * shape[1]
    order = [1, *(axis + 2 for axis in axes)]
    matrix = weight.transpose(*order, *sorted(set(range(weight.ndim)) - set(order)))
    values = np.linalg.svd(matrix.reshape(own, -1).astype(np.float64), compute_uv=False)
    count = len(spectrum.energies)
    np.testing.assert_allclose(spectrum.energies, np.square(values[:count]), atol=1e-9)
    rank = data.draw(st.integers(1, count))
    basis, second = spectrum.factors(rank)
    assert basis.shape[:2] == (rank, shape[1])
    assert second.shape[:2] == (shape[0], rank)
    lost = np.square(weight - product(basis, second, axes)).sum()
    assert lost == pytest.approx(np.square(values[rank:]).sum(), abs=1e-8)
    assert spectrum.kept(rank) == pytest.approx(1 - lost / np.square(weight).sum())
    np.testing.assert_allclose(
        np.linalg.norm(basis.reshape(rank, -1), axis=1),
        np.linalg.norm(second.swapaxes(0, 1).reshape(rank, -1), axis=1),
        atol=1e-6,
    )


@settings(max_examples=60)
@given(SHAPES, st.integers(1, 40), st.data())
def test_with_inputs_what_is_lost_is_the_outputs_energy(
    case: Any, count: int, data: st.DataObject
) -> None:
    """Also from fewer inputs than a patch has elements: nothing is inverted."""
    shape, seed = case
    rng = np.random.default_rng(seed)
    weight = random_weight(rng, *shape).astype(np.float64)
    axes = data.draw(st.sampled_from(axes_of(shape[2:], "auto")))
    seen = [size if axis in axes else 1 for axis, size in enumerate(shape[2:])]
    # Equal along the axes of the second factor, as if it saw the same everywhere.
    patches = np.broadcast_to(rng.standard_normal((count, shape[1], *seen)), (count, *shape[1:]))
    flat = patches.reshape(count, -1)
    spectrum = decompose(weight, axes, flat.T @ flat)
    rank = data.draw(st.integers(1, len(spectrum.energies)))
    error = (weight - product(*spectrum.factors(rank), axes))[None] * patches[:, None]
    # Summed over what the basis sees; what the second factor sums counts by itself.
    lost = np.square(error.sum(axis=(2, *(axis + 3 for axis in axes)))).sum()
    assert lost == pytest.approx(spectrum.energies[rank:].sum(), abs=1e-7)
    plain = (
        weight
        - product(
            *decompose(weight, axes).factors(min(rank, len(decompose(weight, axes).energies))), axes
        )
    )[None] * patches[:, None]
    assert lost <= np.square(plain.sum(axis=(2, *(axis + 3 for axis in axes)))).sum() + 1e-7


def test_the_least_rank_that_keeps_the_energy() -> None:
    weight = np.zeros((4, 4), np.float32)
    weight[range(4), range(4)] = np.sqrt([4, 3, 2, 1])
    spectrum = decompose(weight, ())
    assert [spectrum.rank(energy) for energy in (0, 0.39, 0.41, 0.7, 0.71, 0.99)] == [
        1,
        1,
        2,
        2,
        3,
        4,
    ]
    nothing = decompose(np.zeros((3, 2, 3, 3), np.float32), (0, 1))
    assert (nothing.rank(0.5), nothing.kept(1)) == (1, 1.0)


@pytest.mark.parametrize(
    ("kernel", "form", "axes"),
    [
        ((3, 3), "auto", [(0, 1), (0,), (1,)]),
        ((3, 3), "channel", [(0, 1)]),
        ((3, 3), "spatial", [(0,), (1,)]),
        ((1, 3), "auto", [(0, 1)]),
        ((1, 1), "spatial", []),
        ((), "auto", [()]),
        ((5,), "auto", [(0,)]),
        ((3, 1, 3), "spatial", [(0, 1), (1, 2)]),
        ((2, 2, 2), "spatial", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]),
    ],
)
def test_what_a_basis_may_take(
    kernel: tuple[int, ...], form: str, axes: list[tuple[int, ...]]
) -> None:
    assert axes_of(kernel, form) == axes


# ---------------------------------------------------------------------------- in the function


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[tvm.IRModule, tuple[int, ...]]:
    """A function of one convolution of any geometry, with a bias; what the basis may take."""
    rank = draw(st.integers(1, 3))
    sizes = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, strides, dilation = draw(sizes), draw(sizes), draw(sizes)
    begins, ends, extra = (draw(st.tuples(*[st.integers(0, 2)] * rank)) for _ in range(3))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    spatial = [max(1, r - b - e) + x for r, b, e, x in zip(reach, begins, ends, extra, strict=True)]
    filters, channels = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    net = RelaxNet(2, channels, *spatial, seed=draw(st.integers(0, 1 << 32)))
    conv = getattr(relax.op.nn, f"conv{rank}d")
    x = net.op(
        "c_conv",
        conv(
            net.x,
            net.const(net.weight(filters, channels, *kernel)),
            strides=list(strides),
            padding=[*begins, *ends],
            dilation=list(dilation),
        ),
        "/c",
    )
    bias = net.const(net.rng.standard_normal((1, filters, *[1] * rank)))
    module = net.finish(net.op("c", relax.op.add(x, bias)))
    return module, draw(st.sampled_from(axes_of(kernel, "auto")))


@settings(max_examples=80)
@given(convolutions())
def test_full_rank_gives_the_layers_own_result(case: tuple[tvm.IRModule, tuple[int, ...]]) -> None:
    """Stride, dilation and padding of each axis go with the factor that has its taps."""
    module, axes = case
    func = module["main"]
    [layer] = prunable_layers(func)
    spectrum = decompose(layer.weight, axes)
    pair = Pair(*spectrum.factors(len(spectrum.energies)), axes, 1.0, 1.0)
    split = tvm.IRModule({"main": with_pairs(func, {layer.var: pair})})
    assert [node_of(split["main"], each.var) for each in bindings(split["main"])][:3] == [
        "/c.basis",
        "/c",
        "/c",
    ]
    shape = [int(size) for size in func.params[0].ty.shape]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(run(split, x), run(module, x), rtol=1e-4, atol=1e-4)


@settings(max_examples=60)
@given(convolutions(), st.sampled_from([0.5, 0.8, 0.95]))
def test_a_layer_costs_what_its_note_says(
    case: tuple[tvm.IRModule, tuple[int, ...]], energy: float
) -> None:
    """The multiplies of the bindings, counted from their shapes."""
    module, _axes = case
    after = DecomposeLowRank(energy=energy, skip_first=False, layers="/c")(module)["main"]
    counts = [count_macs(func) for func in (module["main"], after)]
    note = notes(after)["/c"]
    if len(prunable_layers(after)) == 1:
        assert note == (
            f"lowrank: stays whole: no rank that keeps {energy:g} of the energy saves any"
        )
    else:
        assert counts[1] < counts[0]
        assert f"with {counts[1] / counts[0]:.3f} of the multiplies" in note
        assert float(note.split(", ")[1].split()[0]) >= energy - 5e-4


def count_macs(func: relax.Function) -> int:
    layers = {layer.var: layer for layer in prunable_layers(func)}
    return sum(
        prod(layers[str(each.var.name)].weight.shape)
        * prod(int(size) for size in list(each.var.ty.shape)[2:])
        for each in bindings(func)
        if str(each.var.name) in layers
    )


# ------------------------------------------------------------------------------- the options


def choose(weight: Array, **options: Any) -> Pair | None:
    geometry = Geometry(weight.shape, (16,) * (weight.ndim - 2), (16,) * (weight.ndim - 2))
    return choose_pair(weight, geometry, LowRankOptions(**options))


def test_a_ratio_leaves_out_so_many_multiplies_and_keeps_what_it_can() -> None:
    weight = random_weight(np.random.default_rng(0), 32, 16, 3, 3)
    for ratio in (0.2, 0.5, 0.9):
        pairs = [choose(weight, ratio=ratio, form=form) for form in ("channel", "spatial", "auto")]
        kept = [pair.kept for pair in pairs if pair is not None]
        assert len(kept) == 3
        assert kept[2] == max(kept)
        assert all(pair is not None and 1 - ratio - 0.1 < pair.share <= 1 - ratio for pair in pairs)
    assert choose(weight, ratio=0.0) is None
    least = choose(weight, ratio=0.999)
    assert least is not None
    assert len(least.basis) == 1


def test_energy_decides_the_rank_and_the_cheaper_form_is_taken() -> None:
    rng = np.random.default_rng(1)
    separable = np.einsum(
        "kra,rcb->kcba", rng.standard_normal((32, 4, 3)), rng.standard_normal((4, 16, 3))
    ).astype(np.float32)
    pair = choose(separable, energy=0.9999)
    assert pair is not None
    assert (pair.basis.shape, pair.second.shape) == ((4, 16, 3, 1), (32, 4, 1, 3))
    thin = np.einsum(
        "kr,rcab->kcab", rng.standard_normal((32, 4)), rng.standard_normal((4, 16, 3, 3))
    ).astype(np.float32)
    pair = choose(thin, energy=0.9999)
    assert pair is not None
    assert (pair.basis.shape, pair.second.shape) == ((4, 16, 3, 3), (32, 4, 1, 1))
    rounded = choose(thin, energy=0.9999, round_to=3)
    assert rounded is not None
    assert len(rounded.basis) == 6


def network() -> tvm.IRModule:
    net = RelaxNet(1, 3, 12, 12, seed=2)
    x = net.relu("r0", net.conv("c0", net.x, 16))
    x = net.relu("r1", net.conv("c1", x, 24, strides=2))
    x = net.relu("r2", net.conv("dw", x, 24, groups=24))
    return classify(net, net.relu("r3", net.conv("c2", x, 20, kernel=1)))


def weights_of(module: tvm.IRModule) -> dict[str, Array]:
    return {layer.node: layer.weight for layer in prunable_layers(module["main"])}


@pytest.mark.parametrize(
    ("options", "split"),
    [
        ({}, {"/c1"}),
        ({"skip_first": False}, {"/c0", "/c1"}),
        ({"kernel": (1, 1)}, {"/c2"}),
        ({"layers": "/c2"}, {"/c2"}),
        ({"layers": "/[cf]*"}, {"/c1", "/c2", "/fc"}),
    ],
)
def test_which_layers_are_decomposed(options: dict[str, Any], split: set[str]) -> None:
    """By themselves k x k kernels behind the first; all else where it is asked for."""
    before = weights_of(network())
    after = weights_of(DecomposeLowRank(energy=0.5, **options)(network()))
    assert set(after) - set(before) == {f"{name}.basis" for name in split}
    assert all(np.array_equal(after[name], before[name]) for name in set(before) - split)


def grouped() -> tvm.IRModule:
    net = RelaxNet(1, 4, 8, 8)
    return classify(net, net.conv("g", net.conv("c", net.x, 8), 8, groups=2))


@pytest.mark.parametrize(
    ("make", "options", "sentence"),
    [
        (network, {"layers": "/dw"}, "'/dw' is a depthwise convolution"),
        (grouped, {}, "'/g' is a convolution of 2 groups"),
        (network, {"form": "spatial", "layers": "/c2"}, "'/c2' has 1x1 kernels.*form=channel"),
        (network, {"form": "spatial", "layers": "/fc"}, "'/fc' has 1x1 kernels.*form=channel"),
        (network, {"layers": "c1"}, "names there are '/c1'"),
    ],
)
def test_a_layer_that_cannot_be_decomposed_is_refused_or_skipped(
    make: Any, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(PassError, match=sentence):
        DecomposeLowRank(energy=0.5, **options)(make())
    if "names there are" not in sentence:
        name = sentence.split("'")[1]
        after = weights_of(DecomposeLowRank(energy=0.5, skip=True, **options)(make()))
        assert np.array_equal(after[name], weights_of(make())[name])


def test_weights_that_are_not_finite_are_refused() -> None:
    net = RelaxNet(1, 2, 4, 4)
    weight = np.ones((3, 2, 3, 3), np.float32)
    weight[0, 0, 0, 0] = np.nan
    module = net.finish(net.op("c", relax.op.nn.conv2d(net.x, net.const(weight))))
    with pytest.raises(PassError, match="'/c' has weights that are NaN or infinite"):
        DecomposeLowRank(skip_first=False)(module)


def test_gram_matrices_by_node() -> None:
    module = network()
    patches = np.random.default_rng(3).standard_normal((100, 16 * 9)) ** 3
    module_with = DecomposeLowRank(
        ratio=0.5, form="channel", layers="/c1", grams={"/c1": patches.T @ patches}
    )(module)
    plain = DecomposeLowRank(ratio=0.5, form="channel", layers="/c1")(module)
    errors = []
    for each in (module_with, plain):
        after = weights_of(each)
        error = weights_of(module)["/c1"] - product(after["/c1.basis"], after["/c1"], (0, 1))
        errors.append(float(np.square(patches @ error.reshape(24, -1).T).sum()))
    assert errors[0] < 0.9 * errors[1]
    with pytest.raises(PassError, match=r"Gram matrix of '/c1' has shape .* 144 elements"):
        DecomposeLowRank(grams={"/c1": np.eye(9)})(module)


# ------------------------------------------------------------------- with other schemes, as ONNX


def test_twice_gives_names_of_their_own() -> None:
    after = DecomposeLowRank(energy=0.5, form="channel", layers="/c1")(network())
    after = DecomposeLowRank(energy=0.5, form="channel", layers="/c1*")(after)
    names = [layer.node for layer in prunable_layers(after["main"])]
    assert len(names) == len(set(names))
    assert {"/c1", "/c1.basis", "/c1.basis_1", "/c1.basis.basis"} <= set(names)


@pytest.mark.parametrize(
    "recipe",
    [
        "lowrank:energy=0.8",
        "lowrank:ratio=0.5,form=spatial,kernel=3x3",
        "lowrank:energy=0.8+channels:ratio=0.4",
        "lowrank:energy=0.7+filters:ratio=0.3,scope=global",
        "lowrank:energy=0.8+unstructured:sparsity=0.5",
    ],
)
def test_the_exported_onnx_computes_the_same(recipe: str) -> None:
    module = network()
    for each in parse_recipe(recipe):
        module = each(module)
    x = np.random.default_rng(4).standard_normal((1, 3, 12, 12)).astype(np.float32)
    executable = by_tvm(module)
    own = relax.VirtualMachine(executable, tvm.cpu())["main"](tvm.runtime.tensor(x)).numpy()
    np.testing.assert_allclose(run(module, x), own, rtol=1e-4, atol=1e-5)
    names = {node.name.split(".basis")[0] for node in export_onnx(module).graph.node}
    assert {"/c1", "/fc"} <= names


def test_channels_between_the_factors_are_free_to_go() -> None:
    """Also those behind a layer whose own results must stay."""
    module = DecomposeLowRank(energy=0.6, form="channel", layers="/[cf]*")(network())
    [pruning] = parse_recipe("channels:ratio=0.5")
    after = pruning(module)
    ranks = {layer.node: len(layer.weight) for layer in prunable_layers(module["main"])}
    left = {layer.node: layer for layer in prunable_layers(after["main"])}
    for name in ("/c1", "/fc"):
        assert len(left[f"{name}.basis"].weight) == round(ranks[f"{name}.basis"] / 2)
        assert left[name].weight.shape[1] == len(left[f"{name}.basis"].weight)
    assert notes(after["main"])["/fc"].endswith("channels: all 5 stay: the network's output")
