"""Names of variables mean nothing: every pass gives the same for any names, unique or not."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax

import zeroskip.relay_passes as ours
from tests.compiled_once import by_tvm
from zeroskip import compiler
from zeroskip.accel_model.spec import load_spec
from zeroskip.relay_passes import PartitionForAccelerator, QuantizeInt8
from zeroskip.relay_passes.attrs import NODES_ATTR, is_region
from zeroskip.relay_passes.pruning.apply import prune
from zeroskip.relay_passes.pruning.schemes.dead_channels import RemoveDeadChannels
from zeroskip.relay_passes.quantize.calibrate import calibrate
from zeroskip.relay_passes.relax.passes import unique_names
from zeroskip.relay_passes.relax.rewriting import bindings

FOLDER = Path(ours.__file__).parent
X = np.random.default_rng(1).standard_normal((1, 8, 8, 8)).astype(np.float32)
UNIQUE = ("x", "a", "b", "c", "d", "e")


def network(*names: str) -> tvm.IRModule:
    """Two branches of convolutions and their sum; names: of the input and of five variables."""
    rng = np.random.default_rng(3)

    def const(*shape: int) -> Any:
        return relax.const((rng.standard_normal(shape) * 0.2).astype(np.float32))

    def tensor(channels: int) -> Any:
        return relax.TensorType((1, channels, 8, 8), "float32")

    x = relax.Var(names[0], tensor(8))
    a, b, c, d = (relax.DataflowVar(name, tensor(16)) for name in names[1:5])
    out = relax.Var(names[5], tensor(16))
    op, bind = relax.op, relax.VarBinding
    steps = [
        bind(a, op.nn.conv2d(x, const(16, 8, 3, 3), padding=1)),
        bind(b, op.nn.relu(a)),
        bind(c, op.nn.conv2d(b, const(16, 16, 3, 3), padding=1)),
        bind(d, op.nn.conv2d(b, const(16, 16, 1, 1))),
        bind(out, op.add(c, d)),
    ]
    body = relax.SeqExpr([relax.DataflowBlock(steps)], out)
    func = relax.Function([x], body, tensor(16)).with_attr("global_symbol", "main")
    module: tvm.IRModule = relax.transform.Normalize()(tvm.IRModule({"main": func}))
    relax.analysis.well_formed(module)  # raises if it is not
    return module


REUSED = [
    ("x", "a", "b", "lv", "lv", "out"),
    ("lv",) * 6,
    ("x", "x", "a", "a", "b", "b"),
    ("x", "a", "a_1", "a", "a_1", "a"),
]


@pytest.mark.parametrize("names", REUSED)
def test_every_variable_gets_a_name_of_its_own(names: tuple[str, ...]) -> None:
    func = network(*names)["main"].with_attr(NODES_ATTR, {names[1]: "/conv"})
    named = unique_names(func)
    own = [str(var.name) for var in (*named.params, *(each.var for each in bindings(named)))]
    assert len(set(own)) == 6
    assert own[0] == names[0]
    assert unique_names(named).same_as(named)
    assert set(named.attrs[NODES_ATTR].values()) == {"/conv"}
    tvm.ir.assert_structural_equal(named.without_attr(NODES_ATTR), network(*UNIQUE)["main"])


def evaluated(module: tvm.IRModule) -> np.ndarray:
    vm = relax.VirtualMachine(by_tvm(module), tvm.cpu())
    result: np.ndarray = vm["main"](tvm.runtime.tensor(X)).numpy()
    return result


@pytest.mark.parametrize("names", REUSED[:2])
def test_quantized_networks_do_not_depend_on_names(names: tuple[str, ...]) -> None:
    """Ranges measured of a module are found again by the pass that takes that module."""
    want, float_, integers = of_unique_names()
    got = partitioned(network(*names))
    assert sum(map(is_region, got.functions.values())) == 1  # all of it is offloaded
    schedules = [
        [func.attrs["zeroskip.schedule"] for func in each.functions.values() if is_region(func)]
        for each in (got, want)
    ]
    assert [list(map(str, each)) for each in schedules[0]] == [
        list(map(str, each)) for each in schedules[1]
    ]
    reference = evaluated_quantized(network(*names))
    assert np.array_equal(reference, integers)
    noise = float(np.square(reference - float_).sum())
    assert 10 * np.log10(float(np.square(float_).sum()) / noise) > 30


@cache
def of_unique_names() -> tuple[tvm.IRModule, np.ndarray, np.ndarray]:
    """The network partitioned, its results in float and quantized."""
    module = network(*UNIQUE)
    return partitioned(module), evaluated(module), evaluated_quantized(module)


def partitioned(module: tvm.IRModule) -> tvm.IRModule:
    spec = load_spec("sparse256")
    ranges = calibrate(module, {str(module["main"].params[0].name): X})
    return tvm.transform.Sequential(
        [
            QuantizeInt8(ranges=ranges),
            PartitionForAccelerator(compiler.supports(spec)),
            compiler.TileAndSchedule(spec),
        ]
    )(module)


def evaluated_quantized(module: tvm.IRModule) -> np.ndarray:
    name = str(module["main"].params[0].name)
    return evaluated(QuantizeInt8(samples={name: X})(module))


@pytest.mark.diagonal
@pytest.mark.parametrize("names", REUSED)
@pytest.mark.parametrize(
    "recipe",
    ["unstructured:sparsity=0.5", "channels:ratio=0.5", "pattern:pointwise=0.5", "nm", "lowrank"],
)
def test_pruning_does_not_depend_on_names(names: tuple[str, ...], recipe: str) -> None:
    method = "weights" if "unstructured" in recipe else None

    def pruned(module: tvm.IRModule) -> np.ndarray:
        samples = {str(module["main"].params[0].name): X}
        return evaluated(
            RemoveDeadChannels()(prune(module, recipe, samples=samples, method=method))
        )

    assert np.array_equal(pruned(network(*names)), pruned(network(*UNIQUE)))


def test_no_pass_forgets() -> None:
    """Each pass is declared by the decorators that see to names."""
    for path in FOLDER.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name != "passes.py":
            assert not re.search(r"transform\.(function|module)_pass", text), path
