"""Time as a value that is passed in: wall clock, virtual clock, and a wall clock that can be moved ahead.

Seconds are floats since the Unix epoch. Cores never import `time`; they take a `Clock`.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["AdjustableClock", "Clock", "VirtualClock", "WallClock"]


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Returns once `seconds` have passed on this clock."""
        ...


class WallClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class VirtualClock:
    """Stands still until somebody advances it; a sleeper advances it himself, so nothing ever waits."""

    def __init__(self, start: float = 1_725_321_600.0) -> None:  # 2024-09-03T00:00:00Z, the FAQ's date
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Moves time ahead. Raises ValueError when `seconds` is negative: time does not run backwards."""
        if seconds < 0:
            raise ValueError(f"cannot advance a clock by {seconds} s")
        with self._lock:
            self._now += seconds

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))


class AdjustableClock:
    """The wall clock plus an offset that only grows: what a mount process uses, so that a scenario can advance time
    while the kernel and the sockets around it keep theirs."""

    def __init__(self, base: Clock | None = None, offset: float = 0.0) -> None:
        self._base = base or WallClock()
        self._offset = offset
        self._moved = threading.Condition()

    @property
    def offset(self) -> float:
        """Seconds that this clock is ahead of its base."""
        return self._offset

    def now(self) -> float:
        return self._base.now() + self._offset

    def advance(self, seconds: float) -> None:
        """Moves time ahead. Raises ValueError when `seconds` is negative."""
        if seconds < 0:
            raise ValueError(f"cannot advance a clock by {seconds} s")
        with self._moved:
            self._offset += seconds
            self._moved.notify_all()

    def sleep(self, seconds: float) -> None:
        """Returns early when the clock is moved over the end of the sleep."""
        if not isinstance(self._base, WallClock):
            self._base.sleep(seconds)
            return
        end = self.now() + seconds
        with self._moved:
            while (left := end - self.now()) > 0:
                self._moved.wait(left)
