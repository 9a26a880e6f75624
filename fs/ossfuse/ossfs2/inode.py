"""The inodes that an ossfs2 process knows, as a tree of names: what it answers for attr_timeout without asking, and
what it takes for the content of a directory when that is removed or replaced.

No requests. Changes to the tree are made under `Tree.lock`, which nobody holds over a request; a node's own lock
serialises what is done to it, requests included, as in the original.

Source: 2.0.7, inode.cpp, inode.h. Not modelled: inodes that the kernel forgets under memory pressure; here a name stays
known until it is gone.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ossfuse.attributes import Attributes

if TYPE_CHECKING:
    from ossfuse.ossfs2.writer import Writer

__all__ = ["Node", "Tree"]

ROOT = "/"


@dataclass(slots=True, eq=False)
class Node:
    """One inode. kind: its type bits. checked: when its attributes were learned, None: they count no longer. told:
    until when what the kernel was told counts, where the kernel is made to forget at once; None: made by CREATE, whose
    answer has no time-outs, and not changed since. shown: what it was told. new: the answer that made it told its
    attributes. stale: gone; it never comes back, a new node takes the name. changed: what was read of it is not to be
    kept at the next open. writer: the one handle that has changed it since its last upload."""

    name: str
    parent: Node | None
    kind: int
    size: int = 0
    mtime: float = 0.0
    etag: str = ""
    checked: float | None = None
    told: float | None = 0.0
    shown: Attributes | None = None
    new: bool = False
    stale: bool = False
    changed: bool = False
    open_count: int = 0
    writer: Writer | None = None
    children: dict[str, Node] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def is_directory(self) -> bool:
        return self.kind == stat.S_IFDIR

    @property
    def path(self) -> str:
        """Absolute path inside the mount, of now: directories may be renamed."""
        names = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return "/" + "/".join(reversed(names))

    def is_empty(self) -> bool:
        """Whether no child is known: what the bucket holds is not looked at."""
        return all(child.stale for child in self.children.values())

    def valid(self, now: float, timeout: float) -> bool:
        """Whether the attributes count without asking the server; those of a file that is being written always do."""
        if self.writer is not None:
            return True
        return self.checked is not None and int(now) - int(self.checked) < timeout

    def learn(self, size: int, mtime: float, now: float) -> None:
        """New attributes. A directory's are those it was found with, and count for attr_timeout from then only."""
        if not self.is_directory:
            self.size, self.mtime, self.checked = size, mtime, now

    def meet(self, size: int, mtime: float, etag: str, now: float) -> None:
        """Takes in what the server says."""
        if (self.etag, self.size, self.mtime) != (etag, size, mtime):
            self.changed = True
        self.etag = etag
        self.told = self.told or 0.0
        self.learn(size, mtime, now)


class Tree:
    """All nodes of one mount.

    uid, gid, file_mode, dir_mode: what every inode shows, whatever the object's metadata say. clock readings are
    handed in.
    """

    def __init__(self, *, uid: int, gid: int, file_mode: int, dir_mode: int, now: float) -> None:
        self.lock = threading.RLock()
        self.root = Node("", None, stat.S_IFDIR, mtime=now, checked=now)
        self._uid, self._gid = uid, gid
        self._modes = {stat.S_IFDIR: dir_mode, stat.S_IFREG: file_mode, stat.S_IFLNK: 0o777}

    def attributes(self, node: Node) -> Attributes:
        """What stat(2) shows. All three times are the mtime; the root has two links."""
        return Attributes(
            mode=node.kind | self._modes[node.kind],
            uid=self._uid,
            gid=self._gid,
            size=node.size,
            mtime=node.mtime,
            atime=node.mtime,
            ctime=node.mtime,
            nlink=2 if node is self.root else 1,
            blocks=node.size >> 9,
        )

    def child(self, parent: Node, name: str) -> Node | None:
        """The node of a name that is not stale."""
        found = parent.children.get(name)
        return None if found is None or found.stale else found

    def add(
        self, parent: Node, name: str, kind: int, *, size: int = 0, mtime: float = 0.0, etag: str = "", now: float
    ) -> Node:
        """A new node in place of what had the name. Directories show the time at which they were found."""
        made = Node(name, parent, kind, size, now if kind == stat.S_IFDIR else mtime, etag, checked=now)
        with self.lock:
            parent.children[name] = made
        return made

    def move(self, node: Node, parent: Node, name: str) -> None:
        """Renames a node; what had the name is stale."""
        with self.lock:
            if node.parent is not None and node.parent.children.get(node.name) is node:
                del node.parent.children[node.name]
            replaced = parent.children.get(name)
            if replaced is not None:
                replaced.stale = True
            node.parent, node.name = parent, name
            parent.children[name] = node

    def gone(self, node: Node, *, recursively: bool = False) -> None:
        """The server does not have it any more: stale, unless it is open, or a directory that has known children.
        recursively: children go first (allow_mark_dir_stale_recursively)."""
        with self.lock:
            if recursively:
                for child in node.children.values():
                    if not child.stale:
                        self.gone(child, recursively=True)
            if not node.open_count and node.is_empty():
                node.stale = True

    def nodes(self) -> Iterator[Node]:
        """Every node that is not stale, parents first."""
        todo = [self.root]
        while todo:
            node = todo.pop()
            yield node
            with self.lock:
                todo += [child for child in node.children.values() if not child.stale]

    def inside(self, node: Node, directory: Node) -> bool:
        """Whether a node is below a directory, or the directory itself."""
        above: Node | None = node
        while above is not None and above is not directory:
            above = above.parent
        return above is not None
