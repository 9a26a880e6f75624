"""Deleting a namespace deletes what is in it, and the namespace goes when the last of it has gone.

Source: `pkg/controller/namespace/deletion`. The order in which kinds go is not modelled.
"""

from __future__ import annotations

from osscluster.api.kinds import KINDS
from osscluster.api.objects import Api, ObjectReference
from osscluster.controllers.workqueue import WorkQueue
from osscluster.timeline import Timeline

__all__ = ["Namespaces"]

_INSIDE = tuple(kind.name for kind in KINDS.values() if kind.namespaced)


class Namespaces:
    """The namespace controller."""

    def __init__(self, api: Api, timeline: Timeline) -> None:
        self._api = api
        self._spaces = WorkQueue(api, timeline, ("Namespace",), self._reconcile)
        self._content = WorkQueue(api, timeline, _INSIDE, self._content_changed)

    def close(self) -> None:
        """Hears of nothing any more."""
        self._spaces.close()
        self._content.close()

    def _content_changed(self, name: ObjectReference) -> None:
        space = self._api.find("Namespace", name.namespace)
        if space is not None and "deletionTimestamp" in space["metadata"]:
            self._spaces.add(ObjectReference("Namespace", "", name.namespace))

    def _reconcile(self, name: ObjectReference) -> None:
        space = self._api.find("Namespace", name.name)
        if space is None or "deletionTimestamp" not in space["metadata"]:
            return
        left = [thing for kind in _INSIDE for thing in self._api.list(kind, name.name)]
        for thing in left:
            if "deletionTimestamp" not in thing["metadata"]:
                self._api.delete(thing["kind"], thing["metadata"]["name"], name.name)
        if not any(self._api.list(kind, name.name) for kind in _INSIDE):
            self._api.remove("Namespace", name.name)
