"""What stays on the CPU between two regions is one call, to the same bits, and its bytes are
known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.campaigns.hostile_networks import close_network, network_file, open_network
from zeroskip import compiler, runtime
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.artifact.network import Network, NetworkError
from zeroskip.compiler.artifact.placement import HostCall
from zeroskip.compiler.driver import lower, network_of
from zeroskip.compiler.passes import embed
from zeroskip.compiler.stages import Stages
from zeroskip.relay_passes.host_calls import JoinHostCalls
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.rewriting import bindings

SPEC = load_spec("dense256")
X = np.random.default_rng(1).standard_normal((1, 4, 8, 8)).astype(np.float32)
TENSOR = 4 * 8 * 8  # bytes of each int8 tensor


def branches() -> onnx.ModelProto:
    """Two branches, each convolution, softmax, convolution; the second's softmax is an output
    too."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal((4, 4, 1, 1)).astype(np.float32), name)
        for name in "abcd"
    ]
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["p"], "left"),
        helper.make_node("Conv", ["x", "b"], ["q"], "right"),
        helper.make_node("Softmax", ["p"], ["r"], "soft_left", axis=1),
        helper.make_node("Conv", ["r", "c"], ["left_out"], "left_last"),
        helper.make_node("Softmax", ["q"], ["s"], "soft_right", axis=1),
        helper.make_node("Conv", ["s", "d"], ["right_out"], "right_last"),
    ]
    outputs = ("left_out", "s", "right_out")
    graph = helper.make_graph(
        nodes,
        "branches",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]) for name in outputs],
        weights,
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture(scope="module")
def stages() -> Stages:
    return lower(branches(), SPEC)


def test_two_branches_are_two_turns(stages: Stages) -> None:
    """Both softmaxes are one call, though each stands between regions of its own branch."""
    network = network_of(stages, branches(), SPEC)
    first, between, last = network.host_calls
    assert first == HostCall((), 0, 2 * TENSOR)  # both regions read it
    assert set(between.nodes) == {"soft_left", "soft_right"}
    assert (between.from_accelerator, between.to_accelerator) == (2 * TENSOR, 2 * TENSOR)
    assert last == HostCall((), 2 * TENSOR, 0)
    called = [
        binding.value.op
        for binding in bindings(network.host_module["main"])
        if hasattr(binding.value, "op")
    ]
    assert len(called) == 3 + network.placement.regions
    assert network.placement.to_accelerator == sum(c.to_accelerator for c in network.host_calls)
    assert network.placement.to_host == sum(c.from_accelerator for c in network.host_calls)


def test_joined_calls_give_the_same_bits(stages: Stages) -> None:
    runtime.register()
    flat = embed(stages.scheduled, stages.programs)
    want, got = (
        run_cpu(compile_for_cpu(module), "main", [X]) for module in (flat, JoinHostCalls()(flat))
    )
    assert [each.tobytes() for each in want] == [each.tobytes() for each in got]


def test_a_module_without_regions_stays() -> None:
    network = compiler.compile(branches(), "dense256", float_nodes=["*"])
    assert not network.host_calls
    assert JoinHostCalls()(network.host_module).same_as(network.host_module)


@pytest.mark.parametrize("field", ["from_accelerator", "to_accelerator"])
def test_calls_that_lie_are_refused(field: str, tmp_path: Path) -> None:
    head, members = open_network(network_file(cpu_node=True))
    head["host_calls"][1][field] = -1
    (tmp_path / "net.zsk").write_bytes(close_network(head, members))
    with pytest.raises(NetworkError, match="compile it again"):
        Network.load(tmp_path / "net.zsk")
