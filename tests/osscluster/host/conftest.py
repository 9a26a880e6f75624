"""Nodes for the tests of their operating system: the same expectations on both engines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from tests.osscluster.host.nodelab import TARGET

from osscloud.admin import Admin
from osscluster.engine import DirectEngine, KernelEngine
from osscluster.host import NodeHost, OssfsProcess, OssfsSpec

_names = itertools.count(1)


@dataclass
class Node:
    """A node and a bucket with `data/a.txt`."""

    host: NodeHost
    bucket: str
    engine: KernelEngine | DirectEngine

    @property
    def admin(self) -> Admin:
        return self.engine.cloud.admin

    def ossfs(
        self, mountpoint: str = TARGET, options: Sequence[str] = ("-o", "allow_other"), **more: str
    ) -> OssfsProcess:
        """ossfs at a mount point that is made for it."""
        self.host.makedirs(mountpoint)
        spec = OssfsSpec(
            bucket=self.bucket,
            path=more.pop("path", "/"),
            mountpoint=mountpoint,
            options=options,
            passwd=self.engine.cloud.passwd_line(self.bucket),
            **more,
        )
        return self.host.start_ossfs(spec)

    def targets(self) -> list[str]:
        return [line.target for line in self.host.mounts()]


def _node(engine: KernelEngine | DirectEngine) -> Iterator[Node]:
    number = next(_names)
    bucket = f"host-{number}"
    engine.cloud.admin.create_bucket(bucket)
    engine.cloud.admin.put(bucket, "data/", meta={"mode": "16877"})
    engine.cloud.admin.put(bucket, "data/a.txt", b"hello", meta={"mode": "33188"})
    host = engine.host(f"node-{number}")
    yield Node(host, bucket, engine)
    host.close()
    engine.cloud.admin.delete_bucket(bucket, force=True)


@pytest.fixture(params=["kernel", "direct"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    yield from _node(request.getfixturevalue(f"{request.param}_engine"))


@pytest.fixture
def kernel_node(kernel_engine: KernelEngine) -> Iterator[Node]:
    yield from _node(kernel_engine)


@pytest.fixture
def direct_node(direct_engine: DirectEngine) -> Iterator[Node]:
    yield from _node(direct_engine)
