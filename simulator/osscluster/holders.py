"""Who has files of a mount open, read from /proc: what lsof(8) answers for a mount point, without starting lsof.

A file is recognised by its file system and its path inside that, so it doesn't matter through which bind mount, or in
which mount namespace, a process has opened it. No call here touches the mount itself, so a dead or stuck mount can be
asked about. Any thread. Processes of other users are seen by root only, as with lsof.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from osscluster import mounttable
from osscluster.mounttable import MountEntry, below
from osscluster.volume import Holder

__all__ = ["covering", "holders_below", "lazily_unmounted_in_use"]

_DELETED = " (deleted)"


def holders_below(place: str) -> list[Holder]:
    """One entry for each process and file at or below an absolute path: open descriptors, current and root directory,
    executable, mapped files. `Holder.path` is relative to `place`."""
    search = _Search(place)
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            pid = int(entry.name)
            try:
                paths = search.paths_of(pid)
                if paths:
                    command, uid = _name_of(pid)
                    found += [Holder(path, pid, command, uid) for path in sorted(paths)]
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                # Gone in the meantime, or another user's.
                continue
    return sorted(found, key=lambda holder: (holder.path, holder.pid))


def covering(table: Sequence[MountEntry], path: str) -> MountEntry | None:
    """The mount that an absolute path leads into."""
    return max(
        (entry for entry in reversed(table) if below(path, entry.mountpoint) is not None),
        key=lambda entry: len(entry.mountpoint),
        default=None,
    )


def lazily_unmounted_in_use() -> bool:
    """Whether some process has a file open on a mount that is in no mount table any more."""
    tables: dict[str, set[int]] = {}
    for entry in list(os.scandir("/proc")):
        if entry.name.isdigit():
            try:
                if _has_detached(int(entry.name), tables):
                    return True
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return False


def _has_detached(pid: int, tables: dict[str, set[int]]) -> bool:
    namespace = os.readlink(f"/proc/{pid}/ns/mnt")
    for entry in list(os.scandir(f"/proc/{pid}/fd")):
        path = os.readlink(entry.path)
        if not path.startswith("/") or path.startswith(("/memfd:", "/dev/", "/SYSV")):
            continue
        info = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text(encoding="ascii", errors="replace")
        number = next(int(line.split()[1]) for line in info.splitlines() if line.startswith("mnt_id:"))
        if namespace not in tables:
            tables[namespace] = {mount.number for mount in mounttable.mounts(pid)}
        if number not in tables[namespace]:
            return True
    return False


class _Search:
    def __init__(self, place: str) -> None:
        self._place = place
        self._namespace = os.readlink("/proc/self/ns/mnt")
        self._table = mounttable.mounts()
        self._tables = {self._namespace: self._table}
        self._targets = list(self._find_targets())

    def _find_targets(self) -> Iterator[tuple[str, str, str]]:
        """File systems at or below the place: device, path inside it, way from the place to there."""
        for entry in reversed(self._table):
            way = below(entry.mountpoint, self._place)
            if way is not None:
                yield entry.device, entry.root, way
        above = covering(self._table, self._place)
        if above is not None and above.mountpoint != self._place:
            yield above.device, _join(above.root, below(self._place, above.mountpoint) or ""), ""

    def paths_of(self, pid: int) -> set[str]:
        namespace = os.readlink(f"/proc/{pid}/ns/mnt")
        links = [f"/proc/{pid}/{name}" for name in ("cwd", "root", "exe")]
        links += [entry.path for entry in os.scandir(f"/proc/{pid}/fd")]
        seen = set()
        for link in links:
            try:
                seen.add(os.readlink(link))
            except FileNotFoundError:
                continue
        for line in Path(f"/proc/{pid}/maps").read_bytes().splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6:
                seen.add(os.fsdecode(fields[5]))
        paths = (path.removesuffix(_DELETED) for path in seen if path.startswith("/"))
        ways = (self._way_to(path, pid, namespace) for path in paths)
        return {way for way in ways if way is not None}

    def _way_to(self, path: str, pid: int, namespace: str) -> str | None:
        if namespace == self._namespace and (way := below(path, self._place)) is not None:
            return way
        table = self._tables.get(namespace)
        if table is None:
            table = self._tables[namespace] = mounttable.mounts(pid)
        entry = covering(table, path)
        if entry is None:
            return None
        inside = _join(entry.root, below(path, entry.mountpoint) or "")
        for device, root, way in self._targets:
            rest = below(inside, root) if device == entry.device else None
            if rest is not None:
                return _join(way, rest) if way else rest
        return None


def _join(path: str, rest: str) -> str:
    return f"{path.rstrip('/')}/{rest}" if rest else path


def _name_of(pid: int) -> tuple[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return fields["Name"].strip(), int(fields["Uid"].split()[0])
