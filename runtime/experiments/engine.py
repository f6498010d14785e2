"""Where points are measured: in this process, or by workers of dask.distributed.

An engine takes points and gives their outcomes as they come. Points with the same front wait for
it; it is made once, and kept until it is released.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Unpack

from zeroskip.runtime.experiments.errors import EngineError, ExperimentError
from zeroskip.runtime.experiments.front import Front, make_front, measure
from zeroskip.runtime.experiments.options import EngineOptions
from zeroskip.runtime.experiments.point import FrontPoint, Point
from zeroskip.runtime.experiments.sources import code_version
from zeroskip.runtime.experiments.store import Outcome

CONNECT = 10.0  # seconds in which a scheduler answers
FIRST_WORKER = 30.0  # seconds in which it has a worker
LOOK = 5.0  # seconds without an outcome after which it is asked how many workers there are
ABANDONED = 60.0  # seconds without a worker after which none is waited for
_POLL = 0.1  # seconds, in which an interrupt is heard
AHEAD = 2  # points of each worker that are submitted and not begun
EXTRA = "pip install 'zeroskip[sweep]'"


@dataclass(frozen=True)
class Work:
    """What a worker does; a simulation has other functions. make, measure: as of ``front``."""

    make: Callable[[FrontPoint, str, str | None], Front | Outcome] = make_front
    measure: Callable[[Front | Outcome, Point, str, str | None], Outcome] = measure


class Engine(Protocol):
    """Takes points, gives outcomes."""

    @property
    def workers(self) -> int:
        """Points that are measured at a time."""

    @property
    def room(self) -> bool:
        """Whether it should be given another point before the next outcome is asked for."""

    def submit(self, point: Point) -> None:
        """Have a point measured, and its front before if it is not there."""

    def outcome(self) -> tuple[Point, Outcome]:
        """Wait for the next of the points that were submitted. EngineError if it will never
        come."""

    def release(self, front: FrontPoint) -> None:
        """Let go of a front that no further point has."""


class Here:
    """This process: one point at a time."""

    workers = 1

    def __init__(self, cache: str | None = None, work: Work | None = None) -> None:
        self._work, self._cache = work or Work(), cache
        self._fronts: dict[str, Front | Outcome] = {}
        self._points: deque[Point] = deque()

    @property
    def room(self) -> bool:
        return not self._points

    def submit(self, point: Point) -> None:
        self._points.append(point)

    def outcome(self) -> tuple[Point, Outcome]:
        point, code = self._points.popleft(), code_version()
        key = point.front.key
        if key not in self._fronts:
            self._fronts[key] = self._work.make(point.front, code, self._cache)
        return point, self._work.measure(self._fronts[key], point, code, self._cache)

    def release(self, front: FrontPoint) -> None:
        self._fronts.pop(front.key, None)


class Cluster:
    """Workers of dask.distributed, each with one thread."""

    def __init__(self, client: Any, cache: str | None = None, work: Work | None = None) -> None:
        from distributed import as_completed

        self._client, self._cache, self._work = client, cache, work or Work()
        self._code = code_version()
        self._fronts: dict[str, Any] = {}
        self._points: dict[str, Point] = {}
        self._done = as_completed()
        self.workers = _count_workers(client)

    @property
    def room(self) -> bool:
        return len(self._points) < self.workers * (1 + AHEAD)

    def submit(self, point: Point) -> None:
        submit, front = self._client.submit, point.front
        if front.key not in self._fronts:
            key = f"front-{front.key}"
            self._fronts[front.key] = submit(
                self._work.make, front, self._code, self._cache, key=key
            )
        key = f"point-{point.key}"
        self._points[key] = point
        self._done.add(
            submit(
                self._work.measure,
                self._fronts[front.key],
                point,
                self._code,
                self._cache,
                key=key,
            )
        )

    def outcome(self) -> tuple[Point, Outcome]:
        from distributed.scheduler import KilledWorker

        try:
            self._wait()
            future = next(self._done)
            point = self._points.pop(future.key)
            if future.status == "finished":
                return point, future.result()
            if future.status != "error":
                raise _lost()
            problem = future.exception()
        except (OSError, TimeoutError):
            raise _lost() from None
        if isinstance(problem, EngineError):
            raise problem
        if isinstance(problem, KilledWorker):
            return point, Outcome(
                failure="workers that measured it died, as they do without enough memory"
            )
        words = str(problem).strip().partition("\n")[0][:200]
        return point, Outcome(failure=f"a worker failed ({type(problem).__name__}: {words})")

    def _wait(self) -> None:
        """Until an outcome is there. EngineError once there has been no worker for long."""
        looked = with_workers = time.monotonic()
        while not self._done.has_ready():
            with self._done.thread_condition:
                self._done.thread_condition.wait(timeout=_POLL)
            now = time.monotonic()
            if now - looked < LOOK:
                continue
            looked, self.workers = now, len(self._client.nthreads())
            if self.workers:
                with_workers = now
            elif now - with_workers > ABANDONED:
                raise EngineError(
                    "no worker is left, as when they die for want of memory; what was measured is "
                    "kept: start workers and run the same again"
                )

    def release(self, front: FrontPoint) -> None:
        self._fronts.pop(front.key, None)  # dask forgets what nobody holds


def _lost() -> EngineError:
    return EngineError(
        "the scheduler has gone, or lost what it was given; what was measured is kept: run the same "
        "again"
    )


def _count_workers(client: Any) -> int:
    """How many there are. EngineError unless each has one thread: TVM's diagnostics and Python's
    warnings are the process's."""
    threads = client.nthreads()
    if any(count != 1 for count in threads.values()):
        raise EngineError(
            "a worker has several threads; start workers with --nthreads 1, and more of them with "
            "--nworkers"
        )
    return len(threads)


