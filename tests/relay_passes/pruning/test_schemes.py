"""Pruning passes: exact zeros where they were asked for, and tensors that really shrink."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from tests.compiled_once import by_tvm
from zeroskip.relay_passes.attrs import PRUNED_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.pruning.base.layers import prunable_layers, with_weights
from zeroskip.relay_passes.pruning.base.options import declared
from zeroskip.relay_passes.pruning.schemes.channels import (
    ChannelOptions,
    PruneChannels,
    remove_channels,
)
from zeroskip.relay_passes.pruning.schemes.pattern import PrunePattern
from zeroskip.relay_passes.pruning.schemes.pattern_library import PCONV
from zeroskip.relay_passes.pruning.schemes.recipe import SCHEMES, describe_recipes, parse_recipe
from zeroskip.relay_passes.pruning.schemes.unstructured import PruneUnstructured
from zeroskip.relay_passes.relax.fold import fold_batch_norm
from zeroskip.relay_passes.relax.rewriting import bindings, const_value, node_of

SHAPE = (1, 3, 12, 12)


class ChannelNet:
    """A network with everything that a removed channel must be carried through."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}

    def const(self, name: str, values: np.ndarray) -> str:
        self.weights[name] = values.astype(np.float32)
        return name

    def node(self, op: str, name: str, *inputs: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def conv(
        self, name: str, x: str, filters: int, channels: int, kernel: int = 3, group: int = 1
    ) -> str:
        w = self.const(
            f"{name}.w",
            self.rng.standard_normal((filters, channels // group, kernel, kernel))
            / np.sqrt(channels * kernel),
        )
        b = self.const(f"{name}.b", self.rng.standard_normal(filters))
        return self.node("Conv", name, x, w, b, pads=[kernel // 2] * 4, group=group)

    def norm(self, name: str, x: str, channels: int) -> str:
        parts = [
            self.const(f"{name}.{key}", self.rng.uniform(0.5, 1.5, channels))
            for key in ("scale", "bias", "mean", "var")
        ]
        return self.node("BatchNormalization", name, x, *parts)

    def model(self, *, norm: bool = True) -> onnx.ModelProto:
        x = self.conv("c0", "x", 16, 3)
        x = self.node("Relu", "r0", self.norm("n0", x, 16) if norm else x)
        y = self.node("Relu", "r1", self.conv("c1", x, 24, 16))
        y = self.node("Relu", "r2", self.conv("dw", y, 24, 24, 3, 24))
        y = self.conv("c2", y, 16, 24, 1)
        s = self.node("Relu", "r3", self.node("Add", "add", y, x))
        a = self.node("Relu", "ra", self.conv("ca", s, 8, 16))
        b = self.node("Relu", "rb", self.conv("cb", s, 12, 16, 1))
        j = self.node("Concat", "cat", a, b, axis=1)
        p = self.node("MaxPool", "mp", j, kernel_shape=[2, 2], strides=[2, 2])
        f = self.node("Flatten", "flat", p)
        w1 = self.const("f1.w", self.rng.standard_normal((20 * 36, 30)) / 20)
        h = self.node(
            "Relu",
            "rf",
            self.node("Gemm", "f1", f, w1, self.const("f1.b", self.rng.standard_normal(30))),
        )
        w2 = self.const("f2.w", self.rng.standard_normal((30, 5)))
        self.node("Gemm", "f2", h, w2)
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
            [numpy_helper.from_array(v, k) for k, v in self.weights.items()],
        )
        return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def _module(*, folded: bool) -> tvm.IRModule:
    module = import_onnx(normalise_onnx(ChannelNet().model()))
    if folded:
        module["main"] = fold_batch_norm(module["main"])
    return module


def _run(func: relax.Function, x: np.ndarray) -> np.ndarray:
    module = tvm.IRModule({"main": func})
    vm = relax.VirtualMachine(by_tvm(module), tvm.cpu())
    result: np.ndarray = vm["main"](tvm.runtime.tensor(x)).numpy()
    return result


def _apply(pruning: object, module: tvm.IRModule) -> relax.Function:
    return tvm.transform.Sequential([pruning])(module)["main"]


@pytest.mark.parametrize("folded", [False, True])
def test_patterns_and_connectivity(folded: bool) -> None:
    func = _apply(
        PrunePattern(library="pconv", connectivity=0.5, pointwise=0.25), _module(folded=folded)
    )
    by_node = {layer.node: layer.weight for layer in prunable_layers(func)}
    assert np.count_nonzero(by_node["c0"]) == by_node["c0"].size, "the first layer stays"
    assert np.count_nonzero(by_node["dw"]) == by_node["dw"].size, "depthwise stays"
    for name in ("c1", "ca"):
        kernels = by_node[name].reshape(*by_node[name].shape[:2], 9) != 0
        present = kernels.any(axis=2)
        assert (present.sum(axis=1) == by_node[name].shape[1] // 2).all()
        assert all((kernel <= PCONV).all(axis=1).any() for kernel in kernels[present])
    assert ((by_node["c2"] != 0).sum(axis=(1, 2, 3)) == 18).all()
    assert "4 patterns, connectivity 0.5" in func.attrs[PRUNED_ATTR]["c1"]


def test_global_connectivity_keeps_the_total() -> None:
    func = _apply(PrunePattern(connectivity=0.5, balance="global"), _module(folded=True))
    layers = [
        layer
        for layer in prunable_layers(func)
        if layer.is_conv and not layer.is_depthwise and not layer.first
    ]
    present = [
        (w.reshape(*w.shape[:2], -1) != 0).any(axis=2) for w in (layer.weight for layer in layers)
    ]
    assert sum(p.sum() for p in present) == round(sum(p.size for p in present) * 0.5)


def test_global_connectivity_leaves_no_layer_without_a_kernel() -> None:
    """A layer whose kernels are all alike lies wholly under the threshold of a skewed one."""
    func = _module(folded=True)["main"]
    layers = {layer.node: layer for layer in prunable_layers(func)}
    skewed = layers["c1"].weight * 1e-3
    skewed[:4] *= 1e4
    alike = {layers["ca"].var: np.ones_like(layers["ca"].weight), layers["c1"].var: skewed}
    module = tvm.IRModule({"main": with_weights(func, alike, {})})
    after = {
        layer.node: layer.weight
        for layer in prunable_layers(
            _apply(PrunePattern(connectivity=0.9, balance="global"), module)
        )
    }
    assert np.count_nonzero(after["ca"]) == 4, "one kernel of four taps"


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_unstructured(scope: str) -> None:
    before = {p.node: p.weight for p in prunable_layers(_module(folded=True)["main"])}
    func = _apply(PruneUnstructured(sparsity=0.75, scope=scope), _module(folded=True))
    after = {p.node: p.weight for p in prunable_layers(func)}
    total = kept = 0
    for name, weight in after.items():
        changed = weight != before[name]
        assert (weight[changed] == 0).all()
        if name == "dw":
            assert not changed.any()
            continue
        total, kept = total + weight.size, kept + int(np.count_nonzero(weight))
        if scope == "layer":
            assert np.count_nonzero(weight) == weight.size - int(0.75 * weight.size)
    assert kept == pytest.approx(total * 0.25, abs=len(after))


@pytest.mark.parametrize("norm", [False, True])
def test_removed_channels_leave_the_same_network_as_zeroed_ones(norm: bool) -> None:
    """The shrunken network computes what the dense one does with those channels silenced."""
    net = ChannelNet()
    model = net.model(norm=norm)
    module = import_onnx(normalise_onnx(model))
    pruned = remove_channels(module["main"], ChannelOptions(0.5))
    shapes = {
        node_of(pruned, b.var): tuple(int(n) for n in b.var.ty.shape)
        for b in bindings(pruned)
        if hasattr(b.var.ty, "shape")
    }
    assert shapes["c1"][1] == shapes["dw"][1] == 12
    assert shapes["c0"][1] == shapes["c2"][1] == shapes["add"][1] == 8
    assert shapes["cat"][1] == 4 + 6
    assert shapes["flat"] == (1, 10 * 36)
    assert shapes["f2"] == (1, 5)
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    for name in ("c0", "c1", "c2", "ca", "cb", "f1", "dw"):
        _silence(net, name, pruned)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(net.weights[tensor.name], tensor.name))
    silenced = import_onnx(normalise_onnx(model))["main"]
    assert np.allclose(_run(pruned, x), _run(silenced, x), rtol=1e-4, atol=1e-4)


def _silence(net: ChannelNet, name: str, pruned: relax.Function) -> None:
    """Zero the channels of a layer whose filters the pruned network does not have."""
    weight, left = net.weights[f"{name}.w"], _weight_of(pruned, name)
    rows = weight.T if weight.ndim == 2 else weight
    kept_rows = left
    size = len(rows)
    kept = _kept_rows(net.weights[f"{name}.b"], _bias_of(pruned, name, len(kept_rows)), size)
    rows[~kept] = 0
    net.weights[f"{name}.b"][~kept] = 0
    if name == "c0" and "n0.bias" in net.weights:
        for key in ("bias", "mean"):
            net.weights[f"n0.{key}"][~kept] = 0


def _weight_of(func: relax.Function, node: str) -> np.ndarray:
    return next(layer.weight for layer in prunable_layers(func) if layer.node == node)


def _bias_of(func: relax.Function, node: str, size: int) -> np.ndarray:
    for binding in bindings(func):
        value = binding.value
        if node_of(func, binding.var) in (node, f"n{node[1:]}") and hasattr(value, "args"):
            for arg in value.args:
                array = const_value(arg)
                if array is not None and array.size == size and array.ndim != 2:
                    return array.reshape(-1)
                if array is not None and array.shape == (1, size):
                    return array.reshape(-1)
    raise AssertionError(f"no bias of {node}")


def _kept_rows(before: np.ndarray, after: np.ndarray, size: int) -> np.ndarray:
    """Which of the biases are still there (they are distinct random numbers)."""
    if np.isin(before, after).sum() == len(after):
        return np.isin(before, after)
    raise AssertionError(f"{len(after)} of {size} biases not found again")


def test_rounding_and_what_stays_whole() -> None:
    func = _apply(PruneChannels(0.4, round_to=8), _module(folded=True))
    notes = {str(k): str(v) for k, v in func.attrs[PRUNED_ATTR].items()}
    assert notes["c1"] == "channels: 16 of 24 left"
    assert "the network's output" in notes["f2"]
    func = _apply(PruneChannels(0.5, layers="c1"), _module(folded=True))
    notes = {str(k): str(v) for k, v in func.attrs[PRUNED_ATTR].items()}
    assert notes["c1"] == "channels: 12 of 24 left"
    assert "not among the layers" in notes["ca"]


@pytest.mark.parametrize(
    "text",
    [
        "pattern",
        "pattern:connectivity=0.5",
        "pattern:library=pconv,balance=layer,skip_first=no",
        "channels:ratio=0.5,round_to=16 + unstructured:sparsity=0.75,layers=fc*",
    ],
)
def test_recipes_that_are_right(text: str) -> None:
    assert len(parse_recipe(text)) == text.count("+") + 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("patern", "did you mean 'pattern'"),
        ("pattern:connectivity=1", "at least 0 and below 1"),
        ("pattern:connectivity=-0.1", "at least 0 and below 1"),
        ("pattern:connectivity=much", "must be a number"),
        ("pattern:patterns=57", "from 1 to 56"),
        ("pattern:conectivity=0.5", "did you mean 'connectivity'"),
        ("channels:criterion=l3", "one of l1, l2"),
        ("unstructured:sparsity", "is not an option"),
        ("pattern:skip_first=maybe", "yes or no"),
        ("", "is not known"),
        ("pattern:patterns=4,patterns=8", "given twice"),
        ("pattern:connectivity=nan", "at least 0 and below 1"),
        ("pattern:patterns=" + "9" * 5000, "from 1 to 56"),
        ("channels:layers=", "not empty"),
    ],
)
def test_recipes_that_are_wrong(text: str, sentence: str) -> None:
    with pytest.raises(PassError, match=sentence):
        parse_recipe(text)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: PrunePattern(library="pcon"),
        lambda: PrunePattern(patterns=0),
        lambda: PrunePattern(connectivity=1.0),
        lambda: PrunePattern(balance="lane"),
        lambda: PrunePattern(skip_first="no"),
        lambda: PrunePattern(patterns=True),
        lambda: PruneUnstructured(sparsity=2.0),
        lambda: PruneUnstructured(scope="network"),
        lambda: PruneUnstructured(kernel=3),
        lambda: PruneUnstructured(skip="yes"),
        lambda: PruneChannels(-0.1),
        lambda: PruneChannels(0.5, "l3"),
        lambda: PruneChannels(None),
    ],
)
def test_a_pass_refuses_what_a_recipe_would(wrong: Callable[[], object]) -> None:
    with pytest.raises(PassError, match="must be"):
        wrong()


