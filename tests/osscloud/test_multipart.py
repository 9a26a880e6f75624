"""Multipart uploads."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from fastcrc import crc64

from osscloud.blob import Pieces
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client

PART = 102_400


def data(seed: int, size: int = PART) -> bytes:
    return random.Random(seed).randbytes(size)


def begin(client: Client, key: str = "k", headers: dict[str, str] | None = None) -> str:
    answer = client.send("POST", key, {"uploads": ""}, headers)
    assert answer.status == 200
    return answer.text("UploadId")


def part(client: Client, upload: str, number: int, body: bytes, key: str = "k") -> str:
    answer = client.send("PUT", key, {"partNumber": str(number), "uploadId": upload}, body=body)
    assert answer.status == 200
    return answer.header("ETag") or ""


def complete(client: Client, upload: str, parts: list[tuple[int, str]], key: str = "k", **headers: str) -> Answer:
    listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in parts)
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    return client.send("POST", key, {"uploadId": upload}, headers, body)


def test_parts_become_one_object_that_stays_in_parts(client: Client) -> None:
    upload = begin(client, headers={"Content-Type": "text/plain", "x-oss-meta-m": "1", "x-oss-storage-class": "IA"})
    bodies = [data(1), data(2), data(3, 77)]
    etags = [part(client, upload, n + 1, body) for n, body in enumerate(bodies)]
    answer = complete(client, upload, list(enumerate(etags, 1)))
    whole = b"".join(bodies)
    assert answer.status == 200
    assert (answer.text("Bucket"), answer.text("Key")) == ("demo", "k")
    assert answer.text("ETag") == answer.header("ETag")
    assert (answer.header("ETag") or "").endswith('-3"')
    assert answer.header("x-oss-hash-crc64ecma") == str(crc64.xz(whole))
    got = client.get("k")
    assert got.body == whole
    assert isinstance(got.response.body, Pieces)
    assert got.header("x-oss-object-type") == "Multipart"
    assert not got.has("Content-MD5")
    assert (got.header("Content-Type"), got.header("x-oss-meta-m")) == ("text/plain", "1")
    assert got.header("x-oss-storage-class") == "IA"
    span = client.get("k", {"Range": f"bytes={PART - 5}-{2 * PART + 5}"})
    assert span.body == whole[PART - 5 : 2 * PART + 6]
    assert span.header("Content-Length") == str(PART + 11)


def test_nothing_is_there_before_complete(client: Client, oss: OssService) -> None:
    upload = begin(client)
    part(client, upload, 1, data(1))
    assert client.head("k").status == 404
    assert oss.admin.uploads("demo") == [("k", upload)]


def test_completing_ends_the_upload(client: Client, oss: OssService) -> None:
    upload = begin(client)
    etag = part(client, upload, 1, b"x")
    assert complete(client, upload, [(1, etag)]).status == 200
    again = complete(client, upload, [(1, etag)])
    assert (again.status, again.code, again.text("EC")) == (404, "NoSuchUpload", "0042-00000002")
    assert oss.admin.uploads("demo") == []


def test_unlisted_parts_are_dropped_and_numbers_may_have_gaps(client: Client) -> None:
    upload = begin(client)
    first = part(client, upload, 2, data(1))
    part(client, upload, 5, data(2))
    last = part(client, upload, 10_000, b"end")
    assert complete(client, upload, [(2, first), (10_000, last.strip('"').lower())]).status == 200
    assert client.get("k").body == data(1) + b"end"


def test_a_part_sent_again_replaces_the_first(client: Client) -> None:
    upload = begin(client)
    old = part(client, upload, 1, b"old")
    new = part(client, upload, 1, b"new")
    assert complete(client, upload, [(1, old)]).code == "InvalidPart"
    assert complete(client, upload, [(1, new)]).status == 200
    assert client.get("k").body == b"new"


def test_complete_refuses_wrong_lists(client: Client) -> None:
    upload = begin(client)
    one, two = part(client, upload, 1, data(1)), part(client, upload, 2, b"small")
    three = part(client, upload, 3, b"x")
    assert complete(client, upload, [(2, two), (1, one)]).code == "InvalidPartOrder"
    assert complete(client, upload, [(1, one), (1, one)]).code == "InvalidPartOrder"
    assert complete(client, upload, [(1, one), (4, two)]).code == "InvalidPart"
    assert complete(client, upload, [(1, two)]).code == "InvalidPart"
    assert complete(client, upload, []).code == "MalformedXML"
    assert client.send("POST", "k", {"uploadId": upload}, body=b"").code == "MalformedXML"
    bad = b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>"
    assert client.send("POST", "k", {"uploadId": upload}, body=bad).code == "MalformedXML"
    small = complete(client, upload, [(1, one), (2, two), (3, three)])
    assert (small.code, small.text("PartNumber"), small.text("ProposedSize")) == ("EntityTooSmall", "2", "5")
    assert small.text("MinSizeAllowed") == "102400"
    assert client.head("k").status == 404


def test_complete_all_takes_every_part_and_no_body(client: Client) -> None:
    upload = begin(client)
    assert client.send("POST", "k", {"uploadId": upload}, {"x-oss-complete-all": "yes"}).code == "InvalidPart"
    part(client, upload, 2, b"end")
    part(client, upload, 1, data(1))
    refused = client.send("POST", "k", {"uploadId": upload}, {"x-oss-complete-all": "yes"}, b"<x/>")
    assert (refused.status, refused.code, refused.text("EC")) == (400, "InvalidArgument", "0042-00000216")
    assert client.send("POST", "k", {"uploadId": upload}, {"x-oss-complete-all": "yes"}).status == 200
    assert client.get("k").body == data(1) + b"end"


@pytest.mark.parametrize("number", ["0", "10001", "x", "-1", ""])
def test_part_numbers_are_limited(client: Client, number: str) -> None:
    upload = begin(client)
    answer = client.send("PUT", "k", {"partNumber": number, "uploadId": upload}, body=b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_unknown_uploads_are_refused_by_every_operation(client: Client) -> None:
    upload = begin(client, "other")
    params = {"uploadId": upload}
    assert client.send("PUT", "k", {**params, "partNumber": "1"}, body=b"x").code == "NoSuchUpload"
    assert client.send("POST", "k", params, body=b"<x/>").code == "NoSuchUpload"
    assert client.send("DELETE", "k", params).code == "NoSuchUpload"
    assert client.send("GET", "k", params).code == "NoSuchUpload"


def test_abort_forgets_the_parts(client: Client, oss: OssService) -> None:
    upload = begin(client)
    part(client, upload, 1, b"x")
    assert client.delete("k", uploadId=upload).status == 204
    assert client.delete("k", uploadId=upload).code == "NoSuchUpload"
    assert oss.admin.uploads("demo") == []


def test_parts_are_checked_like_puts(client: Client) -> None:
    upload = begin(client)
    params = {"partNumber": "1", "uploadId": upload}
    wrong = client.send("PUT", "k", params, {"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="}, b"x")
    assert wrong.code == "InvalidDigest"


def test_parts_can_be_copied_from_objects(client: Client) -> None:
    client.put("src", data(1) + b"tail")
    upload = begin(client)
    params = {"partNumber": "1", "uploadId": upload}
    source = {"x-oss-copy-source": "/demo/src"}
    ranged = client.send("PUT", "k", params, {**source, "x-oss-copy-source-range": f"bytes=0-{PART - 1}"})
    assert ranged.status == 200
    whole = client.send(
        "PUT", "k", {**params, "partNumber": "2"}, {**source, "x-oss-copy-source-range": "bytes=9-9999999"}
    )
    answer = complete(client, upload, [(1, ranged.text("ETag")), (2, whole.text("ETag"))])
    assert answer.status == 200
    assert client.get("k").body == data(1) + data(1) + b"tail"
    assert answer.header("x-oss-hash-crc64ecma") == str(crc64.xz(data(1) + data(1) + b"tail"))
    unchanged = client.send("PUT", "k", params, {**source, "x-oss-copy-source-if-none-match": "*"})
    assert unchanged.code == "NoSuchUpload"


def test_a_part_copied_from_a_multipart_object_shares_its_memory(client: Client, oss: OssService) -> None:
    client.versioning("Enabled")
    upload = begin(client, "src")
    etags = [part(client, upload, n, data(n), "src") for n in (1, 2)]
    complete(client, upload, list(enumerate(etags, 1)), "src")
    upload = begin(client)
    source = {"x-oss-copy-source": "/demo/src", "x-oss-copy-source-range": f"bytes=10-{PART + 9}"}
    copied = client.send("PUT", "k", {"partNumber": "1", "uploadId": upload}, source)
    assert copied.header("x-oss-copy-source-version-id") == client.head("src").header("x-oss-version-id")
    assert copied.header("x-oss-hash-crc64ecma") == str(crc64.xz((data(1) + data(2))[10 : PART + 10]))
    done = client.send("POST", "k", {"uploadId": upload}, {"x-oss-complete-all": "yes"})
    assert done.header("x-oss-version-id") not in (None, "null")
    assert client.get("k").body == (data(1) + data(2))[10 : PART + 10]
    skipped = {**source, "x-oss-copy-source-if-none-match": "*"}
    upload = begin(client)
    assert client.send("PUT", "k", {"partNumber": "1", "uploadId": upload}, skipped).status == 304


def test_forbid_overwrite_is_checked_at_both_ends(client: Client) -> None:
    client.put("k", b"there")
    refused = client.send("POST", "k", {"uploads": ""}, {"x-oss-forbid-overwrite": "true"})
    assert (refused.status, refused.code) == (409, "FileAlreadyExists")
    upload = begin(client, "new", {"x-oss-forbid-overwrite": "true"})
    etag = part(client, upload, 1, b"x", "new")
    client.put("new", b"meanwhile")
    assert complete(client, upload, [(1, etag)], "new").code == "FileAlreadyExists"
    assert client.get("new").body == b"meanwhile"


def test_list_parts_pages_through_numbers(client: Client) -> None:
    upload = begin(client)
    etags = {n: part(client, upload, n, bytes([n])) for n in (1, 2, 3, 7)}
    first = client.get("k", None, uploadId=upload, **{"max-parts": "3"})
    assert first.texts("Part/PartNumber") == ["1", "2", "3"]
    assert first.texts("Part/ETag") == [etags[n] for n in (1, 2, 3)]
    assert first.texts("Part/Size") == ["1"] * 3
    assert first.texts("Part/HashCrc64ecma")[0] == str(crc64.xz(b"\x01"))
    assert (first.text("IsTruncated"), first.text("NextPartNumberMarker")) == ("true", "3")
    rest = client.get("k", None, uploadId=upload, **{"part-number-marker": "3"})
    assert rest.texts("Part/PartNumber") == ["7"]
    assert (rest.text("IsTruncated"), rest.text("NextPartNumberMarker")) == ("false", "7")
    empty = client.get("k", None, uploadId=upload, **{"part-number-marker": "7"})
    assert empty.text("NextPartNumberMarker") == "0"
    assert client.get("k", None, uploadId=upload, **{"max-parts": "1001"}).code == "InvalidArgument"


def test_names_in_upload_documents_are_encoded_on_demand(client: Client) -> None:
    answer = client.send("POST", "a&b/ü", {"uploads": "", "encoding-type": "url"})
    assert (answer.text("Key"), answer.text("EncodingType")) == ("a%26b%2F%C3%BC", "url")
    upload = answer.text("UploadId")
    listed = client.get("a&b/ü", None, uploadId=upload, **{"encoding-type": "url"})
    assert listed.text("Key") == "a%26b%2F%C3%BC"
    etag = part(client, upload, 1, b"x", "a&b/ü")
    body = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    done = client.send("POST", "a&b/ü", {"uploadId": upload, "encoding-type": "url"}, body=body.encode())
    assert done.text("Key") == "a%26b%2F%C3%BC"
    assert client.send("POST", "k", {"uploads": "", "encoding-type": "x"}).code == "InvalidArgument"


def uploads(client: Client, **params: str) -> Answer:
    return client.send("GET", "", {"uploads": "", **{name.replace("_", "-"): value for name, value in params.items()}})


def test_list_uploads_has_every_element_even_when_empty(client: Client) -> None:
    answer = uploads(client)
    assert {element.tag: element.text for element in answer.xml} == {
        "Bucket": "demo",
        "KeyMarker": None,
        "UploadIdMarker": None,
        "NextKeyMarker": None,
        "NextUploadIdMarker": None,
        "Delimiter": None,
        "Prefix": None,
        "MaxUploads": "1000",
        "IsTruncated": "false",
    }


def test_list_uploads_pages_by_key_then_id(client: Client) -> None:
    ids = {key: sorted(begin(client, key) for _ in range(count)) for key, count in (("a", 2), ("b/1", 1), ("c", 3))}
    expected = [(key, upload) for key in ids for upload in ids[key]]
    seen: list[tuple[str, str]] = []
    key_marker = id_marker = ""
    for _ in range(10):
        page = uploads(client, max_uploads="2", key_marker=key_marker, upload_id_marker=id_marker)
        seen += zip(page.texts("Upload/Key"), page.texts("Upload/UploadId"), strict=True)
        key_marker, id_marker = page.text("NextKeyMarker"), page.text("NextUploadIdMarker")
        if page.text("IsTruncated") == "false":
            break
    assert seen == expected
    assert uploads(client, key_marker="a").texts("Upload/Key") == ["b/1", "c", "c", "c"]
    assert uploads(client, upload_id_marker="F" * 32).texts("Upload/Key") == ["a", "a", "b/1", "c", "c", "c"]


def test_list_uploads_groups_by_delimiter(client: Client) -> None:
    for key in ("a/1", "a/2", "b", "c/1", "c/2"):
        begin(client, key)
    page = uploads(client, delimiter="/")
    assert page.texts("CommonPrefixes/Prefix") == ["a/", "c/"]
    assert page.texts("Upload/Key") == ["b"]
    first = uploads(client, delimiter="/", max_uploads="1")
    assert (first.texts("CommonPrefixes/Prefix"), first.text("NextKeyMarker")) == (["a/"], "a/")
    assert uploads(client, delimiter="/", key_marker="a/").texts("CommonPrefixes/Prefix") == ["c/"]
    assert uploads(client, prefix="a/").texts("Upload/Key") == ["a/1", "a/2"]
    assert uploads(client, prefix="a/", encoding_type="url").texts("Upload/Key") == ["a%2F1", "a%2F2"]
    begin(client, "\U0010ffff\U0010ffff")
    assert uploads(client, delimiter="\U0010ffff").texts("CommonPrefixes/Prefix") == ["\U0010ffff"]
