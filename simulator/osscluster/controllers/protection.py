"""Protection of claims and volumes in use: their finalizers go when nobody needs them any more.

Sources: pkg/controller/volume/pvcprotection, pvprotection. The API puts the finalizers on.
"""

from __future__ import annotations

from osscluster.api.objects import Api, KubeObject, ObjectReference
from osscluster.controllers.workqueue import WorkQueue, reference
from osscluster.timeline import Timeline

__all__ = ["Protection"]

_FINALIZERS = {
    "PersistentVolumeClaim": "kubernetes.io/pvc-protection",
    "PersistentVolume": "kubernetes.io/pv-protection",
}


class Protection:
    """Both controllers."""

    def __init__(self, api: Api, timeline: Timeline) -> None:
        self._api = api
        self._deleted = WorkQueue(api, timeline, tuple(_FINALIZERS), self._look)
        self._users = WorkQueue(api, timeline, ("Pod",), self._look_at_all)

    def close(self) -> None:
        """Hears of nothing any more."""
        self._deleted.close()
        self._users.close()

    def _look_at_all(self, name: ObjectReference) -> None:
        for kind in _FINALIZERS:
            for thing in self._api.list(kind):
                if "deletionTimestamp" in thing["metadata"]:
                    self._deleted.add(reference(thing))

    def _look(self, name: ObjectReference) -> None:
        thing = self._api.find(name.kind, name.name, name.namespace)
        if thing is None:
            if name.kind == "PersistentVolumeClaim":
                self._look_at_all(name)
            return
        finalizers = thing["metadata"].get("finalizers") or []
        if "deletionTimestamp" not in thing["metadata"] or _FINALIZERS[name.kind] not in finalizers:
            return
        if self._used(thing):
            return
        thing["metadata"]["finalizers"] = [entry for entry in finalizers if entry != _FINALIZERS[name.kind]]
        self._api.update(thing)

    def _used(self, thing: KubeObject) -> bool:
        if thing["kind"] == "PersistentVolume":
            claimed = thing["spec"].get("claimRef")
            if claimed is None:
                return False
            claim = self._api.find("PersistentVolumeClaim", claimed["name"], claimed["namespace"])
            return claim is not None and claim["metadata"]["uid"] == claimed.get("uid")
        for pod in self._api.list("Pod", thing["metadata"]["namespace"]):
            if not pod["spec"].get("nodeName"):
                continue  # no kubelet has seen it, and none will start it now
            for volume in pod["spec"].get("volumes") or ():
                if (volume.get("persistentVolumeClaim") or {}).get("claimName") == thing["metadata"]["name"]:
                    return True
        return False
