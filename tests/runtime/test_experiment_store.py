"""The store of sweeps and searches: what it is given it gives, to several processes at once."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.runtime.command import files, refused, zeroskip
from tests.runtime.nets import small_net
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.store import Outcome, Store


def outcome(number: int) -> Outcome:
    return Outcome({"cycles": number}, seconds=0.5)


def test_a_store_gives_what_it_was_given(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        store.put("a", outcome(1), {"network": "n"}, "code")
        store.put("b", Outcome(failure="no"), {}, "code")
        assert store.get("c") is None
    with Store(tmp_path / "s.sqlite") as store:
        assert store.get("a") == outcome(1)
        assert store.get("b") == Outcome(failure="no")
        store.put("a", Outcome(failure="died"), {}, "code")  # of another process, meanwhile
        assert store.get("a") == outcome(1)
        store.put("b", outcome(2), {}, "code")
        assert store.get("b") == outcome(2)


def _write_many(path: Path, first: int, count: int) -> None:
    for number in range(first, first + count):
        with Store(path) as store:
            store.put(str(number), outcome(number), {}, "code")


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path, context = tmp_path / "s.sqlite", multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(path, 50 * n, 60)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    with Store(path) as store:
        assert len(store) == 210
        assert all(store.get(str(n)) == outcome(n) for n in range(210))


def test_a_store_that_another_makes_meanwhile_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what is asked of a file that is still empty, another process makes the store there,
    or would if it were let."""
    path, connect = tmp_path / "s.sqlite", sqlite3.connect
    other = threading.Thread(target=lambda: Store(path).close())

    class Slow(sqlite3.Connection):
        def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            if "sqlite_master" in sql:  # what the file is of has been asked before
                monkeypatch.undo()
                other.start()
                other.join(timeout=0.3)
            return super().execute(sql, *rest)

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Slow))
    with Store(path) as store:
        other.join()
        store.put("a", outcome(1), {}, "code")
        assert store.get("a") == outcome(1)


def _no_database(path: Path) -> None:
    path.write_text("text that is no database, and longer than a header of one" * 10)


def _other_database(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()


def _later_version(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_no_database, "not a database"),
        (_other_database, "something else"),
        (_later_version, "version 99"),
        (lambda path: (path.parent / "s.sqlite").symlink_to("none/s"), "cannot be used as a store"),
    ],
)
def test_no_store_is_left_as_it_is(
    prepare: Callable[[Path], Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.sqlite"
    onnx.save(small_net(), tmp_path / "net.onnx")
    prepare(path)
    before = files(tmp_path)
    with pytest.raises(ZeroskipError) as refusal:
        Store(path)
    assert words in str(refusal.value)
    refused(
        zeroskip("sweep", tmp_path / "net.onnx", "--workers", "1", "--store", path),
        "s.sqlite",
        words,
    )
    assert files(tmp_path) == before


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be used as a store"):
        Store(tmp_path)
