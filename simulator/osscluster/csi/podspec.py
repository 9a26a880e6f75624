"""The FUSE Pods that the driver creates, as objects of the API.

Pure; any thread. Source: buildPodSpec and buildAuthSpec of pkg/mounter, labelsAndListOptionsFor, by release.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from osscluster.api.objects import KubeObject
from osscluster.csi import naming
from osscluster.csi.configmap import FuseConfig
from osscluster.csi.options import CREDENTIAL_SECRET
from osscluster.csi.profile import Architecture, CsiProfile

__all__ = [
    "FUSE_TYPE_LABEL",
    "MOUNT_PATH_ANNOTATION",
    "RRSA_TOKEN_FILE",
    "VOLUME_ID_LABEL",
    "PodRequest",
    "Rrsa",
    "fuse_pod",
    "image",
    "labels",
]

FUSE_TYPE_LABEL = "csi.alibabacloud.com/fuse-type"
VOLUME_ID_LABEL = "csi.alibabacloud.com/volume-id"
MOUNT_PATH_HASH_LABEL = "csi.alibabacloud.com/mount-path-hash"
MOUNT_PATH_ANNOTATION = "csi.alibabacloud.com/mount-path"
SAFE_TO_EVICT_ANNOTATION = "cluster-autoscaler.kubernetes.io/safe-to-evict"
RRSA_DIRECTORY = "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens"
RRSA_TOKEN_FILE = f"{RRSA_DIRECTORY}/token"

_PASSWD_DIRECTORY = "/etc/ossfs"
_PASSWD_FILE = "passwd-ossfs"


@dataclass(frozen=True, slots=True)
class Rrsa:
    """Whose credentials a FUSE Pod buys, and as whom."""

    role_arn: str
    provider_arn: str
    service_account: str


@dataclass(frozen=True, slots=True)
class PodRequest:
    """A FUSE Pod to be. target: the path that ossfs mounts; source: "bucket:/path"; options: of ossfs, without the
    credentials' file; both only where the Pod is ossfs itself. key: whether the password file is mounted."""

    node: str
    volume_id: str
    target: str
    region: str
    rrsa: Rrsa | None = None
    source: str = ""
    options: Sequence[str] = ()
    key: bool = False


def labels(request: PodRequest, profile: CsiProfile) -> dict[str, str]:
    """What a FUSE Pod is found by."""
    return {
        FUSE_TYPE_LABEL: "ossfs",
        VOLUME_ID_LABEL: naming.volume_label(request.volume_id, hashed=profile.volume_label_hashed),
        MOUNT_PATH_HASH_LABEL: naming.mount_path_hash(request.target),
    }


def image(profile: CsiProfile, config: FuseConfig, region: str, *, updated: bool) -> str:
    """updated: the gate UpdatedOssfsVersion."""
    if config.image and not profile.image_tag_configurable:
        return config.image
    tag = config.image_tag or (profile.image_tag if updated or profile.ossfs_gate is None else "")
    registry = f"registry-{region}-vpc.ack.aliyuncs.com" if region else "registry-cn-hangzhou.ack.aliyuncs.com"
    return f"{registry}/acs/csi-ossfs:{tag or profile.image_tag_without_gate}"


def fuse_pod(
    request: PodRequest, profile: CsiProfile, config: FuseConfig, *, updated: bool, mime_on_host: bool
) -> KubeObject:
    """mime_on_host: whether the node has /etc/mime.types."""
    named = profile.architecture is Architecture.POD_BY_NODE
    container: dict[str, Any] = {
        "name": "fuse-mounter" if named else "ossfs",
        "image": image(profile, config, request.region, updated=updated),
        "resources": {kind: dict(amounts) for kind, amounts in config.resources.items()},
        "securityContext": {"privileged": True},
    }
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    build = _ossfs if named else _mount_server
    build(request, profile, container, volumes, mounts, mime_on_host=mime_on_host)
    _credentials(request, profile, container, volumes, mounts)
    container["volumeMounts"] = mounts
    spec: dict[str, Any] = {
        "nodeName": request.node,
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "restartPolicy": "OnFailure" if named else "Always",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": volumes,
    }
    if profile.grace_period is not None:
        spec["terminationGracePeriodSeconds"] = profile.grace_period
    if request.rrsa is not None:
        spec["serviceAccountName"] = request.rrsa.service_account
    own = {"labels": config.labels, "annotations": config.annotations} if profile.configured_metadata else {}
    annotations = {MOUNT_PATH_ANNOTATION: request.target}
    if profile.safe_to_evict:
        annotations[SAFE_TO_EVICT_ANNOTATION] = "true"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "csi-fuse-ossfs-",
            "namespace": profile.fuse_namespace,
            "labels": {
                **own.get("labels", {}),
                **labels(request, profile),
                **({"alibabacloud.com/drain-pod": "skip"} if profile.drain_label else {}),
            },
            "annotations": {**own.get("annotations", {}), **annotations},
        },
        "spec": spec,
    }


