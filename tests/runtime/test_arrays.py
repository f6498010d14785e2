"""Compiled regions on the arrays of the literature: bits, causes of loss, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.compiler.networks import Builder
from tests.compiler.oracle import evaluate
from tests.runtime.test_losses import check
from zeroskip.accel_model.arrays.base import ArrayError, Case
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import SpecError, load_spec, parse_spec, spec_from_table
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.runtime.analysis.report import region_report

TARGETS = ("systolic256", "diannao256", "kang256", "nm256", "cambriconx256")


def _residual(b: Builder) -> LayerGraph:
    """Ragged channels, a stride, a fused addition, all filters of a layer in two tiles."""
    x = b.conv(b.input(3, 15, 13), 40, (3, 3), stride=2, pad=(1, 1, 1, 1))
    y = b.conv(x, 40, (3, 3), pad=(1, 1, 1, 1))
    return b.graph(b.sum(b.conv(y, 40, (1, 1)), x))


def _deep(b: Builder) -> LayerGraph:
    """More weights than WGT holds: the reduction goes through ACC in chunks."""
    return b.graph(b.conv(b.input(512, 5, 5), 72, (3, 3), pad=(1, 1, 1, 1)))


def _channelwise(b: Builder) -> LayerGraph:
    """Depthwise convolution, pools and a fully connected layer."""
    x = b.conv(b.input(20, 9, 9), 37, (3, 3), stride=2, pad=(1, 1, 1, 1), groups=1)
    y = b.pool(b.conv(x, 37, (3, 3), pad=(1, 1, 1, 1), groups=37), "max", 2, 2)
    return b.graph(b.dense(b.reshape(y, 37 * 4), 10))


@pytest.mark.parametrize("make", [_residual, _deep, _channelwise], ids=lambda make: make.__name__)
@pytest.mark.parametrize("target", TARGETS)
def test_bits_and_causes(target: str, make: object) -> None:
    """Every output as the integer oracle has it, and every lost cycle under one cause."""
    assert callable(make)
    builder = Builder(np.random.default_rng(3), 0.3)
    graph, spec = make(builder), load_spec(target)
    region = lower(graph)
    program = emit_region(region, spec, plan_region(region, spec))
    data = builder.data()
    run = Machine(spec).run(program, data)
    values = evaluate(graph, data)
    for name, tensor in zip(graph.outputs, program.outputs, strict=True):
        assert np.array_equal(run.outputs[tensor.name].reshape(values[name].shape), values[name])
    check(run, program)
    report = region_report(run, program)
    assert sum(report.lost.values()) == report.cycles - report.bound
