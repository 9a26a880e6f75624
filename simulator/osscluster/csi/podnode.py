"""The node service of the releases whose node plugin creates FUSE Pods in kube-system (1.26.6, 1.28.1 to 1.30.3).

Source: pkg/oss/nodeserver.go, pkg/mounter/fuse_containerized_mounter.go, pkg/mounter/ossfs.go. Called from the thread
that drives the timeline.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from osscluster.api.objects import ApiError
from osscluster.csi import endpoint, fusepods, naming, podspec, requestcheck
from osscluster.csi import options as volume
from osscluster.csi.context import DEFAULT_ACCOUNT, Context, NodeState
from osscluster.csi.fusepods import PodFailure
from osscluster.csi.mountoptions import mount_options, with_defaults
from osscluster.csi.mountpoint import MountFailure, MountPoints, error_text
from osscluster.csi.options import CREDENTIAL_SECRET, Options, Surroundings
from osscluster.csi.podspec import PodRequest, Rrsa
from osscluster.csi.profile import Check, ServiceAccountCheck, Unpublish
from osscluster.csi.rpc import Code, CsiError, NodePublishVolumeRequest, NodeStageVolumeRequest
from osscluster.timeline import Steps

__all__ = ["PodNodePlugin"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A mount that is asked for. options: with the url as ossfs gets it; flags: PV.spec.mountOptions."""

    volume_id: str
    options: Options
    flags: Sequence[str]
    surroundings: Surroundings
    rrsa: Rrsa | None


