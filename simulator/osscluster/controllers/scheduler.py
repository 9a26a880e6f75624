"""The scheduler, as far as OSS volumes go: a Pod gets a node once its claims are bound."""

from __future__ import annotations

from osscluster.api.objects import Api, KubeObject, ObjectReference
from osscluster.controllers.workqueue import WorkQueue, reference
from osscluster.timeline import Timeline

__all__ = ["Scheduler"]


class Scheduler:
    """Takes the node with the fewest Pods among those that nodeSelector allows, the first by name in a tie."""

    def __init__(self, api: Api, timeline: Timeline) -> None:
        self._api = api
        self._queue = WorkQueue(api, timeline, ("Pod",), self._schedule)
        self._others = WorkQueue(api, timeline, ("PersistentVolumeClaim", "Node"), self._look_again)

    def close(self) -> None:
        """Hears of nothing any more."""
        self._queue.close()
        self._others.close()

    def _look_again(self, name: ObjectReference) -> None:
        for pod in self._api.list("Pod", fields="spec.nodeName="):
            self._queue.add(reference(pod))

    def _schedule(self, name: ObjectReference) -> None:
        pod = self._api.find("Pod", name.name, name.namespace)
        if pod is None or pod["spec"].get("nodeName") or "deletionTimestamp" in pod["metadata"]:
            return
        nodes = self._api.list("Node")
        why = self._claims(pod)
        fitting = [node["metadata"]["name"] for node in nodes if _fits(pod, node)]
        if not why and not fitting:
            why = f"{len(nodes)} node(s) didn't match Pod's node affinity/selector"
        if why:
            text = f"0/{len(nodes)} nodes are available: {why}."
            self._api.event(name, "Warning", "FailedScheduling", text, component="default-scheduler")
            return
        load = dict.fromkeys(sorted(fitting), 0)
        for other in self._api.list("Pod"):
            if (node := other["spec"].get("nodeName")) in load:
                load[node] += 1
        chosen = min(load, key=lambda node: load[node])
        pod["spec"]["nodeName"] = chosen
        self._api.update(pod)
        text = f"Successfully assigned {name.namespace}/{name.name} to {chosen}"
        self._api.event(name, "Normal", "Scheduled", text, component="default-scheduler")

    def _claims(self, pod: KubeObject) -> str:
        for volume in pod["spec"].get("volumes") or ():
            if claimed := volume.get("persistentVolumeClaim"):
                claim = self._api.find("PersistentVolumeClaim", claimed["claimName"], pod["metadata"]["namespace"])
                if claim is None:
                    return f'persistentvolumeclaim "{claimed["claimName"]}" not found'
                if claim.get("status", {}).get("phase") != "Bound":
                    return "pod has unbound immediate PersistentVolumeClaims"
        return ""


def _fits(pod: KubeObject, node: KubeObject) -> bool:
    labels = node["metadata"].get("labels") or {}
    if node["spec"].get("unschedulable"):
        return False
    return all(labels.get(key) == value for key, value in (pod["spec"].get("nodeSelector") or {}).items())
