"""A service on a virtual clock, and a client of it that signs every request (V4) with lines of its own."""

from __future__ import annotations

import hashlib
import hmac
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import quote
from xml.etree.ElementTree import Element
from zipfile import ZipFile

import pytest
from defusedxml.ElementTree import fromstring

from osscloud.accounts import AccessKey
from osscloud.clock import VirtualClock
from osscloud.message import Caller, Request, Response
from osscloud.persistence.directory import DataDirectory
from osscloud.persistence.snapshot import save
from osscloud.service import OssService, ServiceConfig

REGION = "cn-hangzhou"
HOST = "127.0.0.1"


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


@dataclass(frozen=True)
class Answer:
    """A response that a test reads."""

    response: Response

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def body(self) -> bytes:
        return self.response.read()

    def header(self, name: str) -> str | None:
        return self.response.header(name, "\0") if self.has(name) else None

    def has(self, name: str) -> bool:
        return name.lower() in {known.lower() for known in self.response.headers}

    @property
    def xml(self) -> Element:
        return fromstring(self.body)

    def text(self, path: str) -> str:
        """The text of the first element at that path below the root; fails when there is none."""
        found = self.xml.find(path)
        assert found is not None, f"no {path} in {self.body!r}"
        return found.text or ""

    def texts(self, path: str) -> list[str]:
        return [element.text or "" for element in self.xml.findall(path)]

    @property
    def code(self) -> str:
        return self.text("Code")


class Client:
    """Signs and sends path-style requests for one bucket."""

    def __init__(self, service: OssService, key: AccessKey, clock: VirtualClock, bucket: str) -> None:
        self.service = service
        self.key = key
        self.clock = clock
        self.bucket = bucket

    def send(
        self,
        method: str,
        key: str = "",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        bucket: str | None = None,
        anonymous: bool = False,
        caller: Caller | None = None,
    ) -> Answer:
        """key "" addresses the bucket, bucket "" the service."""
        name = self.bucket if bucket is None else bucket
        path = quote(f"/{name}/{key}" if name else "/", safe="/-_.~", errors="surrogateescape")
        sent = {"host": HOST, **{k.lower(): v for k, v in (headers or {}).items()}}
        query = "&".join(
            sorted(
                quote(k, safe="", errors="surrogateescape")
                + (f"={quote(v, safe='', errors='surrogateescape')}" if v else "")
                for k, v in (params or {}).items()
            )
        )
        if not anonymous:
            sent |= self._authorisation(method, path, query, sent)
        target = f"{path}?{query}" if query else path
        return Answer(self.service.handle(Request(method, target, sent, body, caller=caller)))

    def _authorisation(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> dict[str, str]:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.clock.now()))
        scope = f"{stamp[:8]}/{REGION}/oss/aliyun_v4_request"
        signed = {"x-oss-date": stamp, "x-oss-content-sha256": "UNSIGNED-PAYLOAD", **headers}
        lines = "".join(
            f"{name}:{value.strip()}\n"
            for name, value in sorted(signed.items())
            if name.startswith("x-oss-") or name in ("content-type", "content-md5")
        )
        canonical = f"{method}\n{path}\n{query}\n{lines}\n\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        key = ("aliyun_v4" + self.key.secret).encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        signature = _hmac(key, f"OSS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}").hex()
        return {
            "x-oss-date": stamp,
            "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
            "authorization": f"OSS4-HMAC-SHA256 Credential={self.key.id}/{scope},Signature={signature}",
        }

    def put(self, key: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        answer = self.send("PUT", key, headers=headers, body=body)
        assert answer.status == 200, answer.body
        return answer

    def get(self, key: str, headers: Mapping[str, str] | None = None, **params: str) -> Answer:
        return self.send("GET", key, params, headers)

    def head(self, key: str, headers: Mapping[str, str] | None = None, **params: str) -> Answer:
        return self.send("HEAD", key, params, headers)

    def delete(self, key: str, **params: str) -> Answer:
        return self.send("DELETE", key, params)

    def copy(self, source: str, key: str, headers: Mapping[str, str] | None = None) -> Answer:
        """source: "/bucket/key", encoded."""
        return self.send("PUT", key, headers={"x-oss-copy-source": source, **(headers or {})})

    def versioning(self, status: str) -> None:
        self.service.admin.set_versioning(self.bucket, status)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def oss(clock: VirtualClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OssService]:
    """Kept in a data directory, which must hold in the end what memory holds: so every test is one of the journal."""
    service = OssService(clock=clock, rng=random.Random(7), config=ServiceConfig())
    root = tmp_path_factory.mktemp("data", numbered=True) / "cloud"
    with DataDirectory(root) as directory:
        directory.attach(service)
        yield service
    again = OssService(clock=clock, rng=random.Random(7))
    with DataDirectory(root) as directory:
        directory.attach(again)
        assert state_of(again) == state_of(service)


def state_of(service: OssService) -> tuple[bytes, ...]:
    """A snapshot, member by member."""
    file = BytesIO()
    save(service, file)
    with ZipFile(file) as archive:
        return tuple(archive.read(name) for name in archive.namelist())


@pytest.fixture
def client_of(oss: OssService, clock: VirtualClock) -> Callable[..., Client]:
    """Another client of "demo" (or of `bucket`), with a key of its own of that account."""

    def make(account: str = "", bucket: str = "demo") -> Client:
        return Client(oss, oss.accounts.create_key(account=account), clock, bucket)

    return make


@pytest.fixture
def client(oss: OssService, clock: VirtualClock) -> Iterator[Client]:
    """Has full access to its bucket "demo", which was never versioned."""
    oss.admin.create_bucket("demo")
    client = Client(oss, oss.accounts.create_key(), clock, "demo")
    yield client
    assert not oss.faults.pending(), "a fault that a test planned never happened"
