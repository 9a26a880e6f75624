"""What a process of a node sees of the file systems: its own root directory, and for a container mounts of its own.

Each function changes the process that calls it, a single-threaded child of the spawner which then makes a container's
system calls (`container.serve`). Nothing is left when that process ends: its mounts live in its namespace alone.

The order of things is runc's (1.1, libcontainer: prepareRootfs, finalizeNamespace): mounts in the order of their
depth, the working directory made if it is missing and entered as root first, as the user only where root was refused.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from osscluster import mounting, mounttable

__all__ = ["Jail", "JailMount", "enter", "prepare"]

_BASE = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_PLACES = "/.places"
# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD,
# AUDIT_WRITE, SETFCAP: what containerd and Docker leave to a container that is not privileged.
_CAPABILITIES = 0xA80425FB


@dataclass(frozen=True, slots=True)
class JailMount:
    """source: path on this machine; shown: how its user calls it; target: absolute path in the container."""

    source: str
    shown: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Jail:
    """root: a directory to be the root, as chroot(2) does it, in the same mount namespace ("" for none). rootfs: an
    empty directory over which a container's root is mounted in a namespace of its own ("" for none). join: pid of a
    process whose mount namespace to enter (0 for none). working_dir: of the container."""

    root: str = ""
    rootfs: str = ""
    join: int = 0
    mounts: Sequence[JailMount] = ()
    working_dir: str = "/"

    @property
    def contained(self) -> bool:
        return bool(self.rootfs or self.join)


def prepare(jail: Jail, become: Callable[[], None]) -> None:
    """Enters the jail and takes the identity of its user. Raises OSError as the container's runtime meets it."""
    if jail.root:
        os.chroot(jail.root)
        os.chdir("/")
    elif jail.rootfs:
        mounting.unshare_mounts()
        _build(jail)
        mounting.change_root(jail.rootfs)
    elif jail.join:
        capabilities = _capabilities_of(jail.join)
        mounting.join_mounts(jail.join)
        mounting.limit_capabilities(capabilities)
    if not jail.contained:
        become()
        return
    if jail.rootfs:
        _make_working_dir(jail.working_dir)
        mounting.limit_capabilities(_CAPABILITIES)
    refused = enter(os.chdir, jail.working_dir)
    become()
    if refused:
        enter(os.chdir, jail.working_dir, again=True)


def enter(chdir: Callable[[str], None], directory: str, *, again: bool = False) -> bool:
    """Makes a container's working directory that of its process, by `chdir`. Whether it has to be tried again as the
    user; `again`: it is. Raises OSError with runc's text."""
    try:
        chdir(directory)
    except OSError as error:
        if not again and error.errno in (errno.EACCES, errno.EPERM):
            return True
        reason = os.strerror(error.errno or errno.EIO).lower()
        raise OSError(error.errno, f'chdir to cwd ("{directory}") set in config.json failed: {reason}') from error
    return False


def _make_working_dir(directory: str) -> None:
    try:
        _make_directories(directory, 0o755)
    except OSError as error:
        # Where there is a file, Go's MkdirAll says so.
        code = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno or errno.EIO
        raise OSError(code, f"mkdir {directory}: {os.strerror(code).lower()}") from error


def _capabilities_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return int(next(line for line in lines if line.startswith("CapBnd:")).split()[1], 16)


def _build(jail: Jail) -> None:
    root = jail.rootfs
    for item in jail.mounts:
        _stat(item)
    mounting.mount("tmpfs", root, "tmpfs", 0, "mode=755,size=64m")
    os.mkdir(root + _PLACES)
    mounting.mount("tmpfs", root + _PLACES, "tmpfs", 0, "mode=755,size=1m")
    for name in _BASE:
        _base(root, name, [item for item in jail.mounts if mounttable.below(item.target, f"/{name}") is not None])
    # An overlay keeps its layers in use by itself.
    mounting.unmount(root + _PLACES, mounting.DETACH)
    os.rmdir(root + _PLACES)
    for name, mode in (("proc", 0o555), ("dev", 0o755), ("tmp", 0o1777), ("run", 0o755), ("var", 0o755)):
        os.mkdir(f"{root}/{name}")
        os.chmod(f"{root}/{name}", mode)
    mounting.bind("/proc", f"{root}/proc", recursive=True)
    for name in _DEVICES:
        if os.path.exists(f"/dev/{name}"):
            _touch(f"{root}/dev/{name}")
            mounting.bind(f"/dev/{name}", f"{root}/dev/{name}")
    for item in sorted(jail.mounts, key=lambda item: item.target.rstrip("/").count("/")):
        target = root + item.target.rstrip("/")
        _make_target(item.source, target)
        mounting.bind(item.source, target, recursive=True)
        if item.read_only:
            _make_read_only(target)


def _stat(item: JailMount) -> None:
    try:
        os.stat(item.source)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or errno.EIO), item.shown) from error


def _base(root: str, name: str, wanted: Sequence[JailMount]) -> None:
    """A directory of this machine, read-only in the container; with the places for `wanted` where it lacks them."""
    source, target = f"/{name}", f"{root}/{name}"
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if not os.path.isdir(source):
        return
    os.mkdir(target)
    missing = [item for item in wanted if not os.path.lexists(item.target)]
    if not missing:
        mounting.bind(source, target, recursive=True)
        _make_read_only(target)
        return
    # An image has such a place; here it lies over the machine's directory, without a layer to write to.
    places = f"{root}{_PLACES}/{name}"
    for item in missing:
        _make_target(item.source, f"{root}{_PLACES}{item.target}")
    mounting.mount("overlay", target, "overlay", mounting.READ_ONLY, f"lowerdir={places}:{source}")


def _make_read_only(target: str) -> None:
    try:
        mounting.make_read_only(target)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        # Before Linux 5.12 every flag has to be named again; a namespace may not drop those that it did not set.
        entry = [entry for entry in mounttable.mounts() if entry.mountpoint == target][-1]
        known = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
        flags = sum(known.get(word, 0) for word in entry.options.split(",")[:8])
        mounting.remount_bind(target, flags | mounting.READ_ONLY)


def _make_directories(path: str, mode: int) -> None:
    if not os.path.isdir(path):
        old = os.umask(0)
        try:
            os.makedirs(path, mode, exist_ok=True)
        finally:
            os.umask(old)


def _make_target(source: str, target: str) -> None:
    if os.path.isdir(source):
        _make_directories(target, 0o755)
        return
    _make_directories(os.path.dirname(target), 0o755)
    _touch(target)


def _touch(path: str) -> None:
    if not os.path.lexists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
