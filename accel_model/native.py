"""Loops over plain arrays, compiled to machine code once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def native(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: numba compiles the function at its first call; its type stays what it says."""
    compiled: Callable[P, R] = numba.njit(cache=True, error_model="numpy")(function)
    return compiled


def native_in_any_order(function: Callable[P, R]) -> Callable[P, R]:
    """``native``, and sums of floats may be taken in any order."""
    compiled: Callable[P, R] = numba.njit(
        cache=True, error_model="numpy", fastmath={"reassoc", "contract"})(function)
    return compiled
