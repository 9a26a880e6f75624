"""Bytes of clients, as connections take them apart: answers of OSS or a closed connection, in bounded memory."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st
from tests.fuzz.parsers.budget import budget, within
from tests.fuzz.parsers.mutation import TOKENS, damaged, damaged_bytes, mostly, texts
from tests.osscloud.test_robustness_corpus import Transport, check, conversations

from osscloud.addressing import Address, resolve
from osscloud.clock import VirtualClock
from osscloud.errors import OssError
from osscloud.http_connection import Connection, Context, Limits
from osscloud.message import Request
from osscloud.service import OssService, ServiceConfig
from osscloud.signing import v1

SMALL = Limits(head_bytes=4096, head_lines=40, body_bytes=16 * 1024, pipelined=4)

DOCUMENTS = (
    b"",
    b"content",
    b"<Delete><Quiet>true</Quiet><Object><Key>k</Key><VersionId>null</VersionId></Object></Delete>",
    b"<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>",
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>",
    b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    b"<RestoreRequest><Days>3</Days></RestoreRequest>",
    b"<LifecycleConfiguration><Rule><ID>r</ID><Prefix>a</Prefix><Status>Enabled</Status><Expiration><Days>1</Days>"
    b"</Expiration></Rule></LifecycleConfiguration>",
    b"<WebsiteConfiguration><IndexDocument><Suffix>i.html</Suffix></IndexDocument></WebsiteConfiguration>",
    b"<InitiateWormConfiguration><RetentionPeriodInDays>3</RetentionPeriodInDays></InitiateWormConfiguration>",
    b'{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Principal":["*"],"Resource":["acs:oss:*:*:open"]}]}',
    b"<AccessControlPolicy/>",
)
QUERIES = (
    "", "acl", "append&position=0", "cors", "delete", "inventory", "lifecycle", "list-type=2&max-keys=2", "location",
    "logging", "policy", "referer", "restore", "symlink", "tagging", "uploads", "uploadId=A&partNumber=1", "versioning",
    "versions&key-marker=a", "website", "worm", "wormId=A", "bucketInfo", "stat", "objectMeta", "encryption",
    "resourceGroup", "qosInfo", "versionId=null", "response-expires=x&response-content-type=text/plain", "comp=a",
    "policy&comp=callback", "accessmonitor", "cname", "httpsConfig", "requestPayment", "x-oss-process=style/a",
    "transferAcceleration", "publicAccessBlock", "userDefinedLogFieldsConfig", "callback=e30=", "regions",
    "marker=%ff&prefix=%00&delimiter=//&encoding-type=url",
)  # fmt: skip
HEADERS = (
    ("Range", "bytes=0-3"),
    ("Range", "bytes=-1"),
    ("If-Modified-Since", "Tue, 03 Sep 2024 00:00:00 GMT"),
    ("If-Unmodified-Since", "Tue, 03 Sep 2024 00:00:00 GMT"),
    ("If-Match", '"781E5E245D69B566979B86E28D23F2C7"'),
    ("Content-MD5", "eB5eJF1ptWaXm4bijSPyxw=="),
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("Content-Type", "multipart/form-data; boundary=x"),
    ("Origin", "http://a.example"),
    ("Access-Control-Request-Method", "PUT"),
    ("x-oss-copy-source", "/open/k?versionId=null"),
    ("x-oss-copy-source-range", "bytes=0-1"),
    ("x-oss-copy-source-if-modified-since", "Tue, 03 Sep 2024 00:00:00 GMT"),
    ("x-oss-symlink-target", "k%2Fa"),
    ("x-oss-tagging", "a=b&c=%20"),
    ("x-oss-storage-class", "ColdArchive"),
    ("x-oss-object-acl", "private"),
    ("x-oss-meta-a", "b"),
    ("x-oss-hash-crc64ecma", "0"),
    ("x-oss-server-side-encryption", "KMS"),
    ("x-oss-traffic-limit", "819200"),
    ("x-oss-callback", "e30="),
    ("x-oss-forbid-overwrite", "true"),
    ("x-oss-request-payer", "requester"),
    ("Accept-Encoding", "gzip;q=0.5, *;q=0"),
    ("Referer", "http://a.example/"),
    ("ossvol-caller", "mnt;read;1;0;cat"),
    ("x-amz-date", "20240903T000000Z"),
    ("x-amz-copy-source", "open/k"),
)


@st.composite
def signed(draw: st.DrawFn) -> bytes:
    """A request of the bucket's owner, well formed, whatever it asks for."""
    method = draw(st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "OPTIONS"]))
    bucket = draw(st.sampled_from(["open", "closed", "", "new-bucket"]))
    key = draw(mostly(st.sampled_from(["", "k", "dir/", "a b", "dir/文"]), texts)) if bucket else ""
    query = draw(mostly(st.sampled_from(QUERIES), damaged(st.sampled_from(QUERIES)).map(lambda q: quote(q, "=&%"))))
    lines = dict(draw(st.lists(st.sampled_from(HEADERS), max_size=3)))
    if lines and not draw(st.integers(0, 2)):
        name = draw(st.sampled_from(sorted(lines)))
        lines[name] = draw(damaged(st.just(lines[name]))).replace("\r", "").replace("\n", "").replace("\0", "").strip()
    body = draw(damaged_bytes(st.sampled_from(DOCUMENTS), edits=2))[:8000]
    target = quote(f"/{bucket}/{key}" if bucket else "/") + (f"?{query}" if query else "")
    lines |= {"Host": "127.0.0.1", "Date": formatdate(VirtualClock().now(), usegmt=True)}
    # Header values are bytes.
    values = {name: value.encode().decode("latin-1") for name, value in lines.items()}
    plain = {name.lower(): value for name, value in values.items()}
    request = Request(method, target, plain)
    address = resolve(request, ServiceConfig(), {})
    secret = "b"
    values["Authorization"] = f"OSS a:{v1.sign(secret, v1.string_to_sign(request, address, plain['date']))}"
    if draw(st.integers(0, 4)):
        values["Content-Length"] = str(len(body))
        payload = body
    else:
        values["Transfer-Encoding"] = "chunked"
        payload = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in values.items()) + "\r\n"
    return head.encode("latin-1") + payload


