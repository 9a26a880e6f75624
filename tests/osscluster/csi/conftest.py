"""A cluster around the driver: the API in memory, kubelet, and a node in memory whose ossfs does what the test says."""

from __future__ import annotations

import errno
import itertools
import os
import posixpath
import random
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pytest

from osscloud.clock import VirtualClock
from osscluster.api.store import MemoryApi
from osscluster.cloud import Cloud
from osscluster.csi.driver import Driver, make_driver
from osscluster.csi.rpc import (
    ControllerPublishVolumeRequest,
    NodePublishVolumeRequest,
    VolumeCapability,
)
from osscluster.host import CommandResult, ContainerSpec, MountLine, OssfsSpec
from osscluster.kubelet import profile as kubernetes
from osscluster.kubelet.kubelet import Kubelet
from osscluster.nodespec import NodeSpec
from osscluster.timeline import Timeline
from osscluster.volume import DirEntry, Holder, MountFailed, Stat

URL = "oss-cn-hangzhou.aliyuncs.com"
ATTRIBUTES = {"bucket": "demo", "url": URL}
SECRETS = {"akId": "AK", "akSecret": "SK"}


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


class FakeOssfs:
    def __init__(self, host: FakeHost, spec: OssfsSpec, pid: int) -> None:
        self.host = host
        self.spec = spec
        self.pid = pid
        self.log = ""
        self.running = True

    def alive(self) -> bool:
        return self.running

    def kill(self) -> None:
        self.running = False

    def terminate(self) -> None:
        self.running = False
        for mount in [m for m in self.host.table if m[0].target == self.spec.mountpoint and m[1] is self]:
            self.host.table.remove(mount)


