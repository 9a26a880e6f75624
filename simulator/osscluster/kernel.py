"""The kernel engine: real FUSE mounts of the simulated or the real ossfs, touched by real processes.

The cloud, every mount and every container is a process of its own, forked by the spawner; nothing that a mount waits
for runs in this one, which may have files of the mount open itself. The command line is the same for the simulated
ossfs and for a real binary.

Time: `advance` moves the cloud's clock and, through its control socket, every simulated mount's. The kernel keeps the
attributes and names that it was told for 1 s (libfuse's attr_timeout and entry_timeout, which ossfs leaves alone) on
the machine's clock, which nobody can move. So `advance`, by that second or more, and `kill` have the kernel forget them
(`ossfuse.kernelcache`). Where it can't (before Linux 6.16) and for less than a second they wait until the kernel knows
nothing that it wouldn't know after the simulated time, at most a second since the last system call on the mount. The
calls of containers are known; once somebody has asked for the `mountpoint`, other programs may call at any time and the
second is always waited for.

Used from the runner's thread only.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from osscluster import cloudprocess, leftovers, mounttable
from osscluster.container import ContainerProcess
from osscluster.dockerdriver import DockerDriver
from osscluster.errors import ClusterError, EnvironmentMissing
from osscluster.holders import holders_below
from osscluster.kernelhost import KernelHost
from osscluster.ossfsmount import OssfsMount, age_kernel_caches
from osscluster.spawner import Process, Spawner
from osscluster.volume import Holder, VolumeSpec

__all__ = ["KernelEngine", "KernelVolume"]

_DEATH_SECONDS = 0.5  # a killed container that lives longer waits for an ossfs that does not answer
_LONGEST_REAL_WAIT = 5.0


class KernelEngine:
    """Mounts over one cloud. ossfs: path of a real binary to run instead of the simulated one; state_dir: base of the
    run's directory; call_timeout: seconds that a mount command or a system call may take."""

    name = "kernel"

    def __init__(self, *, ossfs: str | None = None, state_dir: str | None = None, call_timeout: float = 120.0) -> None:
        self.call_timeout = call_timeout
        self.run = leftovers.Run.current(Path(state_dir) if state_dir else None)
        self.spawner = Spawner.shared(self.run)
        self.cloud, self.clock = cloudprocess.start(self.spawner, timeout=call_timeout)
        self.ossfs = os.path.abspath(ossfs) if ossfs else None
        self.volumes: list[KernelVolume] = []
        self._hosts: dict[str, KernelHost] = {}
        self._docker: DockerDriver | None = None

    def mount(self, spec: VolumeSpec) -> KernelVolume:
        """Raises MountFailed with what the command printed; nothing is left then."""
        volume = KernelVolume(self, spec)
        self.volumes.append(volume)
        return volume

    def host(self, name: str) -> KernelHost:
        """The operating system of the node called `name`, made at the first call. Raises EnvironmentMissing without
        the right to mount."""
        known = self._hosts.get(name)
        if known is None:
            known = self._hosts[name] = KernelHost(self, name)
        return known

    def docker(self) -> DockerDriver:
        """The Docker engine of this machine. Raises EnvironmentMissing when there is none to use."""
        if self._docker is None:
            self._docker = DockerDriver(self.run.directory.name)
            self.run.add_docker(self._docker.url)
        return self._docker

    def advance(self, seconds: float) -> None:
        """Moves the time of the cloud and of every mount ahead. A real binary keeps the machine's time: up to 5 s are
        really waited for, more raises EnvironmentMissing."""
        if self.ossfs is not None:
            if seconds > _LONGEST_REAL_WAIT:
                raise EnvironmentMissing(
                    f"a real ossfs process keeps the machine's time, it can't be moved {seconds:g} s ahead",
                    "run this without --ossfs",
                )
            time.sleep(seconds)
            return
        self.clock.advance(seconds)
        for volume in self.volumes:
            volume.advance(seconds)
        for host in self._hosts.values():
            host.advance(seconds)

    def forget(self, volume: KernelVolume) -> None:
        """Called by the volume when it has been unmounted."""
        self.volumes.remove(volume)

    def forget_host(self, host: KernelHost) -> None:
        """Called by the host when it has been closed."""
        self._hosts.pop(host.name, None)

    def close(self) -> None:
        """Ends every container, mount and process of this engine and removes its files; safe to call twice."""
        for host in list(self._hosts.values()):
            host.close()
        if self._docker is not None:
            self._docker.close()
            self._docker = None
        for volume in list(self.volumes):
            volume.discard()
        self.cloud.close()


