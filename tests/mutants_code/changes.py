"""All changes, by package."""

from __future__ import annotations

from tests.mutants_code.change import Change
from tests.mutants_code.of_accel_model import ACCEL_MODEL
from tests.mutants_code.of_arrays import ARRAYS
from tests.mutants_code.of_batches import BATCHES
from tests.mutants_code.of_bounds import BOUNDS
from tests.mutants_code.of_compiler import COMPILER
from tests.mutants_code.of_experiments import EXPERIMENTS
from tests.mutants_code.of_judges import (
    JUDGES_OF_COMPILER,
    JUDGES_OF_RELAY_PASSES,
    JUDGES_OF_RUNTIME,
)
from tests.mutants_code.of_losses import LOSSES
from tests.mutants_code.of_mlir import MLIR
from tests.mutants_code.of_moves import MOVES
from tests.mutants_code.of_norms import NORMS
from tests.mutants_code.of_operators import OPERATORS
from tests.mutants_code.of_padding import PADDING
from tests.mutants_code.of_pages import PAGES
from tests.mutants_code.of_prices import OF_PRICES
from tests.mutants_code.of_relay import RELAY
from tests.mutants_code.of_relay_passes import RELAY_PASSES
from tests.mutants_code.of_report import REPORT
from tests.mutants_code.of_runtime import RUNTIME
from tests.mutants_code.of_storage import STORAGE
from tests.mutants_code.of_tosa import TOSA
from tests.mutants_code.of_trailing import TRAILING
from tests.mutants_code.of_tvm import TVM
from tests.mutants_code.of_volumes import VOLUMES

CHANGES: tuple[Change, ...] = (
    *ACCEL_MODEL,
    *ARRAYS,
    *STORAGE,
    *PADDING,
    *OF_PRICES,
    *COMPILER,
    *BOUNDS,
    *JUDGES_OF_COMPILER,
    *VOLUMES,
    *BATCHES,
    *TRAILING,
    *MOVES,
    *OPERATORS,
    *MLIR,
    *RELAY_PASSES,
    *NORMS,
    *RELAY,
    *TOSA,
    *JUDGES_OF_RELAY_PASSES,
    *RUNTIME,
    *LOSSES,
    *REPORT,
    *EXPERIMENTS,
    *PAGES,
    *JUDGES_OF_RUNTIME,
    *TVM,
)
PACKAGES = {
    package: tuple(change for change in CHANGES if change.package == package)
    for package in ("accel_model", "compiler", "relay_passes", "runtime")
}
