"""The scheduler, as far as OSS volumes go: a Pod gets a node once its claims are bound."""

from __future__ import annotations

from collections import Counter

from osscluster.api.objects import Api, KubeObject, ObjectReference
from osscluster.controllers.binder import SELECTED_NODE, waits_for_pod
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
        refusals = {node["metadata"]["name"]: _refusal(pod, node) for node in nodes}
        fitting = [name for name, refusal in refusals.items() if not refusal]
        if not why and not fitting:
            counted = Counter(refusals.values())
            why = ", ".join(sorted(f"{count} node(s) {refusal}" for refusal, count in counted.items()))
        if why:
            text = f"0/{len(nodes)} nodes are available: {why}."
            self._api.event(name, "Warning", "FailedScheduling", text, component="default-scheduler")
            return
        load = dict.fromkeys(sorted(fitting), 0)
        for other in self._api.list("Pod"):
            if (node := other["spec"].get("nodeName")) in load:
                load[node] += 1
        chosen = min(load, key=lambda node: load[node])
        if self._ask_for_volumes(pod, chosen):
            return
        pod["spec"]["nodeName"] = chosen
        self._api.update(pod)
        text = f"Successfully assigned {name.namespace}/{name.name} to {chosen}"
        self._api.event(name, "Normal", "Scheduled", text, component="default-scheduler")

    def _ask_for_volumes(self, pod: KubeObject, node: str) -> bool:
        """Whether a claim that waited for its first Pod has to be bound before the Pod can be."""
        waiting = False
        for volume in pod["spec"].get("volumes") or ():
            claimed = volume.get("persistentVolumeClaim")
            claim = claimed and self._api.find(
                "PersistentVolumeClaim", claimed["claimName"], pod["metadata"]["namespace"]
            )
            if not claim or claim.get("status", {}).get("phase") == "Bound":
                continue
            waiting = True
            if not _has_a_node(claim):
                claim["metadata"].setdefault("annotations", {})[SELECTED_NODE] = node
                self._api.update(claim)
        return waiting

    def _claims(self, pod: KubeObject) -> str:
        for volume in pod["spec"].get("volumes") or ():
            if claimed := volume.get("persistentVolumeClaim"):
                claim = self._api.find("PersistentVolumeClaim", claimed["claimName"], pod["metadata"]["namespace"])
                if claim is None:
                    return f'persistentvolumeclaim "{claimed["claimName"]}" not found'
                if "deletionTimestamp" in claim["metadata"]:
                    return f'persistentvolumeclaim "{claimed["claimName"]}" is being deleted'
                waits = waits_for_pod(self._api, claim) or _has_a_node(claim)
                if claim.get("status", {}).get("phase") != "Bound" and not waits:
                    return "pod has unbound immediate PersistentVolumeClaims"
        return ""


def _has_a_node(claim: KubeObject) -> bool:
    return SELECTED_NODE in (claim["metadata"].get("annotations") or {})


def _refusal(pod: KubeObject, node: KubeObject) -> str:
    """Why a Pod can't go to a node; "" when it can."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return "didn't match Pod's node affinity/selector"
    return "were unschedulable" if node["spec"].get("unschedulable") else ""
