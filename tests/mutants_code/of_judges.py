"""Small changes to what judges networks, outputs and scales, to costs, and to what moves data."""

from __future__ import annotations

from tests.mutants_code.change import Change

_FORWARD = "relay_passes/relax/fold_forward.py"
_LAYOUT = "relay_passes/frontend/layout_rules.py"
_IMPORT = "relay_passes/import_check.py"
_SCALES = "relay_passes/quantize/scales.py"
_OVERLAP = "compiler/scheduling/overlap_model.py"

JUDGES_OF_RELAY_PASSES = (
    Change(
        "relay_passes/metrics.py",
        "noise where there is no signal is none",
        "return wrong / signal if signal else math.inf if wrong else 0.0",
        "return wrong / signal if signal else 0.0",
        "runtime/test_judge.py::test_the_signal_of_a_pruned_network_is_that_of_the_dense_one",
    ),
    Change(
        "relay_passes/metrics.py",
        "no noise is 0 dB",
        "math.log10(ratio) if ratio else math.inf",
        "math.log10(ratio) if ratio else 0.0",
        "runtime/test_judge.py::test_the_signal_of_a_pruned_network_is_that_of_the_dense_one",
    ),
    Change(
        _IMPORT,
        "half precision is held to what single precision gives",
        "min(limit, HALF_DB) if want.dtype == np.float16 else limit",
        "limit",
        "compiler/test_import_check.py::test_half_precision_is_asked_for_less",
    ),
    Change(
        _IMPORT,
        "infinities of the other sign agree",
        "and np.array_equal(a[~finite], b[~finite], equal_nan=True)",
        "and True",
        "compiler/test_import_check.py::test_agreement_sees_infinities_and_what_is_small",
    ),
    Change(
        _IMPORT,
        "a tensor in another layout is the first difference",
        "if all(level < least for level, least in levels):",
        "if any(level < least for level, least in levels):",
        "compiler/test_import_check.py::test_a_cube_in_another_layout_is_no_difference",
    ),
    Change(
        _IMPORT,
        "what nothing is known of agrees",
        "return self.comparable and self._wrong(results) is None",
        "return not self.comparable or self._wrong(results) is None",
        "compiler/test_import_check.py::test_a_wrong_import_is_refused_with_its_node",
        "its one caller has asked before whether anything is known",
    ),
    Change(
        _IMPORT,
        "small numbers agree whatever they are",
        "if noise <= 1e-12 * max(a[finite].size, 1):",
        "if noise <= 1e-4 * max(a[finite].size, 1):",
        "compiler/test_import_check.py::test_agreement_sees_infinities_and_what_is_small",
    ),
    Change(
        _FORWARD,
        "a mean over channels keeps the scale of each",
        "return affine if min(axes) > 1 else None",
        "return affine if min(axes) > 0 else None",
        "relay_passes/test_fold_forward.py::test_it_stays_where_that_is_not_exact",
    ),
    Change(
        _FORWARD,
        "a ReLU takes a shift",
        "return affine if (affine.scale > 0).all() and not affine.shift.any() else None",
        "return affine if (affine.scale > 0).all() else None",
        "relay_passes/test_fold_forward.py::test_it_stays_where_that_is_not_exact",
    ),
    Change(
        _FORWARD,
        "a ReLU takes a negative scale",
        "return affine if (affine.scale > 0).all() and not affine.shift.any() else None",
        "return affine if not affine.shift.any() else None",
        "relay_passes/test_fold_forward.py::test_it_stays_where_that_is_not_exact",
    ),
    Change(
        _FORWARD,
        "tensors joined along pixels are joined along channels",
        "or int(call.attrs.axis) % len(call.ty.shape) != 1:",
        "or False:",
        "relay_passes/test_fold_forward.py::test_it_stays_where_that_is_not_exact",
    ),
    Change(
        _FORWARD,
        "the other parts of a concat take the scale too",
        'own = str(getattr(part, "name", "")) == name',
        "own = size == len(affine.scale)",
        "relay_passes/test_fold_forward.py::test_it_is_in_the_next_layer",
    ),
    Change(
        _FORWARD,
        "pixels of a flattened channel take the scales in turn",
        "Affine(np.repeat(affine.scale, times), np.repeat(affine.shift, times))",
        "Affine(np.tile(affine.scale, times), np.tile(affine.shift, times))",
        "relay_passes/test_fold_forward.py::test_it_is_in_the_next_layer",
    ),
    Change(
        _FORWARD,
        "a shift is scaled once more",
        "bias = (weight * shift).sum(",
        "bias = (weight * scale * shift).sum(",
        "relay_passes/test_fold_forward.py::test_it_is_in_the_next_layer",
    ),
    Change(
        _FORWARD,
        "one reader that runs on the accelerator is enough",
        "return bool(readers) and all(self._runs(each, functions) for each in readers)",
        "return bool(readers) and any(self._runs(each, functions) for each in readers)",
        "relay_passes/test_fold_forward.py::test_between_layers_it_is_a_layer",
    ),
    Change(
        _LAYOUT,
        "a transposition costs nothing",
        "return lazy, view, view.size if own.moves else 0",
        "return lazy, view, 0",
        "relay_passes/test_onnx_layout.py",
    ),
    Change(
        _LAYOUT,
        "a matrix that is turned first is taken as it is",
        'or not lazy.view.moves or attrs.get("transA", 0):',
        "or not lazy.view.moves:",
        "relay_passes/test_onnx_layout.py::test_a_matrix_that_a_dense_layer_turns_keeps_its_columns",
    ),
    Change(
        _LAYOUT,
        "scales along the rows that move stay where they are",
        "or (int(np.prod(scale)) != 1 and along == axis)",
        "or False",
        "relay_passes/test_onnx_layout.py::test_scales_of_a_dense_layers_rows_stay_with_them",
    ),
    Change(
        _LAYOUT,
        "columns are taken for rows",
        'axis = 1 if attrs.get("transB", 0) else 0',
        "axis = 0",
        "relay_passes/test_onnx_layout.py",
    ),
    Change(
        _LAYOUT,
        "a dense layer on pixels need not have its channels last",
        "if axes.perm[0] != 0 or axes.perm[-1] != 1:",
        "if axes.perm[0] != 0:",
        "relay_passes/test_onnx_layout.py::test_a_dense_layer_on_rows_of_pixels_sums_over_rows",
    ),
    Change(
        _LAYOUT,
        "constants are turned the wrong way",
        "return value.reshape(full).transpose(axes.inverse)",
        "return value.reshape(full).transpose(axes.perm)",
        "relay_passes/test_onnx_layout.py",
    ),
    Change(
        "relay_passes/quantize/constants.py",
        "scales do not turn with their integers",
        "None if scale is None else scale.transpose(axes),",
        "scale,",
        "runtime/test_qdq.py",
    ),
    Change(
        "relay_passes/quantize/constants.py",
        "zero points of weights are left out",
        "centred = integers.astype(np.int64) - zeros",
        "centred = integers.astype(np.int64) - 0 * zeros",
        "runtime/test_qdq.py",
    ),
    Change(
        "relay_passes/quantize/keep_float.py",
        "a name with brackets is a glob only",
        "if node == glob or fnmatchcase(node, glob)}",
        "if fnmatchcase(node, glob)}",
        "relay_passes/test_keep_float.py",
    ),
    Change(
        "relay_passes/quantize/keep_float.py",
        "the last of several names counts alone",
        "chosen |= found",
        "chosen = found",
        "relay_passes/test_keep_float.py",
    ),
    Change(
        _SCALES,
        "a pool by maximum gets a scale of its own",
        '_INHERITING: tuple[Kind, ...] = ("maxpool", "reshape", "move")',
        '_INHERITING: tuple[Kind, ...] = ("reshape", "move")',
        "relay_passes/test_scales.py",
    ),
    Change(
        _SCALES,
        "what an integer layer makes is not known to the next",
        "known = known | {name}",
        "known = known | set()",
        "relay_passes/test_quantize.py",
    ),
    Change(
        _SCALES,
        "a concat within a concat ends the sharing",
        "return shared.get(reader.output, reader.output)",
        "return reader.output",
        "relay_passes/test_quantize.py::test_the_scales_of_a_concat_are_joined",
        "the scale of a shared one is looked up through what it shares with: the same one",
    ),
    Change(
        "relay_passes/quantize/calibrate_ranges.py",
        "values that are all the same have no histogram",
        "if width == 0 or not np.isfinite(width):",
        "if not np.isfinite(width):",
        "relay_passes/test_calibrate.py::test_values_that_are_all_the_same_lie_in_one_bin",
    ),
)

