"""Changes to the reachable bound: each makes it too high, which a program is faster than, or a
count by hand is below."""

from __future__ import annotations

from tests.mutants_code.change import Change

BOUNDS: tuple[Change, ...] = (
    Change(
        "compiler/ir/reachable_bound.py",
        "WGT holds none of the weights that wait",
        "max(0, weights - spec.sram.wgt_bytes)",
        "max(0, weights)",
        "compiler/test_reachable_bound.py::test_weights_of_a_classifier_wait_for_what_they_multiply",
    ),
    Change(
        "compiler/ir/reachable_bound.py",
        "all that waits for a gate goes through DRAM",
        "before.elements(behind.kept) * wide - spec.sram.act_bytes",
        "before.elements(behind.kept) * wide",
        "compiler/test_reachable_bound.py::test_what_a_gate_multiplies_waits_for_it",
    ),
    Change(
        "compiler/ir/reachable_bound.py",
        "a layer's whole input is made before it begins",
        "one = _Box(np.eye(len(self.macs), dtype=np.bool_), 1, 1)",
        "one = _Box(np.eye(len(self.macs), dtype=np.bool_), *last.op.x.spatial)",
        "compiler/test_reachable_bound.py::test_a_later_layer_begins_with_the_corner_that_needs_least",
    ),
    Change(
        "compiler/ir/reachable_bound.py",
        "all rows are made before the first is read",
        "return int((last - np.maximum(first, 0)).min())",
        "return size",
        "compiler/test_reachable_bound.py::test_a_later_layer_begins_with_the_corner_that_needs_least",
    ),
    Change(
        "accel_model/arrays/least_cycles.py",
        "filters fill all lanes",
        "slots = -(-filters // narrowest) * narrowest * shortest",
        "slots = -(-filters // lanes) * lanes * shortest",
        "compiler/test_reachable_bound.py::test_a_convolution_takes_the_array_so_long",
    ),
    Change(
        "accel_model/arrays/least_cycles.py",
        "outputs count in sixteens",
        "quads = -(-work.outputs // pixels)",
        "quads = -(-work.outputs // 16) * 4",
        "compiler/test_reachable_bound.py::test_a_convolution_takes_the_array_so_long",
    ),
    Change(
        "accel_model/arrays/least_cycles.py",
        "a tap is fetched for each filter",
        "groups = -(-np.count_nonzero(counts, axis=0) // lanes)",
        "groups = np.count_nonzero(counts, axis=0)",
        "compiler/test_reachable_bound.py::test_a_convolution_takes_the_array_so_long",
    ),
    Change(
        "compiler/ir/array_cycles.py",
        "row registers serve no more than single taps",
        "at_once = 0 if registers is None else registers.multipliers",
        "at_once = 0",
        "compiler/test_reachable_bound.py::test_a_depthwise_kernel_row_serves_as_many_outputs_as_there_are_multipliers",
    ),
)
