"""All changes, by package."""

from __future__ import annotations

from tests.mutants_code.change import Change
from tests.mutants_code.of_accel_model import ACCEL_MODEL
from tests.mutants_code.of_compiler import COMPILER
from tests.mutants_code.of_losses import LOSSES
from tests.mutants_code.of_relay_passes import RELAY_PASSES
from tests.mutants_code.of_report import REPORT
from tests.mutants_code.of_runtime import RUNTIME

CHANGES = (*ACCEL_MODEL, *COMPILER, *RELAY_PASSES, *RUNTIME, *LOSSES, *REPORT)
PACKAGES: dict[str, tuple[Change, ...]] = {
    package: tuple(change for change in CHANGES if change.package == package)
    for package in ("accel_model", "compiler", "relay_passes", "runtime")
}
