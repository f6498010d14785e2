"""Layers that stay in float because the user says so."""

import numpy as np
import pytest

from tests.runtime.nets import small_net
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.relay_passes.errors import PassError
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