class FakeRoot:
    uid = gid = 0
    groups: Sequence[int] = ()
    pid = 1

    def __init__(self, host: FakeHost) -> None:
        self.host = host

    def stat(self, path: str) -> Stat:
        mounted = self.host.covering(path)
        if mounted is not None:
            refusal = self.host.refusals.get(path)
            if refusal:
                raise _error(refusal, path)
            if not mounted.alive():
                raise _error(errno.ENOTCONN, path)
            return Stat(stat.S_IFDIR | 0o755, 0, 0, 0, 0.0, 2, 0)
        if path in self.host.directories:
            return Stat(stat.S_IFDIR | 0o755, 0, 0, 0, 0.0, 2, 0)
        if path in self.host.files:
            return Stat(stat.S_IFREG | 0o644, 0, 0, len(self.host.files[path]), 0.0, 1, 0)
        raise _error(errno.ENOENT, path)

    lstat = stat

    def listdir(self, path: str) -> list[DirEntry]:
        self.stat(path)
        self.host.listed.append(path)
        if self.host.covering(path) is not None:
            return [DirEntry("object", "file")]
        names = {
            (other.removeprefix(path.rstrip("/") + "/").split("/")[0], kind)
            for kind, paths in (("directory", self.host.directories), ("file", set(self.host.files)))
            for other in paths
            if other.startswith(path.rstrip("/") + "/") and other != path
        }
        found = dict(sorted(names))
        for name in found:
            if f"{path.rstrip('/')}/{name}" in self.host.directories:
                found[name] = "directory"
        return [DirEntry(name, kind) for name, kind in found.items()]

    def access(self, path: str, mode: int) -> bool:
        return self.host.covering(path) is not None or path in self.host.directories

    def statvfs(self, path: str) -> os.statvfs_result:
        if self.host.statfs_refusal:
            raise _error(self.host.statfs_refusal, path)
        return os.statvfs("/")

    def rmdir(self, path: str) -> None:
        if any(line.target == path for line, _ in self.host.table):
            raise _error(errno.EBUSY, path)
        if path not in self.host.directories:
            raise _error(errno.ENOENT, path)
        self.host.directories.discard(path)

    def unlink(self, path: str) -> None:
        del self.host.files[path]

    def end(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


class FakeHost:
    """answer: what a start of ossfs does: None mounts."""

    def __init__(self, name: str = "node-1") -> None:
        self.name = name
        self.directories = {"/", "/var", "/var/lib", "/var/lib/kubelet", "/run", "/etc"}
        self.files: dict[str, str] = {}
        self.table: list[tuple[MountLine, FakeOssfs]] = []
        self.started: list[FakeOssfs] = []
        self.listed: list[str] = []
        self.refusals: dict[str, int] = {}
        self.statfs_refusal = 0
        self.busy: set[str] = set()
        self.umounts: list[tuple[str, str]] = []
        self.answer: Callable[[OssfsSpec], MountFailed | None] = lambda spec: None
        self._pids = itertools.count(100)
        self._root = FakeRoot(self)

    @property
    def root(self) -> FakeRoot:
        return self._root

    def covering(self, path: str) -> FakeOssfs | None:
        found = [
            process
            for line, process in self.table
            if path == line.target or path.startswith(line.target.rstrip("/") + "/")
        ]
        return found[-1] if found else None

    def makedirs(self, path: str, mode: int = 0o750) -> None:
        mounted = self.covering(path)
        if mounted is not None and not mounted.alive():
            raise _error(errno.ENOTCONN, path)
        while path not in ("", "/"):
            self.directories.add(path)
            path = posixpath.dirname(path)

    def write_file(self, path: str, body: str, mode: int = 0o644) -> None:
        self.makedirs(posixpath.dirname(path))
        self.files[path] = body

    def read_file(self, path: str) -> str | None:
        return self.files.get(path)

    def start_ossfs(self, spec: OssfsSpec) -> FakeOssfs:
        failed = self.answer(spec)
        if failed is not None:
            raise failed
        process = FakeOssfs(self, spec, next(self._pids))
        self.started.append(process)
        options = "rw,nosuid,nodev,relatime,user_id=0,group_id=0"
        self.table.append((MountLine("ossfs", spec.mountpoint, "fuse.ossfs", options), process))
        return process

    def bind(self, source: str, target: str, *, read_only: bool = False) -> None:
        self.root.stat(source)
        process = self.covering(source)
        assert process is not None
        line = MountLine("ossfs", target, "fuse.ossfs", "rw,relatime,user_id=0,group_id=0")
        self.table.append((line, process))

    def umount(self, target: str, *, flags: Literal["", "force", "lazy"] = "") -> None:
        self.umounts.append((target, flags))
        found = [mount for mount in self.table if mount[0].target == target]
        if not found:
            raise _error(errno.EINVAL, target)
        if target in self.busy:
            raise _error(errno.EBUSY, target)
        self.table.remove(found[-1])
        process = found[-1][1]
        if not any(other is process for _, other in self.table):
            process.running = False

    def mounts(self) -> list[MountLine]:
        return [line for line, _ in self.table]

    def holders(self, path: str) -> list[Holder]:
        return []

    def start_container(self, spec: ContainerSpec, *, driver: str = "process") -> Any:
        raise NotImplementedError

    def start_process(self, name: str, *, uid: int = 0, gid: int = 0, groups: Sequence[int] = ()) -> FakeRoot:
        self.listed.clear()
        return self._root

    def run(self, command: str) -> CommandResult:
        raise NotImplementedError

    def close(self) -> None:
        pass


class Lab:
    """One driver on one node, with kubelet beside it."""

    def __init__(self, version: str, spec: NodeSpec | None = None, **options: Any) -> None:
        self.clock = VirtualClock()
        self.cloud = Cloud.here(clock=self.clock, rng=random.Random(0))
        self.timeline = Timeline(self.clock.now(), self.clock.advance)
        self.api = MemoryApi(self.timeline.now, random.Random(0))
        for namespace in ("kube-system", "ack-csi-fuse"):
            if self.api.find("Namespace", namespace) is None:
                self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
            for account in ("default", "csi-fuse-ossfs"):
                if self.api.find("ServiceAccount", account, namespace) is None:
                    metadata = {"name": account, "namespace": namespace}
                    self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        self.spec = spec or NodeSpec("node-1")
        self.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.spec.name}})
        self.host = FakeHost(self.spec.name)
        if self.spec.mime_types is not None:
            self.host.write_file("/etc/mime.types", self.spec.mime_types)
        self.driver: Driver = make_driver(version, api=self.api, timeline=self.timeline, cloud=self.cloud, **options)
        self.node = self.driver.node(self.spec, self.host)
        self.kubelet = Kubelet(
            self.spec,
            api=self.api,
            host=self.host,
            driver=lambda: self.driver.node(self.spec, self.host),
            programs=lambda: self.driver.programs,
            timeline=self.timeline,
            profile=kubernetes.find(kubernetes.DEFAULT_VERSION),
            cost=lambda: 0.0,
            attach_required=lambda: self.driver.profile.attach_required,
        )

    def target(self, pod: str = "uid-1", volume: str = "pv-oss") -> str:
        return f"/var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~csi/{volume}/mount"

    def attach(self, attributes: Mapping[str, str] = ATTRIBUTES, **given: Any) -> dict[str, str]:
        request = ControllerPublishVolumeRequest(
            volume_id=given.get("volume_id", "pv-oss"),
            node_id=given.get("node_id", self.spec.name),
            capability=given.get("capability", VolumeCapability()),
            readonly=given.get("readonly", False),
            volume_context=attributes,
        )
        return dict(self.timeline.run("attach", self.driver.controller.controller_publish_volume(request)))

    def publish(self, attributes: Mapping[str, str] = ATTRIBUTES, **given: Any) -> None:
        """As kubelet does it: attach first where the release wants it."""
        context = given.get("publish_context")
        if context is None:
            context = self.attach(attributes, **given) if self.driver.profile.attach_required else {}
        request = NodePublishVolumeRequest(
            volume_id=given.get("volume_id", "pv-oss"),
            target_path=given.get("target", self.target()),
            capability=given.get("capability", VolumeCapability()),
            readonly=given.get("readonly", False),
            publish_context=context,
            volume_context=attributes,
            secrets=given.get("secrets", SECRETS),
        )
        self.timeline.run("publish", self.node.node_publish_volume(request))

    def unpublish(self, target: str = "", volume_id: str = "pv-oss") -> None:
        self.timeline.run("unpublish", self.node.node_unpublish_volume(volume_id, target or self.target()))

    def unstage(self, volume_id: str = "pv-oss") -> None:
        staging = f"/var/lib/kubelet/plugins/kubernetes.io/csi/{volume_id}/globalmount"
        self.timeline.run("unstage", self.node.node_unstage_volume(volume_id, staging))

    def fuse_pods(self) -> list[dict[str, Any]]:
        return [
            pod
            for pod in self.api.list("Pod")
            if "csi.alibabacloud.com/fuse-type" in (pod["metadata"].get("labels") or {})
        ]

    def log(self, pod: dict[str, Any]) -> str:
        metadata = pod["metadata"]
        container = pod["spec"]["containers"][0]["name"]
        lines = self.api.logs.of(metadata["namespace"], metadata["name"], container)
        return "\n".join(line.text for line in lines)

    def configure(self, text: str) -> None:
        self.api.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "csi-plugin", "namespace": "kube-system"},
                "data": {"fuse-ossfs": text},
            }
        )

    def close(self) -> None:
        self.kubelet.close()
        self.driver.close()
        self.cloud.close()


@pytest.fixture
def lab() -> Iterator[Callable[..., Lab]]:
    made: list[Lab] = []

    def make(version: str, spec: NodeSpec | None = None, **options: Any) -> Lab:
        made.append(Lab(version, spec, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
