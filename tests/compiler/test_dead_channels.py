"""Dead channels go where the schedule is not slower for it, and idle filters are dead."""

from typing import Any

import numpy as np
import pytest
import tvm

from tests.relay_passes.float_nets import RelaxNet
from tests.relay_passes.pruning.test_dead_channels import silence
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler import stages
from zeroskip.relay_passes.pruning.base.layers import prunable_layers, with_weights
from zeroskip.relay_passes.pruning.schemes.dead_channels import RemoveDeadChannels
from zeroskip.relay_passes.pruning.schemes.idle_filters import DropIdleFilters
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.quantize.scales import Range, observed
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu

ALL = slice(None)


def quantizer(module: tvm.IRModule) -> QuantizeInt8:
    func = module["main"]
    return QuantizeInt8(ranges=dict.fromkeys(observed(func, read_graph(func)), Range(-3.0, 3.0)))


def filters(module: tvm.IRModule) -> int:
    return len(prunable_layers(module["main"])[0].weight)


def stem(size: int, channels: int) -> tvm.IRModule:
    """A strided convolution, a depthwise and two pointwise ones: as MobileNets begin."""
    net = RelaxNet(1, 3, size, size)
    x = net.relu("r0", net.conv("c0", net.x, channels, bias=False, strides=2))
    x = net.relu("r1", net.conv("dw", x, channels, groups=channels, bias=False))
    x = net.relu("r2", net.conv("c2", x, 24, kernel=1, padding=0, bias=False))
    return net.finish(net.conv("c3", x, 64, kernel=1, padding=0, bias=False))


@pytest.mark.parametrize(("size", "channels", "dead", "left"), [(56, 32, 1, 32), (28, 64, 40, 24)])
def test_the_faster_of_fewer_channels_and_all(
    size: int, channels: int, dead: int, left: int
) -> None:
    spec = load_spec("dense256")
    pruned = silence(stem(size, channels), c0=(slice(0, dead), ALL))
    least, quantize = RemoveDeadChannels()(pruned), quantizer(pruned)

    def cycles(made: Any) -> int:
        return sum(
            Machine(spec).run(program, {}, numbers=False).cycles
            for program in made.programs.values()
        )

    chosen = stages.lower_fastest(pruned, least, spec, quantize, {})
    (program,) = chosen.programs.values()
    assert program.layers[0].shape[1] == left
    others = [cycles(stages.lower_float(each, spec, quantize, {})) for each in (least, pruned)]
    print(cycles(chosen), others)
    assert cycles(chosen) == min(others)


def test_filters_that_cannot_move_a_step_go() -> None:
    net = RelaxNet(1, 3, 8, 8)
    x = net.relu("r0", net.conv("c0", net.x, 32, bias=False))
    module = net.finish(net.conv("c1", x, 8, bias=False))
    layer = prunable_layers(module["main"])[0]
    weight = layer.weight.copy()
    weight[:16] *= 1e-11
    module = tvm.IRModule({"main": with_weights(module["main"], {layer.var: weight}, {})})
    quantize = quantizer(module)
    dropped = stages.without_idle(module, quantize)
    least = RemoveDeadChannels()(dropped)
    assert filters(least) == 16
    x_ = np.random.default_rng(2).standard_normal((1, 3, 8, 8)).astype(np.float32)
    before, after = (
        run_cpu(compile_for_cpu(quantize(each)), "main", [x_])[0] for each in (module, least)
    )
    assert np.abs(before - after).max() <= 1.01 * 6 / 255


def test_half_a_step_is_where_a_filter_is_idle() -> None:
    """Inputs reach 128 steps as large as the result's: weights of 1/256 together are half a step,
    whatever their signs."""
    net = RelaxNet(1, 3, 8, 8)
    module = net.finish(net.conv("c0", net.x, 3, kernel=1, padding=0, bias=False))
    layer = prunable_layers(module["main"])[0]
    weight = np.zeros_like(layer.weight)
    weight[:, :2, 0, 0] = np.array([[0.9, 0], [1.1, 0], [0.7, -0.6]]) / 256
    module = tvm.IRModule({"main": with_weights(module["main"], {layer.var: weight}, {})})
    ranges = quantizer(module).ranges or {}
    left = prunable_layers(DropIdleFilters(ranges)(module)["main"])[0].weight
    assert left.any(axis=(1, 2, 3)).tolist() == [False, True, True]
