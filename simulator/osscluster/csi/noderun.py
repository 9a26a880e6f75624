"""The node service of the releases that run ossfs on the node (1.24 to 1.26.5, 1.26.7 to 1.26.14).

A mount is a command for a daemon on the host, which runs it in a shell; what ossfs prints until it goes to the
background is in the error. Source: pkg/oss/nodeserver.go, build/lib/csiplugin-connector.go. Called from the thread that
drives the timeline.
"""

from __future__ import annotations

from collections.abc import Sequence

from osscluster.csi import endpoint, naming, requestcheck
from osscluster.csi import options as volume
from osscluster.csi.context import Context, NodeState
from osscluster.csi.installation import Installation
from osscluster.csi.launcher import Command
from osscluster.csi.mountoptions import connector_refusal, host_command
from osscluster.csi.mountpoint import MountFailure, MountPoints, error_text
from osscluster.csi.options import Options
from osscluster.csi.profile import Unpublish, UrlRule, Validator
from osscluster.csi.rpc import Code, CsiError, NodePublishVolumeRequest, NodeStageVolumeRequest
from osscluster.timeline import Steps, Wait
from osscluster.volume import MountFailed

__all__ = ["PASSWD_FILE", "NodeRunPlugin"]

PASSWD_FILE = "/etc/passwd-ossfs"

_REPLY_BYTES = 2048
_METADATA_SECONDS = 2.0
_SHARED_MOUNTS_OF_THE_LAST = 49  # IsLastSharedVol compares the character of the number of mounts with "1"