@pytest.mark.parametrize("recipe", ["pattern", "channels", "unstructured:scope=global"])
def test_a_glob_that_fits_no_layer_is_refused(recipe: str) -> None:
    separator = "," if ":" in recipe else ":"
    [pruning] = parse_recipe(f"{recipe}{separator}layers=f3*")
    with pytest.raises(PassError, match=r"layers=f3\* matches no convolution or matmul"):
        _apply(pruning, _module(folded=True))


def test_every_scheme_of_a_recipe_is_recorded() -> None:
    module = _module(folded=True)
    for pruning in parse_recipe("pattern:patterns=4,pointwise=0 + unstructured:sparsity=0.75"):
        module = pruning(module)
    note = str(module["main"].attrs[PRUNED_ATTR]["c1"])
    assert note.startswith("4 patterns, connectivity 0: 1536 of 3456 weights left; unstructured")


def test_a_recipe_of_only_excepted_layers_changes_nothing() -> None:
    before = _module(folded=True)
    for pruning in parse_recipe("unstructured:layers=dw,skip=yes + pattern:layers=c0"):
        after = _apply(pruning, before)
        for old, new in zip(prunable_layers(before["main"]), prunable_layers(after), strict=True):
            assert np.array_equal(old.weight, new.weight)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ("unstructured:layers=dw", "'dw' is a depthwise convolution"),
        ("pattern:layers=f1", "'f1' is no convolution"),
        ("pattern", "'c2' is a 1x1 convolution, for which there is no rule: give pointwise=RATIO"),
    ],
)
def test_a_layer_that_cannot_take_a_scheme_is_refused_or_skipped(
    recipe: str, sentence: str
) -> None:
    before = _module(folded=True)
    [pruning] = parse_recipe(recipe)
    with pytest.raises(PassError, match=f"{sentence}.*skip=yes"):
        _apply(pruning, before)
    [pruning] = parse_recipe(f"{recipe}{',' if ':' in recipe else ':'}skip=yes")
    after = {layer.node: layer.weight for layer in prunable_layers(_apply(pruning, before))}
    name = sentence.split("'")[1]
    assert np.count_nonzero(after[name]) == after[name].size


def test_a_kernel_size_chooses_layers() -> None:
    [pruning] = parse_recipe("unstructured:sparsity=0.5,kernel=1x1")
    after = prunable_layers(_apply(pruning, _module(folded=True)))
    assert {layer.node for layer in after if not layer.weight.all()} == {"c2", "cb"}
    [pruning] = parse_recipe("unstructured:sparsity=0.5,kernel=1")
    after = prunable_layers(_apply(pruning, _module(folded=True)))
    assert {layer.node for layer in after if not layer.weight.all()} == {"f1", "f2"}


def test_every_option_is_described_and_taken_by_its_pass() -> None:
    described = describe_recipes()
    for name, (options, _make) in SCHEMES.items():
        assert name in described
        for key, _kind, _default in declared(options):
            assert f"  {key}: " in described
    assert "size of the learned library, a whole number from 1 to 56; default 8" in described
    assert "default as connectivity" in described