class KernelVolume:
    """One real mount."""

    def __init__(self, engine: KernelEngine, spec: VolumeSpec) -> None:
        self.spec = spec
        self._engine = engine
        self._directory = engine.run.new_directory("volume", mode=0o711)
        self._containers: dict[str, ContainerProcess] = {}
        self._mountpoint = str(self._directory / "mnt")
        Path(self._mountpoint).mkdir()
        self._told = False
        self._ossfs: OssfsMount | None = None
        engine.run.add_mountpoint(self._mountpoint)
        try:
            self._start()
        except BaseException:
            self._remove()
            raise

    @property
    def mountpoint(self) -> str:
        """Where it is mounted. Whoever asks may use it from any program."""
        self._told = True
        return self._mountpoint

    @property
    def pid(self) -> int:
        """Of the ossfs process."""
        return self._started().process.pid

    def container(
        self, name: str, *, uid: int = 0, gid: int = 0, groups: Sequence[int] = (), umask: int = 0o022
    ) -> ContainerProcess:
        """The process called `name`. Raises EnvironmentMissing when this machine can't give it those ids, ValueError
        when `name` runs already with other ones."""
        known = self._containers.get(name)
        if known is not None:
            if (known.uid, known.gid, known.groups) != (uid, gid, tuple(groups)):
                raise ValueError(f"container {name} runs as {known.uid}:{known.gid}, groups {list(known.groups)}")
            return known
        made = self._engine.spawner.container(
            name, self._mountpoint, uid=uid, gid=gid, groups=groups, umask=umask, timeout=self._engine.call_timeout
        )
        self._containers[name] = made
        return made

    def holders(self) -> list[Holder]:
        """Who has which file open, as lsof sees it."""
        return holders_below(self._mountpoint)

    def alive(self) -> bool:
        """Whether the ossfs process runs."""
        return self._ossfs is not None and self._ossfs.alive()

    def kill(self) -> None:
        """SIGKILL to the ossfs process; returns when every call answers ENOTCONN."""
        forgotten = self._started().expire()
        self._started().process.end(signal.SIGKILL)
        if not forgotten:
            self._wait_for_kernel(self._started().product.kernel_seconds)

    def update_passwd(self, passwd: str) -> None:
        """Rewrites the password file, as an updated Secret does; the running ossfs process is not told."""
        self.spec = replace(self.spec, passwd=passwd)
        self._started().update_keys(self.spec)

    def unmount(self) -> None:
        """umount2(2), then waits for the end of the ossfs process and ends the containers.

        Raises OSError: EBUSY, naming who holds what.
        """
        try:
            mounttable.unmount(self._mountpoint)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            held = ", ".join(f"{h.command} (pid {h.pid}): {h.path or '.'}" for h in self.holders())
            raise OSError(errno.EBUSY, f"target is busy, held by {held}", self._mountpoint) from error
        process = self._started().process
        if process.wait(self._engine.call_timeout) is None:
            raise ClusterError(f"ossfs (pid {process.pid}) still runs {self._engine.call_timeout:g} s after umount")
        self._remove()
        self._engine.forget(self)

    def advance(self, seconds: float) -> None:
        """Moves this mount's time ahead; the engine's `advance` calls it."""
        if self._ossfs is not None:
            self._ossfs.advance(seconds)
        if {"attr_timeout=0", "entry_timeout=0"} <= set(re.split(r"[\s,]+", self.spec.options)):
            return  # the kernel remembers nothing
        if seconds < self._started().product.kernel_seconds or not self._started().expire():
            self._wait_for_kernel(seconds)

    def control(self, request: dict[str, object]) -> dict[str, object]:
        """One request to the simulated mount's control socket. Raises ClusterError when it refuses."""
        return self._started().control(request)

    def discard(self) -> None:
        """Ends the volume in whatever state it is."""
        self._remove()
        self._engine.forget(self)

    def _start(self) -> None:
        self._ossfs = OssfsMount(self._engine, self._directory, self.spec, self._mountpoint)

    def _started(self) -> OssfsMount:
        if self._ossfs is None:
            raise ClusterError(f"{self._mountpoint} was never mounted")
        return self._ossfs

    @property
    def _process(self) -> Process | None:
        return self._ossfs.process if self._ossfs is not None else None

    def _wait_for_kernel(self, seconds: float) -> None:
        if self._told:
            # Other programs may have been there a moment ago.
            last = time.monotonic()
        else:
            last = max((container.last_reply for container in self._containers.values()), default=0.0)
        age_kernel_caches(self._started().product.kernel_seconds, last, seconds)

    def _remove(self) -> None:
        for container in self._containers.values():
            container.kill()
        stuck = [one for one in self._containers.values() if one.process.wait(_DEATH_SECONDS) is None]
        if stuck and self._process is not None:
            self._process.end(signal.SIGKILL)
        for container in self._containers.values():
            container.end()
        self._containers.clear()
        if mounttable.is_mounted(self._mountpoint):
            mounttable.unmount(self._mountpoint, lazy=True)
        if self._process is not None and self._process.wait(5.0) is None:
            self._process.end(signal.SIGKILL)
        self._engine.run.forget_mountpoint(self._mountpoint)
        if not mounttable.is_mounted(self._mountpoint):
            shutil.rmtree(self._directory)
