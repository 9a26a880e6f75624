"""What the API server fills in: defaults of fields and what its admission plugins add.

Sources: `pkg/apis/{core,apps,storage}/v1/defaults.go`, the strategies' PrepareForCreate, and the admission plugins
ServiceAccount, Priority, DefaultTolerationSeconds, StorageObjectInUseProtection. Only fields that are interpreted, or
that kubectl shows. Changes the object it is given. Pure; any thread.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from osscluster.api.objects import KubeObject

__all__ = ["PRIORITIES", "initial_status", "pod_spec", "protect", "set_defaults"]

_PROTECTION = {
    "PersistentVolume": "kubernetes.io/pv-protection",
    "PersistentVolumeClaim": "kubernetes.io/pvc-protection",
}

PRIORITIES = {"": 0, "system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
"""The priority classes that every cluster has."""

_TOLERATED_SECONDS = 300


def set_defaults(object: KubeObject) -> None:
    """Fills in what the API server would."""
    setter = _SETTERS.get(object["kind"])
    if setter is not None:
        setter(object)


def initial_status(object: KubeObject) -> dict[str, Any] | None:
    """The status that an object is created with; None for the kinds that keep none."""
    match object["kind"]:
        case "Pod":
            return {"phase": "Pending", "qosClass": _qos_class(object["spec"])}
        case "PersistentVolume" | "PersistentVolumeClaim":
            return {"phase": "Pending"}
        case "Namespace":
            return {"phase": "Active"}
        case "VolumeAttachment":
            return {"attached": False}
        case "Node":
            return dict(object.get("status") or {})
        case "Deployment":
            return {}
        case "ReplicaSet" | "StatefulSet":
            return {"replicas": 0}
        case "DaemonSet":
            return {
                "currentNumberScheduled": 0,
                "numberMisscheduled": 0,
                "desiredNumberScheduled": 0,
                "numberReady": 0,
            }
    return None


def _put(target: dict[str, Any], **values: Any) -> None:
    for key, value in values.items():
        target.setdefault(key, value)


def _pod(object: KubeObject) -> None:
    spec = object["spec"]
    pod_spec(spec)
    _put(spec, enableServiceLinks=True, serviceAccountName=spec.get("serviceAccount") or "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
    _put(spec, preemptionPolicy="PreemptLowerPriority")
    if (priority := PRIORITIES.get(spec.get("priorityClassName", ""))) is not None:
        _put(spec, priority=priority)
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(_tolerates(each, key) for each in tolerations):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATED_SECONDS}
            )


def _tolerates(toleration: Mapping[str, Any], key: str) -> bool:
    return toleration.get("key", key) == key and toleration.get("effect", "NoExecute") in ("NoExecute", "")


def pod_spec(spec: dict[str, Any]) -> None:
    """Defaults of a Pod's spec, also of one in a template."""
    _put(
        spec,
        dnsPolicy="ClusterFirst",
        restartPolicy="Always",
        schedulerName="default-scheduler",
        securityContext={},
        terminationGracePeriodSeconds=30,
    )
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        _container(container, spec)
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _container(container: dict[str, Any], spec: Mapping[str, Any]) -> None:
    image = str(container.get("image", ""))
    latest = "@" not in image and image.rsplit("/", 1)[-1].partition(":")[2] in ("", "latest")
    _put(
        container,
        imagePullPolicy="Always" if latest else "IfNotPresent",
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
    )
    for port in container.get("ports") or ():
        _put(port, protocol="TCP")
        if spec.get("hostNetwork"):
            _put(port, hostPort=port.get("containerPort"))
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(name)) is not None:
            _put(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            if "httpGet" in probe:
                _put(probe["httpGet"], scheme="HTTP", path="/")
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            _put(reference, apiVersion="v1")


def _volume(volume: dict[str, Any]) -> None:
    if not set(volume) - {"name"}:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if isinstance(volume.get(name), dict):
            _put(volume[name], defaultMode=0o644)
    for source in (volume.get("projected") or {}).get("sources") or ():
        if isinstance(source.get("serviceAccountToken"), dict):
            _put(source["serviceAccountToken"], expirationSeconds=3600)
    if isinstance(volume.get("hostPath"), dict):
        _put(volume["hostPath"], type="")


def _qos_class(spec: Mapping[str, Any]) -> str:
    limits: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for container in spec.get("containers") or ():
        resources = container.get("resources") or {}
        limits.append((resources.get("requests") or {}, resources.get("limits") or {}))
    if not any(requests or limit for requests, limit in limits):
        return "BestEffort"
    if all({"cpu", "memory"} <= set(limit) and {**limit, **requests} == limit for requests, limit in limits):
        return "Guaranteed"
    return "Burstable"


def _persistent_volume(object: KubeObject) -> None:
    spec = object["spec"]
    _put(spec, persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")


def _claim(object: KubeObject) -> None:
    _claim_spec(object["spec"])


def _claim_spec(spec: dict[str, Any]) -> None:
    _put(spec, volumeMode="Filesystem")


def protect(object: KubeObject) -> None:
    """Gives a new object the finalizer that keeps it while it is used."""
    finalizer = _PROTECTION.get(object["kind"])
    if finalizer is not None and finalizer not in object["metadata"].setdefault("finalizers", []):
        object["metadata"]["finalizers"].append(finalizer)


def _storage_class(object: KubeObject) -> None:
    _put(object, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _csi_driver(object: KubeObject) -> None:
    _put(
        object["spec"],
        attachRequired=True,
        podInfoOnMount=False,
        storageCapacity=False,
        fsGroupPolicy="ReadWriteOnceWithFSType",
        volumeLifecycleModes=["Persistent"],
        requiresRepublish=False,
        seLinuxMount=False,
    )


def _secret(object: KubeObject) -> None:
    _put(object, type="Opaque")
    data = object.setdefault("data", {})
    for key, value in (object.pop("stringData", None) or {}).items():
        data[key] = base64.b64encode(value.encode("utf-8")).decode("ascii")
    if not data:
        del object["data"]


def _namespace(object: KubeObject) -> None:
    _put(object.setdefault("spec", {}), finalizers=["kubernetes"])
    labels = object["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = object["metadata"]["name"]


def _template(spec: dict[str, Any]) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))


def _deployment(object: KubeObject) -> None:
    spec = object["spec"]
    _put(
        spec,
        replicas=1,
        revisionHistoryLimit=10,
        progressDeadlineSeconds=600,
        strategy={"type": "RollingUpdate"},
    )
    if spec["strategy"].get("type", "RollingUpdate") == "RollingUpdate":
        _put(spec["strategy"], type="RollingUpdate")
        _put(spec["strategy"].setdefault("rollingUpdate", {}), maxSurge="25%", maxUnavailable="25%")
    _template(spec)


def _replica_set(object: KubeObject) -> None:
    spec = object["spec"]
    _put(spec, replicas=1)
    _template(spec)
    labels = (spec["template"]["metadata"] or {}).get("labels")
    if labels and "selector" not in spec:
        spec["selector"] = {"matchLabels": dict(labels)}


def _stateful_set(object: KubeObject) -> None:
    spec = object["spec"]
    _put(
        spec,
        replicas=1,
        revisionHistoryLimit=10,
        podManagementPolicy="OrderedReady",
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"},
    )
    _template(spec)
    for claim in spec.get("volumeClaimTemplates") or ():
        _put(claim, apiVersion="v1", kind="PersistentVolumeClaim", status={"phase": "Pending"})
        _claim_spec(claim.setdefault("spec", {}))


def _daemon_set(object: KubeObject) -> None:
    spec = object["spec"]
    _put(
        spec,
        revisionHistoryLimit=10,
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    )
    _template(spec)


_SETTERS: Mapping[str, Callable[[KubeObject], None]] = {
    "Pod": _pod,
    "PersistentVolume": _persistent_volume,
    "PersistentVolumeClaim": _claim,
    "StorageClass": _storage_class,
    "CSIDriver": _csi_driver,
    "Secret": _secret,
    "Namespace": _namespace,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
}
