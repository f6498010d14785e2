"""Windows and the images of a batch, which lie one below the other."""

from __future__ import annotations

import pytest

from zeroskip.compiler.ir.window import Window


@pytest.mark.parametrize(
    ("window", "stays"),
    [
        (Window((2, 2), (2, 2)), True),
        (Window((1, 3), (2, 1), pad=(0, 1)), True),  # columns do not matter
        (Window((2, 1), (2, 1), pad=(1, 0)), False),  # its first row is padding
        (Window((3, 3), (2, 2)), False),  # its last row would be the next image's
        (Window((2, 2), (1, 1)), False),  # seven rows: the next image's would be the eighth
    ],
)
def test_rows_of_several_images_are_rows_of_one(window: Window, stays: bool) -> None:
    made = 7 if window.stride == (1, 1) else 4
    assert window.stays_in_image(8, made) is stays