class PodNodePlugin:
    """Implements `CsiNode`."""

    def __init__(self, context: Context, node: NodeState) -> None:
        self._context = context
        self._profile = context.profile
        self._api = context.api
        self._node = node
        self._mounts = MountPoints(node.host, context.profile)
        self._shared_locks: set[str] = set()

    def capabilities(self) -> Sequence[str]:
        return ("STAGE_UNSTAGE_VOLUME",)

    def node_stage_volume(self, request: NodeStageVolumeRequest) -> Steps[None]:
        requestcheck.node_stage(self._profile, request)
        yield from ()

    def node_unstage_volume(self, volume_id: str, staging_target_path: str) -> Steps[None]:
        self._context.timeline.synchronise()
        requestcheck.required(self._profile, VolumeId=volume_id, StagingTargetPath=staging_target_path)
        yield from self._clean_up(volume_id, self._global_mount(volume_id))
        try:
            self._forget_key(volume_id)
        except ApiError as error:
            raise CsiError(Code.INTERNAL, f"failed to cleanup ossfs credential secret: {error}") from error

    def node_publish_volume(self, request: NodePublishVolumeRequest) -> Steps[None]:
        profile, target = self._profile, request.target_path
        self._context.timeline.synchronise()
        requestcheck.node_publish(profile, request)
        requestcheck.characters(profile, request.volume_context)
        requestcheck.path(profile, target)
        surroundings = self._context.surroundings(self._node)
        options = volume.parse(
            request.volume_context,
            request.secrets,
            profile,
            capability=request.capability,
            readonly=request.readonly,
        )
        options = volume.completed(self._context.resolve_cnfs(options), profile, surroundings)
        fuse_type = Check.FUSE_TYPE
        volume.check(options, profile, tuple(one for one in profile.checks if one is not fuse_type))
        rrsa = self._context.rrsa(options, surroundings)
        volume.check(options, profile, (fuse_type,))
        volume.refuse_unmodelled(options, profile)
        if self._mounts.make_ready(target, extensive=True, repair=False):
            return
        key = options.uses_key
        if key:
            try:
                self._save_key(request.volume_id, options)
            except ApiError as error:
                raise CsiError(Code.INTERNAL, f"failed to setup ossfs credential secret: {error}") from error
        flags = request.capability.mount_flags if request.capability is not None else ()
        url = endpoint.rewritten(options.url, surroundings.region, profile, shared=options.shared)
        wanted = _Wanted(request.volume_id, dataclasses.replace(options, url=url), flags, surroundings, rrsa)
        if not options.shared:
            yield from self._mount(target, wanted)
            return
        shared = self._global_mount(request.volume_id)
        if not self._mounts.make_ready(shared, extensive=False, repair=profile.globalmount_repaired):
            if request.volume_id in self._shared_locks:
                text = f"NodePublishVolume operation on shared path of volume {request.volume_id} already exists"
                raise CsiError(Code.ABORTED, text)
            self._shared_locks.add(request.volume_id)
            try:
                yield from self._mount(shared, wanted)
            finally:
                self._shared_locks.discard(request.volume_id)
        try:
            self._mounts.bind(shared, target)
        except MountFailure as failure:
            raise CsiError(Code.UNKNOWN, f"Create oss volume fail: {failure}") from failure

    def node_unpublish_volume(self, volume_id: str, target_path: str) -> Steps[None]:
        self._context.timeline.synchronise()
        requestcheck.required(self._profile, VolumeId=volume_id, TargetPath=target_path)
        requestcheck.path(self._profile, target_path)
        yield from self._clean_up(volume_id, target_path)

    # --- mounts ---

    def _global_mount(self, volume_id: str) -> str:
        by_name, by_hash = naming.global_mount_paths(volume_id)
        try:
            self._node.host.root.stat(by_name)
        except FileNotFoundError:
            return by_hash
        except OSError:
            return by_name
        return by_name

    def _mount(self, target: str, wanted: _Wanted) -> Steps[None]:
        """doMount: a FUSE Pod, and its mount. Raises CsiError."""
        options = wanted.options
        given = mount_options(options, options.url, self._profile, wanted.surroundings, wanted.flags)
        try:
            yield from self._launch(target, wanted, given)
            if not self._mounts.is_mount(target):
                raise PodFailure("fuse pod launched but target still not mounted")
        except (PodFailure, ApiError) as error:
            raise CsiError(Code.INTERNAL, f"failed to mount: {error}") from error
        except OSError as error:
            raise CsiError(Code.INTERNAL, f"failed to mount: {error_text(error, 'stat', target)}") from error

    def _launch(self, target: str, wanted: _Wanted, given: Sequence[str]) -> Steps[None]:
        options, surroundings, rrsa = wanted.options, wanted.surroundings, wanted.rrsa
        profile, config = self._profile, self._node.config
        checked = profile.service_account_check is ServiceAccountCheck.DEFAULT_ONLY
        if rrsa is not None and checked and rrsa.service_account == DEFAULT_ACCOUNT:
            try:
                self._api.get("ServiceAccount", rrsa.service_account, profile.fuse_namespace)
            except ApiError as error:
                raise PodFailure(f"check service account {rrsa.service_account} for RRSA: {error}") from error
        if config.refused_level:
            raise PodFailure(f'invalid ossfs dbglevel: "{config.refused_level}"')
        request = PodRequest(
            node=self._node.spec.name,
            volume_id=wanted.volume_id,
            target=target,
            region=surroundings.region,
            rrsa=rrsa,
            source=f"{options.bucket}:{options.path}",
            options=with_defaults(given, profile, surroundings, config),
            key=options.uses_key,
        )
        pod = podspec.fuse_pod(
            request,
            profile,
            config,
            updated=surroundings.updated_ossfs,
            mime_on_host=surroundings.host_mime_types,
        )
        labels = podspec.labels(request, profile)
        yield from fusepods.launch(self._api, pod, selector=labels, atomic=not options.shared)
        # The Pod's ossfs may have been started at a later time than this call.
        self._context.timeline.synchronise()

    def _clean_up(self, volume_id: str, path: str) -> Steps[None]:
        """Unmounts, removes the directory and deletes the FUSE Pod that mounts there. Raises CsiError."""
        failure: Exception | None = None
        try:
            self._mounts.clean_up(path)
        except MountFailure as error:
            failure = error
        if failure is None or self._profile.unpublish is Unpublish.CLEANUP_AND_POD:
            request = PodRequest(node=self._node.spec.name, volume_id=volume_id, target=path, region="")
            labels = podspec.labels(request, self._profile)
            namespace = self._profile.fuse_namespace
            try:
                yield from fusepods.delete(self._api, namespace, labels, self._node.spec.name, target=path, wait=False)
            except ApiError as error:
                failure = failure or PodFailure(f"cleanup fuse pods: {error}")
        if failure is not None:
            raise CsiError(Code.INTERNAL, f'failed to unmount target "{path}": {failure}') from failure

    # --- the Secret of the FUSE Pods ---

    def _save_key(self, volume_id: str, options: Options) -> None:
        """Raises ApiError."""
        namespace = self._profile.fuse_namespace
        name = naming.credential_key(self._node.spec.name, volume_id)
        line = naming.passwd_line(options.bucket, options.key_id, options.key_secret)
        value = base64.b64encode(line.encode()).decode()
        found = self._api.find("Secret", CREDENTIAL_SECRET, namespace)
        if found is None:
            metadata = {"name": CREDENTIAL_SECRET, "namespace": namespace}
            self._api.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {name: value}})
        elif (found.get("data") or {}).get(name) != value:
            self._api.update({**found, "data": {**(found.get("data") or {}), name: value}})

    def _forget_key(self, volume_id: str) -> None:
        name = naming.credential_key(self._node.spec.name, volume_id)
        found = self._api.find("Secret", CREDENTIAL_SECRET, self._profile.fuse_namespace)
        if found is not None and name in (found.get("data") or {}):
            left = {key: value for key, value in found["data"].items() if key != name}
            self._api.update({**found, "data": left})
