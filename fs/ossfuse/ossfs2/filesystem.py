"""`Ossfs2`: ossfs 2.x as plain methods, one for each FUSE operation, with the same interface as `OssFs`.

The original is a file system of inodes (libfuse's low-level interface) that leaves permissions to the kernel
(default_permissions). Here the operations take paths, as for ossfs 1.x, so that the FUSE adapter and the model of the
kernel serve both; what the original keeps by inode is in `inode.Tree`.

No kernel, no sockets, no wall clock. Called from as many threads as the adapter likes; a node's lock is held over the
requests that are about it, as in the original. Every operation raises OSError with the errno that a process sees.
Source: 2.0.7, fs.cpp, fuse_adapter_ll.cpp, main.cpp; requests and errnos measured.
"""

from __future__ import annotations

import errno
import itertools
import os
import posixpath
import random
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from osscloud.clock import Clock
from osscloud.message import Caller
from ossfuse.attributes import Attributes
from ossfuse.client import calling
from ossfuse.entity import OpenFile
from ossfuse.errors import MountCheckFailed, RequestFailed, failure
from ossfuse.filesystem import StatFs
from ossfuse.mounted import Context
from ossfuse.ossfs2.client import Ossfs2Client
from ossfuse.ossfs2.inode import Node, Tree
from ossfuse.ossfs2.options import MountOptions
from ossfuse.ossfs2.profile import Profile
from ossfuse.ossfs2.reader import Reader
from ossfuse.ossfs2.writer import Writer

__all__ = ["Ossfs2"]

NAME_MAX = 255
MAX_KEY = 1023
PATH_MAX = 4096
STATFS_BLOCK = 8192
STATFS_BLOCKS = (2**64 - 1) // STATFS_BLOCK
STATFS_FILES = (2**64 - 1) // 1024


@dataclass(slots=True)
class _Handle:
    number: int
    node: Node
    reader: Reader
    writer: Writer | None
    context: Context


class _Negatives:
    """Names that the server did not have a moment ago: at most `size` of them, each for `timeout` seconds."""

    def __init__(self, timeout: float, size: int) -> None:
        self._timeout, self._size = timeout, size
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, path: str, now: float) -> bool:
        with self._lock:
            until = self._until.get(path)
            return until is not None and now < until

    def insert(self, path: str, now: float) -> None:
        if not self._timeout:
            return
        with self._lock:
            self._until[path] = now + self._timeout
            self._until.move_to_end(path)
            while len(self._until) > self._size:
                self._until.popitem(last=False)

    def erase(self, path: str, *, below: bool = False) -> None:
        with self._lock:
            self._until.pop(path, None)
            if below:
                for known in [known for known in self._until if known.startswith(f"{path}/")]:
                    del self._until[known]


