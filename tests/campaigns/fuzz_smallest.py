"""The smallest memories that a network still fits in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.campaigns.fuzz_case import FuzzCase
from tests.campaigns.fuzz_check import compile_graph
from tests.campaigns.fuzz_layers import build_graph
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.spec import SpecError
from zeroskip.compiler.errors import CompileError

GRAIN = 256  # bytes
BISECTIONS = 5
INSTRUCTIONS = 30_000  # of a program, at most: to emit, run and step more takes minutes


def squeeze(case: FuzzCase, rng: np.random.Generator) -> FuzzCase:
    """The case with one or two memories so small that a little less of them is refused, or takes
    more than ``INSTRUCTIONS``.

    If the compiler fails in another way than by refusing, the hardware with which it did.
    """
    graph = build_graph(case)
    names = rng.permutation(["act_bytes", "wgt_bytes", "par_bytes", "staging_bytes", "acc_bytes"])
    for name in names[: int(rng.integers(1, 3))]:
        key = f"sram.{name}"
        fits = getattr(case.spec().sram, name)
        refused = 0
        for turn in range(BISECTIONS * 2):
            trial = max(fits // 4, GRAIN) if not refused else (fits + refused) // 2
            trial -= trial % GRAIN
            if trial <= refused or trial >= fits or (turn and fits - refused <= GRAIN):
                break
            smaller = replace(case, changes={**case.changes, key: trial})
            try:
                program = compile_graph(graph, smaller.spec())
            except (CompileError, SpecError):
                refused = trial
            except Exception:
                return smaller
            else:
                if len(decode_all(program.words)) > INSTRUCTIONS:
                    refused = trial
                else:
                    case, fits = replace(smaller, squeezed=True), trial
    return case
