"""A slice of the table of ``make replay``."""

from __future__ import annotations

import pytest

from tests.campaigns.replay import TABLE, ReplayCase, cases, line

KNOWN = dict(zip(map(str, cases()), TABLE.read_text("utf-8").splitlines(), strict=True))


@pytest.mark.parametrize(
    "case",
    [
        ReplayCase("small with a node on the CPU", "sparse256", "none"),
        ReplayCase("depthwise", "dense256", "graph"),
        ReplayCase("joined", "pattern256", "tiny"),
    ],
    ids=str,
)
def test_programs_and_reports_are_those_of_the_table(case: ReplayCase) -> None:
    assert line(case) == KNOWN[str(case)], (
        "programs or figures changed; if that is meant, run make replay RENEW=1 and say why"
    )


def test_the_table_has_all_cases() -> None:
    assert all(text.startswith(f"{name} ") for name, text in KNOWN.items())
    assert len({ReplayCase(*name.split(", ")).network for name in KNOWN}) >= 10
