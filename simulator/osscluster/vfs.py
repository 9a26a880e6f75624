"""The kernel's and libfuse's part of a mount, as a model: path walk, caches, descriptors, the checks that the file
system is never asked about, and what of each system call reaches it.

It sits between a `Task` (a process of the direct engine) and ossfs's core, and asks the core for the same operations
in the same order as Linux with libfuse 2.9 does: a LOOKUP (getattr) for each name that isn't cached, a getattr behind
each create, mkdir, symlink and attribute change, flush at every close, release at the last, a rename to .fuse_hidden*
for the unlink of an open file. Names and attributes are cached for attr_timeout and entry_timeout (1 s) on the
volume's clock; missing names are not.

Not modelled: the page cache (ossfs keeps the data of open files itself, so no request depends on it), mmap, locks,
FIFOs and devices (opening one answers ENXIO), default_permissions, and what lies outside the volume (an absolute link
that leaves it, or "..", answers ENOENT). RELEASE comes at once, not some time after close(2).

One thread only, the runner's. Sources: Linux 6.18 fs/fuse and fs/namei.c, libfuse 2.9.9 lib/fuse.c,
path_resolution(7).
"""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Concatenate, NoReturn, ParamSpec, TypeVar

from osscloud.clock import Clock
from osscluster.volume import DirEntry, Holder, Stat
from ossfuse.attributes import Attributes
from ossfuse.filesystem import OssFs
from ossfuse.mounted import Context

__all__ = ["MountFlags", "Task", "Vfs"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_NAME_MAX = 1024  # FUSE_NAME_MAX
_PATH_MAX = 4096
_LINKS_MAX = 40
_PAGE = 4096
_READ_MAX = 128 * 1024
_ST_FLAGS = 2 | 4 | 4096  # statvfs: nosuid, nodev, relatime
_KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "symlink"}
_TYPES = {stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK}
_OPEN_ONLY = os.O_CREAT | os.O_EXCL | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class MountFlags:
    """What the mount's options tell the kernel and libfuse. uid, gid: of the process that mounted; umask, show_uid,
    show_gid: what libfuse puts over every file's attributes; max_write: bytes a WRITE request may carry."""

    uid: int
    gid: int
    allow_other: bool = False
    allow_root: bool = False
    read_only: bool = False
    umask: int | None = None
    show_uid: int | None = None
    show_gid: int | None = None
    hard_remove: bool = False
    attr_timeout: float = 1.0
    entry_timeout: float = 1.0
    max_write: int = _READ_MAX
    xattr: bool = False


@dataclass(slots=True, eq=False)
class _Node:
    """A name that the kernel knows, with the inode behind it.

    cached: whether the kernel has the name; libfuse keeps those of open files beyond that. outdated: times or blocks
    are no longer right, which matters to stat(2) but not where the kernel needs the size only. read: the 128 KiB
    windows that were read since the last open. touched: pages that were written since then. bad: its type changed
    under the kernel. deleted_as: its path when it was unlinked while open.
    """

    number: int
    parent: _Node | None
    name: str
    attributes: Attributes
    cached: bool = True
    entry_until: float = 0.0
    attributes_until: float = 0.0
    outdated: bool = False
    read: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    children: dict[str, _Node] = field(default_factory=dict)
    open_count: int = 0
    hidden: bool = False
    bad: bool = False
    deleted_as: str | None = None

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
        return self.open_count > 0 or any(child.in_use for child in self.children.values())


@dataclass(slots=True, eq=False)
class _OpenFile:
    node: _Node
    flags: int
    handle: int | None  # None: a directory
    offset: int = 0

    @property
    def readable(self) -> bool:
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def writable(self) -> bool:
        return self.flags & os.O_ACCMODE != os.O_RDONLY


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a name is, or would be. name: "" for the volume's root, or "." and ".."."""

    parent: _Node
    name: str
    trailing_slash: bool


