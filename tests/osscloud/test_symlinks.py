"""Symlink objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock

if TYPE_CHECKING:
    from conftest import Answer, Client


def link(client: Client, key: str, target: str, headers: dict[str, str] | None = None) -> Answer:
    return client.send("PUT", key, {"symlink": ""}, {"x-oss-symlink-target": target, **(headers or {})})


def test_reading_a_link_reads_its_target_under_the_headers_of_the_link(client: Client, clock: VirtualClock) -> None:
    client.put("dir/target", b"hello", {"Content-Type": "text/plain", "x-oss-meta-t": "1"})
    clock.advance(10)
    assert link(client, "l", "dir%2Ftarget", {"x-oss-meta-l": "2", "Content-Type": "text/link"}).status == 200
    target, answer = client.get("dir/target"), client.get("l")
    assert answer.body == b"hello"
    for name in ("ETag", "Content-MD5", "Content-Length", "x-oss-hash-crc64ecma"):
        assert answer.header(name) == target.header(name)
    assert answer.header("x-oss-object-type") == "Symlink"
    assert (answer.header("Content-Type"), answer.header("x-oss-meta-l")) == ("text/link", "2")
    assert not answer.has("x-oss-meta-t")
    assert answer.header("Last-Modified") == "Tue, 03 Sep 2024 00:00:10 GMT"
    assert client.head("l").header("Content-Length") == "5"
    assert client.get("l", {"Range": "bytes=1-2"}).body == b"el"


def test_a_later_change_of_the_target_shows_through_the_link(client: Client, clock: VirtualClock) -> None:
    client.put("t", b"1")
    link(client, "l", "t")
    clock.advance(60)
    client.put("t", b"22")
    answer = client.get("l")
    assert (answer.body, answer.header("Last-Modified")) == (b"22", "Tue, 03 Sep 2024 00:01:00 GMT")


def test_the_target_of_a_link_can_be_asked_for(client: Client) -> None:
    link(client, "l", "a%20b/%C3%BC")
    answer = client.get("l", symlink="")
    assert (answer.status, answer.body, answer.header("x-oss-symlink-target")) == (200, b"", "a%20b/%C3%BC")
    client.put("k")
    answer = client.get("k", symlink="")
    assert (answer.status, answer.code, answer.text("EC")) == (400, "NotSymlink", "0043-00000101")


def test_a_link_to_nothing_is_made_but_not_read(client: Client) -> None:
    assert link(client, "l", "nowhere").status == 200
    answer = client.get("l")
    assert (answer.status, answer.code) == (404, "SymlinkTargetNotExist")
    assert client.head("l").status == 404
    assert client.head("l", objectMeta="").header("Content-Length") == "0"


def test_a_link_to_a_link_is_not_followed(client: Client) -> None:
    client.put("t")
    link(client, "l", "t")
    link(client, "m", "l")
    answer = client.get("m")
    assert (answer.status, answer.code) == (400, "InvalidTargetType")


@pytest.mark.parametrize(("target", "code"), [("", "InvalidArgument"), ("%2Fa", "InvalidObjectName")])
def test_bad_targets_are_refused(client: Client, target: str, code: str) -> None:
    assert link(client, "l", target).code == code


def test_forbid_overwrite_holds_for_links(client: Client) -> None:
    client.put("l")
    assert link(client, "l", "t", {"x-oss-forbid-overwrite": "true"}).code == "FileAlreadyExists"


def test_copying_and_deleting_a_link_leaves_its_target(client: Client) -> None:
    client.put("t", b"x")
    link(client, "l", "t")
    client.copy("/demo/l", "m")
    assert client.get("m", symlink="").header("x-oss-symlink-target") == "t"
    client.delete("l")
    assert client.get("t").body == client.get("m").body == b"x"


def test_a_link_in_a_versioned_bucket_has_a_version(client: Client) -> None:
    client.versioning("Enabled")
    version = link(client, "l", "t").header("x-oss-version-id")
    assert client.get("l", symlink="").header("x-oss-version-id") == version


def test_a_frozen_target_is_not_read_through_a_link(client: Client) -> None:
    client.put("t", b"x", {"x-oss-storage-class": "Archive"})
    link(client, "l", "t")
    assert client.get("l").code == "InvalidObjectState"
