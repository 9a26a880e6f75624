"""The mount table, and how an entry is removed from it.

Reads /proc/self/mountinfo (proc(5)) and calls umount2(2), or fusermount(1) for an ordinary user. Any thread.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from osscluster import mounting

__all__ = ["MountEntry", "below", "is_mounted", "mounts", "mounts_below", "unmount"]


@dataclass(frozen=True, slots=True)
class MountEntry:
    """mountpoint: absolute path; fstype: for example "fuse.ossfs"; options: of the mount and of the file system;
    source: what is mounted, as it calls itself; device: "major:minor" of the file system, the same for its binds;
    root: the path inside the file system that is mounted here; number: the mount's id."""

    mountpoint: str
    fstype: str
    options: str
    source: str
    device: str
    root: str
    number: int

    @property
    def shown_options(self) -> str:
        """As mount(8) prints them: read-only when the mount or the file system is, what both say only once."""
        words = self.options.split(",")
        access = "ro" if "ro" in words else "rw"
        return ",".join([access, *dict.fromkeys(word for word in words if word not in ("ro", "rw"))])


def mounts(pid: int | None = None) -> list[MountEntry]:
    """Every mount that this process (or another one) sees, oldest first. Raises OSError when that one has gone."""
    found = []
    for line in Path(f"/proc/{pid or 'self'}/mountinfo").read_bytes().splitlines():
        fields = os.fsdecode(line).split(" ")
        tail = fields.index("-", 6)
        found.append(
            MountEntry(
                mountpoint=_plain(fields[4]),
                fstype=fields[tail + 1],
                options=f"{fields[5]},{fields[tail + 3]}",
                source=_plain(fields[tail + 2]),
                device=fields[2],
                root=_plain(fields[3]),
                number=int(fields[0]),
            )
        )
    return found


def below(path: str, directory: str) -> str | None:
    """The way from `directory` down to `path`, "" when they are the same; None when it is not at or below it."""
    if path == directory:
        return ""
    prefix = directory.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def mounts_below(directory: str) -> list[MountEntry]:
    """The mounts at or below an absolute path, innermost and youngest first: the order in which to unmount them."""
    inside = [e for e in mounts() if below(e.mountpoint, directory) is not None]
    inside.sort(key=lambda e: e.mountpoint.count("/"))
    return inside[::-1]


def is_mounted(mountpoint: str) -> bool:
    """Whether something is mounted exactly there. Asks the table only: no call that a dead mount could block."""
    return any(entry.mountpoint == mountpoint for entry in mounts())


def unmount(mountpoint: str, *, lazy: bool = False) -> None:
    """umount2(2); lazy: detach now, end when the last user has gone. Raises OSError: EBUSY, EINVAL (not a mount)."""
    if os.geteuid() == 0:
        mounting.unmount(mountpoint, mounting.DETACH if lazy else 0)
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
