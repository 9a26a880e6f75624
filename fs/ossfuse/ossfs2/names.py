"""From names to inodes: what is known, what has to be asked for, what has gone.

LOOKUP and GETATTR are one here, because paths are all that the FUSE adapter has. Any thread; a directory's lock is held
while a name is added to it.

Source: 2.0.7, fs.cpp (lookup, getattr, create_internal), oss_adapter.cpp (oss_stat).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from osscloud.clock import Clock
from ossfuse.attributes import Attributes
from ossfuse.errors import RequestFailed, failure
from ossfuse.ossfs2.client import Ossfs2Client
from ossfuse.ossfs2.inode import Node, Tree
from ossfuse.ossfs2.negatives import Negatives
from ossfuse.ossfs2.options import MountOptions

__all__ = ["NAME_MAX", "Names", "Remote", "is_name"]

NAME_MAX = 255


@dataclass(frozen=True, slots=True)
class Remote:
    """What the server has under a name. kind: type bits; mtime: seconds since the epoch."""

    kind: int
    size: int = 0
    mtime: float = 0.0
    etag: str = ""


class Names:
    """told: the kernel keeps nothing; see `filesystem.Ossfs2`."""

    def __init__(
        self, tree: Tree, *, client: Ossfs2Client, options: MountOptions, clock: Clock, told: bool = False
    ) -> None:
        self.tree = tree
        self._client = client
        self._options = options
        self._clock = clock
        self._told = told
        size = options.negative_cache_size
        self._missing = Negatives(options.negative_cache_timeout, size)
        self._told_missing = Negatives(options.fuse_negative_timeout if told else 0.0, size)

    def tell(self, node: Node) -> Attributes:
        """The kernel keeps an answer, and goes on with it while the inode may already have learned better."""
        now = self._clock.now()
        if node.told is not None and now < node.told and node.shown is not None:
            return node.shown.copy()
        attributes = self.tree.attributes(node)
        if self._told and node.told is not None:
            node.told = now + self._options.fuse_attr_timeout
            node.shown = attributes.copy()
        return attributes

    def walk(self, path: str) -> Node:
        """The directory at a path. The kernel has looked at every name on the way, so what is not known here is what it
        knows from before. ESTALE when one of them has gone: the kernel looks at all of them again then."""
        node = self.tree.root
        for name in path.split("/"):
            if name:
                below = node.children.get(name) or self.tree.add(node, name, stat.S_IFDIR, now=self._clock.now())
                if below.stale:
                    raise failure(errno.ESTALE, path)
                node = below
        return node

    def parent(self, path: str) -> tuple[Node, str]:
        directory, _, name = path.rpartition("/")
        return self.walk(directory), name

    def check_name(self, path: str) -> None:
        if len(os.fsencode(path.rpartition("/")[2])) > NAME_MAX:
            raise failure(errno.ENAMETOOLONG, path)

    def known(self, path: str) -> Node:
        """The node that the kernel means by a path. ESTALE when it has gone."""
        if path == "/":
            return self.tree.root
        parent, name = self.parent(path)
        node = parent.children.get(name)
        if node is None:
            return self.lookup(path)
        if node.stale:
            raise failure(errno.ESTALE, path)
        return node

    def lookup(self, path: str) -> Node:
        """LOOKUP or GETATTR: out of what is known, or HEAD of the name and, when there is no such object, a LIST below
        it."""
        if path == "/":
            return self.tree.root
        self.check_name(path)
        parent, name = self.parent(path)
        node = self.tree.child(parent, name)
        now = self._clock.now()
        if node is not None:
            # libfuse's high level looks again at what it has just made; the original's answer has it all.
            new, node.new = node.new, False
            told = node.told is not None and now < node.told
            if new or told or node.valid(now, self._options.attr_timeout):
                return node
        if self._missing.has(path, now) or (node is None and self._told_missing.has(path, now)):
            raise failure(errno.ENOENT, path)
        remote = self._looked_at(path, node)
        with parent.lock:
            node = self.tree.child(parent, name)
            if node is None:
                return self.add(parent, name, remote, now)
            if node.kind != remote.kind:
                self.vanished(path, node)
                raise failure(errno.ENOENT, path)
            if node.writer is None:
                node.meet(remote.size, remote.mtime, remote.etag, now)
            return node

    def refresh(self, node: Node) -> None:
        """GETATTR of an open file. What the kernel was told counts even when the file has gone."""
        now = self._clock.now()
        if node.told is not None and now < node.told:
            return
        if node.stale:
            raise failure(errno.ESTALE)
        if node is self.tree.root or node.valid(now, self._options.attr_timeout):
            return
        path = node.path
        remote = self._looked_at(path, node)
        if remote.kind != node.kind:
            raise failure(errno.ENOENT, path)
        node.meet(remote.size, remote.mtime, remote.etag, now)

    def _looked_at(self, path: str, node: Node | None) -> Remote:
        try:
            return self.stat(path)
        except RequestFailed as error:
            if error.errno == errno.ENOENT:
                self.vanished(path, node)
            raise

    def vanished(self, path: str, node: Node | None) -> None:
        now = self._clock.now()
        if node is not None:
            self.tree.gone(node, recursively=self._options.mark_stale_recursively and self._options.allow_rename_dir)
        self._missing.insert(path, now)
        self._told_missing.insert(path, now)

    def appeared(self, path: str, *, below: bool = False) -> None:
        for missing in (self._missing, self._told_missing):
            missing.erase(path, below=below)

    def stat(self, path: str) -> Remote:
        """What the server has under a name: HEAD, then a LIST below it. Raises RequestFailed."""
        try:
            meta = self._client.object_meta(path)
        except RequestFailed as error:
            if error.errno != errno.ENOENT:
                raise
        else:
            if self._options.enable_symlink and meta.kind == "Symlink":
                return Remote(stat.S_IFLNK, self.link_size(path, meta.size), meta.mtime, meta.etag)
            return Remote(stat.S_IFREG, meta.size, meta.mtime, meta.etag)
        if self._client.any_below(path, max_keys=1):
            return Remote(stat.S_IFDIR)
        raise RequestFailed(errno.ENOENT, path, status=404)

    def link_size(self, path: str, target_size: int) -> int:
        """How long the relative target will be; with a prefix, `target_size` is that of the whole key, except right
        after symlink(2), when the original subtracts the prefix all the same (measured)."""
        size = target_size + 3 * (path.count("/") - 1)
        prefix = self._options.prefix
        if not prefix:
            return size
        return size - len(prefix) - 1 if target_size > len(prefix) else target_size

    @contextmanager
    def creating(self, path: str) -> Iterator[tuple[Node, str]]:
        """The directory and the name of something new, which nobody else can make meanwhile. Raises EEXIST."""
        self.check_name(path)
        parent, name = self.parent(path)
        with parent.lock:
            if parent.stale:
                raise failure(errno.ESTALE, path)
            if self.tree.child(parent, name) is not None:
                raise failure(errno.EEXIST, path)
            if not self._missing.has(path, self._clock.now()):
                try:
                    self.stat(path)
                except RequestFailed as error:
                    if error.errno != errno.ENOENT:
                        raise
                else:
                    raise failure(errno.EEXIST, path)
            yield parent, name

    def found(self, parent: Node, name: str, remote: Remote, now: float) -> None:
        """readdirplus: every entry becomes an inode, with the attributes of the listing."""
        node = self.tree.child(parent, name)
        if node is not None and node.kind != remote.kind:
            self.tree.gone(node)
            node = self.tree.child(parent, name)
        if node is None:
            node = self.add(parent, name, remote, now)
        elif node.writer is None:
            with node.lock:
                node.meet(remote.size, remote.mtime, remote.etag, now)
        self.tell(node)
        self._told_missing.erase(f"{parent.path.rstrip('/')}/{name}")

    def add(self, parent: Node, name: str, remote: Remote, now: float) -> Node:
        """A new node for what the server has."""
        return self.tree.add(parent, name, remote.kind, size=remote.size, mtime=remote.mtime, etag=remote.etag, now=now)


def is_name(name: str) -> bool:
    """Whether a key's part can be a file name here."""
    return bool(name) and name not in (".", "..") and len(os.fsencode(name)) <= NAME_MAX
