"""`zeroskip doctor`: what is there is said, what is not as it should be is a sentence with a
remedy."""

from __future__ import annotations

import json
import platform
import re
from importlib import metadata
from pathlib import Path

import pytest
from tvm.target import codegen

import zeroskip as package
from tests.runtime.command import zeroskip
from zeroskip.accel_model.io import jit
from zeroskip.relay_passes.relax.cpu import cpu_target
from zeroskip.runtime import environment as module
from zeroskip.runtime.environment import Library, environment


@pytest.fixture
def schedules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZEROSKIP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_says_what_is_there(schedules: Path) -> None:
    (schedules / "ab").mkdir(parents=True)
    (schedules / "ab" / "1.json").write_bytes(b"x" * 100)
    (schedules / "ab" / "2.json").write_bytes(b"x" * 20)
    (schedules / "ab" / "other").write_bytes(b"x" * 7)
    found = environment()
    assert found.zeroskip == package.__version__
    assert found.python.endswith(platform.python_version())
    assert found.vector_bits == codegen.llvm_get_vector_width(cpu_target())
    assert found.cores >= 1
    assert {each.name: each.found for each in found.libraries} == {
        name: metadata.version(name)
        for name in (
            re.match(r"[\w.-]+", text)[0]  # type: ignore[index]  # a requirement begins with a name
            for text in metadata.requires("zeroskip") or []
            if ";" not in text
        )
    }
    kept, code = found.folders
    assert (kept.path, kept.files, kept.bytes, kept.problem) == (str(schedules), 2, 120, "")
    assert code.path == str(jit.code_folder())
    assert found.variables["ZEROSKIP_CACHE"] == str(schedules)


def test_extras_are_there_or_lack_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda _name: [
            "numpy==0.1",
            "absent==1",
            "absent-too==2; extra == 'some'",
            'click; extra == "other"',
            "zeroskip[other]; extra == 'both'",
            "pytest==0; extra == 'dev'",
            "rich==0.2; extra == 'some'",
        ],
    )
    found = environment()
    assert {extra.name: extra.there for extra in found.extras} == {
        "dev": True,
        "other": True,
        "some": False,
    }
    numpy, rich = metadata.version("numpy"), metadata.version("rich")
    assert found.problems == [
        f"numpy is {numpy}, and zeroskip is tested with 0.1: pip install zeroskip",
        "absent is not installed: pip install zeroskip",
        f"rich is {rich}, and zeroskip is tested with 0.2: pip install 'zeroskip[some]'",
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "fits"),
    [
        ("", "1.0", True),
        ("1.0", "1.0", True),
        ("1.0", "1.0+cpu", True),
        ("1.0", "1.0.1", False),
        ("1.0", "1.1+cpu", False),
        ("1.0", None, False),
    ],
)
def test_a_build_of_the_version_fits(wanted: str, found: str | None, fits: bool) -> None:
    assert Library("torch", wanted, found).fits is fits


def test_the_command_prints_lines_and_json(schedules: Path) -> None:
    lines = zeroskip("doctor")
    table = zeroskip("doctor", "--json")
    found = environment()
    assert json.loads(table.stdout) == json.loads(json.dumps(found.to_table()))
    assert lines.exit_code == table.exit_code == (1 if found.problems else 0)
    for text in (found.processor, f"vectors of {found.vector_bits} bits", str(schedules)):
        assert text in lines.stdout
    for extra in found.extras:
        there = f"extra {extra.name}: not there" not in lines.stdout
        assert there == extra.there
    assert lines.stdout.splitlines()[-1] == (found.problems or ["nothing is wrong"])[-1]


def test_a_problem_is_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZEROSKIP_CACHE", str(tmp_path / "file" / "cache"))
    done = zeroskip("doctor")
    assert done.exit_code == 1
    assert f"schedules cannot be kept in {tmp_path / 'file' / 'cache'}" in done.stdout


def test_without_a_folder_for_code_it_still_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise OSError("no folder can be written")

    monkeypatch.setattr(module, "code_folder", nowhere)
    assert any("no folder can be written" in problem for problem in environment().problems)
