"""docs/CHECKS.md says what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from zeroskip.compiler.artifact.placement import Placement
from zeroskip.relay_passes import import_check
from zeroskip.relay_passes.frontend import layout_axes, layout_rules, noops, normalise

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "CHECKS.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
WORDS = set(re.findall(r"`(\w+)`", SECTIONS["What is rewritten"]))


def test_every_step_of_the_normalisation_is_in_the_table() -> None:
    source = Path(normalise.__file__).read_text(encoding="utf-8")
    steps = set(re.findall(r"from zeroskip\.relay_passes\.frontend\.(\w+) import", source))
    rows = re.findall(r"^\| `(\w+)` \|", SECTIONS["What is rewritten"], re.MULTILINE)
    assert steps - set(rows) == {"editing", "limits"}  # no rewrites
    assert set(rows) <= steps


def test_every_operator_that_is_removed_or_moved_is_named() -> None:
    plain = {
        *layout_rules.ELEMENTWISE,
        *layout_axes.REDUCING,
        *layout_rules.MOVES,
    }  # "elementwise ones, the reductions"
    assert layout_rules.RULES.keys() - plain <= WORDS
    assert noops.SOURCES.keys() - {"Cast"} <= WORDS


@pytest.mark.parametrize("limit", ["FLOAT_DB", "QUANTIZED_DB", "HALF_DB"])
def test_limits_of_the_import_are_those_of_the_code(limit: str) -> None:
    assert f"{getattr(import_check, limit):.0f} dB" in PAGE


def test_the_json_of_a_placement_is_listed() -> None:
    for each in fields(Placement):
        assert f"`{each.name}`" in SECTIONS["What stays on the CPU"]