class NodeRunPlugin:
    """Implements `CsiNode`."""

    def __init__(self, context: Context, node: NodeState) -> None:
        self._context = context
        self._profile = context.profile
        self._node = node
        self._mounts = MountPoints(node.host, context.profile)
        self.installation = Installation(node.spec, node.host, context.profile)

    def capabilities(self) -> Sequence[str]:
        return ()

    def node_stage_volume(self, request: NodeStageVolumeRequest) -> Steps[None]:
        requestcheck.node_stage(self._profile, request)
        yield from ()

    def node_unstage_volume(self, volume_id: str, staging_target_path: str) -> Steps[None]:
        requestcheck.required(self._profile, VolumeId=volume_id, StagingTargetPath=staging_target_path)
        yield from ()

    def node_publish_volume(self, request: NodePublishVolumeRequest) -> Steps[None]:
        profile, node, target = self._profile, self._node, request.target_path
        self._context.timeline.synchronise()
        requestcheck.node_publish(profile, request)
        requestcheck.characters(profile, request.volume_context)
        requestcheck.path(profile, target)
        surroundings = self._context.surroundings(node)
        options = volume.parse(request.volume_context, request.secrets, profile)
        options = volume.completed(self._context.resolve_cnfs(options), profile, surroundings)
        volume.check(options, profile, profile.checks)
        if not target and profile.validator is not Validator.FIELDS:
            raise CsiError(Code.UNKNOWN, "mountPath is empty")
        if self._listed(target):
            return
        volume.refuse_unmodelled(options, profile)
        if options.auth_type != "sts":
            self._save_key(options)
        place = target
        if options.shared:
            place = self._global_mount(request.volume_id)
        if not options.shared or not self._listed(place):
            what = (
                "Create OSS volume fail: {}" if options.shared else "Mount is failed, with create path err: {}" + place
            )
            try:
                node.host.makedirs(place, 0o755)
            except OSError as error:
                raise CsiError(Code.UNKNOWN, what.format(error_text(error, "mkdir", place))) from error
            if profile.url_rule is UrlRule.ANYWHERE and not node.spec.metadata and not options.shared:
                yield Wait(seconds=_METADATA_SECONDS)
            url = endpoint.rewritten(options.url, surroundings.region, profile, shared=options.shared)
            yield from self._run(options, url, place, surroundings.role)
        if options.shared:
            try:
                node.host.makedirs(target, 0o755)
                self._mounts.bind(place, target)
            except (MountFailure, OSError) as error:
                raise CsiError(Code.UNKNOWN, f"Create oss volume fail: {error}") from error

    def node_unpublish_volume(self, volume_id: str, target_path: str) -> Steps[None]:
        yield from ()
        self._context.timeline.synchronise()
        requestcheck.required(self._profile, VolumeId=volume_id, TargetPath=target_path)
        requestcheck.path(self._profile, target_path)
        removes = self._profile.unpublish is not Unpublish.LEAVES_DIRECTORY
        if not self._is_mounted(target_path, by_stat=removes):
            if removes:
                self._remove(target_path)
            return
        if self._listed(self._global_mount(volume_id)):
            if self._shared_mounts(volume_id) == _SHARED_MOUNTS_OF_THE_LAST:
                self._umount(target_path, force=False)
                self._umount(self._global_mount(volume_id), force=True)
            else:
                self._umount(target_path, force=False)
        else:
            self._umount(target_path, force=True)
        if removes:
            if self._listed(target_path):
                raise CsiError(Code.INTERNAL, f"NodeUnpublishVolume: mount point mounted yet {target_path}")
            if self._node.host.root.listdir(target_path):
                text = f"NodeUnpublishVolume: is unmounted but still not empty yet {target_path}"
                raise CsiError(Code.INTERNAL, text)
            self._remove(target_path)

    # --- mounting ---

    def _listed(self, path: str) -> bool:
        """IsOssfsMounted: a line of mount(8) that has both in it."""
        return any(path in str(line) and "fuse.ossfs" in str(line) for line in self._node.host.mounts())

    def _is_mounted(self, path: str, *, by_stat: bool) -> bool:
        if by_stat:
            try:
                return self._mounts.is_mount(path)
            except OSError:
                # The real one looks into the mount table then.
                return self._listed(path)
        return self._listed(path)

    def _global_mount(self, volume_id: str) -> str:
        by_name, by_hash = naming.global_mount_paths(volume_id)
        try:
            self._node.host.root.stat(by_name)
        except FileNotFoundError:
            return by_hash
        except OSError:
            return by_name
        return by_name

    def _save_key(self, options: Options) -> None:
        """The bucket's line first, other lines of that bucket dropped (source: saveOssfsCredential)."""
        known = self._node.host.read_file(PASSWD_FILE) or ""
        kept = [line for line in known.split("\n") if line.count(":") == 2 and line.split(":")[0] != options.bucket]
        lines = [naming.passwd_line(options.bucket, options.key_id, options.key_secret), *kept]
        try:
            self._node.host.write_file(PASSWD_FILE, "\n".join(dict.fromkeys(lines)) + "\n", 0o640)
        except OSError as error:
            text = error_text(error, "open", PASSWD_FILE)
            raise CsiError(Code.UNKNOWN, f"Save ossfs ak is failed, err: {text}") from error

    def _run(self, options: Options, url: str, place: str, role: str) -> Steps[None]:
        command = host_command(options, url, place, role)
        refusal = connector_refusal(command, mountpoint_exists=True)
        if refusal:
            raise self._failed(command, f"Fail: {refusal}")
        broken = self.installation.failure()
        if broken is not None:
            raise self._shell_failed(command, *broken)
        try:
            yield from self._context.launcher.start(self._node.spec, self._node.host, self._command(command, place))
        except MountFailed as failed:
            said = f"{failed.message}\n" if failed.message else ""
            raise self._shell_failed(command, said, failed.returncode) from failed

    def _command(self, command: str, place: str) -> Command:
        words = command.removeprefix("systemd-run --scope -- /usr/local/bin/ossfs ").split()
        host = self._node.host
        return Command(
            source=words[0],
            mountpoint=place,
            options=_options(words[2:]),
            version=self._context.ossfs_version(self._node.config),
            passwd=host.read_file(PASSWD_FILE),
            mime_types=host.read_file("/etc/mime.types") or "",
        )

    def _shell_failed(self, command: str, said: str, status: int) -> CsiError:
        scope = "" if said.startswith("Failed to find executable") else "Running scope as unit run-10000.scope.\n"
        ran = f"Failed to run cmd: {command}, with out: {scope}{said}, with error: exit status {status}"
        return self._failed(command, f"Fail: {command}, error: {ran}")

    @staticmethod
    def _failed(command: str, reply: str) -> CsiError:
        """DoMountInHost: the connector's answer twice, of which 2048 bytes are read."""
        cut = reply.encode()[:_REPLY_BYTES].decode("utf-8", "ignore")
        text = f"Mount is failed in host, mntCmd:{command}, err: Exec command error:{cut}, out: {cut}"
        return CsiError(Code.UNKNOWN, text)

    # --- unmounting ---

    def _shared_mounts(self, volume_id: str) -> int:
        key = f"volumes/kubernetes.io~csi/{volume_id}/mount"
        return sum(key in str(line) and "fuse.ossfs" in str(line) for line in self._node.host.mounts())

    def _umount(self, path: str, *, force: bool) -> None:
        command = f"umount {'-f ' if force else ''}{path}"
        try:
            self._node.host.umount(path, flags="force" if force else "")
        except OSError as error:
            said = self._mounts.umount_says(error, path)
            raise CsiError(
                Code.UNKNOWN,
                f"Oss, Umount oss Fail: Failed to exec command:{command}, stdout:{said}, stderr:exit status 32",
            ) from error

    def _remove(self, path: str) -> None:
        try:
            self._node.host.root.rmdir(path)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            if gone and self._profile.unpublish is Unpublish.REMOVES_IF_THERE:
                return
            text = f"Could not remove mount point {path}: {error_text(error, 'remove', path)}"
            raise CsiError(Code.INTERNAL, text) from error


def _options(words: Sequence[str]) -> list[str]:
    """The options of a command line, one each; -s and -d stay words of their own."""
    found: list[str] = []
    wanted = False
    for word in words:
        if word == "-o":
            wanted = True
        elif wanted or (word.startswith("-o") and len(word) > 2):
            found += (word if wanted else word[2:]).split(",")
            wanted = False
        else:
            found.append(word)
    return found
