"""What all tests of the project share, beside the options of ``conftest.py`` above."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.compiled_once import compile_once
from zeroskip.relay_passes.relax import cpu


@pytest.fixture(scope="session", autouse=True)
def _modules_compiled_once() -> None:
    cpu._compile = compile_once


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium: the system's, or else the one that `playwright install chromium` fetched."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        found = tool.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield found
        found.close()
