"""Our passes in a TVM pipeline: compiled, exported, loaded and run by a new process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tvm

from tests.runtime.nets import SHAPE, small_net
from zeroskip import compiler, relay_passes
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.errors import CompileError
from zeroskip.relay_passes.quantize.calibrate import calibrate
from zeroskip.relay_passes.relax.cpu import run_cpu
from zeroskip.runtime import register
from zeroskip.runtime.execution.session import Session

LOADER = """
import sys, numpy as np, tvm
from tvm import relax
from zeroskip.runtime import register
register()
vm = relax.VirtualMachine(tvm.runtime.load_module(sys.argv[1]), tvm.cpu())
x = np.load(sys.argv[2])
np.save(sys.argv[3], vm["main"](tvm.runtime.tensor(x)).numpy())
"""


def test_sequential_compile_export_and_a_new_process(tmp_path: Path) -> None:
    spec = load_spec("sparse256")
    model = relay_passes.import_onnx(relay_passes.normalise_onnx(small_net()))
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((2, *SHAPE[1:])).astype(np.float32)
    folded = tvm.transform.Sequential([relay_passes.FoldBatchNorm()])(model)
    ranges = calibrate(folded, {"x": samples})
    pipeline = tvm.transform.Sequential(
        [
            relay_passes.QuantizeInt8(ranges=ranges),
            relay_passes.PartitionForAccelerator(compiler.supports(spec)),
            compiler.TileAndSchedule(spec),
            compiler.EmitProgram(spec),
        ]
    )
    built = tvm.compile(pipeline(folded), "llvm")
    register()
    x = rng.standard_normal(SHAPE).astype(np.float32)
    (here,) = run_cpu(built, "main", [x])
    built.export_library(str(tmp_path / "net.so"))
    np.save(tmp_path / "x.npy", x)
    subprocess.run(
        [sys.executable, "-c", LOADER, *(str(tmp_path / n) for n in ("net.so", "x.npy", "y.npy"))],
        check=True,
        cwd=tmp_path,
    )
    assert np.array_equal(np.load(tmp_path / "y.npy"), here)
    network = compile_network(small_net(), spec, calibrate={"x": samples})
    assert np.array_equal(Session(network).run({"x": x})["y"], here)


def test_a_schedule_for_another_target_is_refused() -> None:
    """By name, and by description where the name is the same."""
    spec = load_spec("sparse256")
    folded = tvm.transform.Sequential([relay_passes.FoldBatchNorm()])(
        relay_passes.import_onnx(relay_passes.normalise_onnx(small_net()))
    )
    samples = np.random.default_rng(0).standard_normal((2, *SHAPE[1:])).astype(np.float32)
    scheduled = tvm.transform.Sequential(
        [
            relay_passes.QuantizeInt8(samples={"x": samples}),
            relay_passes.PartitionForAccelerator(compiler.supports(spec)),
            compiler.TileAndSchedule(spec),
        ]
    )(folded)
    for other, word in (
        (load_spec("dense256"), "dense256"),
        (replace(spec, clock_mhz=spec.clock_mhz / 2), "another description"),
    ):
        with pytest.raises(CompileError, match=f"schedule for sparse256.*emitted for {word}"):
            compiler.EmitProgram(other)(scheduled)
    assert compiler.EmitProgram(spec)(scheduled)
