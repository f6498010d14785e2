"""Shrinking a failing case: greedy delta debugging while it fails in the same way.

Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 2002.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.campaigns.fuzz_case import FuzzCase, FuzzStep, InvalidCaseError
from tests.campaigns.fuzz_layers import build_graph
from zeroskip.accel_model.spec import SpecError, load_spec

Fails = Callable[[FuzzCase], bool]


def shrink(case: FuzzCase, fails: Fails, seconds: float) -> FuzzCase:
    """The smallest case found within so many seconds of which ``fails`` holds.

    ``fails`` holds of ``case``; a case that describes no network does not fail.
    """
    end = time.monotonic() + seconds
    progress = True
    while progress:
        progress = False
        for reduce in (
            _fewer_outputs,
            _cut_steps,
            _bypassed,
            _plain_hardware,
            _plain_settings,
            _defaults,
            _smaller_numbers,
        ):
            taken = True
            while taken and time.monotonic() < end:
                taken = False
                for candidate in reduce(case):
                    if time.monotonic() >= end:
                        break
                    if candidate != case and _still(candidate, fails):
                        case, taken, progress = candidate, True, True
                        break
    return case


def _still(case: FuzzCase, fails: Fails) -> bool:
    try:
        return fails(case)
    except (InvalidCaseError, SpecError):
        return False


def _fewer_outputs(case: FuzzCase) -> Iterator[FuzzCase]:
    """One output; without one of them; the last step's inputs in its place."""
    if len(case.outputs) > 1:
        for name in case.outputs:
            yield replace(case, outputs=(name,)).trimmed()
        for name in case.outputs:
            rest = tuple(other for other in case.outputs if other != name)
            yield replace(case, outputs=rest).trimmed()
    for step in case.steps:
        yield replace(case, outputs=(step.output,)).trimmed()


def _cut_steps(case: FuzzCase) -> Iterator[FuzzCase]:
    """Without a step: what it made is an input of the network."""
    if case.form != "layers":
        return
    graph = build_graph(case)
    for index in reversed(range(len(case.steps))):
        name = case.steps[index].output
        if name in case.outputs:
            continue
        t = graph.tensors[name]
        given = {"shape": list(t.shape), "dtype": t.dtype, "zero_point": t.zero_point}
        steps = case.steps[:index] + case.steps[index + 1 :]
        yield replace(case, steps=steps, inputs={**case.inputs, name: given}).trimmed()


def _bypassed(case: FuzzCase) -> Iterator[FuzzCase]:
    """Without a step: its readers read what it read."""
    for index, step in enumerate(case.steps):
        rest = case.steps[:index] + case.steps[index + 1 :]
        for source in dict.fromkeys(step.inputs):
            made = {
                name: source if name == step.output else name for one in rest for name in one.inputs
            }
            yield replace(
                case,
                steps=tuple(
                    replace(one, inputs=tuple(made[name] for name in one.inputs)) for one in rest
                ),
                outputs=tuple(name for name in case.outputs if name != step.output),
            ).trimmed()


def _plain_hardware(case: FuzzCase) -> Iterator[FuzzCase]:
    """The built-in target; one of its numbers back."""
    case = replace(case, squeezed=False)
    if case.changes:
        yield replace(case, changes={})
    for name in case.changes:
        yield replace(
            case, changes={key: value for key, value in case.changes.items() if key != name}
        )
    for name, value in case.changes.items():
        section, _, key = name.partition(".")
        full = getattr(getattr(load_spec(case.target), section), key)
        if 2 * value <= full:
            yield replace(case, changes={**case.changes, name: 2 * value})


def _plain_settings(case: FuzzCase) -> Iterator[FuzzCase]:
    """Program order, uniform data, no TVM, the first target; one setting of the compiler less."""
    yield replace(case, order=None)
    yield replace(case, data={})
    yield replace(case, tvm=False)
    yield replace(case, target="dense256")
    for name in case.settings:
        yield replace(
            case, settings={key: value for key, value in case.settings.items() if key != name}
        )


def _defaults(case: FuzzCase) -> Iterator[FuzzCase]:
    """One option of a step or an input at its default; all options of a step first."""
    for index, step in enumerate(case.steps):
        yield _with_step(case, index, replace(step, options={}))
        for key in step.options:
            rest = {name: value for name, value in step.options.items() if name != key}
            yield _with_step(case, index, replace(step, options=rest))
    for name, given in case.inputs.items():
        for key in given:
            if key != "shape":
                rest = {other: value for other, value in given.items() if other != key}
                yield replace(case, inputs={**case.inputs, name: rest})


def _smaller_numbers(case: FuzzCase) -> Iterator[FuzzCase]:
    """One number of an input's shape, or of a step's options, smaller."""
    sizes = {len(given["shape"]) for given in case.inputs.values()}
    for rank in sizes:  # all inputs of a rank at once, which may have to stay alike
        for axis in range(1, rank):
            for cut in (lambda n: 1, lambda n: n // 2, lambda n: n - 1):
                yield replace(
                    case,
                    inputs={
                        name: {
                            **given,
                            "shape": [
                                cut(n) if at == axis else n for at, n in enumerate(given["shape"])
                            ],
                        }
                        if len(given["shape"]) == rank
                        else given
                        for name, given in case.inputs.items()
                    },
                )
    for name, given in case.inputs.items():
        for shape in _less(given["shape"], 1):
            yield replace(case, inputs={**case.inputs, name: {**given, "shape": shape}})
    for index, step in enumerate(case.steps):
        for key, value in step.options.items():
            for less in _less(value, 0 if key in ("padding", "seed", "zero_point") else 1):
                yield _with_step(case, index, replace(step, options={**step.options, key: less}))


def _less(value: Any, least: int) -> Iterator[Any]:
    """Smaller values of the same form: a number, or a list with one number smaller."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield from (
            less for less in dict.fromkeys((least, value // 2, value - 1)) if least <= less < value
        )
    elif isinstance(value, list):
        for index, one in enumerate(value):
            for less in _less(one, least):
                yield [*value[:index], less, *value[index + 1 :]]


def _with_step(case: FuzzCase, index: int, step: FuzzStep) -> FuzzCase:
    return replace(case, steps=(*case.steps[:index], step, *case.steps[index + 1 :]))