def _is_here(options: EngineOptions) -> bool:
    """Whether this process measures."""
    return options.get("scheduler") is None and options.get("workers", 1) == 1


def check_library(**options: Unpack[EngineOptions]) -> None:
    """ExperimentError if the workers need a library that is not installed."""
    if _is_here(options):
        return
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise ExperimentError(
            f"several workers need dask.distributed: {EXTRA}, or take --workers 1"
        ) from None


@contextmanager
def engine_of(work: Work | None = None, **options: Unpack[EngineOptions]) -> Iterator[Engine]:
    """Within it, an engine: workers of a scheduler that runs, as many processes as are asked for,
    or this process where that is one.

    ExperimentError without the library, EngineError for a scheduler that does not answer or has no
    workers.
    """
    cache, scheduler = options.get("cache"), options.get("scheduler")
    kept = None if cache is None else str(cache)
    if _is_here(options):
        yield Here(kept, work)
        return
    check_library(**options)
    import distributed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
        if scheduler is not None:
            with _connected(scheduler) as client:
                yield Cluster(client, kept, work)
            return
        local = _local(options.get("workers", 1))
        with local as cluster, distributed.Client(cluster) as client:
            yield Cluster(client, kept, work)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """A client of a scheduler that runs and has workers of this version."""
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT)
    except (OSError, ValueError, TimeoutError, TypeError):
        raise EngineError(
            f"the scheduler '{address}' cannot be reached: give the address that `dask scheduler` "
            "prints, such as tcp://127.0.0.1:8786"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=FIRST_WORKER)
        except TimeoutError:
            raise EngineError(
                f"the scheduler '{address}' has no workers: start some with `dask worker {address} "
                "--nthreads 1`"
            ) from None
        yield client


@contextmanager
def _local(workers: int) -> Iterator[Any]:
    """Processes of this computer, each with one thread, TVM and BLAS included."""
    import dask
    from distributed import LocalCluster

    threads = {"distributed.nanny.pre-spawn-environ.TVM_NUM_THREADS": "1"}
    with dask.config.set(threads), _interrupts_are_ours():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",  # a port that is free
            silence_logs=logging.CRITICAL,
        )
    with cluster:
        yield cluster


@contextmanager
def _interrupts_are_ours() -> Iterator[None]:
    """Processes that are started within it do not hear a terminal's interrupt: they end with this
    one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
