"""kill -9 at random points: what `ossvol serve --data` acknowledged is there afterwards, and nothing is half there."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import pytest

from osscloud.clock import AdjustableClock
from osscloud.persistence.directory import DataDirectory
from osscloud.service import OssService
from osscloud.xml import parse

ROUNDS = 200
AVERAGE = 10  # acknowledged requests a round
KEY_ID, SECRET = "AKKILL", "SKKILL"

# Starting Python costs more than a round: servers are forked from a process that has imported everything.
FORKS = """
import json, os, sys
import osscloud.control, osscloud.http_server, osscloud.origin_http, osscloud.persistence.directory, osscloud.service
from pathlib import Path
from ossvol.serve import serve
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os._exit(serve(data=Path(line.strip()), access_key_id="AKKILL", access_key_secret="SKKILL", json=True))
    os.waitpid(pid, 0)
    print("dead", flush=True)
"""


@dataclass
class Slice:
    """What one client knows of its own keys and of its bucket: `ver` newest first, None for a delete marker."""

    plain: dict[str, bytes] = field(default_factory=dict)
    ver: dict[str, list[bytes | None]] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    configs: dict[str, bytes] = field(default_factory=dict)


Change = Callable[[Slice], None]


class Client(threading.Thread):
    """Sends its requests one after the other until the connection breaks, and keeps what was acknowledged. The request
    on its way then may have been done or not: `pending` is what it would have changed."""

    def __init__(self, port: int, name: str, rng: random.Random, known: Slice) -> None:
        super().__init__()
        self.name = name
        self.rng = rng
        self.known = known
        self.pending: Change | None = None
        self.acknowledged = 0
        self.failure: Exception | None = None
        self._port = port

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            while True:
                self._step(connection)
        except (OSError, http.client.HTTPException):
            pass
        except AssertionError as error:
            self.failure = error
        finally:
            connection.close()

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, change: Change, body: bytes = b""
    ) -> bytes:
        date = formatdate(usegmt=True)
        signed = base64.b64encode(hmac.digest(SECRET.encode(), f"{method}\n\n\n{date}\n{path}".encode(), "sha1"))
        headers = {"Date": date, "Authorization": f"OSS {KEY_ID}:{signed.decode()}"}
        self.pending = change
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status < 300, (method, path, response.status, answer)
        change(self.known)
        self.pending = None
        self.acknowledged += 1
        return answer

    def _body(self) -> bytes:
        size = self.rng.choice((0, 10, 3000, 17_000, 70_000))
        return self.rng.randbytes(size)

    def _step(self, connection: http.client.HTTPConnection) -> None:
        rng, body = self.rng, self._body()
        key = f"{self.name}/k{rng.randrange(4)}"
        match rng.choice(("put", "put", "delete", "put version", "delete version", "upload", "config", "unconfigure")):
            case "put":
                self._send(connection, "PUT", f"/plain/{key}", lambda s: s.plain.update({key: body}), body)
            case "delete":
                self._send(connection, "DELETE", f"/plain/{key}", lambda s: drop(s.plain, key))
            case "put version":
                self._send(connection, "PUT", f"/ver/{key}", lambda s: s.ver.setdefault(key, []).insert(0, body), body)
            case "delete version":
                self._send(connection, "DELETE", f"/ver/{key}", lambda s: s.ver.setdefault(key, []).insert(0, None))
            case "config":
                tags = f"<Tag><Key>n</Key><Value>{rng.randrange(1000)}</Value></Tag>"
                document = f"<Tagging><TagSet>{tags}</TagSet></Tagging>".encode()
                change: Change = lambda s: s.configs.update(tagging=document)  # noqa: E731
                self._send(connection, "PUT", f"/{self.name}/?tagging", change, document)
            case "unconfigure":
                self._send(connection, "DELETE", f"/{self.name}/?tagging", lambda s: drop(s.configs, "tagging"))
            case "upload":
                self._upload(connection, key, body)

    def _upload(self, connection: http.client.HTTPConnection, key: str, body: bytes) -> None:
        path = f"/plain/{key}"
        # An upload has no name before it is answered: one that nobody heard of is known by its key alone.
        label = f"{key} {self.rng.getrandbits(64):x}"
        answer = self._send(connection, "POST", f"{path}?uploads", lambda s: s.uploads.update({label: {}}))
        upload = parse(answer, "InitiateMultipartUploadResult").findtext("UploadId")
        part = self.rng.randbytes(110_000)
        parts = {1: part, 2: body}
        for number, content in parts.items():
            target = f"{path}?partNumber={number}&uploadId={upload}"
            add: Change = lambda s, n=number, c=content: s.uploads[label].update({n: c})  # type: ignore[misc]  # noqa: E731
            self._send(connection, "PUT", target, add, content)
        if self.rng.random() < 0.3:
            self._send(connection, "DELETE", f"{path}?uploadId={upload}", lambda s: drop(s.uploads, label))
            return
        listed = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{hashlib.md5(c).hexdigest()}</ETag></Part>"
            for n, c in parts.items()
        )
        document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()

        def complete(s: Slice) -> None:
            drop(s.uploads, label)
            s.plain[key] = part + body

        self._send(connection, "POST", f"{path}?uploadId={upload}", complete, document)


def forget(service: OssService, known: dict[str, Slice]) -> None:
    """What would only make every round longer: uploads that nobody knows the id of any more, old versions."""
    bucket = service.store.buckets["plain"]
    with service.store.lock:
        for upload in list(bucket.uploads.values()):
            bucket.remove_upload(upload)
    for slice in known.values():
        slice.uploads.clear()
        for key, entries in slice.ver.items():
            for view in service.admin.versions("ver", key)[3:]:
                service.admin.delete("ver", view.key, version_id=view.version_id)
            del entries[3:]


def drop(values: dict[str, object] | dict[str, bytes] | dict[str, dict[int, bytes]], key: str) -> None:
    values.pop(key, None)


def seen(service: OssService, name: str) -> Slice:
    """A client's slice as the directory has it; every body is read and has the ETag and CRC it should have."""
    found = Slice(configs=dict(service.store.buckets[name].configs))
    for key in service.admin.keys("plain", f"{name}/"):
        found.plain[key] = content(service, "plain", key)
    for view in service.admin.versions("ver", f"{name}/"):
        body = None if view.delete_marker else content(service, "ver", view.key, view.version_id)
        found.ver.setdefault(view.key, []).append(body)
    for (key, upload_id), upload in service.store.buckets["plain"].uploads.items():
        if key.startswith(f"{name}/"):
            found.uploads[f"{key} {upload_id}"] = {n: b"".join(chunks(p.content)) for n, p in upload.parts.items()}
    return found


