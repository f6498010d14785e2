"""Kernels in parts: of whose taps no tile holds all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import numpy as np
import pytest

from tests.campaigns.programs import Lively
from tests.compiler import least
from tests.compiler.batched import batched, random_data, run_batch
from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from tests.every_target import every_target
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.kernel_parts import kernel_parts, smaller_cuts
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.ops import ConvOp
from zeroskip.compiler.ir.schedule import ConvPlan, group_text, read_group
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region

Build = Callable[[GraphBuilder], LayerGraph]


def _long(b: GraphBuilder) -> LayerGraph:
    """A filter over 200 columns, with padding that whole parts of it look at alone."""
    return b.graph(b.conv(b.input(20, 3, 90), 24, (1, 200), pad=(0, 80, 0, 120)))


def _added(b: GraphBuilder) -> LayerGraph:
    """More chunks of channels than one, and an addition behind the last part."""
    x = b.conv(b.input(16, 9, 9), 40, (1, 1))
    return b.graph(b.sum(b.conv(x, 40, (7, 7), pad=(3, 3, 3, 3)), x))


def _apart(b: GraphBuilder) -> LayerGraph:
    """Taps so far apart that a tile of all of them does not fit in ACT."""
    x = b.input(16, 26, 26)
    return b.graph(b.conv(x, 16, (3, 3), dilation=9, pad=(9, 9, 9, 9), stride=2))


BUILDS: dict[str, tuple[Build, Mapping[str, int]]] = {
    "long": (_long, {"wgt_bytes": 16384}),
    "added": (_added, {"wgt_bytes": 8192}),
    "apart": (_apart, {"act_bytes": 6144}),
}


def exact(build: Build, spec: AccelSpec, images: int = 1) -> list[ConvPlan]:
    """The schedules of its convolutions; the bits are the oracle's, the multiplies the layers'."""
    graph = batched(build(Lively(np.random.default_rng(1), density=0.4)), images)
    data, region = random_data(graph, 3), lower(graph)
    groups = plan_region(region, spec)
    assert [read_group(group_text(group)) for group in groups] == groups
    run, made = run_batch(emit_region(region, spec, groups), graph, data)
    wanted = evaluate(graph, data)
    for name, values in made.items():
        assert np.array_equal(values, wanted[name]), (spec.name, name)
    macs = images * sum(least.real_macs(node.layer) for node in graph.nodes)
    assert run.totals["real_macs"] == macs
    return [plan for group in groups for plan in group.plans if isinstance(plan, ConvPlan)]


@pytest.mark.diagonal
@every_target
@pytest.mark.parametrize("name", BUILDS)
def test_every_bit(name: str, target: str) -> None:
    build, memories = BUILDS[name]
    spec = load_spec(target)
    plans = exact(build, replace(spec, sram=replace(spec.sram, **memories)))
    assert any(plan.kernel_cuts != (1, 1) for plan in plans)
    assert any("parts" in str(plan) for plan in plans)


def test_the_images_of_a_batch_pass_a_part() -> None:
    build, memories = BUILDS["added"]
    spec = load_spec("sparse256")
    exact(build, replace(spec, sram=replace(spec.sram, **memories)), 2)


def test_a_kernel_that_fits_is_whole() -> None:
    for build, _ in BUILDS.values():
        assert {plan.kernel_cuts for plan in exact(build, load_spec("sparse256"))} == {(1, 1)}


def test_parts_have_all_taps_once() -> None:
    b = GraphBuilder(np.random.default_rng(0), 1.0)
    graph = b.graph(b.conv(b.input(2, 30, 30), 3, (5, 7), dilation=2, pad=(4, 6, 4, 6)))
    (conv,) = lower(graph).ops
    assert isinstance(conv, ConvOp)
    for cuts in ((1, 1), (2, 3), (5, 7), (3, 1)):
        parts = kernel_parts(conv, cuts)
        assert sum(part.weight.size for part in parts) == conv.weight.size
        seen = set()
        for part in parts:
            assert part.weight.shape[2:] == part.window.kernel
            assert all(
                own <= most
                for own, most in zip(part.window.kernel, parts[-1].window.kernel, strict=True)
            )
            for row in range(part.window.kernel[0]):
                for col in range(part.window.kernel[1]):
                    at = (2 * row - part.window.pad[0], 2 * col - part.window.pad[1])
                    down, right = (at[0] + 4) // 2, (at[1] + 6) // 2
                    assert np.array_equal(
                        part.weight[:, :, row, col], conv.weight[:, :, down, right]
                    )
                    seen.add((down, right))
        assert len(seen) == 35


@pytest.mark.parametrize("kernel", [(1, 511), (7, 7), (3, 1), (1, 1), (5, 2)])
def test_cuts_go_down_to_taps(kernel: tuple[int, int]) -> None:
    cuts = [*smaller_cuts(kernel)]
    assert [prod(each) for each in cuts] == sorted({prod(each) for each in cuts})
    assert cuts[-1:] == ([kernel] if kernel != (1, 1) else [])
