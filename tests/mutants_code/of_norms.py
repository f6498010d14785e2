"""Changes to layer normalisations, dense layers of tokens, and the ranges of their results."""

from __future__ import annotations

from tests.mutants_code.change import Change

NORMS: tuple[Change, ...] = (
    Change(
        "relay_passes/quantize/norm_layers.py",
        "both parts of a square weigh the same",
        "np.concatenate([PART * ones, ones], axis=1)",
        "np.concatenate([ones, ones], axis=1)",
        "relay_passes/test_layer_norm.py::test_a_channel_that_stands_out_costs_the_variance_nothing",
    ),
    Change(
        "relay_passes/quantize/norm_layers.py",
        "the mean is added",
        "mult_b=-mult_mean",
        "mult_b=mult_mean",
        "relay_passes/test_layer_norm.py::test_a_channel_that_stands_out_costs_the_variance_nothing",
    ),
    Change(
        "relay_passes/quantize/norm_layers.py",
        "squares have as many bits as a zero point leaves",
        'unit = max(float(whole.max()) / (PART * (BOUNDS["uint8"][1] + 1) - 1), 1.0)',
        "unit = 1.0",
        "relay_passes/test_layer_norm.py::test_two_bytes_of_a_square",
    ),
    Change(
        "relay_passes/quantize/norm_layers.py",
        "a variance may be negative",
        "scales, least=0)",
        "scales)",
        "relay_passes/test_layer_norm.py::test_tokens_that_are_all_alike_are_zeros",
    ),
    Change(
        "relay_passes/relax/layer_norm.py",
        "others may read the steps of a normalisation",
        "if alone and not leaving.intersection(inner):",
        "if not leaving.intersection(inner):",
        "relay_passes/test_layer_norm.py::test_what_else_reads_a_step_leaves_it_to_the_cpu",
    ),
    Change(
        "relay_passes/relax/layer_norm.py",
        "all means are over the channels",
        "return self.axes == (1,)",
        "return bool(self.axes)",
        "relay_passes/test_layer_norm.py::test_another_axis_stays_on_the_cpu",
    ),
    Change(
        "relay_passes/relax/fold_forward.py",
        "scale and offset of a normalisation that a sum reads stay on the CPU",
        "return norm.over_channels and self.comes_from_layer(norm.data)",
        "return False",
        "relay_passes/test_layer_norm.py::test_a_sum_that_reads_the_result_too_reads_a_layer",
    ),
    Change(
        "relay_passes/frontend/token_layers.py",
        "tokens are turned back as they were turned",
        "for axis in np.argsort(first)]",
        "for axis in first]",
        "relay_passes/test_onnx_layout.py::test_a_dense_layer_on_every_token_is_a_convolution",
    ),
    Change(
        "relay_passes/quantize/calibrate_judge.py",
        "all results may be cut",
        "_longest_axis(var) > longest:",
        "longest < 0:",
        "relay_passes/test_calibrate.py::test_answers_among_thousands_of_classes_are_not_cut",
    ),
)
