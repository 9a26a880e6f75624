"""A disk in memory: the file system of a node's own files, and of a container's, in the direct engine.

A plain POSIX file system behind `vfs`, which checks permissions (MountFlags.permissions). Not modelled: extended
attributes, special files, room. Used from the runner's thread only.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from osscloud.clock import Clock
from osscluster.inode import fail
from ossfuse.attributes import Attributes
from ossfuse.filesystem import StatFs
from ossfuse.mounted import Context

__all__ = ["MemoryDisk"]

_BLOCK = 4096


@dataclass(slots=True, eq=False)
class _Node:
    mode: int
    uid: int
    gid: int
    mtime: float
    atime: float
    ctime: float
    nlink: int = 1
    data: bytearray = field(default_factory=bytearray)
    target: str = ""
    children: dict[str, _Node] = field(default_factory=dict)


class MemoryDisk:
    """Implements `ossfuse.fuse_adapter.FileSystem`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._root = self._new(stat.S_IFDIR | 0o755, Context(uid=0, gid=0))
        self._open: dict[int, _Node] = {}
        self._handles = itertools.count(1)

    def getattr(self, ctx: Context, path: str, fh: int | None = None) -> Attributes:
        return _attributes(self._find(ctx, path) if fh is None else self._open[fh])

    def access(self, ctx: Context, path: str, mask: int) -> None:
        """Nothing is asked here."""

    def chmod(self, ctx: Context, path: str, mode: int) -> None:
        node = self._find(ctx, path)
        node.mode = stat.S_IFMT(node.mode) | (mode & 0o7777)
        self._changed(node)

    def chown(self, ctx: Context, path: str, uid: int, gid: int) -> None:
        node = self._find(ctx, path)
        node.uid = node.uid if uid == -1 else uid
        node.gid = node.gid if gid == -1 else gid
        self._changed(node)

    def utimens(self, ctx: Context, path: str, atime: float | None, mtime: float | None) -> None:
        node = self._find(ctx, path)
        now = self._clock.now()
        node.atime, node.mtime = now if atime is None else atime, now if mtime is None else mtime
        self._changed(node)

    def setxattr(self, ctx: Context, path: str, name: str, value: bytes, flags: int = 0) -> None:
        fail(errno.EOPNOTSUPP, path)

    def getxattr(self, ctx: Context, path: str, name: str) -> bytes:
        fail(errno.EOPNOTSUPP, path)

    def listxattr(self, ctx: Context, path: str) -> Sequence[str]:
        return ()

    def removexattr(self, ctx: Context, path: str, name: str) -> None:
        fail(errno.EOPNOTSUPP, path)

    def statfs(self, ctx: Context) -> StatFs:
        return StatFs(_BLOCK, _BLOCK, 1 << 22, 1 << 21, 1 << 21, 1 << 20, 1 << 19, 255)

    def readlink(self, ctx: Context, path: str) -> str:
        return self._find(ctx, path).target

    def mknod(self, ctx: Context, path: str, mode: int, dev: int = 0) -> None:
        fail(errno.EPERM, path)

    def mkdir(self, ctx: Context, path: str, mode: int) -> None:
        self._add(ctx, path, self._new(stat.S_IFDIR | mode, ctx))

    def symlink(self, ctx: Context, target: str, path: str) -> None:
        node = self._new(stat.S_IFLNK | 0o777, ctx)
        node.target = target
        self._add(ctx, path, node)

    def link(self, ctx: Context, old: str, new: str) -> None:
        node = self._find(ctx, old)
        self._add(ctx, new, node)
        node.nlink += 1

    def unlink(self, ctx: Context, path: str) -> None:
        parent, name = self._parent(ctx, path)
        parent.children[name].nlink -= 1
        del parent.children[name]
        self._written(parent)

    def rmdir(self, ctx: Context, path: str) -> None:
        parent, name = self._parent(ctx, path)
        if parent.children[name].children:
            fail(errno.ENOTEMPTY, path)
        del parent.children[name]
        self._written(parent)

    def rename(self, ctx: Context, old: str, new: str) -> None:
        source, name = self._parent(ctx, old)
        target, new_name = self._parent(ctx, new)
        if new_name in target.children and target.children[new_name].children:
            fail(errno.ENOTEMPTY, new)
        target.children[new_name] = source.children.pop(name)
        self._written(source)
        self._written(target)

    def opendir(self, ctx: Context, path: str) -> None:
        """Nothing to do."""

    def readdir(self, ctx: Context, path: str) -> Sequence[tuple[str, Attributes | None]]:
        return [(name, _attributes(node)) for name, node in self._find(ctx, path).children.items()]

    def create(self, ctx: Context, path: str, mode: int, flags: int) -> int:
        node = self._new(mode, ctx)
        self._add(ctx, path, node)
        return self._handle(node)

    def open(self, ctx: Context, path: str, flags: int) -> int:
        node = self._find(ctx, path)
        if flags & os.O_TRUNC:
            node.data.clear()
            self._written(node)
        return self._handle(node)

    def read(self, ctx: Context, path: str, fh: int, size: int, offset: int) -> bytes:
        node = self._open[fh]
        node.atime = self._clock.now()
        return bytes(node.data[offset : offset + size])

    def write(self, ctx: Context, path: str, fh: int, data: bytes, offset: int) -> int:
        node = self._open[fh]
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset : offset + len(data)] = data
        self._written(node)
        return len(data)

    def truncate(self, ctx: Context, path: str, size: int, fh: int | None = None) -> None:
        node = self._find(ctx, path)
        del node.data[size:]
        node.data.extend(bytes(size - len(node.data)))
        self._written(node)

    def flush(self, ctx: Context, path: str | None, fh: int) -> None:
        """Nothing is kept back."""

    def fsync(self, ctx: Context, path: str, fh: int, datasync: bool = False) -> None:
        """Nothing is kept back."""

    def release(self, ctx: Context, path: str, fh: int) -> None:
        del self._open[fh]

    def destroy(self) -> None:
        """Nothing is kept back."""

    # --- nodes ---

    def _new(self, mode: int, ctx: Context) -> _Node:
        now = self._clock.now()
        return _Node(mode, ctx.uid, ctx.gid, now, now, now)

    def _add(self, ctx: Context, path: str, node: _Node) -> None:
        parent, name = self._parent(ctx, path)
        if parent.mode & stat.S_ISGID:
            node.gid = parent.gid
            if stat.S_ISDIR(node.mode):
                node.mode |= stat.S_ISGID
        parent.children[name] = node
        self._written(parent)

    def _handle(self, node: _Node) -> int:
        number = next(self._handles)
        self._open[number] = node
        return number

    def _find(self, ctx: Context, path: str) -> _Node:
        node = self._root
        for name in path.split("/"):
            if not name:
                continue
            if not stat.S_ISDIR(node.mode):
                fail(errno.ENOTDIR, path)
            if name not in node.children:
                fail(errno.ENOENT, path)
            node = node.children[name]
        return node

    def _parent(self, ctx: Context, path: str) -> tuple[_Node, str]:
        directory, name = os.path.split(path)
        return self._find(ctx, directory), name

    def _changed(self, node: _Node) -> None:
        node.ctime = self._clock.now()

    def _written(self, node: _Node) -> None:
        node.mtime = node.ctime = self._clock.now()


def _attributes(node: _Node) -> Attributes:
    size = len(node.target) if stat.S_ISLNK(node.mode) else len(node.data)
    nlink = node.nlink
    if stat.S_ISDIR(node.mode):
        size, nlink = _BLOCK, 2 + sum(stat.S_ISDIR(child.mode) for child in node.children.values())
    blocks = -(-size // _BLOCK) * 8
    return Attributes(node.mode, node.uid, node.gid, size, node.mtime, node.atime, node.ctime, nlink, blocks)
