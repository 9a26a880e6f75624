"""Deployments, StatefulSets and DaemonSets: they make Pods and take them away again.

A Deployment keeps one ReplicaSet for each template it has had (named by a hash of it) and goes over to a new template
as its strategy says: Recreate waits until the old Pods are gone; RollingUpdate keeps to maxSurge and maxUnavailable,
counting a Pod as available once it is ready (minReadySeconds and revision history are not modelled).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from osscluster.api.objects import Api, KubeObject, ObjectReference
from osscluster.controllers.workqueue import WorkQueue, reference
from osscluster.timeline import Timeline

__all__ = ["Workloads"]

_KINDS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


class Workloads:
    """The controllers of all four."""

    def __init__(self, api: Api, timeline: Timeline) -> None:
        self._api = api
        self._owners = WorkQueue(api, timeline, _KINDS, self._reconcile)
        self._pods = WorkQueue(api, timeline, ("Pod", "Node"), self._pod_changed)

    def close(self) -> None:
        """Hears of nothing any more."""
        self._owners.close()
        self._pods.close()

    def _pod_changed(self, name: ObjectReference) -> None:
        for kind in _KINDS:
            for owner in self._api.list(kind, name.namespace):
                self._owners.add(reference(owner))

    def _reconcile(self, name: ObjectReference) -> None:
        owner = self._api.find(name.kind, name.name, name.namespace)
        if owner is None or "deletionTimestamp" in owner["metadata"]:
            self._orphans(name)
            return
        match name.kind:
            case "Deployment":
                self._deployment(owner)
            case "ReplicaSet":
                self._replicas(owner)
            case "StatefulSet":
                self._stateful(owner)
            case _:
                self._daemons(owner)

    def _orphans(self, name: ObjectReference) -> None:
        """Cascading deletion: what it owned goes too."""
        for kind in ("ReplicaSet", "Pod"):
            for owned in self._api.list(kind, name.namespace):
                owners = owned["metadata"].get("ownerReferences") or ()
                if any((o["kind"], o["name"]) == (name.kind, name.name) for o in owners):
                    self._delete(owned)

    def _delete(self, thing: KubeObject) -> None:
        if "deletionTimestamp" not in thing["metadata"]:
            self._api.delete(thing["kind"], thing["metadata"]["name"], thing["metadata"].get("namespace", ""))

    def _owned(self, kind: str, owner: KubeObject) -> list[KubeObject]:
        uid, namespace = owner["metadata"]["uid"], owner["metadata"]["namespace"]
        return [
            thing
            for thing in self._api.list(kind, namespace)
            if any(o["uid"] == uid for o in thing["metadata"].get("ownerReferences") or ())
        ]

    # --- each kind ---

    def _deployment(self, deployment: KubeObject) -> None:
        spec = deployment["spec"]
        mark = _template_hash(spec["template"])
        name = f"{deployment['metadata']['name']}-{mark}"
        template = copy.deepcopy(spec["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})["pod-template-hash"] = mark
        wanted = spec.get("replicas", 1)
        sets = self._owned("ReplicaSet", deployment)
        new = next((each for each in sets if each["metadata"]["name"] == name), None)
        old = [each for each in sets if each["metadata"]["name"] != name]
        if (spec.get("strategy") or {}).get("type") == "Recreate":
            for each in old:
                self._resize(deployment, each, 0)
            size = 0 if any(self._owned("Pod", each) for each in old) else wanted
        else:
            surge, unavailable = _rolling(spec.get("strategy") or {}, wanted)
            others = sum(_size(each) for each in old)
            size = min(wanted, max(wanted + surge - others, _size(new) if new else 0))
            ready = sum(1 for each in sets for pod in self._live(each) if _ready(pod))
            # Old Pods that do not work go first: they cost nothing. Of the others as many as may be missing.
            spare = ready - (wanted - unavailable)
            for each in old:
                broken = sum(1 for pod in self._live(each) if not _ready(pod))
                gone = min(_size(each), broken + max(0, spare))
                spare -= max(0, gone - broken)
                self._resize(deployment, each, _size(each) - gone)
        if new is not None:
            self._resize(deployment, new, size)
        elif size or not old:
            labels = template["metadata"]["labels"]
            self._api.create(
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "metadata": _owned_metadata(deployment, name, labels),
                    "spec": {"replicas": size, "selector": {"matchLabels": labels}, "template": template},
                }
            )
            self._tell(deployment, "ScalingReplicaSet", f"Scaled up replica set {name} to {size}")
        self._status(deployment, [p for rs in self._owned("ReplicaSet", deployment) for p in self._owned("Pod", rs)])

    def _live(self, owner: KubeObject) -> list[KubeObject]:
        return [pod for pod in self._owned("Pod", owner) if "deletionTimestamp" not in pod["metadata"]]

    def _resize(self, deployment: KubeObject, replica_set: KubeObject, size: int) -> None:
        before = _size(replica_set)
        if before == size:
            return
        replica_set["spec"]["replicas"] = size
        self._api.update(replica_set)
        name, direction = replica_set["metadata"]["name"], "up" if size > before else "down"
        text = f"Scaled {direction} replica set {name} to {size} from {before}"
        self._tell(deployment, "ScalingReplicaSet", text)

    def _tell(self, owner: KubeObject, reason: str, text: str) -> None:
        component = f"{owner['kind'].lower()}-controller"
        self._api.event(reference(owner), "Normal", reason, text, component=component)

    def _replicas(self, owner: KubeObject) -> None:
        pods = sorted(self._live(owner), key=_keeping)
        wanted = owner["spec"].get("replicas", 1)
        for pod in pods[wanted:]:
            self._delete(pod)
            self._tell(owner, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        for _ in range(wanted - len(pods)):
            metadata = _owned_metadata(owner, "", _labels(owner))
            del metadata["name"]
            self._make_pod(
                owner, {**metadata, "generateName": f"{owner['metadata']['name']}-"}, owner["spec"]["template"]
            )
        self._status(owner, self._owned("Pod", owner))

    def _stateful(self, owner: KubeObject) -> None:
        """Ordinals come one after the other, as podManagementPolicy OrderedReady has it, and go from the highest."""
        namespace, name = owner["metadata"]["namespace"], owner["metadata"]["name"]
        wanted = owner["spec"].get("replicas", 1)
        by_ordinal = {int(p["metadata"]["name"].rsplit("-", 1)[1]): p for p in self._owned("Pod", owner)}
        for ordinal in sorted(by_ordinal, reverse=True):
            if ordinal >= wanted:
                last = by_ordinal[ordinal]
                if "deletionTimestamp" not in last["metadata"]:
                    text = f"delete Pod {last['metadata']['name']} in StatefulSet {name} successful"
                    self._tell(owner, "SuccessfulDelete", text)
                self._delete(last)
                break
        for ordinal in range(wanted):
            pod = by_ordinal.get(ordinal)
            if pod is not None:
                if not _ready(pod):
                    break
                continue
            template = copy.deepcopy(owner["spec"]["template"])
            for claim in owner["spec"].get("volumeClaimTemplates") or ():
                called = f"{claim['metadata']['name']}-{name}-{ordinal}"
                if self._api.find("PersistentVolumeClaim", called, namespace) is None:
                    made = {**copy.deepcopy(claim), "apiVersion": "v1", "kind": "PersistentVolumeClaim"}
                    made["metadata"] = {**made["metadata"], "name": called, "namespace": namespace}
                    self._api.create(made)
                    text = f"create Claim {called} Pod {name}-{ordinal} in StatefulSet {name} success"
                    self._tell(owner, "SuccessfulCreate", text)
                volume = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": called}}
                template["spec"].setdefault("volumes", []).append(volume)
            self._make_pod(owner, _owned_metadata(owner, f"{name}-{ordinal}", _labels(owner)), template)
            break
        self._status(owner, self._owned("Pod", owner))

    def _daemons(self, owner: KubeObject) -> None:
        there = {
            p["spec"].get("nodeName") for p in self._owned("Pod", owner) if "deletionTimestamp" not in p["metadata"]
        }
        for node in self._api.list("Node"):
            called = node["metadata"]["name"]
            if called not in there:
                metadata = _owned_metadata(owner, "", _labels(owner))
                del metadata["name"]
                template = copy.deepcopy(owner["spec"]["template"])
                template["spec"]["nodeName"] = called
                self._make_pod(owner, {**metadata, "generateName": f"{owner['metadata']['name']}-"}, template)
        self._status(owner, self._owned("Pod", owner))

    def _make_pod(self, owner: KubeObject, metadata: dict[str, Any], template: Mapping[str, Any]) -> None:
        made = self._api.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": copy.deepcopy(template["spec"])}
        )
        called = made["metadata"]["name"]
        text = f"Created pod: {called}"
        if owner["kind"] == "StatefulSet":
            text = f"create Pod {called} in StatefulSet {owner['metadata']['name']} successful"
        self._tell(owner, "SuccessfulCreate", text)

    def _status(self, owner: KubeObject, pods: Sequence[KubeObject]) -> None:
        live = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        ready = sum(1 for pod in live if _ready(pod))
        if owner["kind"] == "DaemonSet":
            total = len(self._api.list("Node"))
            status = {
                "desiredNumberScheduled": total,
                "currentNumberScheduled": len(live),
                "numberReady": ready,
                "numberAvailable": ready,
                "updatedNumberScheduled": len(live),
                "numberMisscheduled": 0,
            }
        else:
            status = {"replicas": len(live), "readyReplicas": ready, "availableReplicas": ready}
            if owner["kind"] == "Deployment":
                status |= {"updatedReplicas": len(live), "unavailableReplicas": len(live) - ready}
        current = self._api.find(owner["kind"], owner["metadata"]["name"], owner["metadata"]["namespace"])
        if current is not None:
            status["observedGeneration"] = current["metadata"].get("generation", 1)
            if current.get("status") != status:
                current["status"] = status
                self._api.update_status(current)


def _size(replica_set: KubeObject) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _keeping(pod: KubeObject) -> tuple[bool, bool, str, str]:
    """Which Pods stay when there are too many: those with a node, ready ones, the older."""
    metadata = pod["metadata"]
    return not pod["spec"].get("nodeName"), not _ready(pod), metadata["creationTimestamp"], metadata["name"]


def _rolling(strategy: Mapping[str, Any], wanted: int) -> tuple[int, int]:
    """maxSurge (rounded up) and maxUnavailable (down) as numbers of Pods; both 0 is one that may be missing."""
    rolling = strategy.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _share(value: Any, of: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        percent = int(value[:-1]) * of
        return -(-percent // 100) if up else percent // 100
    return int(value)


def _template_hash(template: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(template, sort_keys=True, default=str).encode()).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:10])


def _owned_metadata(owner: KubeObject, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    metadata = owner["metadata"]
    return {
        "name": name,
        "namespace": metadata["namespace"],
        "labels": dict(labels),
        "ownerReferences": [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _labels(owner: KubeObject) -> dict[str, str]:
    return dict((owner["spec"]["template"].get("metadata") or {}).get("labels") or {})


def _ready(pod: KubeObject) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
