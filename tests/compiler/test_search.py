"""The search's answer against every schedule in its space, each emitted and timed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.networks import Builder
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler import ops
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.lower import lower
from zeroskip.compiler.plan import ConvPlan
from zeroskip.compiler.schedule import emit_region
from zeroskip.compiler.search import ConvSearch, candidates
from zeroskip.compiler.weights import Weights
from zeroskip.runtime.tuning import tuning

# (channels, size, filters, kernel, stride, density) of small layers
LAYERS = [
    (16, 14, 32, 3, 1, 1.0), (48, 7, 80, 3, 1, 0.3), (3, 24, 16, 5, 2, 0.6),
    (64, 8, 128, 1, 1, 0.5), (130, 5, 33, 1, 1, 0.1), (24, 13, 24, 3, 2, 0.2),
    (1, 28, 16, 3, 1, 0.9), (100, 1, 64, 1, 1, 0.4),
]


def space(layer: tuple[int, int, int, int, int, float], target: str
          ) -> tuple[dict[ConvPlan, int], ConvPlan, ConvPlan]:
    """Cycles of every schedule of a layer, the one that is found, and the one that is tuned."""
    channels, size, filters, kernel, stride, density = layer
    spec = load_spec(target)
    b = Builder(np.random.default_rng(filters), density)
    x = b.conv(b.input(channels, size, size), filters, (kernel, kernel), stride=stride,
               pad=(kernel // 2,) * 4)
    region = lower(b.graph(x))
    op = region.ops[0]
    assert isinstance(op, ops.Conv)
    measure = tuning(1).measure
    cycles: dict[ConvPlan, int] = {}
    for plan in set(ConvSearch(op, spec, Weights(op, spec.array.kind)).plans()):
        try:
            cycles[plan] = measure(emit_region(region, spec, [plan]))
        except CompileError:
            continue  # the estimate of what fits is not exact
    best = [plan for plan in candidates(op, spec, 8) if plan in cycles]
    assert all(isinstance(plan, ConvPlan) for plan in best)
    return cycles, best[0], min(best, key=cycles.__getitem__)


@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256"])
def test_the_answer_is_near_the_best_of_all(target: str) -> None:
    found_total = tuned_total = best_total = 0
    for layer in LAYERS:
        cycles, found, tuned = space(layer, target)
        best = min(cycles.values())
        print(f"{layer}: {len(cycles)} schedules, best {best}, found {cycles[found] / best:.3f}, "
              f"best of 8 {cycles[tuned] / best:.3f}, worst {max(cycles.values()) / best:.1f}")
        assert len(cycles) > 4
        assert cycles[found] <= 1.1 * best
        found_total, best_total = found_total + cycles[found], best_total + best
        tuned_total += cycles[tuned]
    print(f"all: {found_total / best_total:.3f}, best of 8 {tuned_total / best_total:.3f}")
    assert found_total <= 1.04 * best_total
    assert tuned_total <= 1.025 * best_total