def _host_path(name: str, path: str, kind: str) -> dict[str, Any]:
    return {"name": name, "hostPath": {"path": path, "type": kind}}


def _ossfs(
    request: PodRequest,
    profile: CsiProfile,
    container: dict[str, Any],
    volumes: list[dict[str, Any]],
    mounts: list[dict[str, Any]],
    *,
    mime_on_host: bool,
) -> None:
    volumes += [
        _host_path("kubelet-dir", request.target, "Directory"),
        _host_path("metrics-dir", "/var/run/ossfs", "DirectoryOrCreate"),
    ]
    mounts += [
        {"name": "kubelet-dir", "mountPath": request.target, "mountPropagation": "Bidirectional"},
        {"name": "metrics-dir", "mountPath": "/var/run/ossfs"},
    ]
    if mime_on_host and profile.host_mime_visible:
        volumes.append(_host_path("mime-types-dir", "/etc/mime.types", "File"))
        mounts.append({"name": "mime-types-dir", "mountPath": "/etc/mime.types"})
    options = [*request.options, *([f"passwd_file={_PASSWD_DIRECTORY}/{_PASSWD_FILE}"] if request.key else [])]
    container["args"] = ["-o", ",".join(options), request.source, request.target, "-f"]
    container["startupProbe"] = {
        "exec": {"command": ["findmnt", "-t", "fuse.ossfs", request.target]},
        "periodSeconds": 1,
        "failureThreshold": 5,
    }


def _mount_server(
    request: PodRequest,
    profile: CsiProfile,
    container: dict[str, Any],
    volumes: list[dict[str, Any]],
    mounts: list[dict[str, Any]],
    *,
    mime_on_host: bool,
) -> None:
    del mime_on_host
    directory = posixpath.dirname(request.target)
    socket = naming.socket_path(request.volume_id)
    volumes += [
        _host_path("target-dir", directory, "DirectoryOrCreate"),
        _host_path("metrics-dir", "/var/run/ossfs", "DirectoryOrCreate"),
        _host_path("host-etc", "/etc", "Directory"),
    ]
    mounts += [
        {"name": "target-dir", "mountPath": directory, "mountPropagation": "Bidirectional"},
        {"name": "metrics-dir", "mountPath": "/var/run/ossfs"},
        {"name": "host-etc", "mountPath": profile.host_etc_mount},
    ]
    container["args"] = [f"{profile.socket_flag}{socket}", "-v=4"]
    container["readinessProbe"] = {
        "exec": {"command": ["test", "-S", socket]},
        "periodSeconds": 2,
        "failureThreshold": 5,
    }


def _credentials(
    request: PodRequest,
    profile: CsiProfile,
    container: dict[str, Any],
    volumes: list[dict[str, Any]],
    mounts: list[dict[str, Any]],
) -> None:
    if request.rrsa is not None:
        token = {"audience": "sts.aliyuncs.com", "expirationSeconds": 3600, "path": "token"}
        volumes.append(
            {
                "name": "rrsa-oidc-token",
                "projected": {"defaultMode": 0o600, "sources": [{"serviceAccountToken": token}]},
            }
        )
        mounts.append({"name": "rrsa-oidc-token", "mountPath": RRSA_DIRECTORY})
        session = naming.session_name(request.volume_id, request.target, cut=profile.session_name_cut)
        variables: Mapping[str, str] = {
            "ALIBABA_CLOUD_ROLE_ARN": request.rrsa.role_arn,
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": request.rrsa.provider_arn,
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE": RRSA_TOKEN_FILE,
            "ROLE_SESSION_NAME": session,
        }
        container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    elif request.key:
        item = {
            "key": naming.credential_key(request.node, request.volume_id),
            "path": _PASSWD_FILE,
            "mode": 0o600,
        }
        volumes.append(
            {"name": _PASSWD_FILE, "secret": {"secretName": CREDENTIAL_SECRET, "items": [item], "optional": True}}
        )
        mounts.append({"name": _PASSWD_FILE, "mountPath": _PASSWD_DIRECTORY})
