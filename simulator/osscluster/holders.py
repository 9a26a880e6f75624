"""Who has files of a mount open, read from /proc: what lsof(8) answers for a mount point, without starting lsof.

No call here touches the mount itself, so a dead or stuck mount can be asked about. Any thread. Processes of other
users are seen by root only, as with lsof.
"""

from __future__ import annotations

import os
from pathlib import Path

from osscluster.volume import Holder

__all__ = ["holders_below"]

_DELETED = " (deleted)"


def holders_below(mountpoint: str) -> list[Holder]:
    """One entry for each process and file: open descriptors, current and root directory, executable, mapped files."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            pid = int(entry.name)
            try:
                paths = _paths_of(pid, mountpoint)
                if paths:
                    command, uid = _name_of(pid)
                    found += [Holder(path, pid, command, uid) for path in sorted(paths)]
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                # Gone in the meantime, or another user's.
                continue
    return sorted(found, key=lambda holder: (holder.path, holder.pid))


def _paths_of(pid: int, mountpoint: str) -> set[str]:
    links = [f"/proc/{pid}/{name}" for name in ("cwd", "root", "exe")]
    links += [entry.path for entry in os.scandir(f"/proc/{pid}/fd")]
    found: set[str] = set()
    for link in links:
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue
        _collect(target, mountpoint, found)
    maps = Path(f"/proc/{pid}/maps").read_bytes()
    if os.fsencode(mountpoint) in maps:
        for line in maps.splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6:
                _collect(os.fsdecode(fields[5]), mountpoint, found)
    return found


def _collect(target: str, mountpoint: str, found: set[str]) -> None:
    path = target.removesuffix(_DELETED)
    if path == mountpoint:
        found.add("")
    elif path.startswith(mountpoint + "/"):
        found.add(path[len(mountpoint) + 1 :])


def _name_of(pid: int) -> tuple[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return fields["Name"].strip(), int(fields["Uid"].split()[0])
