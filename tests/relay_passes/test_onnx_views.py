"""Views against numpy."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroskip.relay_passes.frontend.views import (
    View,
    apply,
    axes_of,
    identity,
    inverse,
    reshaped,
    row_order,
    transpose_first,
    transposed,
)

SIZES = st.sampled_from([1, 1, 2, 3, 4, 6])


@given(st.data())
@settings(derandomize=True, deadline=None, max_examples=150)
def test_a_view_is_what_numpy_makes_of_the_same_steps(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(SIZES, min_size=1, max_size=4)))
    x = np.arange(math.prod(shape)).reshape(shape)
    view, y = identity(shape), x
    for _ in range(data.draw(st.integers(1, 5))):
        if data.draw(st.booleans()):
            drawn = data.draw(st.permutations(range(y.ndim)))
            made = transposed(view, drawn)
            if made is None:
                break
            view, y = made, y.transpose(drawn)
        else:
            sizes: list[int] = []
            left = y.size
            for _ in range(data.draw(st.integers(0, 3))):
                sizes.append(
                    data.draw(st.sampled_from([n for n in range(1, left + 1) if left % n == 0]))
                )
                left //= sizes[-1]
            view, y = reshaped(view, [*sizes, left]), np.reshape(y, [*sizes, left])
    assert np.array_equal(apply(view, x), y)
    assert np.array_equal(apply(inverse(view, shape), y), x)
    assert view.moves == (not np.array_equal(x.reshape(-1), y.reshape(-1)))
    axes, perm = axes_of(view, shape), transpose_first(view, shape)
    assert axes is None or np.array_equal(x.reshape(axes.shape).transpose(axes.perm), y)
    assert perm is None or np.array_equal(x.transpose(perm).reshape(y.shape), y)
    order = row_order(view) if y.ndim == 2 else None
    if order is not None:
        for before, after in zip(x.reshape(y.shape), y, strict=True):
            assert np.array_equal(apply(order, before), after)


def test_a_shape_of_more_elements_than_there_are_has_no_axes() -> None:
    """As a model whose shapes contradict each other gives."""
    assert axes_of(View((2, 3), (1, 0), (3, 2, 4)), (2, 3)) is None
