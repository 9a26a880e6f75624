"""The direct engine: ossfs's core in this process, behind a model of the kernel's part (`vfs`), without any socket.

Nothing is mounted and no process is started; time is virtual and stands still unless somebody advances it. The same
command line is parsed and checked as by the kernel engine, and a mount that fails says the same.

Differences from the kernel engine, besides what `vfs` lists: pids are invented (from 2^22 on, where no real one is);
`VolumeSpec.environment` reaches the credentials, not the C library (TZ).

Used from the runner's thread only.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from osscloud.clock import Clock, VirtualClock
from osscloud.faults import deliver
from osscloud.message import Request, Response
from osscloud.service import OssService
from osscluster import leftovers
from osscluster.cloud import Cloud
from osscluster.directhost import DirectHost
from osscluster.directmount import DirectMount
from osscluster.errors import ProcessDied
from osscluster.task import Task
from osscluster.volume import Holder, VolumeSpec

__all__ = ["DirectEngine", "DirectVolume", "InProcessTransport"]

_FIRST_PID = 1 << 22  # the kernel's largest pid_max
_MEMORY = "/dev/shm"
_AMPLE = 1 << 30


class InProcessTransport:
    """Hands requests to the service. Only the cloud's own host listens; faults act on the clock. Any thread."""

    concurrent = False

    def __init__(self, service: OssService, endpoint: str, clock: Clock) -> None:
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
        self.cloud = Cloud.here(clock=self.clock, rng=random.Random(0))
        self.transport = InProcessTransport(self.cloud.service, self.cloud.endpoint, self.clock)
        self.spool = _memory_spool()
        self.pids = itertools.count(_FIRST_PID)
        self.volumes: list[DirectVolume] = []
        self._hosts: dict[str, DirectHost] = {}

    def mount(self, spec: VolumeSpec) -> DirectVolume:
        """Raises MountFailed with what the command would have printed."""
        volume = DirectVolume(self, spec)
        self.volumes.append(volume)
        return volume

    def advance(self, seconds: float) -> None:
        """Moves the time of the cloud and of every mount ahead."""
        self.clock.advance(seconds)

    def host(self, name: str) -> DirectHost:
        """The operating system of the node called `name`, made at the first call."""
        known = self._hosts.get(name)
        if known is None:
            known = self._hosts[name] = DirectHost(self, name)
        return known

    def forget(self, volume: DirectVolume) -> None:
        """Called by the volume when it has been unmounted."""
        self.volumes.remove(volume)

    def forget_host(self, host: DirectHost) -> None:
        """Called by the host when it has been closed."""
        self._hosts.pop(host.name, None)

    def close(self) -> None:
        """Ends every volume of this engine; safe to call twice."""
        for host in list(self._hosts.values()):
            host.close()
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
        self._mount = DirectMount(engine, spec)
        self._vfs = self._mount.vfs
        self.mountpoint = self._mount.mountpoint
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
        return self._mounted and self._mount.alive()

    def kill(self) -> None:
        """As SIGKILL to the ossfs process: what was not uploaded is lost, every call answers ENOTCONN."""
        self._mount.kill()

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
        self._mount.end()
        self._mounted = False
        self._engine.forget(self)


def _memory_spool() -> str | None:
    """A file system in memory with ample room for local data; None where there is none."""
    try:
        room = os.statvfs(_MEMORY)
    except FileNotFoundError:
        return None
    return _MEMORY if room.f_bavail * room.f_frsize >= _AMPLE and os.access(_MEMORY, os.W_OK) else None
