"""A node of the kernel engine: a directory that plays its root, with real mounts and real processes below it.

The directory belongs to the run and lies in this machine's own mount namespace, so what is mounted on the node is seen,
examined and unmounted from any terminal, and a container engine can mount it. Processes of the node have that directory
as their root (chroot(2)): they and the programs that `run` starts use the node's own paths, and mount(8), umount(8) and
lsof(8), which go by /proc, print them. For programs the machine's /usr, /proc and some devices are there as well,
read-only, from the first `run` on.

Used from the runner's thread only.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from osscluster import leftovers, mounting, mounttable, nodefiles
from osscluster.container import ContainerProcess
from osscluster.errors import CallTimeout, EnvironmentMissing
from osscluster.holders import covering, holders_below, lazily_unmounted_in_use
from osscluster.host import CommandResult, ContainerSpec, MountLine, OssfsSpec
from osscluster.jail import Jail, JailMount
from osscluster.mounttable import below
from osscluster.ossfsmount import OssfsMount, age_kernel_caches
from osscluster.volume import Holder, MountFailed

if TYPE_CHECKING:
    from osscluster.kernel import KernelEngine
    from osscluster.spawner import Process

__all__ = ["KernelHost", "KernelOssfs"]

_FLAGS = {"": 0, "force": mounting.FORCE, "lazy": mounting.DETACH}
_PROGRAMS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr")
_DEVICES = ("null", "zero", "urandom", "tty")
_COPIED = ("passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOCKED_FLAGS = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
_END_SECONDS = 0.05  # how long an ossfs takes to end when nothing keeps it
_DEATH_SECONDS = 0.5  # a killed process that lives longer waits for an ossfs that does not answer


class KernelOssfs:
    """Implements `host.OssfsProcess`."""

    def __init__(self, host: KernelHost, directory: Path, spec: OssfsSpec, mount: OssfsMount) -> None:
        self.spec = spec
        self._host = host
        self.directory = directory
        self._mount = mount
        self.device = next(e.device for e in reversed(mounttable.mounts()) if e.mountpoint == mount.mountpoint)

    @property
    def pid(self) -> int:
        return self._mount.process.pid

    @property
    def kernel_seconds(self) -> float:
        """How long the kernel keeps what it told."""
        return self._mount.product.kernel_seconds

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._host.to_node(self._mount.log)

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._mount.alive()

    def kill(self) -> None:
        """SIGKILL; returns when every call on its mounts answers ENOTCONN."""
        forgotten = self._mount.expire()
        self._mount.process.end(signal.SIGKILL)
        if not forgotten:
            self._host.age(self._mount.product.kernel_seconds)

    def terminate(self) -> None:
        """SIGTERM, and waits for its end."""
        forgotten = self._mount.expire()
        self._mount.process.end(signal.SIGTERM, self._host.call_timeout)
        if not forgotten:
            self._host.age(self._mount.product.kernel_seconds)

    def update_passwd(self, lines: str) -> None:
        """Rewrites its password file, which a running ossfs does not read again."""
        self._mount.update_keys(replace(self._mount.spec, passwd=lines))

    def advance(self, seconds: float) -> None:
        """Moves its clock ahead."""
        self._mount.advance(seconds)

    def expire(self) -> bool:
        """Has the kernel forget what it was told; whether it could."""
        return self._mount.expire()

    def wait(self, timeout: float) -> bool:
        """Whether it has ended within `timeout` seconds."""
        return self._mount.process.wait(timeout) is not None


class KernelHost:
    """Implements `host.NodeHost`."""

    def __init__(self, engine: KernelEngine, name: str) -> None:
        if os.geteuid() != 0:
            raise EnvironmentMissing(
                "a node of the kernel engine has bind mounts, which only root can make",
                "run as root; `ossvol run` enters a user namespace by itself where it can",
            )
        self.name = name
        self.call_timeout = engine.call_timeout
        self._engine = engine
        self._directory = engine.run.new_directory("node", mode=0o711)
        self._place = str(self._directory / "root")
        self._rootfs = str(self._directory / "rootfs")
        for path, mode in ((self._place, 0o755), (self._rootfs, 0o755), (self._place + "/tmp", 0o1777)):
            os.mkdir(path)
            os.chmod(path, mode)
        self._processes: list[ContainerProcess] = []
        self._ossfs: list[KernelOssfs] = []
        self._base: list[str] = []
        self._foreign: dict[int, str] = {}  # Docker containers: pid to id
        self._told = False
        self._last_command = 0.0
        self._closed = False
        self.root = self.start_process("root")

    # --- places ---

    def machine_path(self, path: str) -> str:
        """Where a node path is on this machine. Whoever asks may use it from any program."""
        self._told = True
        return self._at(path)

    def _at(self, path: str) -> str:
        return self._place + "/" + path.strip("/") if path.strip("/") else self._place

    def to_node(self, text: str) -> str:
        """A text that names paths of this machine, with the node's own."""
        return text.replace(self._place, "")

    # --- files ---

    def makedirs(self, path: str, mode: int = 0o750) -> None:
        nodefiles.make_directories(self.root, path, mode)

    def write_file(self, path: str, body: str, mode: int = 0o644) -> None:
        nodefiles.write_file(self.root, path, body, mode)

    def read_file(self, path: str) -> str | None:
        return nodefiles.read_file(self.root, path)

    # --- mounts ---

    def start_ossfs(self, spec: OssfsSpec) -> KernelOssfs:
        directory = self._engine.run.new_directory("ossfs", mode=0o711)
        try:
            mount = OssfsMount(
                self._engine,
                directory,
                spec.as_volume(),
                self._at(spec.mountpoint),
                endpoint=spec.endpoint,
                keys=spec.passwd is not None,
            )
        except MountFailed as failed:
            shutil.rmtree(directory)
            raise MountFailed(self.to_node(failed.message), failed.returncode) from None
        started = KernelOssfs(self, directory, spec, mount)
        self._ossfs.append(started)
        return started

    def ossfs_at(self, path: str) -> KernelOssfs | None:
        place = self._at(path)
        devices = [entry.device for entry in mounttable.mounts() if entry.mountpoint == place]
        return next((ossfs for ossfs in self._ossfs if devices and ossfs.device == devices[-1]), None)

    def bind(self, source: str, target: str, *, read_only: bool = False) -> None:
        flags = mounting.READ_ONLY if read_only else 0
        before = len(mounttable.mounts())
        try:
            self.root.mount_bind(source, target, flags)
        except PermissionError:
            # In a user namespace the flags of a file system of the machine can't be cleared.
            entry = covering(mounttable.mounts(), self._at(target))
            if len(mounttable.mounts()) == before or entry is None:
                raise
            kept = sum(_LOCKED_FLAGS.get(word, 0) for word in set(entry.options.split(",")))
            self.root.remount_bind(target, flags | kept)

    def umount(self, target: str, *, flags: Literal["", "force", "lazy"] = "") -> None:
        try:
            self.root.umount(target, _FLAGS[flags])
        finally:
            if flags == "force":
                self._wait_for_aborted(target)
        self.settle()

    def _wait_for_aborted(self, target: str) -> None:
        """MNT_FORCE ends the connection of a FUSE file system even where the mount stays."""
        entry = covering(mounttable.mounts(), self._at(target))
        for ossfs in self._ossfs:
            if entry is not None and entry.mountpoint == self._at(target) and ossfs.device == entry.device:
                ossfs.wait(self.call_timeout)
                self.age(ossfs.kernel_seconds)

    def mounts(self) -> list[MountLine]:
        found = []
        for entry in mounttable.mounts():
            way = below(entry.mountpoint, self._place)
            if way is not None and not any(below(entry.mountpoint, place) is not None for place in self._base):
                found.append(MountLine(entry.source, "/" + way, entry.fstype, entry.shown_options))
        return found

    def holders(self, path: str) -> list[Holder]:
        prefix = path.rstrip("/")
        return [
            replace(holder, path=f"{prefix}/{holder.path}" if holder.path else prefix or "/")
            for holder in holders_below(self._at(path))
        ]

    # --- processes ---

    def start_container(
        self, spec: ContainerSpec, *, driver: Literal["process", "docker"] = "process"
    ) -> ContainerProcess:
        mounts = [JailMount(self._at(m.source), m.source, m.target, m.read_only) for m in spec.mounts]
        if driver == "process":
            return self._start(spec, Jail(rootfs=self._rootfs, mounts=mounts, working_dir=spec.working_dir))
        docker = self._engine.docker()
        for mount in mounts:
            # Docker makes directories where there are none, and kubelet asks before.
            self.root.stat(mount.shown)
        name, pid = docker.start(spec, mounts)
        self._foreign[pid] = name
        try:
            made = self._start(spec, Jail(join=pid, working_dir=spec.working_dir))
        except BaseException:
            self._remove_foreign(pid)
            raise
        made.on_end = lambda: self._remove_foreign(pid)
        return made

    def _remove_foreign(self, pid: int) -> None:
        name = self._foreign.pop(pid, None)
        if name is not None:
            self._engine.docker().remove(name)
        self.settle()

    def start_process(self, name: str, *, uid: int = 0, gid: int = 0, groups: Sequence[int] = ()) -> ContainerProcess:
        return self._start(ContainerSpec(name, uid=uid, gid=gid, groups=groups), Jail(root=self._place))

    def _start(self, spec: ContainerSpec, jail: Jail) -> ContainerProcess:
        made = self._engine.spawner.container(
            spec.name,
            "",
            uid=spec.uid,
            gid=spec.gid,
            groups=spec.groups,
            umask=spec.umask,
            timeout=self.call_timeout,
            confined=jail,
            environment=spec.environment,
        )
        made.on_end = self.settle
        self._processes = [process for process in self._processes if process.alive()]
        self._processes.append(made)
        return made

    def run(self, command: str) -> CommandResult:
        self._provide_programs()
        log = self._engine.run.new_directory("command")
        try:
            with (log / "stdout").open("wb") as stdout, (log / "stderr").open("wb") as stderr:
                shell = self._engine.spawner.execute(
                    "/bin/sh",
                    ["-c", command],
                    environment={"PATH": _PATH, "HOME": "/", "LC_ALL": "C.UTF-8"},
                    stdout=stdout.fileno(),
                    stderr=stderr.fileno(),
                    name="sh",
                    root=self._place,
                )
            code = self._wait(shell, command)
            printed = [(log / name).read_text(encoding="utf-8", errors="replace") for name in ("stdout", "stderr")]
        finally:
            shutil.rmtree(log)
        self._last_command = time.monotonic()
        self.settle()
        return CommandResult(code if code >= 0 else 128 - code, *printed)

    def _wait(self, shell: Process, command: str) -> int:
        code = shell.wait(self.call_timeout)
        if code is None:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.end(signal.SIGKILL)
            raise CallTimeout(f"node {self.name}: {command!r} did not end within {self.call_timeout:g} s")
        return code

    # --- time and end ---

    def advance(self, seconds: float) -> None:
        """Moves the time of every ossfs of this node ahead; the engine's `advance` calls it."""
        for ossfs in self._ossfs:
            ossfs.advance(seconds)
        # A dead one has been seen to when it died.
        living = [ossfs for ossfs in self._ossfs if ossfs.alive()]
        kept = max((ossfs.kernel_seconds for ossfs in living), default=0.0)
        if living and (seconds < kept or not all(ossfs.expire() for ossfs in living)):
            self.age(seconds)

    def age(self, seconds: float) -> None:
        """Waits until the kernel knows nothing that it would not know `seconds` later."""
        # Whoever was told a path of this machine may have been there a moment ago.
        last = time.monotonic() if self._told else self._last_command
        kept = max((ossfs.kernel_seconds for ossfs in self._ossfs), default=0.0)
        age_kernel_caches(kept, max([last, *(process.last_reply for process in self._processes)]), seconds)

    def settle(self) -> None:
        """Waits for the end of each ossfs whose last mount has gone, here and in every container."""
        if self._closed:
            return
        running = [ossfs for ossfs in self._ossfs if ossfs.alive()]
        if not running:
            return
        devices = {entry.device for entry in mounttable.mounts()}
        for process in self._processes:
            if process.alive():
                devices |= {entry.device for entry in mounttable.mounts(process.pid)}
        for ossfs in running:
            # What a lazy unmount left to those who had files open ends when they close them.
            if ossfs.device not in devices and not ossfs.wait(_END_SECONDS) and not lazily_unmounted_in_use():
                ossfs.wait(self.call_timeout)

    def close(self) -> None:
        """Ends every process, mount and file of this node; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        for process in self._processes:
            process.kill()
        if any(process.process.wait(_DEATH_SECONDS) is None for process in self._processes):
            for ossfs in self._ossfs:
                ossfs.kill()
        for process in self._processes:
            process.end()
        leftovers.unmount_below(self._directory)
        for ossfs in self._ossfs:
            if not ossfs.wait(5.0):
                ossfs.kill()
            shutil.rmtree(ossfs.directory)
        leftovers.remove(self._directory)
        self._engine.forget_host(self)

    def _provide_programs(self) -> None:
        """What a shell needs; real mounts, but no part of the node's table."""
        if self._base:
            return
        for name in _PROGRAMS:
            source, target = f"/{name}", self._at(name)
            if os.path.islink(source):
                os.symlink(os.readlink(source), target)
            elif os.path.isdir(source):
                self._provide(source, target)
        self._provide("/proc", self._at("proc"))
        for name in _DEVICES:
            if os.path.exists(f"/dev/{name}"):
                self._provide(f"/dev/{name}", self._at(f"dev/{name}"))
        for name, target in (("fd", "/proc/self/fd"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
            os.symlink(target, self._at(f"dev/{name}"))
        for name in _COPIED:
            if os.path.exists(f"/etc/{name}") and not os.path.exists(self._at(f"etc/{name}")):
                self.write_file(
                    f"/etc/{name}", Path(f"/etc/{name}").read_text(encoding="utf-8", errors="surrogateescape")
                )
        if os.path.isdir("/etc/alternatives") and not os.path.exists(self._at("etc/alternatives")):
            shutil.copytree("/etc/alternatives", self._at("etc/alternatives"), symlinks=True)

    def _provide(self, source: str, target: str) -> None:
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            Path(target).touch()
        self._base.append(target)
        mounting.bind(source, target, recursive=True)
        if os.path.isdir(source) and source != "/proc":
            try:
                mounting.make_read_only(target)
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
                mounting.remount_bind(target, mounting.READ_ONLY)