JUDGES_OF_RUNTIME = (
    Change(
        "runtime/execution/validation.py",
        "infinities are written into JSON",
        "return value if math.isfinite(value) else None",
        "return value",
        "runtime/test_judge.py::test_exact_is_whether_there_is_no_difference",
    ),
    Change(
        "runtime/execution/validation.py",
        "as many layers as were compared are all there are",
        "of_layers=sum(each.layers for each in regions),",
        "of_layers=sum(each.compared for each in regions),",
        "runtime/test_judge.py::test_a_summary_counts_layers_and_outputs_of_all_images",
    ),
    Change(
        "runtime/execution/validation.py",
        "outputs of several images are counted as one's",
        "outputs=sum(each.outputs for each in checked),",
        "outputs=max((each.outputs for each in checked), default=0),",
        "runtime/test_judge.py::test_a_summary_counts_layers_and_outputs_of_all_images",
    ),
    Change(
        "runtime/execution/region_check.py",
        "a part of a concatenation is looked for at its beginning",
        "channels = slice(place.offset, place.offset + place.channels)",
        "channels = slice(0, place.channels)",
        "runtime/test_judge.py::test_every_layer_is_compared",
    ),
    Change(
        "runtime/execution/region_check.py",
        "outputs of another type are taken",
        "if want.shape != got.shape or want.dtype != got.dtype:",
        "if want.shape != got.shape:",
        "runtime/test_judge.py::test_every_bit_of_the_networks_outputs_is_compared",
    ),
)

