"""Several images through a host module side by side, so that their regions run as one.

TVM compiles the host for one image. Each image gets a thread of its own that runs it; where a
thread calls a region it waits until every other has come to a call or to its end. Then the
machine runs each of the regions that are waited for once, for all images that wait for it, in the
thread that started them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.machine.executor import Observer
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import Program

T = TypeVar("T")
TOGETHER = 16  # images: each holds what the host has made of it


@dataclass(eq=False)
class Call:
    """A region that an image calls: what it gives, and what the machine makes of it."""

    program: Program
    inputs: Mapping[str, npt.NDArray[np.generic]]
    observer: Observer | None
    run: Run | None = field(default=None)
    error: BaseException | None = field(default=None)

    @property
    def executed(self) -> bool:
        return self.run is not None or self.error is not None

    def result(self) -> Run:
        if self.error is not None:
            raise self.error
        assert self.run is not None  # it was executed
        return self.run


Execute = Callable[[Sequence[Call]], None]  # calls of one program


class Meeting:
    """Where the threads of images wait for one another."""

    def __init__(self, images: int) -> None:
        self._running = images
        self._calls: dict[int, Call] = {}  # by image, those that wait
        self._changed = threading.Condition()
        self._error: BaseException | None = None

    def call(self, image: int, call: Call) -> Run:
        """Wait for what the machine makes of a call."""
        with self._changed:
            self._calls[image] = call
            self._changed.notify_all()
            self._changed.wait_for(lambda: call.executed or self._error is not None)
        if self._error is not None:
            raise self._error
        return call.result()

    def leave(self) -> None:
        """An image is done."""
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def execute(self, execute: Execute) -> None:
        """Execute all calls until every image is done."""
        try:
            while calls := self._next():
                for group in _groups(calls):
                    _execute(group, execute)
                with self._changed:
                    self._changed.notify_all()
        except BaseException as problem:
            with self._changed:
                self._error = problem  # every thread ends with it
                self._changed.notify_all()
            raise

    def _next(self) -> list[Call]:
        """A call of each image that is not done, in their order; none if all are."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._calls) == self._running)
            calls, self._calls = self._calls, {}
        return [calls[image] for image in sorted(calls)]


def _groups(calls: Sequence[Call]) -> list[list[Call]]:
    """Calls of the same program together."""
    found: dict[int, list[Call]] = {}
    for call in calls:
        found.setdefault(id(call.program), []).append(call)
    return list(found.values())


def _execute(calls: Sequence[Call], execute: Execute) -> None:
    """Execute calls of one program; where that fails, one by one, so that each has its own error.
    The calls after the first that fails get its error."""
    try:
        execute(calls)
        return
    except Exception as problem:
        error: BaseException | None = problem if len(calls) == 1 else None
    for call in calls:
        if error is None:
            try:
                execute([call])
            except Exception as problem:
                error = problem
        call.error = error


_here = threading.local()  # meeting and image of a thread, and the last call


def called(call: Call, execute: Execute) -> Run:
    """The run of a call: with those of other images if this thread is one of several."""
    meeting: Meeting | None = getattr(_here, "meeting", None)
    if meeting is not None:
        _here.last = call
        return meeting.call(_here.image, call)
    execute([call])
    return call.result()


def in_lockstep(images: Sequence[Callable[[], T]], execute: Execute) -> Iterator[T]:
    """What a function of each image returns; raises the error of the first image that has one."""
    if len(images) == 1:
        yield images[0]()
        return
    for first in range(0, len(images), TOGETHER):
        for number, outcome in enumerate(_together(images[first : first + TOGETHER], execute)):
            if outcome.error is not None:
                raise _of_image(outcome.error, first + number)
            yield outcome.value  # type: ignore[misc]  # there is one: no error


@dataclass(eq=False)
class _Outcome(Generic[T]):
    value: T | None = None
    error: BaseException | None = None


def _together(images: Sequence[Callable[[], T]], execute: Execute) -> list[_Outcome[T]]:
    meeting = Meeting(len(images))
    outcomes: list[_Outcome[T]] = [_Outcome() for _ in images]

    def work(number: int) -> None:
        _here.meeting, _here.image, _here.last = meeting, number, None
        try:
            outcomes[number].value = images[number]()
        except BaseException as problem:
            # What the machine raised loses all but its sentence on its way through TVM.
            own = _here.last and _here.last.error
            outcomes[number].error = own if isinstance(own, type(problem)) else problem
        finally:
            meeting.leave()

    threads = [
        threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(images))
    ]
    for thread in threads:
        thread.start()
    try:
        meeting.execute(execute)
    finally:
        for thread in threads:
            thread.join()
    return outcomes


def _of_image(error: BaseException, number: int) -> BaseException:
    """The error; with its image's number if values of the image are what is wrong."""
    if not isinstance(error, MachineError) or error.image is None:
        return error
    return MachineError(f"image {number}: {error}", error.pcs, race=error.race, image=number)
