"""Changes to dense layers whose weights are loaded while the layers before them run."""

from __future__ import annotations

from tests.mutants_code.change import Change

EXACT = "compiler/test_trailing.py::test_every_group_with_a_layer_that_trails_is_exact"
LOADED = (
    "compiler/test_trailing.py::test_weights_of_a_dense_layer_are_loaded_while_convolutions_run"
)

FOLLOWS = "compiler/test_following.py::test_every_group_with_a_layer_that_follows_is_exact"
DUE = "compiler/test_following.py::test_steps_are_due_when_their_channels_are_there"
HIDDEN = (
    "compiler/test_following.py::test_weights_of_a_classifier_are_loaded_while_the_convolution_runs"
)

TRAILING: tuple[Change, ...] = (
    Change(
        "compiler/codegen/conv.py",
        "sums of others lie where those of the layer that trails wait",
        "return self.out.waiting_sums + own",
        "return own",
        LOADED,
    ),
    Change(
        "compiler/codegen/conv.py",
        "tiles of filters have their sums in one place",
        "return step.outputs * len(accumulator_rows(self._slots, self.plan.filters))",
        "return 0 * len(accumulator_rows(self._slots, self.plan.filters))",
        EXACT,
    ),
    Change(
        "compiler/codegen/conv.py",
        "every band begins a sum anew",
        "first = row == 0 and chunk == chunks[0]",
        "first = row == rows.start and chunk == chunks[0]",
        EXACT,
    ),
    Change(
        "compiler/codegen/group.py",
        "what the layer that trails looks at is on chip for its reader only",
        "or each.value == self.early",
        "or False",
        LOADED,
    ),
    Change(
        "compiler/codegen/group.py",
        "the layer that trails waits for the end of each pass",
        "due = int(count * passed / every) if every else 0",
        "due = 0",
        LOADED,
    ),
    Change(
        "compiler/ir/stripes.py",
        "a map's rows are multiplied in the pass that makes them",
        "self._firsts[op.x.value.name] = np.concatenate(([rows, 0], edges[:-1]))",
        "self._firsts[op.x.value.name] = np.concatenate(([0], edges))",
        "compiler/test_trailing.py"
        "::test_a_layer_that_trails_multiplies_each_row_after_the_band_that_makes_it",
    ),
    Change(
        "compiler/ir/trailing.py",
        "rows left over go to the first bands",
        "return rows * np.arange(1, bands + 1) // bands",
        "return -(-rows * np.arange(1, bands + 1) // bands)",
        "compiler/test_trailing.py"
        "::test_a_layer_that_trails_multiplies_each_row_after_the_band_that_makes_it",
    ),
    Change(
        "compiler/ir/trailing.py",
        "the layer of a batch trails",
        "and op.y.pixels == op.x.value.images == 1",
        "and op.y.pixels == 1",
        "compiler/test_trailing.py::test_a_batch_does_not_trail",
    ),
    Change(
        "compiler/codegen/conv.py",
        "a dense layer that follows begins its sums anew with each chunk",
        "yield ConvStep(part, output, 0, chunk, chunk == chunks[0], chunk == chunks[-1], number)",
        "yield ConvStep(part, output, 0, chunk, True, chunk == chunks[-1], number)",
        FOLLOWS,
    ),
    Change(
        "compiler/codegen/group.py",
        "what those that take turns read is on chip for its reader only",
        "or (self.lead is not None and self.lead <= min(index, each.last))",
        "or False",
        FOLLOWS,
    ),
    Change(
        "compiler/ir/trailing.py",
        "channels count as whole with their first step",
        "whole = np.append(later, max(made.end for _, made in before))",
        "whole = np.array([made.end for _, made in before])",
        DUE,
    ),
    Change(
        "compiler/ir/trailing.py",
        "a dense layer that follows multiplies all that is there at once",
        "counts[-1] = _spread(counts[-1])",
        "counts[-1] = counts[-1]",
        "compiler/test_following.py::test_multiplies_are_spread_over_the_steps_that_make_the_next_channels",
    ),
    Change(
        "compiler/ir/trailing.py",
        "a layer that reads a part of the channels is followed through",
        "op.y.channels == made.channels == made.value.channels",
        "made.channels == made.value.channels",
        "compiler/test_following.py::test_what_cannot_follow",
    ),
    Change(
        "compiler/scheduling/fusion.py",
        "a pool that takes turns waits for all channels",
        "chosen[1:-1] = [_in_turn(best.plan, each) for each in chosen[1:-1]]",
        "chosen[1:-1] = chosen[1:-1]",
        HIDDEN,
    ),
    Change(
        "compiler/codegen/program_builder.py",
        "weights that are held leave no room for others",
        "self.wgt.unpin()",
        "pass",
        "compiler/test_weights_stay.py",
    ),
)
