"""Server access logging: what is written into the target bucket when an hour is over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client


def enable(client: Client, bucket: str = "logs", prefix: str = "access/") -> int:
    inner = f"<TargetBucket>{bucket}</TargetBucket><TargetPrefix>{prefix}</TargetPrefix>"
    body = f"<BucketLoggingStatus><LoggingEnabled>{inner}</LoggingEnabled></BucketLoggingStatus>"
    return client.send("PUT", "", {"logging": ""}, body=body.encode()).status


def test_an_hour_of_requests_becomes_an_object(client: Client, clock: VirtualClock, oss: OssService) -> None:
    oss.admin.create_bucket("logs")
    assert enable(client) == 200
    clock.advance(60)
    client.put("a b", b"12345", {"user-agent": 'my "agent"'})
    client.get("missing")
    clock.advance(3600)
    client.get("a b")
    (key,) = oss.admin.keys("logs")
    assert key == "access/demo2024-09-03-08-00-00-0001"
    view = oss.admin.object("logs", key)
    assert view is not None
    _, put, missing = view.read().decode().splitlines()
    pattern = (
        r'127\.0\.0\.1 - - \[03/Sep/2024:08:01:00 \+0800\] "PUT /demo/a%20b HTTP/1\.1" 200 0 \d+ "-" "my %22agent%22" '
        r'"127\.0\.0\.1" "[0-9A-F]{24}" "true" "\d+" "PutObject" "demo" "a%20b" (5|-) \d+ "-" 5 "\d+" (5|-) "-" '
        r'"standard" "-" "-" "LTAI5t\w+"'
    )
    assert re.fullmatch(pattern, put), put
    assert '"GetObject" "demo" "missing"' in missing
    assert '"NoSuchKey"' in missing
    clock.advance(3600)
    assert len(oss.admin.keys("logs")) == 2
    oss.tick()
    assert len(oss.admin.keys("logs")) == 2


def test_nothing_is_logged_from_before_or_for_other_buckets(
    client: Client, clock: VirtualClock, oss: OssService
) -> None:
    oss.admin.create_bucket("logs")
    client.put("before")
    clock.advance(3600)
    client.put("x")
    client.send("PUT", "x", bucket="logs")
    enable(client)
    client.send("PUT", "", {"logging": ""}, body=b"<BucketLoggingStatus/>")
    clock.advance(3600)
    client.get("x")
    assert oss.admin.keys("logs") == ["x"]


@pytest.mark.parametrize(("bucket", "prefix"), [("missing", ""), ("theirs", ""), ("logs", "p" * 33)])
def test_bad_targets_are_refused(client: Client, oss: OssService, bucket: str, prefix: str) -> None:
    oss.admin.create_bucket("logs")
    oss.admin.create_bucket("theirs", owner="42")
    assert enable(client, bucket, prefix) == 400
