"""All changes, by package."""

from __future__ import annotations

from tests.mutants_code.change import Change
from tests.mutants_code.of_accel_model import ACCEL_MODEL
from tests.mutants_code.of_arrays import ARRAYS
from tests.mutants_code.of_compiler import COMPILER
from tests.mutants_code.of_losses import LOSSES
from tests.mutants_code.of_relay_passes import RELAY_PASSES
from tests.mutants_code.of_report import REPORT
from tests.mutants_code.of_runtime import RUNTIME

PACKAGES: dict[str, tuple[Change, ...]] = {
    "accel_model": (*ACCEL_MODEL, *ARRAYS),
    "compiler": COMPILER,
    "relay_passes": RELAY_PASSES,
    "runtime": (*RUNTIME, *LOSSES, *REPORT),
}
CHANGES = tuple(each for changes in PACKAGES.values() for each in changes)
