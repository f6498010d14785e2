"""Changes to what the search expects of the array and of the bus."""

from __future__ import annotations

from tests.mutants_code.change import Change

PRICES = "compiler/test_prices.py"
PADDING = "accel_model/test_padding.py::test_the_share_of_patches_is_that_of_each_of_them"

OF_PRICES: tuple[Change, ...] = (
    Change(
        "accel_model/arrays/pricing.py",
        "as many groups are timed as were meant to be",
        "        timed = {-(-window.outputs // granule): window for window in windows}",
        "        timed = dict(zip(_samples(granule, whole.outputs), windows, strict=True))",
        f"{PRICES}::test_patches_are_priced_at_what_they_take",
    ),
    Change(
        "compiler/ir/weight_packing.py",
        "zeros that fill a group take no bytes",
        "        return 4 * int(self.words(channels).sum())",
        "        return self.format.least_bytes(self.conv.weight, self.table)",
        f"{PRICES}::test_the_bytes_of_weights_are_those_that_are_moved",
    ),
    Change(
        "accel_model/timing/padding.py",
        "pieces that see padding are as those that see none",
        "np.flatnonzero(~whole_ones)]",
        "np.flatnonzero(~whole_ones)][:0]",
        PADDING,
    ),
    Change(
        "accel_model/arrays/broadcast.py",
        "streams come in no time",
        "    late = -(-WGT_WORD_BYTES * words // rate) - (timing.cycles - pipeline_cycles)",
        "    late = 0",
        "accel_model/arrays/test_ports.py",
    ),
    Change(
        "accel_model/arrays/broadcast.py",
        "units without a filter wait for streams as well",
        "        unused=timing.unused + late * unused,",
        "        unused=timing.unused,",
        "accel_model/arrays/test_ports.py",
    ),
)
