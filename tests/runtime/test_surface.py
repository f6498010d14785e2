"""What ``import zeroskip`` gives: all that the command line does, as a stranger would use it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import zeroskip
from tests.runtime.nets import small_net
from zeroskip.runtime.cli.main import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(small_net(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_every_name_is_there() -> None:
    assert all(hasattr(zeroskip, name) for name in zeroskip.__all__)
    assert set(zeroskip.__all__) <= set(dir(zeroskip))
    with pytest.raises(AttributeError, match="has no attribute 'prunes'"):
        zeroskip.prunes  # noqa: B018 - that is what is tried


def test_commands_have_their_functions() -> None:
    """``run`` is a session's; the others are of the command line only."""
    shell = {"demo", "doctor", "samples"}
    assert shell < {*main.commands}
    assert {*main.commands} - shell - {"run"} <= {*zeroskip.__all__}


def test_prune_gives_what_the_command_writes(model: Path, tmp_path: Path) -> None:
    made = zeroskip.prune(model, "unstructured:sparsity=0.5")
    written = tmp_path / "pruned.onnx"
    done = CliRunner().invoke(
        main, ["prune", str(model), "--prune", "unstructured:sparsity=0.5", "-o", str(written)]
    )
    assert done.exit_code == 0, done.output
    assert made.to_onnx().SerializeToString() == written.read_bytes()
    assert made.share is None
    assert {change.node for change in made.changes}


def test_a_budget_wants_samples(model: Path) -> None:
    with pytest.raises(zeroskip.ZeroskipError, match="give calibrate"):
        zeroskip.prune(model, "unstructured", budget="macs=0.5")


def test_a_pruned_model_goes_on(model: Path, tmp_path: Path) -> None:
    """Pruned, compiled, saved, loaded, judged, without another import."""
    pruned = zeroskip.prune(model, "channels:ratio=0.25").to_onnx()
    zeroskip.compile(pruned, "sparse256").save(tmp_path / "net.zsk")
    network = zeroskip.Network.load(tmp_path / "net.zsk")
    rng = np.random.default_rng(0)
    inputs = {each.name: rng.normal(size=each.shape).astype(each.dtype) for each in network.inputs}
    assert zeroskip.validate(network, inputs).mismatch is None


def test_compare_takes_what_compile_takes(model: Path) -> None:
    found = zeroskip.compare(model, zeroskip.schemes()[:1], ["dense256"], sparsities=[0.5])
    assert [entry.scheme for entry in found.entries] == ["dense", zeroskip.schemes()[0]]
    assert "dense256" in zeroskip.targets()


def test_refusals_have_one_root() -> None:
    with pytest.raises(zeroskip.ZeroskipError):
        zeroskip.compile("nowhere.onnx")
