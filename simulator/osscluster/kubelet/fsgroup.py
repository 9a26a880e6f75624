"""The fsGroup walk: when kubelet changes the owner and mode of everything in a volume, and how.

Source: pkg/volume/csi/csi_mounter.go (supportsFSGroup), pkg/volume/volume_linux.go (SetVolumeOwnership). Pure but for
the system calls, which it is handed.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from osscluster.kubelet.profile import KubernetesProfile
from osscluster.volume import Stat, Syscalls

__all__ = ["FsGroupRequest", "FsGroupWalk", "applies"]

_FILE_BITS = 0o660
_DIRECTORY_BITS = stat.S_ISGID | 0o110


@dataclass(frozen=True, slots=True)
class FsGroupRequest:
    """What decides whether a walk happens. policy: CSIDriver.spec.fsGroupPolicy; fs_type: PV.spec.csi.fsType."""

    fs_group: int | None
    read_only: bool
    fs_type: str
    access_modes: Sequence[str]
    policy: Literal["None", "File", "ReadWriteOnceWithFSType"] = "ReadWriteOnceWithFSType"


def applies(request: FsGroupRequest) -> bool:
    """Whether kubelet walks (the OSS driver leaves the policy at its default: a file system type and ReadWriteOnce)."""
    if request.fs_group is None or request.read_only or request.policy == "None":
        return False
    if request.policy == "File":
        return True
    return bool(request.fs_type) and "ReadWriteOnce" in request.access_modes


@dataclass(slots=True)
class FsGroupWalk:
    """One walk. entries, refused: how many were looked at, how many chown or chmod calls failed (they are only
    logged: the volume is mounted all the same)."""

    root: Syscalls
    profile: KubernetesProfile
    fs_group: int
    entries: int = 0
    refused: int = 0

    def run(self, path: str, change_policy: str) -> bool:
        """Walks the tree at a node path; False when OnRootMismatch found nothing to do. Raises OSError when an entry
        can't be looked at or a directory not be listed."""
        if change_policy == "OnRootMismatch" and self.profile.root_mismatch and self._matches(self.root.lstat(path)):
            return False
        self._visit(path, self.root.lstat(path))
        return True

    def _matches(self, seen: Stat) -> bool:
        return seen.gid == self.fs_group and bool(seen.mode & stat.S_ISGID) and seen.mode & 0o770 == 0o770

    def _visit(self, path: str, seen: Stat) -> None:
        self.entries += 1
        directory = stat.S_ISDIR(seen.mode)
        if not self.profile.walk_children_first:
            self._change(path, seen)
        if directory:
            for entry in sorted(self.root.listdir(path), key=lambda entry: entry.name):
                inner = f"{path}/{entry.name}"
                self._visit(inner, self.root.lstat(inner))
        if self.profile.walk_children_first:
            self._change(path, seen)

    def _change(self, path: str, seen: Stat) -> None:
        link = stat.S_ISLNK(seen.mode)
        if link and not self.profile.walk_children_first:
            return
        bits = _FILE_BITS | (_DIRECTORY_BITS if stat.S_ISDIR(seen.mode) else 0)
        try:
            self.root.lchown(path, seen.uid, self.fs_group)
        except OSError:
            self.refused += 1
        if link:
            return
        try:
            self.root.chmod(path, stat.S_IMODE(seen.mode) | bits)
        except OSError:
            self.refused += 1
