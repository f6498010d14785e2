"""Changes to ``compiler/mlir`` and to what feeds it."""

from __future__ import annotations

from tests.mutants_code.change import Change

MLIR: tuple[Change, ...] = (
    Change(
        "compiler/mlir/program_text.py",
        "the youngest token is taken",
        "return queue.popleft()",
        "return queue.pop()",
        "compiler/test_mlir_program.py",
    ),
    Change(
        "compiler/mlir/program_text.py",
        "the first layer and tile are not written",
        "in places.items() if value >= 0",
        "in places.items() if value > 0",
        "compiler/test_mlir_program.py",
    ),
    Change(
        "compiler/mlir/attributes.py",
        "quotes within a string are not escaped",
        """and byte not in b'"\\\\'""",
        "and byte not in b'\\\\'",
        "compiler/test_mlir_program.py",
    ),
    Change(
        "compiler/mlir/program_reader.py",
        "tokens may be taken in any order",
        "if number != turn:",
        "if number < turn:",
        "compiler/test_mlir_program.py",
    ),
    Change(
        "compiler/mlir/program_reader.py",
        "a field of any integer type is taken",
        "not isinstance(value, IntegerAttr) or str(value.type) != kind",
        "not isinstance(value, IntegerAttr)",
        "compiler/test_mlir_program.py",
    ),
    Change(
        "compiler/mlir/program_reader.py",
        "what is no field is passed over",
        "        if given:\n",
        "        if False:\n",
        "compiler/test_mlir_program.py",
    ),
    Change(
        "compiler/mlir/tosa_values.py",
        "columns are padded as rows are",
        "[begins[0], ends[0], begins[1], ends[1]]",
        "[begins[0], ends[0], begins[0], ends[0]]",
        "compiler/test_golden.py compiler/test_tosa.py",
    ),
    Change(
        "compiler/mlir/tosa_values.py",
        "uint8 keeps its zero point",
        'return tensor.zero_point - UNSIGNED * (tensor.dtype == "uint8")',
        "return tensor.zero_point",
        "compiler/test_golden.py compiler/test_tosa.py",
    ),
    Change(
        "compiler/mlir/linalg.py",
        "halves are rounded up",
        "(1 << (shift - dropped - 1)) - 1",
        "(1 << (shift - dropped - 1))",
        "compiler/test_golden.py",
    ),
    Change(
        "compiler/artifact/own_programs.py",
        "the host calls the network's own programs",
        "return constant if other is None else make_const(other)",
        "return constant",
        "runtime/test_mlir_cli.py",
    ),
    Change(
        "compiler/artifact/own_programs.py",
        "a program for another accelerator is taken",
        "if program.fingerprint != network.spec.fingerprint:",
        "if False:",
        "runtime/test_mlir_cli.py",
    ),
)
