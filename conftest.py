"""Seeds of random tests are printed and can be given: SEED=n make test."""

import os
import random

import pytest

SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("hypothesisseed", None) is None:
        config.option.hypothesisseed = SEED


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed of hypothesis: {config.getoption('hypothesisseed', SEED)} (SEED=n repeats a run)"


@pytest.fixture
def seed() -> int:
    """For tests that draw random numbers of their own."""
    return SEED
