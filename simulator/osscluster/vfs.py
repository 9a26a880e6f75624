"""The kernel's and libfuse's part of a mount, as a model: path walk, caches, descriptors, the checks that the file
system is never asked about, and what of each system call reaches it.

It sits between a `Task` (a process of the direct engine) and ossfs's core, and asks the core for the same operations
in the same order as Linux with libfuse 2.9 does: a LOOKUP (getattr) for each name that isn't cached, a getattr behind
each create, mkdir, symlink and attribute change, flush at every close, release at the last, a rename to .fuse_hidden*
for the unlink of an open file. Names and attributes are cached for attr_timeout and entry_timeout (1 s) on the
volume's clock; missing names are not. With default_permissions the checks of `permission` come before the file
system's. A file system of inodes (libfuse's low-level interface) is asked by the handle of an open file where it has
one, and for regular files by mknod too.

Not modelled: the page cache (ossfs keeps the data of open files itself, so no request depends on it), mmap, locks,
FIFOs and devices (opening one answers ENXIO), and what lies outside the volume (an absolute link
that leaves it, or "..", answers ENOENT). RELEASE comes at once, not some time after close(2).

One thread only, the runner's. Sources: Linux 6.18 fs/fuse and fs/namei.c, libfuse 2.9.9 lib/fuse.c,
path_resolution(7).
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, replace

from osscloud.clock import Clock
from osscluster import permission
from osscluster.inode import NAME_MAX, Inode, OpenFile, Place, check_good, fail, line_of
from osscluster.permission import EXECUTE, READ, WRITE
from ossfuse.attributes import Attributes
from ossfuse.fuse_adapter import FileSystem
from ossfuse.mounted import Context

__all__ = ["MountFlags", "Vfs"]
_PATH_MAX = 4096
_LINKS_MAX = 40
_PAGE = 4096
_READ_MAX = 128 * 1024
_TYPES = {stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK}
_OPEN_ONLY = os.O_CREAT | os.O_EXCL | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class MountFlags:
    """What the mount's options tell the kernel and libfuse. uid, gid: of the process that mounted; umask, show_uid,
    show_gid: what libfuse puts over every file's attributes; loses_unlinked: libfuse has no path for what was removed
    while it, or something in it, was open; utime_omit: libfuse hands on a change of one time; permissions: the kernel
    checks modes and owners itself; inodes: the file system speaks libfuse's low-level interface; max_write: bytes a
    WRITE may carry."""

    uid: int
    gid: int
    allow_other: bool = False
    allow_root: bool = False
    read_only: bool = False
    umask: int | None = None
    show_uid: int | None = None
    show_gid: int | None = None
    hard_remove: bool = False
    loses_unlinked: bool = False
    utime_omit: bool = True
    permissions: bool = False
    inodes: bool = False
    attr_timeout: float = 1.0
    entry_timeout: float = 1.0
    max_write: int = _READ_MAX
    xattr: bool = False


@dataclass(slots=True, eq=False)
class _Superblock:
    """What all mounts of one file system share."""

    fs: FileSystem
    last_number: int = 1
    hidden_count: int = 0
    connected: bool = True
    read_only: bool = False


class Vfs:
    """One mounted file system as the kernel sees it."""

    def __init__(self, fs: FileSystem, *, clock: Clock, flags: MountFlags, mountpoint: str) -> None:
        self._super = _Superblock(fs, read_only=flags.read_only)
        self._clock = clock
        self._flags = flags
        self._mountpoint = mountpoint
        self._root = Inode(1, None, "", Attributes(mode=stat.S_IFDIR | 0o700, uid=flags.uid, gid=flags.gid))
        self._groups: dict[int, frozenset[int]] = {}

    def enrol(self, pid: int, groups: Sequence[int]) -> None:
        """A process begins. groups: its supplementary ones, which no request tells."""
        self._groups[pid] = frozenset(groups)

    def bound(self, root: Inode, mountpoint: str, *, read_only: bool) -> Vfs:
        """The same file system as a bind mount shows it: from `root` down, at another place, read-only or as it is."""
        view = copy(self)
        view._root = root
        view._mountpoint = mountpoint
        view._flags = replace(self._flags, read_only=read_only or self._super.read_only)
        root.bound += 1
        return view

    @property
    def connected(self) -> bool:
        """Whether the file system's process lives."""
        return self._super.connected

    def disconnect(self) -> None:
        """The ossfs process has died: ENOTCONN from now on, and nothing of what was cached."""
        self._super.connected = False

    def same_file_system(self, other: Vfs) -> bool:
        """Whether both are mounts of one file system."""
        return self._super is other._super

    @property
    def root(self) -> Inode:
        """Where this mount begins."""
        return self._root

    @property
    def flags(self) -> MountFlags:
        """How the volume is mounted."""
        return self._flags

    # --- the file system's side: what a request costs and what its answer changes ---

    @property
    def fs(self) -> FileSystem:
        """The core, while its process lives."""
        if not self.connected:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._super.fs

    def _shown(self, attributes: Attributes) -> Attributes:
        # libfuse's set_stat.
        flags, shown = self._flags, attributes.copy()
        if flags.umask is not None:
            shown.mode = stat.S_IFMT(shown.mode) | (0o777 & ~flags.umask)
        if flags.show_uid is not None:
            shown.uid = flags.show_uid
        if flags.show_gid is not None:
            shown.gid = flags.show_gid
        return shown

    def _refresh(self, context: Context, node: Inode) -> None:
        """GETATTR. ossfs 1.x has no fgetattr: the path is asked for, whether a file is open or not."""
        attributes = self._shown(self.fs.getattr(context, node.path, self._handle_of(node)))
        if stat.S_IFMT(attributes.mode) != node.kind:
            # The inode has become a bad one: the name is looked up anew, open files of it are lost.
            node.bad = True
            self._forget(node)
            fail(errno.EIO, node.path)
        node.attributes = attributes
        node.attributes_until = self._clock.now() + self._flags.attr_timeout
        node.outdated = False

    def _handle_of(self, node: Inode) -> int | None:
        return node.handles[-1] if self._flags.inodes and node.handles else None

    def fresh(self, context: Context, node: Inode) -> Attributes:
        """The attributes that stat(2) shows."""
        check_good(node)
        self.allowed(context, node)
        if self._flags.inodes and node.open_count and not node.cached:
            fail(errno.ESTALE, node.path)  # its ctime changed with its last name, and the file system is asked
        if node.outdated:
            self._refresh(context, node)
        return self._sized(context, node)

    def _sized(self, context: Context, node: Inode) -> Attributes:
        """The attributes where only the size counts."""
        if not self.connected or node.attributes_until <= self._clock.now():
            self._refresh(context, node)
        return node.attributes

    def lookup(self, context: Context, parent: Inode, name: str, *, force: bool = False) -> Inode:
        """LOOKUP, unless the name is cached. Raises ENOENT, ENAMETOOLONG, EACCES, or the file system's errno."""
        self._directory(context, parent)
        path = parent.path.rstrip("/") + "/" + name
        if len(os.fsencode(name)) > NAME_MAX:
            fail(errno.ENAMETOOLONG, path)
        known = parent.children.get(name)
        if known is not None and known.cached:
            if not force and self.connected and known.entry_until > self._clock.now():
                return known
            # A known name is revalidated by a LOOKUP of its own; only then does the kernel begin anew, with another.
            try:
                attributes = self.fs.getattr(context, path)
                if stat.S_IFMT(attributes.mode) == known.kind:
                    return self._learn(parent, name, attributes)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOMEM):
                    raise
            self._drop(known)
        return self._learn(parent, name, self.fs.getattr(context, path))

    def lookup_if_there(self, context: Context, parent: Inode, name: str, *, force: bool = False) -> Inode | None:
        """`lookup`, but None where it says ENOENT."""
        try:
            return self.lookup(context, parent, name, force=force)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return None

    def _absent(self, context: Context, path: str) -> bool:
        try:
            self.fs.getattr(context, path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return True
        return False

    def _learn(self, parent: Inode, name: str, raw: Attributes, *, wanted: int | None = None) -> Inode:
        """Takes in the answer to a LOOKUP, or to the request that made the name. wanted: the type just asked for."""
        attributes = self._shown(raw)
        kind = stat.S_IFMT(attributes.mode)
        if kind not in _TYPES or (wanted is not None and kind != wanted):
            fail(errno.EIO, parent.path.rstrip("/") + "/" + name)
        node = parent.children.get(name)
        if node is None or node.kind != kind:
            self._super.last_number += 1
            node = parent.children[name] = Inode(self._super.last_number, parent, name, attributes)
        now = self._clock.now()
        node.attributes = attributes
        node.attributes_until = now + self._flags.attr_timeout
        node.outdated = False
        node.cached = True
        node.entry_until = now + self._flags.entry_timeout
        return node

    def _drop(self, node: Inode) -> None:
        if node.in_use:
            node.cached = False
        else:
            self._forget(node)

    def _lose_paths(self, node: Inode) -> None:
        """libfuse forgets the name of what is removed, and has no path any more for anything below it either: ossfs
        lets a directory go in which there is a file that is open and was never uploaded."""
        if self._flags.loses_unlinked:
            for child in tuple(node.children.values()):
                self._lose_paths(child)
            node.pathless = node.in_use
            self._forget(node)

    @contextmanager
    def _gone_if_missing(self, *nodes: Inode | None) -> Iterator[None]:
        """ENOENT from a removal tells the kernel that its names are wrong."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOENT:
                for node in nodes:
                    if node is not None:
                        self._drop(node)
            raise

    def _forget(self, node: Inode) -> None:
        if node.parent is not None and node.parent.children.get(node.name) is node:
            del node.parent.children[node.name]

    def _move(self, node: Inode, parent: Inode, name: str) -> None:
        self._forget(node)
        node.parent, node.name = parent, name
        parent.children[name] = node

    def _made(self, context: Context, place: Place, kind: int) -> Inode:
        """The getattr that libfuse sends behind whatever makes a name."""
        path = self.path_of(place)
        place.parent.attributes_until = 0.0
        return self._learn(place.parent, place.name, self.fs.getattr(context, path), wanted=kind)

    def _hide(self, context: Context, node: Inode) -> None:
        """libfuse's hide_node: an open file keeps its content under another name."""
        assert node.parent is not None
        parent, shown = node.parent, node.path[1:]
        for _ in range(10):
            self._super.hidden_count += 1
            name = f".fuse_hidden{node.number:08x}{self._super.hidden_count:08x}"
            path = parent.path.rstrip("/") + "/" + name
            if self._absent(context, path):
                self.fs.rename(context, node.path, path)
                self._move(node, parent, name)
                node.hidden = True
                node.deleted_as = shown if node.deleted_as is None else node.deleted_as
                node.cached = False
                node.outdated = True
                return
        fail(errno.EBUSY, node.path)

    # --- checks of the kernel ---

    def allowed(self, context: Context, node: Inode) -> None:
        """fuse_allow_current_process: without allow_other only the user and group that mounted; allow_root is
        libfuse's, which looks at the user alone."""
        flags = self._flags
        if flags.allow_other:
            return
        if flags.allow_root:
            if context.uid not in (flags.uid, 0):
                fail(errno.EACCES, node.path)
        elif (context.uid, context.gid) != (flags.uid, flags.gid):
            fail(errno.EACCES, node.path)

    def check(self, context: Context, node: Inode, wanted: int) -> None:
        """fuse_permission. wanted: READ, WRITE, EXECUTE together. Raises EACCES."""
        self.allowed(context, node)
        if not self._flags.permissions:
            return
        if not permission.allows(self._sized(context, node), context, self._groups_of(context), wanted):
            fail(errno.EACCES, node.path)

    def _groups_of(self, context: Context) -> frozenset[int]:
        return self._groups.get(context.pid, frozenset())

    def _may_make(self, context: Context, place: Place) -> None:
        """may_create."""
        self.check(context, place.parent, WRITE | EXECUTE)

    def _may_remove(self, context: Context, node: Inode) -> None:
        """may_delete."""
        assert node.parent is not None
        self.check(context, node.parent, WRITE | EXECUTE)
        if self._flags.permissions and permission.sticks(node.attributes, node.parent.attributes, context):
            fail(errno.EPERM, node.path)

    def may_use(self, context: Context) -> bool:
        """`allowed` as a question."""
        try:
            self.allowed(context, self._root)
        except PermissionError:
            return False
        return True

    def enter(self, context: Context, node: Inode) -> None:
        """Whether a path may lead through the node."""
        self._directory(context, node)
        self.check(context, node, EXECUTE)

    def _directory(self, context: Context, node: Inode) -> None:
        if node.kind != stat.S_IFDIR:
            fail(errno.ENOTDIR, node.path)
        self.allowed(context, node)

    def writable_mount(self, path: str) -> None:
        """mnt_want_write."""
        if self._flags.read_only:
            fail(errno.EROFS, path)

    def has_xattr(self, path: str) -> None:
        """Where the file system has no such operations libfuse answers ENOSYS, and the kernel this."""
        if not self._flags.xattr:
            fail(errno.EOPNOTSUPP, path)

    # --- path walk ---

    def path_of(self, place: Place) -> str:
        """Absolute path inside the volume."""
        return place.parent.path.rstrip("/") + "/" + place.name if place.name else place.parent.path

    def place(self, context: Context, path: str, *, base: Inode | None = None, links: list[int] | None = None) -> Place:
        """Walks to the last component and leaves it unresolved. links: symbolic links followed so far."""
        if len(os.fsencode(path)) + len(self._mountpoint) + 2 > _PATH_MAX:
            fail(errno.ENAMETOOLONG, path)
        node = base or self._root
        todo = deque(name for name in path.split("/") if name)
        trailing = path.endswith("/")
        links = [0] if links is None else links
        while todo:
            name = todo.popleft()
            self.enter(context, node)
            if not todo:
                return Place(node, name, trailing)
            if name == ".":
                continue
            if name == "..":
                node = self._up(node)
                continue
            child = self.lookup(context, node, name)
            if child.kind == stat.S_IFLNK:
                node, names = self._follow(context, child, node, links)
                todo.extendleft(reversed(names))
            else:
                node = child
        return Place(node, "", trailing)

    def find(self, context: Context, path: str, *, follow: bool = True) -> Inode:
        """The node at a path. Raises as path_resolution(7) says."""
        return self.resolve(context, self.place(context, path), follow=follow)

    def resolve(self, context: Context, place: Place, *, follow: bool = True, links: list[int] | None = None) -> Inode:
        """The node at a place."""
        links = [0] if links is None else links
        trailing = place.trailing_slash
        while True:
            node = self._last(context, place)
            if node.kind != stat.S_IFLNK or not (follow or trailing):
                break
            base, names = self._follow(context, node, place.parent, links)
            place = self.place(context, "/".join(names), base=base, links=links)
        if trailing and node.kind != stat.S_IFDIR:
            fail(errno.ENOTDIR, node.path)
        return node

    def _last(self, context: Context, place: Place) -> Inode:
        if place.name in ("", "."):
            if place.name or place.parent is not self._root:
                self.enter(context, place.parent)
            return place.parent
        if place.name == "..":
            self.enter(context, place.parent)
            return self._up(place.parent)
        return self.lookup(context, place.parent, place.name)

    def _up(self, node: Inode) -> Inode:
        if node is self._root or node.parent is None:
            fail(errno.ENOENT, "..")
        return node.parent

    def _follow(self, context: Context, link: Inode, parent: Inode, links: list[int]) -> tuple[Inode, list[str]]:
        """Where to go on, and the names to walk from there."""
        links[0] += 1
        if links[0] > _LINKS_MAX:
            fail(errno.ELOOP, link.path)
        target = self.readlink(context, link)
        base = parent  # where an empty target stays
        if target.startswith("/"):
            if target != self._mountpoint and not target.startswith(self._mountpoint + "/"):
                fail(errno.ENOENT, link.path)
            base, target = self._root, target[len(self._mountpoint) :]
        names = [name for name in target.split("/") if name]
        if target.endswith("/") and names:
            names.append(".")
        return base, names

    def readlink(self, context: Context, link: Inode) -> str:
        """READLINK; atime has changed then."""
        try:
            return self.fs.readlink(context, link.path)
        finally:
            link.outdated = True

    # --- calls on names ---

    def absent(self, context: Context, path: str, *, directory: bool = False) -> Place:
        """filename_create: a place where nothing is yet. directory: what is made may be named with a slash behind.
        Raises EEXIST, then ENOENT, then EROFS."""
        place = self.place(context, path)
        if place.name in ("", ".", ".."):
            fail(errno.EEXIST, path)
        if self.lookup_if_there(context, place.parent, place.name, force=True) is not None:
            fail(errno.EEXIST, path)
        if place.trailing_slash and not directory:
            fail(errno.ENOENT, path)
        self.writable_mount(path)
        self._may_make(context, place)
        return place

    def make(self, context: Context, place: Place, kind: int) -> Inode:
        """Learns a name that the file system has just made."""
        return self._made(context, place, kind)

    def unlink(self, context: Context, path: str) -> None:
        """unlink(2)."""
        place = self.place(context, path)
        if place.name in ("", ".", ".."):
            fail(errno.EISDIR if place.parent.kind == stat.S_IFDIR else errno.EBUSY, path)
        self.writable_mount(path)
        node = self.lookup(context, place.parent, place.name)
        if place.trailing_slash:
            fail(errno.EISDIR if node.kind == stat.S_IFDIR else errno.ENOTDIR, path)
        self._may_remove(context, node)
        if node.kind == stat.S_IFDIR:
            fail(errno.EISDIR, path)
        if node.open_count and not self._flags.hard_remove:
            with self._gone_if_missing(node):
                self._hide(context, node)
        else:
            with self._gone_if_missing(node):
                self.fs.unlink(context, node.path)
            self._lose_paths(node)
            self._drop(node)
        place.parent.attributes_until = 0.0

    def rmdir(self, context: Context, path: str) -> None:
        """rmdir(2)."""
        place = self.place(context, path)
        if place.name in ("", ".", ".."):
            fail({"": errno.EBUSY, ".": errno.EINVAL, "..": errno.ENOTEMPTY}[place.name], path)
        self.writable_mount(path)
        node = self.lookup(context, place.parent, place.name)
        self._may_remove(context, node)
        if node.kind != stat.S_IFDIR:
            fail(errno.ENOTDIR, path)
        with self._gone_if_missing(node):
            self.fs.rmdir(context, node.path)
        self._lose_paths(node)
        self._drop(node)
        place.parent.attributes_until = 0.0

    def rename(self, context: Context, old: str, new: str) -> None:
        """rename(2), in the order of do_renameat2 and vfs_rename."""
        source, target = self.place(context, old), self.place(context, new)
        if not {source.name, target.name}.isdisjoint({"", ".", ".."}):
            fail(errno.EBUSY, old)
        self.writable_mount(old)
        node = self.lookup(context, source.parent, source.name)
        directory = node.kind == stat.S_IFDIR
        replaced = self.lookup_if_there(context, target.parent, target.name, force=True)
        if not directory and (source.trailing_slash or target.trailing_slash):
            fail(errno.ENOTDIR, old)
        if node in line_of(target.parent):
            fail(errno.EINVAL, old)
        if replaced is not None:
            if replaced in line_of(source.parent):
                fail(errno.ENOTEMPTY, new)
            if replaced is node:
                return
        self._may_remove(context, node)
        if replaced is None:
            self._may_make(context, target)
        else:
            self._may_remove(context, replaced)
            if directory and replaced.kind != stat.S_IFDIR:
                fail(errno.ENOTDIR, new)
            if not directory and replaced.kind == stat.S_IFDIR:
                fail(errno.EISDIR, new)
            # libfuse does not count the opens of directories.
            if replaced.open_count and replaced.kind != stat.S_IFDIR and not self._flags.hard_remove:
                self._hide(context, replaced)
        if directory and target.parent is not source.parent:
            self.check(context, node, WRITE)  # its ".." changes
        with self._gone_if_missing(node, replaced):
            self.fs.rename(context, node.path, self.path_of(target))
        left = target.parent.children.pop(target.name, None)
        self._move(node, target.parent, target.name)
        if left is not None:
            left.deleted_as = self.path_of(target)[1:]
            self._lose_paths(left)
        node.outdated = True
        source.parent.attributes_until = target.parent.attributes_until = 0.0

    # --- attribute changes: SETATTR is the operation, then a getattr for the answer ---

    def chmod(self, context: Context, node: Inode, mode: int) -> None:
        """chmod(2). The file system gets the type bits too."""
        self._may_change(context, node)
        self._owned(context, node)
        self.fs.chmod(context, node.path, node.kind | (mode & 0o7777))
        self._refresh(context, node)
        if node.kind == stat.S_IFDIR:
            # Who may pass through it has to be asked again.
            node.entry_until = 0.0

    def chown(self, context: Context, node: Inode, uid: int, gid: int) -> None:
        """chown(2); -1 leaves an id alone. Takes setuid and setgid from files, whoever asks."""
        self._may_change(context, node)
        if self._flags.permissions and not permission.may_give(
            self._sized(context, node), context, self._groups_of(context), uid, gid
        ):
            fail(errno.EPERM, node.path)
        if node.kind != stat.S_IFDIR:
            self._refresh(context, node)
            kept = _without_privileges(node.attributes.mode)
            if kept != node.attributes.mode:
                self.fs.chmod(context, node.path, kept)
        if (uid, gid) != (-1, -1):
            self.fs.chown(context, node.path, uid, gid)
        self._refresh(context, node)

    def utime(self, context: Context, node: Inode, atime: float | None, mtime: float | None) -> None:
        """utimensat(2). libfuse hands a change of one time only on where the release asked for it."""
        self._may_change(context, node)
        self._owned(context, node)
        if self._flags.utime_omit or (atime is not None and mtime is not None):
            self.fs.utimens(context, node.path, atime, mtime)
        self._refresh(context, node)

    def truncate(self, context: Context, node: Inode, size: int) -> None:
        """truncate(2), ftruncate(2): ossfs has one operation for both."""
        if size < 0:
            fail(errno.EINVAL, node.path)
        if node.kind != stat.S_IFREG:
            fail(errno.EISDIR if node.kind == stat.S_IFDIR else errno.EINVAL, node.path)
        self._may_change(context, node)
        self._remove_privileges(context, node)
        self.fs.truncate(context, node.path, size, self._handle_of(node))
        self._refresh(context, node)

    def _may_change(self, context: Context, node: Inode) -> None:
        self.writable_mount(node.path)
        self.allowed(context, node)
        check_good(node)

    def _owned(self, context: Context, node: Inode) -> None:
        """setattr_prepare."""
        if self._flags.permissions and context.uid not in (0, self._sized(context, node).uid):
            fail(errno.EPERM, node.path)

    def _remove_privileges(self, context: Context, node: Inode) -> None:
        """file_remove_privs: before every change of content the kernel looks for file capabilities, and takes
        setuid and setgid from a file that another than root changes."""
        if self._flags.xattr:
            # cap_inode_need_killpriv takes every error for "no capability"; a dead file system shows at the write.
            with suppress(OSError):
                self.fs.getxattr(context, node.path, "security.capability")
        mode = node.attributes.mode
        if context.uid != 0 and _without_privileges(mode) != mode:
            self._refresh(context, node)
            self.fs.chmod(context, node.path, _without_privileges(node.attributes.mode))
            self._refresh(context, node)

    # --- open files ---

    def open(self, context: Context, path: str, flags: int, mode: int) -> OpenFile:
        """open(2). mode: already without the umask's bits."""
        place = self.place(context, path)
        links = [0]
        if flags & os.O_CREAT:
            while True:
                if not place.name and place.parent.kind == stat.S_IFREG:
                    node = place.parent  # a bind mount of a file
                    if flags & os.O_EXCL:
                        fail(errno.EEXIST, path)
                    break
                if place.trailing_slash or (place.name in ("", ".", "..")):
                    fail(errno.EISDIR, path)
                there = self.lookup_if_there(context, place.parent, place.name, force=bool(flags & os.O_EXCL))
                if there is None:
                    self.writable_mount(path)
                    self._may_make(context, place)
                    return self._create(context, place, flags, mode)
                node = there
                if flags & os.O_EXCL:
                    fail(errno.EEXIST, path)
                if node.kind != stat.S_IFLNK or flags & os.O_NOFOLLOW:
                    break
                base, names = self._follow(context, node, place.parent, links)
                place = self.place(context, "/".join(names), base=base, links=links)
            if node.kind == stat.S_IFDIR:
                fail(errno.EISDIR, path)
        else:
            node = self.resolve(context, place, follow=not flags & os.O_NOFOLLOW, links=links)
        return self._open_node(context, node, flags)

    def _create(self, context: Context, place: Place, flags: int, mode: int) -> OpenFile:
        path = self.path_of(place)
        handle = self.fs.create(context, path, stat.S_IFREG | (mode & 0o7777), flags & ~(os.O_NOCTTY | os.O_CLOEXEC))
        try:
            node = self._made(context, place, stat.S_IFREG)
        except OSError:
            self.fs.release(context, path, handle)
            raise
        node.open_count += 1
        node.handles.append(handle)
        return OpenFile(node, flags, handle)

    def _open_node(self, context: Context, node: Inode, flags: int) -> OpenFile:
        writing = flags & os.O_ACCMODE != os.O_RDONLY or bool(flags & os.O_TRUNC)
        if node.kind == stat.S_IFLNK:
            fail(errno.ELOOP, node.path)
        if node.kind == stat.S_IFDIR:
            if writing:
                fail(errno.EISDIR, node.path)
        elif flags & os.O_DIRECTORY:
            fail(errno.ENOTDIR, node.path)
        elif node.kind in (stat.S_IFCHR, stat.S_IFBLK):
            # The mount is nodev.
            fail(errno.EACCES, node.path)
        self.check(context, node, _wanted(flags))
        if writing:
            self.writable_mount(node.path)
        if node.kind == stat.S_IFDIR:
            self.fs.opendir(context, node.path)
            node.open_count += 1
            return OpenFile(node, flags, None)
        if node.kind != stat.S_IFREG:
            fail(errno.ENXIO, node.path)
        handle = self.fs.open(context, node.path, flags & ~_OPEN_ONLY)
        node.open_count += 1
        node.handles.append(handle)
        node.read.clear()
        node.touched.clear()
        if flags & os.O_TRUNC:
            node.attributes = replace(node.attributes, size=0)
            node.attributes_until = 0.0
            self._remove_privileges(context, node)
        return OpenFile(node, flags, handle)

    def mknod(self, context: Context, path: str, mode: int, device: int) -> None:
        """mknod(2). libfuse makes a regular file by create and release."""
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        if kind == stat.S_IFDIR:
            fail(errno.EPERM, path)
        if kind not in _TYPES or kind == stat.S_IFLNK:
            fail(errno.EINVAL, path)
        place = self.absent(context, path)
        if kind in (stat.S_IFCHR, stat.S_IFBLK) and context.uid != 0:
            fail(errno.EPERM, path)
        full = self.path_of(place)
        mode = kind | (mode & 0o7777)
        if kind != stat.S_IFREG or self._flags.inodes:
            self.fs.mknod(context, full, mode, device)
            self._made(context, place, kind)
            return
        handle = self.fs.create(context, full, mode, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        try:
            self._made(context, place, kind)
        finally:
            self.fs.release(context, full, handle)

    def close(self, context: Context, file: OpenFile) -> None:
        """close(2): FLUSH, whose error it answers; then, for the last descriptor of an open file, RELEASE."""
        node = file.node
        file.descriptors -= 1
        try:
            if file.handle is not None:
                if not node.pathless:
                    check_good(node)
                self.fs.flush(context, None if node.pathless else node.path, file.handle)
        finally:
            if not file.descriptors:
                node.open_count -= 1
                if self.connected:
                    self._release(node, file.handle)

    def _release(self, node: Inode, handle: int | None) -> None:
        # RELEASE carries no credentials: uid, gid and pid are 0.
        nobody = Context(uid=0, gid=0)
        if handle is not None:
            node.handles.remove(handle)
            with suppress(OSError):  # nobody waits for RELEASE's answer
                self._super.fs.release(nobody, "" if node.pathless else node.path, handle)
        if node.hidden and not node.open_count:
            node.hidden = False
            try:
                self._super.fs.unlink(nobody, node.path)
            finally:
                self._drop(node)

    def readdir(self, context: Context, directory: Inode) -> Sequence[tuple[str, Attributes | None]]:
        """READDIR; atime has changed then."""
        try:
            return self.fs.readdir(context, directory.path)
        finally:
            directory.outdated = True

    def read(self, context: Context, file: OpenFile, size: int, offset: int) -> bytes:
        """What lies between offset and the size that the kernel knows."""
        if not file.readable:
            fail(errno.EBADF, file.node.path)
        if file.handle is None:
            fail(errno.EISDIR, file.node.path)
        if size < 0 or offset < 0:
            fail(errno.EINVAL, file.node.path)
        node = file.node
        check_good(node)
        if offset + size > node.attributes.size:
            self._sized(context, node)
        end = min(offset + size, node.attributes.size)
        if offset >= end:
            return b""
        # Whole pages are asked for; what lies behind the end is cut off again.
        first = offset - offset % _PAGE
        last = -(-end // _PAGE) * _PAGE
        pieces = []
        for start in range(first, last, _READ_MAX):
            wanted = min(last - start, _READ_MAX)
            try:
                piece = self.fs.read(context, node.path, file.handle, wanted, start)
            except OSError:
                if start // _PAGE in node.touched:
                    raise
                # That was read-ahead, whose errors nobody sees; the page itself is asked for again.
                wanted = _PAGE
                piece = self.fs.read(context, node.path, file.handle, wanted, start)
            pieces.append(bytes(piece))
            if start // _READ_MAX not in node.read:
                # What comes from the page cache leaves atime alone.
                node.read.add(start // _READ_MAX)
                node.outdated = True
            if len(piece) < wanted:
                # A short read is where the file ends, whatever stat said before (fuse_short_read).
                if start + len(piece) < node.attributes.size:
                    node.attributes = replace(node.attributes, size=start + len(piece))
                break
        return b"".join(pieces)[offset - first : end - first]

    def write(self, context: Context, file: OpenFile, data: bytes, offset: int) -> tuple[int, int]:
        """Answers how much was written and where the next byte goes."""
        if not file.writable:
            fail(errno.EBADF, file.node.path)
        if offset < 0:
            fail(errno.EINVAL, file.node.path)
        assert file.handle is not None
        node = file.node
        check_good(node)
        if file.flags & os.O_APPEND:
            offset = node.attributes.size
        if not data:
            return 0, offset
        self._remove_privileges(context, node)
        view, written = memoryview(data), 0
        while written < len(data):
            # A request covers whole pages: at most max_write bytes' worth, the first one only the rest of its page.
            room = self._flags.max_write - offset % _PAGE
            piece = bytes(view[written : written + room])
            try:
                done = self.fs.write(context, node.path, file.handle, piece, offset)
            except OSError:
                if written:
                    break
                raise
            finally:
                node.attributes_until = 0.0
            node.touched.update(range(offset // _PAGE, (offset + done) // _PAGE + 1))
            written += done
            offset += done
            if offset > node.attributes.size:
                node.attributes = replace(node.attributes, size=offset)
            if done < len(piece):
                break
        return written, offset

    def seek_end(self, context: Context, file: OpenFile) -> int:
        """The size, as lseek(2) with SEEK_END learns it."""
        return self._sized(context, file.node).size

    def changed(self, node: Inode) -> None:
        """The node's ctime is no longer the one that is cached."""
        node.outdated = True


def _wanted(flags: int) -> int:
    """acc_mode of build_open_flags."""
    wanted = {os.O_RDONLY: READ, os.O_WRONLY: WRITE, os.O_RDWR: READ | WRITE}[flags & os.O_ACCMODE]
    return wanted | WRITE if flags & os.O_TRUNC else wanted


def _without_privileges(mode: int) -> int:
    if not stat.S_ISREG(mode):
        return mode
    mode &= ~stat.S_ISUID
    return mode & ~stat.S_ISGID if mode & stat.S_IXGRP else mode
