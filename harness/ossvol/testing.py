"""What the pytest fixtures hand out: a server, a bucket's server-side view, a volume.

For tests of applications: the volume is a mounted path (`path`), the bucket shows what arrived on the server. Not the
scenario runner. Used from the thread of the test.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from osscluster.volume import Holder, Syscalls, Volume, VolumeSpec

if TYPE_CHECKING:
    from osscloud.accesslog import LogRecord
    from osscloud.admin import Admin, ObjectView
    from osscloud.http_server import HttpServer
    from osscloud.service import OssService
    from osscluster.cloud import Cloud
    from osscluster.direct import DirectEngine
    from osscluster.kernel import KernelEngine

__all__ = ["Bucket", "OssServer", "TestVolume"]


class OssServer:
    """The fake OSS of one test. endpoint: for any OSS SDK, with `access_key_id` and `access_key_secret`."""

    def __init__(self, cloud: Cloud, advance: Callable[[float], None], *, over_http: bool) -> None:
        self._cloud = cloud
        self._advance = advance
        self._over_http = over_http
        self._server: HttpServer | None = None
        self.access_key_id = cloud.key.id
        self.access_key_secret = cloud.key.secret
        self.region = "cn-hangzhou"

    @property
    def service(self) -> OssService:
        """The cloud itself: accounts, faults, access_log. Via kernel it runs in another process: what its methods give
        are copies, and what they take has to be picklable."""
        return self._cloud.service

    @property
    def admin(self) -> Admin:
        """The server-side view of everything: buckets, versions, no permissions asked."""
        return self._cloud.admin

    @property
    def endpoint(self) -> str:
        """ "http://127.0.0.1:PORT" """
        if self._over_http:
            return self._cloud.endpoint
        if self._server is None:
            from osscloud.http_server import HttpServer

            # In this process: via direct nothing is mounted that could wait for it.
            # The engine's clock stands at a fixed date; a client that signs with the time of now would be refused.
            self._advance(max(0.0, time.time() - self._cloud.clock.now()))
            self._server = HttpServer(self.service)
            self._server.start()
        return self._server.endpoint

    def close(self) -> None:
        """Stops what this object itself started."""
        if self._server is not None:
            self._server.stop()
            self._server = None


class Bucket:
    """A bucket as the server has it, whatever a mount believes."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._cloud = cloud
        self.name = name
        self._mark = cloud.access_log.mark()

    def keys(self, prefix: str = "") -> list[str]:
        """Keys of all current objects, in byte order."""
        return self._cloud.admin.keys(self.name, prefix)

    def object(self, key: str) -> ObjectView | None:
        """size, content_type, meta (names without "x-oss-meta-"), read(); None when there is no such object."""
        return self._cloud.admin.object(self.name, key)

    def read(self, key: str) -> bytes:
        """Content of an object. Raises KeyError when there is none."""
        found = self.object(key)
        if found is None:
            raise KeyError(key)
        return found.read()

    def put(
        self,
        key: str,
        body: bytes = b"",
        *,
        content_type: str = "application/octet-stream",
        meta: Mapping[str, str] | None = None,
    ) -> None:
        """As another client uploads: nothing of a mount's metadata unless `meta` has it."""
        self._cloud.admin.put(self.name, key, body, content_type=content_type, meta=meta or {})

    def delete(self, key: str) -> None:
        self._cloud.admin.delete(self.name, key)

    def mark(self) -> int:
        """A position in the access log for `requests(since=...)`."""
        return self._cloud.access_log.mark()

    def requests(self, operation: str = "", *, since: int | None = None) -> list[LogRecord]:
        """Requests to this bucket since `since`, or since the bucket was made. operation: only those ("PutObject")."""
        records = self._cloud.access_log.since(self._mark if since is None else since)
        return [record for record in records if record.bucket == self.name and operation in ("", record.operation)]


class TestVolume:
    """A mounted volume. bucket: the server-side view of what is below it."""

    __test__ = False  # pytest: no test class, whatever its name

    def __init__(self, engine: KernelEngine | DirectEngine, spec: VolumeSpec, bucket: Bucket) -> None:
        self._engine = engine
        self._spec = spec
        self.bucket = bucket
        self._volume: Volume | None = None
        self.remount()

    @property
    def path(self) -> Path:
        """The mount point. A test that uses it is skipped via direct, where there is no mount."""
        if self._engine.name != "kernel":
            import pytest

            from osscluster.engine import kernel_unavailable

            missing = kernel_unavailable()
            reason = f"{missing.reason}; fix: {missing.remedy}" if missing else "run without --ossvol-via direct"
            pytest.skip(f"volume.path needs a kernel mount: {reason}")
        return Path(self._mounted().mountpoint)

    def container(
        self, name: str = "", *, uid: int = 0, gid: int = 0, groups: Sequence[int] = (), umask: int = 0o022
    ) -> Syscalls:
        """A process with this identity that makes system calls on the volume; works with every engine."""
        return self._mounted().container(name or f"uid{uid}", uid=uid, gid=gid, groups=groups, umask=umask)

    def remount(self, options: str | None = None, *, version: str | None = None) -> None:
        """Unmounts, and mounts again with what is given; the rest stays. Raises MountFailed, OSError (EBUSY)."""
        if self._volume is not None:
            self.unmount()
        if options is not None:
            self._spec = replace(self._spec, options=options)
        if version is not None:
            self._spec = replace(self._spec, version=version)
        self._volume = self._engine.mount(self._spec)

    def unmount(self) -> None:
        """Raises OSError EBUSY while files are open."""
        self._mounted().unmount()
        self._volume = None

    def kill(self) -> None:
        """SIGKILL to the ossfs process: every call answers ENOTCONN until `remount`."""
        self._mounted().kill()

    def holders(self) -> list[Holder]:
        """Who has which file open."""
        return self._mounted().holders()

    def advance(self, seconds: float) -> None:
        """Moves the time of the server and the mount ahead, for example past a cache's expiry."""
        self._engine.advance(seconds)

    def _mounted(self) -> Volume:
        if self._volume is None:
            raise RuntimeError("the volume is not mounted: call remount() first")
        return self._volume
