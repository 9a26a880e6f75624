"""Events: told once, counted when repeated, put together when alike, dropped when there are too many.

What `client-go/tools/record/events_cache.go` does on the way to the API: a repetition of the same event raises its
count; ten different messages of one reason about one object within ten minutes become one "(combined from similar
events)"; one source may send 25 about one object at once, and one more every five minutes (what is held back counts).
Knows no API: it says what is to be written. Pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

from osscluster.api.objects import ObjectReference

__all__ = ["EventCorrelator", "Occurrence", "Told"]

_COMBINED_FROM = 10
_COMBINED_SECONDS = 600.0
_BURST = 25.0
_REFILL_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What somebody wants to tell. uid: of the object; component: who, host: on which node ("" for none)."""

    about: ObjectReference
    uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    component: str
    host: str = ""


@dataclass(slots=True)
class Told:
    """An event as it has been told so far. message: with the prefix of combined ones; name: of its Event object, ""
    until there is one."""

    message: str
    first: float
    last: float
    count: int = 0
    name: str = ""


@dataclass(slots=True)
class _Group:
    last: float
    messages: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class EventCorrelator:
    """Every source's recorder of a cluster."""

    def __init__(self) -> None:
        self._told: dict[Hashable, Told] = {}
        self._groups: dict[Hashable, _Group] = {}
        self._buckets: dict[Hashable, _Bucket] = {}

    def tell(self, it: Occurrence, now: float) -> Told | None:
        """The event, counted; None when it is one too many."""
        source = (it.about, it.uid, it.component, it.host)
        alike = (*source, it.type, it.reason)
        key: Hashable = (*alike, it.message)
        message = it.message
        if self._combined(alike, it.message, now):
            key, message = alike, f"(combined from similar events): {it.message}"
        told = self._told.setdefault(key, Told(message, first=now, last=now))
        told.message, told.last = message, now
        told.count += 1
        return told if self._allowed(source, now) else None

    def _combined(self, alike: Hashable, message: str, now: float) -> bool:
        group = self._groups.get(alike)
        if group is None or now - group.last > _COMBINED_SECONDS:
            group = self._groups[alike] = _Group(now)
        group.last = now
        group.messages[message] = None
        if len(group.messages) < _COMBINED_FROM:
            return False
        del group.messages[next(iter(group.messages))]
        return True

    def _allowed(self, source: Hashable, now: float) -> bool:
        bucket = self._buckets.setdefault(source, _Bucket(_BURST, now))
        bucket.left = min(_BURST, bucket.left + (now - bucket.at) / _REFILL_SECONDS)
        bucket.at = now
        if bucket.left < 1.0:
            return False
        bucket.left -= 1.0
        return True
