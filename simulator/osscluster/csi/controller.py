"""The controller service: volumes that exist by name only, and from 1.30.4 the FUSE Pods of the nodes.

Source: pkg/oss/controllerserver.go. Called from the thread that drives the timeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from osscluster.api.objects import ApiError
from osscluster.csi import endpoint, fusepods, naming, podspec, requestcheck
from osscluster.csi import options as volume
from osscluster.csi.context import Context
from osscluster.csi.fusepods import PodFailure
from osscluster.csi.mountoptions import mount_options
from osscluster.csi.podspec import FUSE_TYPE_LABEL, VOLUME_ID_LABEL, PodRequest
from osscluster.csi.profile import Architecture, ServiceAccountCheck
from osscluster.csi.proxynode import SOCKET_KEY
from osscluster.csi.rpc import (
    Code,
    ControllerPublishVolumeRequest,
    CreateVolumeRequest,
    CsiError,
    Volume,
)
from osscluster.timeline import Steps

__all__ = ["Controller"]

_LEGACY_NAMESPACE = "kube-system"
_RECLAIM_POLICY = "csi.alibabacloud.com/reclaimPolicy"


class Controller:
    """Implements `CsiController`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._profile = context.profile
        self._api = context.api

    @property
    def _creates_pods(self) -> bool:
        return self._profile.architecture is Architecture.POD_BY_CONTROLLER

    def capabilities(self) -> Sequence[str]:
        if self._creates_pods:
            return ("CREATE_DELETE_VOLUME", "PUBLISH_UNPUBLISH_VOLUME", "PUBLISH_READONLY")
        return ("CREATE_DELETE_VOLUME",)

    def create_volume(self, request: CreateVolumeRequest) -> Steps[Volume]:
        profile = self._profile
        requestcheck.required(profile, Name=request.name, VolumeCapabilities=request.capabilities)
        if not request.name:
            raise CsiError(Code.INVALID_ARGUMENT, "Volume name not provided")
        requestcheck.characters(profile, request.parameters)
        policy = request.parameters.get(_RECLAIM_POLICY, "Retain")
        if profile.reclaim_policy_checked and policy != "Retain":
            text = f'ReclaimPolicy must be Retain. The current reclaimPolicy is "{policy}"'
            raise CsiError(Code.INVALID_ARGUMENT, text)
        options = volume.parse(request.parameters, request.secrets, profile)
        if options.volume_as_subpath and profile.volume_as_subpath:
            options = volume.with_subpath(options, request.name)
        yield from ()
        return Volume(request.name, request.capacity, {**request.parameters, "path": options.path})

    def delete_volume(self, volume_id: str) -> Steps[None]:
        requestcheck.required(self._profile, VolumeId=volume_id)
        if self._profile.delete_looks_up_volume:
            try:
                self._api.get("PersistentVolume", volume_id)
            except ApiError as error:
                text = f"DeleteVolume: Get volume {volume_id} is failed, err: {error}"
                raise CsiError(Code.UNKNOWN, text) from error
        yield from ()

    def controller_publish_volume(self, request: ControllerPublishVolumeRequest) -> Steps[Mapping[str, str]]:
        requestcheck.required(
            self._profile, VolumeId=request.volume_id, NodeId=request.node_id, VolumeCapability=request.capability
        )
        if not self._creates_pods:
            return {}
        profile, context = self._profile, self._context
        options = volume.parse(
            request.volume_context,
            request.secrets,
            profile,
            capability=request.capability,
            readonly=request.readonly,
        )
        options = context.resolve_cnfs(options)
        if profile.node_looked_up:
            try:
                node = self._api.get("Node", request.node_id)
            except ApiError as error:
                text = f"failed to get node {request.node_id}: {error}"
                raise CsiError(Code.INVALID_ARGUMENT, text) from error
            if (node["metadata"].get("labels") or {}).get("type") == "virtual-kubelet":
                return {}
        volume.check(options, profile, profile.checks, on_node=False)
        surroundings = context.surroundings()
        if profile.options_built_by_controller:
            given = endpoint.rewritten(options.url, surroundings.region, profile, shared=True)
            flags = request.capability.mount_flags if request.capability is not None else ()
            mount_options(options, given, profile, surroundings, flags)
        rrsa = context.rrsa(options, surroundings)
        volume.refuse_unmodelled(options, profile)
        pod_request = PodRequest(
            node=request.node_id,
            volume_id=request.volume_id,
            target=naming.attach_path(request.volume_id),
            region=surroundings.region,
            rrsa=rrsa,
        )
        pod = podspec.fuse_pod(
            pod_request, profile, context.config, updated=surroundings.updated_ossfs, mime_on_host=False
        )
        labels = podspec.labels(pod_request, profile)
        try:
            if rrsa is not None and profile.service_account_check is ServiceAccountCheck.ANY:
                self._check_service_account(rrsa.service_account)
            launched = yield from fusepods.launch(self._api, pod, selector=labels)
        except (PodFailure, ApiError) as error:
            raise CsiError(Code.INTERNAL, f"failed to create ossfs pod: {error}") from error
        published = {SOCKET_KEY: naming.socket_path(request.volume_id)}
        if profile.pod_in_publish_context:
            metadata = launched["metadata"]
            published[profile.pod_in_publish_context] = f"{metadata['namespace']}/{metadata['name']}"
        return published

    def controller_unpublish_volume(self, volume_id: str, node_id: str) -> Steps[None]:
        requestcheck.required(self._profile, VolumeId=volume_id, NodeId=node_id)
        if not self._creates_pods:
            return
        profile = self._profile
        labels = {VOLUME_ID_LABEL: naming.volume_label(volume_id, hashed=profile.volume_label_hashed)}
        if profile.fuse_type_in_selector:
            labels[FUSE_TYPE_LABEL] = "ossfs"
        for namespace in (profile.fuse_namespace, _LEGACY_NAMESPACE):
            try:
                yield from fusepods.delete(self._api, namespace, labels, node_id)
            except (PodFailure, ApiError) as error:
                raise CsiError(Code.INTERNAL, str(error)) from error

    def _check_service_account(self, name: str) -> None:
        """Raises PodFailure. A Pod that waits already has passed it."""
        try:
            self._api.get("ServiceAccount", name, self._profile.fuse_namespace)
        except ApiError as error:
            raise PodFailure(f"check service account {name} for RRSA: {error}") from error
