"""A function of several images: what may not be done with their axis."""

from __future__ import annotations

import pytest

from tests.relay_passes.onnx_oracle import parse
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.relax.batch_images import BatchImages


def test_images_stay_along_the_first_axis() -> None:
    text = "net (float[1, 4] x) => (float y) { a = Relu (x) y = Transpose <perm = [1, 0]> (a) }"
    module = import_float(parse(text), {})
    with pytest.raises(
        PassError, match=r"Node '.*y.*' moves the images of a batch out of the first"
    ):
        BatchImages(2)(module)
