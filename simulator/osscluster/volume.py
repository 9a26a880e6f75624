"""What a user of a mount touches: a volume, the containers that see it, and the system calls they make.

Two implementations share these protocols and answer alike: `kernel` (a real FUSE mount; each container is a process
with the uid, gid and groups asked for) and `direct` (the filesystem core in this process, behind a model of the
kernel's part). Everything here is called from one thread, the runner's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ossfuse.profile import Fixed

if TYPE_CHECKING:
    from osscluster.host import NodeHost

__all__ = ["DirEntry", "Engine", "Holder", "MountFailed", "Stat", "Syscalls", "Volume", "VolumeSpec", "errno_name"]


@dataclass(frozen=True, slots=True)
class Stat:
    """What stat(2) answers. mode: with type bits; sizes in bytes; times in seconds since the epoch."""

    mode: int
    uid: int
    gid: int
    size: int
    mtime: float
    nlink: int
    blocks: int
    ino: int = 0
    atime: float = 0.0
    ctime: float = 0.0


@dataclass(frozen=True, slots=True)
class DirEntry:
    """A name in a directory. kind: "file", "directory", "symlink", "other" or "" where readdir did not say."""

    name: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a file of the volume open, as lsof shows it. path: relative to the volume's root."""

    path: str
    pid: int
    command: str
    uid: int


class Syscalls(Protocol):
    """The system calls of one container process. Paths are relative to the volume's root ("" is the root itself,
    "a/b.txt" a file); every call raises OSError with the errno that a process would see."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def groups(self) -> Sequence[int]: ...
    @property
    def pid(self) -> int: ...

    def stat(self, path: str) -> Stat: ...
    def lstat(self, path: str) -> Stat: ...
    def listdir(self, path: str) -> list[DirEntry]: ...
    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0o666) -> int: ...
    def dup(self, fd: int) -> int: ...
    def close(self, fd: int) -> None: ...
    def read(self, fd: int, size: int) -> bytes: ...
    def write(self, fd: int, data: bytes) -> int: ...
    def pread(self, fd: int, size: int, offset: int) -> bytes: ...
    def pwrite(self, fd: int, data: bytes, offset: int) -> int: ...
    def lseek(self, fd: int, offset: int, whence: int) -> int: ...
    def fstat(self, fd: int) -> Stat: ...
    def fsync(self, fd: int) -> None: ...
    def fdatasync(self, fd: int) -> None: ...
    def ftruncate(self, fd: int, size: int) -> None: ...
    def truncate(self, path: str, size: int) -> None: ...
    def mkdir(self, path: str, mode: int = 0o777) -> None: ...
    def rmdir(self, path: str) -> None: ...
    def unlink(self, path: str) -> None: ...
    def rename(self, old: str, new: str) -> None: ...
    def link(self, old: str, new: str) -> None: ...
    def symlink(self, target: str, path: str) -> None: ...
    def readlink(self, path: str) -> str: ...
    def mknod(self, path: str, mode: int, device: int = 0) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def chown(self, path: str, uid: int, gid: int) -> None: ...
    def lchown(self, path: str, uid: int, gid: int) -> None: ...
    def utime(self, path: str, atime: float | None, mtime: float | None) -> None:
        """utimensat(2); None is UTIME_OMIT."""
        ...

    def access(self, path: str, mode: int) -> bool: ...
    def setxattr(self, path: str, name: str, value: bytes, flags: int = 0) -> None: ...
    def getxattr(self, path: str, name: str) -> bytes: ...
    def listxattr(self, path: str) -> list[str]: ...
    def removexattr(self, path: str, name: str) -> None: ...
    def statvfs(self, path: str) -> os.statvfs_result: ...


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """What to mount. path: directory in the bucket, "/" for the whole bucket. options: as on ossfs's command line
    ("-o allow_other -o umask=022"). version: ossfs version or profile name. passwd: lines of the password file
    ("bucket:AK:SK"); environment: extra variables of the ossfs process (for example TZ). fixed: the simulated release
    without its defects, or without those named."""

    bucket: str
    path: str = "/"
    options: str = ""
    version: str = ""
    passwd: str = ""
    mime_types: str | None = None  # content of /etc/mime.types as ossfs shall see it; None: the machine's own
    environment: Mapping[str, str] = field(default_factory=dict)
    fixed: Fixed = False


class MountFailed(Exception):
    """The mount command failed. message: what it printed; returncode: its exit code."""

    def __init__(self, message: str, returncode: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.returncode = returncode


class Volume(Protocol):
    """One mount of a bucket (or of a directory in it)."""

    @property
    def spec(self) -> VolumeSpec: ...
    @property
    def mountpoint(self) -> str:
        """Absolute path; for `direct` one that exists nowhere."""
        ...

    def container(
        self, name: str, *, uid: int = 0, gid: int = 0, groups: Sequence[int] = (), umask: int = 0o022
    ) -> Syscalls:
        """The process called `name` (its comm), started at the first call, the same one afterwards."""
        ...

    def holders(self) -> list[Holder]:
        """Who has which file open, as lsof sees it."""
        ...

    def alive(self) -> bool: ...
    def kill(self) -> None:
        """SIGKILL to the ossfs process: every call answers ENOTCONN afterwards, the mount entry stays."""
        ...

    def update_passwd(self, passwd: str) -> None:
        """Rewrites the password file, as an updated Secret does; the running ossfs process is not told."""
        ...

    def unmount(self) -> None:
        """umount(8): flushes what close(2) flushed, ends the ossfs process. Open files: OSError EBUSY."""
        ...


class Engine(Protocol):
    """Mounts volumes over one cloud: the kernel engine and the direct engine."""

    name: str  # "kernel" or "direct"

    def mount(self, spec: VolumeSpec) -> Volume:
        """Raises MountFailed."""
        ...

    def host(self, name: str) -> NodeHost:
        """The operating system of the node called `name`, made at the first call; several share one cloud."""
        ...

    def advance(self, seconds: float) -> None:
        """Moves the time of the cloud and of every mount ahead."""
        ...

    def close(self) -> None:
        """Ends every container, mount and process of this engine and removes its files; safe to call twice."""
        ...


def errno_name(code: int) -> str:
    """The name people write: "EACCES"; EOPNOTSUPP is called ENOTSUP, as in ossfs's source."""
    return "ENOTSUP" if code == errno.EOPNOTSUPP else errno.errorcode.get(code, str(code))
