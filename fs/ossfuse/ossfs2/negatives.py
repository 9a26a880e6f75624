"""The cache of missing names: `oss_negative_cache_timeout`, and what the kernel keeps with `negative_timeout`.

Any thread. Clock readings are handed in.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

__all__ = ["Negatives"]


class Negatives:
    """Names that the server did not have a moment ago: at most `size` of them, each for `timeout` seconds."""

    def __init__(self, timeout: float, size: int) -> None:
        self._timeout, self._size = timeout, size
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, path: str, now: float) -> bool:
        with self._lock:
            until = self._until.get(path)
            return until is not None and now < until

    def insert(self, path: str, now: float) -> None:
        if not self._timeout:
            return
        with self._lock:
            self._until[path] = now + self._timeout
            self._until.move_to_end(path)
            while len(self._until) > self._size:
                self._until.popitem(last=False)

    def erase(self, path: str, *, below: bool = False) -> None:
        with self._lock:
            self._until.pop(path, None)
            if below:
                for known in [known for known in self._until if known.startswith(f"{path}/")]:
                    del self._until[known]
