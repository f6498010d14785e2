"""Points through an engine into a store: what is known is not measured again."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zeroskip.accel_model.io.telling import Progress
from zeroskip.runtime.experiments.engine import Engine
from zeroskip.runtime.experiments.point import FrontPoint, Point
from zeroskip.runtime.experiments.sources import code_version
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import Store


@dataclass(frozen=True)
class Counts:
    """Points of a run. known: that were in the store. measured: that have figures now. failed: that
    were refused now."""

    known: int
    measured: int
    failed: int


def missing_of(space: Space, store: Store, retry: bool = False) -> set[str]:
    """Keys of the points that the store does not know; retry: and of those that failed."""
    return {point.key for point in space if _is_missing(point, store, retry)}


def run(
    space: Space, missing: set[str], store: Store, engine: Engine, progress: Progress
) -> Counts:
    """Measure the points of a space that are missing in a store; ``missing`` is empty at the end.

    As many fronts are under way as there are workers, so that none waits for another's. EngineError
    if the engine cannot go on: what was measured is in the store.
    """
    total = len(space)
    known = total - len(missing)
    groups = ((front, _taken(space.points_of(front), missing)) for front in space.fronts())
    active: deque[tuple[FrontPoint, Iterator[Point]]] = deque()
    in_flight: Counter[str] = Counter()
    exhausted: set[str] = set()
    done, failed, began, code = known, 0, time.monotonic(), code_version()
    while True:
        while engine.room:
            while len(active) < engine.workers and (group := next(groups, None)) is not None:
                active.append(group)
            if not active:
                break
            front, points = active.popleft()
            point = next(points, None)
            if point is None:
                exhausted.add(front.key)
                _release(engine, front, in_flight, exhausted)
                continue
            active.append((front, points))
            in_flight[front.key] += 1
            engine.submit(point)
        if not in_flight.total():
            return Counts(known, done - known - failed, failed)
        progress(_left(done - known, total - known, failed, began), done, total)
        point, outcome = engine.outcome()
        store.put(point.key, outcome, point.named(), code)
        done, failed = done + 1, failed + (outcome.failure is not None)
        in_flight[point.front.key] -= 1
        _release(engine, point.front, in_flight, exhausted)


def _taken(points: Iterable[Point], missing: set[str]) -> Iterator[Point]:
    """Those that are missing, which are then missing no more: equal points are measured once."""
    for point in points:
        if point.key in missing:
            missing.remove(point.key)
            yield point


def _is_missing(point: Point, store: Store, retry: bool) -> bool:
    """Whether the store has no figures of a point, nor its failure, unless that is retried."""
    outcome = store.get(point.key)
    return outcome is None or (retry and outcome.failure is not None)


def _release(
    engine: Engine, front: FrontPoint, in_flight: Counter[str], exhausted: set[str]
) -> None:
    if front.key in exhausted and not in_flight[front.key]:
        exhausted.remove(front.key)
        del in_flight[front.key]
        engine.release(front)


def _left(done: int, total: int, failed: int, began: float) -> str:
    """What a run does, with what is left of it as far as that can be known."""
    words = ["points"]
    if failed:
        words.append(f"{failed:,} failed")
    if done:
        words.append(time_left((time.monotonic() - began) / done * (total - done)))
    return ", ".join(words)


def time_left(seconds: float) -> str:
    """``about 2 h left``: round, so that it does not flicker."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:.0f} {unit} left"
    return "a minute left" if seconds >= 30 else "less than a minute left"
