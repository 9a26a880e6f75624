"""`Ossfs2`: ossfs 2.x as plain methods, one for each FUSE operation, with the same interface as `OssFs`.

The original is a file system of inodes (libfuse's low-level interface) that leaves permissions to the kernel
(default_permissions). Here the operations take paths, as for ossfs 1.x, so that the FUSE adapter and the model of the
kernel serve both; what the original keeps by inode is in `inode` and `names`.

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
from contextlib import ExitStack
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
from ossfuse.ossfs2.directory import Directory
from ossfuse.ossfs2.inode import Node, Tree
from ossfuse.ossfs2.names import NAME_MAX, Names
from ossfuse.ossfs2.options import MountOptions
from ossfuse.ossfs2.pages import Pages
from ossfuse.ossfs2.profile import Profile
from ossfuse.ossfs2.reader import Reader
from ossfuse.ossfs2.rename import rename_directory
from ossfuse.ossfs2.writer import Writer

__all__ = ["Ossfs2"]

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
    kept: bool


class Ossfs2:
    """One mount.

    euid, egid: of the ossfs2 process, owner of everything unless uid= and gid= say other. told: the kernel keeps
    nothing of what it is told, so that time can be moved; the file system then answers from what it has told, as the
    kernel would have.
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
        self._tree = Tree(
            uid=euid if options.uid is None else options.uid,
            gid=egid if options.gid is None else options.gid,
            file_mode=options.file_mode,
            dir_mode=options.dir_mode,
            now=clock.now(),
        )
        self._names = Names(self._tree, client=client, options=options, clock=clock, told=told)
        self._directory = Directory(self._names, client=client, options=options, clock=clock)
        self._pages = Pages()
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
        self._pages.clear()

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
            node = self._handle(fh).node if fh is not None else self._names.lookup(path)
            if fh is not None:
                self._names.refresh(node)
            return self._names.tell(node)

    def access(self, ctx: Context, path: str, mask: int) -> None:
        """Never asked by a kernel that checks permissions itself; granted."""

    def chmod(self, ctx: Context, path: str, mode: int) -> None:
        """Accepted and not stored: the mode stays what file_mode= and dir_mode= say."""
        del mode
        with self._calling(ctx, "chmod"):
            self._names.known(path)

    def chown(self, ctx: Context, path: str, uid: int, gid: int) -> None:
        """Accepted and not stored."""
        del uid, gid
        with self._calling(ctx, "chown"):
            self._names.known(path)

    def utimens(self, ctx: Context, path: str, atime: float | None, mtime: float | None) -> None:
        """The mtime changes in the inode, until the object is looked at again; the atime does not. None keeps one."""
        del atime
        with self._calling(ctx, "utimens"):
            node = self._names.known(path)
            if mtime is not None:
                with node.lock:
                    node.learn(node.size, mtime, self._now())
                    node.told = node.told and 0.0

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
        with self._calling(ctx, "mkdir"), self._names.creating(path) as (parent, name):
            self._client.put(f"{path}/")
            self._tree.add(parent, name, stat.S_IFDIR, now=self._now()).new = True
            self._names.appeared(path)

    def symlink(self, ctx: Context, target: str, path: str) -> None:
        """With enable_symlink=true a symbolic link object of OSS, which names a key; only relative targets inside the
        mount are possible."""
        if not self.options.enable_symlink:
            raise failure(errno.ENOTSUP, path)
        if target.startswith("/"):
            raise failure(errno.EINVAL, path)
        with self._calling(ctx, "symlink"), self._names.creating(path) as (parent, name):
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(path[1:]), target))
            prefix = f"{self.options.prefix}/" if self.options.prefix else ""
            if inside.split("/")[0] in ("..", ".") or len(os.fsencode(prefix + inside)) > MAX_KEY:
                raise failure(errno.EINVAL, path)
            if target.endswith("/"):
                inside += "/"
            self._client.put_symlink(path, prefix + inside)
            now = self._now()
            size = self._names.link_size(path, len(os.fsencode(inside)))
            self._tree.add(parent, name, stat.S_IFLNK, size=size, mtime=now, now=now).new = True
            self._names.appeared(path)

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
            node = self._names.known(path)
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
            node = self._names.known(path)
            with node.lock:
                if not node.is_directory:
                    raise failure(errno.ENOTDIR, path)
                if not node.is_empty():
                    raise failure(errno.ENOTEMPTY, path)
                self._client.delete(f"{path}/")
                node.stale = True

    def rename(self, ctx: Context, old: str, new: str) -> None:
        with self._calling(ctx, "rename"):
            self._names.check_name(new)
            node = self._names.known(old)
            source, (target, name) = node.parent, self._names.parent(new)
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
                    rename_directory(self._client, self.options, old, new)
                else:
                    self._client.copy(old, new)
                    self._client.delete(old)
                self._tree.move(node, target, name)
            self._names.appeared(new, below=node.is_directory)

    def _save_below(self, node: Node) -> None:
        """What is being written is uploaded under its old name first."""
        for one in list(self._tree.nodes()):
            if one.writer is not None and self._tree.inside(one, node):
                with one.lock:
                    if one.writer is not None:
                        one.writer.flush()

    def opendir(self, ctx: Context, path: str) -> None:
        with self._calling(ctx, "opendir"):
            self._names.known(path)

    def readdir(self, ctx: Context, path: str) -> list[tuple[str, Attributes | None]]:
        """Files that are being written first, then the listing, 100 keys a page. What is no file name (empty, "..",
        above 255 bytes) is left out; a file and a directory of one name are both there."""
        with self._calling(ctx, "readdir"):
            node = self._names.known(path)
            found = self._directory.list(node, path)
            if not found:
                # The kernel asks on behind ".." and the original begins anew (measured).
                found = self._directory.list(node, path)
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

    # --- open files -------------------------------------------------------------------------------------------------

    def create(self, ctx: Context, path: str, mode: int, flags: int) -> int:
        """Returns a handle. Nothing is sent but the look whether the name is free; the object comes with close(2)."""
        del mode
        with self._calling(ctx, "create"), self._names.creating(path) as (parent, name):
            now = self._now()
            node = self._tree.add(parent, name, stat.S_IFREG, mtime=now, now=now)
            # The answer to CREATE comes without time-outs (source: ossfs2_create).
            node.told = None
            with node.lock:
                handle = self._new_handle(ctx, node, flags | os.O_CREAT)
            self._names.appeared(path)
            return handle.number

    def open(self, ctx: Context, path: str, flags: int) -> int:
        """Returns a handle. Raises ENOENT or ESTALE for what has gone, EBUSY for O_TRUNC while it is being written."""
        with self._calling(ctx, "open"):
            node = self._names.known(path)
            with node.lock:
                if self.options.close_to_open and node.writer is None:
                    self._look_before_open(node, path)
                if flags & os.O_TRUNC and node.writer is not None and node.size:
                    raise failure(errno.EBUSY, path)
                return self._new_handle(ctx, node, flags & ~os.O_CREAT).number

    def _look_before_open(self, node: Node, path: str) -> None:
        try:
            remote = self._names.stat(path)
        except RequestFailed as error:
            if error.errno == errno.ENOENT and not node.open_count:
                node.stale = True
            raise
        node.meet(remote.size, remote.mtime, remote.etag, self._now())

    def _new_handle(self, ctx: Context, node: Node, flags: int) -> _Handle:
        writer = None
        if flags & os.O_ACCMODE != os.O_RDONLY:
            writer = Writer(node, flags, client=self._client, options=self.options, clock=self._clock, rng=self._rng)
        kept = not node.changed
        if node.changed:
            self._pages.drop(node)
            node.changed = False
        reader = Reader(node, writer, client=self._client, options=self.options, pages=self._pages)
        if writer is not None:
            writer.open(lambda: self._empty(node, writer.path))
            if flags & os.O_TRUNC:
                node.told = node.told and 0.0
        handle = _Handle(next(self._numbers), node, reader, writer, ctx, kept)
        with self._lock:
            self._handles[handle.number] = handle
        node.open_count += 1
        return handle

    def keeps_pages(self, fh: int) -> bool:
        """Whether the kernel may go on with what it has read of the file before this open."""
        return self._handle(fh).kept

    def read(self, ctx: Context, path: str, fh: int, size: int, offset: int) -> bytes:
        del path
        with self._calling(ctx, "read"):
            handle = self._handle(fh)
            # The kernel's atime is out of date with every READ: the next stat(2) shows what is known by now.
            handle.node.shown = None
            try:
                return handle.reader.read(size, offset)
            except OSError:
                self._pages.drop(handle.node)  # as the kernel does not trust a page that it failed to read
                raise

    def write(self, ctx: Context, path: str, fh: int, data: bytes, offset: int) -> int:
        """Only behind the last byte; with O_APPEND the offset does not count."""
        handle = self._handle(fh)
        if handle.writer is None:
            raise failure(errno.ENOTSUP, path)
        with self._calling(ctx, "write"), handle.node.lock:
            # The kernel's size and times are out of date with every WRITE, a failed one too.
            handle.node.told = 0.0
            try:
                return handle.writer.write(bytes(data), offset)
            except OSError:
                self._pages.drop(handle.node)
                raise

    def truncate(self, ctx: Context, path: str, size: int, fh: int | None = None) -> None:
        """Only to nothing; ENOTSUP otherwise, whatever the size is now."""
        with self._calling(ctx, "truncate"):
            node = self._handle(fh).node if fh is not None else self._names.known(path)
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
        mtime = self._names.stat(path).mtime
        node.changed = True
        node.etag = ""
        node.told = node.told and 0.0
        node.learn(0, mtime, self._now())

    def flush(self, ctx: Context, path: str | None, fh: int) -> None:
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

    # ----------------------------------------------------------------------------------------------------------------

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


def _plain_error(kind: object, error: BaseException | None, trace: object) -> bool:
    """A RequestFailed leaves as the subclass of OSError that Python's own calls raise (FileNotFoundError, ...)."""
    del kind, trace
    if isinstance(error, RequestFailed):
        raise failure(error.errno or errno.EIO, error.filename or "") from error
    return False