class Vfs:
    """One mounted volume as the kernel sees it."""

    def __init__(self, fs: OssFs, *, clock: Clock, flags: MountFlags, mountpoint: str) -> None:
        self._fs = fs
        self._clock = clock
        self._flags = flags
        self._mountpoint = mountpoint
        self._root = _Node(1, None, "", Attributes(mode=stat.S_IFDIR | 0o700, uid=flags.uid, gid=flags.gid))
        self._last_number = 1
        self._hidden_count = 0
        self._tasks: list[Task] = []
        self.connected = True

    def task(self, name: str, *, pid: int, uid: int, gid: int, groups: Sequence[int], umask: int) -> Task:
        """A process that works on this volume."""
        made = Task(self, name, pid=pid, uid=uid, gid=gid, groups=groups, umask=umask)
        self._tasks.append(made)
        return made

    def disconnect(self) -> None:
        """The ossfs process has died: ENOTCONN from now on, and nothing of what was cached."""
        self.connected = False

    @property
    def flags(self) -> MountFlags:
        """How the volume is mounted."""
        return self._flags

    def holders(self) -> list[Holder]:
        """Who has what open, as /proc/PID/fd names it."""
        found = {
            Holder(file.node.path[1:] if file.node.deleted_as is None else file.node.deleted_as, t.pid, t.name, t.uid)
            for t in self._tasks
            for file in t.files.values()
        }
        return sorted(found, key=lambda holder: (holder.path, holder.pid))

    # --- the file system's side: what a request costs and what its answer changes ---

    @property
    def fs(self) -> OssFs:
        """The core, while its process lives."""
        if not self.connected:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._fs

    def _shown(self, attributes: Attributes) -> Attributes:
        # libfuse's set_stat.
        flags = self._flags
        if flags.umask is None and flags.show_uid is None and flags.show_gid is None:
            return replace(attributes)
        mode = attributes.mode
        if flags.umask is not None:
            mode = stat.S_IFMT(mode) | (0o777 & ~flags.umask)
        uid = attributes.uid if flags.show_uid is None else flags.show_uid
        gid = attributes.gid if flags.show_gid is None else flags.show_gid
        return replace(attributes, mode=mode, uid=uid, gid=gid)

    def _refresh(self, context: Context, node: _Node) -> None:
        """GETATTR. ossfs has no fgetattr: the path is asked for, whether a file is open or not."""
        attributes = self._shown(self.fs.getattr(context, node.path))
        if stat.S_IFMT(attributes.mode) != node.kind:
            # The inode has become a bad one: the name is looked up anew, open files of it are lost.
            node.bad = True
            self._forget(node)
            _fail(errno.EIO, node.path)
        node.attributes = attributes
        node.attributes_until = self._clock.now() + self._flags.attr_timeout
        node.outdated = False

    def fresh(self, context: Context, node: _Node) -> Attributes:
        """The attributes that stat(2) shows."""
        _good(node)
        self.allowed(context, node)
        if node.outdated:
            self._refresh(context, node)
        return self._sized(context, node)

    def _sized(self, context: Context, node: _Node) -> Attributes:
        """The attributes where only the size counts."""
        if not self.connected or node.attributes_until <= self._clock.now():
            self._refresh(context, node)
        return node.attributes

    def lookup(self, context: Context, parent: _Node, name: str, *, force: bool = False) -> _Node:
        """LOOKUP, unless the name is cached. Raises ENOENT, ENAMETOOLONG, EACCES, or the file system's errno."""
        self.enter(context, parent)
        path = parent.path.rstrip("/") + "/" + name
        if len(os.fsencode(name)) > _NAME_MAX:
            _fail(errno.ENAMETOOLONG, path)
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

    def lookup_if_there(self, context: Context, parent: _Node, name: str, *, force: bool = False) -> _Node | None:
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

    def _learn(self, parent: _Node, name: str, raw: Attributes, *, wanted: int | None = None) -> _Node:
        """Takes in the answer to a LOOKUP, or to the request that made the name. wanted: the type just asked for."""
        attributes = self._shown(raw)
        kind = stat.S_IFMT(attributes.mode)
        if kind not in _TYPES or (wanted is not None and kind != wanted):
            _fail(errno.EIO, parent.path.rstrip("/") + "/" + name)
        node = parent.children.get(name)
        if node is None or node.kind != kind:
            self._last_number += 1
            node = parent.children[name] = _Node(self._last_number, parent, name, attributes)
        now = self._clock.now()
        node.attributes = attributes
        node.attributes_until = now + self._flags.attr_timeout
        node.outdated = False
        node.cached = True
        node.entry_until = now + self._flags.entry_timeout
        return node

    def _drop(self, node: _Node) -> None:
        if node.in_use:
            node.cached = False
        else:
            self._forget(node)

    @contextmanager
    def _gone_if_missing(self, *nodes: _Node | None) -> Iterator[None]:
        """ENOENT from a removal tells the kernel that its names are wrong."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOENT:
                for node in nodes:
                    if node is not None:
                        self._drop(node)
            raise

    def _forget(self, node: _Node) -> None:
        if node.parent is not None and node.parent.children.get(node.name) is node:
            del node.parent.children[node.name]

    def _move(self, node: _Node, parent: _Node, name: str) -> None:
        self._forget(node)
        node.parent, node.name = parent, name
        parent.children[name] = node

    def _made(self, context: Context, place: _Place, kind: int) -> _Node:
        """The getattr that libfuse sends behind whatever makes a name."""
        path = self.path_of(place)
        place.parent.attributes_until = 0.0
        return self._learn(place.parent, place.name, self.fs.getattr(context, path), wanted=kind)

    def _hide(self, context: Context, node: _Node) -> None:
        """libfuse's hide_node: an open file keeps its content under another name."""
        assert node.parent is not None
        parent, shown = node.parent, node.path[1:]
        for _ in range(10):
            self._hidden_count += 1
            name = f".fuse_hidden{node.number:08x}{self._hidden_count:08x}"
            path = parent.path.rstrip("/") + "/" + name
            if self._absent(context, path):
                self.fs.rename(context, node.path, path)
                self._move(node, parent, name)
                node.hidden = True
                node.deleted_as = shown if node.deleted_as is None else node.deleted_as
                node.cached = False
                node.outdated = True
                return
        _fail(errno.EBUSY, node.path)

    # --- checks of the kernel ---

    def allowed(self, context: Context, node: _Node) -> None:
        """fuse_allow_current_process: without allow_other only the user and group that mounted; allow_root is
        libfuse's, which looks at the user alone."""
        flags = self._flags
        if flags.allow_other:
            return
        if flags.allow_root:
            if context.uid not in (flags.uid, 0):
                _fail(errno.EACCES, node.path)
        elif (context.uid, context.gid) != (flags.uid, flags.gid):
            _fail(errno.EACCES, node.path)

    def may_use(self, context: Context) -> bool:
        """`allowed` as a question."""
        try:
            self.allowed(context, self._root)
        except PermissionError:
            return False
        return True

    def enter(self, context: Context, node: _Node) -> None:
        """Whether a path may lead through the node."""
        if node.kind != stat.S_IFDIR:
            _fail(errno.ENOTDIR, node.path)
        self.allowed(context, node)

    def writable_mount(self, path: str) -> None:
        """mnt_want_write."""
        if self._flags.read_only:
            _fail(errno.EROFS, path)

    def has_xattr(self, path: str) -> None:
        """Where the file system has no such operations libfuse answers ENOSYS, and the kernel this."""
        if not self._flags.xattr:
            _fail(errno.EOPNOTSUPP, path)

    # --- path walk ---

    def path_of(self, place: _Place) -> str:
        """Absolute path inside the volume."""
        return place.parent.path.rstrip("/") + "/" + place.name if place.name else place.parent.path

    def place(
        self, context: Context, path: str, *, base: _Node | None = None, links: list[int] | None = None
    ) -> _Place:
        """Walks to the last component and leaves it unresolved. links: symbolic links followed so far."""
        if len(os.fsencode(path)) + len(self._mountpoint) + 2 > _PATH_MAX:
            _fail(errno.ENAMETOOLONG, path)
        node = base or self._root
        todo = deque(name for name in path.split("/") if name)
        trailing = path.endswith("/")
        links = [0] if links is None else links
        while todo:
            name = todo.popleft()
            self.enter(context, node)
            if not todo:
                return _Place(node, name, trailing)
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
        return _Place(node, "", trailing)

    def find(self, context: Context, path: str, *, follow: bool = True) -> _Node:
        """The node at a path. Raises as path_resolution(7) says."""
        return self.resolve(context, self.place(context, path), follow=follow)

    def resolve(self, context: Context, place: _Place, *, follow: bool = True, links: list[int] | None = None) -> _Node:
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
            _fail(errno.ENOTDIR, node.path)
        return node

    def _last(self, context: Context, place: _Place) -> _Node:
        if place.name in ("", "."):
            if place.name or place.parent is not self._root:
                self.enter(context, place.parent)
            return place.parent
        if place.name == "..":
            self.enter(context, place.parent)
            return self._up(place.parent)
        return self.lookup(context, place.parent, place.name)

    def _up(self, node: _Node) -> _Node:
        if node.parent is None:
            _fail(errno.ENOENT, "..")
        return node.parent

    def _follow(self, context: Context, link: _Node, parent: _Node, links: list[int]) -> tuple[_Node, list[str]]:
        """Where to go on, and the names to walk from there."""
        links[0] += 1
        if links[0] > _LINKS_MAX:
            _fail(errno.ELOOP, link.path)
        target = self.readlink(context, link)
        base = parent  # where an empty target stays
        if target.startswith("/"):
            if target != self._mountpoint and not target.startswith(self._mountpoint + "/"):
                _fail(errno.ENOENT, link.path)
            base, target = self._root, target[len(self._mountpoint) :]
        names = [name for name in target.split("/") if name]
        if target.endswith("/") and names:
            names.append(".")
        return base, names

    def readlink(self, context: Context, link: _Node) -> str:
        """READLINK; atime has changed then."""
        try:
            return self.fs.readlink(context, link.path)
        finally:
            link.outdated = True

    # --- calls on names ---

    def absent(self, context: Context, path: str, *, directory: bool = False) -> _Place:
        """filename_create: a place where nothing is yet. directory: what is made may be named with a slash behind.
        Raises EEXIST, then ENOENT, then EROFS."""
        place = self.place(context, path)
        if place.name in ("", ".", ".."):
            _fail(errno.EEXIST, path)
        if self.lookup_if_there(context, place.parent, place.name, force=True) is not None:
            _fail(errno.EEXIST, path)
        if place.trailing_slash and not directory:
            _fail(errno.ENOENT, path)
        self.writable_mount(path)
        return place

    def make(self, context: Context, place: _Place, kind: int) -> _Node:
        """Learns a name that the file system has just made."""
        return self._made(context, place, kind)

    def unlink(self, context: Context, path: str) -> None:
        """unlink(2)."""
        place = self.place(context, path)
        if place.name in ("", ".", ".."):
            _fail(errno.EISDIR, path)
        self.writable_mount(path)
        node = self.lookup(context, place.parent, place.name)
        if place.trailing_slash:
            _fail(errno.EISDIR if node.kind == stat.S_IFDIR else errno.ENOTDIR, path)
        if node.kind == stat.S_IFDIR:
            _fail(errno.EISDIR, path)
        if node.open_count and not self._flags.hard_remove:
            with self._gone_if_missing(node):
                self._hide(context, node)
        else:
            with self._gone_if_missing(node):
                self.fs.unlink(context, node.path)
            self._drop(node)
        place.parent.attributes_until = 0.0

    def rmdir(self, context: Context, path: str) -> None:
        """rmdir(2)."""
        place = self.place(context, path)
        if place.name in ("", ".", ".."):
            _fail({"": errno.EBUSY, ".": errno.EINVAL, "..": errno.ENOTEMPTY}[place.name], path)
        self.writable_mount(path)
        node = self.lookup(context, place.parent, place.name)
        if node.kind != stat.S_IFDIR:
            _fail(errno.ENOTDIR, path)
        with self._gone_if_missing(node):
            self.fs.rmdir(context, node.path)
        self._drop(node)
        place.parent.attributes_until = 0.0

    def rename(self, context: Context, old: str, new: str) -> None:
        """rename(2), in the order of do_renameat2 and vfs_rename."""
        source, target = self.place(context, old), self.place(context, new)
        if not {source.name, target.name}.isdisjoint({"", ".", ".."}):
            _fail(errno.EBUSY, old)
        self.writable_mount(old)
        node = self.lookup(context, source.parent, source.name)
        directory = node.kind == stat.S_IFDIR
        replaced = self.lookup_if_there(context, target.parent, target.name, force=True)
        if not directory and (source.trailing_slash or target.trailing_slash):
            _fail(errno.ENOTDIR, old)
        if node in _line(target.parent):
            _fail(errno.EINVAL, old)
        if replaced is not None:
            if replaced in _line(source.parent):
                _fail(errno.ENOTEMPTY, new)
            if replaced is node:
                return
            if directory and replaced.kind != stat.S_IFDIR:
                _fail(errno.ENOTDIR, new)
            if not directory and replaced.kind == stat.S_IFDIR:
                _fail(errno.EISDIR, new)
            # libfuse does not count the opens of directories.
            if replaced.open_count and replaced.kind != stat.S_IFDIR and not self._flags.hard_remove:
                self._hide(context, replaced)
        with self._gone_if_missing(node, replaced):
            self.fs.rename(context, node.path, self.path_of(target))
        left = target.parent.children.pop(target.name, None)
        self._move(node, target.parent, target.name)
        if left is not None:
            left.deleted_as = self.path_of(target)[1:]
        node.outdated = True
        source.parent.attributes_until = target.parent.attributes_until = 0.0

    # --- attribute changes: SETATTR is the operation, then a getattr for the answer ---

    def chmod(self, context: Context, node: _Node, mode: int) -> None:
        """chmod(2). The file system gets the type bits too."""
        self._may_change(context, node)
        self.fs.chmod(context, node.path, node.kind | (mode & 0o7777))
        self._refresh(context, node)
        if node.kind == stat.S_IFDIR:
            # Who may pass through it has to be asked again.
            node.entry_until = 0.0

    def chown(self, context: Context, node: _Node, uid: int, gid: int) -> None:
        """chown(2); -1 leaves an id alone. Takes setuid and setgid from files, whoever asks."""
        self._may_change(context, node)
        if node.kind != stat.S_IFDIR:
            self._refresh(context, node)
            kept = _without_privileges(node.attributes.mode)
            if kept != node.attributes.mode:
                self.fs.chmod(context, node.path, kept)
        if (uid, gid) != (-1, -1):
            self.fs.chown(context, node.path, uid, gid)
        self._refresh(context, node)

    def utime(self, context: Context, node: _Node, atime: float, mtime: float) -> None:
        """utimensat(2) with both times given."""
        self._may_change(context, node)
        self.fs.utimens(context, node.path, atime, mtime)
        self._refresh(context, node)

    def truncate(self, context: Context, node: _Node, size: int) -> None:
        """truncate(2), ftruncate(2): ossfs has one operation for both."""
        if size < 0:
            _fail(errno.EINVAL, node.path)
        if node.kind != stat.S_IFREG:
            _fail(errno.EISDIR if node.kind == stat.S_IFDIR else errno.EINVAL, node.path)
        self._may_change(context, node)
        self._remove_privileges(context, node)
        self.fs.truncate(context, node.path, size)
        self._refresh(context, node)

    def _may_change(self, context: Context, node: _Node) -> None:
        self.writable_mount(node.path)
        self.allowed(context, node)

    def _remove_privileges(self, context: Context, node: _Node) -> None:
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

    def open(self, context: Context, path: str, flags: int, mode: int) -> _OpenFile:
        """open(2). mode: already without the umask's bits."""
        place = self.place(context, path)
        links = [0]
        if flags & os.O_CREAT:
            while True:
                if place.trailing_slash or (place.name in ("", ".", "..")):
                    _fail(errno.EISDIR, path)
                there = self.lookup_if_there(context, place.parent, place.name, force=bool(flags & os.O_EXCL))
                if there is None:
                    self.writable_mount(path)
                    return self._create(context, place, flags, mode)
                node = there
                if flags & os.O_EXCL:
                    _fail(errno.EEXIST, path)
                if node.kind != stat.S_IFLNK or flags & os.O_NOFOLLOW:
                    break
                base, names = self._follow(context, node, place.parent, links)
                place = self.place(context, "/".join(names), base=base, links=links)
            if node.kind == stat.S_IFDIR:
                _fail(errno.EISDIR, path)
        else:
            node = self.resolve(context, place, follow=not flags & os.O_NOFOLLOW, links=links)
        return self._open_node(context, node, flags)

    def _create(self, context: Context, place: _Place, flags: int, mode: int) -> _OpenFile:
        path = self.path_of(place)
        handle = self.fs.create(context, path, stat.S_IFREG | (mode & 0o7777), flags & ~(os.O_NOCTTY | os.O_CLOEXEC))
        try:
            node = self._made(context, place, stat.S_IFREG)
        except OSError:
            self.fs.release(context, path, handle)
            raise
        node.open_count += 1
        return _OpenFile(node, flags, handle)

    def _open_node(self, context: Context, node: _Node, flags: int) -> _OpenFile:
        writing = flags & os.O_ACCMODE != os.O_RDONLY or bool(flags & os.O_TRUNC)
        if node.kind == stat.S_IFLNK:
            _fail(errno.ELOOP, node.path)
        if node.kind == stat.S_IFDIR:
            if writing:
                _fail(errno.EISDIR, node.path)
        elif flags & os.O_DIRECTORY:
            _fail(errno.ENOTDIR, node.path)
        elif node.kind in (stat.S_IFCHR, stat.S_IFBLK):
            # The mount is nodev.
            _fail(errno.EACCES, node.path)
        self.allowed(context, node)
        if writing:
            self.writable_mount(node.path)
        if node.kind == stat.S_IFDIR:
            self.fs.opendir(context, node.path)
            node.open_count += 1
            return _OpenFile(node, flags, None)
        if node.kind != stat.S_IFREG:
            _fail(errno.ENXIO, node.path)
        handle = self.fs.open(context, node.path, flags & ~_OPEN_ONLY)
        node.open_count += 1
        node.read.clear()
        node.touched.clear()
        if flags & os.O_TRUNC:
            node.attributes = replace(node.attributes, size=0)
            node.attributes_until = 0.0
            self._remove_privileges(context, node)
        return _OpenFile(node, flags, handle)

    def mknod(self, context: Context, path: str, mode: int, device: int) -> None:
        """mknod(2). libfuse makes a regular file by create and release."""
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        if kind == stat.S_IFDIR:
            _fail(errno.EPERM, path)
        if kind not in _TYPES or kind == stat.S_IFLNK:
            _fail(errno.EINVAL, path)
        place = self.absent(context, path)
        if kind in (stat.S_IFCHR, stat.S_IFBLK) and context.uid != 0:
            _fail(errno.EPERM, path)
        full = self.path_of(place)
        mode = kind | (mode & 0o7777)
        if kind != stat.S_IFREG:
            self.fs.mknod(context, full, mode, device)
            self._made(context, place, kind)
            return
        handle = self.fs.create(context, full, mode, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        try:
            self._made(context, place, kind)
        finally:
            self.fs.release(context, full, handle)

    def close(self, context: Context, file: _OpenFile) -> None:
        """close(2) of the only descriptor of an open file: FLUSH, whose error it answers, then RELEASE."""
        node = file.node
        try:
            if file.handle is not None:
                _good(node)
                self.fs.flush(context, node.path, file.handle)
        finally:
            node.open_count -= 1
            if self.connected:
                self._release(node, file.handle)

    def _release(self, node: _Node, handle: int | None) -> None:
        # RELEASE carries no credentials: uid, gid and pid are 0.
        nobody = Context(uid=0, gid=0)
        if handle is not None:
            self._fs.release(nobody, node.path, handle)
        if node.hidden and not node.open_count:
            node.hidden = False
            try:
                self._fs.unlink(nobody, node.path)
            finally:
                self._drop(node)

    def readdir(self, context: Context, directory: _Node) -> Sequence[tuple[str, Attributes | None]]:
        """READDIR; atime has changed then."""
        try:
            return self.fs.readdir(context, directory.path)
        finally:
            directory.outdated = True

    def read(self, context: Context, file: _OpenFile, size: int, offset: int) -> bytes:
        """What lies between offset and the size that the kernel knows."""
        if not file.readable:
            _fail(errno.EBADF, file.node.path)
        if file.handle is None:
            _fail(errno.EISDIR, file.node.path)
        if size < 0 or offset < 0:
            _fail(errno.EINVAL, file.node.path)
        node = file.node
        _good(node)
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
                break
        return b"".join(pieces)[offset - first : end - first]

    def write(self, context: Context, file: _OpenFile, data: bytes, offset: int) -> tuple[int, int]:
        """Answers how much was written and where the next byte goes."""
        if not file.writable:
            _fail(errno.EBADF, file.node.path)
        if offset < 0:
            _fail(errno.EINVAL, file.node.path)
        assert file.handle is not None
        node = file.node
        _good(node)
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

    def seek_end(self, context: Context, file: _OpenFile) -> int:
        """The size, as lseek(2) with SEEK_END learns it."""
        return self._sized(context, file.node).size

    def changed(self, node: _Node) -> None:
        """The node's ctime is no longer the one that is cached."""
        node.outdated = True


def _system_call(call: Callable[Concatenate[Task, _P], _R]) -> Callable[Concatenate[Task, _P], _R]:
    """Errors as a process sees them: an errno, the class that Python has for it, and the path that was given."""

    @functools.wraps(call)
    def called(task: Task, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return call(task, *args, **kwargs)
        except OSError as error:
            code = error.errno or errno.EIO
            path = args[0] if args and isinstance(args[0], str) else None
            raise OSError(code, os.strerror(code), path) from error

    return called


class Task:
    """A process of the direct engine; implements `volume.Syscalls`."""

    def __init__(self, vfs: Vfs, name: str, *, pid: int, uid: int, gid: int, groups: Sequence[int], umask: int) -> None:
        self.name = name
        self.pid = pid
        self.uid = uid
        self.gid = gid
        self.groups = tuple(groups)
        self.files: dict[int, _OpenFile] = {}
        self._vfs = vfs
        self._umask = umask
        self._context = Context(uid=uid, gid=gid, pid=pid, umask=umask, command=name[:15])

    def end(self) -> None:
        """The process ends: what it has open is closed, errors are lost."""
        for fd in list(self.files):
            try:
                self.close(fd)
            except OSError:
                continue

    def _file(self, fd: int) -> _OpenFile:
        file = self.files.get(fd)
        if file is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return file

    @_system_call
    def stat(self, path: str) -> Stat:
        node = self._vfs.find(self._context, path)
        return _to_stat(node, self._vfs.fresh(self._context, node))

    @_system_call
    def lstat(self, path: str) -> Stat:
        node = self._vfs.find(self._context, path, follow=False)
        return _to_stat(node, self._vfs.fresh(self._context, node))

    @_system_call
    def fstat(self, fd: int) -> Stat:
        file = self._file(fd)
        return _to_stat(file.node, self._vfs.fresh(self._context, file.node))

    @_system_call
    def listdir(self, path: str) -> list[DirEntry]:
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
        try:
            directory = self._file(fd).node
            self._vfs.fresh(self._context, directory)  # fstat(2) of glibc's opendir
            try:
                entries = self._vfs.readdir(self._context, directory)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
                # glibc's readdir takes ENOENT for the end of a directory that was removed.
                return []
            found = []
            for name, attributes in entries:
                if not name or "/" in name or len(os.fsencode(name)) > _NAME_MAX:
                    _fail(errno.EIO, path)
                if name not in (".", ".."):
                    kind = stat.S_IFMT(attributes.mode) if attributes is not None else 0
                    found.append(DirEntry(name, _KINDS.get(kind, "other") if kind else ""))
            return found
        finally:
            self.close(fd)

    @_system_call
    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        file = self._vfs.open(self._context, path, flags, mode & ~self._umask)
        fd = next(number for number in range(3, len(self.files) + 4) if number not in self.files)
        self.files[fd] = file
        return fd

    @_system_call
    def close(self, fd: int) -> None:
        file = self._file(fd)
        del self.files[fd]
        self._vfs.close(self._context, file)

    @_system_call
    def read(self, fd: int, size: int) -> bytes:
        file = self._file(fd)
        data = self._vfs.read(self._context, file, size, file.offset)
        file.offset += len(data)
        return data

    @_system_call
    def write(self, fd: int, data: bytes) -> int:
        file = self._file(fd)
        written, file.offset = self._vfs.write(self._context, file, data, file.offset)
        return written

    @_system_call
    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return self._vfs.read(self._context, self._file(fd), size, offset)

    @_system_call
    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        return self._vfs.write(self._context, self._file(fd), data, offset)[0]

    @_system_call
    def lseek(self, fd: int, offset: int, whence: int) -> int:
        file = self._file(fd)
        if whence == os.SEEK_END:
            offset += self._vfs.seek_end(self._context, file)
        elif whence == os.SEEK_CUR:
            offset += file.offset
        elif whence != os.SEEK_SET:
            _fail(errno.EINVAL)
        if offset < 0:
            _fail(errno.EINVAL)
        file.offset = offset
        return offset

    @_system_call
    def fsync(self, fd: int) -> None:
        file = self._file(fd)
        if file.handle is not None:
            self._vfs.fs.fsync(self._context, file.node.path, file.handle, False)

    @_system_call
    def ftruncate(self, fd: int, size: int) -> None:
        file = self._file(fd)
        if not file.writable or file.handle is None:
            _fail(errno.EINVAL)
        self._vfs.truncate(self._context, file.node, size)

    @_system_call
    def truncate(self, path: str, size: int) -> None:
        if size < 0:
            _fail(errno.EINVAL, path)
        self._vfs.truncate(self._context, self._vfs.find(self._context, path), size)

    @_system_call
    def mkdir(self, path: str, mode: int = 0o777) -> None:
        place = self._vfs.absent(self._context, path, directory=True)
        self._vfs.fs.mkdir(self._context, self._vfs.path_of(place), mode & 0o1777 & ~self._umask)
        self._vfs.make(self._context, place, stat.S_IFDIR)

    @_system_call
    def rmdir(self, path: str) -> None:
        self._vfs.rmdir(self._context, path)

    @_system_call
    def unlink(self, path: str) -> None:
        self._vfs.unlink(self._context, path)

    @_system_call
    def rename(self, old: str, new: str) -> None:
        self._vfs.rename(self._context, old, new)

    @_system_call
    def link(self, old: str, new: str) -> None:
        node = self._vfs.find(self._context, old, follow=False)
        place = self._vfs.absent(self._context, new)
        if node.kind == stat.S_IFDIR:
            _fail(errno.EPERM, old)
        self._vfs.fs.link(self._context, node.path, self._vfs.path_of(place))
        self._vfs.make(self._context, place, node.kind)

    @_system_call
    def symlink(self, target: str, path: str) -> None:
        if not target:
            _fail(errno.ENOENT, path)
        place = self._vfs.absent(self._context, path)
        self._vfs.fs.symlink(self._context, target, self._vfs.path_of(place))
        self._vfs.make(self._context, place, stat.S_IFLNK)

    @_system_call
    def readlink(self, path: str) -> str:
        node = self._vfs.find(self._context, path, follow=False)
        if node.kind != stat.S_IFLNK:
            _fail(errno.EINVAL, path)
        self._vfs.allowed(self._context, node)
        return self._vfs.readlink(self._context, node)

    @_system_call
    def mknod(self, path: str, mode: int, device: int = 0) -> None:
        self._vfs.mknod(self._context, path, mode & ~self._umask, device)

    @_system_call
    def chmod(self, path: str, mode: int) -> None:
        self._vfs.chmod(self._context, self._vfs.find(self._context, path), mode)

    @_system_call
    def chown(self, path: str, uid: int, gid: int) -> None:
        self._vfs.chown(self._context, self._vfs.find(self._context, path), uid, gid)

    @_system_call
    def lchown(self, path: str, uid: int, gid: int) -> None:
        self._vfs.chown(self._context, self._vfs.find(self._context, path, follow=False), uid, gid)

    @_system_call
    def utime(self, path: str, atime: float, mtime: float) -> None:
        self._vfs.utime(self._context, self._vfs.find(self._context, path), atime, mtime)

    def access(self, path: str, mode: int) -> bool:
        try:
            node = self._vfs.find(self._context, path)
            if mode & os.W_OK:
                self._vfs.writable_mount(path)
            self._vfs.allowed(self._context, node)
            self._vfs.fs.access(self._context, node.path, mode)
        except OSError:
            return False
        return True

    @_system_call
    def setxattr(self, path: str, name: str, value: bytes, flags: int = 0) -> None:
        node = self._for_xattr(path, name, writing=True)
        self._vfs.fs.setxattr(self._context, node.path, name, value, flags)
        self._vfs.changed(node)

    @_system_call
    def getxattr(self, path: str, name: str) -> bytes:
        node = self._for_xattr(path, name, writing=False)
        return self._vfs.fs.getxattr(self._context, node.path, name)

    @_system_call
    def listxattr(self, path: str) -> list[str]:
        node = self._vfs.find(self._context, path)
        self._vfs.allowed(self._context, node)
        self._vfs.has_xattr(path)
        return list(self._vfs.fs.listxattr(self._context, node.path))

    @_system_call
    def removexattr(self, path: str, name: str) -> None:
        node = self._for_xattr(path, name, writing=True)
        self._vfs.fs.removexattr(self._context, node.path, name)
        self._vfs.changed(node)

    @_system_call
    def statvfs(self, path: str) -> os.statvfs_result:
        node = self._vfs.find(self._context, path)
        if not self._vfs.may_use(self._context):
            return os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, _ST_FLAGS, 0))
        del node
        seen = self._vfs.fs.statfs(self._context)
        flag = _ST_FLAGS | (1 if self._vfs.flags.read_only else 0)
        return os.statvfs_result(
            (
                seen.bsize,
                seen.frsize,
                seen.blocks,
                seen.bfree,
                seen.bavail,
                seen.files,
                seen.ffree,
                seen.ffree,
                flag,
                seen.namemax,
            )
        )

    def _for_xattr(self, path: str, name: str, *, writing: bool) -> _Node:
        # vfs_setxattr and xattr_permission.
        node = self._vfs.find(self._context, path)
        if writing:
            self._vfs.writable_mount(path)
        if name.startswith("trusted.") and self.uid != 0:
            _fail(errno.EPERM if writing else errno.ENODATA, path)
        if name.startswith("user.") and node.kind not in (stat.S_IFREG, stat.S_IFDIR):
            _fail(errno.EPERM if writing else errno.ENODATA, path)
        self._vfs.allowed(self._context, node)
        self._vfs.has_xattr(path)
        return node


def _fail(code: int, path: str = "") -> NoReturn:
    raise OSError(code, os.strerror(code), path) if path else OSError(code, os.strerror(code))


def _good(node: _Node) -> None:
    if node.bad:
        _fail(errno.EIO, node.path)


def _line(node: _Node) -> list[_Node]:
    """The node and everything above it."""
    found = [node]
    while found[-1].parent is not None:
        found.append(found[-1].parent)
    return found


def _without_privileges(mode: int) -> int:
    if not stat.S_ISREG(mode):
        return mode
    mode &= ~stat.S_ISUID
    return mode & ~stat.S_ISGID if mode & stat.S_IXGRP else mode


def _to_stat(node: _Node, seen: Attributes) -> Stat:
    return Stat(
        seen.mode,
        seen.uid,
        seen.gid,
        seen.size,
        seen.mtime,
        seen.nlink,
        seen.blocks,
        node.number,
        seen.atime,
        seen.ctime,
    )
