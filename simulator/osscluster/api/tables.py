"""`kubectl get` as the API server lays it out: columns and cells of every kind.

Source: `pkg/printers/internalversion/printers.go`; ages as apimachinery `pkg/util/duration` words them. Pure: the time
is an argument; any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from osscluster.api.objects import KubeObject

__all__ = ["human_duration", "table"]

Cells = list[Any]

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_ROLE = "node-role.kubernetes.io/"


def table(
    kind: str,
    objects: Sequence[KubeObject],
    now: float,
    *,
    resource_version: str,
    include: Literal["Metadata", "Object", "None"] = "Metadata",
) -> dict[str, Any]:
    """A meta.k8s.io/v1 Table. include: what each row carries of its object."""
    columns, cells = _KINDS[kind]
    rows = []
    for object in objects:
        row: dict[str, Any] = {"cells": cells(object, now)}
        if include == "Object":
            row["object"] = object
        elif include == "Metadata":
            identity = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            row["object"] = {**identity, "metadata": object["metadata"]}
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": resource_version},
        "columnDefinitions": [_column(text) for text in columns],
        "rows": rows,
    }


def _column(text: str) -> dict[str, Any]:
    """ "IP+" is shown with -o wide only."""
    name = text.rstrip("+")
    return {
        "name": name,
        "type": "string",
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": 1 if text.endswith("+") else 0,
    }


def human_duration(seconds: float) -> str:
    """ "97s", "7m36s", "10d": fewer units the longer it is."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    total = max(total, 0)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(great: int, unit: str, small: int, small_unit: str) -> str:
    return f"{great}{unit}{small}{small_unit}" if small else f"{great}{unit}"


def _since(text: str | None, now: float) -> str:
    if not text:
        return "<unknown>"
    return human_duration(now - datetime.fromisoformat(text).timestamp())


def _age(object: KubeObject, now: float) -> str:
    return _since(object["metadata"].get("creationTimestamp"), now)


def _name(object: KubeObject) -> str:
    name: str = object["metadata"]["name"]
    return name


def _status(object: KubeObject) -> Mapping[str, Any]:
    return object.get("status") or {}


def _conditions(status: Mapping[str, Any]) -> dict[str, str]:
    return {each.get("type", ""): each.get("status", "") for each in status.get("conditions") or ()}


def _containers(spec: Mapping[str, Any]) -> tuple[str, str]:
    containers = spec["template"]["spec"].get("containers") or ()
    return ",".join(each.get("name", "") for each in containers), ",".join(each.get("image", "") for each in containers)


def _selector(selector: Mapping[str, Any] | None) -> str:
    if selector is None:
        return "<none>"
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for each in selector.get("matchExpressions") or ():
        key, values = each.get("key", ""), ",".join(sorted(each.get("values") or ()))
        match each.get("operator"):
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts) or "<none>"


def _access_modes(modes: Iterable[str]) -> str:
    given = set(modes)
    return ",".join(short for mode, short in _MODES.items() if mode in given)


# Pods


def _pod(pod: KubeObject, now: float) -> Cells:
    spec, status = pod["spec"], _status(pod)
    reason, ready, restarts, last = _pod_state(pod)
    count = str(restarts) if not restarts or last is None else f"{restarts} ({_since(last, now)} ago)"
    gates = spec.get("readinessGates") or ()
    conditions = _conditions(status)
    return [
        _name(pod),
        f"{ready}/{len(spec.get('containers') or ())}",
        reason,
        count,
        _age(pod, now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        f"{sum(conditions.get(each.get('conditionType', '')) == 'True' for each in gates)}/{len(gates)}"
        if gates
        else "<none>",
    ]


def _pod_state(pod: KubeObject) -> tuple[str, int, int, str | None]:
    """The STATUS column, how many containers are ready, restarts, and when the last one was."""
    status = _status(pod)
    reason = status.get("reason") or status.get("phase") or ""
    waiting, restarts, last = _init_state(pod)
    ready = 0
    conditions = _conditions(status)
    if waiting is not None:
        reason = waiting
    if waiting is None or conditions.get("Initialized") == "True":
        running = False
        restarts = 0
        for each in reversed(status.get("containerStatuses") or ()):
            restarts += each.get("restartCount", 0)
            last = _later(last, each)
            state = each.get("state") or {}
            if (state.get("waiting") or {}).get("reason"):
                reason = state["waiting"]["reason"]
            elif "terminated" in state:
                reason = _ended(state["terminated"])
            elif each.get("ready") and "running" in state:
                running = True
                ready += 1
        if reason == "Completed" and running:
            reason = "Running" if conditions.get("Ready") == "True" else "NotReady"
    if pod["metadata"].get("deletionTimestamp") is not None:
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return reason, ready, restarts, last


def _init_state(pod: KubeObject) -> tuple[str | None, int, str | None]:
    """What the init containers are about, None when they are through."""
    restarts, last = 0, None
    count = len(pod["spec"].get("initContainers") or ())
    for index, each in enumerate(_status(pod).get("initContainerStatuses") or ()):
        restarts += each.get("restartCount", 0)
        last = _later(last, each)
        state = each.get("state") or {}
        if "terminated" in state:
            if state["terminated"].get("exitCode") == 0:
                continue
            return f"Init:{_ended(state['terminated'])}", restarts, last
        waiting = (state.get("waiting") or {}).get("reason", "")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}", restarts, last
        return f"Init:{index}/{count}", restarts, last
    return None, restarts, last


