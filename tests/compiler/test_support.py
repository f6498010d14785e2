"""What the accelerator takes: each number at its edge, and one beyond it."""

from __future__ import annotations

import numpy as np

from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.support import supports
from zeroskip.relay_passes.integer_layers import Dense, MaxPool, QTensor

refused = supports(load_spec("dense256"))


def dense(bias: int) -> Dense:
    one = np.ones(1, np.int32)
    return Dense(x=QTensor((1, 2), "int8", 0), y=QTensor((1, 1), "int8", 0),
                 weight=np.array([[100, -27]], np.int8), bias=one * np.int32(bias), mult=one,
                 shift=one, lo=-128, hi=127)


def pool(size: int, kernel: int, stride: int, before: int, after: int) -> MaxPool:
    outputs = (size + before + after - kernel) // stride + 1
    return MaxPool(x=QTensor((1, 1, size), "int8", 0), y=QTensor((1, 1, outputs), "int8", 0),
                   kernel=(kernel,), strides=(stride,), padding=(before, after), dilation=(1,),
                   lo=-128, hi=127)


def test_a_sum_may_reach_the_last_number_of_32_bits() -> None:
    """Inputs less their zero point reach 255 in size, weights 127 together."""
    last = (1 << 31) - 1 - 127 * 255
    assert refused(dense(last)) is None
    assert refused(dense(last + 1)) is not None
    assert refused(dense(-last - 1)) is not None


def test_windows_of_padding_alone_stay_on_the_cpu() -> None:
    assert refused(pool(4, 2, 1, 1, 1)) is None
    assert refused(pool(4, 2, 1, 2, 0)) is not None
    assert refused(pool(4, 2, 1, 0, 2)) is not None


def test_kernels_and_steps_at_their_limits() -> None:
    assert refused(pool(600, 511, 1, 0, 0)) is None
    assert refused(pool(600, 512, 1, 0, 0)) is not None
    assert refused(pool(600, 2, 127, 0, 0)) is None
    assert refused(pool(600, 2, 128, 0, 0)) is not None
