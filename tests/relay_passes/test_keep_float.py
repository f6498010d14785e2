"""Layers that stay in float because the user says so."""

import numpy as np
import pytest

from tests.relay_passes.onnx_oracle import parse
from tests.runtime.nets import small_net
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.quantize.keep_float import KeepFloat, kept_float
from zeroskip.runtime.execution.validation import validate


def test_a_layer_stays_in_float_and_is_said_to() -> None:
    model = small_net()
    nodes = [node.name for node in model.graph.node if node.op_type == "Conv"]
    network = compile_network(model, float_nodes=[nodes[1]])
    assert "by request (--float)" in network.cpu[nodes[1]]
    assert network.placement.layers_on_cpu == 1
    port = network.inputs[0]
    x = np.random.default_rng(1).standard_normal(port.shape).astype(np.float32)
    assert validate(network, {port.name: x}).exact


def test_globs_and_names_that_are_none() -> None:
    network = compile_network(small_net(), float_nodes=["conv*"])
    assert network.placement.layers_on_cpu >= 2
    with pytest.raises(PassError, match=r"No node is named 'convv0'.*nearest are 'conv0'"):
        compile_network(small_net(), float_nodes=["convv0"])


def test_several_names_and_one_that_reads_like_a_glob() -> None:
    model = parse(
        "net (float[1, 1, 2, 2] x) => (float y) { a = Conv (x, w) b = Conv (a, w) y = Conv (b, w) }",
        w=np.ones((1, 1, 1, 1), np.float32),
    )
    for node, name in zip(model.graph.node, ("head[0]", "head0", "tail"), strict=True):
        node.name = name
    module = import_float(model, {})
    for names in (["head[0]"], ["tail", "head[0]"], ["head[0]", "tail"]):
        assert {*names} <= kept_float(KeepFloat(names)(module)["main"])
