"""What a node's operating system does for kubelet, the CSI driver and an administrator: directories, mounts, processes.

Paths are the node's own ("/var/lib/kubelet/pods/UID/volumes/..."), wherever an implementation keeps them. Two
implementations answer alike: the kernel engine's host has a directory that plays the node's root, real FUSE mounts,
real bind mounts and real processes below it; the direct engine's is a model. `Engine.host(name)` makes one.

A host does what it is told and nothing by itself: which mounts there ought to be, and what an error means, is the
business of kubelet and of the driver. Everything here is called from one thread, the runner's.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from osscluster.volume import Holder, Syscalls, VolumeSpec
from ossfuse.profile import Fixed

__all__ = ["CommandResult", "ContainerMount", "ContainerSpec", "MountLine", "NodeHost", "OssfsProcess", "OssfsSpec"]


@dataclass(frozen=True, slots=True)
class MountLine:
    """A line of the node's mount table as mount(8) prints it: `{source} on {target} type {fstype} ({options})`."""

    source: str
    target: str
    fstype: str
    options: str

    def __str__(self) -> str:
        return f"{self.source} on {self.target} type {self.fstype} ({self.options})"


@dataclass(frozen=True, slots=True)
class OssfsSpec:
    """How ossfs is started on a node. bucket, path ("/" or "/dir"), mountpoint: node path of an existing directory;
    options: words as on the command line, without url= and passwd_file= ("-o", "allow_other", ...); endpoint: the url
    to use as the network resolved it, "" for the cloud's own, or one where nobody answers; passwd: lines of the
    password file, None for none; version: ossfs release; mime_types: content of the /etc/mime.types that this process
    sees, "" for none there; environment: of the process; fixed: without the defects of the release."""

    bucket: str
    path: str
    mountpoint: str
    options: Sequence[str] = ()
    endpoint: str = ""
    passwd: str | None = None
    version: str = ""
    mime_types: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    fixed: Fixed = False

    def as_volume(self) -> VolumeSpec:
        """The same without where it is mounted, and with the cloud's own key where it has none."""
        return VolumeSpec(
            bucket=self.bucket,
            path=self.path,
            options=shlex.join(self.options),
            version=self.version,
            passwd=self.passwd or "",
            mime_types=self.mime_types,
            environment=self.environment,
            fixed=self.fixed,
        )


class OssfsProcess(Protocol):
    """A running ossfs. Its mount may be gone before it, and it may be gone before its mount."""

    @property
    def pid(self) -> int: ...
    @property
    def spec(self) -> OssfsSpec: ...
    @property
    def log(self) -> str:
        """What it has printed so far."""
        ...

    def alive(self) -> bool: ...
    def kill(self) -> None:
        """SIGKILL: every call on its mounts answers ENOTCONN afterwards, the mount entries stay."""
        ...

    def terminate(self) -> None:
        """SIGTERM: unmounts and ends; binds of it stay and are dead."""
        ...


@dataclass(frozen=True, slots=True)
class ContainerMount:
    """A bind mount of a container. source: node path; target: absolute path in the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """name: what ps shows; groups: supplementary ones; environment and working_dir as in the Pod; image: of the Docker
    driver, "" for one made of busybox."""

    name: str
    uid: int = 0
    gid: int = 0
    groups: Sequence[int] = ()
    umask: int = 0o022
    mounts: Sequence[ContainerMount] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    image: str = ""


class Container(Syscalls, Protocol):
    """A process (or a Docker container) with its own mounts. Paths of its calls are the container's own, absolute."""

    def alive(self) -> bool: ...
    def end(self) -> None:
        """SIGKILL to everything in it; what it had open is closed."""
        ...


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command on the node printed. Node paths, as its user would see them."""

    returncode: int
    stdout: str
    stderr: str


class NodeHost(Protocol):
    """One node's operating system."""

    @property
    def name(self) -> str: ...
    @property
    def root(self) -> Syscalls:
        """The system calls of root on this node, with absolute node paths: through mounts, as kubelet makes them."""
        ...

    def makedirs(self, path: str, mode: int = 0o750) -> None:
        """Like mkdir -p, below "/" of the node's own disk or into a mount. Raises OSError."""
        ...

    def write_file(self, path: str, body: str, mode: int = 0o644) -> None:
        """Creates or replaces a file of the node's own disk, with the directories above it."""
        ...

    def read_file(self, path: str) -> str | None:
        """None when there is none."""
        ...

    def start_ossfs(self, spec: OssfsSpec) -> OssfsProcess:
        """Raises MountFailed (with what it printed and its exit code) when it does not mount."""
        ...

    def ossfs_at(self, path: str) -> OssfsProcess | None:
        """The ossfs whose file system is mounted exactly there, also through a bind; None where there is none."""
        ...

    def bind(self, source: str, target: str, *, read_only: bool = False) -> None:
        """mount --bind, then a remount as mount-utils does it (which clears nosuid and nodev). source: a directory or
        a file. Raises OSError: ENOENT, ENOTCONN for a dead source."""
        ...

    def umount(self, target: str, *, flags: Literal["", "force", "lazy"] = "") -> None:
        """The youngest mount exactly there. Raises OSError: EBUSY, EINVAL (not a mount point), ENOENT."""
        ...

    def mounts(self) -> list[MountLine]:
        """The node's mount table without what the machine had before, oldest first."""
        ...

    def holders(self, path: str) -> list[Holder]:
        """Who has something open at or below a node path (`Holder.path` is a node path), as lsof shows it."""
        ...

    def start_container(self, spec: ContainerSpec, *, driver: Literal["process", "docker"] = "process") -> Container:
        """Raises OSError as the runtime would meet it (ENOTCONN for the source of a dead mount), EnvironmentMissing for
        a driver that this machine does not have."""
        ...

    def start_process(self, name: str, *, uid: int = 0, gid: int = 0, groups: Sequence[int] = ()) -> Container:
        """A process of the node itself, in its mount namespace, with absolute node paths."""
        ...

    def run(self, command: str) -> CommandResult:
        """A shell command as an administrator types it on the node: `mount | grep UID | grep fuse.ossfs`,
        `umount PATH`, `lsof PATH`. The kernel's host runs it for real, the model knows these three."""
        ...

    def close(self) -> None:
        """Ends every process, mount and file of this node; safe to call twice."""
        ...
