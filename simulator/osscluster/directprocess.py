"""A process of a node of the direct engine: its system calls with absolute paths, through the mounts it sees.

Each call goes to the `Task` that the process is on the file system in question. Used from the runner's thread only.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from osscluster.errors import ProcessDied
from osscluster.inode import Inode, OpenFile, fail
from osscluster.namespace import Mount, Namespace
from osscluster.task import Task
from osscluster.volume import DirEntry, Stat
from ossfuse.mounted import Context

__all__ = ["DirectProcess", "Opened"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _call(call: Callable[Concatenate[DirectProcess, _P], _R]) -> Callable[Concatenate[DirectProcess, _P], _R]:
    """Errors name the path that was given."""

    @functools.wraps(call)
    def called(process: DirectProcess, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not process.alive():
            raise ProcessDied(f"{process.name} (pid {process.pid}) has ended; {call.__name__} was not called")
        try:
            return call(process, *args, **kwargs)
        except OSError as error:
            code = error.errno or errno.EIO
            path = args[0] if args and isinstance(args[0], str) else None
            raise OSError(code, os.strerror(code), path) from error

    return called


@dataclass(frozen=True, slots=True)
class Opened:
    """mount: through which it was opened; task, number: its descriptor there."""

    mount: Mount
    task: Task
    number: int

    @property
    def file(self) -> OpenFile:
        return self.task.files[self.number]


class DirectProcess:
    """Implements `host.Container`. on_end: called when it has ended."""

    def __init__(
        self,
        namespace: Namespace,
        name: str,
        *,
        pid: int,
        uid: int,
        gid: int,
        groups: Sequence[int],
        umask: int,
        on_end: Callable[[DirectProcess], None],
    ) -> None:
        self.name = name
        self.pid = pid
        self.uid = uid
        self.gid = gid
        self.groups = tuple(groups)
        self.namespace = namespace
        self.context = Context(uid=uid, gid=gid, pid=pid, umask=umask, command=name[:15])
        self.opened: dict[int, Opened] = {}
        self.directory: tuple[Mount, Inode] | None = None
        self._umask = umask
        self._on_end = on_end
        self._tasks: dict[Mount, Task] = {}
        self._alive = True

    def alive(self) -> bool:
        return self._alive

    def end(self) -> None:
        """SIGKILL: what it has open is closed, errors are lost. Safe to call twice."""
        if self._alive:
            self._alive = False
            self.opened.clear()
            for task in self._tasks.values():
                task.end()
            self.directory = None
            self._on_end(self)

    def enter(self, directory: str) -> None:
        """chdir(2)."""
        mount, node = self.namespace.find(self.context, directory)
        mount.vfs.enter(self.context, node)
        if not mount.vfs.flags.permissions:
            mount.vfs.fs.access(self.context, node.path, os.X_OK)
        self.directory = mount, node

    def _task(self, mount: Mount) -> Task:
        known = self._tasks.get(mount)
        if known is None:
            known = self._tasks[mount] = Task(
                mount.vfs, self.name, pid=self.pid, uid=self.uid, gid=self.gid, groups=self.groups, umask=self._umask
            )
        return known

    def _find(self, path: str) -> tuple[Task, str]:
        mount, rest = self._place(path)
        return self._task(mount), rest

    def _place(self, path: str) -> tuple[Mount, str]:
        if not path:
            fail(errno.ENOENT)
        mount, rest = self.namespace.resolve(path)
        self.namespace.check_walk(self.context, mount)
        return mount, rest

    def _opened(self, fd: int) -> Opened:
        known = self.opened.get(fd)
        if known is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return known

    def _two(self, old: str, new: str) -> tuple[Task, str, str]:
        mount, rest = self._place(old)
        other, way = self._place(new)
        if mount is not other:
            fail(errno.EXDEV, old)
        return self._task(mount), rest, way

    @_call
    def stat(self, path: str) -> Stat:
        task, rest = self._find(path)
        return task.stat(rest)

    @_call
    def lstat(self, path: str) -> Stat:
        task, rest = self._find(path)
        return task.lstat(rest)

    @_call
    def listdir(self, path: str) -> list[DirEntry]:
        task, rest = self._find(path)
        return task.listdir(rest)

    @_call
    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        mount, rest = self._place(path)
        task = self._task(mount)
        number = task.open(rest, flags, mode)
        return self._install(Opened(mount, task, number))

    def _install(self, opened: Opened) -> int:
        fd = next(free for free in range(3, len(self.opened) + 4) if free not in self.opened)
        self.opened[fd] = opened
        return fd

    @_call
    def dup(self, fd: int) -> int:
        known = self._opened(fd)
        return self._install(Opened(known.mount, known.task, known.task.dup(known.number)))

    @_call
    def close(self, fd: int) -> None:
        known = self._opened(fd)
        del self.opened[fd]
        known.task.close(known.number)

    @_call
    def read(self, fd: int, size: int) -> bytes:
        known = self._opened(fd)
        return known.task.read(known.number, size)

    @_call
    def write(self, fd: int, data: bytes) -> int:
        known = self._opened(fd)
        return known.task.write(known.number, data)

    @_call
    def pread(self, fd: int, size: int, offset: int) -> bytes:
        known = self._opened(fd)
        return known.task.pread(known.number, size, offset)

    @_call
    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        known = self._opened(fd)
        return known.task.pwrite(known.number, data, offset)

    @_call
    def lseek(self, fd: int, offset: int, whence: int) -> int:
        known = self._opened(fd)
        return known.task.lseek(known.number, offset, whence)

    @_call
    def fstat(self, fd: int) -> Stat:
        known = self._opened(fd)
        return known.task.fstat(known.number)

    @_call
    def fsync(self, fd: int) -> None:
        known = self._opened(fd)
        known.task.fsync(known.number)

    @_call
    def fdatasync(self, fd: int) -> None:
        known = self._opened(fd)
        known.task.fdatasync(known.number)

    @_call
    def ftruncate(self, fd: int, size: int) -> None:
        known = self._opened(fd)
        known.task.ftruncate(known.number, size)

    @_call
    def truncate(self, path: str, size: int) -> None:
        task, rest = self._find(path)
        task.truncate(rest, size)

    @_call
    def mkdir(self, path: str, mode: int = 0o777) -> None:
        task, rest = self._find(path)
        task.mkdir(rest, mode)

    @_call
    def rmdir(self, path: str) -> None:
        task, rest = self._find(path)
        task.rmdir(rest)

    @_call
    def unlink(self, path: str) -> None:
        task, rest = self._find(path)
        task.unlink(rest)

    @_call
    def rename(self, old: str, new: str) -> None:
        task, rest, way = self._two(old, new)
        task.rename(rest, way)

    @_call
    def link(self, old: str, new: str) -> None:
        task, rest, way = self._two(old, new)
        task.link(rest, way)

    @_call
    def symlink(self, target: str, path: str) -> None:
        task, rest = self._find(path)
        task.symlink(target, rest)

    @_call
    def readlink(self, path: str) -> str:
        task, rest = self._find(path)
        return task.readlink(rest)

    @_call
    def mknod(self, path: str, mode: int, device: int = 0) -> None:
        task, rest = self._find(path)
        task.mknod(rest, mode, device)

    @_call
    def chmod(self, path: str, mode: int) -> None:
        task, rest = self._find(path)
        task.chmod(rest, mode)

    @_call
    def chown(self, path: str, uid: int, gid: int) -> None:
        task, rest = self._find(path)
        task.chown(rest, uid, gid)

    @_call
    def lchown(self, path: str, uid: int, gid: int) -> None:
        task, rest = self._find(path)
        task.lchown(rest, uid, gid)

    @_call
    def utime(self, path: str, atime: float | None, mtime: float | None) -> None:
        task, rest = self._find(path)
        task.utime(rest, atime, mtime)

    def access(self, path: str, mode: int) -> bool:
        try:
            task, rest = self._find(path)
        except OSError:
            return False
        return task.access(rest, mode)

    @_call
    def setxattr(self, path: str, name: str, value: bytes, flags: int = 0) -> None:
        task, rest = self._find(path)
        task.setxattr(rest, name, value, flags)

    @_call
    def getxattr(self, path: str, name: str) -> bytes:
        task, rest = self._find(path)
        return task.getxattr(rest, name)

    @_call
    def listxattr(self, path: str) -> list[str]:
        task, rest = self._find(path)
        return task.listxattr(rest)

    @_call
    def removexattr(self, path: str, name: str) -> None:
        task, rest = self._find(path)
        task.removexattr(rest, name)

    @_call
    def statvfs(self, path: str) -> os.statvfs_result:
        task, rest = self._find(path)
        return task.statvfs(rest)
