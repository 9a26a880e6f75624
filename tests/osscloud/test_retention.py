"""Retention policies (WORM): their life, and what they protect."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client

DAY = 86_400


def initiate(client: Client, days: int = 3) -> Answer:
    body = (
        f"<InitiateWormConfiguration><RetentionPeriodInDays>{days}</RetentionPeriodInDays></InitiateWormConfiguration>"
    )
    return client.send("POST", "", {"worm": ""}, body=body.encode())


def extend(client: Client, worm_id: str, days: int) -> Answer:
    body = f"<ExtendWormConfiguration><RetentionPeriodInDays>{days}</RetentionPeriodInDays></ExtendWormConfiguration>"
    return client.send("POST", "", {"wormId": worm_id, "wormExtend": ""}, body=body.encode())


def lock(client: Client, days: int = 3) -> str:
    worm_id = initiate(client, days).header("x-oss-worm-id") or ""
    assert client.send("POST", "", {"wormId": worm_id}).status == 200
    return worm_id


def state(client: Client) -> str:
    return client.send("GET", "", {"worm": ""}).text("State")


def test_a_policy_that_is_not_locked_in_a_day_is_gone(client: Client, clock: VirtualClock) -> None:
    client.put("k")
    assert initiate(client).status == 200
    assert state(client) == "InProgress"
    assert initiate(client).code == "WORMConfigurationAlreadyExists"
    assert client.delete("k").code == "FileImmutable"
    clock.advance(DAY)
    assert client.send("GET", "", {"worm": ""}).code == "NoSuchWORMConfiguration"
    assert client.delete("k").status == 204
    assert initiate(client).status == 200


def test_a_policy_in_progress_can_be_dropped(client: Client) -> None:
    client.put("k")
    initiate(client)
    assert client.send("DELETE", "", {"worm": ""}).status == 204
    assert client.delete("k").status == 204


def test_a_locked_policy_stays_and_only_gets_longer(client: Client, clock: VirtualClock) -> None:
    worm_id = lock(client, 3)
    clock.advance(100 * DAY)
    assert state(client) == "Locked"
    assert client.send("DELETE", "", {"worm": ""}).code == "WORMConfigurationLocked"
    assert client.send("POST", "", {"wormId": worm_id}).code == "InvalidWORMConfiguration"
    assert client.send("POST", "", {"wormId": "other"}).code == "NoSuchWORMConfiguration"
    assert extend(client, worm_id, 3).code == "InvalidWORMConfiguration"
    assert extend(client, worm_id, 4).status == 200
    assert client.send("GET", "", {"worm": ""}).text("RetentionPeriodInDays") == "4"


def test_a_protected_object_is_neither_changed_nor_deleted(client: Client, clock: VirtualClock) -> None:
    client.send("POST", "log", {"append": "", "position": "0"}, body=b"x")
    client.put("k", b"kept")
    lock(client, 3)
    upload = client.send("POST", "new", {"uploads": ""}).text("UploadId")
    client.put("other")
    refused = [
        client.send("PUT", "k", body=b"changed"),
        client.copy("/demo/other", "k"),
        client.copy("/demo/k", "k", {"x-oss-metadata-directive": "REPLACE"}),
        client.delete("k"),
        client.delete("k", versionId="null"),
        client.send("POST", "", {"delete": ""}, body=b"<Delete><Object><Key>k</Key></Object></Delete>"),
        client.send("POST", "k", {"uploads": ""}),
        client.send("PUT", "k", {"symlink": ""}, {"x-oss-symlink-target": "other"}),
        client.send("POST", "log", {"append": "", "position": "1"}, body=b"y"),
    ]
    assert {(answer.status, answer.code) for answer in refused} == {(409, "FileImmutable")}
    assert client.get("k").body == b"kept"
    assert client.delete("new", uploadId=upload).status == 204
    clock.advance(3 * DAY)
    assert client.send("PUT", "k", body=b"changed").status == 200
    assert client.delete("k").code == "FileImmutable"


def test_one_protected_key_stops_a_deletion_of_many(client: Client, clock: VirtualClock) -> None:
    client.put("old")
    lock(client, 1)
    clock.advance(DAY)
    client.put("young")
    body = b"<Delete><Object><Key>old</Key></Object><Object><Key>young</Key></Object></Delete>"
    assert client.send("POST", "", {"delete": ""}, body=body).code == "FileImmutable"
    assert client.head("old").status == 200


def test_lifecycle_waits_for_the_end_of_the_retention(client: Client, clock: VirtualClock) -> None:
    client.put("k")
    lock(client, 10)
    rules = b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
    assert client.send("PUT", "", {"lifecycle": ""}, body=rules + b"</LifecycleConfiguration>").status == 200
    clock.advance(9 * DAY)
    assert client.head("k").status == 200
    clock.advance(DAY)
    assert client.head("k").status == 404


def test_in_a_versioned_bucket_versions_are_protected(client: Client) -> None:
    client.versioning("Enabled")
    client.put("k", b"1")
    version = client.head("k").header("x-oss-version-id") or ""
    lock(client)
    assert client.send("PUT", "k", body=b"2").status == 200
    assert client.delete("k").status == 204
    assert client.delete("k", versionId=version).code == "FileImmutable"


def test_versioning_and_retention_exclude_each_other_where_the_switch_says_so(client: Client, oss: OssService) -> None:
    oss.config = replace(oss.config, worm_with_versioning=False)
    put = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    initiate(client)
    refused = client.send("PUT", "", {"versioning": ""}, body=put)
    assert (refused.status, refused.code, refused.text("EC")) == (400, "InvalidRequest", "0027-00000003")
    client.send("DELETE", "", {"worm": ""})
    assert client.send("PUT", "", {"versioning": ""}, body=put).status == 200
    assert initiate(client).text("EC") == "0027-00000003"


def test_suspended_versioning_excludes_retention(client: Client) -> None:
    client.versioning("Suspended")
    assert initiate(client).code == "InvalidRequest"


@pytest.mark.parametrize("days", [0, 70 * 365 + 1])
def test_a_retention_has_a_day_to_seventy_years(client: Client, days: int) -> None:
    assert initiate(client, days).code == "MalformedXML"