def _ended(state: Mapping[str, Any]) -> str:
    if state.get("reason"):
        return str(state["reason"])
    return f"Signal:{state['signal']}" if state.get("signal") else f"ExitCode:{state.get('exitCode', 0)}"


def _later(last: str | None, container: Mapping[str, Any]) -> str | None:
    finished = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
    return max(last or "", finished or "") or None


# Workloads


def _deployment(object: KubeObject, now: float) -> Cells:
    spec, status = object["spec"], _status(object)
    containers, images = _containers(spec)
    return [
        _name(object),
        f"{status.get('readyReplicas', 0)}/{spec['replicas']}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(object, now),
        containers,
        images,
        _selector(spec.get("selector")),
    ]


def _replica_set(object: KubeObject, now: float) -> Cells:
    spec, status = object["spec"], _status(object)
    containers, images = _containers(spec)
    return [
        _name(object),
        spec["replicas"],
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _age(object, now),
        containers,
        images,
        _selector(spec.get("selector")),
    ]


def _stateful_set(object: KubeObject, now: float) -> Cells:
    spec, status = object["spec"], _status(object)
    ready = f"{status.get('readyReplicas', 0)}/{spec['replicas']}"
    return [_name(object), ready, _age(object, now), *_containers(spec)]


def _daemon_set(object: KubeObject, now: float) -> Cells:
    spec, status = object["spec"], _status(object)
    nodes = spec["template"]["spec"].get("nodeSelector") or {}
    return [
        _name(object),
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        ",".join(f"{key}={value}" for key, value in sorted(nodes.items())) or "<none>",
        _age(object, now),
        *_containers(spec),
        _selector(spec.get("selector")),
    ]


# Storage


def _volume(object: KubeObject, now: float) -> Cells:
    spec, status = object["spec"], _status(object)
    claim = spec.get("claimRef") or {}
    return [
        _name(object),
        (spec.get("capacity") or {}).get("storage", ""),
        _access_modes(spec.get("accessModes") or ()),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(object),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        status.get("reason", ""),
        _age(object, now),
        spec.get("volumeMode") or "<unset>",
    ]


def _claim(object: KubeObject, now: float) -> Cells:
    spec, status = object["spec"], _status(object)
    volume = spec.get("volumeName", "")
    return [
        _name(object),
        _phase(object),
        volume,
        (status.get("capacity") or {}).get("storage", "") if volume else "",
        _access_modes(status.get("accessModes") or ()) if volume else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        _age(object, now),
        spec.get("volumeMode") or "<unset>",
    ]


def _phase(object: KubeObject) -> str:
    if object["metadata"].get("deletionTimestamp") is not None:
        return "Terminating"
    return str(_status(object).get("phase", ""))


def _storage_class(object: KubeObject, now: float) -> Cells:
    annotations = object["metadata"].get("annotations") or {}
    default = annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
    return [
        _name(object) + (" (default)" if default else ""),
        object.get("provisioner", ""),
        object.get("reclaimPolicy", "Delete"),
        object.get("volumeBindingMode", "Immediate"),
        _go_bool(object.get("allowVolumeExpansion", False)),
        _age(object, now),
    ]


def _attachment(object: KubeObject, now: float) -> Cells:
    spec = object["spec"]
    return [
        _name(object),
        spec.get("attacher", ""),
        (spec.get("source") or {}).get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        _go_bool(_status(object).get("attached", False)),
        _age(object, now),
    ]


