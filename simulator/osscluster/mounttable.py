"""The mount table, and how an entry is removed from it.

Reads /proc/self/mountinfo (proc(5)) and calls umount2(2), or fusermount(1) for an ordinary user. Any thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MountEntry", "is_mounted", "mounts", "mounts_below", "unmount"]

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class MountEntry:
    """mountpoint: absolute path; fstype: for example "fuse.ossfs"; options: of the mount and of the file system."""

    mountpoint: str
    fstype: str
    options: str


def mounts() -> list[MountEntry]:
    """Every mount that this process sees, oldest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields = os.fsdecode(line).split(" ")
        tail = fields.index("-", 6)
        found.append(MountEntry(_plain(fields[4]), fields[tail + 1], f"{fields[5]},{fields[tail + 3]}"))
    return found


def mounts_below(directory: str) -> list[MountEntry]:
    """The mounts at or below an absolute path, innermost and youngest first: the order in which to unmount them."""
    inside = [e for e in mounts() if e.mountpoint == directory or e.mountpoint.startswith(directory.rstrip("/") + "/")]
    inside.sort(key=lambda e: e.mountpoint.count("/"))
    return inside[::-1]


def is_mounted(mountpoint: str) -> bool:
    """Whether something is mounted exactly there. Asks the table only: no call that a dead mount could block."""
    return any(entry.mountpoint == mountpoint for entry in mounts())


def unmount(mountpoint: str, *, lazy: bool = False) -> None:
    """umount2(2); lazy: detach now, end when the last user has gone. Raises OSError: EBUSY, EINVAL (not a mount)."""
    if os.geteuid() == 0:
        flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if lazy else 0)
        if _libc.umount2(os.fsencode(mountpoint), flags):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), mountpoint)
        return
    program = shutil.which("fusermount") or shutil.which("fusermount3") or "fusermount"
    command = [program, "-u", *(["-z"] if lazy else []), "--", mountpoint]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        code = errno.EBUSY if "busy" in done.stderr else errno.EINVAL
        raise OSError(code, done.stderr.strip() or os.strerror(code), mountpoint)


def _plain(field: str) -> str:
    # mountinfo writes blank, tab, newline and backslash as \ooo.
    if "\\" not in field:
        return field
    raw = re.sub(rb"\\([0-7]{3})", lambda m: bytes((int(m[1], 8),)), os.fsencode(field))
    return os.fsdecode(raw)
