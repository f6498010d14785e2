"""Changes to what reads TOSA, TFLite and PyTorch."""

from __future__ import annotations

from tests.mutants_code.change import Change

FLOATS = "relay_passes/test_torch_mlir.py"
READER = "relay_passes/test_tosa_reader.py"
TRIP = "compiler/test_tosa_round_trip.py"

TOSA: tuple[Change, ...] = (
    Change(
        "relay_passes/tosa/mlir_text.py",
        "strings without an end are given to the parser",
        """if match[0] == '"':""",
        "if False:",
        "compiler/test_mlir_program.py",
    ),
    Change(
        "relay_passes/tosa/mlir_text.py",
        "splats of any size are written out",
        "for sizes in splats) > MAX_SPLAT:",
        "for sizes in splats) > MAX_TEXT:",
        READER,
    ),
    Change(
        "relay_passes/tosa/arithmetic.py",
        "rounding twice moves all numbers up",
        "np.where(values >= 0, 1 << 30, -(1 << 30))",
        "np.where(values >= 0, 1 << 30, 1 << 30)",
        READER,
    ),
    Change(
        "relay_passes/tosa/build.py",
        "an average is taken where it differs in halves",
        "if not even and x.scale.zero in (None, zero):",
        "if x.scale.zero in (None, zero):",
        READER,
    ),
    Change(
        "relay_passes/tosa/build.py",
        "limits reach what others read of the layer",
        'if view.sole and hasattr(layer, "lo"):',
        'if hasattr(layer, "lo"):',
        READER,
    ),
    Change(
        "relay_passes/tosa/build.py",
        "weights of a flattened tensor stay in the text's order",
        "weight[:, places] = sums.weight[:, :, 0, 0]",
        "weight[:] = sums.weight[:, :, 0, 0]",
        READER,
    ),
    Change(
        "relay_passes/tosa/build.py",
        "another zero point is not made up for",
        "bias = sums.bias + (own - zero) * each",
        "bias = sums.bias + (zero - own) * each",
        READER,
    ),
    Change(
        "relay_passes/tosa/sums.py",
        "rounding twice is not told",
        "if rounds_twice(by.shift, by.double):",
        "if False:",
        READER,
    ),
    Change(
        "relay_passes/tosa/build.py",
        "slices begin at the first element",
        "indices[own] = tuple(range(start[axis], start[axis] + size[axis]))",
        "indices[own] = tuple(range(size[axis]))",
        READER,
    ),
    Change(
        "relay_passes/tosa/arithmetic.py",
        "another integer in twice as many sums as is said",
        "(1 << (int(each) - 30) for each",
        "(1 << (int(each) - 29) for each",
        READER,
    ),
    Change(
        "relay_passes/tosa/quantizers.py",
        "a text's scale is the reciprocal of its product's",
        "near = abs(float(own) * by - 1) < _NEAR",
        "near = False",
        FLOATS,
    ),
    Change(
        "relay_passes/tosa/quantizers.py",
        "halves may go either way",
        'lambda x: self._is(x, "tosa.equal", is_low, even),',
        'lambda x: self._is(x, "tosa.equal", is_low),',
        FLOATS,
    ),
    Change(
        "relay_passes/tosa/float_operators.py",
        "padding is written in TOSA's order",
        "pads=[top, left, bottom, right],\n        dilations",
        "pads=[top, bottom, left, right],\n        dilations",
        FLOATS,
    ),
    Change(
        "relay_passes/tosa/to_onnx.py",
        "shapes are not held to the text",
        "if op is not None and tuple(dim.dim_value for dim in dims) != op.result.type.shape:",
        "if False:",
        FLOATS,
    ),
    Change(
        "relay_passes/tosa/reader.py",
        "functions may call each other for ever",
        "if callee is None or depth >= MAX_DEPTH:",
        "if callee is None:",
        READER,
    ),
    Change(
        "relay_passes/tosa/read_tosa.py",
        "layers are not held to the text",
        "if level < (LEAST_DB if model.differences else np.inf):",
        "if level < -np.inf:",
        READER,
    ),
    Change(
        "relay_passes/tosa/elements.py",
        "parts of other sizes are joined",
        "if len(rests) != 1 or tuple(shape) != op.result.type.shape:",
        "if tuple(shape) != op.result.type.shape:",
        READER,
    ),
    Change(
        "relay_passes/tosa/syntax.py",
        "values may be read before they are made",
        "if any(each not in self._values for each in op.operands):",
        "if False:",
        READER,
    ),
    Change(
        "relay_passes/frontend/torch_names.py",
        "modules with others in them give their name away",
        "if first and module and module not in inner and alone[module, kind] == 1:",
        "if first and module and alone[module, kind] == 1:",
        "relay_passes/test_torch_names.py",
    ),
    Change(
        "relay_passes/frontend/torch_names.py",
        "layers are called by what was folded into them",
        "_weighted(node) or wanted",
        "wanted",
        "relay_passes/test_torch_names.py",
    ),
)
