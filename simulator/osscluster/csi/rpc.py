"""CSI's messages and errors as values, with CSI's own names (csi.proto, package csi.v1), and what a driver is.

The driver's methods are jobs (`timeline.Steps`): they wait on virtual time for a FUSE pod, and `CsiError` is how they
fail. A gRPC adapter and kubelet call the same methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from osscluster.timeline import Steps

__all__ = [
    "AccessMode",
    "Code",
    "ControllerPublishVolumeRequest",
    "CreateVolumeRequest",
    "CsiController",
    "CsiError",
    "CsiNode",
    "NodePublishVolumeRequest",
    "NodeStageVolumeRequest",
    "Volume",
    "VolumeCapability",
]


class Code(Enum):
    """gRPC status codes; the value is the number, `text` the spelling in kubelet's messages."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14

    @property
    def text(self) -> str:
        """As Go spells it: "InvalidArgument"; "Canceled" has one l."""
        return "Canceled" if self is Code.CANCELLED else self.name.title().replace("_", "")


class CsiError(Exception):
    """A call failed. str() is what kubelet prints: `rpc error: code = Internal desc = ...`."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"rpc error: code = {code.text} desc = {message}")
        self.code = code
        self.message = message


class AccessMode(Enum):
    """VolumeCapability.AccessMode.Mode."""

    UNKNOWN = 0
    SINGLE_NODE_WRITER = 1
    SINGLE_NODE_READER_ONLY = 2
    MULTI_NODE_READER_ONLY = 3
    MULTI_NODE_SINGLE_WRITER = 4
    MULTI_NODE_MULTI_WRITER = 5
    SINGLE_NODE_SINGLE_WRITER = 6
    SINGLE_NODE_MULTI_WRITER = 7


@dataclass(frozen=True, slots=True)
class VolumeCapability:
    """mount_flags: PV.spec.mountOptions; block: volumeMode Block."""

    access_mode: AccessMode = AccessMode.MULTI_NODE_MULTI_WRITER
    fs_type: str = ""
    mount_flags: Sequence[str] = ()
    block: bool = False


@dataclass(frozen=True, slots=True)
class CreateVolumeRequest:
    """capacity: bytes, 0 for none asked for; parameters: of the StorageClass."""

    name: str
    capabilities: Sequence[VolumeCapability] = ()
    capacity: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Volume:
    """What CreateVolume made."""

    volume_id: str
    capacity: int
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ControllerPublishVolumeRequest:
    volume_id: str
    node_id: str
    capability: VolumeCapability | None
    readonly: bool = False
    volume_context: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeStageVolumeRequest:
    volume_id: str
    staging_target_path: str
    capability: VolumeCapability | None
    publish_context: Mapping[str, str] = field(default_factory=dict)
    volume_context: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodePublishVolumeRequest:
    """volume_context: PV.spec.csi.volumeAttributes plus csi.storage.k8s.io/pod.name and the like."""

    volume_id: str
    target_path: str
    capability: VolumeCapability | None
    staging_target_path: str = ""
    readonly: bool = False
    publish_context: Mapping[str, str] = field(default_factory=dict)
    volume_context: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


class CsiController(Protocol):
    """The driver's controller service. Every method raises CsiError."""

    def capabilities(self) -> Sequence[str]:
        """Names of ControllerServiceCapability.RPC.Type: "CREATE_DELETE_VOLUME", "PUBLISH_UNPUBLISH_VOLUME" ..."""
        ...

    def create_volume(self, request: CreateVolumeRequest) -> Steps[Volume]: ...
    def delete_volume(self, volume_id: str) -> Steps[None]: ...
    def controller_publish_volume(self, request: ControllerPublishVolumeRequest) -> Steps[Mapping[str, str]]:
        """Gives the publish context."""
        ...

    def controller_unpublish_volume(self, volume_id: str, node_id: str) -> Steps[None]: ...


class CsiNode(Protocol):
    """The driver's node service, one a node. Every method raises CsiError."""

    def capabilities(self) -> Sequence[str]:
        """Names of NodeServiceCapability.RPC.Type: "STAGE_UNSTAGE_VOLUME" ..."""
        ...

    def node_stage_volume(self, request: NodeStageVolumeRequest) -> Steps[None]: ...
    def node_unstage_volume(self, volume_id: str, staging_target_path: str) -> Steps[None]: ...
    def node_publish_volume(self, request: NodePublishVolumeRequest) -> Steps[None]: ...
    def node_unpublish_volume(self, volume_id: str, target_path: str) -> Steps[None]: ...
