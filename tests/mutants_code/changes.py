"""All changes, by package."""

from __future__ import annotations

from tests.mutants_code.change import Change
from tests.mutants_code.of_accel_model import ACCEL_MODEL
from tests.mutants_code.of_compiler import COMPILER
from tests.mutants_code.of_judges import (
    JUDGES_OF_COMPILER,
    JUDGES_OF_RELAY_PASSES,
    JUDGES_OF_RUNTIME,
)
from tests.mutants_code.of_losses import LOSSES
from tests.mutants_code.of_relay_passes import RELAY_PASSES
from tests.mutants_code.of_report import REPORT
from tests.mutants_code.of_runtime import RUNTIME

PACKAGES: dict[str, tuple[Change, ...]] = {
    "accel_model": ACCEL_MODEL,
    "compiler": (*COMPILER, *JUDGES_OF_COMPILER),
    "relay_passes": (*RELAY_PASSES, *JUDGES_OF_RELAY_PASSES),
    "runtime": (*RUNTIME, *LOSSES, *REPORT, *JUDGES_OF_RUNTIME),
}
CHANGES = tuple(each for changes in PACKAGES.values() for each in changes)
