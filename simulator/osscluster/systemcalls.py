"""The system calls that a container process makes, by name: the process's side of `container`.

What goes in and out is what marshal can carry. Runs in the process itself, which has no threads.
"""

from __future__ import annotations

import ctypes
import os

from osscluster import mounting

__all__ = ["UTIME_OMIT", "StatTuple", "SystemCalls"]

UTIME_OMIT = (1 << 30) - 2
"""Nanoseconds of a time that utimensat(2) leaves alone."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.opendir.restype = ctypes.c_void_p
_libc.opendir.argtypes = [ctypes.c_char_p]
_libc.readdir64.restype = ctypes.c_void_p
_libc.readdir64.argtypes = [ctypes.c_void_p]
_libc.closedir.argtypes = [ctypes.c_void_p]
# struct dirent64: u64 d_ino, s64 d_off, u16 d_reclen, u8 d_type, char d_name[].
_D_TYPE, _D_NAME = 18, 19
_AT_FDCWD = -100
_KINDS = {0: "", 4: "directory", 8: "file", 10: "symlink"}


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


_libc.utimensat.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_Timespec), ctypes.c_int]

StatTuple = tuple[int, int, int, int, float, int, int, int, float, float]
"""The fields of `volume.Stat`."""


class SystemCalls:
    """root: what relative paths begin at, "" where all are absolute."""

    def __init__(self, root: str) -> None:
        self._root = os.fsencode(root)

    def _path(self, path: str) -> bytes:
        return self._root + b"/" + os.fsencode(path) if path else self._root or b"/"

    def stat(self, path: str) -> StatTuple:
        return _stat_tuple(os.stat(self._path(path)))

    def lstat(self, path: str) -> StatTuple:
        return _stat_tuple(os.lstat(self._path(path)))

    def fstat(self, fd: int) -> StatTuple:
        return _stat_tuple(os.fstat(fd))

    def listdir(self, path: str) -> list[tuple[str, str]]:
        # os.scandir hides d_type: it calls lstat(2) where the directory did not say.
        stream = _libc.opendir(self._path(path))
        if not stream:
            raise OSError(ctypes.get_errno(), "opendir")
        found: list[tuple[str, str]] = []
        try:
            while True:
                ctypes.set_errno(0)
                entry = _libc.readdir64(stream)
                if not entry:
                    if ctypes.get_errno():
                        raise OSError(ctypes.get_errno(), "readdir")
                    return found
                name = ctypes.string_at(entry + _D_NAME)
                if name not in (b".", b".."):
                    kind = ctypes.c_ubyte.from_address(entry + _D_TYPE).value
                    found.append((os.fsdecode(name), _KINDS.get(kind, "other")))
        finally:
            _libc.closedir(stream)

    def open(self, path: str, flags: int, mode: int) -> int:
        return os.open(self._path(path), flags, mode)

    def dup(self, fd: int) -> int:
        return os.dup(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def read(self, fd: int, size: int) -> bytes:
        return os.read(fd, size)

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        return os.lseek(fd, offset, whence)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def fdatasync(self, fd: int) -> None:
        os.fdatasync(fd)

    def ftruncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def truncate(self, path: str, size: int) -> None:
        os.truncate(self._path(path), size)

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._path(path), mode)

    def rmdir(self, path: str) -> None:
        os.rmdir(self._path(path))

    def unlink(self, path: str) -> None:
        os.unlink(self._path(path))

    def rename(self, old: str, new: str) -> None:
        os.rename(self._path(old), self._path(new))

    def link(self, old: str, new: str) -> None:
        os.link(self._path(old), self._path(new))

    def symlink(self, target: str, path: str) -> None:
        os.symlink(os.fsencode(target), self._path(path))

    def readlink(self, path: str) -> str:
        return os.fsdecode(os.readlink(self._path(path)))

    def mknod(self, path: str, mode: int, device: int) -> None:
        os.mknod(self._path(path), mode, device)

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._path(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(self._path(path), uid, gid)

    def lchown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(self._path(path), uid, gid)

    def utime(self, path: str, *times: tuple[int, int]) -> None:
        # os.utime knows no UTIME_OMIT.
        pair = (_Timespec * 2)(*(_Timespec(*time) for time in times))
        if _libc.utimensat(_AT_FDCWD, self._path(path), pair, 0):
            raise OSError(ctypes.get_errno(), "utimensat")

    def access(self, path: str, mode: int) -> bool:
        return os.access(self._path(path), mode)

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        os.setxattr(self._path(path), name, value, flags)

    def getxattr(self, path: str, name: str) -> bytes:
        return os.getxattr(self._path(path), name)

    def listxattr(self, path: str) -> list[str]:
        return os.listxattr(self._path(path))

    def removexattr(self, path: str, name: str) -> None:
        os.removexattr(self._path(path), name)

    def statvfs(self, path: str) -> tuple[int, ...]:
        return tuple(os.statvfs(self._path(path)))

    def bind(self, source: str, target: str, flags: int) -> None:
        os.stat(self._path(source))
        mounting.bind(os.fsdecode(self._path(source)), os.fsdecode(self._path(target)))
        mounting.remount_bind(os.fsdecode(self._path(target)), flags)

    def remount_bind(self, target: str, flags: int) -> None:
        mounting.remount_bind(os.fsdecode(self._path(target)), flags)

    def umount(self, target: str, flags: int) -> None:
        mounting.unmount(os.fsdecode(self._path(target)), flags)


def _stat_tuple(seen: os.stat_result) -> StatTuple:
    return (
        seen.st_mode,
        seen.st_uid,
        seen.st_gid,
        seen.st_size,
        seen.st_mtime,
        seen.st_nlink,
        seen.st_blocks,
        seen.st_ino,
        seen.st_atime,
        seen.st_ctime,
    )
