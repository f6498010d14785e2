"""A sample of the altered files, and that what must not happen would be seen."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conftest import SEED
from tests.campaigns import hostile
from tests.campaigns.hostile import KINDS, HostileKind, arm, attempt, run
from tests.campaigns.hostile_programs import VALUES, change_json
from zeroskip.accel_model.errors import ZeroskipError

SAMPLES = {
    "programs, bytes": 200,
    "programs, resealed": 200,
    "networks, resealed": 25,
    "hardware, TOML": 60,
    "models, ONNX": 40,
    "programs, MLIR": 25,
    "models, Relay": 150,
    "models, TOSA": 25,
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_altered_files_are_refused_or_run(kind: str) -> None:
    arm()
    KINDS[kind].warm()
    seen = set()
    for case in range(SAMPLES[kind]):
        outcome, where = attempt(kind, SEED, case)
        assert outcome != "failed", f"seed {SEED}, {kind}, case {case}: {where}"
        seen.add(outcome)
    assert "refused" in seen


def spin() -> str:
    while True:
        pass


def refuse(sentence: str) -> Callable[[], str]:
    def refusing() -> str:
        raise ZeroskipError(sentence)

    return refusing


@pytest.mark.parametrize(
    ("does", "outcome", "where"),
    [
        (lambda: "to its end", "ran", "to its end"),
        (refuse("no"), "refused", "ZeroskipError"),
        (refuse("two\nlines"), "failed", "a sentence of 9 characters"),
        (refuse(""), "failed", "a sentence of 0 characters"),
        (refuse("a" * 3000), "failed", "a sentence of 3000 characters"),
        (lambda: [][0], "failed", "IndexError: list index out of range"),
        (spin, "failed", "more than 0.1 s of the processor"),
    ],
)
def test_what_must_not_happen_is_seen(
    does: Callable[[], str], outcome: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm()
    monkeypatch.setattr(hostile, "SECONDS", 0.1)
    monkeypatch.setitem(KINDS, "own", HostileKind(lambda _: does(), lambda: None, 1))
    found = attempt("own", 0, 0)
    assert found[0] == outcome
    assert where in found[1]


def test_a_case_that_ends_its_process_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cases behind it run in another process."""
    answers = iter(
        [
            SimpleNamespace(stdout="ran\t5\tto its end\n", returncode=-11),
            SimpleNamespace(stdout="refused\t7\tProgramError\nend\n", returncode=0),
        ]
    )
    asked = []

    def process(command: list[str], **_: object) -> SimpleNamespace:
        asked.append(command[-2:])
        return next(answers)

    monkeypatch.setattr(subprocess, "run", process)
    found = run("programs, bytes", 0, 5, 3)
    assert found.outcomes == {"ran": 1, "failed": 1, "refused": 1}
    assert found.failures == ["programs, bytes, case 6: the process ended with -11"]
    assert asked == [["5", "3"], ["7", "1"]]


def test_alterations_do_not_touch_what_others_draw() -> None:
    """A value that is put into itself would be one without end."""
    before = json.dumps(VALUES)
    for case in range(100):
        head: dict[str, Any] = {"a": [{}], "b": {"c": [1, 2]}}
        rng = np.random.default_rng(case)
        for _ in range(100):
            change_json(rng, head)
        json.dumps(head)
    assert json.dumps(VALUES) == before


def test_cases_differ_by_seed_kind_and_number() -> None:
    def first(seed: int, kind: str, case: int) -> int:
        rng = np.random.default_rng([seed, list(KINDS).index(kind), case])
        return int(rng.integers(1 << 60))

    made = {first(seed, kind, case) for seed in range(3) for kind in KINDS for case in range(3)}
    assert len(made) == 9 * len(KINDS)
