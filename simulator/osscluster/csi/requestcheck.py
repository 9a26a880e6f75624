"""What is checked of a request before the driver's own work: required fields, paths, characters.

Pure; any thread. Source: NodeServerWithValidator and ControllerServerWithValidator of pkg/common, CheckRequestArgs and
ValidatePath of pkg/utils/auth.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from osscluster.csi.profile import CsiProfile, Validator
from osscluster.csi.rpc import Code, CsiError, NodePublishVolumeRequest, NodeStageVolumeRequest

__all__ = ["KUBELET", "characters", "node_publish", "node_stage", "path", "required"]

KUBELET = "/var/lib/kubelet"
_ILLEGAL = frozenset("&|;$'`()")


def required(profile: CsiProfile, **fields: object) -> None:
    """Raises CsiError for the first field that is empty. fields: by CSI's name of them ("VolumeId")."""
    if profile.validator is not Validator.FIELDS:
        return
    for name, value in fields.items():
        if not value:
            raise CsiError(Code.INVALID_ARGUMENT, f"{name} is required")


def node_stage(profile: CsiProfile, request: NodeStageVolumeRequest) -> None:
    """The validator's part of NodeStageVolume. Raises CsiError."""
    required(
        profile,
        VolumeId=request.volume_id,
        VolumeCapability=request.capability,
        StagingTargetPath=request.staging_target_path,
    )
    _below_kubelet(profile, request.staging_target_path, what="Staging")


def node_publish(profile: CsiProfile, request: NodePublishVolumeRequest) -> None:
    """The validator's part of NodePublishVolume. Raises CsiError."""
    required(profile, VolumeId=request.volume_id, VolumeCapability=request.capability, TargetPath=request.target_path)
    _below_kubelet(profile, request.target_path, what="Target")


def _below_kubelet(profile: CsiProfile, target: str, *, what: str) -> None:
    if profile.validator is Validator.NONE:
        return
    if not target:
        raise CsiError(Code.INVALID_ARGUMENT, f"{what} path not provided")
    if posixpath.commonpath((KUBELET, posixpath.normpath(posixpath.join("/", target)))) != KUBELET:
        raise CsiError(Code.INVALID_ARGUMENT, f'{what} path "{target}" is not a subpath of {KUBELET}')


def characters(profile: CsiProfile, attributes: Mapping[str, str]) -> None:
    """Raises CsiError for values that a shell would take apart."""
    if not profile.illegal_characters_refused:
        return
    refused = [value for value in attributes.values() if not _ILLEGAL.isdisjoint(value)]
    if refused:
        raise CsiError(Code.INVALID_ARGUMENT, "".join(f"Args {value} has illegal access." for value in refused))


def path(profile: CsiProfile, target: str) -> None:
    """Raises CsiError for a path that may lead elsewhere."""
    if not profile.paths_absolute:
        if ".." in target or "./" in target or "/." in target:
            raise CsiError(Code.INVALID_ARGUMENT, f"Path {target} has illegal access.")
        return
    if not target.startswith("/"):
        raise CsiError(Code.INVALID_ARGUMENT, f"path {target} must be an absolute path")
    if ".." in target.split("/"):
        raise CsiError(Code.INVALID_ARGUMENT, f"path {target} contains '..' which is not allowed")
    if target == "/proc" or target.startswith("/proc/"):
        raise CsiError(Code.INVALID_ARGUMENT, f"path {target} is under sensitive path /proc")
