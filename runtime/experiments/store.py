"""Figures and failures of points, by key, in one SQLite file.

Several processes may write to it at once: SQLite's write-ahead log lets one write while others
read, and who finds it locked waits. A figure is in the file when ``put`` returns; what kills the
process loses no more than the points that were in flight. The log needs a file system whose locks
work: a disk of the computer that writes, not a network's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.runtime.experiments.errors import ExperimentError

MEMORY = ":memory:"  # a store that is gone with the process
VERSION = 1  # of the tables below
_APPLICATION = 0x5A534B50  # "ZSKP": whose file it is
_WAIT = 60.0  # seconds for another process's lock
_TABLES = """
CREATE TABLE IF NOT EXISTS points (
    key TEXT PRIMARY KEY,
    failure TEXT,           -- the sentence of a refusal; NULL where there are figures
    figures TEXT NOT NULL,  -- JSON
    named TEXT NOT NULL,    -- JSON: what the point was asked to be, for whoever reads the file
    seconds REAL NOT NULL,  -- that it took
    code TEXT NOT NULL,     -- version of the code
    finished TEXT NOT NULL  -- UTC
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Outcome:
    """What a point gave. figures: by name, of JSON. failure: the sentence of a refusal, None if
    there is none. seconds: that it took."""

    figures: Mapping[str, Any] = field(default_factory=dict)
    failure: str | None = None
    seconds: float = 0.0


class Store:
    """The file, made if it is not there; a context that closes it.

    ExperimentError if it cannot be used: no store, or one of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        refuse_irregular(self.path)
        with self._refusing():
            self._connection = sqlite3.connect(self.path, timeout=_WAIT, isolation_level=None)
        try:
            with self._refusing():
                self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        run = self._connection.execute
        run("BEGIN")  # of one moment, while others may be making it
        (application,), (version,) = (
            run(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
        )
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        run("COMMIT")
        if tables and application != _APPLICATION:
            raise ExperimentError(
                f"'{self.path}' is a database of something else; name another file with --store"
            )
        if tables and version != VERSION:
            raise ExperimentError(
                f"'{self.path}' is a store of version {version}, and this zeroskip has version "
                f"{VERSION}: name another file with --store"
            )
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN IMMEDIATE")  # of several that make it at once, the others find it made
        run(_TABLES)
        run(f"PRAGMA application_id = {_APPLICATION}")
        run(f"PRAGMA user_version = {VERSION}")
        run("COMMIT")

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Within it, an error of SQLite's is a refusal."""
        try:
            yield
        except sqlite3.Error as problem:
            raise ExperimentError(
                f"'{self.path}' cannot be used as a store: {problem}; name another file with --store"
            ) from None

    def get(self, key: str) -> Outcome | None:
        """What is known of a point; None if nothing is."""
        with self._refusing():
            row = self._connection.execute(
                "SELECT figures, failure, seconds FROM points WHERE key = ?", (key,)
            ).fetchone()
        return None if row is None else Outcome(json.loads(row[0]), row[1], row[2])

    def all_named(self) -> Iterator[Mapping[str, Any]]:
        """What each point was asked to be, in the order in which they were finished."""
        with self._refusing():
            rows = self._connection.execute("SELECT named FROM points ORDER BY finished, key")
            for (named,) in rows.fetchall():
                yield json.loads(named)

    def put(self, key: str, outcome: Outcome, named: Mapping[str, Any], code: str) -> None:
        """Keep what a point gave; what was known of it before is gone. Returns when it is written.

        Figures that another process wrote meanwhile are the same: a failure does not replace them.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._refusing():
            self._connection.execute(
                "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "failure = excluded.failure, figures = excluded.figures, named = excluded.named, "
                "seconds = excluded.seconds, code = excluded.code, finished = excluded.finished "
                "WHERE points.failure IS NOT NULL",
                (
                    key,
                    outcome.failure,
                    json.dumps(dict(outcome.figures)),
                    json.dumps(dict(named)),
                    outcome.seconds,
                    code,
                    now,
                ),
            )

    def __len__(self) -> int:
        with self._refusing():
            (count,) = self._connection.execute("SELECT count(*) FROM points").fetchone()
        return int(count)

    def close(self) -> None:
        """Close the file; the log becomes part of it if nobody else has it open."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
