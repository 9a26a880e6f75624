"""Watches: what has changed since a resourceVersion, as a client selected it.

Pure; whoever asks holds the lock of the API.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from osscluster.api.discovery import groups
from osscluster.api.objects import ApiError, KubeObject, WatchEvent
from osscluster.api.store import MemoryApi

__all__ = ["Change", "ChangeLog", "Watch", "key_of"]

_LENGTH = 20_000
"""Changes that are remembered; who asks for older ones has to list again."""

Key = tuple[str, str, str]
EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class Change:
    """before: the object as it was, None for a new one."""

    version: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: KubeObject
    before: KubeObject | None


def key_of(object: KubeObject) -> Key:
    """(kind, namespace, name)."""
    metadata = object["metadata"]
    return object["kind"], metadata.get("namespace", ""), metadata["name"]


class ChangeLog:
    """The last changes of one `MemoryApi`, and its objects as they are now. Not to be changed by who gets them."""

    def __init__(self, api: MemoryApi) -> None:
        self._changes: deque[Change] = deque(maxlen=_LENGTH)
        self._current: dict[Key, KubeObject] = {}
        self._forgotten = int(api.resource_version)
        for kinds in groups().values():
            for kind in kinds:
                self._current |= {key_of(object): object for object in api.list(kind.name)}
        self.close = api.watch(self._note)

    @property
    def objects(self) -> list[KubeObject]:
        """All there are, by kind, namespace and name."""
        return [object for _, object in sorted(self._current.items())]

    def _note(self, event: WatchEvent) -> None:
        key = key_of(event.object)
        before = self._current.get(key)
        if event.type == "DELETED":
            self._current.pop(key, None)
        else:
            self._current[key] = event.object
        if len(self._changes) == _LENGTH:
            self._forgotten = self._changes[0].version
        version = int(event.object["metadata"]["resourceVersion"])
        self._changes.append(Change(version, event.type, event.object, before))

    def since(self, version: int) -> list[Change]:
        """Newer than `version`, oldest first. Raises ApiError Expired when some of them are forgotten."""
        if version < self._forgotten:
            text = f"too old resource version: {version} ({self._forgotten})"
            raise ApiError("Expired", 410, text)
        found: list[Change] = []
        for change in reversed(self._changes):
            if change.version <= version:
                break
            found.append(change)
        return found[::-1]


class Watch:
    """An answer that goes on: `next` gives what there is to say by now, possibly nothing; it is asked again after every
    change until `seconds` have passed (None: until the client leaves).

    since: the version after which it starts. initial: objects to begin with. bookmark: whether a bookmark ends those.
    selected: which objects the client wants. line: writes an event; of a bookmark the object is None."""

    def __init__(
        self,
        log: ChangeLog,
        since: int,
        *,
        seconds: float | None,
        initial: list[KubeObject],
        bookmark: bool,
        selected: Callable[[KubeObject], bool],
        line: Callable[[EventType, KubeObject | None, int], bytes],
    ) -> None:
        self.seconds = seconds
        self._log = log
        self._position = since
        self._initial = initial
        self._bookmark = bookmark
        self._selected = selected
        self._line = line
        log.since(since)

    def next(self) -> bytes:
        """Lines of JSON."""
        return b"".join(self._lines())

    def _lines(self) -> Iterator[bytes]:
        for object in self._initial:
            yield self._line("ADDED", object, self._position)
        if self._bookmark:
            yield self._line("BOOKMARK", None, self._position)
        self._initial, self._bookmark = [], False
        for change in self._log.since(self._position):
            self._position = change.version
            is_in = change.type != "DELETED" and self._selected(change.object)
            was_in = change.before is not None and self._selected(change.before)
            if is_in:
                yield self._line("MODIFIED" if was_in else "ADDED", change.object, change.version)
            elif was_in:
                yield self._line("DELETED", change.object, change.version)
