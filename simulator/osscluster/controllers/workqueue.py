"""A controller's work queue: names of objects that have changed, each handled once however often it changed."""

from __future__ import annotations

from collections.abc import Callable, Collection

from osscluster.api.objects import Api, KubeObject, ObjectReference, WatchEvent
from osscluster.timeline import Timeline, Timer

__all__ = ["WorkQueue", "reference"]


def reference(thing: KubeObject) -> ObjectReference:
    """What names an object."""
    return ObjectReference(thing["kind"], thing["metadata"].get("namespace", ""), thing["metadata"]["name"])


class WorkQueue:
    """Calls `handle` for every object of `kinds` that changes, never inside the call that changed it. What `handle`
    gives, if not None, is the seconds after which it wants to be called again."""

    def __init__(
        self,
        api: Api,
        timeline: Timeline,
        kinds: Collection[str],
        handle: Callable[[ObjectReference], float | None],
        *,
        seconds: float = 0.0,
    ) -> None:
        self._timeline = timeline
        self._kinds = kinds
        self._handle = handle
        self._seconds = seconds
        self._queued: dict[ObjectReference, Timer] = {}
        self.close = api.watch(self._heard)

    def add(self, name: ObjectReference, seconds: float = 0.0) -> None:
        """Has it handled in so many seconds, once, or earlier where that is due already."""
        known = self._queued.get(name)
        if known is not None:
            if known.when <= self._timeline.now() + seconds:
                return
            known.cancel()
        self._queued[name] = self._timeline.call_later(seconds, lambda: self._run(name))

    def _heard(self, event: WatchEvent) -> None:
        if event.object["kind"] in self._kinds:
            self.add(reference(event.object), self._seconds)

    def _run(self, name: ObjectReference) -> None:
        del self._queued[name]
        again = self._handle(name)
        if again is not None:
            self.add(name, again)
