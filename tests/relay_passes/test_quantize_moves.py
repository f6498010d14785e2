"""Float operators that only move data become gathers and depth to space, in the scale they read."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.relay_passes.onnx_oracle import parse
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.integer.layers import (
    AvgPoolLayer,
    ConcatLayer,
    ConvLayer,
    DepthToSpaceLayer,
    GatherLayer,
    Layer,
    MaxPoolLayer,
)
from zeroskip.relay_passes.integer.relax_functions import is_integer_layer, read_layer
from zeroskip.relay_passes.quantize.fold_shuffles import FoldShuffles
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.quantize.scales import Range
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.rewriting import bindings, op_name
from zeroskip.runtime.execution.validation import validate

NUMBERS = {
    "r1": [1, 2, 4, 6, 4],
    "r2": [1, 8, 6, 4],
    "block": [1, 8, 3, 2, 2, 2],
    "packed": [1, 32, 3, 2],
    "flat": [2, 4, 24],
    "between": [0, 0, 1, 2, 2, 3],
    "begin": [5, 1],
    "end": [-99, 3],
    "axes": [2, 3],
    "step": [-2, 1],
    "halves": [4, 4],
    "zero": [0],
    "three": [3],
    "last": [3],
    "around": [0, 0, 1, 0, 0, 0, 2, 3],
}
BODIES = {
    "resize": 'm = Resize <mode = "nearest"> (a, , s)',
    "resize by 3/2": "m = Gather <axis = 3> (a, between)",
    "slice": "m = Slice (a, begin, end, axes, step)",
    "slice of a shuffle": """b = Reshape (a, r1) c = Transpose <perm = [0, 2, 1, 3, 4]> (b)
      d = Reshape (c, r2) m = Slice (d, begin, end, axes, step)""",
    "pad by edges": 'm = Pad <mode = "edge"> (a, around)',
    "pad by zeros": "b = Pad (a, around) m = MaxPool <kernel_shape = [2, 2]> (b)",
    "split": "low, high = Split <axis = 1> (a, halves) m = Add (low, high)",
    "shuffle": "b = Reshape (a, r1) c = Transpose <perm = [0, 2, 1, 3, 4]> (b) m = Reshape (c, r2)",
    "shuffle of a flat image": """b = Reshape (a, flat) c = Transpose <perm = [1, 0, 2]> (b)
      m = Reshape (c, r2)""",
    "turned pixels": """b = Reshape (a, flat) c = Transpose <perm = [0, 2, 1]> (b)
      m = Reshape (c, r2)""",
    "depth to space": "m = DepthToSpace <blocksize = 2> (a)",
    "columns first": 'm = DepthToSpace <blocksize = 2, mode = "CRD"> (a)',
    "space to depth": "m = SpaceToDepth <blocksize = 2> (a)",
    "pixel unshuffle": """b = Reshape (a, block) c = Transpose <perm = [0, 1, 3, 5, 2, 4]> (b)
      m = Reshape (c, packed)""",
    "transposed convolution": "m = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1]> (a, t)",
}
KINDS: dict[str, list[type[Layer]]] = {
    "resize": [GatherLayer],
    "slice of a shuffle": [GatherLayer],
    "pad by edges": [GatherLayer],
    "pad by zeros": [AvgPoolLayer],
    "slice": [GatherLayer],
    "shuffle": [GatherLayer],
    "shuffle of a flat image": [GatherLayer],
    "depth to space": [DepthToSpaceLayer],
    "columns first": [GatherLayer, DepthToSpaceLayer],
    "space to depth": [*[GatherLayer] * 4, ConcatLayer],
    "pixel unshuffle": [*[GatherLayer] * 4, ConcatLayer, GatherLayer],
    "transposed convolution": [DepthToSpaceLayer, GatherLayer],
}


def network(body: str, rng: np.random.Generator, behind: int = 0) -> onnx.ModelProto:
    """A convolution, a move of its result [1, 8, 6, 4], and one of ``behind`` channels behind."""
    last = "y = Conv (m, w2)" if behind else "y = Identity (m)"
    kernels = {
        "w": (8, 3, 1, 1),
        "t": (8, 8, 3, 3),
        "t2": (4, 2, 2, 3),
        "w8": (8, 8, 1, 1),
        "w4": (8, 4, 1, 1),
        **({"w2": (5, behind, 1, 1)} if behind else {}),
    }
    constants: dict[str, Any] = {
        **{name: rng.standard_normal(shape).astype(np.float32) for name, shape in kernels.items()},
        **{name: np.array(value, np.int64) for name, value in NUMBERS.items()},
        "s": np.array([1, 1, 2, 3], np.float32),
    }
    return parse(
        f"net (float[1, 3, 6, 4] x) => (float y) {{ c1 = Conv (x, w) a = Relu (c1) {body} {last} }}",
        **constants,
    )


@pytest.mark.parametrize("name", KINDS)
def test_moves_are_layers_in_the_scale_they_read(name: str) -> None:
    module = import_float(network(BODIES[name], np.random.default_rng(0)), {})
    names = [str(b.var.name) for b in bindings(module["main"])]
    ranges = {each: Range(-3.0, 5.0) for each in [*names, "x"]}
    made = QuantizeInt8(ranges=ranges)(module)
    found = [
        read_layer(made[b.value.op])
        for b in bindings(made["main"])
        if hasattr(b.value, "op") and b.value.op in made.functions
    ]
    assert all(
        is_integer_layer(func) for v, func in made.functions.items() if v.name_hint != "main"
    )
    moves = [type(each) for each in found if not isinstance(each, ConvLayer | MaxPoolLayer)]
    assert moves == KINDS[name]
    assert len({(each.y.dtype, each.y.zero_point) for each in found}) == 1


@pytest.mark.parametrize(
    "body",
    [
        "y = Slice (v, zero, three, zero)",  # of a vector
        "b = Gather <axis = 0> (m, zero) y = Relu (b)",  # along the batch
        "b = Reshape (m, r3) c = Transpose <perm = [1, 0, 2]> (b) y = Reshape (c, r4)",
    ],
)
def test_what_is_no_layers_move_stays_float(body: str) -> None:
    model = parse(
        f"net (float[4] v, float[1, 2, 4, 4] m) => (float y) {{ {body} }}",
        **{name: np.array(NUMBERS[name], np.int64) for name in ("zero", "three")},  # type: ignore[arg-type]  # opset is not among them
        r3=np.array([2, 4, 4], np.int64),
        r4=np.array([4, 8], np.int64),
    )
    module = import_float(model, {})
    ranges = {str(b.var.name): Range(-1.0, 1.0) for b in bindings(module["main"])}
    made = QuantizeInt8(ranges={**ranges, "v": Range(-1.0, 1.0), "m": Range(-1.0, 1.0)})(module)
    assert not any(map(is_integer_layer, made.functions.values()))


def test_another_order_of_pixels_is_no_shuffle() -> None:
    compiled = compile_network(
        network(BODIES["turned pixels"], np.random.default_rng(0)), "dense256"
    )
    assert any("Transpose" in reason for reason in compiled.cpu.values())


def test_every_move_is_one_region_and_exact() -> None:
    """All of them behind one another: on the accelerator, bit by bit TVM's."""
    rng = np.random.default_rng(4)
    body = " ".join(
        [
            BODIES["shuffle"].replace(" m =", " a1 ="),
            'a2 = DepthToSpace <blocksize = 2, mode = "CRD"> (a1)',
            "a3 = SpaceToDepth <blocksize = 2> (a2)",
            "low, high = Split <axis = 1> (a3, halves)",
            'up = Resize <mode = "nearest"> (low, , s)',
            "wide = ConvTranspose <strides = [2, 3]> (high, t2)",
            "m0 = Concat <axis = 1> (up, wide)",
            "m = Slice (m0, begin, end, axes, step)",
        ]
    )
    model = network(body, rng, behind=6)
    images = rng.standard_normal((16, 3, 6, 4)).astype(np.float32)
    compiled = compile_network(model, "sparse256", calibrate={"x": images})
    assert compiled.cpu == {}
    assert len(compiled.programs) == 1
    judged = validate(compiled, {"x": images[:1]})
    assert judged.exact, judged.text()
    assert judged.snr_db["y"] > 20


