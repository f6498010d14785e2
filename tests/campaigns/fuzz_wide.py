"""Cases of form ``layers`` with activations of 16 bits, made of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.campaigns.fuzz_case import FuzzCase, FuzzStep
from tests.campaigns.fuzz_layers import build_graph
from zeroskip.compiler.lowering.legality import supports
from zeroskip.relay_passes.integer.fixed_point import BOUNDS

STEP = 256  # of int16 in one of int8


def widened(case: FuzzCase) -> FuzzCase | None:
    """The case with int16 in the place of int8 and uint8, its tables changes of scale, and sums as
    wide as the array has them; None if the accelerator does not take a layer of it then."""
    changes = dict(case.changes)
    if case.spec().kind.wide_sums:
        changes["storage.sum_bits"] = 48
    made = replace(
        case,
        inputs={name: _options(given) for name, given in case.inputs.items()},
        steps=tuple(_step(step) for step in case.steps),
        changes=changes,
    )
    takes = supports(made.spec())
    return made if not any(takes(node.layer) for node in build_graph(made).nodes) else None


def _step(step: FuzzStep) -> FuzzStep:
    if step.kind == "lookup":
        return replace(step, kind="requantise", options={"dtype": "int16", "mult": 3, "shift": 2})
    return replace(step, options=_options(step.options))


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in given.items() if key != "zero_point"}
    if "clip" in made:
        zero = given.get("zero_point", 0)
        low, high = BOUNDS["int16"]
        made["clip"] = [min(max(STEP * (limit - zero), low), high) for limit in made["clip"]]
    return made | {"dtype": "int16"}
