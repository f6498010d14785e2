"""Filters that cannot move their result by a step of its 8 bits become zeros.

Such weights (1e-11 beside a bias, in published networks) would get a scale of their own and so be
full integers, which the accelerator multiplies by for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tvm
from tvm import relax

from zeroskip.relay_passes.integer.fixed_point import BOUNDS, ActivationType
from zeroskip.relay_passes.pruning.base.layers import prunable_layers, with_weights
from zeroskip.relay_passes.quantize.float_graph import Scale
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.scales import Range, choose_scales, integer_groups
from zeroskip.relay_passes.relax.passes import Pass, function_pass


@function_pass("DropIdleFilters")
class DropIdleFilters(Pass):
    """Makes zeros of filters whose whole sum is less than half a step of their result for every
    input in range; what is left of their channel is its bias. The attribute ``zeroskip.pruned``
    says how many. ranges, activation_dtype: of the activations, as QuantizeInt8 takes them.
    """

    def __init__(
        self, ranges: Mapping[str, Range], activation_dtype: ActivationType = "int8"
    ) -> None:
        self.ranges, self.activation_dtype = ranges, activation_dtype

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        graph = read_graph(func)
        groups = integer_groups(func, graph, scaled=True)
        scales = choose_scales(func, graph, groups, self.ranges, self.activation_dtype)
        layers = {layer.var: layer for layer in prunable_layers(func)}
        weights, notes = {}, {}
        for group in groups.values():
            layer = layers.get(group.name)
            if layer is None:
                continue
            sums = np.abs(layer.weight.reshape(len(layer.weight), -1)).sum(axis=1, dtype=np.float64)
            reach = sums * _largest(scales[group.inputs[0]])
            idle = (reach < scales[group.output].scale / 2) & (sums > 0)
            if idle.any():
                weights[layer.var] = layer.weight.copy()
                weights[layer.var][idle] = 0
                notes[layer.node] = (
                    f"{idle.sum()} filters dropped that cannot move their result "
                    f"by half a step of {16 if self.activation_dtype == 'int16' else 8} bits"
                )
        return with_weights(func, weights, notes) if weights else func


def _largest(scale: Scale) -> float:
    """The largest absolute value that an activation of this scale holds."""
    return scale.scale * max(abs(bound - scale.zero_point) for bound in BOUNDS[scale.dtype])