@pytest.mark.parametrize("name", ["resize", "depth to space"])
def test_a_normalisation_behind_a_move_is_a_layer(name: str) -> None:
    rng = np.random.default_rng(3)
    body = BODIES[name].replace(" m =", " n =").removeprefix("m =")
    body = (
        body if " n =" in f" {body}" else f"n ={body}"
    ) + " p = Mul (n, scale) o = Add (p, shift) m = Relu (o)"
    channels = 2 if name == "depth to space" else 8
    model = network(body, rng, behind=channels)
    for role in ("scale", "shift"):
        values = rng.uniform(0.5, 1.5, (1, channels, 1, 1)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, role))
    compiled = compile_network(model, "sparse256")
    assert compiled.cpu == {}
    assert len(compiled.programs) == 1


def test_a_shuffle_goes_into_the_weights_that_read_it() -> None:
    """One reader is a convolution of it, one of a slice of it, one no convolution."""
    body = " ".join(
        [
            BODIES["shuffle"].replace(" m =", " s2 ="),
            "low, high = Split <axis = 1> (s2, halves)",
            "both = Conv (s2, w8) half = Conv (high, w4) rest = MaxPool <kernel_shape = [1, 2]> (low)",
            "sum = Add (both, half) cut = Slice (sum, zero, three, last)",
            "m = Concat <axis = 1> (cut, rest)",
        ]
    )
    rng = np.random.default_rng(8)
    model = network(body, rng)
    module = import_float(model, {})
    folded = FoldShuffles()(module)
    names = [op_name(b.value) for b in bindings(folded["main"])]
    assert "relax.permute_dims" not in names
    assert names.count("relax.take") == 1
    x = rng.standard_normal((1, 3, 6, 4)).astype(np.float32)
    for mine, theirs in zip(
        run_cpu(compile_for_cpu(folded), "main", [x]),
        run_cpu(compile_for_cpu(module), "main", [x]),
        strict=True,
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
