"""Workers of dask.distributed: the same outcomes as this process, and what happens when one
dies."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.runtime.command import refused, zeroskip
from tests.runtime.nets import small_net
from tests.runtime.stub_work import DEADLY, LATENCY, OTHER, REFUSED, STRANGE, STUB
from zeroskip.accel_model.io.telling import no_progress
from zeroskip.runtime.experiments import engine as engines
from zeroskip.runtime.experiments.engine import Cluster, Here, engine_of
from zeroskip.runtime.experiments.errors import EngineError, ExperimentError
from zeroskip.runtime.experiments.run import Counts, missing_of, run
from zeroskip.runtime.experiments.sources import source_of
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import Store
from zeroskip.runtime.experiments.sweep import sweep
from zeroskip.runtime.experiments.table import Table, table_of


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "net.onnx"
    onnx.save(small_net(), path)
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers; the scheduler's address is for those who connect to it."""
    with engines._local(2) as made:
        yield made


def measured(
    net: Path, client: Any, latencies: list[int], folder: Path | None = None
) -> tuple[Table, Counts]:
    space = Space.of(
        [source_of(net)],
        settings={LATENCY: latencies},
        schemes=["dense", "nm", "pattern"],
        sparsities=[0.5, 0.75],
    )
    cache = None if folder is None else str(folder)
    with Store(":memory:") as store:
        engine = Here(cache, STUB) if client is None else Cluster(client, cache, STUB)
        counts = run(space, missing_of(space, store), store, engine, no_progress)
        assert client is None or not engine._fronts
        return table_of(space, store, [LATENCY]), counts


def test_workers_give_what_this_process_gives(net: Path, cluster: Any, tmp_path: Path) -> None:
    from distributed import Client

    latencies = [10, 20, REFUSED, 40]
    with Client(cluster) as client:
        table, counts = measured(net, client, latencies, tmp_path)
    alone, same = measured(net, None, latencies)
    assert table.columns == alone.columns
    assert counts == same == Counts(0, 15, 5)
    fronts = [path.name.split(".") for path in tmp_path.iterdir()]
    assert len(fronts) == 5  # each made once
    assert len({process for _, process, _ in fronts}) == 2


@pytest.mark.sweep
def test_what_a_worker_dies_of_is_a_failure_of_the_point(
    net: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    space = Space.of([source_of(net)], settings={LATENCY: [DEADLY]})
    with Client(cluster) as client, Store(":memory:") as store:
        run(space, missing_of(space, store), store, Cluster(client, None, STUB), no_progress)
        (failure,) = table_of(space, store, []).columns["failure"]
        assert "died" in failure
        client.wait_for_workers(2)
        assert measured(net, client, [10])[0].columns["failure"] == [None] * 5


def test_without_any_worker_a_run_ends(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client, LocalCluster

    monkeypatch.setattr(engines, "LOOK", 0.1)
    monkeypatch.setattr(engines, "ABANDONED", 0.2)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", processes=False
        ) as one,
        Client(one) as client,
    ):
        engine = Cluster(client, None, STUB)
        one.scale(0)
        engine.submit(next(iter(Space.of([source_of(net)]))))
        with pytest.raises(EngineError, match="no worker is left"):
            engine.outcome()


def test_without_its_scheduler_a_run_ends(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client, LocalCluster

    monkeypatch.setattr(engines, "LOOK", 0.1)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", processes=False) as gone,
        Client(gone, timeout=1) as client,
    ):
        engine = Cluster(client, None, STUB)
        engine.submit(next(iter(Space.of([source_of(net)]))))
        gone.close()
        with pytest.raises(EngineError, match="the scheduler has gone"):
            engine.outcome()


def test_what_nobody_expected_is_a_failure_of_the_point(net: Path, cluster: Any) -> None:
    from distributed import Client

    with Client(cluster) as client:
        table, _counts = measured(net, client, [10, STRANGE])
    assert table.columns["failure"] == [None, "a worker failed (ValueError: strange)"] * 5


def test_a_worker_of_another_version_ends_the_run(net: Path, cluster: Any) -> None:
    from distributed import Client

    with Client(cluster) as client, pytest.raises(EngineError, match="another version"):
        measured(net, client, [OTHER])


def test_a_scheduler_that_runs_measures_networks(net: Path, cluster: Any, tmp_path: Path) -> None:
    address = cluster.scheduler_address
    store = tmp_path / "s.sqlite"
    done = zeroskip("sweep", net, "--scheduler", address, "--store", store)
    assert done.exit_code == 0, done.output
    assert "1 points: 0 were in" in done.stdout
    assert sweep(net, store=store).columns == sweep(net).columns


def test_workers_say_that_they_see_another_file(
    net: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeroskip.runtime.experiments.sources._digest", lambda *_: "elsewhere")
    with pytest.raises(EngineError, match="sees another"):
        sweep(net, scheduler=cluster.scheduler_address)


def test_workers_say_that_they_are_of_another_version(
    net: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "code_version", lambda: "newer")
    with pytest.raises(EngineError, match="another version of zeroskip"):
        sweep(net, scheduler=cluster.scheduler_address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "here", "127.0.0.1:1"])
def test_no_scheduler_is_refused(
    address: str, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "CONNECT", 0.5)
    store = tmp_path / "s.sqlite"
    done = zeroskip("sweep", net, "--scheduler", address, "--store", store)
    refused(done, address, "cannot be reached", "dask scheduler")
    assert not store.exists()


def test_no_workers_are_refused(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(engines, "FIRST_WORKER", 0.5)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", processes=False) as empty,
        pytest.raises(EngineError, match="has no workers"),
    ):
        sweep(net, scheduler=empty.scheduler_address)


def test_workers_with_threads_are_refused(net: Path) -> None:
    from distributed import LocalCluster

    with (
        warnings.catch_warnings(),
        LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address=":0", processes=False
        ) as threaded,
        pytest.raises(EngineError, match="--nthreads 1"),
    ):
        sweep(net, scheduler=threaded.scheduler_address)


def test_without_the_library_the_remedy_is_named(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExperimentError, match=r"zeroskip\[sweep\]"), engine_of(workers=2):
        pass
    done = zeroskip("sweep", net, "--workers", "2", "--store", tmp_path / "s.sqlite")
    refused(done, "zeroskip[sweep]", "--workers 1")
    assert not (tmp_path / "s.sqlite").exists()
    assert len(sweep(net)) == 1  # one worker is this process


def test_neither_sweep_nor_its_library_is_imported_by_others() -> None:
    code = (
        "import sys, zeroskip.runtime.cli.main, zeroskip.compiler.driver\n"
        "print([name for name in ('distributed', 'dask', 'optuna') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
