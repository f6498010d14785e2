"""Changes to what people look at (charts, traces, standard output) and to the evaluator."""

from __future__ import annotations

from tests.mutants_code.change import Change

CHARTS, TRACE = "runtime/test_charts.py", "runtime/test_trace.py"
EVALUATE, COMPARE = "runtime/test_evaluate.py", "runtime/test_compare.py"

PAGES: tuple[Change, ...] = (
    # ------------------------------------------------------------------------------------- charts
    Change(
        "runtime/render/pages/palette.py",
        "outputs have the colour of weights",
        '"outputs": ("#dcc3a1", "#eadbc3"),',
        '"outputs": ("#a9743f", "#bd8f60"),',
        f"{CHARTS}::test_no_colour_of_a_page_has_two_meanings",
    ),
    Change(
        "runtime/render/pages/bars.py",
        "parts of a bar lie on each other",
        "            at += size * scale\n",
        "            at += 0 * size * scale\n",
        f"{CHARTS}::test_parts_of_a_bar_lie_beside_each_other",
    ),
    Change(
        "runtime/render/pages/labels.py",
        "names are written over each other",
        "                boxes.append(box)\n",
        "                boxes.append(dot.box)\n",
        f"{CHARTS}::test_names_lie_on_nothing_and_within_the_room",
    ),
    Change(
        "runtime/render/pages/timeline_chart.py",
        "a column is as full as its cycles were at the end",
        "means: Floats = np.diff(np.interp(edges, steps, sums)) / (max(cycles, 1) / WIDTH)",
        "means: Floats = held[np.searchsorted(start, edges[1:], 'left') - 1]",
        f"{CHARTS}::test_means_of_columns_keep_the_whole",
    ),
    Change(
        "runtime/render/pages/comparison.py",
        "a front is drawn from network to network",
        "corners += [(x(a), corners[-1][1]), (x(a), y(b))]",
        "corners += [(x(a), y(b)), (x(a), y(b))]",
        f"{COMPARE}::test_the_front_is_drawn_in_steps",
    ),
    # ------------------------------------------------------------------------------------- traces
    Change(
        "accel_model/machine/trace.py",
        "a rate is over the cycles until the result is there",
        "rate = run.counters[counter][pcs] / (run.free - run.start)[pcs]",
        "rate = run.counters[counter][pcs] / (run.end - run.start + 1)[pcs]",
        f"{TRACE}::test_counters_add_up_to_what_was_counted",
    ),
    Change(
        "accel_model/machine/trace.py",
        "the fill of a memory is in rows",
        "memory.live * memory.row_bytes / 1024",
        "memory.live / 1024",
        f"{TRACE}::test_memories_are_as_full_as_their_rows_are_live",
    ),
    Change(
        "runtime/render/trace.py",
        "threads of all regions have the same numbers",
        'event["tid"] += first + 1',
        'event["tid"] += 1',
        f"{TRACE}::test_every_track_is_named_and_its_slices_do_not_overlap",
    ),
    # ---------------------------------------------------------------------------- standard output
    Change(
        "runtime/cli/options.py",
        "tables stand before what is for machines",
        "return count == 1",
        "return False",
        "runtime/test_cli.py::test_a_validation_on_standard_output_is_json_alone",
    ),
    # ------------------------------------------------------------------------------ the evaluator
    Change(
        "runtime/analysis/accuracy.py",
        "of equal scores the last counts as the larger",
        'ranked = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :FEW]',
        "ranked = np.argsort(scores.astype(np.float64), axis=1, kind='stable')[:, ::-1][:, :FEW]",
        f"{EVALUATE}::test_counts_are_those_of_a_count_by_hand",
    ),
    Change(
        "runtime/analysis/accuracy.py",
        "the confusion is the other way round",
        "np.add.at(confusion, (labels, ranked[:, 0]), 1)",
        "np.add.at(confusion, (ranked[:, 0], labels), 1)",
        f"{EVALUATE}::test_mistakes_are_named_most_frequent_first",
    ),
    Change(
        "runtime/analysis/accuracy.py",
        "an interval is as wide as if one more had been drawn",
        "stdtrit(len(draws) - 1, (1 + SURE) / 2))",
        "stdtrit(len(draws), (1 + SURE) / 2))",
        f"{EVALUATE}::test_intervals_are_those_of_the_books",
    ),
    Change(
        "runtime/analysis/accuracy.py",
        "the interval is that of the draws' mean",
        "    return estimate - half, estimate + half\n",
        "    half /= math.sqrt(len(draws))\n    return estimate - half, estimate + half\n",
        f"{EVALUATE}::test_an_estimate_lies_in_its_interval_as_often_as_it_says",
    ),
    Change(
        "runtime/execution/evaluation.py",
        "labels beyond the network's classes are taken",
        "if labels.min() < 0 or labels.max() >= width:",
        "if labels.min() < 0 or labels.max() > width:",
        f"{EVALUATE}::test_data_that_do_not_fit_are_one_sentence",
    ),
    Change(
        "runtime/execution/preprocessing.py",
        "the mean is taken off before the scale",
        "(pixels.astype(np.float32) / np.float32(self.scale) - mean) / deviation",
        "((pixels.astype(np.float32) - mean) / np.float32(self.scale)) / deviation",
        f"{EVALUATE}::test_pixels_are_scaled_and_arranged_as_described",
    ),
    Change(
        "runtime/compare.py",
        "every seed draws the same samples",
        "first = np.random.default_rng(seed).integers(0, runs, runs) * batch",
        "first = np.random.default_rng(0).integers(0, runs, runs) * batch",
        f"{COMPARE}::test_draws_of_the_samples_give_intervals",
    ),
)
