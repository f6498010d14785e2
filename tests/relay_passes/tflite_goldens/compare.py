"""How often the outputs of a TFLite network are the same, by who computes them; for measurements.

    pip install 'zeroskip[tflite]' ai-edge-litert==2.3.0
    python -m tests.relay_passes.tflite_goldens.compare NET.tflite [IMAGES]

Images are noise with the low frequencies of pictures. Also printed is in how many of all sums
within their limits rounding twice is another integer than rounding once, given the same inputs, and
in how many it should be by the shifts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.relay_passes.integer_texts import run_layers
from zeroskip.relay_passes.tosa import evaluate as meaning
from zeroskip.relay_passes.tosa import operators as of
from zeroskip.relay_passes.tosa.arithmetic import scaled
from zeroskip.relay_passes.tosa.reader import Reader
from zeroskip.relay_passes.tosa.syntax import Operation, read_module
from zeroskip.relay_passes.tosa.tflite import tflite_to_tosa

Ints = npt.NDArray[np.int64]
KERNELS = {"TFLite's default kernels": "AUTO", "TFLite's reference kernels": "BUILTIN_REF"}


class Sums:
    """Rescalings of int32 that are counted while a text is evaluated."""

    def __init__(self) -> None:
        self.all = self.off = 0
        self.expected = 0.0
        self._run = meaning.OPERATORS["tosa.rescale"]

    def rescale(self, op: Operation, operands: Sequence[Any], known: of.Constant) -> Any:
        y, by = self._run(op, operands, known), of.rescale(op, known)
        if by.double and op.operand(0).type.element == "i32" and op.result.type.element == "i8":
            values = operands[0].astype(np.int64)
            twice, once = (scaled(values, by.mult, by.shift, each) + by.zero_y for each in (1, 0))  # type: ignore[arg-type]
            within = (twice > by.low) & (twice < by.high)
            self.all += int(np.count_nonzero(within))
            self.off += int(np.count_nonzero((twice != once) & within))
            moved = np.where(by.shift > 31, 2.0 ** (30 - by.shift), 0)
            self.expected += float((np.broadcast_to(moved, within.shape) * within).sum())
        return y


def images(tflite: str, count: int) -> npt.NDArray[np.int8]:
    run = Interpreter(tflite)
    (entry,) = run.get_input_details()
    scale, zero = entry["quantization"]
    noise = np.random.default_rng(1).uniform(-1, 1, (count, *entry["shape"][1:]))
    given = np.round(noise.cumsum(axis=1) / 4 / scale) + zero
    return np.asarray(np.clip(given, -128, 127), np.int8)


def kernels(tflite: str, name: str, given: npt.NDArray[np.int8]) -> Ints:
    run = Interpreter(tflite, experimental_op_resolver_type=getattr(OpResolverType, name))
    run.allocate_tensors()
    (entry,), (leave,) = run.get_input_details(), run.get_output_details()
    found = []
    for image in given:
        run.set_tensor(entry["index"], image[None])
        run.invoke()
        found.append(run.get_tensor(leave["index"])[0].astype(np.int64))
    return np.array(found)


def main(tflite: str, count: int) -> None:
    given = images(tflite, count)
    module = read_module(tflite_to_tosa(Path(tflite).read_bytes(), tflite), tflite)
    reader, sums = Reader(module), Sums()
    with patch.dict(meaning.OPERATORS, {"tosa.rescale": sums.rescale}):
        text = [meaning.evaluate(module, [image[None]])[0][0] for image in given]
    found = {
        "layers here": np.array([run_layers(reader, [image[None]])[0][0] for image in given]),
        "the text, evaluated": np.array(text),
        **{name: kernels(tflite, kind, given) for name, kind in KERNELS.items()},
    }
    for (a, first), (b, second) in combinations(found.items(), 2):
        off = np.abs(first.astype(np.int64) - second)
        same = np.array_equal(first.argmax(axis=-1), second.argmax(axis=-1))
        classes = "the same classes" if same else "other classes"
        print(f"{a} and {b}: {np.count_nonzero(off == 0):,} of {off.size:,} equal, the others up to "
              f"{off.max()} steps off, {classes}")  # fmt: skip
    print(f"{sums.off:,} of {sums.all:,} sums differ, {sums.expected:,.0f} by their shifts")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8)
