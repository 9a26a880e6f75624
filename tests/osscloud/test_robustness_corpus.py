"""Requests that Hypothesis makes up, in the process and on a socket: an answer of OSS or none, never a mistake.

In the process a request is taken apart by the same connection as on a socket, over a transport that keeps what is
written to it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from osscloud.clock import VirtualClock
from osscloud.http_connection import Connection, Context, Limits
from osscloud.http_server import HttpServer
from osscloud.service import OssService

METHODS = ["GET", "PUT", "HEAD", "POST", "DELETE", "OPTIONS", "PATCH", "get", "", "\xff"]
PARAMETERS = [
    "acl",
    "append",
    "bucketInfo",
    "cors",
    "delete",
    "encoding-type=url",
    "encryption",
    "inventory",
    "key-marker=a",
    "lifecycle",
    "list-type=2",
    "live",
    "location",
    "logging",
    "max-keys=1",
    "objectMeta",
    "partNumber=1",
    "policy",
    "position=0",
    "referer",
    "restore",
    "stat",
    "start-after=%ff",
    "symlink",
    "tagging",
    "uploadId=A",
    "uploads",
    "versionId=null",
    "versioning",
    "versions",
    "website",
    "x-oss-process=x",
    "X-Amz-Signature=1",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256",
    "AWSAccessKeyId=a",
    "OSSAccessKeyId=a",
    "Signature=a",
    "Expires=1",
    "security-token=x",
    "x-oss-signature-version=OSS4-HMAC-SHA256",
    "x-oss-credential=a/20240903/cn-hangzhou/oss/aliyun_v4_request",
    "x-oss-date=20240903T000000Z",
    "x-oss-expires=1",
    "x-oss-signature=a",
    "comp",
    "prefix=%00",
    "delimiter=/",
    "callback",
    "regions",
]
HEADERS = [
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Content-Type",
    "Content-MD5",
    "Content-Encoding",
    "Connection",
    "Expect",
    "Range",
    "Date",
    "Authorization",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Origin",
    "Access-Control-Request-Method",
    "Referer",
    "x-oss-date",
    "x-oss-acl",
    "x-oss-object-acl",
    "x-oss-storage-class",
    "x-oss-tagging",
    "x-oss-meta-a",
    "x-oss-copy-source",
    "x-oss-copy-source-range",
    "x-oss-metadata-directive",
    "x-oss-forbid-overwrite",
    "x-oss-symlink-target",
    "x-oss-callback",
    "x-oss-complete-all",
    "x-oss-range-behavior",
    "x-oss-security-token",
    "x-oss-hash-crc64ecma",
    "x-oss-content-sha256",
    "x-oss-server-side-encryption",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-acl",
    "x-amz-storage-class",
    "ossvol-caller",
    "Upgrade",
    "Accept-Encoding",
    "User-Agent",
]
VALUES = [
    "",
    "open.oss-cn-hangzhou.aliyuncs.com",
    "127.0.0.1",
    "[::1]",
    "a..b",
    "3",
    "-1",
    "0",
    "1" * 30,
    "x" * 2000,
    "chunked",
    "gzip, chunked",
    "close",
    "keep-alive",
    "Upgrade",
    "h2c",
    "100-continue",
    "bytes=0-1",
    "bytes=5-",
    "text/xml",
    "multipart/form-data; boundary=x",
    "OSS",
    "OSS a:b",
    "OSS4-HMAC-SHA256 Credential=a,Signature=b",
    "AWS a:b",
    "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request,SignedHeaders=host,Signature=x",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "UNSIGNED-PAYLOAD",
    "Tue, 03 Sep 2024 00:00:00 GMT",
    "20240903T000000Z",
    "/open/k",
    "/closed/k",
    "%ff",
    "\xff\xfe",
    "public-read",
    "Archive",
    "IA",
    "REPLACE",
    "a=b&c",
    "a;b;1;1;c",
]

latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=20)
paths = st.sampled_from(["/", "/open", "/open/", "/open/k", "/open/dir/", "/closed/k", "/absent-bucket/k", "/-/", "*"])
segments = st.text("abc/.%+~文\x7f 0", max_size=12)
bodies = st.one_of(
    st.sampled_from(
        [
            b"",
            b"abc",
            b"<Delete><Object><Key>k</Key></Object></Delete>",
            b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
            b"<CompleteMultipartUpload/>",
            b"3\r\nabc\r\n0\r\n\r\n",
            b"--x\r\nContent-Disposition: form-data; name=key\r\n\r\nk\r\n--x--\r\n",
        ]
    ),
    st.binary(max_size=60),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Something near to HTTP."""
    query = "&".join(draw(st.lists(st.sampled_from(PARAMETERS), max_size=4)))
    target = draw(paths) + draw(segments) + (f"?{query}" if query else "")
    body = draw(bodies)
    values = st.one_of(st.sampled_from(VALUES), latin)
    lines = draw(st.lists(st.tuples(st.sampled_from(HEADERS), values), max_size=6))
    if draw(st.booleans()):
        lines.append(("Content-Length", str(len(body))))
    if draw(st.integers(0, 3)):
        lines = [(name, value) for name, value in lines if name != "Host"] + [("Host", "127.0.0.1")]
    method = draw(st.sampled_from(METHODS))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n"
    data = head.encode("utf-8", "surrogateescape") if draw(st.booleans()) else head.encode("latin-1", "replace")
    data += body
    if not draw(st.integers(0, 4)):
        # Damage.
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 4)) :]
    return data