class Ossfs2:
    """One mount.

    euid, egid: of the ossfs2 process, owner of everything unless uid= and gid= say other. told: the kernel keeps what
    it is told for less than the options say, so that time can be moved; the file system then answers from what it has
    told, as the kernel would have.
    """

    def __init__(
        self,
        *,
        options: MountOptions,
        profile: Profile,
        client: Ossfs2Client,
        clock: Clock,
        euid: int,
        egid: int,
        rng: random.Random | None = None,
        told: bool = False,
    ) -> None:
        self.options = options
        self.profile = profile
        self._client = client
        self._clock = clock
        self._rng = rng or random.Random()
        self._told = told
        self._tree = Tree(
            uid=euid if options.uid is None else options.uid,
            gid=egid if options.gid is None else options.gid,
            file_mode=options.file_mode,
            dir_mode=options.dir_mode,
            now=clock.now(),
        )
        self._missing = _Negatives(options.negative_cache_timeout, options.negative_cache_size)
        self._told_missing = _Negatives(options.fuse_negative_timeout if told else 0, options.negative_cache_size)
        self._handles: dict[int, _Handle] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    # --- the mount --------------------------------------------------------------------------------------------------

    def check_mount(self) -> None:
        """One LIST of the prefix. Raises MountCheckFailed with the text of the log and the exit code, which is the
        negated errno as a byte."""
        with calling(Caller(self.options.mountpoint, "mount", os.getpid(), os.geteuid(), "ossfs2")):
            try:
                self._client.check()
            except RequestFailed as error:
                code = error.errno or errno.EIO
                raise MountCheckFailed(f"fail to check bucket with error {-code}", 256 - code) from error

    def start(self) -> None:
        """Nothing is done when the mount begins."""

    def destroy(self, *, killed: bool = False) -> None:
        """The mount is going away. What close(2) did not upload is lost, killed or not."""
        del killed
        with self._lock:
            self._handles.clear()

    def statistics(self) -> dict[str, int]:
        """How many inodes are known."""
        return {"entries": sum(1 for _ in self._tree.nodes())}

    def open_files(self) -> list[OpenFile]:
        """One entry a handle."""
        with self._lock:
            handles = list(self._handles.values())
        return [
            OpenFile(
                path=handle.node.path,
                pid=handle.context.pid,
                uid=handle.context.uid,
                command=handle.context.command,
                dirty=handle.writer is not None and handle.writer.dirty,
                size=handle.node.size,
            )
            for handle in handles
        ]

    # --- attributes -------------------------------------------------------------------------------------------------

    def getattr(self, ctx: Context, path: str, fh: int | None = None) -> Attributes:
        """stat(2). fh: of an open file, whose inode is asked instead of its name."""
        with self._calling(ctx, "getattr"):
            node = self._handle(fh).node if fh is not None else self._lookup(path)
            if fh is not None:
                self._refresh(node)
            if self._told:
                node.told = self._now() + self.options.fuse_attr_timeout
            return self._tree.attributes(node)

    def access(self, ctx: Context, path: str, mask: int) -> None:
        """Never asked by a kernel that checks permissions itself; granted."""

    def chmod(self, ctx: Context, path: str, mode: int) -> None:
        """Accepted and not stored: the mode stays what file_mode= and dir_mode= say."""
        del mode
        with self._calling(ctx, "chmod"):
            self._known(path)

    def chown(self, ctx: Context, path: str, uid: int, gid: int) -> None:
        """Accepted and not stored."""
        del uid, gid
        with self._calling(ctx, "chown"):
            self._known(path)

    def utimens(self, ctx: Context, path: str, atime: float | None, mtime: float | None) -> None:
        """The mtime changes in the inode, until the object is looked at again; the atime does not. None keeps one."""
        del atime
        with self._calling(ctx, "utimens"):
            node = self._known(path)
            if mtime is not None:
                with node.lock:
                    node.learn(node.size, mtime, self._now())

    def setxattr(self, ctx: Context, path: str, name: str, value: bytes, flags: int = 0) -> None:
        raise failure(errno.EOPNOTSUPP, path)

    def getxattr(self, ctx: Context, path: str, name: str) -> bytes:
        raise failure(errno.EOPNOTSUPP, path)

    def listxattr(self, ctx: Context, path: str) -> list[str]:
        raise failure(errno.EOPNOTSUPP, path)

    def removexattr(self, ctx: Context, path: str, name: str) -> None:
        raise failure(errno.EOPNOTSUPP, path)

    def statfs(self, ctx: Context) -> StatFs:
        del ctx
        blocks, files = STATFS_BLOCKS, STATFS_FILES
        return StatFs(STATFS_BLOCK, STATFS_BLOCK, blocks, blocks, blocks, files, files, NAME_MAX)

    # --- names ------------------------------------------------------------------------------------------------------

    def mknod(self, ctx: Context, path: str, mode: int, dev: int = 0) -> None:
        """ENOSYS, for regular files too: there is no such operation."""
        raise failure(errno.ENOSYS, path)

    def link(self, ctx: Context, old: str, new: str) -> None:
        """ENOSYS: there is no such operation (Linux makes EPERM of it since 6.16)."""
        raise failure(errno.ENOSYS, new)

    def mkdir(self, ctx: Context, path: str, mode: int) -> None:
        """The object "path/"; the mode is not stored."""
        del mode
        with self._calling(ctx, "mkdir"), self._creating(path) as (parent, name):
            self._client.put(f"{path}/")
            self._tree.add(parent, name, stat.S_IFDIR, now=self._now())
            self._appeared(path)

    def symlink(self, ctx: Context, target: str, path: str) -> None:
        """With enable_symlink=true a symbolic link object of OSS, which names a key; only relative targets inside the
        mount are possible."""
        if not self.options.enable_symlink:
            raise failure(errno.ENOTSUP, path)
        if target.startswith("/"):
            raise failure(errno.EINVAL, path)
        with self._calling(ctx, "symlink"), self._creating(path) as (parent, name):
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(path[1:]), target))
            prefix = f"{self.options.prefix}/" if self.options.prefix else ""
            if inside.split("/")[0] in ("..", ".") or len(os.fsencode(prefix + inside)) > MAX_KEY:
                raise failure(errno.EINVAL, path)
            if target.endswith("/"):
                inside += "/"
            self._client.put_symlink(path, prefix + inside)
            now = self._now()
            self._tree.add(
                parent, name, stat.S_IFLNK, size=self._link_size(path, len(os.fsencode(inside))), mtime=now, now=now
            )
            self._appeared(path)

    def readlink(self, ctx: Context, path: str) -> str:
        """Always relative: up to the root of the mount and down again, whatever was written. A request every time."""
        with self._calling(ctx, "readlink"):
            if not self.options.enable_symlink:
                raise failure(errno.ENOTSUP, path)
            key = self._client.symlink_target(path)
        prefix = f"{self.options.prefix}/" if self.options.prefix else ""
        target = key[len(prefix) :]
        parts = target.split("/")
        if not key.startswith(prefix) or not target or {".", ".."} & set(parts) or "" in parts[:-1]:
            raise failure(errno.EINVAL, path)
        depth = path.count("/") - 1
        if depth * 3 + len(os.fsencode(target)) > PATH_MAX:
            raise failure(errno.ENAMETOOLONG, path)
        return "../" * depth + target

    def unlink(self, ctx: Context, path: str) -> None:
        with self._calling(ctx, "unlink"):
            node = self._known(path)
            with node.lock:
                try:
                    self._client.delete(path)
                except RequestFailed as error:
                    if error.errno != errno.ENOENT:
                        raise
                node.stale = True

    def rmdir(self, ctx: Context, path: str) -> None:
        """ENOTEMPTY when a child is known: what another client has put there is not looked for."""
        with self._calling(ctx, "rmdir"):
            node = self._known(path)
            with node.lock:
                if not node.is_directory:
                    raise failure(errno.ENOTDIR, path)
                if not node.is_empty():
                    raise failure(errno.ENOTEMPTY, path)
                self._client.delete(f"{path}/")
                node.stale = True

    def rename(self, ctx: Context, old: str, new: str) -> None:
        with self._calling(ctx, "rename"):
            self._check_name(new)
            node = self._known(old)
            source, (target, name) = node.parent, self._parent(new)
            assert source is not None
            if node.is_directory and not self.options.allow_rename_dir:
                raise failure(errno.ENOTSUP, old)
            with ExitStack() as locks:
                for parent in sorted({id(one): one for one in (source, target)}.values(), key=id):
                    locks.enter_context(parent.lock)
                if source.stale or target.stale or node.stale:
                    raise failure(errno.ESTALE, old)
                there = target.children.get(name)
                if there is not None and there.is_directory and not there.stale and not there.is_empty():
                    raise failure(errno.ENOTEMPTY, new)
                if (node.is_directory or (there is not None and there.is_directory)) and self._client.any_below(
                    new, max_keys=2, besides_itself=True
                ):
                    raise failure(errno.ENOTEMPTY, new)
                self._save_below(node)
                if node.is_directory:
                    self._rename_directory(old, new)
                else:
                    self._client.copy(old, new)
                    self._client.delete(old)
                self._tree.move(node, target, name)
            self._appeared(new, below=node.is_directory)

    def _save_below(self, node: Node) -> None:
        """What is being written is uploaded under its old name first."""
        for one in list(self._tree.nodes()):
            if one.writer is not None and self._tree.inside(one, node):
                with one.lock:
                    if one.writer is not None:
                        one.writer.flush()

    def _rename_directory(self, old: str, new: str) -> None:
        """Copies every object below, then deletes them in batches; stops where a request fails, and leaves what is done
        as it is."""
        prefix = self._client.directory_key(old)
        names: list[str] = []
        itself, position = False, ""
        while True:
            page, position = self._client.list_page(
                prefix, max_keys=self.options.list_keys, delimiter=False, position=position
            )
            for listed in page.objects:
                if listed.key == prefix:
                    itself = True
                else:
                    names.append(listed.key[len(prefix) :])
                if len(names) > self.options.rename_dir_limit:
                    raise failure(errno.EMFILE, old)
            if not position:
                break
        if itself:
            self._client.copy(f"{old}/", f"{new}/")
        for name in names:
            self._client.copy(f"{old}/{name}", f"{new}/{name}")
        self._client.delete_many([prefix + name for name in names])
        if itself:
            self._client.delete(f"{old}/")

    def opendir(self, ctx: Context, path: str) -> None:
        with self._calling(ctx, "opendir"):
            self._known(path)

    def readdir(self, ctx: Context, path: str) -> list[tuple[str, Attributes | None]]:
        """Files that are being written first, then the listing, 100 keys a page. What is no file name (".", "..", empty,
        longer than 255 bytes) is left out; a file and a directory of one name are both there."""
        with self._calling(ctx, "readdir"):
            node = self._known(path)
            found = self._list(node, path)
            if not found:
                # The kernel asks on behind ".." and the original begins anew (measured).
                found = self._list(node, path)
        root = self._tree.attributes(node)
        above = self._tree.attributes(node.parent or node)
        entries: list[tuple[str, Attributes | None]] = [(".", root), ("..", above)]
        for name, kind in found:
            child = self._tree.child(node, name)
            if child is not None and self.options.readdirplus:
                entries.append((name, self._tree.attributes(child)))
            elif not self.options.readdirplus:
                entries.append((name, Attributes(mode=kind | 0o777, uid=root.uid, gid=root.gid)))
        return entries

    def _list(self, node: Node, path: str) -> list[tuple[str, int]]:
        """Names and types, those of unsaved files first."""
        with self._tree.lock:
            dirty = sorted(
                name for name, child in node.children.items() if not child.stale and child.writer is not None
            )
        listed: list[tuple[str, int]] = []
        prefix = self._client.directory_key(path)
        position = ""
        while True:
            page, position = self._client.list_page(
                prefix, max_keys=self.options.list_keys, delimiter=True, position=position
            )
            now = self._now()
            for one in page.objects:
                name = one.key[len(prefix) :]
                if not _is_name(name):
                    continue
                link = self.options.enable_symlink and one.type == "Symlink"
                kind = stat.S_IFLNK if link else stat.S_IFREG
                if self.options.readdirplus:
                    size = self._link_size(f"{path.rstrip('/')}/{name}", one.size) if link else one.size
                    self._found(node, name, kind, size, _list_time(one.last_modified), one.etag, now)
                listed.append((name, kind))
            for key in page.prefixes:
                name = key[len(prefix) :].removesuffix("/")
                if not _is_name(name):
                    continue
                if self.options.readdirplus:
                    self._found(node, name, stat.S_IFDIR, 0, 0.0, "", now)
                listed.append((name, stat.S_IFDIR))
            if not position:
                break
        first = [(name, stat.S_IFREG) for name in dirty]
        return first + [entry for entry in listed if entry[0] not in dirty]

    def _found(self, parent: Node, name: str, kind: int, size: int, mtime: float, etag: str, now: float) -> None:
        """readdirplus: every entry becomes an inode, with the attributes of the listing."""
        node = self._tree.child(parent, name)
        if node is not None and node.kind != kind:
            self._tree.gone(node)
            node = self._tree.child(parent, name)
        if node is None:
            node = self._tree.add(parent, name, kind, size=size, mtime=mtime, etag=etag, now=now)
        elif node.writer is None:
            with node.lock:
                node.etag = etag
                node.learn(size, mtime, now)
        if self._told:
            node.told = now + self.options.fuse_attr_timeout
        self._told_missing.erase(f"{parent.path.rstrip('/')}/{name}")

    # --- open files -------------------------------------------------------------------------------------------------

    def create(self, ctx: Context, path: str, mode: int, flags: int) -> int:
        """Returns a handle. Nothing is sent but the look whether the name is free; the object comes with close(2)."""
        del mode
        with self._calling(ctx, "create"), self._creating(path) as (parent, name):
            now = self._now()
            node = self._tree.add(parent, name, stat.S_IFREG, mtime=now, now=now)
            with node.lock:
                handle = self._new_handle(ctx, node, flags | os.O_CREAT)
            self._appeared(path)
            return handle.number

    def open(self, ctx: Context, path: str, flags: int) -> int:
        """Returns a handle. Raises ENOENT or ESTALE for what has gone, EBUSY for O_TRUNC while it is being written."""
        with self._calling(ctx, "open"):
            node = self._known(path)
            with node.lock:
                if self.options.close_to_open and node.writer is None:
                    self._look_before_open(node, path)
                if flags & os.O_TRUNC and node.writer is not None and node.size:
                    raise failure(errno.EBUSY, path)
                return self._new_handle(ctx, node, flags & ~os.O_CREAT).number

    def _look_before_open(self, node: Node, path: str) -> None:
        try:
            kind, size, mtime, etag = self._stat(path)
        except RequestFailed as error:
            if error.errno == errno.ENOENT and not node.open_count:
                node.stale = True
            raise
        del kind
        node.etag = etag
        node.learn(size, mtime, self._now())

    def _new_handle(self, ctx: Context, node: Node, flags: int) -> _Handle:
        writer = None
        if flags & os.O_ACCMODE != os.O_RDONLY:
            writer = Writer(node, flags, client=self._client, options=self.options, clock=self._clock, rng=self._rng)
        reader = Reader(node, writer, client=self._client, options=self.options)
        if writer is not None:
            writer.open(lambda: self._empty(node, writer.path))
        handle = _Handle(next(self._numbers), node, reader, writer, ctx)
        with self._lock:
            self._handles[handle.number] = handle
        node.open_count += 1
        return handle

    def read(self, ctx: Context, path: str, fh: int, size: int, offset: int) -> bytes:
        del path
        with self._calling(ctx, "read"):
            return self._handle(fh).reader.read(size, offset)

    def write(self, ctx: Context, path: str, fh: int, data: bytes, offset: int) -> int:
        """Only behind the last byte; with O_APPEND the offset does not count."""
        handle = self._handle(fh)
        if handle.writer is None:
            raise failure(errno.ENOTSUP, path)
        with self._calling(ctx, "write"), handle.node.lock:
            return handle.writer.write(bytes(data), offset)

    def truncate(self, ctx: Context, path: str, size: int, fh: int | None = None) -> None:
        """Only to nothing; ENOTSUP otherwise, whatever the size is now."""
        with self._calling(ctx, "truncate"):
            node = self._handle(fh).node if fh is not None else self._known(path)
            with node.lock:
                if node.stale:
                    raise failure(errno.ESTALE, path)
                if size:
                    raise failure(errno.ENOTSUP, path)
                if node.is_directory:
                    raise failure(errno.EISDIR, path)
                if node.size == 0:
                    return
                if node.writer is not None:
                    raise failure(errno.EBUSY, path)
                self._empty(node, node.path)

    def _empty(self, node: Node, path: str) -> None:
        """An empty object in the place of what is there, and its mtime."""
        if self.options.appendable:
            self._client.delete(path)
            self._client.append(path, b"", 0)
        else:
            self._client.put(path)
        _, _, mtime, _ = self._stat(path)
        node.etag = ""
        node.learn(0, mtime, self._now())

    def flush(self, ctx: Context, path: str, fh: int) -> None:
        """Every close(2), also of a duplicate: the upload is completed."""
        del path
        if not self.options.sync_upload:
            return
        with self._calling(ctx, "flush"):
            self._save(self._handle(fh))

    def fsync(self, ctx: Context, path: str, fh: int, datasync: bool = False) -> None:
        """Nothing, unless ignore_fsync=false."""
        del path, datasync
        if self.options.ignore_fsync:
            return
        with self._calling(ctx, "fsync"):
            self._save(self._handle(fh))

    def release(self, ctx: Context, path: str, fh: int) -> None:
        """The last close. With sync_upload=false the upload happens here, where nobody hears of its failure."""
        handle = self._handle(fh)
        with self._calling(ctx, "release"), handle.node.lock:
            handle.node.open_count -= 1
            with self._lock:
                del self._handles[fh]
            self._save(handle)

    @staticmethod
    def _save(handle: _Handle) -> None:
        if handle.writer is not None:
            with handle.node.lock:
                handle.writer.flush()

    # --- looking names up -------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock.now()

    def _calling(self, ctx: Context, operation: str) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(calling(Caller(self.options.mountpoint, operation, ctx.pid, ctx.uid, ctx.command)))
        stack.push(_plain_error)
        return stack

    def _handle(self, fh: int) -> _Handle:
        with self._lock:
            found = self._handles.get(fh)
        if found is None:
            raise failure(errno.EBADF)
        return found

    def _walk(self, path: str) -> Node:
        """The directory at a path. The kernel has looked at every name on the way, so what is not known here is what it
        knows from before. ESTALE when one of them has gone: the kernel looks at all of them again then."""
        node = self._tree.root
        for name in path.split("/"):
            if name:
                below = node.children.get(name) or self._tree.add(node, name, stat.S_IFDIR, now=self._now())
                if below.stale:
                    raise failure(errno.ESTALE, path)
                node = below
        return node

    def _parent(self, path: str) -> tuple[Node, str]:
        directory, _, name = path.rpartition("/")
        return self._walk(directory), name

    def _check_name(self, path: str) -> None:
        if len(os.fsencode(path.rpartition("/")[2])) > NAME_MAX:
            raise failure(errno.ENAMETOOLONG, path)

    def _known(self, path: str) -> Node:
        """The node that the kernel means by a path. ESTALE when it has gone."""
        if path == "/":
            return self._tree.root
        parent, name = self._parent(path)
        node = parent.children.get(name)
        if node is None:
            return self._lookup(path)
        if node.stale:
            raise failure(errno.ESTALE, path)
        return node

    def _lookup(self, path: str) -> Node:
        """LOOKUP or GETATTR: out of what is known, or HEAD of the name and, when there is no such object, a LIST below
        it."""
        if path == "/":
            return self._tree.root
        self._check_name(path)
        parent, name = self._parent(path)
        node = self._tree.child(parent, name)
        now = self._now()
        if node is not None and (node.valid(now, self.options.attr_timeout) or now < node.told):
            return node
        if self._missing.has(path, now) or (node is None and self._told_missing.has(path, now)):
            raise failure(errno.ENOENT, path)
        try:
            kind, size, mtime, etag = self._stat(path)
        except RequestFailed as error:
            if error.errno == errno.ENOENT:
                self._vanished(path, node)
            raise
        with parent.lock:
            node = self._tree.child(parent, name)
            if node is None:
                return self._tree.add(parent, name, kind, size=size, mtime=mtime, etag=etag, now=now)
            if node.kind != kind:
                self._vanished(path, node)
                raise failure(errno.ENOENT, path)
            if node.writer is None:
                node.etag = etag
                node.learn(size, mtime, now)
            return node

    def _refresh(self, node: Node) -> None:
        """GETATTR of an open file."""
        if node.stale:
            raise failure(errno.ESTALE)
        now = self._now()
        if node is self._tree.root or node.valid(now, self.options.attr_timeout):
            return
        path = node.path
        try:
            kind, size, mtime, etag = self._stat(path)
        except RequestFailed as error:
            if error.errno == errno.ENOENT:
                self._vanished(path, node)
            raise
        if kind != node.kind:
            raise failure(errno.ENOENT, path)
        node.etag = etag
        node.learn(size, mtime, now)

    def _vanished(self, path: str, node: Node | None) -> None:
        now = self._now()
        if node is not None:
            self._tree.gone(node, recursively=self.options.mark_stale_recursively and self.options.allow_rename_dir)
        self._missing.insert(path, now)
        self._told_missing.insert(path, now)

    def _appeared(self, path: str, *, below: bool = False) -> None:
        for missing in (self._missing, self._told_missing):
            missing.erase(path, below=below)

    def _stat(self, path: str) -> tuple[int, int, float, str]:
        """Type, size, mtime and ETag on the server. Raises RequestFailed."""
        try:
            meta = self._client.object_meta(path)
        except RequestFailed as error:
            if error.errno != errno.ENOENT:
                raise
        else:
            if self.options.enable_symlink and meta.kind == "Symlink":
                return stat.S_IFLNK, self._link_size(path, meta.size), meta.mtime, meta.etag
            return stat.S_IFREG, meta.size, meta.mtime, meta.etag
        if self._client.any_below(path, max_keys=1):
            return stat.S_IFDIR, 0, 0.0, ""
        raise RequestFailed(errno.ENOENT, path, status=404)

    def _link_size(self, path: str, target_size: int) -> int:
        """How long the relative target will be; with a prefix, `target_size` is that of the whole key, except right
        after symlink(2), when the original subtracts the prefix all the same (measured)."""
        size = target_size + 3 * (path.count("/") - 1)
        prefix = self.options.prefix
        if not prefix:
            return size
        return size - len(prefix) - 1 if target_size > len(prefix) else target_size

    @contextmanager
    def _creating(self, path: str) -> Iterator[tuple[Node, str]]:
        """The directory and the name of something new, which nobody else can make meanwhile. Raises EEXIST."""
        self._check_name(path)
        parent, name = self._parent(path)
        with parent.lock:
            if parent.stale:
                raise failure(errno.ESTALE, path)
            if self._tree.child(parent, name) is not None:
                raise failure(errno.EEXIST, path)
            if not self._missing.has(path, self._now()):
                try:
                    self._stat(path)
                except RequestFailed as error:
                    if error.errno != errno.ENOENT:
                        raise
                else:
                    raise failure(errno.EEXIST, path)
            yield parent, name


def _plain_error(kind: object, error: BaseException | None, trace: object) -> bool:
    """A RequestFailed leaves as the subclass of OSError that Python's own calls raise (FileNotFoundError, ...)."""
    del kind, trace
    if isinstance(error, RequestFailed):
        raise failure(error.errno or errno.EIO, error.filename or "") from error
    return False


def _is_name(name: str) -> bool:
    return bool(name) and name not in (".", "..") and len(os.fsencode(name)) <= NAME_MAX


def _list_time(text: str) -> float:
    """Seconds since the epoch of "2023-10-12T02:03:53.000Z"; 0 when it is no such time."""
    import calendar

    try:
        return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0
