"""What the API server refuses in the spec of a Pod, for the fields that are interpreted.

Source: `pkg/apis/core/validation/validation.go` and apimachinery `pkg/util/validation`. Pure; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osscluster.api.refusals import (
    FieldError,
    duplicate,
    forbidden_field,
    invalid_value,
    missing_reference,
    required,
    unsupported,
)
from osscluster.api.schema import field_types

__all__ = ["id_range", "label_name", "not_negative", "pod_spec", "subdomain"]

Errors = Iterator[FieldError]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def label_name(path: str, value: str) -> Errors:
    """A DNS label."""
    if len(value) > 63:
        yield invalid_value(path, value, "must be no more than 63 characters")
    if not _LABEL.fullmatch(value):
        yield invalid_value(path, value, _LABEL_TEXT)


def subdomain(path: str, value: str) -> Errors:
    """A DNS subdomain."""
    if len(value) > 253:
        yield invalid_value(path, value, "must be no more than 253 characters")
    if not _SUBDOMAIN.fullmatch(value):
        yield invalid_value(path, value, _SUBDOMAIN_TEXT)


def not_negative(path: str, value: int) -> Errors:
    if value < 0:
        yield invalid_value(path, value, "must be greater than or equal to 0")


def id_range(path: str, value: int) -> Errors:
    """A user's or a group's number."""
    if not 0 <= value <= 2**31 - 1:
        yield invalid_value(path, value, "must be between 0 and 2147483647, inclusive")


def pod_spec(spec: Mapping[str, Any], path: str, *, more_volumes: Sequence[str] = ()) -> Errors:
    """path: of the spec in the object; more_volumes: names of volumes that a StatefulSet adds."""
    volumes = list(spec.get("volumes") or ())
    yield from _volumes(volumes, f"{path}.volumes")
    names = {volume.get("name", "") for volume in volumes} | set(more_volumes)
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    taken: set[str] = set()
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield from _container(container, f"{path}.{field}[{index}]", names, taken)
    if spec["restartPolicy"] not in ("Always", "OnFailure", "Never"):
        yield unsupported(f"{path}.restartPolicy", spec["restartPolicy"], ("Always", "OnFailure", "Never"))
    policies = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
    if spec["dnsPolicy"] not in policies:
        yield unsupported(f"{path}.dnsPolicy", spec["dnsPolicy"], policies)
    yield from not_negative(f"{path}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"])
    yield from _security(spec.get("securityContext") or {}, f"{path}.securityContext")
    if name := spec.get("nodeName"):
        yield from subdomain(f"{path}.nodeName", name)
    if name := spec.get("serviceAccountName"):
        yield from subdomain(f"{path}.serviceAccountName", name)


def _security(security: Mapping[str, Any], path: str) -> Errors:
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        if name in security:
            yield from id_range(f"{path}.{name}", security[name])
    for index, group in enumerate(security.get("supplementalGroups") or ()):
        yield from id_range(f"{path}.supplementalGroups[{index}]", group)
    policy = security.get("fsGroupChangePolicy", "Always")
    if policy not in ("Always", "OnRootMismatch"):
        yield unsupported(f"{path}.fsGroupChangePolicy", policy, ("Always", "OnRootMismatch"))


def _volumes(volumes: Sequence[Mapping[str, Any]], path: str) -> Errors:
    types = field_types("Volume") or {}
    taken: set[str] = set()
    for index, volume in enumerate(volumes):
        here = f"{path}[{index}]"
        if not (name := volume.get("name", "")):
            yield required(f"{here}.name")
        else:
            yield from label_name(f"{here}.name", name)
            if name in taken:
                yield duplicate(f"{here}.name", name)
        taken.add(name)
        sources = [field for field in volume if field != "name" and field in types]
        for source in sources[1:]:
            yield forbidden_field(f"{here}.{source}", "may not specify more than 1 volume type")
        if not (volume.get("persistentVolumeClaim") or {"claimName": "-"}).get("claimName"):
            yield required(f"{here}.persistentVolumeClaim.claimName")
        if not (volume.get("hostPath") or {"path": "-"}).get("path"):
            yield required(f"{here}.hostPath.path")
        if not (volume.get("csi") or {"driver": "-"}).get("driver"):
            yield required(f"{here}.csi.driver")


def _container(container: Mapping[str, Any], path: str, volumes: set[str], taken: set[str]) -> Errors:
    if not (name := container.get("name", "")):
        yield required(f"{path}.name")
    else:
        yield from label_name(f"{path}.name", name)
        if name in taken:
            yield duplicate(f"{path}.name", name)
        taken.add(name)
    if not container.get("image"):
        yield required(f"{path}.image")
    if container["imagePullPolicy"] not in ("Always", "IfNotPresent", "Never"):
        yield unsupported(f"{path}.imagePullPolicy", container["imagePullPolicy"], ("Always", "IfNotPresent", "Never"))
    security = container.get("securityContext") or {}
    yield from _security(security, f"{path}.securityContext")
    for index, variable in enumerate(container.get("env") or ()):
        if not variable.get("name"):
            yield required(f"{path}.env[{index}].name")
    paths: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        yield from _mount(mount, f"{path}.volumeMounts[{index}]", volumes, paths, bool(security.get("privileged")))


def _mount(mount: Mapping[str, Any], path: str, volumes: set[str], taken: set[str], privileged: bool) -> Errors:
    if not (name := mount.get("name", "")):
        yield required(f"{path}.name")
    elif name not in volumes:
        yield missing_reference(f"{path}.name", name)
    if not (target := mount.get("mountPath", "")):
        yield required(f"{path}.mountPath")
    elif target in taken:
        yield invalid_value(f"{path}.mountPath", target, "must be unique")
    taken.add(target)
    for field in ("subPath", "subPathExpr"):
        if text := mount.get(field):
            if text.startswith("/"):
                yield invalid_value(f"{path}.{field}", text, "must be a relative path")
            if ".." in text.split("/"):
                yield invalid_value(f"{path}.{field}", text, "must not contain '..'")
    if mount.get("subPath") and mount.get("subPathExpr"):
        text = "subPathExpr and subPath are mutually exclusive"
        yield invalid_value(f"{path}.subPathExpr", mount["subPathExpr"], text)
    if (propagation := mount.get("mountPropagation")) is not None:
        modes = ("Bidirectional", "HostToContainer", "None")
        if propagation not in modes:
            yield unsupported(f"{path}.mountPropagation", propagation, modes)
        elif propagation == "Bidirectional" and not privileged:
            text = "Bidirectional mount propagation is available only to privileged containers"
            yield forbidden_field(f"{path}.mountPropagation", text)
