"""A timeline that follows the machine's clock, for callers on threads of their own: a gRPC server's.

Everything on the timeline happens under one lock, in whichever thread finds it due. A thread of the clockwork's own
looks at least once a second: what ossfs processes do by themselves has no time of its own. Any thread may call `run`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from osscluster.timeline import Steps, Timeline

__all__ = ["Clockwork"]

T = TypeVar("T")

_PROBE_SECONDS = 1.0


class Clockwork:
    """timeline: nobody else may drive it; clock: seconds, monotonic."""

    def __init__(self, timeline: Timeline, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeline = timeline
        self._clock = clock
        self._origin = clock()
        self._begun = timeline.now()
        self._changed = threading.Condition()
        self._closed = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._tick, name="clockwork", daemon=True)
        self._thread.start()

    def run(self, name: str, steps: Steps[T]) -> T:
        """A job on the timeline, waited for. Raises what it raises, and what the timeline has failed with."""
        with self._changed:
            job = self._timeline.spawn(name, steps, loud=False)
            while True:
                self._catch_up()
                if job.done:
                    return job.result()
                if self._closed:
                    raise RuntimeError(f"{name}: the server is closing")
                self._changed.wait(_PROBE_SECONDS)

    def call(self, action: Callable[[], T]) -> T:
        """Something that takes no time, under the lock."""
        with self._changed:
            self._catch_up()
            return action()

    def close(self) -> None:
        """Ends the thread; safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _catch_up(self) -> None:
        if self._failure is not None:
            raise RuntimeError("the timeline has failed") from self._failure
        behind = self._begun + (self._clock() - self._origin) - self._timeline.now()
        try:
            self._timeline.advance(max(0.0, behind))
        except BaseException as error:
            # It is in no state to go on; every caller is told.
            self._failure = error
            raise
        self._changed.notify_all()

    def _tick(self) -> None:
        with self._changed:
            while not self._closed and self._failure is None:
                upcoming = self._timeline.next_due()
                behind = _PROBE_SECONDS if upcoming is None else upcoming - self._timeline.now()
                self._changed.wait(min(_PROBE_SECONDS, max(0.001, behind)))
                if not self._closed and self._failure is None:
                    try:
                        self._catch_up()
                    except Exception:  # noqa: BLE001 - kept in _failure, which the next caller raises
                        return
