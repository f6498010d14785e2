"""Makes the golden; only for someone who has TensorFlow.

    python3.11 -m venv tf-alive
    tf-alive/bin/pip install tensorflow-cpu==2.21.0 tosa-converter-for-tflite==2026.2.0
    tf-alive/bin/python tests/relay_passes/tflite_goldens/make.py

``mobile.tflite`` is a network of MobileNetV2's blocks with randomised statistics, quantized to
int8; ``mobile.mlir`` is it as TOSA, with its names; ``mobile.npz`` has images and what TFLite makes
of them: by its reference kernels, by those it takes without delegates, and by XNNPACK, its default.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tosa_converter_for_tflite import (
    TosaConverterDebugInfo,
    TosaConverterOutputFormat,
    tflite_flatbuffer_to_tosa_mlir,
)

HERE = Path(__file__).parent
IMAGES = 32
KERNELS = {
    "reference": "BUILTIN_REF",
    "plain": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "xnnpack": "AUTO",
}

layers = tf.keras.layers


def block(x: Any, filters: int, stride: int, expand: int) -> Any:
    """An inverted residual block."""
    channels = x.shape[-1]
    y = normalised(layers.Conv2D(channels * expand, 1, use_bias=False)(x), True)
    if stride == 2:
        y = layers.ZeroPadding2D(((0, 1), (0, 1)))(y)
    padding = "same" if stride == 1 else "valid"
    y = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False)(y)
    y = normalised(layers.Conv2D(filters, 1, use_bias=False)(normalised(y, True)), False)
    return layers.Add()([x, y]) if stride == 1 and channels == filters else y


def normalised(x: Any, relu: bool) -> Any:
    y = layers.BatchNormalization()(x)
    return layers.ReLU(6.0)(y) if relu else y


def network(rng: np.random.Generator) -> Any:
    image = layers.Input((32, 32, 3), batch_size=1, name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = block(normalised(x, True), 8, 1, 2)
    x = block(block(x, 16, 2, 3), 16, 1, 3)
    x = layers.Concatenate()([layers.MaxPool2D(2)(x), layers.AveragePooling2D(2)(x)])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(48, 1, activation="relu")(x))
    model = tf.keras.Model(image, layers.Dense(10)(x))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, shape),
                    rng.normal(0, 0.3, shape),
                    rng.normal(0, 0.2, shape),
                    rng.uniform(0.3, 1.2, shape),
                ]
            )
    return model


def images(rng: np.random.Generator, count: int) -> np.ndarray:
    """Noise with the low frequencies of pictures."""
    return (np.cumsum(rng.uniform(-1, 1, (count, 32, 32, 3)), axis=1) / 4).astype(np.float32)


def outputs(kernels: str, given: np.ndarray) -> np.ndarray:
    """What TFLite makes of int8 images."""
    kind = getattr(tf.lite.experimental.OpResolverType, kernels)
    run = tf.lite.Interpreter(str(HERE / "mobile.tflite"), experimental_op_resolver_type=kind)
    run.allocate_tensors()
    (entry,), (leave,) = run.get_input_details(), run.get_output_details()
    found = []
    for image in given:
        run.set_tensor(entry["index"], image[None])
        run.invoke()
        found.append(run.get_tensor(leave["index"])[0])
    return np.array(found)


def main() -> None:
    tf.keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(network(rng))
    samples = images(rng, 64)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (HERE / "mobile.tflite").write_bytes(converter.convert())
    os.chdir(HERE)  # its text names the path
    tflite_flatbuffer_to_tosa_mlir(
        "mobile.tflite",
        "mobile.mlir",
        TosaConverterOutputFormat.Text,
        TosaConverterDebugInfo.Enable,
    )
    run = tf.lite.Interpreter(str(HERE / "mobile.tflite"))
    scale, zero = run.get_input_details()[0]["quantization"]
    given = np.clip(np.round(images(rng, IMAGES) / scale) + zero, -128, 127).astype(np.int8)
    found = {name: outputs(kernels, given) for name, kernels in KERNELS.items()}
    np.savez_compressed(HERE / "mobile.npz", allow_pickle=False, image=given, **found)


if __name__ == "__main__":
    main()
