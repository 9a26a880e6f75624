"""The direct engine: ossfs's core in this process, behind a model of the kernel's part (`vfs`), without any socket.

Nothing is mounted and no process is started; time is virtual and stands still unless somebody advances it. The same
command line is parsed and checked as by the kernel engine, and a mount that fails says the same.

Differences from the kernel engine, besides what `vfs` lists: pids are invented (from 2^22 on, where no real one is);
`VolumeSpec.environment` reaches the credentials, not the C library (TZ).

Used from the runner's thread only.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.faults import deliver
from osscloud.message import Request, Response
from osscloud.service import OssService
from osscluster import leftovers
from osscluster.cloud import Cloud
from osscluster.commandline import command_line, write_keys
from osscluster.errors import ProcessDied
from osscluster.task import Task
from osscluster.vfs import MountFlags, Vfs
from osscluster.volume import Holder, MountFailed, VolumeSpec
from ossfuse import config
from ossfuse.products import PRODUCTS, Mountable, product_of

__all__ = ["DirectEngine", "DirectVolume", "InProcessTransport"]

_FIRST_PID = 1 << 22  # the kernel's largest pid_max
_MEMORY = "/dev/shm"
_AMPLE = 1 << 30


class InProcessTransport:
    """Hands requests to the service. Only the cloud's own host listens; faults act on the virtual clock."""

    concurrent = False

    def __init__(self, service: OssService, endpoint: str, clock: VirtualClock) -> None:
        self._service = service
        self._host = urlsplit(endpoint).netloc
        self._clock = clock

    def send(self, request: Request) -> Response:
        """Raises ConnectionRefusedError for another host, and what the fault plan asks for."""
        host = request.headers.get("host", "")
        if host != self._host and not host.endswith(("." + self._host, ".localhost")):
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED), host)
        return deliver(self._service.handle(request), self._clock)


class DirectEngine:
    """Mounts over one cloud, all in this process. state_dir: base of the run's directory."""

    name = "direct"

    def __init__(self, *, state_dir: str | None = None) -> None:
        self.run = leftovers.Run.current(Path(state_dir) if state_dir else None)
        self.clock = VirtualClock()
        self.rng = random.Random(0)
        self.cloud = Cloud.here(clock=self.clock, rng=self.rng)
        self.transport = InProcessTransport(self.cloud.service, self.cloud.endpoint, self.clock)
        self.spool = _memory_spool()
        self.pids = itertools.count(_FIRST_PID)
        self.volumes: list[DirectVolume] = []

    def mount(self, spec: VolumeSpec) -> DirectVolume:
        """Raises MountFailed with what the command would have printed."""
        volume = DirectVolume(self, spec)
        self.volumes.append(volume)
        return volume

    def advance(self, seconds: float) -> None:
        """Moves the time of the cloud and of every mount ahead."""
        self.clock.advance(seconds)

    def forget(self, volume: DirectVolume) -> None:
        """Called by the volume when it has been unmounted."""
        self.volumes.remove(volume)

    def close(self) -> None:
        """Ends every volume of this engine; safe to call twice."""
        for volume in list(self.volumes):
            volume.discard()
        self.cloud.close()


