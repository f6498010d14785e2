"""Changes to the arrays of the literature and to their weight formats."""

from __future__ import annotations

from tests.mutants_code.change import Change

FORMATS = "accel_model/arrays/test_formats.py"
TILES = "accel_model/arrays/test_tiles.py::test_fast_and_stepped_agree"
PUBLISHED = "test_published.py"
REGIONS = "runtime/test_arrays.py"

ARRAYS: tuple[Change, ...] = (
    Change(
        "accel_model/arrays/base.py",
        "the row of PAR that scales an addition is not read",
        '"par_read": PAR_ROW_BYTES * (done + operand)',
        '"par_read": PAR_ROW_BYTES * done',
        f"{TILES}[diannao]",
    ),
    Change(
        "accel_model/arrays/base.py",
        "sums that start from 0 are read of ACC",
        "        reads, writes = not case.first, not case.last",
        "        reads, writes = True, not case.last",
        f"{TILES}[kang]",
    ),
    Change(
        "accel_model/arrays/kang.py",
        "the window is read at one output of a gang",
        "in_step * array.group * pixel_groups * granule",
        "in_step * array.group * pixel_groups * array.pixels",
        f"{TILES}[kang]",
    ),
    Change(
        "accel_model/arrays/systolic.py",
        "weights enter in no time",
        "weights=folds * array.rows,",
        "weights=0,",
        f"{PUBLISHED} {TILES}[systolic]",
    ),
    Change(
        "accel_model/arrays/systolic.py",
        "all outputs of a tile fit in the accumulators",
        "rounds = -(-filters // array.cols), -(-outputs // array.accumulators)",
        "rounds = -(-filters // array.cols), 1",
        f"{TILES}[systolic]",
    ),
    Change(
        "accel_model/arrays/systolic.py",
        "rows of a fold in one bank are read together",
        "cycles[block % ranks] += max(hits.values())",
        "cycles[block % ranks] += 1",
        f"{TILES}[systolic]",
    ),
    Change(
        "accel_model/arrays/systolic.py",
        "rows behind the last output are read",
        "following = np.append(reads[1:], 0)",
        "following = np.append(reads[1:], reads[-1])",
        f"{TILES}[systolic]",
    ),
    Change(
        "accel_model/arrays/systolic.py",
        "the last cycle counts twice",
        "spent.cycles - 1 + array.pipeline_cycles",
        "spent.cycles + array.pipeline_cycles",
        f"{PUBLISHED} {TILES}[systolic]",
    ),
    Change(
        "accel_model/arrays/systolic.py",
        "sums between folds are read once too often",
        "count * outputs * (2 * steps - 2)",
        "count * outputs * (2 * steps - 1)",
        f"{TILES}[systolic]",
    ),
    Change(
        "accel_model/arrays/diannao.py",
        "an operand's rows cost nothing to read",
        "cycles = outputs * groups * (rows + operand) + array.pipeline_cycles",
        "cycles = outputs * groups * rows + array.pipeline_cycles",
        f"{TILES}[diannao] {REGIONS}",
    ),
    Change(
        "accel_model/arrays/diannao.py",
        "a narrow block is as wide as others",
        '"narrow": fed - used,',
        '"narrow": 0,',
        f"{TILES}[diannao] {REGIONS}",
    ),
    Change(
        "accel_model/arrays/tile_counts.py",
        "no array waits for what memories have still to send",
        "return max(0, *(-(-amount // rate) - end for amount, rate in needs))",
        "return 0",
        "accel_model/arrays/test_inputs.py accel_model/arrays/test_ports.py",
    ),
    Change(
        "accel_model/execute/channelwise.py",
        "channelwise instructions do not wait for their streams",
        "taken, free = max(pace.cycles, sent), max(pace.unhindered, sent)",
        "taken, free = pace.cycles, pace.unhindered",
        "campaigns/test_cycles.py",
    ),
    Change(
        "accel_model/conformance.py",
        "an array may be faster than its ports",
        "            if through > most:",
        "            if through > 2 * most:",
        "accel_model/arrays/test_ports.py",
    ),
    Change(
        "accel_model/arrays/scnn.py",
        "weights of channels without inputs are broadcast too",
        "sent = array.vector * int((groups.vectors * wanted).sum())",
        "sent = array.vector * int(groups.vectors.sum())",
        "accel_model/arrays/test_inputs.py",
    ),
    Change(
        "accel_model/arrays/cambricon_x.py",
        "a window without weights takes no cycle",
        "np.maximum(-(-stored // multipliers), 1)",
        "-(-stored // multipliers)",
        f"{TILES}[cambricon_x]",
    ),
    Change(
        "accel_model/arrays/cambricon_x.py",
        "the last pick of a window is not made",
        "np.maximum(-(-stored // multipliers), 1)",
        "np.maximum(stored // multipliers, 1)",
        f"{TILES}[cambricon_x] {PUBLISHED}",
    ),
    Change(
        "accel_model/arrays/cambricon_x.py",
        "streams are read once, not for every output",
        '"wgt_words": filters.words * outputs - count * (outputs - 1),',
        '"wgt_words": filters.words,',
        f"{TILES}[cambricon_x]",
    ),
    Change(
        "accel_model/arrays/kang.py",
        "a group without weights takes no cycle",
        "work = np.maximum(most, stage_groups)",
        "work = most",
        f"{TILES}[kang]",
    ),
    Change(
        "accel_model/arrays/kang.py",
        "lanes in step wait for the first, not for the fullest",
        "most = np.maximum.reduceat(filters.stored_counts, starts, axis=0)",
        "most = filters.stored_counts[starts]",
        f"{TILES}[kang]",
    ),
    Change(
        "accel_model/arrays/kang.py",
        "irregular groups are stepped through by the emptiest lane",
        "np.maximum(np.maximum.reduceat(counts, starts, axis=0), 1)",
        "np.maximum(np.minimum.reduceat(counts, starts, axis=0), 1)",
        PUBLISHED,
    ),
    Change(
        "accel_model/timing/lane_array.py",
        "lanes in step go at the pace of the one with least work",
        "most = np.maximum.reduceat(work, np.arange(0, len(work), slots), axis=0)",
        "most = np.minimum.reduceat(work, np.arange(0, len(work), slots), axis=0)",
        f"{TILES}[kang]",
        "the only kinds in step give all lanes of a group the same work",
    ),
    Change(
        "accel_model/formats/step.py",
        "a distance of 256 needs a placeholder",
        "while e - at > 256:",
        "while e - at > 255:",
        FORMATS,
    ),
    Change(
        "accel_model/formats/step.py",
        "a stream may end with a placeholder",
        "        if hollow:\n            return DIRTY, f, 0\n",
        "",
        FORMATS,
    ),
    Change(
        "accel_model/formats/grouped.py",
        "a narrow group is filled beyond its channels",
        "fill = min(quota[f], end - begin) - count",
        "fill = quota[f] - count",
        FORMATS,
        "there are no more channels to fill: the loop ends with the group",
    ),
    Change(
        "accel_model/formats/grouped.py",
        "places within a group may come in any order",
        "if place <= before or place >= wide:",
        "if place >= wide:",
        FORMATS,
    ),
    Change(
        "accel_model/formats/grouped.py",
        "a stream may say that it has more weights a group than it needs",
        "return value if most == quota else -TOO_LONG",
        "return value",
        FORMATS,
    ),
)