def _csi_driver(object: KubeObject, now: float) -> Cells:
    spec = object["spec"]
    audiences = [each.get("audience", "") for each in spec.get("tokenRequests") or ()]
    return [
        _name(object),
        _go_bool(spec.get("attachRequired", True)),
        _go_bool(spec.get("podInfoOnMount", False)),
        _go_bool(spec.get("storageCapacity", False)),
        ",".join(audiences) if audiences else "<unset>",
        _go_bool(spec.get("requiresRepublish", False)),
        ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>",
        _age(object, now),
    ]


def _go_bool(value: bool) -> str:
    return "true" if value else "false"


# The rest


def _secret(object: KubeObject, now: float) -> Cells:
    return [_name(object), object.get("type", ""), len(object.get("data") or ()), _age(object, now)]


def _config_map(object: KubeObject, now: float) -> Cells:
    return [_name(object), len(object.get("data") or ()) + len(object.get("binaryData") or ()), _age(object, now)]


def _service_account(object: KubeObject, now: float) -> Cells:
    return [_name(object), len(object.get("secrets") or ()), _age(object, now)]


def _namespace(object: KubeObject, now: float) -> Cells:
    return [_name(object), _status(object).get("phase", ""), _age(object, now)]


def _node(object: KubeObject, now: float) -> Cells:
    status = _status(object)
    ready = _conditions(status).get("Ready", "")
    words = [{"True": "Ready", "False": "NotReady"}.get(ready, "Unknown")]
    if object["spec"].get("unschedulable"):
        words.append("SchedulingDisabled")
    labels = object["metadata"].get("labels") or {}
    roles = sorted(key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE))
    addresses = {each.get("type", ""): each.get("address", "") for each in status.get("addresses") or ()}
    info = status.get("nodeInfo") or {}
    return [
        _name(object),
        ",".join(words),
        ",".join(roles) or "<none>",
        _age(object, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _event(object: KubeObject, now: float) -> Cells:
    about = object.get("involvedObject") or {}
    source = object.get("source") or {}
    sender = ", ".join(each for each in (source.get("component", ""), source.get("host", "")) if each)
    first = _since(object.get("firstTimestamp"), now)
    last = _since(object.get("lastTimestamp"), now) if object.get("lastTimestamp") else first
    return [
        last,
        object.get("type", ""),
        object.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about['name']}" if about.get("name") else about.get("kind", "").lower(),
        about.get("fieldPath", ""),
        sender,
        object.get("message", "").strip(),
        first,
        object.get("count", 1),
        _name(object),
    ]


_WORKLOAD = ("Containers+", "Images+", "Selector+")

_KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[KubeObject, float], Cells]]] = {
    "Pod": (
        ("Name", "Ready", "Status", "Restarts", "Age", "IP+", "Node+", "Nominated Node+", "Readiness Gates+"),
        _pod,
    ),
    "Deployment": (("Name", "Ready", "Up-to-date", "Available", "Age", *_WORKLOAD), _deployment),
    "ReplicaSet": (("Name", "Desired", "Current", "Ready", "Age", *_WORKLOAD), _replica_set),
    "StatefulSet": (("Name", "Ready", "Age", "Containers+", "Images+"), _stateful_set),
    "DaemonSet": (
        ("Name", "Desired", "Current", "Ready", "Up-to-date", "Available", "Node Selector", "Age", *_WORKLOAD),
        _daemon_set,
    ),
    "PersistentVolume": (
        (
            "Name",
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "VolumeAttributesClass",
            "Reason",
            "Age",
            "VolumeMode+",
        ),
        _volume,
    ),
    "PersistentVolumeClaim": (
        (
            "Name",
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            "VolumeMode+",
        ),
        _claim,
    ),
    "StorageClass": (
        ("Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"),
        _storage_class,
    ),
    "VolumeAttachment": (("Name", "Attacher", "PV", "Node", "Attached", "Age"), _attachment),
    "CSIDriver": (
        (
            "Name",
            "AttachRequired",
            "PodInfoOnMount",
            "StorageCapacity",
            "TokenRequests",
            "RequiresRepublish",
            "Modes",
            "Age",
        ),
        _csi_driver,
    ),
    "Secret": (("Name", "Type", "Data", "Age"), _secret),
    "ConfigMap": (("Name", "Data", "Age"), _config_map),
    "ServiceAccount": (("Name", "Secrets", "Age"), _service_account),
    "Namespace": (("Name", "Status", "Age"), _namespace),
    "Node": (
        (
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            "Internal-IP+",
            "External-IP+",
            "OS-Image+",
            "Kernel-Version+",
            "Container-Runtime+",
        ),
        _node,
    ),
    "Event": (
        (
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "Subobject+",
            "Source+",
            "Message",
            "First Seen+",
            "Count+",
            "Name+",
        ),
        _event,
    ),
}
