"""mount(2) and its relatives, for mounts and mount namespaces that a node and its containers are made of.

Thin wrappers: each raises OSError with the errno of the call. Any thread, except where a call changes the calling
process (`unshare_mounts`, `unshare_user`, `join_mounts`, `change_root`): those belong to a process without threads, a
child of the spawner.

Sources: mount(2), mount_setattr(2), umount2(2), pivot_root(2), setns(2), capabilities(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

__all__ = [
    "DETACH",
    "FORCE",
    "READ_ONLY",
    "bind",
    "change_root",
    "join_mounts",
    "limit_capabilities",
    "make_private",
    "make_read_only",
    "mount",
    "remount_bind",
    "unmount",
    "unshare_mounts",
    "unshare_user",
]

READ_ONLY: Final = 1
FORCE: Final = 1  # MNT_FORCE
DETACH: Final = 2  # MNT_DETACH
_NOFOLLOW = 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_MOUNT_SETATTR = 442  # the same on every architecture
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 1
_PR_CAPBSET_DROP = 24
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            fstype.encode() or None,
            ctypes.c_ulong(flags),
            os.fsencode(data) or None,
        ),
        target,
    )


def bind(source: str, target: str, *, recursive: bool = False) -> None:
    """MS_BIND. recursive: with what is mounted below source."""
    mount(source, target, "", _MS_BIND | (_MS_REC if recursive else 0))


def remount_bind(target: str, flags: int = 0) -> None:
    """MS_BIND | MS_REMOUNT: the mount has these flags and no others (nosuid and nodev go, unless among them)."""
    mount("", target, "", _MS_BIND | _MS_REMOUNT | flags)


def make_read_only(target: str, *, recursive: bool = False) -> None:
    """Read-only on top of the flags that the mount has. ENOSYS: kernels before 5.12 have no such call."""
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    _check(
        _libc.syscall(
            ctypes.c_long(_SYS_MOUNT_SETATTR),
            ctypes.c_int(_AT_FDCWD),
            ctypes.c_char_p(os.fsencode(target)),
            ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
            ctypes.c_char_p(attributes),
            ctypes.c_size_t(len(attributes)),
        ),
        target,
    )


def make_private() -> None:
    """No mount of this namespace tells another one, or is told, what is mounted on it."""
    mount("", "/", "", _MS_REC | _MS_PRIVATE)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2); flags: FORCE, DETACH."""
    _check(_libc.umount2(os.fsencode(target), _NOFOLLOW | flags), target)


def unshare_mounts() -> None:
    """A copy of the mount namespace for this process alone."""
    _check(_libc.unshare(_CLONE_NEWNS))
    make_private()


def unshare_user() -> None:
    """A new user namespace, in which this process may do everything, with a copy of the mount namespace. EINVAL: the
    process has threads; EPERM, ENOSPC: the machine does not allow it."""
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))


def join_mounts(pid: int) -> None:
    """Enters the mount namespace of another process: its root becomes this one's root and directory."""
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(namespace, _CLONE_NEWNS))
    finally:
        os.close(namespace)


def change_root(directory: str) -> None:
    """pivot_root(2) into a mount point, as runc does it: nothing of the old root remains, not even a directory."""
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    os.chdir(directory)
    if number is None:
        raise OSError(errno.ENOSYS, f"pivot_root(2) has no known number on {os.uname().machine}")
    _check(_libc.syscall(ctypes.c_long(number), ctypes.c_char_p(b"."), ctypes.c_char_p(b".")), directory)
    unmount(".", DETACH)
    os.chdir("/")


def limit_capabilities(kept: int) -> None:
    """Takes every capability from this process that is not in the bit set `kept`, for good."""
    for number in range(_LAST_CAPABILITY + 1):
        if not kept >> number & 1 and _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0):
            break  # EINVAL: the kernel knows no more of them
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(header, sets))
    for half in (0, 1):
        mask = kept >> 32 * half & 0xFFFFFFFF
        effective, permitted = sets[3 * half] & mask, sets[3 * half + 1] & mask
        sets[3 * half], sets[3 * half + 1], sets[3 * half + 2] = effective, permitted, 0
    _check(_libc.capset(header, sets))


def _check(result: int, path: str = "") -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path) if path else OSError(code, os.strerror(code))
