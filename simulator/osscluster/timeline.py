"""Virtual time with something in it: what controllers, kubelets and drivers of a cluster do, in order.

A `Timeline` runs callbacks at their times and jobs. A job is a generator (`Steps`) that yields a `Wait` wherever the
real thing would wait: for a condition, for so many seconds, or for either. Nothing ever sleeps; time moves when
somebody advances it, and everything that is due on the way happens in order, the same way each time.

The cloud and the mounts have a clock of their own, which follows lazily: `move` is called with the seconds that have
passed before anything touches them (`synchronise`), not at every step, because a real mount makes a moved clock cost
real time (`kernel`).

Not thread-safe: one thread drives it (a server takes a lock around it). Pure: no wall clock, no randomness.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = ["Job", "Steps", "Timeline", "Timer", "Wait"]

T = TypeVar("T")

_RESOLUTION = 1e-9


@dataclass(frozen=True, slots=True)
class Wait:
    """What a job yields: until `condition` holds, or `seconds` have passed. The yield gives whether the condition held
    (False after a timeout; with no condition always False). None for `seconds`: as long as it takes."""

    condition: Callable[[], bool] | None = None
    seconds: float | None = None


Steps = Generator[Wait, bool, T]
"""What runs as a job: it yields Waits, and returns a T."""


class Job(Generic[T]):
    """A running or finished `Steps`."""

    def __init__(self, name: str, steps: Steps[T], *, loud: bool) -> None:
        self.name = name
        self.loud = loud
        self.done = False
        self.error: BaseException | None = None
        self._steps = steps
        self._result: T | None = None
        self._wait = Wait()
        self._started = False
        self._timer: Timer | None = None

    def result(self) -> T:
        """What it returned. Raises what it raised; RuntimeError while it runs."""
        if self.error is not None:
            raise self.error
        if not self.done:
            raise RuntimeError(f"{self.name} has not finished")
        return self._result  # type: ignore[return-value]  # T may be None itself


@dataclass(slots=True)
class Timer:
    """A callback to come. `cancel` makes it one that never comes."""

    when: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        """Safe at any time, also when it has run."""
        self.cancelled = True


@dataclass(order=True, slots=True)
class _Entry:
    when: float
    number: int
    timer: Timer = field(compare=False)


class Timeline:
    """start: seconds since the epoch; move: told how many seconds the cloud and the mounts have to be moved."""

    def __init__(self, start: float, move: Callable[[float], None] = lambda seconds: None) -> None:
        self._now = start
        self._moved = start
        self._move = move
        self._entries: list[_Entry] = []
        self._numbers = itertools.count()
        self._ready: deque[tuple[Job[Any], bool]] = deque()
        self._waiting: list[Job[Any]] = []
        self._settling = False

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def synchronise(self) -> None:
        """Brings the cloud and the mounts to this time. Call before anything that touches them."""
        lag = self._now - self._moved
        if lag > _RESOLUTION:
            self._moved = self._now
            self._move(lag)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Runs `callback` in so many seconds (at the next `settle` or `advance` for 0)."""
        timer = Timer(self._now + max(0.0, seconds), callback)
        heapq.heappush(self._entries, _Entry(timer.when, next(self._numbers), timer))
        return timer

    def spawn(self, name: str, steps: Steps[T], *, loud: bool = True) -> Job[T]:
        """Starts a job; its first step runs at the next `settle` or `advance`, never inside this call. loud: what it
        raises is raised by whoever drives the timeline; otherwise it is kept for `Job.result`."""
        job = Job(name, steps, loud=loud)
        self._ready.append((job, False))
        return job

    def settle(self) -> None:
        """Does everything that can be done without time passing. Raises what a callback raises, and what a job raises
        that was spawned with `loud`: a defect must not vanish in the background."""
        if self._settling:
            return
        self._settling = True
        try:
            while self._step():
                pass
        finally:
            self._settling = False

    def advance(self, seconds: float) -> None:
        """Moves time, doing what is due on the way at its own time, and settles."""
        if seconds < 0:
            raise ValueError(f"cannot advance a timeline by {seconds} s")
        self._until(self._now + seconds, lambda: False)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Moves time from event to event until `condition` holds, at most `seconds`; says whether it did."""
        return self._until(self._now + seconds, condition)

    def run(self, name: str, steps: Steps[T]) -> T:
        """A job, and time moved until it is done. Raises what it raises; TimeoutError if it waits for ever."""
        job = self.spawn(name, steps, loud=False)
        while not job.done:
            self.settle()
            if job.done:
                break
            upcoming = self.next_due()
            if upcoming is None:
                raise TimeoutError(f"{name} waits for something that will never happen")
            self._now = max(self._now, upcoming)
        return job.result()

    def _until(self, end: float, condition: Callable[[], bool]) -> bool:
        while True:
            self.settle()
            if condition():
                return True
            upcoming = self.next_due()
            if upcoming is None or upcoming > end:
                self._now = max(self._now, end)
                return condition()
            self._now = max(self._now, upcoming)

    def next_due(self) -> float | None:
        """When the next timer comes, in seconds since the epoch; None when there is none."""
        while self._entries and self._entries[0].timer.cancelled:
            heapq.heappop(self._entries)
        return self._entries[0].when if self._entries else None

    def _step(self) -> bool:
        if self._ready:
            job, held = self._ready.popleft()
            self._resume(job, held)
            return True
        upcoming = self.next_due()
        if upcoming is not None and upcoming <= self._now + _RESOLUTION:
            heapq.heappop(self._entries).timer.callback()
            return True
        for job in self._waiting:
            condition = job._wait.condition
            if condition is not None and condition():
                self._wake(job, True)
                return True
        return False

    def _wake(self, job: Job[Any], held: bool) -> None:
        self._waiting.remove(job)
        if job._timer is not None:
            job._timer.cancel()
            job._timer = None
        self._ready.append((job, held))

    def _resume(self, job: Job[Any], held: bool) -> None:
        try:
            wait = job._steps.send(held) if job._started else next(job._steps)
        except StopIteration as stop:
            job.done, job._result = True, stop.value
            return
        except Exception as error:
            job.done, job.error = True, error
            if job.loud:
                raise
            return
        job._started = True
        job._wait = wait
        self._waiting.append(job)
        if wait.seconds is not None:
            job._timer = self.call_later(wait.seconds, lambda: self._wake(job, False))
