"""The float network of a file that refers to its weights
(``compiler/artifact/float_source.py``)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.artifact.relax_modules import large_constants
from zeroskip.compiler.driver import import_float


def with_float_weights(network: Network, model: str | Path | None = None) -> Network:
    """The network with its float weights; itself where its file holds them.

    model: the ONNX file that it was compiled from; None: where it was then, or beside the network's
    file. CompileError if it is not there, FrontError if it is none; CompileError if it is another.
    """
    source = network.source
    if source is None or not source.network:
        return network
    path = source.found() if model is None else Path(model)
    known = large_constants(import_float(path, source.shapes))
    others = len(source.weights - known.keys())
    if others:
        raise source.refusal(
            f"'{path}' is not: {others:,} of {len(source.weights):,} of them are others there"
        )
    weights = {name: known[name] for name in source.weights}
    return replace(network, floating=partial(source.load, weights), source=None)
