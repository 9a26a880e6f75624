"""A container: a process with its own uid, gid, groups, umask and name that makes real system calls on a volume.

`serve` is the process's side, run by the spawner's child; `ContainerProcess` is the runner's side and implements
`volume.Syscalls`. They talk over a socket pair: a length, then a marshalled tuple (both ends are this very file).

The process keeps nothing of the volume open but what was asked for: its directory is "/" (or the working directory of
its container), its standard streams are /dev/null. What it sees of the file systems is `jail`'s business.
`ContainerProcess` is used from the runner's thread only.
"""

from __future__ import annotations

import ctypes
import errno
import marshal
import os
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from osscluster.errors import CallTimeout, EnvironmentMissing, ProcessDied
from osscluster.systemcalls import UTIME_OMIT, StatTuple, SystemCalls
from osscluster.volume import DirEntry, Stat

if TYPE_CHECKING:
    from osscluster.spawner import Process

__all__ = ["ContainerProcess", "IdentityRefused", "become", "serve", "set_process_name"]

_PR_SET_NAME = 15
_UNMAPPED = 65534  # what a user namespace shows of groups that it has no number for
_LENGTH = struct.Struct("=Q")
_libc = ctypes.CDLL(None, use_errno=True)


class IdentityRefused(OSError):
    """This machine does not let the process have the ids it should have."""


def set_process_name(name: str) -> None:
    """What ps, lsof and /proc/PID/comm call this process: the first 15 bytes of `name`."""
    _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(os.fsencode(name)[:15]), 0, 0, 0)


def become(uid: int, gid: int, groups: Sequence[int], umask: int) -> None:
    """Gives this process its identity. Raises IdentityRefused where the machine does not allow it (EPERM without root,
    EINVAL for an id that the user namespace does not map)."""
    os.umask(umask)
    try:
        present = set(os.getgroups()) - {gid, _UNMAPPED}
        if (uid, gid) != (os.geteuid(), os.getegid()) or sorted(groups) != sorted(present):
            os.setgroups(list(groups))
        if gid != os.getegid():
            os.setresgid(gid, gid, gid)
        if uid != os.geteuid():
            os.setresuid(uid, uid, uid)
    except OSError as error:
        raise IdentityRefused(*error.args) from error


def serve(connection: socket.socket, root: str, prepare: Callable[[], None]) -> None:
    """The process's side: runs `prepare`, reports how that went, then answers calls until the runner hangs up."""
    try:
        prepare()
    except OSError as error:
        report = (error.errno, error.strerror, error.filename, isinstance(error, IdentityRefused))
        _send(connection, report)
        return
    _send(connection, (0, os.getpid()))
    calls = SystemCalls(root)
    while (message := _receive(connection)) is not None:
        name, *arguments = message
        answer: tuple[object, ...]
        try:
            answer = (0, getattr(calls, name)(*arguments))
        except OSError as error:
            answer = (error.errno or errno.EIO, None)
        except Exception:  # noqa: BLE001 - carried to the runner, which raises it
            answer = (-1, traceback.format_exc())
        _send(connection, answer)


