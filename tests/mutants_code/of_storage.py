"""Changes to what follows from storage in 16 bits."""

from __future__ import annotations

from tests.mutants_code.change import Change

TARGET = "accel_model/test_storage.py"
NETWORKS = "compiler/test_storage.py"
COMMANDS = "runtime/test_storage.py"
VALUES = "accel_model/test_int16.py"
QUANTIZE = "relay_passes/test_quantize.py"

STORAGE: tuple[Change, ...] = (
    Change(
        "accel_model/spec.py",
        "a row of ACT has 16 bytes whatever is stored in it",
        "return ACT_ROW * self.storage.activation_bytes",
        "return ACT_ROW",
        TARGET,
    ),
    Change(
        "accel_model/storage.py",
        "storage in 8 bits makes another target where it is said",
        "        if self == IN_BYTES:\n",
        "        if self is IN_BYTES:\n",
        TARGET,
    ),
    Change(
        "accel_model/physics/part.py",
        "a port passes as many elements as it has bytes",
        "port.uses / port.unit",
        "port.uses",
        TARGET,
    ),
    Change(
        "accel_model/physics/common.py",
        "weights are multiplied with 8 bits however wide they are",
        "cells.multiplier(bits.weight, bits.entry)",
        "cells.multiplier(8, bits.entry)",
        TARGET,
    ),
    Change(
        "accel_model/execute/moves.py",
        "a move touches half of what it moves in DRAM",
        "        one.bytes * element_bytes,\n",
        "        one.bytes,\n",
        TARGET,
    ),
    Change(
        "accel_model/execute/moves.py",
        "a move may begin within an activation",
        "if any(at % wide for at in",
        "if any(at % 1 for at in",
        TARGET,
    ),
    Change(
        "accel_model/formats/wide.py",
        "the upper byte of a negative weight is 0",
        "        sign = np.where(groups[:, places.before] > 127, 255, 0)\n        made[",
        "        sign = np.where(groups[:, places.before] > 255, 255, 0)\n        made[",
        TARGET,
    ),
    Change(
        "accel_model/formats/wide.py",
        "the upper bytes of weights are not looked at",
        "!= sign).any():",
        "!= sign).all():",
        TARGET,
    ),
    Change(
        "accel_model/formats/step.py",
        "padding that is as long as a pair is one",
        "            count -= 1\n",
        "            count -= 0\n",
        TARGET,
    ),
    Change(
        "accel_model/timing/row_unit.py",
        "WGT gives a word of a kernel in a cycle however wide weights are",
        "    return -(-words // weight_bytes)",
        "    return words",
        "campaigns/test_cycles.py::test_networks_of_16_bits_agree_in_every_moment",
    ),
    Change(
        "accel_model/program/tensor_layout.py",
        "blocks of a tensor lie on each other",
        "BLOCK * block * self.pixels * self.element_bytes",
        "BLOCK * block * self.pixels",
        NETWORKS,
    ),
    Change(
        "compiler/codegen/program_builder.py",
        "a lane goes to neighbouring bytes",
        "            dram_pixel=self.wide,\n",
        "            dram_pixel=1,\n",
        NETWORKS,
    ),
    Change(
        "compiler/ir/layer_info.py",
        "inputs are bytes",
        "elements(touched) * element_bytes",
        "elements(touched)",
        NETWORKS,
    ),
    Change(
        "compiler/artifact/nested_packer.py",
        "weights of a file of levels are packed again with 8 bits",
        "program.spec.format.full_name",
        "program.spec.format.name",
        COMMANDS,
    ),
    Change(
        "runtime/experiments/settings.py",
        "widths cannot be set of a target that does not say them",
        ' and section != "storage":',
        ":",
        COMMANDS,
    ),
    Change(
        "accel_model/functional/kernels.py",
        "a product with a sum may wrap",
        "MOST_PRODUCT // (largest + 1):",
        "2 * MOST_PRODUCT // (largest + 1):",
        VALUES,
    ),
    Change(
        "accel_model/functional/pooling.py",
        "an average of many values may wrap",
        "if abs(mult) > MOST_PRODUCT // reach:",
        "if False:",
        VALUES,
    ),
    Change(
        "accel_model/execute/registers.py",
        "values of 16 bits have zero points and tables",
        'if name.removeprefix("mid_") in _OF_BYTES and getattr(one, name):',
        "if False:",
        VALUES,
    ),
    Change(
        "accel_model/memory/operand_window.py",
        "sums of 16-bit inputs are bounded by those of 8",
        "max(255, 2 * self.flip - 1)",
        "255",
        "compiler/test_int16.py",
    ),
    Change(
        "accel_model/program/program.py",
        "sums of 16-bit activations have 32 bits whatever the target has",
        "IN_BYTES.sum_bits if self.value_bytes == 1 else self.spec.storage.sum_bits",
        "IN_BYTES.sum_bits",
        "compiler/test_int16.py",
    ),
    Change(
        "compiler/codegen/registers.py",
        "a convolution's own result has the limits of the sum",
        "mid = clip if op.residual is None else op.residual.pre_add_clip",
        "mid = clip",
        "compiler/test_int16.py",
    ),
    Change(
        "relay_passes/quantize/scales.py",
        "int16 spans the range of both signs",
        "max(-lo, hi) / high if symmetric",
        "(hi - lo) / (2 * high) if symmetric",
        QUANTIZE,
    ),
)
