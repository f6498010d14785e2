"""What the strides of transfers can say."""

from __future__ import annotations

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.program.tensor_layout import Tensor
from zeroskip.compiler.errors import CompileError

STRIDES = dict(isa.layout(isa.LoadShape))


def check_strides(tensor: Tensor) -> None:
    """CompileError if an image is larger than strides can say, which of those that the accelerator
    takes only one of 16-bit activations is."""
    pixel = isa.BLOCK * tensor.element_bytes
    row, block = pixel * tensor.spatial[1], pixel * tensor.pixels
    if row > STRIDES["dram_row"].high or block > STRIDES["dram_block"].high:
        raise CompileError(
            f"'{tensor.name}' has {' x '.join(map(str, tensor.spatial))} pixels, more than can be "
            f"addressed in {8 * tensor.element_bytes} bits each; take a target that stores activations "
            "in 8"
        )
