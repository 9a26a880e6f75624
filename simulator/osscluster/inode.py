"""What the model of the kernel keeps of a volume: inodes by name, and open files.

Data only; `Vfs` changes it, in the runner's thread.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import NoReturn

from ossfuse.attributes import Attributes

__all__ = ["NAME_MAX", "Inode", "OpenFile", "Place", "check_good", "fail", "line_of"]

NAME_MAX = 1024  # FUSE_NAME_MAX


@dataclass(slots=True, eq=False)
class Inode:
    """A name that the kernel knows, with the inode behind it.

    cached: whether the kernel has the name; libfuse keeps those of open files beyond that. outdated: times or blocks
    are no longer right, which matters to stat(2) but not where the kernel needs the size only. read: the 128 KiB
    windows that were read since the last open. touched: pages that were written since then. bad: its type changed
    under the kernel. deleted_as: its path when it was unlinked while open. handles: the file system's, of its opens.
    bound: bind mounts that begin here. pathless: removed while it was open (a file: with hard_remove), or with a
    directory above it, so that libfuse has no path for it.
    """

    number: int
    parent: Inode | None
    name: str
    attributes: Attributes
    cached: bool = True
    entry_until: float = 0.0
    attributes_until: float = 0.0
    outdated: bool = False
    read: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    children: dict[str, Inode] = field(default_factory=dict)
    open_count: int = 0
    hidden: bool = False
    bad: bool = False
    bound: int = 0
    deleted_as: str | None = None
    handles: list[int] = field(default_factory=list)
    pathless: bool = False

    @property
    def path(self) -> str:
        names = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return "/" + "/".join(reversed(names))

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.attributes.mode)

    @property
    def in_use(self) -> bool:
        return self.open_count > 0 or self.bound > 0 or any(child.in_use for child in self.children.values())


@dataclass(slots=True, eq=False)
class OpenFile:
    node: Inode
    flags: int
    handle: int | None  # None: a directory
    offset: int = 0
    descriptors: int = 1  # more than one after dup(2)

    @property
    def readable(self) -> bool:
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def writable(self) -> bool:
        return self.flags & os.O_ACCMODE != os.O_RDONLY


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name is, or would be. name: "" for the volume's root, or "." and ".."."""

    parent: Inode
    name: str
    trailing_slash: bool


def fail(code: int, path: str = "") -> NoReturn:
    raise OSError(code, os.strerror(code), path) if path else OSError(code, os.strerror(code))


def check_good(node: Inode) -> None:
    if node.bad:
        fail(errno.EIO, node.path)
    if node.pathless:
        fail(errno.ENOENT, node.path)


def line_of(node: Inode) -> list[Inode]:
    """The node and everything above it."""
    found = [node]
    while found[-1].parent is not None:
        found.append(found[-1].parent)
    return found
