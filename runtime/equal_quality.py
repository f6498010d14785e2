"""How much of a network a scheme may remove for a given loss: the strength at equal quality."""

from __future__ import annotations

from collections.abc import Callable

import tvm

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.match_sparsity import Strength, at_sparsity
from zeroskip.runtime.analysis.comparison import HALVINGS


def strongest(
    dense: tvm.IRModule,
    options: Options,
    samples: Samples,
    least: float,
    quality: Callable[[Options], float],
) -> Strength | None:
    """Of a scheme's options the strength that removes most with a ``quality`` of at least
    ``least``; None if none that was tried has it.

    Found by bisection of the sparsity, ``HALVINGS`` times: quality is taken to fall as weights go.
    Strengths that come twice (n of m has few) are measured once. PassError as of ``at_sparsity``.
    """
    best: Strength | None = None
    known: dict[Options, bool] = {}
    low, high = 0.0, 1.0
    for step in range(HALVINGS):
        sparsity = (low + high) / 2
        try:
            tried = at_sparsity(dense, options, sparsity, samples)
        except PassError:
            if step == 0:
                raise
            break  # the scheme has nothing weaker
        if tried.options not in known:
            known[tried.options] = quality(tried.options) >= least
        if known[tried.options]:
            low = sparsity
            if best is None or tried.sparsity > best.sparsity:
                best = tried
        else:
            high = sparsity
    return best
