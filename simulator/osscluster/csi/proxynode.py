"""The node service of the releases whose FUSE Pods the controller creates (from 1.30.4): it asks the Pod's mount
server.

Source: pkg/oss/nodeserver.go, pkg/mounter/proxy_mounter.go. Called from the thread that drives the timeline.
"""

from __future__ import annotations

from collections.abc import Sequence

from osscluster.api.objects import ApiError
from osscluster.csi import endpoint, naming, requestcheck
from osscluster.csi import options as volume
from osscluster.csi.context import Context, NodeState
from osscluster.csi.mountoptions import mount_options, with_defaults
from osscluster.csi.mountpoint import MountFailure, MountPoints
from osscluster.csi.mountserver import SOCKETS, MountRequest, MountServer
from osscluster.csi.options import CREDENTIAL_SECRET, Options
from osscluster.csi.profile import Check, PublishOrder
from osscluster.csi.rpc import Code, CsiError, NodePublishVolumeRequest, NodeStageVolumeRequest
from osscluster.timeline import Job, Steps, Wait

__all__ = ["SOCKET_KEY", "ProxyNodePlugin"]

SOCKET_KEY = "mountPorxySocket"
"""Of the publish context; the misspelling is the driver's."""

_LEGACY_NAMESPACE = "kube-system"
_CREDENTIAL_CHECKS = (Check.ASSUME_ROLE, Check.CREDENTIALS, Check.KEY)


