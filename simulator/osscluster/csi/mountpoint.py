"""Mount points as the driver sees them: whether a path is one, whether it is dead, how it is unmounted and removed.

Source: k8s.io/mount-utils, mount_linux.go and mount_helper_common.go, in the versions that the driver vendors. `umount
-f` of CleanupMountWithForce follows only an umount that hangs for a minute, which no simulated one does: a busy mount
is refused at once. Called from the thread that drives the timeline.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from osscluster.csi.profile import CsiProfile
from osscluster.csi.rpc import Code, CsiError
from osscluster.host import NodeHost
from osscluster.mountutils import MountUtils, UnmountFailed

__all__ = ["MountFailure", "MountPoints", "error_text"]

_UMOUNT_WORDS = {
    errno.EBUSY: "target is busy.",
    errno.EINVAL: "not mounted.",
    errno.ENOENT: "no mount point specified.",
}


class MountFailure(Exception):
    """mount(8) or umount(8) failed. str() is what mount-utils makes of it."""


def error_text(error: OSError, call: str, path: str) -> str:
    """As Go prints a PathError: "stat /p: transport endpoint is not connected"."""
    text = os.strerror(error.errno or errno.EIO)
    return f"{call} {path}: {text[:1].lower()}{text[1:]}"


@dataclass(frozen=True, slots=True)
class MountPoints:
    """The mount points of one node."""

    host: NodeHost
    profile: CsiProfile

    def listed(self, path: str) -> bool:
        """Whether the mount table has it."""
        return self._utils.is_mounted(path)

    def is_mount(self, path: str, *, extensive: bool = False) -> bool:
        """IsLikelyNotMountPoint, the other way round. extensive: IsNotMountPoint, which asks the mount table where
        stat(2) is refused. Raises OSError: what stat(2) said."""
        try:
            self.host.root.stat(path)
        except PermissionError:
            if not extensive:
                raise
        return self.listed(path)

    def dead(self, error: OSError) -> bool:
        """IsCorruptedMnt."""
        return self._utils.is_corrupted(error)

    def make_ready(self, path: str, *, extensive: bool, repair: bool = True) -> bool:
        """Whether `path` is mounted already; makes the directory where there is none, and unmounts a dead mount where
        `repair`. Raises CsiError (source: isNotMountPoint of pkg/oss)."""
        try:
            mounted = self.is_mount(path, extensive=extensive)
        except FileNotFoundError:
            self.makedirs(path)
            return False
        except OSError as error:
            if not (repair and self.dead(error)):
                said = error_text(error, "stat", path)
                text = f"check mountpoint: {said}" if self.profile.volume_locked else said
                raise CsiError(Code.INTERNAL, text) from error
            self.unmount_dead(path, "corrupted")
            return False
        if mounted and repair and self.profile.unserviced_mount_repaired:
            try:
                self.host.root.statvfs(path)
            except OSError as error:
                if self.dead(error):
                    self.unmount_dead(path, "unserviced")
                    return False
        return mounted

    def makedirs(self, path: str) -> None:
        """Raises CsiError, with mkdir's text."""
        try:
            self.host.makedirs(path, 0o755)
        except OSError as error:
            said = error_text(error, "mkdir", path)
            text = f"mkdir: {said}" if self.profile.volume_locked else said
            raise CsiError(Code.INTERNAL, text) from error

    def unmount_dead(self, path: str, word: str) -> None:
        """Raises CsiError."""
        try:
            self.unmount(path)
        except MountFailure as failure:
            raise CsiError(Code.INTERNAL, f"umount {word} mountpoint {path}: {failure}") from failure

    def unmount(self, path: str) -> None:
        """umount(8). Raises MountFailure."""
        try:
            self._utils.umount(path)
        except UnmountFailed as failed:
            raise MountFailure(str(failed)) from failed

    @staticmethod
    def umount_says(error: OSError, path: str) -> str:
        """What umount(8) prints."""
        said = _UMOUNT_WORDS.get(error.errno or 0, f"{os.strerror(error.errno or 0)}.")
        return f"umount: {path}: {said}\n"

    def bind(self, source: str, target: str) -> None:
        """mount -o bind. Raises MountFailure."""
        try:
            self.host.bind(source, target)
        except OSError as error:
            said = os.strerror(error.errno or errno.EIO)
            raise MountFailure(
                "mount failed: exit status 32\nMounting command: mount\n"
                f"Mounting arguments: -o bind {source} {target}\nOutput: mount: {target}: {said}.\n"
            ) from error

    def clean_up(self, path: str) -> None:
        """CleanupMountPoint: unmounts and removes the directory. A path that stat(2) does not find is no error, even
        where it is a mount. Raises MountFailure."""
        try:
            self._utils.cleanup(path)
        except FileNotFoundError:
            return
        except UnmountFailed as failed:
            raise MountFailure(str(failed)) from failed
        except OSError as error:
            call = "remove" if error.errno in (errno.EBUSY, errno.ENOTEMPTY) else "stat"
            text = error_text(error, call, path)
            raise MountFailure(f"Error checking path: {text}" if call == "stat" else text) from error

    @property
    def _utils(self) -> MountUtils:
        return MountUtils(self.host, self.profile.corrupted, self.profile.stale_paths_found)
