"""Every operator that is converted, by its Relay name."""

from zeroskip.relay_passes.relay.operators import (
    convolution,
    elementwise,
    normalization,
    pooling,
    quantized,
    reduction,
    resize,
    shape,
)
from zeroskip.relay_passes.relay.operators.operation import Rule

OPERATORS: dict[str, Rule] = {
    **convolution.TABLE,
    **elementwise.TABLE,
    **normalization.TABLE,
    **pooling.TABLE,
    **quantized.TABLE,
    **reduction.TABLE,
    **resize.TABLE,
    **shape.TABLE,
}
