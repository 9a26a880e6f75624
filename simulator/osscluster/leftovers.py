"""What a run has made - processes, mount points, directories - recorded by id, and the removal of what a dead run left.

A run is one process that uses the node (a runner, a pytest worker). It owns one directory whose name is its identity,
`run-BOOT-PIDNS-PID-START`, and in it one `record.json`. What is about to be made is recorded before it is made, so that
whoever cleans up finds at least what exists:

- the run itself, at `close` or atexit;
- its spawner, as soon as the socket to the run is closed (the run was killed);
- the next run that starts, for runs whose process is gone.

A run that lives is never touched, whoever it belongs to: two at once don't see each other. A run of another pid
namespace can't be judged and is left alone, unless the machine was booted since.

`Run` is used from the runner's thread only; `clean` also from the spawner.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import importlib
import json
import os
import signal
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from osscluster import mounttable
from osscluster.config import state_base
from osscluster.errors import EnvironmentMissing
from osscluster.identity import ProcessIdentity, boot_id, pid_namespace

__all__ = ["Run", "clean", "clean_dead_runs", "living_runs", "remove", "unmount_below"]

_PREFIX = "run-"
_ROUNDS = 16
_END_SECONDS = 5.0  # how long a killed process may take to disappear


class Run:
    """This process's run. directory: its own, mode 0711 so that containers can pass to their mount points below. All
    methods but `close` may be called from any thread."""

    _current: ClassVar[dict[Path, Run]] = {}

    def __init__(self, base: Path) -> None:
        self.base = base
        _make_base(self.base)
        clean_dead_runs(self.base)
        self.owner = ProcessIdentity.own()
        self.directory = self.base / f"{_PREFIX}{boot_id()}-{pid_namespace()}-{self.owner.pid}-{self.owner.start}"
        self.directory.mkdir(mode=0o711)
        self.directory.chmod(0o711)
        self._processes: dict[int, int] = {}
        self._mountpoints: list[str] = []
        self._docker = ""
        self._callbacks: list[Callable[[], None]] = []
        self._count = 0
        self._closed = False
        self._lock = threading.Lock()
        self._write()
        atexit.register(self.close)

    @classmethod
    def current(cls, base: Path | None = None) -> Run:
        """The run of this process below `base`, made at the first call; a forked child gets its own."""
        base = base or state_base()
        known = cls._current.get(base)
        if known is None or known._closed or known.owner.pid != os.getpid():
            known = cls._current[base] = cls(base)
        return known

    def new_directory(self, name: str, *, mode: int = 0o700) -> Path:
        """A fresh directory in the run's own, called after `name`; it goes with the run."""
        with self._lock:
            self._count += 1
            path = self.directory / f"{name}-{self._count}"
        path.mkdir(mode=mode)
        path.chmod(mode)
        return path

    def add_process(self, identity: ProcessIdentity) -> None:
        """Records a process that has to end with the run."""
        with self._lock:
            self._processes[identity.pid] = identity.start
            self._write()

    def forget_process(self, identity: ProcessIdentity) -> None:
        """The process has ended and was waited for."""
        with self._lock:
            if self._processes.get(identity.pid) == identity.start:
                del self._processes[identity.pid]
                self._write()

    def add_mountpoint(self, mountpoint: str) -> None:
        """Records a mount point before anything is mounted there."""
        with self._lock:
            self._mountpoints.append(mountpoint)
            self._write()

    def forget_mountpoint(self, mountpoint: str) -> None:
        """Nothing is mounted there any more."""
        with self._lock:
            if mountpoint in self._mountpoints:
                self._mountpoints.remove(mountpoint)
                self._write()

    def add_docker(self, url: str) -> None:
        """Records the Docker engine that has containers of this run, before it has one."""
        with self._lock:
            self._docker = url
            self._write()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Called when the run closes, before anything is removed; the last one registered first."""
        self._callbacks.append(callback)

    def close(self) -> None:
        """Ends and removes everything of this run; safe to call twice. Does nothing in a forked child."""
        if self._closed or self.owner.pid != os.getpid():
            return
        self._closed = True
        atexit.unregister(self.close)
        for callback in reversed(self._callbacks):
            callback()
        clean(self.directory)

    def _write(self) -> None:
        record = {
            "runner": [self.owner.pid, self.owner.start],
            "processes": sorted(self._processes.items()),
            "mountpoints": self._mountpoints,
            "docker": self._docker,
        }
        fresh = self.directory / "record.json.new"
        fresh.write_text(json.dumps(record), encoding="utf-8")
        fresh.replace(self.directory / "record.json")


def clean_dead_runs(base: Path) -> list[Path]:
    """Removes what runs below `base` left whose process is gone. Answers their directories."""
    cleaned = []
    for directory in sorted(base.glob(_PREFIX + "*")):
        if _dead(directory.name):
            # Two starting runs may find the same dead one; the second finds nothing left to do.
            with (base / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                clean(directory)
            cleaned.append(directory)
    return cleaned


def living_runs(base: Path) -> list[Path]:
    """Directories of the runs below `base` whose process lives."""
    return [directory for directory in sorted(base.glob(_PREFIX + "*")) if not _dead(directory.name)]


def clean(directory: Path) -> None:
    """Ends the processes that the record in `directory` names (if the start time is still theirs) and those that have a
    directory of the run as their root (a shell on a node, and what it started), unmounts what is mounted below it and
    its mount points elsewhere (lazily where busy), removes the directory. The run's own process is spared. Nothing to
    do is no error.

    Raises OSError when a mount can't be removed; the directory stays then, for the next start.
    """
    processes, mountpoints, docker = _read(directory)
    identities = [identity for identity in [*processes, *_confined(directory)] if identity.pid != os.getpid()]
    for identity in identities:
        _kill(identity)
    if docker:
        # Only who had containers has the package.
        importlib.import_module("osscluster.dockerdriver").remove_all(docker, directory.name)
    inside = unmount_below(directory)
    for mountpoint in mountpoints:
        if mountpoint not in inside and _ossfs_mounted(mountpoint):
            _unmount(mountpoint)
    deadline = time.monotonic() + _END_SECONDS
    while any(identity.alive() for identity in identities) and time.monotonic() < deadline:
        time.sleep(0.002)
    remove(directory)


def _make_base(base: Path) -> None:
    try:
        base.mkdir(mode=0o711)
    except FileExistsError:
        info = base.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o022:
            raise EnvironmentMissing(
                f"{base} is not a directory that only this user can write to", f"rm -rf {base}"
            ) from None
    base.chmod(0o711)


def _dead(name: str) -> bool:
    fields = name.removeprefix(_PREFIX).split("-")
    if len(fields) != 4 or not all(field.isdigit() for field in fields[1:]):
        return False
    if fields[0] != boot_id():
        return True
    return fields[1] == pid_namespace() and not ProcessIdentity(int(fields[2]), int(fields[3])).alive()


def _read(directory: Path) -> tuple[list[ProcessIdentity], list[str], str]:
    try:
        record = json.loads((directory / "record.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [], [], ""
    if directory.name.removeprefix(_PREFIX).split("-")[0] != boot_id():
        return [], [], ""
    return (
        [ProcessIdentity(pid, start) for pid, start in record["processes"]],
        list(record["mountpoints"]),
        record.get("docker", ""),
    )


def _kill(identity: ProcessIdentity) -> None:
    try:
        # The descriptor pins the process; only then is the start time compared.
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        if identity.alive():
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def _confined(directory: Path) -> list[ProcessIdentity]:
    found = []
    for entry in list(os.scandir("/proc")):
        if not entry.name.isdigit():
            continue
        try:
            root = os.readlink(f"/proc/{entry.name}/root")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if root != "/" and mounttable.below(root, str(directory)) is not None:
            identity = ProcessIdentity.of(int(entry.name))
            found += [identity] if identity is not None else []
    return found


def unmount_below(directory: Path) -> set[str]:
    """Unmounts everything at and below a directory, lazily where it is busy; the mount points."""
    # What is mounted over another mount's children hides them: they come to light, and go, in the next round.
    seen: set[str] = set()
    for _ in range(_ROUNDS):
        inside = [entry.mountpoint for entry in mounttable.mounts_below(str(directory))]
        if not inside:
            break
        for mountpoint in inside:
            _unmount(mountpoint)
        seen.update(inside)
    return seen


def _ossfs_mounted(mountpoint: str) -> bool:
    return any(e.mountpoint == mountpoint and e.fstype.startswith("fuse") for e in mounttable.mounts())


def _unmount(mountpoint: str) -> None:
    try:
        mounttable.unmount(mountpoint)
    except OSError as error:
        if error.errno == errno.EBUSY:
            mounttable.unmount(mountpoint, lazy=True)
        elif error.errno not in (errno.EINVAL, errno.ENOENT, errno.ENOTCONN):
            # ENOTCONN: the way there leads through a dead mount, with which it goes.
            raise


def remove(directory: Path) -> None:
    """Removes a directory of a run. Raises OSError when something is mounted below it: nothing is removed then."""
    if mounttable.mounts_below(str(directory)):
        raise OSError(errno.EBUSY, "still mounted below", str(directory))
    try:
        mount = _mount_of(directory)
    except FileNotFoundError:
        return
    _remove_tree(directory, mount)


def _mount_of(directory: Path) -> str:
    """The id of the mount that a directory is seen through."""
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        lines = Path(f"/proc/self/fdinfo/{place}").read_text(encoding="ascii").splitlines()
    finally:
        os.close(place)
    return next(line for line in lines if line.startswith("mnt_id:"))


def _remove_tree(directory: Path, mount: str) -> None:
    # Never into another mount: one that came in between must not lose its objects, nor a bind mount of this machine's
    # own directories their files.
    try:
        if _mount_of(directory) != mount:
            raise OSError(errno.EBUSY, "mounted in the meantime", str(directory))
        for entry in list(os.scandir(directory)):
            if entry.is_dir(follow_symlinks=False):
                _remove_tree(Path(entry.path), mount)
            else:
                Path(entry.path).unlink(missing_ok=True)
        directory.rmdir()
    except FileNotFoundError:
        return
