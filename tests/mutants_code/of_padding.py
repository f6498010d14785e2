"""Changes to what lanes pass over, and to what that costs."""

from __future__ import annotations

from tests.mutants_code.change import Change

STEPPED = "accel_model/test_lanes.py::test_fast_model_agrees_with_the_stepped_one"
WALKED = "accel_model/test_gangs.py::test_counters_of_every_gang_are_what_walking_counts"
FILE = "accel_model/timing/padding.py"

PADDING = (
    Change(
        FILE,
        "columns of the kernel are passed over where rows are",
        "both[:, : window.rows, np.newaxis] & both[:, np.newaxis, window.rows :]",
        "both[:, : window.rows, np.newaxis] | both[:, np.newaxis, window.rows :]",
        STEPPED,
    ),
    Change(
        FILE,
        "a stage that is passed over takes no room in the window",
        "np.maximum(fetches * widths, 1)",
        "np.maximum(fetches * widths, 0)",
        STEPPED,
    ),
    Change(
        FILE,
        "outputs of one column are written together",
        "np.maximum.at(most, pairs[:, 0], counts)",
        "np.maximum.at(most, pairs[:, 0], np.ones_like(counts))",
        STEPPED,
    ),
    Change(
        FILE,
        "kernels that are passed over take no cycle",
        "left = np.where(there, np.maximum(left, 1), 0)",
        "left = np.where(there, left, 0)",
        STEPPED,
    ),
    Change(
        FILE,
        "a tap is counted for all outputs or none",
        "WorkedTaps(taps, of_group, of_sets @ taps)",
        "WorkedTaps(taps, of_group, window.outputs * taps.any(axis=0))",
        WALKED,
    ),
    Change(
        FILE,
        "patches at the end of an image are priced like those at its top",
        "[(int(at) * size, size, 1) for at",
        "[(0, size, 1) for at",
        "accel_model/test_padding.py",
    ),
    Change(
        "accel_model/timing/shape.py",
        "strips are counted one after another, however small",
        "* window.out_height < strips.group:",
        "* window.out_height < 0:",
        STEPPED,
    ),
    Change(
        "accel_model/timing/lane_simulation.py",
        "tiles that work on other taps repeat",
        "while end < len(sets) and sets[end] == sets[start]:",
        "while end < len(sets):",
        "accel_model/test_padding.py",
    ),
    Change(
        "accel_model/machine/audit.py",
        "what is passed over is not counted",
        "macs + passed_over == layer.effectual,",
        "macs == layer.effectual,",
        "accel_model/test_padding.py",
    ),
    Change(
        "accel_model/execute/convolution.py",
        "what is passed over is multiplied",
        "        done,\n        real,",
        "        every,\n        real,",
        "accel_model/test_padding.py",
    ),
)