def chunks(content: object) -> Iterator[bytes]:
    return iter((content,)) if isinstance(content, bytes) else content.chunks()  # type: ignore[attr-defined,no-any-return]


def content(service: OssService, bucket: str, key: str, version_id: str | None = None) -> bytes:
    view = service.admin.object(bucket, key, version_id=version_id)
    assert view is not None
    body = view.read()
    assert len(body) == view.size
    if view.type == "Normal":
        assert view.etag.strip('"') == hashlib.md5(body).hexdigest().upper()
    return body


def comparable(slice: Slice) -> object:
    uploads = sorted((label.split()[0], sorted(parts.items())) for label, parts in slice.uploads.items())
    versions = {key: entries for key, entries in slice.ver.items() if entries}
    return slice.plain, versions, uploads, slice.configs


@contextmanager
def fork_server() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def prepare(root: Path, names: tuple[str, ...]) -> None:
    service = OssService(clock=AdjustableClock(), rng=random.Random(1))
    with DataDirectory(root) as directory:
        directory.attach(service)
        service.admin.create_bucket("plain")
        service.admin.create_bucket("ver", versioning="Enabled")
        for name in names:
            service.admin.create_bucket(name)


@pytest.mark.filterwarnings("ignore:unclosed")
def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_there(tmp_path: Path) -> None:
    root, names = tmp_path / "data", ("one", "two")
    prepare(root, names)
    rng = random.Random(20240903)
    known = {name: Slice() for name in names}
    acknowledged = undecided = 0
    with fork_server() as servers:
        assert servers.stdin is not None
        assert servers.stdout is not None
        for number in range(ROUNDS):
            servers.stdin.write(f"{root}\n")
            facts = json.loads(servers.stdout.readline())
            port = int(facts["endpoint"].rpartition(":")[2])
            clients = [Client(port, name, random.Random(rng.getrandbits(64)), known[name]) for name in names]
            for client in clients:
                client.start()
            wait_for(clients, rng.randrange(2 * AVERAGE + 1))
            os.kill(facts["pid"], signal.SIGKILL)
            assert servers.stdout.readline() == "dead\n"
            for client in clients:
                client.join()
                assert client.failure is None, client.failure
            service = OssService(clock=AdjustableClock(), rng=random.Random(number))
            with DataDirectory(root) as directory:
                directory.attach(service)
                for client in clients:
                    found = seen(service, client.name)
                    before, after = client.known, copy.deepcopy(client.known)
                    if client.pending is not None:
                        client.pending(after)
                        undecided += 1
                    assert comparable(found) in (comparable(before), comparable(after)), f"round {number}"
                    done = comparable(found) == comparable(after)
                    known[client.name] = after if done else before
                    acknowledged += client.acknowledged
                forget(service, known)
            files = sum(1 for path in (root / "blobs").glob("*/*"))
            assert files <= len(service.store.buckets) + 2 * sum(1 for _ in all_contents(service)) + 8
    assert acknowledged > AVERAGE // 2 * ROUNDS
    assert undecided > ROUNDS // 2


def wait_for(clients: Sequence[Client], acknowledged: int) -> None:
    """Until so many requests have been acknowledged: how fast the machine is, is none of the test's business."""
    deadline = time.monotonic() + 30
    while sum(client.acknowledged for client in clients) < acknowledged:
        assert time.monotonic() < deadline, "the server answers nobody"
        time.sleep(0.0005)


def all_contents(service: OssService) -> Iterator[object]:
    for bucket in service.store.buckets.values():
        yield from bucket.objects.values()
        yield from bucket.noncurrent
        for upload in bucket.uploads.values():
            yield from upload.parts.values()
