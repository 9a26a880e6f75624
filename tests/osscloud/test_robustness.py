"""What a broken or hostile client gets: an OSS error or a closed connection, and the server stays as it was.

`Exchange` sends raw bytes over a socket; `leaks` compares file descriptors, threads and open connections before and
after. Timeouts are shortened by `Limits`, never slept through.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import random
import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from hmac import digest as hmac_digest

import pytest

from osscloud.clock import WallClock
from osscloud.http_connection import Limits
from osscloud.http_server import HttpServer
from osscloud.message import Request
from osscloud.service import OssService

KEY_ID, SECRET = "LTAI5tRobust", "a-secret"
HASTY = Limits(
    head_bytes=8 * 1024, head_lines=60, head_seconds=0.3, stall_seconds=0.3, idle_seconds=0.6, sweep_seconds=0.05
)


@pytest.fixture
def service() -> OssService:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.create_key(id=KEY_ID, secret=SECRET)
    service.admin.create_bucket("open", acl="public-read-write")
    service.admin.create_bucket("closed")
    return service


@pytest.fixture
def server(service: OssService, caplog: pytest.LogCaptureFixture) -> Iterator[HttpServer]:
    """The server; whatever a test does, nothing may be logged as a mistake."""
    with caplog.at_level(logging.WARNING), HttpServer(service) as running:
        yield running
    assert caplog.records == []


@pytest.fixture
def hasty(service: OssService, caplog: pytest.LogCaptureFixture) -> Iterator[HttpServer]:
    """The same with little patience."""
    with caplog.at_level(logging.WARNING), HttpServer(service, limits=HASTY) as running:
        yield running
    assert caplog.records == []


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    """Until the server closes; a reset ends what was received as well."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def say(server: HttpServer, data: bytes) -> bytes:
    """What the server answers before it closes; the client says no more after `data`."""
    with connect(server) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def head(method: str, target: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode("latin-1")


def status_of(answer: bytes) -> int:
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert match, answer[:200]
    return int(match[1])


def code_of(answer: bytes) -> str:
    match = re.search(rb"<Code>([A-Za-z0-9]+)</Code>", answer)
    return match[1].decode() if match else ""


def signed(method: str, target: str, resource: str, body: bytes = b"", *lines: str) -> bytes:
    """A request signed with V1."""
    date = formatdate(usegmt=True)
    text = f"{method}\n\n\n{date}\n{resource}".encode()
    signature = b64encode(hmac_digest(SECRET.encode(), text, "sha1")).decode()
    return (
        head(
            method,
            target,
            f"Date: {date}",
            f"Content-Length: {len(body)}",
            f"Authorization: OSS {KEY_ID}:{signature}",
            "Connection: close",
            *lines,
        )
        + body
    )


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def leaks(server: HttpServer) -> Iterator[None]:
    """Fails when connections, threads or file descriptors stay behind."""
    say(server, head("GET", "/", "Connection: close"))
    gc.collect()
    threads, files = threading.active_count(), open_files()
    yield
    deadline = time.monotonic() + 10
    while open_connections(server) or open_files() > files:
        assert time.monotonic() < deadline, (open_connections(server), files, open_files())
        time.sleep(0.01)
    # Worker threads of the server start when first needed, and stay: at most 4 and 32.
    assert threading.active_count() <= threads + 4


def open_connections(server: HttpServer) -> int:
    context = server._context
    assert context is not None
    return len(context.connections)


def still_serves(server: HttpServer) -> None:
    assert status_of(say(server, signed("GET", "/", "/"))) == 200


MALFORMED = {
    "no http": b"hello\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 20,
    "bad version": b"GET / HTTP/9.9\r\n\r\n",
    "two lengths": head("PUT", "/open/k", "Content-Length: 3", "Content-Length: 4") + b"abcd",
    "length and chunked": head("PUT", "/open/k", "Content-Length: 3", "Transfer-Encoding: chunked") + b"abc",
    "negative length": head("PUT", "/open/k", "Content-Length: -1"),
    "length of words": head("PUT", "/open/k", "Content-Length: many"),
    "length beyond all": head("PUT", "/open/k", "Content-Length: 99999999999999999999999"),
    "header without colon": head("GET", "/open/k", "no colon"),
    "blank in name": head("GET", "/open/k", "Bad Name: x"),
    "null in value": head("GET", "/open/k", "X: a\0b"),
    "bare line feed in value": b"GET /open/k HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    "bad chunk size": head("PUT", "/open/k", "Transfer-Encoding: chunked") + b"xyz\r\nabc\r\n0\r\n\r\n",
    "huge chunk size": head("PUT", "/open/k", "Transfer-Encoding: chunked") + b"f" * 17 + b"\r\nabc",
    "unknown transfer coding": head("PUT", "/open/k", "Transfer-Encoding: rot13") + b"abc",
    "unknown method": head("FROBNICATE", "/open/k"),
    "method in lower case": head("get", "/open/k"),
    "spaces only": b"   \r\n\r\n",
    "nulls": bytes(1000),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_http_is_refused_in_oss_s_words(server: HttpServer, service: OssService, data: bytes) -> None:
    with leaks(server):
        answer = say(server, data)
        if answer:
            assert status_of(answer) == 400
            assert code_of(answer) in ("InvalidRequest", "InvalidURI", "EntityTooLarge")
            assert b"\r\nConnection: close\r\n" in answer
        assert service.admin.keys("open") == []
    still_serves(server)


def test_a_head_without_end_is_cut(hasty: HttpServer) -> None:
    endless: list[Callable[[], bytes]] = [
        lambda: b"GET /" + b"a" * 20_000,
        lambda: head("GET", "/open/k", "X: " + "a" * 20_000),
        lambda: head("GET", "/open/k", *["X: a"] * 100),
        lambda: b"GET /open/k HTTP/1.1\r\nX: " + b"a" * 20_000,
    ]
    with leaks(hasty):
        for make in endless:
            answer = say(hasty, make())
            assert (status_of(answer), code_of(answer)) == (400, "InvalidArgument")
    still_serves(hasty)


def test_endless_lines_in_a_body_are_cut(hasty: HttpServer) -> None:
    start = head("PUT", "/open/k", "Transfer-Encoding: chunked")
    with leaks(hasty):
        for more in (b"3;" + b"x" * 50_000, b"0\r\n" + b"X: " + b"y" * 50_000):
            with connect(hasty) as connection:
                connection.sendall(start)
                for at in range(0, len(more), 4000):
                    try:
                        connection.sendall(more[at : at + 4000])
                    except (BrokenPipeError, ConnectionResetError):
                        break
                    time.sleep(0.001)
                answer = read_all(connection)
            assert not answer or code_of(answer) == "InvalidArgument"


def test_a_slow_head_ends_after_its_time_however_it_trickles(hasty: HttpServer, service: OssService) -> None:
    with leaks(hasty), connect(hasty) as connection:
        began = time.monotonic()
        answer = b""
        for byte in b"GET /open/k HTTP/1.1\r\nHost: h\r\n" * 50:
            try:
                connection.sendall(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                break
            connection.settimeout(0.02)
            try:
                answer = connection.recv(4096)
                break
            except TimeoutError:
                continue
            except ConnectionResetError:
                break
        assert 0.2 < time.monotonic() - began < 5
        assert not answer or code_of(answer) == "RequestTimeout"
    still_serves(hasty)


def test_a_body_that_stops_ends_in_request_timeout(hasty: HttpServer, service: OssService) -> None:
    with leaks(hasty), connect(hasty) as connection:
        connection.sendall(head("PUT", "/open/k", "Content-Length: 10") + b"abc")
        answer = read_all(connection)
        assert (status_of(answer), code_of(answer)) == (400, "RequestTimeout")
    assert service.admin.keys("open") == []


def test_a_slow_body_that_goes_on_is_waited_for(hasty: HttpServer, service: OssService) -> None:
    with connect(hasty) as connection:
        connection.sendall(head("PUT", "/open/k", "Content-Length: 10"))
        for _ in range(10):
            time.sleep(0.08)
            connection.sendall(b"x")
        assert status_of(connection.recv(4096)) == 200
    view = service.admin.object("open", "k")
    assert view is not None
    assert view.size == 10


def test_idle_connections_end(hasty: HttpServer) -> None:
    with leaks(hasty), connect(hasty) as silent, connect(hasty) as used:
        used.sendall(head("GET", "/"))
        assert status_of(used.recv(4096)) == 403
        assert silent.recv(1) == b""
        assert used.recv(1) == b""


def test_an_answer_that_nobody_reads_is_given_up(hasty: HttpServer, service: OssService) -> None:
    service.admin.put("open", "big", b"x" * (32 << 20))
    with leaks(hasty), connect(hasty) as connection:
        connection.sendall(head("GET", "/open/big") * 20)
        assert connection.recv(1) == b"H"  # the server has begun to answer
        deadline = time.monotonic() + 10
        while open_connections(hasty):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_body_that_ends_early_is_incomplete(server: HttpServer, service: OssService) -> None:
    with leaks(server):
        answer = say(server, head("PUT", "/open/k", "Content-Length: 10") + b"abc")
        assert (status_of(answer), code_of(answer)) == (400, "IncompleteBody")
        answer = say(server, head("PUT", "/open/k", "Transfer-Encoding: chunked") + b"5\r\nabc")
        assert (status_of(answer), code_of(answer)) == (400, "IncompleteBody")
    assert service.admin.keys("open") == []


def test_bytes_beyond_the_length_are_no_part_of_the_body(server: HttpServer, service: OssService) -> None:
    answer = say(server, head("PUT", "/open/k", "Content-Length: 3") + b"abcdef")
    assert status_of(answer) == 200
    view = service.admin.object("open", "k")
    assert view is not None
    assert view.read() == b"abc"


def test_a_client_that_closed_its_half_gets_what_it_asked_for(server: HttpServer, service: OssService) -> None:
    big = os.urandom(1 << 20)
    put = head("PUT", "/open/big", f"Content-Length: {len(big)}") + big
    answer = say(server, put + head("GET", "/open/big") + head("HEAD", "/open/big"))
    statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3})", answer.replace(big, b""))]
    assert statuses == [200, 200, 200]
    assert big in answer


def test_pipelined_requests_are_answered_in_their_order(server: HttpServer, service: OssService) -> None:
    count = 500
    bodies = [b"y" * (300_000 if n % 50 == 0 else n % 7) for n in range(count)]
    puts = b"".join(head("PUT", f"/open/k{n}", f"Content-Length: {len(body)}") + body for n, body in enumerate(bodies))
    gets = b"".join(head("GET", f"/open/k{n}", "Range: bytes=0-0" if n % 7 else "X: y") for n in range(count))
    with leaks(server):
        with connect(server) as connection:
            data = puts + gets + head("GET", "/", "Connection: close")
            sender = threading.Thread(target=connection.sendall, args=(data,))
            sender.start()
            answer = read_all(connection)
            sender.join(10)
        tags = re.findall(rb"HTTP/1\.1 (\d+) .*?\r\n\r\n", answer, re.DOTALL)
        assert len(tags) == 2 * count + 1
        assert [tag for tag in tags[:-1] if tag not in (b"200", b"206")] == []
        lengths = re.findall(rb"ETag: \"([0-9A-F]{32})\"", answer)
        sent = [hashlib.md5(body).hexdigest().upper().encode() for body in bodies]
        assert lengths == sent * 2


def test_expectations_are_met_before_the_body_is_sent(server: HttpServer, service: OssService) -> None:
    with connect(server) as connection:
        connection.sendall(head("PUT", "/open/k", "Content-Length: 3", "Expect: 100-Continue"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert status_of(connection.recv(4096)) == 200
        # One that comes with its body, one behind a request that takes a while, one that is not known.
        big = b"z" * 1_000_000
        connection.sendall(head("PUT", "/open/k", "Content-Length: 3", "Expect: 100-continue") + b"abc")
        assert status_of(connection.recv(4096)) == 200
        connection.sendall(
            head("PUT", "/open/b", f"Content-Length: {len(big)}")
            + big
            + head("PUT", "/open/c", "Content-Length: 1", "Expect: 100-continue")
        )
        received = b""
        while b"100 Continue" not in received:
            received += connection.recv(4096)
        assert status_of(received) == 200
        assert received.endswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"c")
        assert status_of(connection.recv(4096)) == 200
        connection.sendall(head("GET", "/open/c", "Expect: miracles", "Connection: close"))
        assert read_all(connection).endswith(b"c")


def test_an_offered_upgrade_is_not_taken(server: HttpServer) -> None:
    answer = say(server, head("GET", "/open/", "Connection: Upgrade", "Upgrade: h2c") + b"PRI * HTTP/2.0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status_of(answer) in (200, 403, 404)


BAD_TARGETS = [
    "*",
    "example.com:443",
    "/open/%",
    "/open/%zz",
    "/open/%ff%fe",
    "/open/%00",
    "/open/k?%",
    "/open/k?versionId=%ff",
    "/open/k?versionId",
    "/open/k?versionId=",
    "/open/?max-keys=-1",
    "/open/?max-keys=99999999999999999999",
    "/open/?max-keys=1e3",
    "/open/?max-keys=%D9%A1",
    "/open/?list-type=2&continuation-token=%00",
    "/open/?list-type=2&continuation-token=AAAA",
    "/open/?encoding-type=utf-7",
    "/open/?versions&version-id-marker=x",
    "/open/?uploads&max-uploads=0",
    "/open/?prefix=" + "%ff" * 10,
    "/open/?prefix=" + "a" * 1025,
    "/open/?marker=%ed%a0%80",
    "/open/k?partNumber=1",
    "/open/k?uploadId=x&partNumber=0",
    "/open/k?append",
    "/open/k?append&position=-1",
    "/open/k?x-oss-process=image/resize",
    "/open/k?response-content-type=a%0d%0aX:%20b",
    "/UPPER/k",
    "/-bucket/k",
    "/a/k",
    "/" + "b" * 64 + "/k",
    "/..%2fopen/k",
    "//",
    "//open/k",
    "/open//",
    "/open/" + "k" * 1024,
    "/open/" + "%e6%96%87" * 342,
    "/open/%5ck",
    "/open/k?" + "&".join(f"p{n}" for n in range(2000)),
    "/open/k?acl&tagging&symlink&uploads&restore",
    "http://127.0.0.1/open/k",
    "http://",
    "?",
    "/open/k#fragment",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"])
def test_strange_targets_are_answered_by_every_method(server: HttpServer, method: str) -> None:
    with leaks(server):
        for target in BAD_TARGETS:
            answer = say(server, head(method, target, "Content-Length: 0", "Connection: close"))
            if answer:
                status = status_of(answer)
                assert status < 500 or (status == 501 and code_of(answer) in ("", "NotImplemented")), (target, answer)
                if status >= 400 and method != "HEAD":
                    assert code_of(answer), (target, answer)
    still_serves(server)


@pytest.mark.parametrize(
    "value",
    [
        "bytes=-",
        "bytes=--1",
        "bytes=-0",
        "bytes=5-2",
        "bytes=0-99999999999999999999",
        "bytes=-99999999999999999999",
        "bytes=10-",
        "bytes=0-0,2-3",
        "bytes=a-b",
        "bytes=",
        "lines=0-1",
        "bytes=\xb2-\xb3",
        "bytes=0-0" + ",0-0" * 2000,
    ],
)
@pytest.mark.parametrize("behaviour", ["", "standard", "strange"])
def test_strange_ranges_give_all_or_a_part_or_416(
    server: HttpServer, service: OssService, value: str, behaviour: str
) -> None:
    service.admin.put("open", "k", b"0123456789")
    lines = [f"x-oss-range-behavior: {behaviour}"] if behaviour else []
    answer = say(server, head("GET", "/open/k", f"Range: {value}", "Connection: close", *lines))
    status = status_of(answer)
    assert status in (200, 206, 416)
    assert behaviour == "standard" or status != 416
    if status == 200:
        assert answer.endswith(b"\r\n\r\n0123456789")


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">'
    + b"".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">'.encode() for n in range(9))
    + b"]><Delete><Object><Key>&j;</Key></Object></Delete>"
)
BAD_XML = {
    "empty": b"",
    "no xml": b"hello",
    "cut": b"<Delete><Object><Key>a</Key>",
    "bomb": BOMB,
    "external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>',
    "parameter entity": b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x"> %p;]><Delete/>',
    "doctype": b"<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
    "other root": b"<Erase><Object><Key>a</Key></Object></Erase>",
    "deep": b"<Delete>" * 100_000,
    "deep and closed": b"<a>" * 50_000 + b"</a>" * 50_000,
    "wide": b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>",
    "no key": b"<Delete><Object/></Delete>",
    "nulls": b"<Delete>\0\0</Delete>",
    "utf-16 without words": b"\xff\xfe<\0D\0",
    "utf-7": b'<?xml version="1.0" encoding="utf-7"?><Delete>+ADw-</Delete>',
    "unknown encoding": b'<?xml version="1.0" encoding="klingon"?><Delete/>',
    "many attributes": b"<Delete " + b" ".join(b"a%d='1'" % n for n in range(20_000)) + b"/>",
    "key over the limit": b"<Delete><Object><Key>" + b"k" * 1024 + b"</Key></Object></Delete>",
    "huge": b"<Delete>" + b" " * (3 << 20) + b"</Delete>",
}
BODIED = [
    ("POST", "/open/?delete"),
    ("PUT", "/open/?versioning"),
    ("PUT", "/open/?website"),
    ("PUT", "/open/?lifecycle"),
    ("PUT", "/open/?cors"),
    ("PUT", "/open/?tagging"),
    ("PUT", "/open/?policy"),
    ("PUT", "/open/k?tagging"),
    ("POST", "/open/k?uploadId=0123456789ABCDEF0123456789ABCDEF"),
    ("POST", "/open/k?restore"),
    ("PUT", "/brand-new-bucket"),
]


@pytest.mark.parametrize("body", BAD_XML.values(), ids=BAD_XML.keys())
def test_bad_documents_are_refused_at_once_by_everything_that_reads_one(
    server: HttpServer, service: OssService, body: bytes
) -> None:
    with leaks(server):
        for method, target in BODIED:
            resource = target
            if target == "/brand-new-bucket":
                if not body:
                    continue
                resource += "/"
            began = time.monotonic()
            answer = say(server, signed(method, target, resource, body))
            assert time.monotonic() - began < 5
            assert 400 <= status_of(answer) < 500, (method, target, answer)
            assert code_of(answer)
            assert b"root:" not in answer


def test_a_wrong_digest_stores_nothing(server: HttpServer, service: OssService) -> None:
    for line in ("Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==", "Content-MD5: no base64 at all", "x-oss-hash-crc64ecma: 7"):
        answer = say(server, head("PUT", "/open/k", "Content-Length: 3", line, "Connection: close") + b"abc")
        assert status_of(answer) == 400
        assert code_of(answer) in ("InvalidDigest", "InvalidCRC64")
    assert service.admin.keys("open") == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "OSS",
        "OSS ",
        "OSS :",
        "OSS a:b:c",
        "OSS \xff:\xff",
        f"OSS {KEY_ID}:\xff\xfe",
        "OSS4-HMAC-SHA256",
        "OSS4-HMAC-SHA256 ",
        "OSS4-HMAC-SHA256 Credential=,Signature=",
        "OSS4-HMAC-SHA256 Credential=////,Signature=x",
        f"OSS4-HMAC-SHA256 Credential={KEY_ID}/20240101/cn-hangzhou/oss/aliyun_v4_request,Signature=\xe9",
        f"OSS4-HMAC-SHA256 Credential={KEY_ID}/99999999/r/oss/aliyun_v4_request,Signature=0,AdditionalHeaders=;;",
        "AWS",
        "AWS :",
        "AWS a:\xff",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=,Signature=",
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20240101/r/s3/aws4_request,SignedHeaders=h\xf6st;;,Signature=\xff",
        "Basic dXNlcjpwYXNz",
        "Bearer " + "a" * 5000,
        "\xf0\x9f\x92\xa3",
    ],
)
def test_strange_authorisations_are_refused(server: HttpServer, value: str) -> None:
    for dates in (
        ["Date: nonsense"],
        [f"Date: {formatdate(usegmt=True)}"],
        ["x-oss-date: 20240101T000000Z", "x-oss-content-sha256: \xff"],
        ["x-amz-date: 99999999T999999Z", "x-amz-content-sha256: \xff"],
        ["x-oss-date: \xff", "x-amz-date: \xff"],
    ):
        answer = say(server, head("GET", "/closed/k", f"Authorization: {value}", "Connection: close", *dates))
        assert status_of(answer) in (400, 403)
        assert code_of(answer)


def test_form_and_header_values_of_any_bytes_are_answered(server: HttpServer) -> None:
    rng = random.Random(7)
    names = [
        "x-oss-acl",
        "x-oss-object-acl",
        "x-oss-storage-class",
        "x-oss-tagging",
        "x-oss-copy-source",
        "x-oss-copy-source-range",
        "x-oss-forbid-overwrite",
        "x-oss-symlink-target",
        "x-oss-metadata-directive",
        "x-oss-server-side-encryption",
        "x-oss-meta-a",
        "If-Modified-Since",
        "If-Match",
        "Content-MD5",
        "Content-Type",
        "Range",
        "Expires",
        "Origin",
        "Referer",
        "Host",
    ]
    values = [
        "",
        "\xff\xfe",
        "%",
        "%ff",
        "/",
        "//",
        "/open",
        "/open/",
        "/open/k?versionId=",
        "a" * 3000,
        "bytes=0-",
        "\xa0",
        "=&=&;",
    ]
    with leaks(server):
        for name in names:
            for value in values:
                method = rng.choice(["GET", "PUT", "HEAD", "POST", "DELETE"])
                answer = say(
                    server, head(method, "/open/k", f"{name}: {value}", "Content-Length: 0", "Connection: close")
                )
                assert status_of(answer) < 500 or status_of(answer) == 501, (method, name, value, answer)
    still_serves(server)


def test_stopping_ends_every_kind_of_connection(service: OssService, caplog: pytest.LogCaptureFixture) -> None:
    service.admin.put("open", "big", b"x" * (16 << 20))
    gc.collect()
    threads, files = threading.active_count(), open_files()
    server = HttpServer(service)
    server.start()
    connections = [connect(server) for _ in range(5)]
    connections[1].sendall(b"GET /open/k HT")
    connections[2].sendall(head("PUT", "/open/k", "Content-Length: 100") + b"abc")
    connections[3].sendall(head("GET", "/open/big") * 4)
    connections[4].sendall(head("GET", "/open/k"))
    connections[4].recv(100)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5
    for connection in connections:
        read_all(connection)
        connection.close()
    assert (threading.active_count(), open_files()) == (threads, files)
    assert caplog.records == []


def test_a_thousand_connections_come_and_go(server: HttpServer) -> None:
    with leaks(server):
        for _ in range(5):
            batch = [connect(server) for _ in range(200)]
            for number, connection in enumerate(batch):
                connection.sendall(head("GET", f"/open/{number}")[: -(number % 3) or None])
            for connection in batch:
                connection.close()
    still_serves(server)


def test_what_is_no_mistake_of_a_client_is_logged_and_answered(
    service: OssService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: Request) -> None:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr(service, "begin", fail)
    monkeypatch.setattr(service, "handle", fail)
    with caplog.at_level(logging.ERROR), HttpServer(service) as server:
        assert status_of(say(server, head("GET", "/open/k"))) == 500
        assert status_of(say(server, head("PUT", "/open/k", "Content-Length: 300000") + b"x" * 300_000)) == 500
    assert [record.message for record in caplog.records] == [
        "GET /open/k could not be answered",
        "PUT /open/k could not be answered",
    ]
