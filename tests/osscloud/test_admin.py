"""The server-side view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastcrc import crc64

from osscloud.errors import OssError
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client


def test_what_the_admin_puts_clients_read(client: Client, oss: OssService) -> None:
    version = oss.admin.put("demo", "k", b"x", content_type="text/plain", meta={"Mode": "33188"})
    assert version == ""
    answer = client.get("k")
    assert (answer.body, answer.header("Content-Type"), answer.header("x-oss-meta-mode")) == (
        b"x",
        "text/plain",
        "33188",
    )
    assert answer.header("ETag") == '"9DD4E461268C8034F5C8564E155C67A6"'


def test_what_clients_put_the_admin_sees(client: Client, oss: OssService) -> None:
    client.put("k", b"abc", {"Content-Type": "a/b", "x-oss-meta-m": "1", "x-oss-tagging": "t=2", "Cache-Control": "no"})
    view = oss.admin.object("demo", "k")
    assert view is not None
    assert view.read() == b"abc"
    assert (view.key, view.size, view.type, view.content_type) == ("k", 3, "Normal", "a/b")
    assert (view.meta, view.tags, view.acl) == ({"m": "1"}, {"t": "2"}, "default")
    assert view.headers == {"Content-Type": "a/b", "Cache-Control": "no"}
    assert (view.storage_class, view.version_id) == ("Standard", "null")
    assert view.crc64 == crc64.xz(b"abc")
    assert view.last_modified == 1_725_321_600
    assert view.etag == client.head("k").header("ETag")


def test_there_is_no_object_where_there_is_none_or_a_marker(oss: OssService) -> None:
    oss.admin.create_bucket("ver", versioning="Enabled")
    first = oss.admin.put("ver", "k", b"1")
    assert first.startswith("CAEQ")
    oss.admin.delete("ver", "k")
    assert oss.admin.object("ver", "k") is None
    assert oss.admin.object("ver", "none") is None
    old = oss.admin.object("ver", "k", version_id=first)
    assert old is not None
    assert old.read() == b"1"
    marker = oss.admin.versions("ver")[0]
    assert (marker.delete_marker, marker.latest, marker.size, marker.etag) == (True, True, 0, "")
    oss.admin.delete("ver", "k", version_id=marker.version_id)
    assert oss.admin.keys("ver") == ["k"]


def test_keys_and_versions_can_be_limited_to_a_prefix(oss: OssService) -> None:
    oss.admin.create_bucket("ver", versioning="Suspended")
    for key in ("a/1", "a/2", "b"):
        oss.admin.put("ver", key)
    oss.admin.delete("ver", "a/2")
    assert oss.admin.keys("ver", "a/") == ["a/1"]
    assert [view.key for view in oss.admin.versions("ver", "a/")] == ["a/1", "a/2"]


def test_deleting_from_an_unversioned_bucket_removes(client: Client, oss: OssService) -> None:
    client.put("k")
    oss.admin.delete("demo", "k")
    oss.admin.delete("demo", "k")
    assert oss.admin.versions("demo") == []


def test_buckets_are_made_and_removed(oss: OssService) -> None:
    oss.admin.create_bucket("one", owner="42")
    assert oss.admin.buckets() == ["one"]
    with pytest.raises(OssError, match="BucketAlreadyExists"):
        oss.admin.create_bucket("one")
    oss.admin.put("one", "k")
    with pytest.raises(OssError, match="BucketNotEmpty"):
        oss.admin.delete_bucket("one")
    oss.admin.delete_bucket("one", force=True)
    with pytest.raises(OssError, match="NoSuchBucket"):
        oss.admin.keys("one")
    with pytest.raises(OssError, match="InvalidBucketName"):
        oss.admin.create_bucket("A")


def test_mistakes_are_named(client: Client, oss: OssService) -> None:
    with pytest.raises(ValueError, match="versioning"):
        oss.admin.set_versioning("demo", "On")
    with pytest.raises(ValueError, match="cannot go back"):
        oss.admin.set_versioning("demo", "")
    with pytest.raises(ValueError, match="storage class"):
        oss.admin.put("demo", "k", storage_class="Cheap")
    with pytest.raises(OssError, match="InvalidObjectName"):
        oss.admin.put("demo", "/k")


def test_nothing_the_admin_does_is_logged(client: Client, oss: OssService) -> None:
    oss.admin.put("demo", "k")
    oss.admin.keys("demo")
    assert len(oss.access_log.records) == 0