class ContainerProcess:
    """The runner's side of one container process; implements `volume.Syscalls`.

    timeout: seconds that one system call may take. When it is over the process is killed (a process that waits for an
    answer of a FUSE file system can only be ended by SIGKILL) and CallTimeout raised; later calls raise ProcessDied.
    """

    def __init__(
        self,
        process: Process,
        connection: socket.socket,
        *,
        name: str,
        uid: int,
        gid: int,
        groups: Sequence[int],
        timeout: float,
    ) -> None:
        self.name = name
        self.uid = uid
        self.gid = gid
        self.groups = tuple(groups)
        self.pid = process.pid
        self.process = process
        self.timeout = timeout
        self.last_reply = time.monotonic()
        self.on_end: Callable[[], None] | None = None  # called once it has gone by `end`
        self._connection = connection
        code, detail, *more = self._exchange("start", None)
        if code:
            self.end()
            path, refused = more
            if not refused:
                raise OSError(code, detail, *(() if path is None else (path,)))
            raise EnvironmentMissing(
                f"a container with uid {uid}, gid {gid}, groups {list(groups)} can't be started here: {detail}",
                "run as root, or sudo apt-get install -y uidmap (ossvol doctor says more)",
            )

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL without waiting: a process inside a call that ossfs does not answer is there until ossfs is gone."""
        self.process.send_signal(signal.SIGKILL)
        self._connection.close()

    def end(self) -> None:
        """SIGKILL, and waits until the process has gone; safe to call twice."""
        self.process.end(signal.SIGKILL)
        self._connection.close()
        if self.on_end is not None:
            self.on_end()

    def _exchange(self, name: str, message: tuple[object, ...] | None) -> tuple[Any, ...]:
        if self._connection.fileno() < 0:
            raise ProcessDied(f"container {self.name} (pid {self.pid}) has been killed; {name} was not called")
        answer: tuple[Any, ...] | None = None
        timed_out = False
        try:
            self._connection.settimeout(self.timeout)
            if message is not None:
                _send(self._connection, message)
            answer = _receive(self._connection)
        except TimeoutError:
            timed_out = True
        except (BrokenPipeError, ConnectionResetError):
            answer = None
        except BaseException:
            # Interrupted in the middle (Ctrl-C): what comes next on this socket would answer the wrong call.
            self.kill()
            raise
        self.last_reply = time.monotonic()
        if timed_out:
            where = _kernel_wait(self.pid)
            self.kill()
            raise CallTimeout(
                f"container {self.name} (pid {self.pid}): {_call_text(name, message)} did not return within "
                f"{self.timeout:g} s{where}; the container was killed"
            )
        if answer is None:
            self.end()
            code = self.process.poll()
            raise ProcessDied(
                f"container {self.name} (pid {self.pid}) ended during {_call_text(name, message)}, exit code {code}"
            )
        return answer

    def mount_bind(self, source: str, target: str, flags: int = 0) -> None:
        """mount(2) with MS_BIND, then a remount with nothing but `flags`. Raises OSError; after EPERM from the remount
        the mount is there."""
        self._call("bind", source, target, flags)

    def remount_bind(self, target: str, flags: int) -> None:
        """The remount alone."""
        self._call("remount_bind", target, flags)

    def umount(self, target: str, flags: int = 0) -> None:
        """umount2(2)."""
        self._call("umount", target, flags)

    def _call(self, name: str, *arguments: object) -> Any:
        code, result = self._exchange(name, (name, *arguments))
        if code == 0:
            return result
        if code < 0:
            raise ProcessDied(f"container {self.name} (pid {self.pid}): {name} broke the container:\n{result}")
        path = arguments[0] if arguments and isinstance(arguments[0], str) else None
        raise OSError(code, os.strerror(code), path)

    def stat(self, path: str) -> Stat:
        return _to_stat(self._call("stat", path))

    def lstat(self, path: str) -> Stat:
        return _to_stat(self._call("lstat", path))

    def fstat(self, fd: int) -> Stat:
        return _to_stat(self._call("fstat", fd))

    def listdir(self, path: str) -> list[DirEntry]:
        return [DirEntry(name, kind) for name, kind in self._call("listdir", path)]

    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        return cast(int, self._call("open", path, flags, mode))

    def dup(self, fd: int) -> int:
        return cast(int, self._call("dup", fd))

    def close(self, fd: int) -> None:
        self._call("close", fd)

    def read(self, fd: int, size: int) -> bytes:
        return cast(bytes, self._call("read", fd, size))

    def write(self, fd: int, data: bytes) -> int:
        return cast(int, self._call("write", fd, bytes(data)))

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return cast(bytes, self._call("pread", fd, size, offset))

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        return cast(int, self._call("pwrite", fd, bytes(data), offset))

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        return cast(int, self._call("lseek", fd, offset, whence))

    def fsync(self, fd: int) -> None:
        self._call("fsync", fd)

    def fdatasync(self, fd: int) -> None:
        self._call("fdatasync", fd)

    def ftruncate(self, fd: int, size: int) -> None:
        self._call("ftruncate", fd, size)

    def truncate(self, path: str, size: int) -> None:
        self._call("truncate", path, size)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        self._call("mkdir", path, mode)

    def rmdir(self, path: str) -> None:
        self._call("rmdir", path)

    def unlink(self, path: str) -> None:
        self._call("unlink", path)

    def rename(self, old: str, new: str) -> None:
        self._call("rename", old, new)

    def link(self, old: str, new: str) -> None:
        self._call("link", old, new)

    def symlink(self, target: str, path: str) -> None:
        self._call("symlink", target, path)

    def readlink(self, path: str) -> str:
        return cast(str, self._call("readlink", path))

    def mknod(self, path: str, mode: int, device: int = 0) -> None:
        self._call("mknod", path, mode, device)

    def chmod(self, path: str, mode: int) -> None:
        self._call("chmod", path, mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        self._call("chown", path, uid, gid)

    def lchown(self, path: str, uid: int, gid: int) -> None:
        self._call("lchown", path, uid, gid)

    def utime(self, path: str, atime: float | None, mtime: float | None) -> None:
        times = [(0, UTIME_OMIT) if time is None else divmod(round(time * 1e9), 10**9) for time in (atime, mtime)]
        self._call("utime", path, *times)

    def access(self, path: str, mode: int) -> bool:
        return cast(bool, self._call("access", path, mode))

    def setxattr(self, path: str, name: str, value: bytes, flags: int = 0) -> None:
        self._call("setxattr", path, name, bytes(value), flags)

    def getxattr(self, path: str, name: str) -> bytes:
        return cast(bytes, self._call("getxattr", path, name))

    def listxattr(self, path: str) -> list[str]:
        return cast("list[str]", self._call("listxattr", path))

    def removexattr(self, path: str, name: str) -> None:
        self._call("removexattr", path, name)

    def statvfs(self, path: str) -> os.statvfs_result:
        return os.statvfs_result(self._call("statvfs", path))


def _to_stat(fields: StatTuple) -> Stat:
    return Stat(*fields)


def _call_text(name: str, message: tuple[object, ...] | None) -> str:
    shown = [
        f"<{len(item)} bytes>" if isinstance(item, bytes) and len(item) > 32 else repr(item)
        for item in (message or ())[1:]
    ]
    return f"{name}({', '.join(shown)})"


def _kernel_wait(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
            place = file.read()
    except OSError:
        return ""
    return f", waiting in {place}" if place not in ("", "0") else ""


def _send(connection: socket.socket, message: tuple[Any, ...]) -> None:
    payload = marshal.dumps(message)
    connection.sendall(_LENGTH.pack(len(payload)) + payload)


def _receive(connection: socket.socket) -> tuple[Any, ...] | None:
    """None when the other end has closed."""
    head = connection.recv(65536)
    while 0 < len(head) < _LENGTH.size:
        more = connection.recv(_LENGTH.size - len(head))
        if not more:
            return None
        head += more
    if not head:
        return None
    (length,) = _LENGTH.unpack_from(head)
    if len(head) - _LENGTH.size == length:
        return cast("tuple[Any, ...]", marshal.loads(memoryview(head)[_LENGTH.size :]))
    payload = bytearray(length)
    have = len(head) - _LENGTH.size
    payload[:have] = head[_LENGTH.size :]
    view = memoryview(payload)
    while have < length:
        got = connection.recv_into(view[have:])
        if not got:
            return None
        have += got
    return cast("tuple[Any, ...]", marshal.loads(payload))
