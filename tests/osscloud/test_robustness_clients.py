"""64 clients at once on the same few keys: nothing acknowledged is lost, and what is read fits one order of the writes.

`OSSVOL_SOAK_SECONDS` sets how long they go on (2 by default, 60 for a soak).
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import md5

import pytest

from osscloud.admin import VersionView
from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService

CLIENTS = 64
KEYS = [f"contended/{n}" for n in range(6)]
SECONDS = float(os.environ.get("OSSVOL_SOAK_SECONDS", "2"))


@dataclass(frozen=True, slots=True)
class Operation:
    """One exchange as its client saw it. began, ended: before the first byte was sent, after the last was received.
    status: of the answer. version: id in the answer. body: what was written or read."""

    kind: str
    key: str
    began: float
    ended: float
    status: int
    version: str
    etag: str
    body: bytes


class Greatest:
    """Of values that come at moments, the greatest that came before one; -1 when none did."""

    def __init__(self, values: Iterable[tuple[float, float]]) -> None:
        self.moments: list[float] = []
        self.greatest: list[float] = []
        for moment, value in sorted(values):
            self.moments.append(moment)
            self.greatest.append(max(value, self.greatest[-1] if self.greatest else -1.0))

    def before(self, moment: float) -> float:
        place = bisect_left(self.moments, moment)
        return self.greatest[place - 1] if place else -1.0


class Anomaly(AssertionError):
    """The history fits no order of its writes."""


def check_versioned(history: list[Operation], versions: list[VersionView]) -> None:
    """Raises Anomaly unless the history of one key is linearizable with its writes in the order of its versions.

    versions: all that the key has at the end, newest first. A register whose writes have a known order is linearizable
    when the order keeps that of writes which did not overlap, and no read returns a write that had not begun when the
    read ended, or one that another write had replaced before the read began."""
    order = {view.version_id: place for place, view in enumerate(reversed(versions))}
    writes = [op for op in history if op.kind != "get"]
    if len(order) != len(versions) or sorted(op.version for op in writes) != sorted(order):
        raise Anomaly("versions are not those that were acknowledged")
    for op, view in ((op, versions[-1 - order[op.version]]) for op in writes):
        if view.delete_marker != (op.kind == "delete") or (op.kind == "put" and view.etag != op.etag):
            raise Anomaly(f"{view} is not what {op} wrote")
    by_id = {op.version: op for op in writes}
    settled = Greatest((op.ended, order[op.version]) for op in writes)
    for op in writes:
        if settled.before(op.began) > order[op.version]:
            raise Anomaly(f"{op} began after a write that came above it had ended")
    for op in (op for op in history if op.kind == "get"):
        place = -1
        if op.version:
            if op.version not in by_id:
                raise Anomaly(f"{op} read what nobody wrote")
            source = by_id[op.version]
            place = order[op.version]
            if source.began > op.ended:
                raise Anomaly(f"{op} read what was not yet written")
            if (op.status == 404) != (source.kind == "delete") or (op.status == 200 and op.body != source.body):
                raise Anomaly(f"{op} read other content than {source} wrote")
        if settled.before(op.began) > place:
            raise Anomaly(f"{op} read what had been replaced")


def check_unversioned(history: list[Operation]) -> None:
    """Raises Anomaly when a read of one key returns something torn, or something that had been replaced before it."""
    puts = {op.body: op for op in history if op.kind == "put"}
    latest = Greatest((op.ended, op.began) for op in history if op.kind != "get")
    latest_put = Greatest((op.ended, op.began) for op in puts.values())
    gone = Greatest((op.began, op.ended) for op in history if op.kind == "delete")
    for op in (op for op in history if op.kind == "get"):
        if op.status == 404:
            if latest_put.before(op.began) > gone.before(op.ended):
                raise Anomaly(f"{op} missed what had been written")
            continue
        if op.body not in puts:
            raise Anomaly(f"{op} read what nobody wrote")
        if latest.before(op.began) > puts[op.body].ended:
            raise Anomaly(f"{op} read what had been replaced")


async def client(port: int, number: int, deadline: float, history: list[Operation]) -> None:
    rng = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.perf_counter() < deadline:
        bucket = rng.choice(["versioned", "versioned", "plain"])
        key = rng.choice(KEYS)
        kind = rng.choices(["put", "get", "delete"], [5, 6, 1])[0]
        body = b""
        if kind == "put":
            body = f"{number}/{count}/".encode() * rng.choice([1, 3, 500, 60_000 if count % 40 == 0 else 10])
            count += 1
        method = {"put": "PUT", "get": "GET", "delete": "DELETE"}[kind]
        head = f"{method} /{bucket}/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"Content-Length: (\d+)", answer)
        received = await reader.readexactly(int(length[1])) if length else b""
        ended = time.perf_counter()
        status = int(answer[9:12])
        found = re.search(r"x-oss-version-id: (\S+)", answer)
        etag = re.search(r'ETag: ("[0-9A-F]+")', answer)
        assert status in {"put": {200}, "get": {200, 404}, "delete": {204}}[kind], answer
        if status == 200:
            content = body if kind == "put" else received
            assert etag is not None
            assert etag[1] == f'"{md5(content).hexdigest().upper()}"'
        history.append(
            Operation(
                kind,
                f"{bucket}/{key}",
                began,
                ended,
                status,
                found[1] if found else "",
                etag[1] if etag else "",
                body if kind != "get" else received,
            )
        )
    writer.close()
    await writer.wait_closed()


def test_clients_at_once_lose_nothing_and_see_one_order() -> None:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.admin.create_bucket("versioned", versioning="Enabled", acl="public-read-write")
    service.admin.create_bucket("plain", acl="public-read-write")
    history: list[Operation] = []

    async def run(port: int) -> None:
        deadline = time.perf_counter() + SECONDS
        await asyncio.gather(*(client(port, number, deadline, history) for number in range(CLIENTS)))

    with HttpServer(service) as server:
        asyncio.run(run(server.port))
    assert len(history) > CLIENTS
    for key in KEYS:
        of_key = [op for op in history if op.key == f"versioned/{key}"]
        check_versioned(of_key, [view for view in service.admin.versions("versioned", key) if view.key == key])
        check_unversioned([op for op in history if op.key == f"plain/{key}"])


def operation(kind: str, began: float, ended: float, version: str = "", body: bytes = b"") -> Operation:
    status = {"put": 200, "delete": 204, "get": 200 if body else 404}[kind]
    return Operation(kind, "b/k", began, ended, status, version, f'"{body.hex()}"', body)


def view_of(op: Operation) -> VersionView:
    marker = op.kind == "delete"
    etag = "" if marker else op.etag
    return VersionView("k", op.version, marker, False, len(op.body), etag, "DeleteMarker" if marker else "Normal", 0)


A = operation("put", 0, 1, "a", b"A")
B = operation("put", 2, 3, "b", b"B")
D = operation("delete", 4, 5, "d")


@pytest.mark.parametrize(
    ("versions", "reads"),
    [
        ([A, B], []),  # the order of writes that did not overlap is turned round
        ([B], []),  # lost
        ([B, A, operation("put", 6, 7, "c", b"C")], []),  # made up
        ([D, B, A], [operation("get", 6, 7, "b", b"B")]),  # stale: a delete had ended
        ([D, B, A], [operation("get", 3.5, 3.6, "a", b"A")]),  # stale
        ([D, B, A], [operation("get", 0.5, 1.5, "b", b"B")]),  # from the future
        ([D, B, A], [operation("get", 3.5, 3.6, "b", b"A")]),  # other content
        ([D, B, A], [operation("get", 3.5, 3.6, "x", b"X")]),  # out of thin air
        ([D, B, A], [operation("get", 1.5, 1.6)]),  # missed
    ],
)
def test_the_checker_finds_what_is_wrong(versions: list[Operation], reads: list[Operation]) -> None:
    writes = [A, B, D] if D in versions else [A, B]
    check_versioned(writes, [view_of(op) for op in reversed(writes)])
    with pytest.raises(Anomaly):
        check_versioned([*writes, *reads], [view_of(op) for op in versions])


@pytest.mark.parametrize(
    "history",
    [
        [A, B, operation("get", 3.5, 3.6, "", b"A")],
        [A, B, operation("get", 3.5, 3.6, "", b"AB")],
        [A, B, D, operation("get", 6, 7, "", b"B")],
        [A, operation("get", 1.5, 1.6)],
        [A, D, operation("put", 6, 7, "", b"C"), operation("get", 8, 9)],
    ],
)
def test_the_checker_of_plain_buckets_finds_what_is_wrong(history: list[Operation]) -> None:
    with pytest.raises(Anomaly):
        check_unversioned(history)
    check_unversioned([A, operation("get", 0.5, 0.6), operation("get", 1.5, 1.6, "", b"A"), D, operation("get", 6, 7)])
