"""A process of the direct engine: the system calls it makes on a volume, as methods.

Each hands on to `Vfs`, the model of the kernel, what the kernel would make of the call. One thread only, the runner's.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from osscluster.inode import NAME_MAX, Inode, OpenFile, check_good, fail
from osscluster.permission import READ, WRITE
from osscluster.vfs import Vfs
from osscluster.volume import DirEntry, Stat
from ossfuse.attributes import Attributes
from ossfuse.mounted import Context

__all__ = ["Task"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_ST_FLAGS = 2 | 4 | 4096  # statvfs: nosuid, nodev, relatime
_KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "symlink"}


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
        self.files: dict[int, OpenFile] = {}
        self._vfs = vfs
        vfs.enrol(pid, groups)
        self._umask = umask
        self._context = Context(uid=uid, gid=gid, pid=pid, umask=umask, command=name[:15])

    def end(self) -> None:
        """The process ends: what it has open is closed, errors are lost."""
        for fd in list(self.files):
            try:
                self.close(fd)
            except OSError:
                continue

    def _file(self, fd: int) -> OpenFile:
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
                if not name or "/" in name or len(os.fsencode(name)) > NAME_MAX:
                    fail(errno.EIO, path)
                if name not in (".", ".."):
                    kind = stat.S_IFMT(attributes.mode) if attributes is not None else 0
                    found.append(DirEntry(name, _KINDS.get(kind, "other") if kind else ""))
            return found
        finally:
            self.close(fd)

    @_system_call
    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        file = self._vfs.open(self._context, path, flags, mode & ~self._umask)
        return self._install(file)

    def _install(self, file: OpenFile) -> int:
        fd = next(number for number in range(3, len(self.files) + 4) if number not in self.files)
        self.files[fd] = file
        return fd

    @_system_call
    def dup(self, fd: int) -> int:
        file = self._file(fd)
        file.descriptors += 1
        return self._install(file)

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
            fail(errno.EINVAL)
        if offset < 0:
            fail(errno.EINVAL)
        file.offset = offset
        return offset

    @_system_call
    def fsync(self, fd: int) -> None:
        self._fsync(fd, datasync=False)

    @_system_call
    def fdatasync(self, fd: int) -> None:
        self._fsync(fd, datasync=True)

    def _fsync(self, fd: int, *, datasync: bool) -> None:
        file = self._file(fd)
        if file.handle is not None:
            check_good(file.node)
            self._vfs.fs.fsync(self._context, file.node.path, file.handle, datasync)

    @_system_call
    def ftruncate(self, fd: int, size: int) -> None:
        file = self._file(fd)
        if not file.writable or file.handle is None:
            fail(errno.EINVAL)
        self._vfs.truncate(self._context, file.node, size)

    @_system_call
    def truncate(self, path: str, size: int) -> None:
        if size < 0:
            fail(errno.EINVAL, path)
        node = self._vfs.find(self._context, path)
        if node.kind == stat.S_IFREG:
            self._vfs.check(self._context, node, WRITE)
        self._vfs.truncate(self._context, node, size)

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
            fail(errno.EPERM, old)
        try:
            self._vfs.fs.link(self._context, node.path, self._vfs.path_of(place))
        except OSError as error:
            if error.errno == errno.ENOSYS:
                fail(errno.EPERM, new)  # fuse_link: the file system has no such operation
            raise
        self._vfs.make(self._context, place, node.kind)

    @_system_call
    def symlink(self, target: str, path: str) -> None:
        if not target:
            fail(errno.ENOENT, path)
        place = self._vfs.absent(self._context, path)
        self._vfs.fs.symlink(self._context, target, self._vfs.path_of(place))
        self._vfs.make(self._context, place, stat.S_IFLNK)

    @_system_call
    def readlink(self, path: str) -> str:
        node = self._vfs.find(self._context, path, follow=False)
        if node.kind != stat.S_IFLNK:
            fail(errno.EINVAL, path)
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
    def utime(self, path: str, atime: float | None, mtime: float | None) -> None:
        self._vfs.utime(self._context, self._vfs.find(self._context, path), atime, mtime)

    def access(self, path: str, mode: int) -> bool:
        try:
            node = self._vfs.find(self._context, path)
            if mode & os.W_OK:
                self._vfs.writable_mount(path)
            self._vfs.check(self._context, node, mode)
            if not self._vfs.flags.permissions:
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

    def _for_xattr(self, path: str, name: str, *, writing: bool) -> Inode:
        # vfs_setxattr and xattr_permission.
        node = self._vfs.find(self._context, path)
        if writing:
            self._vfs.writable_mount(path)
        if name.startswith("trusted.") and self.uid != 0:
            fail(errno.EPERM if writing else errno.ENODATA, path)
        if name.startswith("user.") and node.kind not in (stat.S_IFREG, stat.S_IFDIR):
            fail(errno.EPERM if writing else errno.ENODATA, path)
        self._vfs.check(self._context, node, WRITE if writing else READ)
        self._vfs.has_xattr(path)
        return node


def _to_stat(node: Inode, seen: Attributes) -> Stat:
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
