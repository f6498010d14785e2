"""A batch of images as one image: the same network, for a batch of 1.

A graph says nowhere that it treats the images of a batch alike, and it may not (a softmax over the
batch, a reshape that mixes images). So the form for one image is made by guess, and taken only if
it computes of every image of a random batch what the whole batch does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Index,
    input_name,
    origin,
    static_shape,
)
from zeroskip.relay_passes.frontend.shapes import infer_shapes

# Operators whose constant operand may hold a row for each image.
_ROWS = {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Concat", "Where", "PRelu"}
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
_SHAPED = {"Reshape": 1, "Expand": 1}  # the input that is a shape
_TRIALS = 8  # of a model that takes integers: so few of them agree by chance
_TOLERANCE = 1e-4  # of the largest element: sums in another order


def batch_of(model: onnx.ModelProto) -> int:
    """The leading axis that all inputs and outputs of a normalised model share; 1 if they do not,
    or there is none."""
    shapes = [static_shape(item) for item in (*model.graph.input, *model.graph.output)]
    sizes = {shape[0] if shape else 1 for shape in shapes}
    return sizes.pop() if len(sizes) == 1 and None not in shapes else 1


def for_one_image(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """The form of a normalised model for one image, and the images of its batch; the model itself
    and 1 if it has no batch or its images are not independent."""
    batch = batch_of(model)
    if batch == 1:
        return model, 1
    single = _reduced(model, batch)
    return (single, batch) if single is not None and _agrees(model, single, batch) else (model, 1)


def why_together(model: onnx.ModelProto) -> str:
    """Why the images of a batch, which ``for_one_image`` left together, cannot run one by one: a
    phrase that names the first node whose result depends on several of them."""
    batch = batch_of(model)
    found = _mixing(model, batch)
    if found is None:
        return "the model does not treat the images of a batch alike"
    return (
        f"node '{origin(found)}' ({found.op_type}) makes the images of a batch depend on each other"
    )


def _mixing(model: onnx.ModelProto, batch: int) -> onnx.NodeProto | None:
    """The first node of which one number changes with the first image and with the second."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    own = {item.name for item in model.graph.output}
    makers = {name: node for node in model.graph.node for name in node.output if name}
    watched.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in makers if name not in own
    )
    rng = np.random.default_rng(0)
    first = {item.name: _random(rng, item) for item in model.graph.input}
    other = {item.name: _random(rng, item) for item in model.graph.input}
    try:
        base, *changed = (
            _run(
                watched,
                {
                    name: np.concatenate([value[:n], other[name][n : n + 1], value[n + 1 :]])
                    for name, value in first.items()
                },
            )
            for n in (batch, 0, 1)
        )
    except Exception:  # onnxruntime's own, of what it cannot run
        return None
    names = [item.name for item in watched.graph.output]
    mixed = {
        name
        for name, *values in zip(names, base, *changed, strict=True)
        if ((values[0] != values[1]) & (values[0] != values[2])).any()
    }
    return next((node for name, node in makers.items() if name in mixed), None)


def _reduced(model: onnx.ModelProto, batch: int) -> onnx.ModelProto | None:
    """The model with a leading axis of 1 wherever it says the batch; None if shapes contradict."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph, index = made.graph, Index.of(made)
    for item in graph.input:
        item.type.tensor_type.shape.dim[0].dim_value = 1
    for node in graph.node:
        if node.domain not in DEFAULT_DOMAINS:
            continue
        places = (
            [_SHAPED[node.op_type]]
            if node.op_type in _SHAPED
            else (range(len(node.input)) if node.op_type in _ROWS else [])
        )
        for place in places:
            value = index.constant(input_name(node, place))
            smaller = (
                None
                if value is None
                else (
                    _shape_of_one(value, batch)
                    if node.op_type in _SHAPED
                    else _row_of_one(value, batch, len(index.shape(node.output[0]) or ()))
                )
            )
            if smaller is not None:
                # A constant that others read is theirs as it is.
                name = f"{node.input[place]}/{node.name}/one"
                graph.initializer.append(numpy_helper.from_array(smaller, name))
                node.input[place] = name
    wanted = {item.name: static_shape(item) for item in graph.output}
    del graph.value_info[:]
    for item in graph.output:
        item.type.tensor_type.ClearField("shape")
    try:
        infer_shapes(made)
    except Exception:  # whatever ONNX says of shapes that do not fit: the guess was wrong
        return None
    fits = all(static_shape(item) == (1, *(wanted[item.name] or ())[1:]) for item in graph.output)
    return made if fits else None


def _shape_of_one(shape: np.ndarray, batch: int) -> np.ndarray | None:
    """A shape that begins with the batch, or with a multiple of it, divided by it."""
    if shape.ndim != 1 or not shape.size or shape[0] <= 0 or shape[0] % batch:
        return None
    return np.concatenate([shape[:1] // batch, shape[1:]])


def _row_of_one(value: np.ndarray, batch: int, rank: int) -> np.ndarray | None:
    """The row that a constant holds for every image."""
    if value.ndim != rank or value.ndim < 1 or len(value) != batch or (value != value[:1]).any():
        return None
    return value[:1]


def _agrees(model: onnx.ModelProto, single: onnx.ModelProto, batch: int) -> bool:
    """Whether every image of random batches has the results that it has by itself."""
    rng = np.random.default_rng(0)
    floats = all(item.type.tensor_type.elem_type in _FLOATS for item in model.graph.input)
    return all(_agrees_once(model, single, batch, rng) for _ in range(1 if floats else _TRIALS))


def _agrees_once(
    model: onnx.ModelProto, single: onnx.ModelProto, batch: int, rng: np.random.Generator
) -> bool:
    inputs = {item.name: _random(rng, item) for item in model.graph.input}
    try:
        whole = _run(model, inputs)
        alone = [
            _run(single, {name: value[n : n + 1] for name, value in inputs.items()})
            for n in range(batch)
        ]
    except Exception:  # onnxruntime's own, of what it cannot run: then nothing is known
        return False
    return all(
        _close(want, np.concatenate(parts))
        for want, parts in zip(whole, zip(*alone, strict=True), strict=True)
    )


def _close(want: np.ndarray, got: np.ndarray) -> bool:
    largest = float(np.abs(want.astype(np.float64)).max(initial=0))
    coarse = float(np.finfo(want.dtype).eps) if want.dtype.kind == "f" else 0.0
    room = max(_TOLERANCE, 2 * coarse) * largest if want.dtype.kind == "f" else 0.0
    return want.shape == got.shape and bool(
        np.allclose(want.astype(np.float64), got.astype(np.float64), rtol=0, atol=room)
    )


def _random(rng: np.random.Generator, item: onnx.ValueInfoProto) -> Any:
    shape = static_shape(item) or ()
    dtype = helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)  # small enough to be an index


def _run(model: onnx.ModelProto, inputs: Mapping[str, Any]) -> list[np.ndarray]:
    import onnxruntime  # only where there is a batch

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    made = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(each) for each in made.run(None, dict(inputs))]
