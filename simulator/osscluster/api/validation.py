"""What the API server refuses in an object, for the fields that are interpreted, in its own words.

Sources: `pkg/apis/{core,apps,storage}/validation` and apimachinery `pkg/util/validation`. Expects defaults to be set
(`defaults`) and types to be right (`schema`). Pure; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from osscluster.api.kinds import KINDS, Kind
from osscluster.api.objects import KubeObject
from osscluster.api.podvalidation import label_name, not_negative, pod_spec, subdomain
from osscluster.api.quantity import Quantity
from osscluster.api.refusals import (
    FieldError,
    forbidden_field,
    immutable,
    invalid_value,
    required,
    unsupported,
)
from osscluster.api.schema import field_types
from osscluster.api.selectors import matches_selector

__all__ = ["create_errors", "update_errors"]

Errors = Iterator[FieldError]

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_QUALIFIED_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")

_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_NAME_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_CONFIG_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_POD_UPDATE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_STATEFUL_SET_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def create_errors(object: KubeObject) -> list[FieldError]:
    """Everything that is wrong with a new object; empty when it may be created."""
    kind = KINDS[object["kind"]]
    errors = list(_metadata(object["metadata"], kind))
    if (check := _CHECKS.get(kind.name)) is not None:
        errors.extend(check(object))
    return errors


def update_errors(new: KubeObject, old: KubeObject) -> list[FieldError]:
    """Everything that is wrong with what an object is to become."""
    errors = list(_finalizers(new["metadata"], old["metadata"]))
    if (check := _CHANGES.get(new["kind"])) is not None:
        errors.extend(check(new, old))
    return errors + create_errors(new)


def _metadata(metadata: Mapping[str, Any], kind: Kind) -> Errors:
    name = metadata.get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif kind.name == "Namespace":
        yield from label_name("metadata.name", name)
    elif kind.name != "Event":
        yield from subdomain("metadata.name", name)
    for key, value in (metadata.get("labels") or {}).items():
        yield from _qualified("metadata.labels", key)
        if len(value) > 63:
            yield invalid_value("metadata.labels", value, "must be no more than 63 characters")
        if not _LABEL_VALUE.fullmatch(value):
            yield invalid_value("metadata.labels", value, _LABEL_VALUE_TEXT)
    for key in metadata.get("annotations") or {}:
        yield from _qualified("metadata.annotations", key.lower())


def _qualified(path: str, key: str) -> Errors:
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        yield invalid_value(path, key, "prefix part must be non-empty")
    elif slash:
        for error in subdomain(path, prefix):
            yield invalid_value(path, key, "prefix part " + error.message.partition(": ")[2].partition(": ")[2])
    if not name:
        yield invalid_value(path, key, "name part must be non-empty")
    elif len(name) > 63:
        yield invalid_value(path, key, "name part must be no more than 63 characters")
    elif not _QUALIFIED_NAME.fullmatch(name):
        yield invalid_value(path, key, _QUALIFIED_NAME_TEXT)


# Volumes


def _access_modes(modes: Sequence[str]) -> Errors:
    for mode in modes:
        if mode not in _ACCESS_MODES:
            yield unsupported("spec.accessModes", mode, _ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield forbidden_field("spec.accessModes", "may not use ReadWriteOncePod with other access modes")


def _volume_mode(spec: Mapping[str, Any]) -> Errors:
    if spec.get("volumeMode") not in ("Block", "Filesystem"):
        yield unsupported("spec.volumeMode", spec.get("volumeMode"), ("Block", "Filesystem"))


def _storage(path: str, text: str) -> Errors:
    if Quantity.parse(text).value <= 0:
        yield invalid_value(path, text, "must be greater than zero")


def _persistent_volume(object: KubeObject) -> Errors:
    spec = object["spec"]
    modes = spec.get("accessModes") or ()
    if not modes:
        yield required("spec.accessModes")
    yield from _access_modes(modes)
    capacity = spec.get("capacity") or {}
    if not capacity:
        yield required("spec.capacity")
    elif set(capacity) != {"storage"}:
        yield unsupported("spec.capacity", capacity, ("storage",))
    for key, text in capacity.items():
        yield from _storage(f"spec.capacity[{key}]", text)
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy not in ("Delete", "Recycle", "Retain"):
        yield unsupported("spec.persistentVolumeReclaimPolicy", policy, ("Delete", "Recycle", "Retain"))
    sources = _sources(spec)
    if not sources:
        yield required("spec", "must specify a volume type")
    for source in sources[1:]:
        yield forbidden_field(f"spec.{source}", "may not specify more than 1 volume type")
    if "csi" in spec:
        yield from _csi(spec["csi"])
    if name := spec.get("storageClassName"):
        yield from subdomain("spec.storageClassName", name)
    yield from _volume_mode(spec)


_NOT_A_SOURCE = {
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
}


def _sources(spec: Mapping[str, Any]) -> list[str]:
    known = field_types("PersistentVolumeSpec") or {}
    return [name for name in spec if name in known and name not in _NOT_A_SOURCE]


def _csi(csi: Mapping[str, Any]) -> Errors:
    if not csi.get("driver"):
        yield required("spec.csi.driver")
    else:
        yield from subdomain("spec.csi.driver", csi["driver"].lower())
    if not csi.get("volumeHandle"):
        yield required("spec.csi.volumeHandle")
    for name in ("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef"):
        if (reference := csi.get(name)) is not None:
            for key in ("name", "namespace"):
                if not reference.get(key):
                    yield required(f"spec.csi.{name}.{key}")


def _claim(object: KubeObject) -> Errors:
    spec = object["spec"]
    modes = spec.get("accessModes") or ()
    if not modes:
        yield required("spec.accessModes", "at least 1 access mode is required")
    yield from _access_modes(modes)
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        yield required("spec.resources[storage]")
    else:
        yield from _storage("spec.resources[storage]", size)
    if name := spec.get("storageClassName"):
        yield from subdomain("spec.storageClassName", name)
    yield from _volume_mode(spec)


def _storage_class(object: KubeObject) -> Errors:
    if not object.get("provisioner"):
        yield required("provisioner")
    if object["reclaimPolicy"] not in ("Delete", "Retain"):
        yield unsupported("reclaimPolicy", object["reclaimPolicy"], ("Delete", "Retain"))
    modes = ("Immediate", "WaitForFirstConsumer")
    if object["volumeBindingMode"] not in modes:
        yield unsupported("volumeBindingMode", object["volumeBindingMode"], modes)


def _csi_driver(object: KubeObject) -> Errors:
    policies = ("ReadWriteOnceWithFSType", "File", "None")
    if object["spec"]["fsGroupPolicy"] not in policies:
        yield unsupported("spec.fsGroupPolicy", object["spec"]["fsGroupPolicy"], policies)


def _volume_attachment(object: KubeObject) -> Errors:
    spec = object["spec"]
    if not spec.get("attacher"):
        yield required("spec.attacher")
    if not spec.get("nodeName"):
        yield required("spec.nodeName")
    source = spec.get("source") or {}
    if len([name for name in ("inlineVolumeSpec", "persistentVolumeName") if source.get(name)]) != 1:
        yield required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")


# Configuration


def _config_map(object: KubeObject) -> Errors:
    for name in ("data", "binaryData"):
        yield from _config_keys(name, object.get(name) or {})


def _secret(object: KubeObject) -> Errors:
    yield from _config_keys("data", object.get("data") or {})


def _config_keys(name: str, data: Mapping[str, Any]) -> Errors:
    for key in data:
        if not _CONFIG_KEY.fullmatch(key) or key in (".", ".."):
            yield invalid_value(f"{name}[{key}]", key, _CONFIG_KEY_TEXT)


# Workloads


def _pod(object: KubeObject) -> Errors:
    yield from pod_spec(object["spec"], "spec")


def _workload(object: KubeObject) -> Errors:
    spec = object["spec"]
    selector = spec.get("selector")
    template = spec["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    if selector is None:
        yield required("spec.selector")
    elif not selector:
        yield invalid_value("spec.selector", selector, f"empty selector is invalid for {object['kind'].lower()}")
    elif not matches_selector(selector, labels):
        yield invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if "replicas" in spec:
        yield from not_negative("spec.replicas", spec["replicas"])
    # What is wrong with a claim's template is found when the controller makes the claim.
    claimed = [(claim.get("metadata") or {}).get("name", "") for claim in spec.get("volumeClaimTemplates") or ()]
    yield from pod_spec(template["spec"], "spec.template.spec", more_volumes=claimed)
    if (policy := template["spec"]["restartPolicy"]) in ("OnFailure", "Never"):
        yield unsupported("spec.template.spec.restartPolicy", policy, ("Always",))


_CHECKS: Mapping[str, Callable[[KubeObject], Errors]] = {
    "PersistentVolume": _persistent_volume,
    "PersistentVolumeClaim": _claim,
    "StorageClass": _storage_class,
    "CSIDriver": _csi_driver,
    "VolumeAttachment": _volume_attachment,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Pod": _pod,
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
}


# Changes


def _finalizers(new: Mapping[str, Any], old: Mapping[str, Any]) -> Errors:
    added = [each for each in new.get("finalizers") or () if each not in (old.get("finalizers") or ())]
    if added and old.get("deletionTimestamp") is not None:
        shown = ", ".join(f'"{each}"' for each in added)
        text = (
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{"
            + shown
            + "}"
        )
        yield forbidden_field("metadata.finalizers", text)


def _fixed(new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> Errors:
    value: Any = new
    before: Any = old
    for step in path.split("."):
        value, before = (each.get(step) if isinstance(each, Mapping) else None for each in (value, before))
    if value != before:
        yield immutable(path, value)


def _changed_volume(new: KubeObject, old: KubeObject) -> Errors:
    sources = {*_sources(new["spec"]), *_sources(old["spec"])}
    if any(new["spec"].get(name) != old["spec"].get(name) for name in sources):
        path = "spec.persistentvolumesource"
        yield forbidden_field(path, "spec.persistentvolumesource is immutable after creation")
    if new["spec"].get("volumeMode") != old["spec"].get("volumeMode"):
        yield immutable("volumeMode", new["spec"].get("volumeMode"))


def _changed_claim(new: KubeObject, old: KubeObject) -> Errors:
    mutable = {"resources", "volumeAttributesClassName"}
    bound = bool(old["spec"].get("volumeName"))
    if not bound:
        # The controller that binds it, or somebody in its place, sets these once.
        mutable |= {"volumeName"}
    if _without(new["spec"], mutable) != _without(old["spec"], mutable):
        text = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        yield forbidden_field("spec", text)
        return
    size, before = (_requested(each) for each in (new, old))
    if size != before and not bound:
        text = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        yield forbidden_field("spec", text)
    elif before is not None and size is not None and Quantity.parse(size).value < Quantity.parse(before).value:
        yield forbidden_field("spec.resources.requests.storage", "field can not be less than status.capacity")


def _requested(claim: KubeObject) -> str | None:
    size: str | None = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    return size


def _without(spec: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in names}


def _changed_storage_class(new: KubeObject, old: KubeObject) -> Errors:
    for name in ("parameters", "provisioner", "reclaimPolicy"):
        if (new.get(name) or None) != (old.get(name) or None):
            yield forbidden_field(name, f"updates to {name} are forbidden.")
    yield from _fixed(new, old, "volumeBindingMode")


def _changed_pod(new: KubeObject, old: KubeObject) -> Errors:
    before, after = _fixed_pod(old["spec"]), _fixed_pod(new["spec"])
    if not before.get("nodeName"):
        # Binding a Pod to a node is an endpoint of its own at the API server; here it is an update.
        before.pop("nodeName", None)
        after.pop("nodeName", None)
    if before != after:
        yield forbidden_field("spec", _POD_UPDATE)


def _fixed_pod(spec: Mapping[str, Any]) -> dict[str, Any]:
    fixed = _without(spec, {"activeDeadlineSeconds", "tolerations", "ephemeralContainers"})
    for name in ("containers", "initContainers"):
        fixed[name] = [_without(container, {"image"}) for container in spec.get(name) or ()]
    return fixed


def _changed_workload(new: KubeObject, old: KubeObject) -> Errors:
    yield from _fixed(new, old, "spec.selector")


def _changed_stateful_set(new: KubeObject, old: KubeObject) -> Errors:
    mutable = set(_STATEFUL_SET_MUTABLE)
    if _without(new["spec"], mutable) != _without(old["spec"], mutable):
        names = ", ".join(f"'{name}'" for name in _STATEFUL_SET_MUTABLE[:-1])
        text = (
            f"updates to statefulset spec for fields other than {names} and '{_STATEFUL_SET_MUTABLE[-1]}' are forbidden"
        )
        yield forbidden_field("spec", text)


def _changed_data(new: KubeObject, old: KubeObject) -> Errors:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden_field("immutable", "field is immutable when `immutable` is set")
    for name in ("data", "binaryData"):
        if (new.get(name) or {}) != (old.get(name) or {}):
            yield forbidden_field(name, "field is immutable when `immutable` is set")


def _changed_secret(new: KubeObject, old: KubeObject) -> Errors:
    yield from _fixed(new, old, "type")
    yield from _changed_data(new, old)


def _changed_csi_driver(new: KubeObject, old: KubeObject) -> Errors:
    for name in ("attachRequired", "volumeLifecycleModes"):
        yield from _fixed(new, old, f"spec.{name}")


def _changed_attachment(new: KubeObject, old: KubeObject) -> Errors:
    if new["spec"] != old["spec"]:
        yield immutable("spec", new["spec"])


_CHANGES: Mapping[str, Callable[[KubeObject, KubeObject], Errors]] = {
    "PersistentVolume": _changed_volume,
    "PersistentVolumeClaim": _changed_claim,
    "StorageClass": _changed_storage_class,
    "Pod": _changed_pod,
    "Deployment": _changed_workload,
    "ReplicaSet": _changed_workload,
    "DaemonSet": _changed_workload,
    "StatefulSet": _changed_stateful_set,
    "ConfigMap": _changed_data,
    "Secret": _changed_secret,
    "CSIDriver": _changed_csi_driver,
    "VolumeAttachment": _changed_attachment,
}
