"""How long a target runs, and when it hangs.

In the suite: the same few examples every time. With OSSVOL_FUZZ_EXAMPLES=N: N examples of a target, others every time,
and what failed is kept in .hypothesis and tried first the next time.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hypothesis import HealthCheck, settings

__all__ = ["Hang", "budget", "within"]

WANTED = int(os.environ.get("OSSVOL_FUZZ_EXAMPLES", "0"))


def budget(examples: int) -> settings:
    """examples: in the suite."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    if WANTED:
        return settings(max_examples=WANTED, deadline=None, suppress_health_check=slow, print_blob=True)
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=slow)


class Hang(AssertionError):
    """The input costs more than it may."""


@contextmanager
def within(seconds: float = 2.0) -> Iterator[None]:
    """Raises Hang in what uses more of the processor than that; a busy machine does not count. In a thread other than
    the main one nothing is watched: signals do not get there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"still at it after {seconds} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
