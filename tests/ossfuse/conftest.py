"""A mount of the filesystem core over an in-process cloud: no kernel, no sockets, a clock that stands still."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import pytest

from osscloud.clock import VirtualClock
from osscloud.message import Request, Response
from osscloud.service import OssService
from ossfuse.client import ObjectClient
from ossfuse.filesystem import Context, OssFs
from ossfuse.mime import MimeTable
from ossfuse.options import parse
from ossfuse.passwd import Credentials
from ossfuse.profile import find

BUCKET = "bkt"
ROOT = Context(uid=0, gid=0, pid=1, umask=0o022, command="sh")


class InProcess:
    """Transport straight into the service; `answer` may take a request over, `log` keeps what went through."""

    concurrent = False

    def __init__(self, service: OssService) -> None:
        self.service = service
        self.log: list[tuple[Request, Response]] = []
        self.answer: Callable[[Request], Response | None] = lambda request: None

    def send(self, request: Request) -> Response:
        response = self.answer(request)
        if response is None:
            response = self.service.handle(request)
        self.log.append((request, response))
        return response


class Members:
    """A group database. members: gid to uids."""

    def __init__(self, members: Mapping[int, set[int]]) -> None:
        self.members = members

    def includes(self, uid: int, gid: int) -> bool:
        return uid in self.members.get(gid, set())


class Volume:
    """One mount and everything around it; `v.fs` is the subject of the tests."""

    def __init__(
        self,
        *,
        version: str,
        options: str,
        prefix: str,
        mountpoint: Path,
        service: OssService | None,
        clock: VirtualClock,
        groups: Mapping[int, set[int]],
        fixed: bool,
        mime: str,
        secret: str,
    ) -> None:
        if service is None:
            service = OssService(clock=clock, rng=random.Random(1))
            service.admin.create_bucket(BUCKET)
            service.accounts.create_key(id="AK", secret="SK")
        self.service = service
        self.admin = service.admin
        self.clock = clock
        self.profile = find(version)
        words = [f"{BUCKET}:{prefix}" if prefix else BUCKET, str(mountpoint), *options.split()]
        words.append("-ourl=http://oss-cn-hangzhou.aliyuncs.com")
        self.options = parse(words, self.profile, euid=0)
        self.transport = InProcess(service)
        self.client = ObjectClient(
            self.transport,
            options=self.options,
            profile=self.profile,
            credentials=Credentials("AK", secret),
            clock=clock,
            rng=random.Random(2),
        )
        self.spool = mountpoint.parent
        self.fs = OssFs(
            options=self.options,
            profile=self.profile,
            client=self.client,
            clock=clock,
            groups=Members(groups),
            spool=str(self.spool),
            mime=MimeTable.load(mime),
            euid=0,
            egid=0,
            fixed=fixed,
        )

    def put(self, key: str, body: bytes = b"", **kwargs: object) -> None:
        self.admin.put(BUCKET, key, body, **kwargs)

    def object(self, key: str):
        return self.admin.object(BUCKET, key)

    def body(self, key: str) -> bytes:
        found = self.object(key)
        assert found is not None, f"no object {key}"
        return found.read()

    def keys(self) -> list[str]:
        return self.admin.keys(BUCKET)

    def write(self, path: str, data: bytes, ctx: Context = ROOT, *, mode: int = 0o644) -> None:
        """As `printf data > path` does."""
        try:
            self.fs.getattr(ctx, path)
            fh = self.fs.open(ctx, path, os.O_WRONLY | os.O_TRUNC)
        except FileNotFoundError:
            fh = self.fs.create(ctx, path, mode, os.O_WRONLY | os.O_CREAT)
        try:
            if data:
                self.fs.write(ctx, path, fh, data, 0)
            self.fs.flush(ctx, path, fh)
        finally:
            self.fs.release(ctx, path, fh)

    def read(self, path: str, ctx: Context = ROOT) -> bytes:
        fh = self.fs.open(ctx, path, os.O_RDONLY)
        try:
            size = self.fs.getattr(ctx, path).size
            data = self.fs.read(ctx, path, fh, max(size, 1), 0)
            self.fs.flush(ctx, path, fh)
            return data
        finally:
            self.fs.release(ctx, path, fh)

    def names(self, path: str) -> list[str]:
        return [name for name, _ in self.fs.readdir(ROOT, path)][2:]

    def kind(self, path: str) -> str:
        mode = self.fs.getattr(ROOT, path).mode
        return {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "link"}.get(stat.S_IFMT(mode), "other")

    def requests(self, action: Callable[[], object] | None = None) -> list[str]:
        """What `action` sends, as "METHOD key?parameters"; without it, everything since the last call."""
        if action is not None:
            self.transport.log.clear()
            action()
        lines = [f"{request.method} {unquote(request.target[1:])}" for request, _ in self.transport.log]
        self.transport.log.clear()
        return lines

    def headers(self) -> list[Mapping[str, str]]:
        """Headers of the requests so far."""
        return [request.headers for request, _ in self.transport.log]

    def sent(self) -> list[Request]:
        """The requests so far."""
        return [request for request, _ in self.transport.log]


@pytest.fixture
def ossfs(tmp_path: Path) -> Iterator[Callable[..., Volume]]:
    """Factory of mounts; all of them are destroyed after the test, and none may leave a local file behind."""
    made: list[Volume] = []

    def make(
        version: str = "1.91.10",
        options: str = "",
        *,
        prefix: str = "",
        service: OssService | None = None,
        groups: Mapping[int, set[int]] | None = None,
        fixed: bool = False,
        mime: str = "text/plain txt\nimage/jpeg jpg",
        secret: str = "SK",
        clock: VirtualClock | None = None,
    ) -> Volume:
        mountpoint = tmp_path / f"m{len(made)}"
        mountpoint.mkdir()
        volume = Volume(
            version=version,
            options=options,
            prefix=prefix,
            mountpoint=mountpoint,
            service=service,
            clock=clock or (made[0].clock if made else VirtualClock()),
            groups=groups or {},
            fixed=fixed,
            mime=mime,
            secret=secret,
        )
        made.append(volume)
        return volume

    yield make
    for volume in made:
        volume.fs.destroy()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("ossfs-")]
