"""Network -> --emit=tosa -> compiled again: the same integers."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import SEED
from tests.campaigns.fuzz_layers import build_graph, input_data
from tests.campaigns.fuzz_random import flat_seeds, random_case
from tests.campaigns.programs import NETWORKS
from tests.compiler.batched import batched, random_data
from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from tests.relay_passes.integer_texts import run_layers
from tests.runtime.nets import small_net
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler import driver
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.from_relax import extract, region_names
from zeroskip.compiler.mlir.tosa import region_text
from zeroskip.relay_passes.tosa.evaluate import evaluate as evaluate_text
from zeroskip.relay_passes.tosa.read_tosa import tosa_to_integer
from zeroskip.relay_passes.tosa.reader import Reader
from zeroskip.relay_passes.tosa.syntax import read_module
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

CASES, SEEDS = 12, 1000


def held_to(graph: LayerGraph, data: dict[str, np.ndarray]) -> Reader:
    """The text means what the graph does, and the layers read from it compute it."""
    module = read_module(region_text(graph), "own.mlir")
    inputs = [data[name] for name in graph.inputs]
    values = evaluate(graph, data)
    reader = Reader(module)
    meant = evaluate_text(module, [x.view(np.int8) for x in inputs])
    found = run_layers(reader, inputs)
    for name, text, layers in zip(graph.outputs, meant, found, strict=True):
        assert np.array_equal(text.view(values[name].dtype), values[name])
        assert layers.dtype == values[name].dtype
        assert np.array_equal(layers, values[name])
    assert not reader.building.differences
    return reader


@pytest.mark.parametrize("case", range(CASES))
def test_random_layers_come_back(case: int) -> None:
    """Of every kind: groups, dilations, pools, additions, int8 and uint8, one and two
    dimensions."""
    made = random_case(next(flat_seeds(SEED + SEEDS * case)))
    graph = build_graph(made)
    held_to(graph, input_data(made, graph))


def test_an_average_of_an_unsigned_table_comes_back() -> None:
    """Whose zero point only the average says."""
    made = random_case(next(flat_seeds(112)))
    graph = build_graph(made)
    tables = {
        n.output for n in graph.nodes if n.layer.kind == "lookup" and n.layer.y.dtype == "uint8"
    }
    assert any(n.layer.kind == "avgpool" and n.inputs[0] in tables for n in graph.nodes)
    held_to(graph, input_data(made, graph))


@pytest.mark.parametrize("name", ["residual", "depthwise", "joined", "gated", "reduction"])
def test_a_batch_comes_back(name: str) -> None:
    graph = batched(NETWORKS[name](GraphBuilder(np.random.default_rng(SEED))), 3)
    held_to(graph, random_data(graph, SEED))


def test_products_and_tables_come_back() -> None:
    """With a factor for each element, channel and pixel, of either type, in both ranks."""
    for seed in range(6):
        b = GraphBuilder(np.random.default_rng([SEED, seed]))
        x = b.conv(b.input(9, 5, 4), 12, (1, 1))
        y = b.lookup(b.multiply(x, b.lookup(b.conv(b.global_pool(x), 12, (1, 1)))))
        z = b.multiply(b.multiply(y, b.conv(y, 1, (1, 1))), x)
        flat = b.dense(b.reshape(b.global_pool(z), 12), 7)
        graph = b.graph(z, b.multiply(flat, b.lookup(flat)), b.sum(x, y, sign=-1))
        reader = held_to(graph, b.data())
        kinds = [each.layer.kind for each in reader.building.made if each.layer is not None]
        assert (kinds.count("multiply"), kinds.count("lookup")) == (4, 3)


def test_a_network_compiled_from_its_own_text_gives_the_same_bits() -> None:
    spec = load_spec("pattern256")
    stages = driver.lower(small_net(), spec)
    (name,) = region_names(stages.partitioned)
    graph = extract(stages.partitioned, name)
    model = tosa_to_integer(region_text(graph))
    network = driver.compile(model, spec)
    (given,) = graph.inputs
    tensor = graph.tensors[given]
    values = np.random.default_rng(SEED).integers(0, 256, tensor.shape, np.uint8).view(tensor.dtype)
    want = evaluate(graph, {given: values})
    (port,) = network.inputs
    found = Session(network).run({port.name: values})
    for own, result in zip(graph.outputs, found.values(), strict=True):
        assert np.array_equal(result, want[own])
    judged = validate(network, {port.name: values})
    assert judged.exact, judged.text()
    assert network.placement.macs_on_cpu == 0
