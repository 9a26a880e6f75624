"""Compressed answers for Accept-Encoding: gzip, persistent headers, and ACLs of versions."""

from __future__ import annotations

import gzip
import http.client
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from osscloud.http_server import HttpServer
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client

TEXT = b"0123456789abcdef" * 64
GZIP = {"accept-encoding": "gzip, deflate"}


def test_text_is_compressed_without_etag_and_length(client: Client) -> None:
    client.put("k", TEXT, {"content-type": "text/plain; charset=utf-8"})
    answer = client.get("k", GZIP)
    assert answer.header("Content-Encoding") == "gzip"
    assert gzip.decompress(answer.body) == TEXT
    assert not answer.has("ETag")
    assert not answer.has("Content-Length")
    assert client.get("k", GZIP).body == answer.body


@pytest.mark.parametrize(
    ("body", "put", "get"),
    [
        (TEXT[:1023], {"content-type": "text/plain"}, GZIP),
        (TEXT, {"content-type": "image/png"}, GZIP),
        (TEXT, {"content-type": "text/plain", "content-encoding": "br"}, GZIP),
        (TEXT, {"content-type": "text/plain"}, {"accept-encoding": "deflate"}),
        (TEXT, {"content-type": "text/plain"}, {**GZIP, "range": "bytes=0-1023"}),
    ],
)
def test_everything_else_goes_out_as_it_is(
    client: Client, body: bytes, put: dict[str, str], get: dict[str, str]
) -> None:
    client.put("k", body, put)
    answer = client.get("k", get)
    assert answer.header("Content-Encoding") == put.get("content-encoding")
    assert (answer.body, answer.has("ETag")) == (body, True)


def test_the_head_of_text_describes_the_object(client: Client) -> None:
    client.put("k", TEXT, {"content-type": "text/plain"})
    assert client.head("k", GZIP).header("Content-Length") == str(len(TEXT))


def test_a_compressed_answer_arrives_chunked(client: Client, oss: OssService) -> None:
    oss.admin.put("demo", "k", TEXT * 100, content_type="application/json")
    client.send("PUT", "k", {"acl": ""}, {"x-oss-object-acl": "public-read"})
    with HttpServer(oss) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for _ in range(2):
            connection.request("GET", "/demo/k", headers=GZIP)
            answer = connection.getresponse()
            assert answer.getheader("Transfer-Encoding") == "chunked"
            assert answer.getheader("Content-Length") is None
            assert gzip.decompress(answer.read()) == TEXT * 100
        connection.close()


def persistent(**headers: str) -> dict[str, str]:
    text = ",".join(f"{name}:{b64encode(value.encode()).decode()}" for name, value in headers.items())
    return {"x-oss-persistent-headers": text}


def test_persistent_headers_come_back_with_the_object(client: Client) -> None:
    client.put("k", b"", persistent(myheader="a, b", other="c"))
    answer = client.head("k")
    assert (answer.header("myheader"), answer.header("other")) == ("a, b", "c")


@pytest.mark.parametrize(
    "text", ["name", "name:*", "na me:YQ==", "ETag:YQ==", "x-oss-object-type:YQ==", "content-length:YQ=="]
)
def test_bad_persistent_headers_are_refused(client: Client, text: str) -> None:
    answer = client.send("PUT", "k", None, {"x-oss-persistent-headers": text})
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_each_version_has_its_own_acl(client: Client) -> None:
    client.versioning("Enabled")
    ids = [client.put("k", body).header("x-oss-version-id") or "" for body in (b"1", b"2")]
    acl = {"acl": "", "versionId": ids[0]}
    assert client.send("PUT", "k", acl, {"x-oss-object-acl": "public-read"}).status == 200
    assert client.send("GET", "k", acl).text("AccessControlList/Grant") == "public-read"
    assert client.send("GET", "k", {"acl": "", "versionId": ids[1]}).text("AccessControlList/Grant") == "default"
    assert client.send("GET", "k", {"acl": ""}).text("AccessControlList/Grant") == "default"
    assert client.send("GET", "k", {"acl": "", "versionId": "CAEQ" + "0" * 40}).code == "NoSuchVersion"
