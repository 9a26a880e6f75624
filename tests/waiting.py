"""For tests of other processes, which nobody's virtual clock moves."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(done: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it was done within `seconds` of real time; looked at every 10 ms."""
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.01)
    return done()
