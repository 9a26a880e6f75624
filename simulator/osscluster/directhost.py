"""A node of the direct engine: a disk in memory, a mount table and processes, all of them models.

Answers like `kernelhost`, without root and without a mount. What of it is a model: `run` knows mount | grep, umount and
lsof; a container has a disk of its own on which /usr, /etc and their like are empty and read-only; what `namespace`,
`vfs` and `memorydisk` say they leave out. Used from the runner's thread only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Literal

from osscluster import directshell, jail, nodefiles
from osscluster.directmount import DirectMount, MountPointState
from osscluster.directprocess import DirectProcess
from osscluster.errors import EnvironmentMissing
from osscluster.host import CommandResult, ContainerSpec, MountLine, OssfsSpec
from osscluster.inode import Inode, OpenFile, fail
from osscluster.memorydisk import MemoryDisk
from osscluster.mounttable import below
from osscluster.namespace import Mount, Namespace, join, plain
from osscluster.vfs import MountFlags, Vfs
from osscluster.volume import Holder
from ossfuse.mounted import Context

if TYPE_CHECKING:
    from osscluster.direct import DirectEngine

__all__ = ["DirectHost", "DirectOssfs", "OpenPlace"]

_ROOT = Context(uid=0, gid=0)
_SHUT = ("bin", "etc", "lib", "lib64", "sbin", "usr")


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """What a process has open. file: None for its current directory; node: the file; number: its descriptor."""

    process: DirectProcess
    mount: Mount
    node: Inode
    file: OpenFile | None
    number: int

    @property
    def path(self) -> str:
        """In its file system."""
        node = self.node
        return node.path if node.deleted_as is None else "/" + node.deleted_as

    @property
    def shown_path(self) -> str:
        """As the process itself calls it, which in a container is not what the node calls it."""
        way = below(self.path, self.mount.vfs.root.path)
        return join(self.mount.target, way) if way else self.mount.target


class DirectOssfs:
    """Implements `host.OssfsProcess`."""

    def __init__(self, host: DirectHost, spec: OssfsSpec, mount: DirectMount, pid: int) -> None:
        self.spec = spec
        self.pid = pid
        self.mount = mount
        self._host = host

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self.mount.log

    def alive(self) -> bool:
        """Whether the process would run."""
        return self.mount.alive()

    def kill(self) -> None:
        """As SIGKILL: every call on its mounts answers ENOTCONN."""
        self.mount.kill()

    def terminate(self) -> None:
        """As SIGTERM: libfuse unmounts its mount point, lazily, and the process ends."""
        if self.alive():
            self.mount.end()
            self._host.detach_own(self)

    def update_passwd(self, lines: str) -> None:
        """As a rewritten password file, which a running ossfs does not read again."""


class DirectHost:
    """Implements `host.NodeHost`."""

    def __init__(self, engine: DirectEngine, name: str) -> None:
        self.name = name
        self._engine = engine
        self._closed = False
        self._processes: dict[int, DirectProcess] = {}
        self._ossfs: list[DirectOssfs] = []
        self._namespace = Namespace(self._disk("/dev/vda1", "ext4"))
        self.root = self.start_process("root")
        self.root.mkdir("/tmp", 0o777)
        self.root.chmod("/tmp", 0o1777)

    @property
    def namespace(self) -> Namespace:
        """The node's own mounts."""
        return self._namespace

    # --- files ---

    def makedirs(self, path: str, mode: int = 0o750) -> None:
        nodefiles.make_directories(self.root, path, mode)

    def write_file(self, path: str, body: str, mode: int = 0o644) -> None:
        nodefiles.write_file(self.root, path, body, mode)

    def read_file(self, path: str) -> str | None:
        return nodefiles.read_file(self.root, path)

    # --- mounts ---

    def start_ossfs(self, spec: OssfsSpec) -> DirectOssfs:
        target = plain(spec.mountpoint)
        try:
            kind = self.root.stat(target).mode
        except FileNotFoundError:
            state: MountPointState = "missing"
        else:
            state = "file" if not stat.S_ISDIR(kind) else "occupied" if self.root.listdir(target) else "empty"
        mount = DirectMount(
            self._engine,
            spec.as_volume(),
            target,
            endpoint=spec.endpoint,
            keys=spec.passwd is not None,
            state=state,
        )
        parent, _ = self._namespace.resolve(target)
        started = DirectOssfs(self, spec, mount, next(self._engine.pids))
        self._ossfs.append(started)
        view = mount.vfs.bound(mount.vfs.root, target, read_only=False)
        self._namespace.add(Mount(view, target, parent, "ossfs", "fuse.ossfs", mount.table_options, secure=True))
        return started

    def ossfs_at(self, path: str) -> DirectOssfs | None:
        place = plain(path)
        mounts = [mount for mount in self._namespace.mounts if mount.target == place]
        found = (ossfs for ossfs in self._ossfs if mounts and ossfs.mount.vfs.same_file_system(mounts[-1].vfs))
        return next(found, None)

    def bind(self, source: str, target: str, *, read_only: bool = False) -> None:
        made = self._bound(source, target, self._namespace, read_only=read_only)
        made.secure = False
        self._namespace.add(made)

    def umount(self, target: str, *, flags: Literal["", "force", "lazy"] = "") -> None:
        mount, rest = self._namespace.resolve(target)
        if rest:
            self._namespace.find(_ROOT, target)
        mount = self._namespace.at(target)
        if flags == "force":
            self._abort(mount)
        if flags != "lazy" and (self._namespace.children(mount) or any(self._uses(mount))):
            fail(errno.EBUSY, target)
        self._namespace.remove(mount)
        self.settle()

    def mounts(self) -> list[MountLine]:
        return [
            MountLine(mount.source, mount.target, mount.fstype, mount.shown_options)
            for mount in self._namespace.mounts
            if mount.parent is not None
        ]

    def holders(self, path: str) -> list[Holder]:
        place = plain(path)
        found = set()
        for item in self.open_places():
            way = self._way_to(item, place)
            if way is not None:
                process = item.process
                found.add(Holder(join(place, way), process.pid, process.name[:15], process.uid))
        return sorted(found, key=lambda holder: (holder.path, holder.pid))

    def open_places(self) -> Iterator[OpenPlace]:
        """Everything that some process of this node has open, containers too."""
        for process in self._processes.values():
            for number, opened in process.opened.items():
                yield OpenPlace(process, opened.mount, opened.file.node, opened.file, number)
            if process.directory is not None:
                mount, node = process.directory
                yield OpenPlace(process, mount, node, None, -1)

    def device(self, mount: Mount) -> int:
        """The minor number of a mount's file system, as this node counts them."""
        numbers = [ossfs for ossfs in self._ossfs if ossfs.mount.vfs.same_file_system(mount.vfs)]
        return 40 + self._ossfs.index(numbers[0]) if numbers else 1

    # --- processes ---

    def start_container(
        self, spec: ContainerSpec, *, driver: Literal["process", "docker"] = "process"
    ) -> DirectProcess:
        if driver == "docker":
            raise EnvironmentMissing("the direct engine has no real containers", "use --via kernel")
        namespace = Namespace(self._disk("tmpfs", "tmpfs"))
        runtime = self._start(ContainerSpec("runc"), namespace)
        try:
            self._fill(namespace, runtime, spec)
            self._make_working_dir(runtime, spec.working_dir)
            refused = jail.enter(runtime.enter, spec.working_dir)
            made = self._start(spec, namespace)
            try:
                if refused:
                    jail.enter(made.enter, spec.working_dir, again=True)
                else:
                    made.directory = runtime.directory
            except OSError:
                made.end()
                raise
        finally:
            runtime.end()
        return made

    def start_process(self, name: str, *, uid: int = 0, gid: int = 0, groups: Sequence[int] = ()) -> DirectProcess:
        return self._start(ContainerSpec(name, uid=uid, gid=gid, groups=groups), self._namespace)

    def run(self, command: str) -> CommandResult:
        return directshell.run(self, command)

    # --- end ---

    def settle(self, process: DirectProcess | None = None) -> None:
        """Ends each ossfs whose last mount has gone, here and in every container. process: one that has just ended."""
        if process is not None:
            self._processes.pop(process.pid, None)
        if self._closed:
            return
        namespaces = {process.namespace for process in self._processes.values()}
        mounted = [mount for namespace in namespaces for mount in namespace.mounts]
        mounted += [item.mount for item in self.open_places()]
        for ossfs in self._ossfs:
            if ossfs.alive() and not any(mount.vfs.same_file_system(ossfs.mount.vfs) for mount in mounted):
                ossfs.mount.end()

    def detach_own(self, ossfs: DirectOssfs) -> None:
        """What libfuse does at the end of the process: umount2 of its mount point, lazily."""
        try:
            self._namespace.remove(self._namespace.at(ossfs.spec.mountpoint))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def close(self) -> None:
        """Ends every process and mount of this node; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        for process in list(self._processes.values()):
            process.end()
        for ossfs in self._ossfs:
            ossfs.mount.end()
        self._engine.forget_host(self)

    # --- within ---

    def _disk(self, source: str, fstype: str) -> Mount:
        flags = MountFlags(
            uid=0, gid=0, allow_other=True, hard_remove=True, attr_timeout=inf, entry_timeout=inf, permissions=True
        )
        disk = MemoryDisk(self._engine.clock)
        return Mount(Vfs(disk, clock=self._engine.clock, flags=flags, mountpoint="/"), "/", None, source, fstype, "")

    def _start(self, spec: ContainerSpec, namespace: Namespace) -> DirectProcess:
        made = DirectProcess(
            namespace,
            spec.name,
            pid=next(self._engine.pids),
            uid=spec.uid,
            gid=spec.gid,
            groups=spec.groups,
            umask=spec.umask,
            on_end=self.settle,
        )
        self._processes[made.pid] = made
        return made

    def _bound(self, source: str, target: str, namespace: Namespace, *, read_only: bool) -> Mount:
        """A bind mount of a node path, in this or in a container's namespace; not yet there."""
        origin, node = self._namespace.find(_ROOT, source)
        origin.vfs.fresh(_ROOT, node)
        place = plain(target)
        parent, there = namespace.find(_ROOT, place)
        if (node.kind == stat.S_IFDIR) != (there.kind == stat.S_IFDIR):
            fail(errno.ENOTDIR, target)
        view = origin.vfs.bound(node, place, read_only=read_only)
        return Mount(
            view, place, parent, origin.source, origin.fstype, origin.options, origin.secure, read_only=read_only
        )

    def _fill(self, namespace: Namespace, runtime: DirectProcess, spec: ContainerSpec) -> None:
        for item in spec.mounts:
            try:
                origin, node = self._namespace.find(_ROOT, item.source)
                origin.vfs.fresh(_ROOT, node)
            except OSError as error:
                raise OSError(error.errno, os.strerror(error.errno or errno.EIO), item.source) from error
        for name in ("proc", "dev", "tmp", "run", "var", *_SHUT):
            runtime.mkdir(f"/{name}", 0o755)
        runtime.chmod("/tmp", 0o1777)
        ordered = sorted(spec.mounts, key=lambda item: plain(item.target).count("/"))
        for item in ordered:
            if plain(item.target).split("/")[1] in _SHUT:
                self._make_target(runtime, item.source, item.target)
        base = namespace.mounts[0]
        for name in _SHUT:
            view = base.vfs.bound(base.vfs.find(_ROOT, name), f"/{name}", read_only=True)
            namespace.add(Mount(view, f"/{name}", base, base.source, base.fstype, "", read_only=True))
        for item in ordered:
            self._make_target(runtime, item.source, item.target)
            made = self._bound(item.source, item.target, namespace, read_only=item.read_only)
            namespace.add(made)
            self._copy_children(item.source, made, namespace)

    def _make_target(self, runtime: DirectProcess, source: str, target: str) -> None:
        if self._is_directory(source):
            nodefiles.make_directories(runtime, target, 0o755)
            return
        nodefiles.make_directories(runtime, os.path.dirname(plain(target)), 0o755)
        if not runtime.access(target, os.F_OK):
            runtime.close(runtime.open(target, os.O_WRONLY | os.O_CREAT, 0o644))

    def _is_directory(self, path: str) -> bool:
        mount, node = self._namespace.find(_ROOT, path)
        try:
            mount.vfs.enter(_ROOT, node)
        except NotADirectoryError:
            return False
        return True

    def _copy_children(self, source: str, made: Mount, namespace: Namespace) -> None:
        """What is mounted below the source of a recursive bind mount is there as well."""
        origin, _ = self._namespace.resolve(source)
        copies = {origin: made}
        for mount in self._namespace.mounts:
            way = below(mount.target, plain(source))
            if mount.parent in copies and way:
                view = mount.vfs.bound(mount.vfs.root, join(made.target, way), read_only=mount.vfs.flags.read_only)
                copy = Mount(
                    view,
                    join(made.target, way),
                    copies[mount.parent],
                    mount.source,
                    mount.fstype,
                    mount.options,
                    mount.secure,
                    mount.read_only,
                )
                copies[mount] = copy
                namespace.add(copy)

    def _make_working_dir(self, runtime: DirectProcess, directory: str) -> None:
        try:
            nodefiles.make_directories(runtime, directory, 0o755)
        except OSError as error:
            raise OSError(error.errno, f"mkdir {directory}: {os.strerror(error.errno or errno.EIO).lower()}") from error

    def _way_to(self, item: OpenPlace, place: str) -> str | None:
        """From a node path down to what a process has open; None when it isn't there."""
        if item.mount in self._namespace.mounts and (way := below(item.shown_path, place)) is not None:
            return way
        for mount, inside, start in self._targets(place):
            rest = below(item.path, inside) if mount.vfs.same_file_system(item.mount.vfs) else None
            if rest is not None:
                return join(start, rest) if start else rest
        return None

    def _targets(self, place: str) -> list[tuple[Mount, str, str]]:
        """File systems at or below a node path: mount, path inside the file system, way from the place to there."""
        found = []
        for mount in reversed(self._namespace.mounts):
            way = below(mount.target, place)
            if way is not None:
                found.append((mount, mount.vfs.root.path, way))
        above, rest = self._namespace.resolve(place)
        if rest:
            found.append((above, join(above.vfs.root.path, rest), ""))
        return found

    def _uses(self, mount: Mount) -> Iterator[OpenPlace]:
        """What is open through that very mount."""
        return (item for item in self.open_places() if item.mount is mount)

    def _abort(self, mount: Mount) -> None:
        """MNT_FORCE: FUSE ends the connection, whichever of its mounts is meant and whether it can be unmounted."""
        for ossfs in self._ossfs:
            if ossfs.alive() and mount.vfs.same_file_system(ossfs.mount.vfs):
                ossfs.mount.end()
