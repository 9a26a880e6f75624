"""Archived objects: every way to read one while it is frozen, thawing, restored and frozen again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client

DAY = 86_400
FROZEN = "InvalidObjectState"


def put_cold(client: Client, storage_class: str, key: str = "k") -> None:
    client.put(key, b"cold", {"x-oss-storage-class": storage_class})


def restore(client: Client, days: int | None = None, tier: str = "", key: str = "k", **params: str) -> Answer:
    job = f"<JobParameters><Tier>{tier}</Tier></JobParameters>" if tier else ""
    body = b"" if days is None else f"<RestoreRequest><Days>{days}</Days>{job}</RestoreRequest>".encode()
    return client.send("POST", key, {"restore": "", **params}, body=body)


@pytest.mark.parametrize("storage_class", ["Archive", "ColdArchive", "DeepColdArchive"])
def test_a_frozen_object_is_listed_and_described_but_not_read(client: Client, storage_class: str) -> None:
    put_cold(client, storage_class)
    upload = client.send("POST", "to", {"uploads": ""}).text("UploadId")
    part = {"partNumber": "1", "uploadId": upload}
    reads = [
        client.get("k"),
        client.get("k", {"range": "bytes=0-1"}),
        client.copy("/demo/k", "copy"),
        client.copy("/demo/k", "k", {"x-oss-storage-class": "Standard"}),
        client.send("PUT", "to", part, {"x-oss-copy-source": "/demo/k"}),
    ]
    assert {(answer.status, answer.code) for answer in reads} == {(403, FROZEN)}
    assert client.head("k").header("Content-Length") == "4"
    assert client.send("GET", "").texts("Contents/StorageClass") == [storage_class]


def test_a_frozen_object_is_not_appended_to(client: Client, clock: VirtualClock) -> None:
    headers = {"x-oss-storage-class": "Archive"}
    client.send("POST", "k", {"append": "", "position": "0"}, headers, b"one")
    assert client.send("POST", "k", {"append": "", "position": "3"}, body=b"two").code == FROZEN
    restore(client)
    clock.advance(60)
    assert client.send("POST", "k", {"append": "", "position": "3"}, body=b"two").status == 200


def test_a_link_to_a_frozen_object_is_frozen(client: Client) -> None:
    put_cold(client, "Archive")
    client.send("PUT", "link", {"symlink": ""}, {"x-oss-symlink-target": "k"})
    assert client.get("link").code == FROZEN


@pytest.mark.parametrize(
    ("storage_class", "tier", "seconds"),
    [
        ("Archive", "", 60),
        ("ColdArchive", "", 5 * 3600),
        ("ColdArchive", "Expedited", 3600),
        ("ColdArchive", "Standard", 5 * 3600),
        ("ColdArchive", "Bulk", 12 * 3600),
        ("DeepColdArchive", "Expedited", 12 * 3600),
        ("DeepColdArchive", "Standard", 48 * 3600),
    ],
)
def test_a_restore_takes_as_long_as_its_tier(
    client: Client, clock: VirtualClock, storage_class: str, tier: str, seconds: int
) -> None:
    put_cold(client, storage_class)
    assert restore(client, 1, tier).status == 202
    clock.advance(seconds - 1)
    assert client.head("k").header("x-oss-restore") == 'ongoing-request="true"'
    assert client.get("k").code == FROZEN
    clock.advance(1)
    assert client.get("k").body == b"cold"
    clock.advance(DAY - 1)
    assert client.get("k").status == 200
    clock.advance(1)
    assert client.get("k").code == FROZEN
    assert not client.head("k").has("x-oss-restore")


def test_a_restored_copy_says_when_it_ends_and_can_be_kept_longer(client: Client, clock: VirtualClock) -> None:
    put_cold(client, "Archive")
    restore(client, 1)
    assert client.send("GET", "").texts("Contents/RestoreInfo") == ['ongoing-request="true"']
    clock.advance(60)
    ends = 'ongoing-request="false", expiry-date="Wed, 04 Sep 2024 00:01:00 GMT"'
    assert client.head("k").header("x-oss-restore") == client.get("k").header("x-oss-restore") == ends
    assert client.send("GET", "", {"list-type": "2"}).texts("Contents/RestoreInfo") == [ends]
    assert client.send("GET", "", {"versions": ""}).texts("Version/RestoreInfo") == [ends]
    assert client.send("GET", "").texts("Contents/Owner/ID") == [client.key.account]
    assert restore(client, 3).status == 200
    assert client.head("k").header("x-oss-restore") == ends.replace("04 Sep", "06 Sep").replace("Wed", "Fri")
    assert restore(client, 1).status == 200
    assert "06 Sep" in (client.head("k").header("x-oss-restore") or "")


def test_a_second_restore_waits_unless_it_is_faster(client: Client, clock: VirtualClock) -> None:
    put_cold(client, "ColdArchive")
    assert restore(client, 1, "Standard").header("x-oss-object-restore-priority") == "Standard"
    again = restore(client, 1, "Standard")
    assert (again.status, again.code) == (409, "RestoreAlreadyInProgress")
    assert restore(client, 1, "Bulk").code == "RestoreAlreadyInProgress"
    assert restore(client, 1, "Expedited").status == 202
    clock.advance(3600)
    assert client.get("k").status == 200


@pytest.mark.parametrize("storage_class", ["Standard", "IA"])
def test_what_is_not_frozen_is_not_restored(client: Client, storage_class: str) -> None:
    put_cold(client, storage_class)
    answer = restore(client)
    assert (answer.status, answer.code) == (400, "OperationNotSupported")
    assert client.get("k").status == 200


@pytest.mark.parametrize(
    ("storage_class", "days", "tier", "code"),
    [
        ("Archive", 0, "", "InvalidArgument"),
        ("Archive", 8, "", "InvalidArgument"),
        ("Archive", 1, "Standard", "MalformedXML"),
        ("ColdArchive", 1, "Soon", "InvalidArgument"),
        ("DeepColdArchive", 1, "Bulk", "InvalidArgument"),
    ],
)
def test_bad_restore_requests_are_refused(client: Client, storage_class: str, days: int, tier: str, code: str) -> None:
    put_cold(client, storage_class)
    answer = restore(client, days, tier)
    assert (answer.status, answer.code) == (400, code)
    assert client.send("POST", "k", {"restore": ""}, body=b"<x/>").code == "MalformedXML"


def test_a_restored_copy_can_be_given_up(client: Client, clock: VirtualClock) -> None:
    put_cold(client, "Archive")
    clean = {"cleanRestoredObject": ""}
    restore(client, 1)
    unfinished = client.send("POST", "k", clean)
    assert (unfinished.status, unfinished.code) == (409, "ArchiveRestoreNotFinished")
    assert unfinished.text("EC") == "0016-00000719"
    clock.advance(60)
    assert client.send("POST", "k", clean).status == 200
    assert client.get("k").code == FROZEN


def test_a_version_is_restored_by_its_id(client: Client, clock: VirtualClock) -> None:
    client.versioning("Enabled")
    put_cold(client, "Archive")
    version = client.head("k").header("x-oss-version-id") or ""
    client.put("k", b"warm")
    assert restore(client, versionId=version).header("x-oss-version-id") == version
    clock.advance(60)
    assert client.get("k", versionId=version).body == b"cold"


def test_archived_objects_can_be_read_directly_where_the_bucket_says_so(client: Client) -> None:
    put_cold(client, "Archive")
    put_cold(client, "ColdArchive", "colder")
    body = b"<ArchiveDirectReadConfiguration><Enabled>%s</Enabled></ArchiveDirectReadConfiguration>"
    client.send("PUT", "", {"bucketArchiveDirectRead": ""}, body=body % b"true")
    assert client.get("k").body == b"cold"
    assert client.get("colder").code == FROZEN
    client.send("PUT", "", {"bucketArchiveDirectRead": ""}, body=body % b"false")
    assert client.get("k").code == FROZEN


def test_reading_a_colder_class_costs_more(client: Client, oss: OssService) -> None:
    client.put("warm", b"x")
    client.put("cool", b"x", {"x-oss-storage-class": "IA"})
    client.get("warm")
    client.get("cool")
    warm, cool = oss.access_log.records[-2:]
    assert cool.cost_ms > warm.cost_ms
