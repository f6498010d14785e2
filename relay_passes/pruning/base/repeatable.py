"""The same bits whatever the number of threads.

A threaded BLAS cuts a product into other pieces for another number of threads, and sums that are
taken in another order round differently: weights that are fitted by such sums, and masks that are
chosen by them, would depend on the computer's cores and on what ``OMP_NUM_THREADS`` says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def repeatable(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: within the function BLAS and LAPACK work in one thread."""

    @wraps(function)
    def single(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return single
