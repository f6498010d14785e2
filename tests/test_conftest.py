"""The table of seconds by file at the end of a run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import time
import pytest

@pytest.fixture(scope="module")
def slow():
    time.sleep({fixture})

@pytest.mark.parametrize("n", range(4))
def test_it(slow, n):
    time.sleep({test})
"""


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def test_seconds_of_files_with_their_fixtures(tmp_path: Path) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_a.py").write_text(TESTS.format(fixture=0.2, test=0))
    assert "seconds by file" not in run(tmp_path, "test_a.py")
    (tmp_path / "test_b.py").write_text(TESTS.format(fixture=0, test=0.1))
    table = run(tmp_path, "-n", "2", "--dist", "loadfile")
    rows = re.findall(r"^ *([\d.]+)  (test_.*|all .*)$", table, re.MULTILINE)
    seconds = {path: float(spent) for spent, path in rows}
    both = seconds.pop("all 2 files")
    assert seconds.keys() == {"test_a.py", "test_b.py"}
    assert list(seconds.values()) == sorted(seconds.values(), reverse=True)
    assert seconds["test_a.py"] >= 0.2
    assert seconds["test_b.py"] >= 0.4
    assert abs(sum(seconds.values()) - both) <= 0.2  # each is rounded
