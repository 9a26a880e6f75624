"""What kubelet and the CSI driver share of Kubernetes' mount-utils: whether a path is there, whether it is a mount,
and how a mount point is cleaned up. Source: k8s.io/mount-utils, mount_helper_common.go and mount_helper_unix.go.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Set
from dataclasses import dataclass

from osscluster.host import NodeHost

__all__ = ["MountUtils", "UnmountFailed"]


class UnmountFailed(Exception):
    """umount(8) failed. str() is the text that mount-utils makes of it."""


@dataclass(frozen=True, slots=True)
class MountUtils:
    """corrupted: errno of stat(2) that tell a dead mount; stale: whether a path that only access(2) finds counts as
    ESTALE."""

    host: NodeHost
    corrupted: Set[int]
    stale: bool

    def exists(self, path: str) -> bool:
        """Raises OSError with what stat(2) said but for ENOENT."""
        try:
            self.host.root.stat(path)
        except FileNotFoundError:
            if self.stale and self.is_mounted(path) and self.host.root.access(path, os.F_OK):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path) from None
            return False
        return True

    def is_mounted(self, path: str) -> bool:
        """By the mount table, which no dead mount can block."""
        return any(line.target == path for line in self.host.mounts())

    def is_corrupted(self, error: OSError) -> bool:
        """IsCorruptedMnt."""
        return error.errno in self.corrupted

    def cleanup(self, path: str, *, force: bool = False, note: Callable[[str], None] = lambda text: None) -> None:
        """CleanupMountPoint: unmounts and removes. A path that is not there is no error, even where it is a mount.
        force: `umount -f` where the target is busy (the real one waits a minute first). note: told what is logged.
        Raises UnmountFailed, OSError (what stat(2) or rmdir(2) said)."""
        try:
            if not self.exists(path):
                note(f"Warning: mount cleanup skipped because path does not exist: {path}")
                return
            dead = False
        except OSError as error:
            if not self.is_corrupted(error):
                raise
            dead = True
        if not dead and not self.is_mounted(path):
            self.host.root.rmdir(path)
            return
        self.umount(path, force=force)
        if self.is_mounted(path):
            raise UnmountFailed(f"failed to unmount {path}: it is a mount point yet")
        self.host.root.rmdir(path)

    def umount(self, path: str, *, force: bool = False) -> None:
        """Raises UnmountFailed with the text around umount(8)'s own."""
        try:
            self.host.umount(path)
        except OSError as error:
            if force and error.errno == errno.EBUSY:
                self.host.umount(path, flags="force")
                return
            said = {errno.EBUSY: "target is busy.", errno.EINVAL: "not mounted."}.get(
                error.errno or 0, os.strerror(error.errno or 0)
            )
            raise UnmountFailed(
                f"unmount failed: exit status 32\nUnmounting arguments: {path}\nOutput: umount: {path}: {said}\n"
            ) from error
