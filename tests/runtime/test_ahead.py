"""The machine's loops compiled ahead of their first use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.spec import SpecError
from zeroskip.runtime.ahead import compile_ahead, every_operator
from zeroskip.runtime.cli.main import main

LOOPS = (
    isa.Conv,
    isa.Depthwise,
    isa.Add,
    isa.Multiply,
    isa.MaxPool,
    isa.AvgPool,
)


def test_the_network_has_every_loop() -> None:
    network = zeroskip.compile(every_operator(), "sparse256", method="minmax")
    (program,) = network.programs.values()
    used = {type(each) for each in decode_all(program.words)}
    assert used >= set(LOOPS)


def test_the_command_says_what_is_kept() -> None:
    result = CliRunner().invoke(main, ["doctor", "--compile"])
    assert result.exit_code == 0
    assert "files of machine code in " in result.output


def test_a_target_that_is_not_known() -> None:
    with pytest.raises(SpecError, match="nope"):
        compile_ahead(["nope"])


@pytest.mark.slow
def test_the_first_run_compiles_next_to_nothing(tmp_path: Path) -> None:
    own = dict(os.environ, NUMBA_CACHE_DIR=str(tmp_path))
    zeroskip_command = [sys.executable, "-m", "zeroskip"]
    subprocess.run([*zeroskip_command, "doctor", "--compile"], check=True, env=own)
    before = len([*tmp_path.rglob("*.nbc")])
    assert before > 30
    zeroskip.compile(small_net(), "sparse256").save(tmp_path / "net.zsk")
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    files = [str(tmp_path / "net.zsk"), "--input", str(tmp_path / "x.npz")]
    subprocess.run([*zeroskip_command, "run", *files], check=True, env=own)
    assert len([*tmp_path.rglob("*.nbc")]) <= before + 4
