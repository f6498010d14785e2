"""Arm's reference model of TOSA, which is its specification in code, on single layers.

It pins an older numpy, so it has an environment of its own: ``make test-tosa`` makes it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.compiler.mlir_texts import ROOT
from tests.compiler.oracle import evaluate_layer
from tests.compiler.test_tosa import convolution, graph
from zeroskip.compiler.mlir.tosa import layer_text
from zeroskip.relay_passes.integer.layers import BOUNDS, DType, Layer, LookupLayer, QTensor

TOOLS = ROOT / "build" / "tosa" / "bin"


def lookup(x: DType, y: DType) -> LookupLayer:
    """A table of random values."""
    table = np.random.default_rng(1).integers(*BOUNDS[y], 256, endpoint=True).astype(y)
    shape = (1, 4, 8, 9)
    return LookupLayer(x=QTensor(shape, x, 0), y=QTensor(shape, y, 0), table=table)


LAYERS: dict[str, Layer] = {
    **{node.node: node.layer for node in graph().nodes},
    "limited sums": convolution(
        bias=np.array([2**31 - 300], np.int32), shift=np.array([20], np.int32)
    ),
    "small multipliers": convolution(
        x=QTensor((1, 1, 4, 4), "int8", 0),
        y=QTensor((1, 1, 4, 4), "int8", 0),
        mult=np.array([3], np.int32),
        shift=np.array([2], np.int32),
    ),
    "the steepest scale": convolution(
        x=QTensor((1, 1, 4, 4), "int8", 0),
        y=QTensor((1, 1, 4, 4), "int8", 0),
        mult=np.array([(1 << 31) - 1], np.int32),
        shift=np.array([1], np.int32),
    ),
    "no multiplier": convolution(mult=np.array([0], np.int32), shift=np.array([1], np.int32)),
    "padding alone": convolution(
        x=QTensor((1, 1, 1, 1), "int8", 7), padding=(1, 1, 0, 0), strides=(2, 2)
    ),
    "leftover columns": convolution(
        x=QTensor((1, 1, 5, 13), "uint8", 200),
        y=QTensor((1, 1, 3, 4), "int8", 0),
        weight=np.array([[[[1, -2], [3, 4], [-5, 6]]]], np.int8),
        strides=(2, 3),
        padding=(0, 0, 2, 0),
    ),
    "a table": lookup("int8", "int8"),
    "a table of uint8": lookup("uint8", "int8"),
    "a table to uint8": lookup("int8", "uint8"),
}
WRITTEN = {
    name: text
    for name in LAYERS
    if "linalg" not in (text := layer_text(LAYERS[name], "main", name))
}


def tool(*arguments: str) -> None:
    assert TOOLS.exists(), "make test-tosa makes the environment that this needs"
    command = [str(TOOLS / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-1000:]


def modeled(text: str, arrays: list[np.ndarray], folder: Path) -> np.ndarray:
    """What the model makes of these inputs: int8, the 8 bits of the result."""
    (folder / "layer.mlir").write_text(text, encoding="utf-8")
    file = f"{folder}/layer.tosa"
    tool(
        "tosa-opt", f"{folder}/layer.mlir", "--tosa-serialize", f"--tosa-flatbuffer-filename={file}"
    )
    for number, array in enumerate(arrays):
        np.save(folder / f"x{number}.npy", array.view(np.int8))
    numbers = range(len(arrays))
    tool(
        "tosa_reference_model",
        f"--tosa_file={file}",
        f"--ifm_name={','.join(f'TosaInput_{number}' for number in numbers)}",
        f"--ifm_file={','.join(f'{folder}/x{number}.npy' for number in numbers)}",
        "--ofm_name=TosaOutput_0",
        f"--ofm_file={folder}/y.npy",
    )
    made: np.ndarray = np.load(folder / "y.npy").astype(np.int8)
    return made


def drawn(layer: Layer) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(BOUNDS[x.dtype][0], BOUNDS[x.dtype][1] + 1, x.shape).astype(x.dtype)
        for x in layer.inputs
    ]


@pytest.mark.tosa
@pytest.mark.parametrize("name", WRITTEN)
def test_a_layer_is_that_of_the_model(name: str, tmp_path: Path) -> None:
    layer, arrays = LAYERS[name], drawn(LAYERS[name])
    made = modeled(WRITTEN[name], arrays, tmp_path)
    assert np.array_equal(made.view(layer.y.dtype), evaluate_layer(layer, arrays))


@pytest.mark.tosa
def test_another_rounding_is_noticed(tmp_path: Path) -> None:
    """Of values all over the range, by an eighth: DOUBLE_ROUND moves negative halves."""
    x = QTensor((1, 1, 16, 16), "int8", 0)
    layer = convolution(x=x, y=x, shift=np.array([33], np.int32))
    array = np.arange(-128, 128).astype(np.int8).reshape(x.shape)
    right = evaluate_layer(layer, [array])
    text = layer_text(layer, "main", "n")
    assert np.array_equal(modeled(text, [array], tmp_path), right)
    other = modeled(text.replace("SINGLE_ROUND", "DOUBLE_ROUND"), [array], tmp_path)
    assert not np.array_equal(other, right)


def test_what_the_model_is_given() -> None:
    """Each kind of layer but those that round to even."""
    kinds = {LAYERS[name].kind for name in LAYERS}
    assert {LAYERS[name].kind for name in WRITTEN} == kinds - {"add", "avgpool", "requantise"}
