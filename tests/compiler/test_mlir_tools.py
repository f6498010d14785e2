"""MLIR's own tool on the text of programs: it verifies, and refuses what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.programs import TARGETS
from tests.compiler.mlir_texts import IRDL, NEGATIVES, ROOT, bad, good, mlir_opt, program
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler import driver
from zeroskip.compiler.mlir.program_reader import read_programs
from zeroskip.compiler.mlir.program_text import programs_text

pytestmark = pytest.mark.mlir
NETWORKS = sorted((ROOT / "models").glob("*.onnx"))
OPTIONS = (f"--irdl-file={IRDL}",)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_committed_networks_verify_and_come_back(path: Path, target: str) -> None:
    stages = driver.lower(
        path, load_spec(target), calibrate=ROOT / "models" / "fashion_calibration.npz"
    )
    text = programs_text(stages.programs.values())
    done = mlir_opt(text, *OPTIONS)
    assert done.returncode == 0, done.stderr[:1000]
    for form in (text, done.stdout):
        back = {each.name: each.to_bytes() for each in read_programs(form, "text")}
        assert back == {name: each.to_bytes() for name, each in stages.programs.items()}


def test_the_good_text_passes_and_its_reprint_comes_back() -> None:
    done = mlir_opt(good(), *OPTIONS, "--mlir-print-op-generic")
    assert done.returncode == 0, done.stderr[:1000]
    (back,) = read_programs(done.stdout, "text")
    assert back.to_bytes() == program().program.to_bytes()


@pytest.mark.parametrize("name", NEGATIVES)
def test_mlir_refuses_mistakes(name: str) -> None:
    done = mlir_opt(bad(name), *OPTIONS)
    assert done.returncode != 0
    assert "error:" in done.stderr
