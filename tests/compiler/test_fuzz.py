"""A hundred random networks on random hardware; ``make fuzz N=...`` runs more."""

import pytest

from tests.compiler.fuzz import attempt

# Found by fuzzing: a store's last pixel beyond its tensor in a concatenation that ends in a ragged
# block, and a dense layer on a map too large to be a kernel.
FOUND = (7, 79)


@pytest.mark.parametrize("first", [*FOUND, *range(10_000, 10_100, 20)])
def test_random_networks_are_exact(first: int) -> None:
    for case in [first] if first in FOUND else range(first, first + 20):
        print(f"seed {case}")
        assert attempt(case) in ("exact", "too small")
