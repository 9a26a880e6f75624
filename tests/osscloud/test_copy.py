"""CopyObject: what is copied, what is replaced, and what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client


def test_a_copy_has_content_headers_metadata_and_tags_of_its_source(client: Client, clock: VirtualClock) -> None:
    client.put("a b", b"x", {"Content-Type": "text/plain", "x-oss-meta-m": "1", "x-oss-tagging": "t=1"})
    clock.advance(10)
    answer = client.copy("/demo/a%20b", "c", {"Content-Type": "text/css", "x-oss-meta-m": "2"})
    assert answer.status == 200
    assert answer.text("ETag") == answer.header("ETag") == client.head("a b").header("ETag")
    assert answer.text("LastModified") == "2024-09-03T00:00:10.000Z"
    copied = client.get("c")
    assert copied.body == b"x"
    assert (copied.header("Content-Type"), copied.header("x-oss-meta-m")) == ("text/plain", "1")
    assert copied.header("x-oss-tagging-count") == "1"
    assert copied.header("Last-Modified") == "Tue, 03 Sep 2024 00:00:10 GMT"


def test_replace_takes_headers_and_metadata_of_the_request(client: Client) -> None:
    client.put("a", b"x", {"Content-Type": "text/plain", "x-oss-meta-m": "1", "x-oss-tagging": "t=1"})
    client.copy("/demo/a", "b", {"x-oss-metadata-directive": "REPLACE", "x-oss-meta-n": "2"})
    copied = client.head("b")
    assert copied.header("Content-Type") == "application/octet-stream"
    assert copied.header("x-oss-meta-n") == "2"
    assert not copied.has("x-oss-meta-m")
    assert copied.header("x-oss-tagging-count") == "1"


def test_tags_are_replaced_on_demand(client: Client) -> None:
    client.put("a", b"x", {"x-oss-tagging": "t=1"})
    client.copy("/demo/a", "b", {"x-oss-tagging-directive": "Replace", "x-oss-tagging": "u=2&v=3"})
    assert client.head("b").header("x-oss-tagging-count") == "2"
    client.copy("/demo/a", "b", {"x-oss-tagging-directive": "Replace"})
    assert not client.head("b").has("x-oss-tagging-count")


@pytest.mark.parametrize(
    "directive", [{}, {"x-oss-metadata-directive": "COPY"}, {"x-oss-metadata-directive": "REPLACE"}]
)
def test_a_copy_onto_itself_always_replaces_metadata_without_versioning(
    client: Client, directive: dict[str, str]
) -> None:
    client.put("a", b"x", {"x-oss-meta-mode": "1"})
    assert client.copy("/demo/a", "a", {"x-oss-meta-mode": "2", **directive}).status == 200
    answer = client.get("a")
    assert (answer.body, answer.header("x-oss-meta-mode")) == (b"x", "2")


def test_a_copy_onto_itself_follows_the_directive_with_versioning(client: Client) -> None:
    client.versioning("Enabled")
    client.put("a", b"x", {"x-oss-meta-mode": "1"})
    answer = client.copy("/demo/a", "a", {"x-oss-meta-mode": "2"})
    assert answer.header("x-oss-version-id") == client.head("a").header("x-oss-version-id")
    assert client.head("a").header("x-oss-meta-mode") == "1"


def test_acl_is_not_copied(client: Client) -> None:
    client.put("a", b"", {"x-oss-object-acl": "public-read"})
    client.copy("/demo/a", "b")
    assert client.get("b", acl="").text("AccessControlList/Grant") == "default"


def test_the_class_of_a_copy_is_that_of_the_request_or_of_the_bucket(client: Client) -> None:
    client.put("a", b"", {"x-oss-storage-class": "IA"})
    client.copy("/demo/a", "b")
    client.copy("/demo/a", "c", {"x-oss-storage-class": "Archive"})
    assert client.head("b").header("x-oss-storage-class") == "Standard"
    assert client.head("c").header("x-oss-storage-class") == "Archive"


@pytest.mark.parametrize("source", ["", "/", "/demo", "/demo/", "a"])
def test_a_source_must_name_bucket_and_key(client: Client, source: str) -> None:
    answer = client.copy(source, "b")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert answer.text("Message").startswith("Copy Source must mention the source bucket and key")


def test_missing_sources_are_named(client: Client) -> None:
    assert client.copy("/demo/none", "b").code == "NoSuchKey"
    assert client.copy("/other/none", "b").code == "NoSuchBucket"


def test_bad_directives_are_refused(client: Client) -> None:
    client.put("a")
    assert client.copy("/demo/a", "b", {"x-oss-metadata-directive": "MERGE"}).code == "InvalidArgument"
    assert client.copy("/demo/a", "b", {"x-oss-tagging-directive": "MERGE"}).code == "InvalidArgument"


NOW = "Tue, 03 Sep 2024 00:00:00 GMT"
BEFORE = "Mon, 02 Sep 2024 23:59:59 GMT"
ETAG = '"9DD4E461268C8034F5C8564E155C67A6"'


@pytest.mark.parametrize(
    ("condition", "value", "status"),
    [
        ("if-match", ETAG, 200),
        ("if-match", '"0"', 412),
        ("if-none-match", ETAG, 304),
        ("if-none-match", '"0"', 200),
        ("if-modified-since", NOW, 304),
        ("if-modified-since", BEFORE, 200),
        ("if-unmodified-since", NOW, 200),
        ("if-unmodified-since", BEFORE, 412),
    ],
)
def test_conditions_of_a_copy(client: Client, condition: str, value: str, status: int) -> None:
    client.put("a", b"x")
    assert client.copy("/demo/a", "b", {f"x-oss-copy-source-{condition}": value}).status == status
    assert client.head("b").status == (200 if status == 200 else 404)


def test_an_old_version_can_be_the_source(client: Client) -> None:
    client.versioning("Enabled")
    first = client.put("a", b"1").header("x-oss-version-id")
    client.put("a", b"2")
    answer = client.copy(f"/demo/a?versionId={first}", "a")
    assert answer.header("x-oss-copy-source-version-id") == first
    assert client.get("a").body == b"1"
    client.delete("a")
    assert client.copy("/demo/a", "b").code == "NoSuchKey"
    marker = client.head("a").header("x-oss-version-id")
    assert client.copy(f"/demo/a?versionId={marker}", "b").status == 405


def test_a_question_mark_in_a_key_is_not_a_version(client: Client) -> None:
    client.put("a?versionId=1", b"x")
    assert client.copy("/demo/a%3FversionId%3D1", "b").status == 200


def test_forbid_overwrite_holds_for_copies(client: Client) -> None:
    client.put("a", b"1")
    client.put("b", b"2")
    assert client.copy("/demo/a", "b", {"x-oss-forbid-overwrite": "true"}).code == "FileAlreadyExists"
    assert client.get("b").body == b"2"


def test_copies_are_limited_in_size(client: Client, oss: OssService) -> None:
    oss.config = replace(oss.config, max_copy_bytes=10)
    client.put("a", b"x" * 11)
    answer = client.copy("/demo/a", "b")
    assert (answer.status, answer.code, answer.text("ProposedSize")) == (400, "EntityTooLarge", "11")
    assert client.copy("/demo/a", "a").status == 200


def test_an_appendable_object_is_copied_onto_itself_only(client: Client) -> None:
    client.send("POST", "a", {"append": "", "position": "0"}, body=b"x")
    assert client.copy("/demo/a", "b").code == "OperationNotSupported"
    assert client.copy("/demo/a", "a", {"x-oss-meta-m": "1"}).status == 200
    assert client.head("a").header("x-oss-object-type") == "Appendable"


def test_between_buckets_the_source_must_be_readable(client: Client, client_of: Callable[..., Client]) -> None:
    client.put("private", b"1")
    client.put("public", b"2", {"x-oss-object-acl": "public-read"})
    client.service.admin.create_bucket("theirs", owner="42")
    stranger = client_of(account="42", bucket="theirs")
    assert stranger.copy("/demo/private", "k").status == 403
    assert stranger.copy("/demo/public", "k").status == 200
    assert stranger.get("k").body == b"2"
