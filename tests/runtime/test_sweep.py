"""`zeroskip sweep`: its figures are those of compile and compare; what is known stays known."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest

from tests.runtime.command import files, refused, zeroskip
from tests.runtime.nets import SHAPE, small_net
from tests.runtime.stub_work import LATENCY, REFUSED, STUB
from zeroskip.accel_model.io.telling import no_progress
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.compare import compare
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.experiments import sweep as sweep_module
from zeroskip.runtime.experiments.engine import Here
from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.run import Counts, missing_of, run
from zeroskip.runtime.experiments.sources import source_of
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import Store
from zeroskip.runtime.experiments.sweep import sweep
from zeroskip.runtime.experiments.table import FIGURES, Table, table_of

SIZES = (65536, 131072)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sweep")
    onnx.save(small_net(), made / "net.onnx")
    images = np.random.default_rng(3).standard_normal((8, *SHAPE[1:])).astype(np.float32)
    np.savez(made / "images.npz", x=images)
    return made


def swept(folder: Path, **options: Any) -> Table:
    return sweep(
        folder / "net.onnx",
        calibrate=folder / "images.npz",
        targets=["sparse256"],
        settings={"sram.act_bytes": SIZES},
        schemes=["dense", "unstructured"],
        sparsities=[0.5],
        **options,
    )


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    return swept(folder, store=folder / "whole.sqlite")


# --------------------------------------------------------------------------------------- figures


def test_figures_are_those_of_compile(table: Table, folder: Path) -> None:
    target = load_spec("sparse256")
    assert len(table) == 4
    for row in table.rows:
        spec = replace(target, sram=replace(target.sram, act_bytes=row["sram.act_bytes"]))
        network = compile_network(
            folder / "net.onnx", spec, prune=row["recipe"] or None, calibrate=folder / "images.npz"
        )
        runs = Session(network).time().values()
        assert row["cycles"] == sum(each.cycles for each in runs)
        assert row["milliseconds"] == row["cycles"] / spec.clock_mhz / 1000
        assert row["stored_bytes"] == sum(len(each.image) for each in network.programs.values())
        assert row["cpu_share"] == network.placement.cpu_share
        assert row["sram_bytes"] == spec.sram_bytes
        assert row["failure"] is None


def test_quality_and_energy_are_those_of_compare(table: Table, folder: Path) -> None:
    made = compare(
        folder / "net.onnx",
        ["unstructured"],
        ["sparse256"],
        sparsities=[0.7],
        calibrate=folder / "images.npz",
        data=folder / "images.npz",
    )
    own = sweep(
        folder / "net.onnx",
        data=folder / "images.npz",
        targets=["sparse256"],
        schemes=["dense", "unstructured"],
        sparsities=[0.7],
    )
    assert own.rows[0]["snr_db"] == table.rows[0]["snr_db"]  # judged on the same samples
    for entry, row in zip(made.entries, own.rows, strict=True):
        gain = entry.gains["sparse256"]
        assert gain.efficiency is not None
        assert (row["snr_db"], row["sparsity"]) == (entry.snr_db, entry.sparsity)
        assert (row["weights"], row["macs"]) == (entry.weights, entry.macs)
        assert (row["cycles"], row["microjoules"]) == (gain.cycles, gain.efficiency.microjoules)
        assert (row["area_mm2"], row["edp"]) == (gain.efficiency.area_mm2, gain.efficiency.edp)


def test_a_table_is_columns_of_equal_length(table: Table) -> None:
    assert {len(values) for values in table.columns.values()} == {4}
    assert set(FIGURES) < set(table.columns)
    assert table.settings == ("sram.act_bytes",)
    assert table.columns["sram.act_bytes"] == [*SIZES, *SIZES]


def test_without_data_nothing_is_said_of_quality(folder: Path) -> None:
    made = sweep(folder / "net.onnx", targets=["dense256"])
    assert made.columns["snr_db"] == made.columns["accuracy"] == [None]
    assert made.columns["cycles"][0] > 0


# ------------------------------------------------------------------------- what is known, failures


def stub_space(folder: Path, latencies: list[int], **axes: Any) -> Space:
    return Space.of([source_of(folder / "net.onnx")], settings={LATENCY: latencies}, **axes)


def run_stub(space: Space, store: Store, engine: Here, retry: bool = False) -> Counts:
    return run(space, missing_of(space, store, retry), store, engine, no_progress)


class Dying(Here):
    """Is interrupted when it is asked for another outcome than the first few."""

    left = 3

    def outcome(self) -> Any:
        if not self.left:
            raise SystemExit(130)
        self.left -= 1
        return super().outcome()


def test_what_is_interrupted_goes_on_to_the_same_table(folder: Path, tmp_path: Path) -> None:
    space = stub_space(folder, [10, 20, REFUSED, 40, 50], schemes=["dense", "nm"], sparsities=[0.5])
    with Store(tmp_path / "whole.sqlite") as store:
        assert run_stub(space, store, Here(work=STUB)) == Counts(0, 8, 2)
        whole = table_of(space, store, [LATENCY])
    for known in (0, 3, 6, 9):
        with Store(tmp_path / "parts.sqlite") as store:
            assert len(store) == known
            engine = Dying(str(tmp_path), STUB)
            if known < 9:
                with pytest.raises(SystemExit):
                    run_stub(space, store, engine)
            else:
                assert run_stub(space, store, engine) == Counts(9, 1, 0)
    with Store(tmp_path / "parts.sqlite") as store:
        assert table_of(space, store, [LATENCY]).columns == whole.columns


def test_a_front_is_made_once_and_points_in_order(folder: Path, tmp_path: Path) -> None:
    space = stub_space(folder, [10, 20, 30], schemes=["dense", "nm"], sparsities=[0.5])
    with Store(tmp_path / "s.sqlite") as store:
        engine = Here(str(tmp_path), STUB)
        run_stub(space, store, engine)
        assert table_of(space, store, [LATENCY]).columns["cycles"] == [10, 20, 30] * 2
    assert len(list(tmp_path.glob(f"{next(space.fronts()).key[:16]}.*"))) == 1
    assert len([*tmp_path.glob("*.*.*")]) == 2
    assert not engine._fronts  # none is kept for longer than it is needed


def test_failures_are_kept_and_tried_again_only_if_asked(folder: Path, tmp_path: Path) -> None:
    space = stub_space(folder, [10, REFUSED])
    with Store(tmp_path / "s.sqlite") as store:
        assert run_stub(space, store, Here(work=STUB)) == Counts(0, 1, 1)
        assert run_stub(space, store, Here(work=STUB)) == Counts(2, 0, 0)
        assert table_of(space, store, []).columns["failure"] == [None, "refused"]
        assert run_stub(space, store, Here(work=STUB), retry=True) == Counts(1, 0, 1)


def test_equal_points_are_measured_once(folder: Path, tmp_path: Path) -> None:
    space = stub_space(folder, [10], schemes=["nm", "nm:n=2"], sparsities=[0.5])
    twice = replace(space, sources=space.sources * 2)
    with Store(tmp_path / "s.sqlite") as store:
        assert run_stub(twice, store, Here(work=STUB)).measured == len(store) < len(twice)
        assert len(table_of(twice, store, [])) == len(twice)


def test_what_hardware_cannot_be_is_a_failure_of_its_point(folder: Path) -> None:
    made = sweep(
        folder / "net.onnx",
        targets=["sparse256"],
        settings={"dram.burst_bytes": [8, 64], "dram.bytes_per_cycle": [16]},
    )
    small, usual = made.rows
    assert "burst_bytes is less than" in small["failure"]
    assert small["cycles"] is None
    assert usual["failure"] is None


def test_a_network_that_is_none_fails_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    made = sweep([tmp_path / "bad.onnx", folder / "net.onnx"], targets=["dense256"])
    bad, good = made.rows
    assert "bad.onnx" in bad["failure"]
    assert good["failure"] is None


# ------------------------------------------------------------------------------------ the command


def test_the_command_writes_what_it_measured(
    folder: Path, tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = zeroskip(*of_the_store(folder), "--csv", "t.csv", "--json", "t.json")
    assert done.exit_code == 0, done.output
    assert "4 points: 4 were in" in done.stdout
    assert "wrote t.csv" in done.stdout
    assert "beaten by no other in snr, time, energy and area" in done.stdout
    assert json.loads(Path("t.json").read_text()) == table.rows
    with open("t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["cycles"] for row in rows] == [str(each) for each in table.columns["cycles"]]
    assert list(rows[0]) == list(table.columns)


def test_standard_output_takes_the_place_of_tables(folder: Path, table: Table) -> None:
    command = of_the_store(folder)
    assert json.loads(zeroskip(*command, "--json", "-").stdout) == table.rows
    assert zeroskip(*command, "--csv", "-").stdout.splitlines()[0] == ",".join(table.columns)
    assert zeroskip(*command, "--html", "-").stdout.startswith("<!DOCTYPE html>")
    for second in ("--json", "--html"):
        done = zeroskip(*command, "--csv", "-", second, "-")
        assert done.exit_code == 2
        assert "takes one file" in done.stderr


def test_parquet_holds_the_table(tmp_path: Path, table: Table) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    from zeroskip.runtime.render.experiment_files import write_parquet

    write_parquet(tmp_path / "t.parquet", table)
    assert pyarrow.read_table(tmp_path / "t.parquet").to_pylist() == table.rows


def test_failures_are_told_by_how_many_there_are(folder: Path, tmp_path: Path) -> None:
    done = zeroskip(
        *("sweep", folder / "net.onnx", "--set", "dram.burst_bytes=8,64", "--workers", "1"),
        *("--store", tmp_path / "s.sqlite"),
    )
    assert done.exit_code == 0, done.output
    assert "1 of 2 points failed" in done.stdout
    assert "burst_bytes is less than" in done.stdout


def test_data_that_do_not_fit_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", y=np.zeros((2, 1), np.float32))
    for command in (("sweep",), ("search", "--goals", "cycles", "--trials", "2")):
        done = zeroskip(
            *command,
            *(folder / "net.onnx", "--calibrate", tmp_path / "images.npz"),
            *("--set", "clock_mhz=400,500", "--workers", "1", "--store", tmp_path / "s.sqlite"),
            *("--csv", tmp_path / "t.csv"),
        )
        refused(done, "none of the 2 points has figures", "'x'")
        assert not (tmp_path / "t.csv").exists()


def of_the_store(folder: Path) -> list[str | Path]:
    """The command whose points are all in the store of ``table``."""
    return [
        *("sweep", folder / "net.onnx", "--calibrate", folder / "images.npz"),
        *("--targets", "sparse256", "--set", "sram.act_bytes=64KiB,128KiB", "--workers", "1"),
        *("--schemes", "dense,unstructured", "--sparsity", "0.5"),
        *("--store", folder / "whole.sqlite"),
    ]


def test_the_charts_of_the_page_are_written_as_files(
    folder: Path, tmp_path: Path, table: Table
) -> None:
    done = zeroskip(*of_the_store(folder), "--svg", tmp_path / "a" / "b")
    assert done.exit_code == 0, done.output
    written = sorted((tmp_path / "a" / "b").iterdir())
    assert [path.name for path in written] == [
        "net-area-time.svg",
        "net-energy-time.svg",
        "net-parallel.svg",
        "net-snr-area.svg",
        "net-snr-energy.svg",
        "net-snr-time.svg",
    ]
    for path in written:
        assert f"wrote {path}" in done.stdout
        ElementTree.parse(path)


def test_without_what_draws_pngs_nothing_is_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)  # not installed
    before = files(tmp_path)
    store, out = tmp_path / "s.sqlite", tmp_path / "out"
    for command in (["sweep"], ["search", "--goals", "cycles"]):
        done = zeroskip(*command, folder / "net.onnx", "--store", store, "--png", out)
        refused(done, "zeroskip[png]", "--svg")
        assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "sram.act_byte=1"], ("sram.act_byte", "did you mean")),
        (["--set", "sram.act_bytes=1"], ("outside",)),
        (["--targets", "dens256"], ("is not known",)),
        (["--schemes", "unstructurd"], ("did you mean",)),
        (["--objective", "speed"], ("is not known",)),
        (["--reconstruct", "weights"], ("fitted to samples",)),
        (["--calibrate", "none.npz"], ("none.npz", "cannot be read")),
        (["--params", "none.params"], ("none.params", "cannot be read")),
    ],
)
def test_the_command_refuses(
    arguments: list[str], words: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    before = files(tmp_path)
    store = tmp_path / "s.sqlite"
    refused(zeroskip("sweep", folder / "net.onnx", "--store", store, *arguments), *words)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give the networks"),
        (["net.onnx", "--set", "sram.act_bytes"], "is not of the form"),
        (["net.onnx", "--set", "a=1", "--set", "a=2"], "given twice"),
        (["net.onnx", "--sparsity", "2"], "ratios"),
        (["--space", "s.toml", "net.onnx"], "leave models out"),
        (["--space", "s.toml", "--targets", "dense256"], "leave --targets out"),
        (["net.onnx", "--workers", "0"], "--workers"),
    ],
)
def test_the_command_explains_its_use(arguments: list[str], words: str) -> None:
    done = zeroskip("sweep", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_nothing_is_started_where_all_is_known(
    folder: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine_of(*_: Any) -> Any:
        raise AssertionError("an engine for no point")

    monkeypatch.setattr(sweep_module, "engine_of", engine_of)
    again = swept(folder, store=folder / "whole.sqlite", workers=8)
    assert again.columns == table.columns


def test_python_refuses_as_the_command_does(folder: Path) -> None:
    with pytest.raises(ExperimentError, match="name one scheme"):
        sweep(folder / "net.onnx", schemes=[])
    with pytest.raises(ExperimentError, match="name one network"):
        sweep([])
    with pytest.raises(TypeError, match=r"sweep takes no option 'worker'.*workers"):
        sweep(folder / "net.onnx", worker=2)  # type: ignore[call-arg]