conversations = st.lists(requests(), min_size=1, max_size=3).map(b"".join)


def make_service() -> OssService:
    service = OssService(clock=VirtualClock(), rng=random.Random(1))
    service.accounts.create_key(id="a", secret="b")
    service.admin.create_bucket("open", acl="public-read-write")
    service.admin.create_bucket("closed")
    service.admin.put("open", "k", b"0123456789")
    return service


def check(data: bytes, answer: bytes) -> None:
    """Every answer is one of OSS's: known to HTTP, with a request id, an error with a code."""
    for head in re.findall(rb"HTTP/1\.1 (?:.|\n)*?\r\n\r\n", answer):
        status = int(head[9:12])
        if status == 100:
            continue
        assert status < 500 or status == 501, (data, answer)
        assert b"x-oss-request-id: " in head or b"Content-Type: text/json" in head or b"/-/" in data, (data, head)


class Transport(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


async def converse(service: OssService, data: bytes, cuts: list[int]) -> bytes:
    """What the connection writes to bytes that come in these pieces."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as workers, ThreadPoolExecutor(1) as waiters:
        context = Context(service, None, Limits(), loop, workers, waiters, asyncio.Event(), None, False)
        connection, transport = Connection(context), Transport()
        connection.connection_made(transport)
        places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
        for low, high in itertools.pairwise(places):
            if not transport.closed:
                connection.data_received(data[low:high])
        connection.eof_received()
        for _ in range(200):
            if connection._busy is None:
                break
            await asyncio.sleep(0.001)
        connection.connection_lost(None)
        assert context.connections == set()
    return bytes(transport.written)


@settings(max_examples=400, deadline=None)
@given(data=conversations, cuts=st.lists(st.integers(0, 4000), max_size=4))
@example(data=b"GET /open/k HTTP/1.1\r\nHost: h\r\n\r\n", cuts=[])
def test_bytes_in_the_process_are_answered(data: bytes, cuts: list[int]) -> None:
    answer = asyncio.run(converse(make_service(), data, cuts))
    check(data, answer)


@settings(max_examples=150, deadline=None)
@given(data=conversations)
def test_bytes_cut_anywhere_mean_the_same(data: bytes) -> None:
    def plain(answer: bytes) -> bytes:
        return answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")

    whole = asyncio.run(converse(make_service(), data, []))
    single = asyncio.run(converse(make_service(), data, list(range(len(data)))))
    assert plain(whole) == plain(single)


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    with HttpServer(make_service()) as running:
        yield running


@settings(max_examples=200, deadline=None)
@given(data=conversations)
def test_bytes_on_a_socket_are_answered(server: HttpServer, data: bytes) -> None:
    log = logging.getLogger("osscloud")
    mistakes: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = mistakes.append  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while received := connection.recv(65536):
                    answer += received
            except ConnectionResetError:
                pass
    finally:
        log.removeHandler(handler)
    check(data, answer)
    assert mistakes == []