streams = st.one_of(
    st.lists(signed(), min_size=1, max_size=3).map(b"".join),
    damaged_bytes(st.lists(signed(), min_size=1, max_size=2).map(b"".join)),
    conversations,
)


class Inline(Executor):
    """Runs what it is given at once."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  handed on to who waits for it
            future.set_exception(error)
        return future


@contextmanager
def no_mistakes() -> Iterator[None]:
    """Fails when the cloud logs a mistake of its own."""
    found: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = found.append  # type: ignore[method-assign]
    log = logging.getLogger("osscloud")
    spread, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = spread
    for record in found:
        if record.exc_info and record.exc_info[1] is not None:
            raise record.exc_info[1]
    assert found == []


def make_service() -> OssService:
    service = OssService(clock=VirtualClock(), rng=random.Random(1))
    key = service.accounts.create_key(id="a", secret="b")
    service.admin.create_bucket("open", acl="public-read-write", owner=key.account)
    service.admin.create_bucket("closed", owner=key.account)
    service.admin.put("open", "k", b"0123456789")
    return service


def held(connection: Connection) -> int:
    """Bytes of a request that has not been taken yet."""
    lines = sum(len(name) + len(value) for name, value in connection._lines)
    return len(connection._target) + lines + sum(map(len, connection._body))


async def converse(service: OssService, data: bytes, cuts: list[int]) -> bytes:
    """What a connection writes to bytes that come in these pieces."""
    loop = asyncio.get_running_loop()
    context = Context(service, None, SMALL, loop, Inline(), Inline(), asyncio.Event(), None, False)
    connection, transport = Connection(context), Transport()
    connection.connection_made(transport)
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    for low, high in itertools.pairwise(places):
        if not transport.closed:
            connection.data_received(data[low:high])
            assert held(connection) <= SMALL.head_bytes + SMALL.body_bytes + high - low
    connection.eof_received()
    while connection._busy is not None:
        await asyncio.wait([connection._busy])
        await asyncio.sleep(0)
    connection.connection_lost(None)
    assert context.connections == set()
    return bytes(transport.written)


@budget(80)
@given(data=streams, cuts=st.lists(st.integers(0, 4000), max_size=3))
@example(data=b"GET /open/k HTTP/1.1\r\nHost: h\r\n\r\n", cuts=[])
def test_bytes_on_a_connection_are_answered_as_oss_does_or_end_it(data: bytes, cuts: list[int]) -> None:
    with no_mistakes(), within():
        answer = asyncio.run(converse(make_service(), data, cuts))
    check(data, answer)


@budget(15)
@given(
    start=st.sampled_from([b"GET /", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nA: ", b"GET /?"]),
    more=st.sampled_from([b"a", b"a=b&", b"A: b\r\n", b"\r\n ", b"%", b"X:", b"\xff"]),
    piece=st.integers(1, 4096),
)
def test_a_head_without_end_is_given_up_before_it_fills_memory(start: bytes, more: bytes, piece: int) -> None:
    data = start + more * (8 * SMALL.head_bytes // len(more))
    with no_mistakes(), within():
        answer = asyncio.run(converse(make_service(), data, list(range(0, len(data), piece))))
    check(data, answer)
    assert answer.startswith(b"HTTP/1.1 4")


# Host and target

HOSTS = (
    "oss-cn-hangzhou.aliyuncs.com", "open.oss-cn-hangzhou.aliyuncs.com", "open.oss-cn-hangzhou-internal.aliyuncs.com",
    "open.oss-cn-shanghai.aliyuncs.com:443", "127.0.0.1:9000", "[::1]:9000", "localhost", "open.localhost",
    "open.oss-accelerate.aliyuncs.com", "s3.oss-cn-hangzhou.aliyuncs.com", "www.example.com", "minio",
)  # fmt: skip
segments = mostly(st.text("abcz019-_.~!*'()", max_size=6), st.sampled_from(TOKENS) | texts)
encoded = segments.map(lambda text: quote(text, safe="/%+:@!$&'()*,;=~"))
targets = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "", "", "http://h", "http://", "*"]),
    st.lists(encoded, max_size=4).map(lambda parts: "/" + "/".join(parts)),
    st.lists(encoded, max_size=3).map(lambda parts: "?" + "&".join(parts) if parts else ""),
)


@budget(200)
@given(host=damaged(st.sampled_from(HOSTS)), target=damaged(targets))
def test_any_host_and_target_have_an_address_or_an_error_of_oss(host: str, target: str) -> None:
    request = Request("GET", target, {"host": host})
    try:
        with within():
            address = resolve(request, ServiceConfig(), {"www.example.com": "open"})
    except OssError as error:
        assert error.code in ("SecondLevelDomainForbidden", "InvalidBucketName", "InvalidURI")
        return
    assert address.bucket or not address.key
    assert (address.bucket == "") or address.custom or 3 <= len(address.bucket) <= 63
    for text in (address.key, *address.params, *address.params.values()):
        text.encode("utf-8", "surrogateescape")


@budget(130)
@given(
    bucket=st.from_regex(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", fullmatch=True),
    key=texts,
    params=st.dictionaries(texts.filter(bool), texts, max_size=4),
    path_style=st.booleans(),
)
def test_what_a_client_encodes_is_what_the_cloud_reads(
    bucket: str, key: str, params: dict[str, str], path_style: bool
) -> None:
    path = quote(f"/{bucket}/{key}" if path_style else f"/{key}", safe="/")
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params.items())
    host = "127.0.0.1" if path_style else f"{bucket}.oss-cn-hangzhou.aliyuncs.com"
    if not path_style and bucket in ("s3", "oss-cn-hangzhou", "oss-cn-hangzhou-internal"):
        return
    address = resolve(Request("GET", f"{path}?{query}" if query else path, {"host": host}), ServiceConfig(), {})
    assert address == Address(bucket, key, params, path_style)