class DirectVolume:
    """One volume without a mount. mountpoint: a path that does not exist."""

    def __init__(self, engine: DirectEngine, spec: VolumeSpec) -> None:
        self.spec = spec
        self._engine = engine
        self._tasks: dict[str, Task] = {}
        self._mounted = False
        self._version = spec.version or PRODUCTS[0].default
        self._product = product_of(self._version)
        self._directory = engine.run.new_directory("volume")
        self.mountpoint = str(self._directory / "mnt")
        try:
            self._mount = self._prepare()
            self._vfs = Vfs(self._mount.fs, clock=engine.clock, flags=self._flags(), mountpoint=self.mountpoint)
        finally:
            # ossfs looks at mount point and password file while it starts, and never again.
            shutil.rmtree(self._directory)
        self._mounted = True

    def container(
        self, name: str, *, uid: int = 0, gid: int = 0, groups: Sequence[int] = (), umask: int = 0o022
    ) -> Task:
        """The process called `name`. Raises ValueError when `name` runs already with other ids."""
        known = self._tasks.get(name)
        if known is not None:
            if (known.uid, known.gid, known.groups) != (uid, gid, tuple(groups)):
                raise ValueError(f"container {name} runs as {known.uid}:{known.gid}, groups {list(known.groups)}")
            return known
        if not self._mounted:
            raise ProcessDied(f"{self.mountpoint} has been unmounted")
        made = Task(self._vfs, name, pid=next(self._engine.pids), uid=uid, gid=gid, groups=groups, umask=umask)
        self._tasks[name] = made
        return made

    def holders(self) -> list[Holder]:
        """Who has what open, as /proc/PID/fd names it."""
        found = {
            Holder(file.node.path[1:] if file.node.deleted_as is None else file.node.deleted_as, t.pid, t.name, t.uid)
            for t in self._tasks.values()
            for file in t.files.values()
        }
        return sorted(found, key=lambda holder: (holder.path, holder.pid))

    def alive(self) -> bool:
        """Whether the ossfs process would run."""
        return self._mounted and self._vfs.connected

    def kill(self) -> None:
        """As SIGKILL to the ossfs process: what was not uploaded is lost, every call answers ENOTCONN."""
        self._vfs.disconnect()
        # Uploads nothing; local data is gone with a process.
        self._mount.fs.destroy(killed=True)

    def update_passwd(self, passwd: str) -> None:
        """As a rewritten password file, which a running ossfs does not read again."""
        self.spec = replace(self.spec, passwd=passwd)

    def unmount(self) -> None:
        """As umount(8). Raises OSError: EBUSY, naming who holds what; EINVAL when it isn't mounted."""
        if not self._mounted:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self.mountpoint)
        held = self.holders()
        if held:
            names = ", ".join(f"{h.command} (pid {h.pid}): {h.path or '.'}" for h in held)
            raise OSError(errno.EBUSY, f"target is busy, held by {names}", self.mountpoint)
        self.discard()

    def discard(self) -> None:
        """Ends the volume in whatever state it is."""
        for task in self._tasks.values():
            task.end()
        if self.alive():
            self._mount.fs.destroy()
        self._mounted = False
        self._vfs.disconnect()
        self._engine.forget(self)

    def _prepare(self) -> Mountable:
        engine = self._engine
        Path(self.mountpoint).mkdir()
        product = self._product
        keys = write_keys(self._directory, self.spec, product, engine.cloud)
        stdout, stderr = io.StringIO(), io.StringIO()
        mount = product.make(
            command_line(self.spec, product, self.mountpoint, endpoint=engine.cloud.endpoint, keys=keys),
            version=self._version,
            fixed=self.spec.fixed,
            environment={**config.environment(), **self.spec.environment},
            clock=AdjustableClock(engine.clock),
            mime_text=self.spec.mime_types,
            stdout=stdout,
            stderr=stderr,
            transport=engine.transport,
            rng=engine.rng,
            # Closing a file of a disk takes milliseconds, which a fuzzer's steps would be made of.
            spool=None if "tmpdir=" in self.spec.options else engine.spool,
            on_fatal=self.kill,
        )
        code = mount.prepare()
        if code is None:
            code = mount.check_in_init() or None
        if code is not None:
            raise MountFailed(stderr.getvalue().strip("\n") or stdout.getvalue().strip("\n"), code)
        return mount

    def _flags(self) -> MountFlags:
        mount = self._mount
        given = _libfuse_options(mount)
        big_writes = mount.max_write > 4096 or "big_writes" in given
        return MountFlags(
            uid=os.geteuid(),
            gid=os.getegid(),
            allow_other="allow_other" in given,
            allow_root="allow_root" in given,
            read_only="ro" in given,
            umask=_number(given, "umask", 8),
            show_uid=_number(given, "uid", 10),
            show_gid=_number(given, "gid", 10),
            hard_remove="hard_remove" in given,
            permissions="default_permissions" in given,
            inodes=self._product.inodes,
            attr_timeout=float(given.get("attr_timeout", "1")),
            entry_timeout=float(given.get("entry_timeout", "1")),
            max_write=128 * 1024 if big_writes else 4096,
            xattr=mount.xattr,
        )


def _memory_spool() -> str | None:
    """A file system in memory with ample room for local data; None where there is none."""
    try:
        room = os.statvfs(_MEMORY)
    except FileNotFoundError:
        return None
    return _MEMORY if room.f_bavail * room.f_frsize >= _AMPLE and os.access(_MEMORY, os.W_OK) else None


def _libfuse_options(mount: Mountable) -> dict[str, str]:
    """What libfuse was given: name to value, "" for a switch."""
    given = {}
    for option in mount.libfuse_options:
        name, _, value = {"-r": "ro"}.get(option, option).partition("=")
        given[name] = value
    return given


def _number(given: dict[str, str], name: str, base: int) -> int | None:
    return int(given[name], base) if name in given else None
