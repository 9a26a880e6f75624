"""The fields of CSI's messages: names and numbers as the published csi.proto (1.13, package csi.v1) has them.

A table, from which `wire` builds protobuf's descriptors: as far as Identity, Controller and Node need it. Data only.

A field is "NAME NUMBER TYPE": "[]TYPE" repeats, "{}" is map<string, string>, "enum E" an enum, "TYPE|CHOICE" one of a
oneof, ".TYPE" one of protobuf's own. An entry whose lines are "WORD = NUMBER" is an enum.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SERVICES", "TABLE"]

SERVICES: Mapping[str, str] = {
    "Identity": "GetPluginInfo GetPluginCapabilities Probe",
    "Controller": (
        "CreateVolume DeleteVolume ControllerPublishVolume ControllerUnpublishVolume ValidateVolumeCapabilities "
        "ListVolumes GetCapacity ControllerGetCapabilities CreateSnapshot DeleteSnapshot ListSnapshots GetSnapshot "
        "ControllerExpandVolume ControllerGetVolume ControllerModifyVolume"
    ),
    "Node": (
        "NodeStageVolume NodeUnstageVolume NodePublishVolume NodeUnpublishVolume NodeGetVolumeStats NodeExpandVolume "
        "NodeGetCapabilities NodeGetInfo"
    ),
}

TABLE: Mapping[str, tuple[str, ...]] = {
    "GetPluginInfoRequest": (),
    "GetPluginInfoResponse": (
        "name 1 string",
        "vendor_version 2 string",
        "manifest 3 {}",
    ),
    "GetPluginCapabilitiesRequest": (),
    "GetPluginCapabilitiesResponse": ("capabilities 1 []PluginCapability",),
    "PluginCapability": (
        "service 1 PluginCapability.Service|type",
        "volume_expansion 2 PluginCapability.VolumeExpansion|type",
    ),
    "PluginCapability.Service": ("type 1 enum PluginCapability.Service.Type",),
    "PluginCapability.Service.Type": (
        "UNKNOWN = 0",
        "CONTROLLER_SERVICE = 1",
        "VOLUME_ACCESSIBILITY_CONSTRAINTS = 2",
        "GROUP_CONTROLLER_SERVICE = 3",
        "SNAPSHOT_METADATA_SERVICE = 4",
    ),
    "PluginCapability.VolumeExpansion": ("type 1 enum PluginCapability.VolumeExpansion.Type",),
    "PluginCapability.VolumeExpansion.Type": (
        "UNKNOWN = 0",
        "ONLINE = 1",
        "OFFLINE = 2",
    ),
    "ProbeRequest": (),
    "ProbeResponse": ("ready 1 .google.protobuf.BoolValue",),
    "CreateVolumeRequest": (
        "name 1 string",
        "capacity_range 2 CapacityRange",
        "volume_capabilities 3 []VolumeCapability",
        "parameters 4 {}",
        "secrets 5 {}",
        "volume_content_source 6 VolumeContentSource",
        "accessibility_requirements 7 TopologyRequirement",
        "mutable_parameters 8 {}",
    ),
    "VolumeContentSource": (
        "snapshot 1 VolumeContentSource.SnapshotSource|type",
        "volume 2 VolumeContentSource.VolumeSource|type",
    ),
    "VolumeContentSource.SnapshotSource": ("snapshot_id 1 string",),
    "VolumeContentSource.VolumeSource": ("volume_id 1 string",),
    "CreateVolumeResponse": ("volume 1 Volume",),
    "VolumeCapability": (
        "block 1 VolumeCapability.BlockVolume|access_type",
        "mount 2 VolumeCapability.MountVolume|access_type",
        "access_mode 3 VolumeCapability.AccessMode",
    ),
    "VolumeCapability.BlockVolume": (),
    "VolumeCapability.MountVolume": (
        "fs_type 1 string",
        "mount_flags 2 []string",
        "volume_mount_group 3 string",
    ),
    "VolumeCapability.AccessMode": ("mode 1 enum VolumeCapability.AccessMode.Mode",),
    "VolumeCapability.AccessMode.Mode": (
        "UNKNOWN = 0",
        "SINGLE_NODE_WRITER = 1",
        "SINGLE_NODE_READER_ONLY = 2",
        "MULTI_NODE_READER_ONLY = 3",
        "MULTI_NODE_SINGLE_WRITER = 4",
        "MULTI_NODE_MULTI_WRITER = 5",
        "SINGLE_NODE_SINGLE_WRITER = 6",
        "SINGLE_NODE_MULTI_WRITER = 7",
    ),
    "CapacityRange": (
        "required_bytes 1 int64",
        "limit_bytes 2 int64",
    ),
    "Volume": (
        "capacity_bytes 1 int64",
        "volume_id 2 string",
        "volume_context 3 {}",
        "content_source 4 VolumeContentSource",
        "accessible_topology 5 []Topology",
    ),
    "TopologyRequirement": (
        "requisite 1 []Topology",
        "preferred 2 []Topology",
    ),
    "Topology": ("segments 1 {}",),
    "DeleteVolumeRequest": (
        "volume_id 1 string",
        "secrets 2 {}",
    ),
    "DeleteVolumeResponse": (),
    "ControllerPublishVolumeRequest": (
        "volume_id 1 string",
        "node_id 2 string",
        "volume_capability 3 VolumeCapability",
        "readonly 4 bool",
        "secrets 5 {}",
        "volume_context 6 {}",
    ),
    "ControllerPublishVolumeResponse": ("publish_context 1 {}",),
    "ControllerUnpublishVolumeRequest": (
        "volume_id 1 string",
        "node_id 2 string",
        "secrets 3 {}",
    ),
    "ControllerUnpublishVolumeResponse": (),
    "ValidateVolumeCapabilitiesRequest": (
        "volume_id 1 string",
        "volume_context 2 {}",
        "volume_capabilities 3 []VolumeCapability",
        "parameters 4 {}",
        "secrets 5 {}",
        "mutable_parameters 6 {}",
    ),
    "ValidateVolumeCapabilitiesResponse": (
        "confirmed 1 ValidateVolumeCapabilitiesResponse.Confirmed",
        "message 2 string",
    ),
    "ValidateVolumeCapabilitiesResponse.Confirmed": (
        "volume_context 1 {}",
        "volume_capabilities 2 []VolumeCapability",
        "parameters 3 {}",
        "mutable_parameters 4 {}",
    ),
    "ListVolumesRequest": (
        "max_entries 1 int32",
        "starting_token 2 string",
    ),
    "ListVolumesResponse": (
        "entries 1 []ListVolumesResponse.Entry",
        "next_token 2 string",
    ),
    "ListVolumesResponse.VolumeStatus": (
        "published_node_ids 1 []string",
        "volume_condition 2 VolumeCondition",
    ),
    "ListVolumesResponse.Entry": (
        "volume 1 Volume",
        "status 2 ListVolumesResponse.VolumeStatus",
    ),
    "ControllerGetVolumeRequest": ("volume_id 1 string",),
    "ControllerGetVolumeResponse": (
        "volume 1 Volume",
        "status 2 ControllerGetVolumeResponse.VolumeStatus",
    ),
    "ControllerGetVolumeResponse.VolumeStatus": (
        "published_node_ids 1 []string",
        "volume_condition 2 VolumeCondition",
    ),
    "ControllerModifyVolumeRequest": (
        "volume_id 1 string",
        "secrets 2 {}",
        "mutable_parameters 3 {}",
    ),
    "ControllerModifyVolumeResponse": (),
    "GetCapacityRequest": (
        "volume_capabilities 1 []VolumeCapability",
        "parameters 2 {}",
        "accessible_topology 3 Topology",
    ),
    "GetCapacityResponse": (
        "available_capacity 1 int64",
        "maximum_volume_size 2 .google.protobuf.Int64Value",
        "minimum_volume_size 3 .google.protobuf.Int64Value",
    ),
    "ControllerGetCapabilitiesRequest": (),
    "ControllerGetCapabilitiesResponse": ("capabilities 1 []ControllerServiceCapability",),
    "ControllerServiceCapability": ("rpc 1 ControllerServiceCapability.RPC|type",),
    "ControllerServiceCapability.RPC": ("type 1 enum ControllerServiceCapability.RPC.Type",),
    "ControllerServiceCapability.RPC.Type": (
        "UNKNOWN = 0",
        "CREATE_DELETE_VOLUME = 1",
        "PUBLISH_UNPUBLISH_VOLUME = 2",
        "LIST_VOLUMES = 3",
        "GET_CAPACITY = 4",
        "CREATE_DELETE_SNAPSHOT = 5",
        "LIST_SNAPSHOTS = 6",
        "CLONE_VOLUME = 7",
        "PUBLISH_READONLY = 8",
        "EXPAND_VOLUME = 9",
        "LIST_VOLUMES_PUBLISHED_NODES = 10",
        "VOLUME_CONDITION = 11",
        "GET_VOLUME = 12",
        "SINGLE_NODE_MULTI_WRITER = 13",
        "MODIFY_VOLUME = 14",
        "GET_SNAPSHOT = 15",
    ),
    "CreateSnapshotRequest": (
        "source_volume_id 1 string",
        "name 2 string",
        "secrets 3 {}",
        "parameters 4 {}",
    ),
    "CreateSnapshotResponse": ("snapshot 1 Snapshot",),
    "Snapshot": (
        "size_bytes 1 int64",
        "snapshot_id 2 string",
        "source_volume_id 3 string",
        "creation_time 4 .google.protobuf.Timestamp",
        "ready_to_use 5 bool",
        "group_snapshot_id 6 string",
    ),
    "DeleteSnapshotRequest": (
        "snapshot_id 1 string",
        "secrets 2 {}",
    ),
    "DeleteSnapshotResponse": (),
    "ListSnapshotsRequest": (
        "max_entries 1 int32",
        "starting_token 2 string",
        "source_volume_id 3 string",
        "snapshot_id 4 string",
        "secrets 5 {}",
    ),
    "ListSnapshotsResponse": (
        "entries 1 []ListSnapshotsResponse.Entry",
        "next_token 2 string",
    ),
    "ListSnapshotsResponse.Entry": ("snapshot 1 Snapshot",),
    "GetSnapshotRequest": (
        "snapshot_id 1 string",
        "secrets 2 {}",
    ),
    "GetSnapshotResponse": ("snapshot 1 Snapshot",),
    "ControllerExpandVolumeRequest": (
        "volume_id 1 string",
        "capacity_range 2 CapacityRange",
        "secrets 3 {}",
        "volume_capability 4 VolumeCapability",
    ),
    "ControllerExpandVolumeResponse": (
        "capacity_bytes 1 int64",
        "node_expansion_required 2 bool",
    ),
    "NodeStageVolumeRequest": (
        "volume_id 1 string",
        "publish_context 2 {}",
        "staging_target_path 3 string",
        "volume_capability 4 VolumeCapability",
        "secrets 5 {}",
        "volume_context 6 {}",
    ),
    "NodeStageVolumeResponse": (),
    "NodeUnstageVolumeRequest": (
        "volume_id 1 string",
        "staging_target_path 2 string",
    ),
    "NodeUnstageVolumeResponse": (),
    "NodePublishVolumeRequest": (
        "volume_id 1 string",
        "publish_context 2 {}",
        "staging_target_path 3 string",
        "target_path 4 string",
        "volume_capability 5 VolumeCapability",
        "readonly 6 bool",
        "secrets 7 {}",
        "volume_context 8 {}",
    ),
    "NodePublishVolumeResponse": (),
    "NodeUnpublishVolumeRequest": (
        "volume_id 1 string",
        "target_path 2 string",
    ),
    "NodeUnpublishVolumeResponse": (),
    "NodeGetVolumeStatsRequest": (
        "volume_id 1 string",
        "volume_path 2 string",
        "staging_target_path 3 string",
    ),
    "NodeGetVolumeStatsResponse": (
        "usage 1 []VolumeUsage",
        "volume_condition 2 VolumeCondition",
    ),
    "VolumeUsage": (
        "available 1 int64",
        "total 2 int64",
        "used 3 int64",
        "unit 4 enum VolumeUsage.Unit",
    ),
    "VolumeUsage.Unit": (
        "UNKNOWN = 0",
        "BYTES = 1",
        "INODES = 2",
    ),
    "VolumeCondition": (
        "abnormal 1 bool",
        "message 2 string",
    ),
    "NodeGetCapabilitiesRequest": (),
    "NodeGetCapabilitiesResponse": ("capabilities 1 []NodeServiceCapability",),
    "NodeServiceCapability": ("rpc 1 NodeServiceCapability.RPC|type",),
    "NodeServiceCapability.RPC": ("type 1 enum NodeServiceCapability.RPC.Type",),
    "NodeServiceCapability.RPC.Type": (
        "UNKNOWN = 0",
        "STAGE_UNSTAGE_VOLUME = 1",
        "GET_VOLUME_STATS = 2",
        "EXPAND_VOLUME = 3",
        "VOLUME_CONDITION = 4",
        "SINGLE_NODE_MULTI_WRITER = 5",
        "VOLUME_MOUNT_GROUP = 6",
    ),
    "NodeGetInfoRequest": (),
    "NodeGetInfoResponse": (
        "node_id 1 string",
        "max_volumes_per_node 2 int64",
        "accessible_topology 3 Topology",
    ),
    "NodeExpandVolumeRequest": (
        "volume_id 1 string",
        "volume_path 2 string",
        "capacity_range 3 CapacityRange",
        "staging_target_path 4 string",
        "volume_capability 5 VolumeCapability",
        "secrets 6 {}",
    ),
    "NodeExpandVolumeResponse": ("capacity_bytes 1 int64",),
}
