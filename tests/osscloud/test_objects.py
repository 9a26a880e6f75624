"""Put, Get, Head, GetObjectMeta and object ACLs in a bucket that was never versioned."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import md5
from typing import TYPE_CHECKING

import pytest
from defusedxml.ElementTree import fromstring
from fastcrc import crc64

from osscloud.clock import VirtualClock
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client

BODY = bytes(range(250)) * 4


def etag(body: bytes) -> str:
    return f'"{md5(body).hexdigest().upper()}"'


def test_put_answers_etag_md5_and_crc(client: Client) -> None:
    answer = client.put("a", BODY)
    assert answer.header("ETag") == etag(BODY)
    assert answer.header("Content-MD5") == b64encode(md5(BODY).digest()).decode()
    assert answer.header("x-oss-hash-crc64ecma") == str(crc64.xz(BODY))
    assert not answer.has("x-oss-version-id")


def test_a_directory_marker_answers_head_with_exactly_the_headers_of_the_faq(client: Client) -> None:
    client.put("dir/")
    answer = client.head("dir/")
    common = {"Server", "Date", "Connection", "x-oss-request-id"}
    assert {n: v for n, v in answer.response.headers.items() if n not in common} == {
        "Content-Type": "application/octet-stream",
        "Content-Length": "0",
        "Accept-Ranges": "bytes",
        "ETag": '"D41D8CD98F00B204E9800998ECF8427E"',
        "Last-Modified": "Tue, 03 Sep 2024 00:00:00 GMT",
        "x-oss-object-type": "Normal",
        "x-oss-hash-crc64ecma": "0",
        "x-oss-storage-class": "Standard",
        "Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg==",
        "x-oss-server-time": "4",
    }


def test_get_gives_back_content_and_every_content_header_and_metadata(client: Client) -> None:
    given = {
        "Content-Type": "text/plain",
        "Content-Encoding": "identity",
        "Content-Language": "de",
        "Content-Disposition": "attachment",
        "Cache-Control": "no-cache",
        "Expires": "Thu, 01 Jan 2026 00:00:00 GMT",
        "x-oss-meta-mode": "33188",
        "X-OSS-Meta-Name": "Gr\xfc\xdfe",
    }
    client.put("k", b"text", given)
    answer = client.get("k")
    assert (answer.status, answer.body) == (200, b"text")
    for name, value in given.items():
        assert answer.header(name) == value
    assert answer.header("Content-Length") == "4"


def test_head_has_the_length_and_no_body(client: Client) -> None:
    client.put("k", BODY)
    answer = client.head("k")
    assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"", "1000")


def test_a_put_replaces_content_and_metadata(client: Client) -> None:
    client.put("k", b"old", {"x-oss-meta-a": "1"})
    client.put("k", b"new")
    answer = client.get("k")
    assert answer.body == b"new"
    assert not answer.has("x-oss-meta-a")


def test_a_directory_object_creates_nothing_above_it(client: Client) -> None:
    client.put("a/b/c/")
    assert client.head("a/").status == client.head("a/b/").status == 404


@pytest.mark.parametrize(
    "key", ["a b", "a+b", "a//b", "./..", "文件", "\U0001f600", "a?b=c&d", "%41", "k\x01", "é" * 511]
)
def test_keys_are_kept_as_they_are(client: Client, oss: OssService, key: str) -> None:
    client.put(key, b"x")
    assert client.get(key).body == b"x"
    assert oss.admin.keys("demo") == [key]


@pytest.mark.parametrize("key", ["/a", "\\a", "x" * 1024, "é" * 512, "\udcff"])
def test_bad_object_names_are_refused(client: Client, key: str) -> None:
    answer = client.send("PUT", key)
    assert (answer.status, answer.code) == (400, "InvalidObjectName")


def test_a_missing_key_answers_no_such_key_with_its_ec(client: Client) -> None:
    answer = client.get("a/missing")
    assert (answer.status, answer.code, answer.text("Key")) == (404, "NoSuchKey", "a/missing")
    assert answer.text("EC") == answer.header("x-oss-ec") == "0026-00000001"
    assert answer.text("HostId") == "127.0.0.1"
    assert answer.text("RequestId") == answer.header("x-oss-request-id")
    assert answer.text("RecommendDoc").endswith("q=0026-00000001")
    assert b"xmlns" not in answer.body


def test_head_of_a_missing_key_carries_the_error_document_in_a_header(client: Client) -> None:
    answer = client.head("missing")
    assert (answer.status, answer.body, answer.header("Content-Length")) == (404, b"", "0")
    assert answer.header("x-oss-ec") == "0026-00000001"
    document = fromstring(b64decode(answer.header("x-oss-err") or ""))
    assert document.findtext("Code") == "NoSuchKey"
    assert document.findtext("EC") == "0026-00000001"


def test_a_wrong_content_md5_stores_nothing(client: Client, oss: OssService) -> None:
    for value in ("XrY7u+Ae7tCTyyK7j1rNww==", "no base64!"):
        answer = client.send("PUT", "k", headers={"Content-MD5": value}, body=b"x")
        assert (answer.status, answer.code) == (400, "InvalidDigest")
    assert oss.admin.keys("demo") == []


def test_a_right_content_md5_and_crc_are_accepted(client: Client) -> None:
    digest = b64encode(md5(b"x").digest()).decode()
    client.put("k", b"x", {"Content-MD5": digest, "x-oss-hash-crc64ecma": str(crc64.xz(b"x"))})


def test_a_wrong_crc_is_refused(client: Client) -> None:
    answer = client.send("PUT", "k", headers={"x-oss-hash-crc64ecma": "1"}, body=b"x")
    assert (answer.status, answer.code) == (400, "InvalidCRC64")


def test_forbid_overwrite_protects_an_existing_object_only(client: Client) -> None:
    client.put("k", b"1", {"x-oss-forbid-overwrite": "true"})
    answer = client.send("PUT", "k", headers={"x-oss-forbid-overwrite": "true"}, body=b"2")
    assert (answer.status, answer.code) == (409, "FileAlreadyExists")
    client.put("k", b"3", {"x-oss-forbid-overwrite": "false"})
    assert client.get("k").body == b"3"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-oss-storage-class": "Cheap"}, "InvalidArgument"),
        ({"x-oss-object-acl": "secret"}, "InvalidArgument"),
        ({"x-oss-meta-a_b": "1"}, "InvalidArgument"),
        ({"x-oss-meta-a": "x" * 8192}, "InvalidArgument"),
        ({"If-None-Match": "*"}, "NotImplemented"),
        ({"x-oss-tagging": "a=1&a=2"}, "InvalidTag"),
        ({"x-oss-tagging": "a"}, "InvalidTag"),
        ({"x-oss-tagging": "&".join(f"k{n}=v" for n in range(11))}, "TooManyTags"),
    ],
)
def test_bad_headers_of_a_put_are_refused(client: Client, headers: dict[str, str], code: str) -> None:
    answer = client.send("PUT", "k", headers=headers)
    assert (answer.status, answer.code) == (400, code)


def test_an_unsupported_header_is_named(client: Client) -> None:
    answer = client.send("PUT", "k", headers={"If-Modified-Since": "Tue, 03 Sep 2024 00:00:00 GMT"})
    assert answer.text("Header") == "if-modified-since"


def test_last_modified_is_the_time_of_the_write_in_whole_seconds(client: Client, clock: VirtualClock) -> None:
    clock.advance(61.9)
    client.put("k")
    clock.advance(100)
    assert client.head("k").header("Last-Modified") == "Tue, 03 Sep 2024 00:01:01 GMT"


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=990-", 990, 1000),
        ("bytes=-10", 990, 1000),
        ("bytes=0-999", 0, 1000),
        ("bytes=5-5,7-8", 5, 6),
        ("bytes=-1000", 0, 1000),
    ],
)
@pytest.mark.parametrize("behaviour", ["", "standard"])
def test_a_range_within_the_object_is_partial_content(
    client: Client, text: str, start: int, stop: int, behaviour: str
) -> None:
    client.put("k", BODY)
    answer = client.get("k", {"Range": text, "x-oss-range-behavior": behaviour})
    assert (answer.status, answer.body) == (206, BODY[start:stop])
    assert answer.header("Content-Range") == f"bytes {start}-{stop - 1}/1000"
    assert answer.header("Content-Length") == str(stop - start)
    assert answer.header("x-oss-hash-crc64ecma") == str(crc64.xz(BODY))


@pytest.mark.parametrize(
    "text", ["bytes=0-1000", "bytes=1000-", "bytes=1000-2000", "bytes=-2000", "byte=0-1", "bytes=", "bytes=9-2", "-"]
)
def test_a_range_that_leaves_the_object_is_ignored_by_default(client: Client, text: str) -> None:
    client.put("k", BODY)
    answer = client.get("k", {"Range": text})
    assert (answer.status, answer.body) == (200, BODY)
    assert not answer.has("Content-Range")


@pytest.mark.parametrize(
    ("text", "start", "stop"), [("bytes=900-5000", 900, 1000), ("bytes=-2000", 0, 1000), ("bytes=999-1000", 999, 1000)]
)
def test_standard_behaviour_clips_a_range(client: Client, text: str, start: int, stop: int) -> None:
    client.put("k", BODY)
    answer = client.get("k", {"Range": text, "x-oss-range-behavior": "standard"})
    assert (answer.status, answer.body) == (206, BODY[start:stop])


@pytest.mark.parametrize("text", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
def test_standard_behaviour_refuses_a_range_past_the_end(client: Client, text: str) -> None:
    client.put("k", BODY)
    answer = client.get("k", {"Range": text, "x-oss-range-behavior": "standard"})
    assert (answer.status, answer.code) == (416, "InvalidRange")


def test_a_range_past_the_end_can_be_switched_to_an_error(client: Client, oss: OssService) -> None:
    oss.config = replace(oss.config, overlong_range="refuse")
    client.put("k", BODY)
    assert client.get("k", {"Range": "bytes=0-1000"}).code == "InvalidRange"


def test_head_honours_a_range(client: Client) -> None:
    client.put("k", BODY)
    answer = client.head("k", {"Range": "bytes=0-9"})
    assert (answer.status, answer.header("Content-Length"), answer.body) == (206, "10", b"")


NOW = "Tue, 03 Sep 2024 00:00:00 GMT"
BEFORE = "Mon, 02 Sep 2024 23:59:59 GMT"
AFTER = "Tue, 03 Sep 2024 00:00:01 GMT"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": etag(b"x")}, 200),
        ({"If-Match": etag(b"x").strip('"').lower()}, 200),
        ({"If-Match": f'"0", {etag(b"x")}'}, 200),
        ({"If-Match": '"0"'}, 412),
        ({"If-None-Match": '"0"'}, 200),
        ({"If-None-Match": etag(b"x")}, 304),
        ({"If-None-Match": '"0"', "If-Modified-Since": AFTER}, 200),
        ({"If-Modified-Since": BEFORE}, 200),
        ({"If-Modified-Since": NOW}, 304),
        ({"If-Modified-Since": AFTER}, 304),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Unmodified-Since": NOW}, 200),
        ({"If-Unmodified-Since": BEFORE}, 412),
        ({"If-Unmodified-Since": "yesterday"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_of_a_read(client: Client, headers: dict[str, str], status: int, method: str) -> None:
    client.put("k", b"x")
    answer = client.send(method, "k", headers=headers)
    assert answer.status == status
    if status == 304:
        assert (answer.body, answer.header("ETag"), answer.header("Last-Modified")) == (b"", etag(b"x"), NOW)
    if status == 412 and method == "GET":
        assert answer.code == "PreconditionFailed"
        assert answer.text("Condition") in headers


def test_response_parameters_override_headers_for_signed_requests_only(client: Client, oss: OssService) -> None:
    client.put("k", b"x", {"x-oss-object-acl": "public-read"})
    params = {"response-content-type": "text/css", "response-cache-control": "no-store"}
    answer = client.get("k", None, **params)
    assert (answer.header("Content-Type"), answer.header("Cache-Control")) == ("text/css", "no-store")
    refused = client.send("GET", "k", params, anonymous=True)
    assert (refused.status, refused.code) == (400, "InvalidRequest")


def test_unknown_parameters_are_ignored(client: Client) -> None:
    client.put("k", b"x")
    assert client.get("k", None, **{"x-trace": "7", "whatever": ""}).body == b"x"


def test_object_meta_answers_few_headers(client: Client) -> None:
    client.put("k", b"abc", {"x-oss-meta-a": "1"})
    answer = client.head("k", objectMeta="")
    assert (answer.status, answer.header("Content-Length"), answer.header("ETag")) == (200, "3", etag(b"abc"))
    assert not answer.has("x-oss-meta-a")
    assert not answer.has("Content-Type")
    assert client.head("missing", objectMeta="").status == 404


def test_the_acl_of_an_object_is_default_until_set(client: Client) -> None:
    client.put("k")
    assert client.get("k", acl="").text("AccessControlList/Grant") == "default"
    assert client.send("PUT", "k", {"acl": ""}, {"x-oss-object-acl": "public-read"}).status == 200
    assert client.get("k", acl="").text("AccessControlList/Grant") == "public-read"
    assert client.get("k", acl="").text("Owner/ID") == client.key.account
    client.put("k")
    assert client.get("k", acl="").text("AccessControlList/Grant") == "default"


def test_setting_an_acl_needs_a_known_one_and_an_object(client: Client) -> None:
    client.put("k")
    assert client.send("PUT", "k", {"acl": ""}).code == "InvalidArgument"
    assert client.send("PUT", "k", {"acl": ""}, {"x-oss-object-acl": "x"}).code == "InvalidArgument"
    assert client.send("PUT", "missing", {"acl": ""}, {"x-oss-object-acl": "private"}).code == "NoSuchKey"


@pytest.mark.parametrize("storage_class", ["Archive", "ColdArchive", "DeepColdArchive"])
def test_a_frozen_object_can_be_seen_but_not_read(client: Client, storage_class: str) -> None:
    client.put("k", b"x", {"x-oss-storage-class": storage_class})
    assert client.head("k").header("x-oss-storage-class") == storage_class
    answer = client.get("k")
    assert (answer.status, answer.code) == (403, "InvalidObjectState")
    assert client.copy("/demo/k", "l").code == "InvalidObjectState"


def test_infrequent_access_reads_like_standard(client: Client) -> None:
    client.put("k", b"x", {"x-oss-storage-class": "IA"})
    assert client.get("k").body == b"x"


def test_bodies_may_be_buffers_that_their_owner_reuses(client: Client) -> None:
    buffer = bytearray(b"first")
    client.send("PUT", "k", body=memoryview(buffer))  # type: ignore[arg-type]
    buffer[:] = b"other"
    assert client.get("k").body == b"first"


def test_encryption_is_checked_kept_and_answered(client: Client) -> None:
    header = "x-oss-server-side-encryption"
    assert client.put("k", b"x", {header: "AES256"}).header(header) == "AES256"
    assert client.head("k").header(header) == "AES256"
    assert client.send("PUT", "k", headers={header: "ROT13"}).code == "InvalidEncryptionAlgorithmError"


def test_a_callback_is_refused_before_anything_is_stored(client: Client, oss: OssService) -> None:
    upload = client.send("POST", "k", {"uploads": ""}).text("UploadId")
    for answer in (
        client.send("PUT", "k", headers={"x-oss-callback": "e30="}),
        client.send("PUT", "k", {"callback": "e30="}),
        client.send("POST", "k", {"uploadId": upload}, {"x-oss-callback": "e30="}),
    ):
        assert (answer.status, answer.code) == (501, "NotImplemented")
    assert oss.admin.keys("demo") == []


def test_image_processing_is_not_implemented(client: Client) -> None:
    client.put("k", b"x")
    answer = client.get("k", None, **{"x-oss-process": "image/resize,w_1"})
    assert (answer.status, answer.code) == (501, "NotImplemented")


def test_tags_are_counted_listed_replaced_and_deleted(client: Client) -> None:
    client.put("k", b"", {"x-oss-tagging": "a=1&b=%2F"})
    assert client.head("k").header("x-oss-tagging-count") == "2"
    assert client.head("k", objectMeta="").header("x-oss-tagging-count") == "2"
    answer = client.get("k", tagging="")
    assert answer.texts("TagSet/Tag/Key") == ["a", "b"]
    assert answer.texts("TagSet/Tag/Value") == ["1", "/"]
    body = b"<Tagging><TagSet><Tag><Key>c</Key><Value></Value></Tag></TagSet></Tagging>"
    assert client.send("PUT", "k", {"tagging": ""}, body=body).status == 200
    assert client.get("k", tagging="").texts("TagSet/Tag/Key") == ["c"]
    assert client.delete("k", tagging="").status == 204
    assert client.get("k", tagging="").texts("TagSet/Tag/Key") == []
    assert not client.head("k").has("x-oss-tagging-count")


def test_a_namespace_in_a_request_document_is_ignored(client: Client) -> None:
    client.put("k")
    body = b'<Tagging xmlns="http://doc"><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>'
    assert client.send("PUT", "k", {"tagging": ""}, body=body).status == 200
    assert client.get("k", tagging="").texts("TagSet/Tag/Key") == ["a"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Tagging/>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key></Key><Value>1</Value></Tag></TagSet></Tagging>", "InvalidTag"),
        (b"<Tagging><TagSet>" + b"<Tag><Key>a</Key><Value>1</Value></Tag>" * 2 + b"</TagSet></Tagging>", "InvalidTag"),
        (b"<Other/>", "MalformedXML"),
        (b"<Tagging>", "MalformedXML"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><Tagging>&a;</Tagging>', "MalformedXML"),
        (b"\xff", "MalformedXML"),
    ],
)
def test_bad_tagging_documents_are_refused(client: Client, body: bytes, code: str) -> None:
    client.put("k")
    assert client.send("PUT", "k", {"tagging": ""}, body=body).code == code
