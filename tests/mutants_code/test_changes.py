"""The list of changes fits the code: each has its place, means something, and names tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutants_code.__main__ import Scratch
from tests.mutants_code.change import ROOT, Change
from tests.mutants_code.changes import CHANGES, PACKAGES


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: f"{each.file}: {each.what}")
def test_a_change_is_one(change: Change) -> None:
    text = (ROOT / change.file).read_text(encoding="utf-8")
    assert text.count(change.old) == 1
    assert change.meaning(change.changed(text)) != change.meaning(text)


def test_there_are_enough_everywhere() -> None:
    assert len(CHANGES) >= 120
    for package, changes in PACKAGES.items():
        assert len(changes) >= 20
        assert {change.package for change in changes} == {package}
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
    change = next(each for each in CHANGES if each.file == "compiler/support.py")
    before = (ROOT / change.file).read_text(encoding="utf-8")
    with scratch.changed(change):
        done = scratch.python("-c", "import zeroskip.compiler.support as made, pathlib; "
                              "print(pathlib.Path(made.__file__).read_text())")
    assert done.stdout.strip() == change.changed(before).strip()
    assert (scratch.root / change.file).read_text(encoding="utf-8") == before