JUDGES_OF_COMPILER = (
    Change(
        _OVERLAP,
        "weights are loaded however little room there is",
        "while since > 0 and free >= works[since - 1, ROWS]:",
        "while since > 0:",
        "compiler/test_overlap.py",
    ),
    Change(
        _OVERLAP,
        "other tiles of weights come early whether there is room or not",
        "while since > 0 and free >= works[since - 1, ALL_ROWS]:",
        "while since > 0:",
        "compiler/test_overlap.py",
    ),
    Change(
        _OVERLAP,
        "other tiles of weights wait for their own operation",
        "bus = max(bus, began[since]) + works[at, WEIGHTS]",
        "bus = max(bus, began[at]) + works[at, WEIGHTS]",
        "compiler/test_overlap.py",
    ),
    Change(
        _OVERLAP,
        "activations never wait for room",
        "free_at = array if works[at, NO_PREFETCH_ROOM] > 0 or at == 0 else began[at - 1]",
        "free_at = array if at == 0 else began[at - 1]",
        "compiler/test_overlap.py",
    ),
    Change(
        _OVERLAP,
        "nothing waits for results that must be stored first",
        "began[at] = max(array, stored if works[at, WAW_STALL] > 0 else 0.0)",
        "began[at] = max(array, 0.0)",
        "compiler/test_overlap.py",
    ),
    Change(
        _OVERLAP,
        "the bus answers at once",
        "began[at] = max(began[at], bus + latency)",
        "began[at] = max(began[at], bus)",
        "compiler/test_overlap.py",
    ),
    Change(
        _OVERLAP,
        "the last results are never stored",
        "return max(array, bus)",
        "return array",
        "compiler/test_overlap.py",
    ),
)
