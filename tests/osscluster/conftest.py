"""Engines and volumes for the tests of the node.

Tests that take `mount` run on both engines with the same assertions. With `--ossvol-ossfs PATH` the kernel engine runs
that binary instead of the simulated ossfs, and the direct engine behaves as its release.
"""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from osscloud.admin import Admin
from osscluster.engine import DirectEngine, KernelEngine, kernel_unavailable, make_engine
from osscluster.volume import Syscalls, Volume, VolumeSpec

NEWEST = "1.91.10"


@dataclass
class Mounted:
    """A mounted volume with its bucket and three processes."""

    volume: Volume
    bucket: str
    engine: KernelEngine | DirectEngine
    version: str

    @property
    def admin(self) -> Admin:
        return self.engine.cloud.admin

    @property
    def root(self) -> Syscalls:
        return self.volume.container("root-app")

    @property
    def app(self) -> Syscalls:
        return self.volume.container("app", uid=1000, gid=1001)

    @property
    def other(self) -> Syscalls:
        return self.volume.container("other", uid=2000, gid=2001)

    def requests(self, work: Callable[[], object]) -> list[str]:
        """The operations that `work` caused, with their keys."""
        log = self.engine.cloud.service.access_log
        mark = log.mark()
        work()
        return [f"{record.operation} {record.object}".strip() for record in log.since(mark)]


@dataclass
class Mounter:
    """Makes volumes for one test; `version` where a test asks for none."""

    engine: KernelEngine | DirectEngine
    version: str
    buckets: Iterator[int]
    real: bool = False
    volumes: list[Volume] = field(default_factory=list)

    def __call__(
        self,
        options: str = "-o allow_other",
        *,
        version: str = "",
        bucket: str = "",
        path: str = "/",
        fixed: bool = False,
        **more: str,
    ) -> Mounted:
        if version and self.real and version != self.version:
            pytest.skip(f"the binary is {self.version}, this is about {version}")
        if fixed and self.real:
            pytest.skip("a real binary has its defects, this is about the simulation without them")
        name = bucket or self.new_bucket()
        spec = VolumeSpec(bucket=name, path=path, options=options, version=version or self.version, fixed=fixed, **more)
        volume = self.engine.mount(spec)
        self.volumes.append(volume)
        return Mounted(volume, name, self.engine, spec.version)

    def new_bucket(self) -> str:
        name = f"bucket-{next(self.buckets)}"
        self.engine.cloud.admin.create_bucket(name)
        return name


def _engine(via: str, ossfs: str | None) -> KernelEngine | DirectEngine:
    missing = kernel_unavailable() if via == "kernel" else None
    if missing is not None:
        pytest.skip(f"{missing.reason}; to fix it: {missing.remedy}")
    return make_engine("kernel", ossfs=ossfs) if via == "kernel" else make_engine("direct")


@pytest.fixture(scope="session")
def binary(request: pytest.FixtureRequest) -> str | None:
    return request.config.getoption("--ossvol-ossfs", default=None) or None


@pytest.fixture(scope="session")
def ossfs_version(binary: str | None) -> str:
    if binary is None:
        return NEWEST
    text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    found = re.search(r" V(\d+\.\d+\.\d+)", text)
    assert found is not None
    return found[1]


@pytest.fixture(scope="session")
def buckets() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture(scope="session")
def kernel_engine(binary: str | None) -> Iterator[KernelEngine]:
    engine = _engine("kernel", binary)
    assert isinstance(engine, KernelEngine)
    engine.call_timeout = 60
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def direct_engine() -> Iterator[DirectEngine]:
    engine = _engine("direct", None)
    assert isinstance(engine, DirectEngine)
    yield engine
    engine.close()


def _clean(mounter: Mounter) -> None:
    for volume in mounter.volumes:
        if volume in mounter.engine.volumes:
            volume.discard()  # type: ignore[attr-defined]  # of both engines, not of the protocol
    for name in mounter.engine.cloud.admin.buckets():
        mounter.engine.cloud.admin.delete_bucket(name, force=True)
    mounter.engine.cloud.service.faults.clear()


@pytest.fixture(params=["kernel", "direct"])
def mount(
    request: pytest.FixtureRequest, binary: str | None, ossfs_version: str, buckets: Iterator[int]
) -> Iterator[Mounter]:
    engine = request.getfixturevalue(f"{request.param}_engine")
    mounter = Mounter(engine, ossfs_version, buckets, real=binary is not None)
    yield mounter
    _clean(mounter)


@pytest.fixture
def mount_kernel(
    kernel_engine: KernelEngine, binary: str | None, ossfs_version: str, buckets: Iterator[int]
) -> Iterator[Mounter]:
    mounter = Mounter(kernel_engine, ossfs_version, buckets, real=binary is not None)
    yield mounter
    _clean(mounter)


@pytest.fixture
def mount_direct(direct_engine: DirectEngine, ossfs_version: str, buckets: Iterator[int]) -> Iterator[Mounter]:
    mounter = Mounter(direct_engine, ossfs_version, buckets)
    yield mounter
    _clean(mounter)