class ProxyNodePlugin:
    """Implements `CsiNode`."""

    def __init__(self, context: Context, node: NodeState) -> None:
        self._context = context
        self._profile = context.profile
        self._node = node
        self._mounts = MountPoints(node.host, context.profile)
        self._locks: set[str] = set()

    def capabilities(self) -> Sequence[str]:
        return ("STAGE_UNSTAGE_VOLUME",)

    def node_stage_volume(self, request: NodeStageVolumeRequest) -> Steps[None]:
        requestcheck.node_stage(self._profile, request)
        yield from ()

    def node_unstage_volume(self, volume_id: str, staging_target_path: str) -> Steps[None]:
        requestcheck.required(self._profile, VolumeId=volume_id, StagingTargetPath=staging_target_path)
        with self._lock(volume_id):
            self._context.timeline.synchronise()
            self._clean_up(naming.attach_path(volume_id))
            # Where a release with FUSE Pods in kube-system has mounted.
            self._clean_up(staging_target_path)
            try:
                self._forget_key(volume_id)
            except ApiError as error:
                raise CsiError(Code.INTERNAL, f"failed to cleanup ossfs credential secret: {error}") from error
        yield from ()

    def node_publish_volume(self, request: NodePublishVolumeRequest) -> Steps[None]:
        profile, target = self._profile, request.target_path
        requestcheck.node_publish(profile, request)
        with self._lock(request.volume_id):
            self._context.timeline.synchronise()
            requestcheck.characters(profile, request.volume_context)
            requestcheck.path(profile, target)
            options = self._options(request)
            if profile.publish_order is PublishOrder.CREDENTIALS_FIRST:
                self._socket(request)
                volume.check(options, profile, _CREDENTIAL_CHECKS)
                if self._mounts.make_ready(target, extensive=profile.target_looked_up):
                    return
                rest = tuple(one for one in profile.checks if one not in _CREDENTIAL_CHECKS)
                volume.check(options, profile, rest)
            else:
                if self._mounts.make_ready(target, extensive=profile.target_looked_up):
                    return
                options = self._context.resolve_cnfs(options)
                volume.check(options, profile, profile.checks)
            yield from self._mount_and_bind(request, options)

    def node_unpublish_volume(self, volume_id: str, target_path: str) -> Steps[None]:
        requestcheck.required(self._profile, VolumeId=volume_id, TargetPath=target_path)
        with self._lock(volume_id):
            self._context.timeline.synchronise()
            requestcheck.path(self._profile, target_path)
            self._clean_up(target_path)
        yield from ()

    # --- steps ---

    def _lock(self, volume_id: str) -> _Lock:
        return _Lock(self._locks, volume_id)

    def _options(self, request: NodePublishVolumeRequest) -> Options:
        options = volume.parse(
            request.volume_context,
            request.secrets,
            self._profile,
            capability=request.capability,
            readonly=request.readonly,
        )
        if self._profile.publish_order is PublishOrder.CREDENTIALS_FIRST:
            options = self._context.resolve_cnfs(options)
        return volume.completed(options, self._profile, self._context.surroundings(self._node))

    def _socket(self, request: NodePublishVolumeRequest) -> str:
        socket = request.publish_context.get(SOCKET_KEY, "")
        if not socket:
            raise CsiError(Code.INVALID_ARGUMENT, self._profile.socket_missing)
        return socket

    def _mount_and_bind(self, request: NodePublishVolumeRequest, options: Options) -> Steps[None]:
        profile, context = self._profile, self._context
        surroundings = context.surroundings(self._node)
        context.rrsa(options, surroundings)
        url = endpoint.rewritten(options.url, surroundings.region, profile, shared=True)
        flags = request.capability.mount_flags if request.capability is not None else ()
        given = mount_options(options, url, profile, surroundings, flags)
        given = with_defaults(given, profile, surroundings, self._node.config)
        socket = self._socket(request)
        volume.refuse_unmodelled(options, profile)
        attached = naming.attach_path(request.volume_id)
        if not self._mounts.make_ready(attached, extensive=False):
            passwd = ""
            if options.uses_key:
                passwd = naming.passwd_line(options.bucket, options.key_id, options.key_secret)
            source = f"{options.bucket}:{options.path}"
            yield from self._proxy_mount(socket, MountRequest(source, attached, given, passwd))
        try:
            self._mounts.bind(attached, request.target_path)
        except MountFailure as failure:
            raise CsiError(Code.INTERNAL, f"bind mount failed: {failure}") from failure

    def _proxy_mount(self, socket: str, request: MountRequest) -> Steps[None]:
        try:
            server: MountServer = SOCKETS.dial(self._node.host, socket)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            said = "no such file or directory" if isinstance(error, FileNotFoundError) else "connection refused"
            text = f"call mounter daemon: dial unix: dial unix {socket}: connect: {said}"
            raise CsiError(Code.INTERNAL, text) from error
        job: Job[str] = self._context.timeline.spawn("mount", server.mount(request), loud=True)
        if not (yield Wait(lambda: job.done, self._profile.proxy_timeout)) or not job.done:
            raise CsiError(Code.INTERNAL, "call mounter daemon: timeout waiting fd")
        said = job.result()
        if said:
            raise CsiError(Code.INTERNAL, f"failed to mount: {said}")
        self._context.timeline.synchronise()
        if not self._mounts.listed(request.target):
            raise CsiError(Code.INTERNAL, "failed to mount")

    def _clean_up(self, path: str) -> None:
        try:
            self._mounts.clean_up(path)
        except MountFailure as failure:
            raise CsiError(Code.INTERNAL, f'failed to unmount target "{path}": {failure}') from failure

    def _forget_key(self, volume_id: str) -> None:
        name = naming.credential_key(self._node.spec.name, volume_id)
        found = self._context.api.find("Secret", CREDENTIAL_SECRET, _LEGACY_NAMESPACE)
        if found is None or name not in (found.get("data") or {}):
            return
        left = {key: value for key, value in found["data"].items() if key != name}
        self._context.api.update({**found, "data": left})


class _Lock:
    """One call a volume at a time. Raises CsiError for a second one."""

    def __init__(self, held: set[str], volume_id: str) -> None:
        self._held = held
        self._volume_id = volume_id

    def __enter__(self) -> None:
        if self._volume_id in self._held:
            raise CsiError(Code.ABORTED, f"There is already an operation for {self._volume_id}")
        self._held.add(self._volume_id)

    def __exit__(self, *_: object) -> None:
        self._held.discard(self._volume_id)
