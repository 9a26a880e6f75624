"""How a journal hears of changes without being called: a lock that commits before it is left, and dicts that name the
rows that change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

__all__ = ["CommittingLock", "WatchedTable"]


class CommittingLock:
    """A re-entrant lock that calls `commit` before its outermost holder leaves it."""

    def __init__(self, commit: Callable[[], None]) -> None:
        self._lock = threading.RLock()
        self._commit = commit
        self._depth = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._depth == 1:
                self._commit()
        finally:
            self._depth -= 1
            self._lock.release()


class WatchedTable(dict[object, object]):
    """A dict that calls `changed` with each key that is set or removed, after that was done, in the thread that did
    it."""

    def __init__(self, rows: dict[object, object], changed: Callable[[object], None]) -> None:
        super().__init__(rows)
        self._changed = changed

    def __setitem__(self, key: object, value: object) -> None:
        super().__setitem__(key, value)
        self._changed(key)

    def __delitem__(self, key: object) -> None:
        super().__delitem__(key)
        self._changed(key)

    def setdefault(self, key: object, default: object = None) -> object:
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: object, *default: object) -> object:
        value = super().pop(key, *default)
        self._changed(key)
        return value

    def popitem(self) -> tuple[object, object]:
        item = super().popitem()
        self._changed(item[0])
        return item

    def clear(self) -> None:
        keys = list(self)
        super().clear()
        for key in keys:
            self._changed(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self.update(other)
        return self
