"""A mount namespace of the direct engine: which file system a path leads into, and what is mounted where.

Each `Mount` has the mount below it as its parent, so that stacked and hidden mounts behave as the kernel's. A path is
walked as it is written: "." and ".." are taken out first, and a symbolic link that leaves its file system is not
followed. Used from the runner's thread only. Source: Linux 6.18 fs/namespace.c.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from osscluster.inode import Inode, fail
from osscluster.vfs import Vfs
from ossfuse.mounted import Context

__all__ = ["Mount", "Namespace", "join", "plain"]


@dataclass(slots=True, eq=False)
class Mount:
    """vfs: the file system as this mount shows it; target: absolute path; parent: None for the root; source, fstype,
    options: as the mount table has them, options without ro and rw; secure: nosuid and nodev; read_only: of the mount
    itself."""

    vfs: Vfs
    target: str
    parent: Mount | None
    source: str
    fstype: str
    options: str
    secure: bool = False
    read_only: bool = False

    @property
    def shown_options(self) -> str:
        """As mount(8) prints them."""
        words = ["ro" if self.vfs.flags.read_only else "rw"]
        words += ["nosuid", "nodev"] if self.secure else []
        return ",".join([*words, "relatime", *([self.options] if self.options else [])])


class Namespace:
    """root: what is mounted on "/"."""

    def __init__(self, root: Mount) -> None:
        self.mounts = [root]

    def resolve(self, path: str) -> tuple[Mount, str]:
        """The mount that a path leads into, and the rest of the path in it ("" for its root)."""
        names = plain(path).strip("/").split("/") if plain(path) != "/" else []
        mount, start = self._top(self.mounts[0], "/"), 0
        here = ""
        for count, name in enumerate(names, start=1):
            here = f"{here}/{name}"
            above = self._top(mount, here)
            if above is not mount:
                mount, start = above, count
        rest = "/".join(names[start:])
        return mount, rest + "/" if rest and path.endswith("/") else rest

    def check_walk(self, context: Context, mount: Mount) -> None:
        """Walks through the file systems below a mount, as a path does that leads into it. Raises as path_resolution(7)
        says. Root passes every directory of the disk that is mounted on "/"."""
        if mount.parent is not None and not (context.uid == 0 and mount.parent is self.mounts[0]):
            self.check_walk(context, mount.parent)
            if mount.target != mount.parent.target:
                mount.parent.vfs.find(context, _relative(mount.target, mount.parent.target))

    def find(self, context: Context, path: str) -> tuple[Mount, Inode]:
        """The mount and the node at a path; links are followed."""
        mount, rest = self.resolve(path)
        self.check_walk(context, mount)
        return mount, mount.vfs.find(context, rest)

    def add(self, mount: Mount) -> None:
        """Mounts it; its parent is what its target leads into now."""
        self.mounts.append(mount)

    def at(self, target: str) -> Mount:
        """The youngest mount exactly there. Raises EINVAL."""
        mount, rest = self.resolve(target)
        if rest or mount.parent is None:
            fail(errno.EINVAL, target)
        return mount

    def children(self, mount: Mount) -> list[Mount]:
        """What is mounted on it."""
        return [other for other in self.mounts if other.parent is mount]

    def remove(self, mount: Mount) -> list[Mount]:
        """Detaches it with everything that is mounted on it, as MNT_DETACH does; what was removed."""
        gone = [mount]
        for child in self.children(mount):
            gone += self.remove(child)
        if mount in self.mounts:
            self.mounts.remove(mount)
            mount.vfs.root.bound -= 1
        return gone

    def _top(self, mount: Mount, target: str) -> Mount:
        while True:
            above = [other for other in self.mounts if other.parent is mount and other.target == target]
            if not above:
                return mount
            mount = above[-1]


def plain(path: str) -> str:
    """An absolute path without empty components, "." and ".."."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return "/" + "/".join(names)


def join(path: str, rest: str) -> str:
    """`rest` below an absolute path; "" is the path itself."""
    return f"{path.rstrip('/')}/{rest}" if rest else path


def _relative(path: str, directory: str) -> str:
    return path[len(directory.rstrip("/")) + 1 :]
