"""A user namespace in which an ordinary user is root enough for a node: mounts of FUSE, bind mounts, other uids.

With newuidmap (Debian: uidmap) and a range in /etc/subuid the namespace has 65,536 ids, so containers run as any of
them; without, only the user's own, which is root there. The process that enters belongs to it for good, with a mount
namespace of its own: what is mounted goes with its last process. Sources: user_namespaces(7), newuidmap(1).

Called from the main thread of a process that has no other yet.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import sys
from dataclasses import dataclass
from typing import NoReturn

from osscluster import mounting
from osscluster.engine import kernel_unavailable
from osscluster.errors import EnvironmentMissing

__all__ = ["Possible", "possible", "reexecute"]

_IDS = 65536
_INSTALL = "sudo apt-get install -y uidmap; sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
_ALLOW = (
    "sudo sysctl user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1 "
    "kernel.apparmor_restrict_unprivileged_userns=0 (those that the kernel has)"
)


@dataclass(frozen=True, slots=True)
class Possible:
    """missing: why no kernel mounts are possible in a namespace, None when they are; ids: how many it has; remedy: what
    gives more of them, "" when there are enough."""

    missing: EnvironmentMissing | None
    ids: int
    remedy: str


def possible() -> Possible:
    """Tries it in a child; changes nothing."""
    ids = _IDS if _ranges() else 1
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _try(write, ids)
    os.close(write)
    with open(read, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if text == "ok":
        return Possible(None, ids, "" if ids > 1 else _INSTALL)
    reason, _, remedy = text.partition("\n")
    if ids > 1 and not remedy:
        remedy = _INSTALL
    return Possible(EnvironmentMissing(reason or "the attempt ended without a word", remedy or _ALLOW), ids, "")


def reexecute(ids: int) -> NoReturn:
    """Enters a namespace with so many ids (as `possible` says) and runs this process's own command line there. Raises
    OSError where `possible` would have said so."""
    _enter(ids)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _try(write: int, ids: int) -> NoReturn:
    text = "ok"
    try:
        _enter(ids)
        missing = kernel_unavailable()
        if missing is not None:
            text = f"{missing.reason}\n{missing.remedy}"
    except OSError as error:
        text = f"no user namespace: {error.strerror}"
    except BaseException as error:  # noqa: BLE001 - a child must never return into its parent's code
        text = f"no user namespace: {error!r}"
    finally:
        os.write(write, text.encode())
        os._exit(0)


def _enter(ids: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    read, write = os.pipe()
    mapper = os.fork() if ids > 1 else 0
    if ids > 1 and mapper == 0:
        _map_from_outside(read, write, os.getppid(), uid, gid)
    try:
        mounting.unshare_user()
        if mapper:
            os.write(write, b"1")
            _, status = os.waitpid(mapper, 0)
            mapper = 0
            if status:
                raise OSError(status, "newuidmap or newgidmap refused")
        else:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"0 {uid} 1")
            _write("/proc/self/gid_map", f"0 {gid} 1")
    finally:
        os.close(read)
        os.close(write)
        if mapper:
            os.kill(mapper, signal.SIGKILL)
            os.waitpid(mapper, 0)
    os.setresgid(0, 0, 0)
    if ids > 1:
        os.setgroups([])
    os.setresuid(0, 0, 0)
    mounting.make_private()


def _map_from_outside(read: int, write: int, pid: int, uid: int, gid: int) -> NoReturn:
    code = 1
    try:
        os.close(write)
        ranges = _ranges()
        if os.read(read, 1) and ranges is not None:
            users, groups = ranges
            code = os.spawnvp(
                os.P_WAIT, "newuidmap", ["newuidmap", str(pid), "0", str(uid), "1", "1", str(users), str(_IDS - 1)]
            ) or os.spawnvp(
                os.P_WAIT, "newgidmap", ["newgidmap", str(pid), "0", str(gid), "1", "1", str(groups), str(_IDS - 1)]
            )
    finally:
        os._exit(min(abs(code), 255))


def _ranges() -> tuple[int, int] | None:
    """Where this user's subordinate uids and gids begin; None without newuidmap or enough of them."""
    if shutil.which("newuidmap") is None or shutil.which("newgidmap") is None:
        return None
    found = [_first(f"/etc/{name}") for name in ("subuid", "subgid")]
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None


def _first(path: str) -> int | None:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    try:
        with open(path, encoding="utf-8") as file:
            rows = [line.strip().split(":") for line in file]
    except OSError:
        return None
    starts = [int(row[1]) for row in rows if len(row) == 3 and row[0] in (name, str(uid)) and int(row[2]) >= _IDS - 1]
    return starts[0] if starts else None


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
