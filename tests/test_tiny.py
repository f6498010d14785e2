"""All of zeroskip in seconds: a model is compiled, runs on the machine, every bit is TVM's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.compiler.artifact.network import Network


def test_a_model_to_bits(tmp_path: Path) -> None:
    network = zeroskip.compile(small_net(), "sparse256", prune="unstructured:sparsity=0.5")
    network.save(tmp_path / "net.zsk")
    network = Network.load(tmp_path / "net.zsk")
    x = {"x": np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)}
    session = zeroskip.Session(network)
    outputs = session.run(x)
    assert outputs["y"].shape == (1, 10)
    assert zeroskip.validate(network, x).exact
    report = zeroskip.report(network, session.runs)
    assert report.cycles >= report.network_bound > 0
