"""What all tests of the project share, beside the options of ``conftest.py`` above."""

from __future__ import annotations

import pytest

from tests.compiled_once import compile_once
from zeroskip.relay_passes.relax import cpu


@pytest.fixture(scope="session", autouse=True)
def _modules_compiled_once() -> None:
    cpu._compile = compile_once
