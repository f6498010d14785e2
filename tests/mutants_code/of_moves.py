"""Changes to moves: resizes, slices, shuffles, depth to space, transposed convolutions."""

from __future__ import annotations

from tests.mutants_code.change import Change

MOVES: tuple[Change, ...] = (
    Change(
        "compiler/ir/weave.py",
        "a tile takes a position before it",
        "skipped = max(0, -(-(low - self.to) // self.stride))",
        "skipped = max(0, (low - self.to) // self.stride)",
        "compiler/test_moves.py::test_a_run_within_a_span_has_its_positions",
    ),
    Change(
        "compiler/ir/weave.py",
        "the cut of a run starts again at its first position",
        "self.start + first * self.step,",
        "self.start,",
        "compiler/test_moves.py::test_a_run_within_a_span_has_its_positions",
    ),
    Change(
        "compiler/ir/ops.py",
        "phases of a depth to space are taken column by column",
        "(row * len(self.cols) + col)",
        "(col * len(self.rows) + row)",
        "compiler/test_moves.py::test_every_bit",
    ),
    Change(
        "compiler/ir/ops.py",
        "a stripe of moved rows reads a row less",
        "span.max(initial=-1) + 1",
        "span.max(initial=-1)",
        "compiler/test_moves.py::test_stripes_of_a_resize_read_half_as_many_rows",
    ),
    Change(
        "compiler/ir/compulsory_traffic.py",
        "a resize looks at all of its input",
        "part[:, down[:, None], right] = True",
        "part[...] = True",
        "compiler/test_moves.py::test_only_what_is_taken_is_looked_at",
    ),
    Change(
        "compiler/lowering/moves.py",
        "a slice of a slice begins at the value's first channel",
        "offset=x.offset + first,",
        "offset=first,",
        "compiler/test_moves.py::test_every_bit",
    ),
    Change(
        "compiler/lowering/lower.py",
        "the maxima of columns are limited, too",
        "whole(columns), down, Clip(*layers.BOUNDS[y.value.dtype])),",
        "whole(columns), down, Clip(layer.hi, layer.hi)),",
        "compiler/test_moves.py::test_a_large_maximum_is_one_of_columns_then_of_rows",
    ),
    Change(
        "compiler/codegen/weave.py",
        "rows that take turns lie one below the other",
        "act_block=down.stride * tile.row,",
        "act_block=tile.row,",
        "compiler/test_moves.py::test_every_bit",
    ),
    Change(
        "compiler/lowering/legality.py",
        "pixels of volumes are moved as those of images",
        'len(layer.x.shape) == MAX_RANK\n    ):\n        return f"shape {layer.x.shape}: the accelerator moves',
        'len(layer.x.shape) > MAX_RANK\n    ):\n        return f"shape {layer.x.shape}: the accelerator moves',
        "compiler/test_moves.py::test_pixels_of_volumes_stay_on_the_cpu",
    ),
    Change(
        "relay_passes/relax/decompose.py",
        "a phase is padded by one pixel too few behind",
        "behind = -(-out // stride) + last - size",
        "behind = out // stride + last - size",
        "relay_passes/test_decompose.py::test_a_transposed_convolution_is_convolutions",
    ),
    Change(
        "relay_passes/relax/fold.py",
        "the filters of all groups take the first group's scale",
        "np.repeat(own, weight.shape[0] // len(own), 0)",
        "np.tile(own, (weight.shape[0] // len(own), 1))",
        "relay_passes/test_decompose.py::test_a_normalisation_behind_goes_into_the_weights",
    ),
    Change(
        "relay_passes/relax/interpolation_layers.py",
        "beyond the edge are the pixels of the other side",
        "np.clip(np.arange(self.first, size + last), 0, size - 1)",
        "np.arange(self.first, size + last) % size",
        "relay_passes/test_interpolation_layers.py::test_a_resize_by_whole_factors_is_depthwise",
    ),
    Change(
        "relay_passes/quantize/to_integer.py",
        "weights of an interpolation are rounded like others",
        "found, open_ = np.where(taken, step, found), open_ & ~taken",
        "open_ = open_ & ~taken",
        "relay_passes/test_interpolation_layers.py::test_the_weights_are_whole_multiples_of_a_sixteenth",
    ),
    Change(
        "relay_passes/quantize/scales.py",
        "a tensor takes a concat's scale however wide it is",
        "size(found[0]) <= _NEAR * size(name)",
        "size(found[0]) <= 99 * _NEAR * size(name)",
        "relay_passes/test_quantize.py::test_the_scales_of_a_concat_are_joined",
    ),
    Change(
        "relay_passes/quantize/scales.py",
        "a pool in front of a concat does not pass its scale on",
        "return shared.get(reader.output) if reader.kind in _INHERITING else None",
        "return None",
        "relay_passes/test_quantize.py::test_what_keeps_its_inputs_scale_passes_a_concats_on",
    ),
    Change(
        "relay_passes/quantize/fold_shuffles.py",
        "a slice of a shuffle begins at its first channel",
        "tuple(before.channels[at] for at in picked)",
        "before.channels[: len(picked)]",
        "relay_passes/test_quantize_moves.py::test_a_shuffle_goes_into_the_weights_that_read_it",
    ),
    Change(
        "relay_passes/quantize/moves.py",
        "channels first are taken for blocks first",
        "every.reshape(-1, area).T.reshape(-1), len(block)), Deepen(block))",
        "every.reshape(-1, area).reshape(-1), len(block)), Deepen(block))",
        "relay_passes/test_quantize_moves.py::test_moves_are_layers_in_the_scale_they_read",
    ),
)
