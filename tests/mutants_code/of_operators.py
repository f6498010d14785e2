"""Changes to tables of results, products and functions of one activation."""

from __future__ import annotations

from tests.mutants_code.change import Change

BITS = "compiler/test_bits.py"
SEMANTICS = "accel_model/test_semantics.py"

OPERATORS: tuple[Change, ...] = (
    Change(
        "accel_model/functional/kernels.py",
        "a table of int8 is one of uint8 before an addition",
        "found if r.mid_unsigned or found < 128 else found - 256",
        "found",
        f"{SEMANTICS}::test_conv",
    ),
    Change(
        "accel_model/functional/kernels.py",
        "a factor for each pixel is read of every channel",
        "pixel[0 if r.spread else c]",
        "pixel[c]",
        f"{SEMANTICS}::test_channel_by_channel",
    ),
    Change(
        "accel_model/functional/kernels.py",
        "a product is scaled by the second multiplier too",
        "mult, _, shift = scale",
        "mult, shift = scale[0] + scale[1], scale[2]",
        f"{SEMANTICS}::test_channel_by_channel",
    ),
    Change(
        "accel_model/execute/accesses.py",
        "limits before a table may be of more than 8 bits",
        '_check_limits(y.low, y.high, _in_a_byte(y.low, y.high), "8 bits")',
        '_check_limits(y.low, y.high, True, "8 bits")',
        f"{SEMANTICS}::test_limits_before_a_table_are_a_range_of_8_bits",
    ),
    Change(
        "accel_model/execute/accesses.py",
        "two tables of one result are not seen",
        "if state.register(isa.Output).lookup:",
        "if False:",
        f"{SEMANTICS}::test_a_residual_has_a_value_for_each_result_and_one_table",
    ),
    Change(
        "accel_model/execute/results.py",
        "results before an addition are looked up for nothing",
        "if not y.lookup and not (residual and state.register(isa.Operand).mid_lookup):",
        "if not y.lookup:",
        "campaigns/test_cycles.py::test_networks_agree_in_every_moment",
    ),
    Change(
        "accel_model/execute/registers.py",
        "a table costs no row of PAR",
        'return _array_register_cost(state, one, 1 + rows, traffic, {"lookups": rows * copies})',
        'return _array_register_cost(state, one, 1, traffic, {"lookups": rows * copies})',
        f"{SEMANTICS}::test_a_lookup_costs_a_cycle_for_each_row_and_a_read_for_each_result",
    ),
    Change(
        "accel_model/timing/lane_array.py",
        "an operand that a row of the image shares is fetched for each pixel",
        "return conflicts, len(rows)",
        "return conflicts, len(outputs)",
        "campaigns/test_cycles.py::test_times_and_counts_are_those_of_the_stepped_hardware",
    ),
    Change(
        "compiler/lowering/lower.py",
        "a table joins what something else reads too",
        "and _reads(region, argument.name) == 1\n            and all(isinstance(maker, TABLED)",
        "and all(isinstance(maker, TABLED)",
        "compiler/test_operators.py::test_a_table_of_what_is_read_elsewhere_is_an_operation",
    ),
    Change(
        "compiler/lowering/lower.py",
        "an addition with a table joins a convolution with one",
        "and not (conv.table and op.table)",
        "and True",
        "compiler/test_operators.py::test_a_table_before_an_addition_stays_in_one_operation",
    ),
    Change(
        "compiler/codegen/program_builder.py",
        "a table is taken for there that another has replaced",
        "if table is None or held == self._table:",
        "if table is None or self._table is not None:",
        f"{BITS}::test_bits",
    ),
    Change(
        "relay_passes/integer/layers.py",
        "a table by byte begins at 0 for int8 too",
        "return np.roll(self.table.view(np.uint8), least)",
        "return self.table.view(np.uint8)",
        "compiler/test_operators.py::test_a_table_by_byte_has_the_values_of_that_by_number",
    ),
    Change(
        "relay_passes/quantize/elementwise.py",
        "a function begins behind what is stored anyway",
        "next((each for each in roots if each in wanted), roots[-1])",
        "roots[-1]",
        "relay_passes/test_elementwise.py::test_a_chain_is_one_table_from_what_is_stored_anyway",
    ),
    Change(
        "relay_passes/quantize/layer_calls.py",
        "what the model rounds on the way is not rounded",
        "values = function(reals, inside)",
        "values = function(reals, {})",
        "runtime/test_qdq.py::test_a_quantized_silu_is_one_table",
    ),
    Change(
        "relay_passes/quantize/to_integer.py",
        "a difference is a sum",
        "else (mult_a, -mult_b)",
        "else (mult_a, mult_b)",
        "relay_passes/test_quantize.py::test_a_difference_is_an_addition",
    ),
    Change(
        "relay_passes/quantize/to_integer.py",
        "a smaller tensor less a larger is the larger less the smaller",
        "(-mult_a, mult_b) if swapped",
        "(mult_a, -mult_b) if swapped",
        "runtime/test_gated_networks.py::test_the_second_of_two_tensors_spreads",
    ),
    Change(
        "relay_passes/quantize/to_integer.py",
        "what the one has more than the other is their sum",
        "a=x, b=other, y=more, mult_a=mult, mult_b=-mult,",
        "a=x, b=other, y=more, mult_a=mult, mult_b=mult,",
        "relay_passes/test_elementwise.py::test_the_larger_of_two_is_chosen_exactly",
    ),
    Change(
        "compiler/lowering/lower.py",
        "a sum with a value for each channel joins a convolution",
        "or op.operand_of_channels or op.operand_of_pixels:",
        "or op.operand_of_pixels:",
        f"{BITS}::test_bits",
    ),
    Change(
        "compiler/artifact/host_calls.py",
        "what two regions read is handed over once",
        "sum(_nbytes(var) * given[var] for var",
        "sum(_nbytes(var) for var",
        "relay_passes/test_host_calls.py::test_two_branches_are_two_turns",
    ),
    Change(
        "runtime/execution/float_weights.py",
        "weights of another model are taken",
        "if others:",
        "if others and False:",
        "runtime/test_float_source.py::test_another_model_is_refused",
    ),
    Change(
        "relay_passes/quantize/scales.py",
        "a function that only the CPU reads goes to the accelerator",
        'if group.kind == "lookup" and (name not in computed or name not in graph.scales):',
        'if group.kind == "lookup" and name not in computed:',
        "relay_passes/test_elementwise.py::test_a_function_that_only_the_cpu_reads_stays_there",
    ),
)
