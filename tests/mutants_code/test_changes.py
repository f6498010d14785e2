"""The list of changes fits the code: each has its place, means something, and names tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutants_code.__main__ import CampaignError, Scratch, judge, outcomes
from tests.mutants_code.change import ROOT, Change, meaning
from tests.mutants_code.changes import CHANGES, PACKAGES


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: f"{each.file}: {each.what}")
def test_a_change_is_one(change: Change) -> None:
    text = (ROOT / change.file).read_text(encoding="utf-8")
    assert text.count(change.old) == 1
    assert meaning(change.file, change.changed(text)) != meaning(change.file, text)


def test_there_are_enough_everywhere() -> None:
    assert len(CHANGES) >= 120
    assert all(len(changes) >= 20 for changes in PACKAGES.values())
    assert sum(map(len, PACKAGES.values())) == len(CHANGES)  # none is of another package
    assert len({(each.file, each.old, each.new) for each in CHANGES}) == len(CHANGES)
    assert all(each.what and each.tests for each in CHANGES)


def test_every_named_test_exists() -> None:
    sources: dict[str, str] = {}
    for node in {node for change in CHANGES for node in change.nodes}:
        path, _, name = node.partition("::")
        if path not in sources:
            sources[path] = (ROOT / path).read_text(encoding="utf-8")
        name = name.partition("[")[0]
        assert not name or re.search(rf"^def {name}\(", sources[path], re.M), node


def test_a_copy_is_what_is_imported_and_is_as_before_after_a_change(tmp_path: Path) -> None:
    scratch = Scratch.of(tmp_path)
    change = next(each for each in CHANGES if each.file == "compiler/lowering/legality.py")
    before = (ROOT / change.file).read_text(encoding="utf-8")
    with scratch.changed(change):
        done = scratch.python(
            "-c",
            "import zeroskip.compiler.lowering.legality as made, pathlib; "
            "print(pathlib.Path(made.__file__).read_text())",
        )
    assert done.stdout.strip() == change.changed(before).strip()
    assert (scratch.root / change.file).read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("tests", "equivalent", "outcome"),
    [("fails", "", "noticed"), ("passes", "", "survived"), ("passes", "because", "equivalent")],
)
def test_outcomes_are_those_of_the_tests(
    tmp_path: Path, tests: str, equivalent: str, outcome: str
) -> None:
    """In a tree of one file and two tests, of which the change makes one fail."""
    scratch = tiny(tmp_path)
    change = Change("compiler/one.py", "two", "1", "2", f"test_one.py::test_{tests}", equivalent)
    judged = judge(scratch, change)
    assert (judged.outcome, "test_fails" in judged.by) == (outcome, tests == "fails")
    assert (scratch.root / change.file).read_text() == "ONE = 1\n"
    assert "| compiler | 1 |" in outcomes([judged])


def test_tests_that_are_not_there_say_nothing(tmp_path: Path) -> None:
    change = Change("compiler/one.py", "two", "1", "2", "test_one.py::test_none")
    with pytest.raises(CampaignError, match="test_none"):
        judge(tiny(tmp_path), change)


def tiny(folder: Path) -> Scratch:
    for name in ("tree/compiler", "tree/tests", "tree/zeroskip"):
        (folder / name).mkdir(parents=True)
    (folder / "tree/zeroskip/__init__.py").touch()
    (folder / "tree/zeroskip/compiler").symlink_to("../compiler")
    (folder / "tree/compiler/one.py").write_text("ONE = 1\n")
    (folder / "tree/conftest.py").write_text((ROOT / "conftest.py").read_text())
    (folder / "tree/tests/test_one.py").write_text(
        "from zeroskip.compiler.one import ONE\n\ndef test_fails():\n    assert ONE == 1\n\n"
        "def test_passes():\n    assert ONE\n"
    )
    return Scratch(folder / "tree", folder / "numba")
