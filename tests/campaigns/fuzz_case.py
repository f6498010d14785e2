"""A fuzz case as a value: a network and the hardware it is for, small enough to read and to save.

Weights, scales and data come from seeds, so a case is a page of JSON. Every setting has a default,
which a saved case leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from zeroskip.accel_model import physics
from zeroskip.accel_model.spec import AccelSpec, load_spec, spec_from_table

Form = Literal["layers", "onnx"]
FOUND = Path(__file__).parent / "found"


class InvalidCaseError(ValueError):
    """A case that describes no network; says why."""


@dataclass(frozen=True)
class FuzzStep:
    """A layer (form ``layers``) or an ONNX node (form ``onnx``) that makes ``output``.

    ``options`` holds what differs from the defaults of the kind (fuzz_layers, fuzz_onnx).
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str, default: Any) -> Any:
        return self.options.get(name, default)


@dataclass(frozen=True)
class FuzzCase:
    """A network on a target whose numbers may be changed (``"sram.act_bytes": 4096``).

    inputs: shape and options of each, by name. order: the seed of the execution order, None for
    program order. data: kind and seed of the input data. tvm: whether TVM's CPU is compared, too.
    settings: of the compiler (form ``onnx``). squeezed: whether its memories are the smallest that
    do. origin: the seed of the generator.
    """

    form: Form
    target: str
    inputs: Mapping[str, Mapping[str, Any]]
    steps: tuple[FuzzStep, ...]
    outputs: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    order: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    tvm: bool = False
    squeezed: bool = False
    origin: int | None = None

    def spec(self) -> AccelSpec:
        """SpecError if the changed numbers make no accelerator. Changed hardware need not be fast
        enough to be built: it keeps the target's constants of energy and names no technology."""
        target = load_spec(self.target)
        table = asdict(target)
        if self.changes:
            table |= {"technology": None, "energy": asdict(physics.energy(target))}
        for path, value in self.changes.items():
            section, _, key = path.partition(".")
            table[section][key] = value
        return spec_from_table(table, self.target)

    def trimmed(self) -> FuzzCase:
        """Without the steps and inputs that no output needs."""
        needed = set(self.outputs)
        steps = []
        for step in reversed(self.steps):
            if step.output in needed:
                needed |= set(step.inputs)
                steps.append(step)
        kept = {name: given for name, given in self.inputs.items() if name in needed}
        return replace(self, steps=tuple(reversed(steps)), inputs=kept)


def dump_case(case: FuzzCase) -> str:
    """JSON, a field and a step a line; what has its default value is left out."""
    table = {
        key: value
        for key, value in asdict(case).items()
        if key != "steps" and not (value is None or value is False or value == {})
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in table.items()]
    steps = ",\n  ".join(
        json.dumps({key: value for key, value in asdict(step).items() if value})
        for step in case.steps
    )
    return ",\n".join(["{\n" + lines[0], *lines[1:], f' "steps": [\n  {steps}\n ]\n}}\n'])


def parse_case(text: str) -> FuzzCase:
    """The case that ``dump_case`` wrote."""
    table = json.loads(text)
    steps = tuple(FuzzStep(**{**step, "inputs": tuple(step["inputs"])}) for step in table["steps"])
    return FuzzCase(**{**table, "outputs": tuple(table["outputs"]), "steps": steps})


def found_cases() -> list[Path]:
    """The saved cases: what fuzzing found, shrunk."""
    return sorted(FOUND.glob("*.json"))
