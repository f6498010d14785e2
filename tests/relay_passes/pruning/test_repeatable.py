"""What is fitted to samples does not depend on the number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tests.runtime.nets import small_net
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.pruning.apply import prune
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.base.repeatable import repeatable


def threads() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_blas_works_in_one_thread_within() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        assert repeatable(threads)() == {1}
        assert threads() == {2}


@pytest.mark.parametrize("method", ["weights", "statistics"])
@pytest.mark.parametrize("recipe", ["unstructured:sparsity=0.75", "channels:ratio=0.25"])
def test_the_same_weights_for_any_number_of_threads(recipe: str, method: str) -> None:
    dense = import_float(small_net(), {})
    rng = np.random.default_rng(0)
    shape = [int(size) for size in dense["main"].params[0].ty.shape]
    samples = {
        str(dense["main"].params[0].name): rng.standard_normal((64, *shape[1:])).astype(np.float32)
    }
    made = []
    for count in (1, 2, 3):
        with threadpool_limits(limits=count, user_api="blas"):
            pruned = prune(dense, recipe, samples=samples, method=method)
        made.append([layer.weight.tobytes() for layer in prunable_layers(pruned["main"])])
    assert made[0] == made[1] == made[2]
