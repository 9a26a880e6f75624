"""The access log and the cost model."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from osscloud.accesslog import AccessLog, LogRecord
from osscloud.clock import VirtualClock
from osscloud.cost import BASE_MS, cost_ms
from osscloud.errors import OssError
from osscloud.message import Caller, Request
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client


def test_a_request_leaves_one_record_that_says_everything(client: Client, oss: OssService, clock: VirtualClock) -> None:
    clock.advance(1.5)
    caller = Caller("/mnt/data", "create", 4711, 1000, "app")
    headers = {"User-Agent": "ossfs", "Referer": "http://page"}
    answer = client.send("PUT", "a b", {"x-trace": "1"}, headers, b"12345", caller=caller)
    assert len(oss.access_log.records) == 1
    record = oss.access_log.records[0]
    assert record == LogRecord(
        time=clock.now(),
        request_id=answer.header("x-oss-request-id") or "",
        operation="PutObject",
        bucket="demo",
        object="a b",
        http_method="PUT",
        request_uri="/demo/a%20b?x-trace=1",
        http_status=200,
        error_code="",
        ec="",
        bytes_in=5,
        bytes_out=0,
        user_agent="ossfs",
        client_ip="127.0.0.1",
        access_key_id=client.key.id,
        scanned=0,
        returned=0,
        cost_ms=record.cost_ms,
        fault=False,
        caller=caller,
        host="127.0.0.1",
        referer="http://page",
        requester_id=client.key.account,
        object_size=5,
        delta_data_size=5,
    )
    assert record.cost_ms > 0
    assert answer.header("x-oss-server-time") == str(round(record.cost_ms))


def test_a_record_says_how_large_the_object_is_and_what_a_write_changed(client: Client, oss: OssService) -> None:
    def sizes() -> tuple[int | None, int | None]:
        record = oss.access_log.records[-1]
        return record.object_size, record.delta_data_size

    client.put("k", b"12345")
    client.put("k", b"123")
    assert sizes() == (3, -2)
    client.send("PUT", "copy", {}, {"x-oss-copy-source": "/demo/k"})
    assert sizes() == (3, 3)
    client.send("GET", "k", {}, {"Range": "bytes=0-0"})
    assert sizes() == (3, None)
    client.head("k")
    assert sizes() == (3, None)
    client.send("POST", "log", {"append": "", "position": "0"}, {}, b"12")
    client.send("POST", "log", {"append": "", "position": "2"}, {}, b"345")
    assert sizes() == (5, 3)
    client.send("DELETE", "k")
    assert sizes() == (None, None)
    client.send("GET", "k")
    assert sizes() == (None, None)


def test_a_part_is_logged_with_its_own_size(client: Client, oss: OssService) -> None:
    begun = client.send("POST", "big", {"uploads": ""})
    upload = begun.body.partition(b"<UploadId>")[2].partition(b"<")[0].decode()
    part = client.send("PUT", "big", {"partNumber": "1", "uploadId": upload}, {}, b"123")
    record = oss.access_log.records[-1]
    assert (record.operation, record.object_size, record.delta_data_size) == ("UploadPart", 3, 3)
    named = f"<Part><PartNumber>1</PartNumber><ETag>{part.header('ETag')}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>".encode()
    client.send("POST", "big", {"uploadId": upload}, {}, document)
    record = oss.access_log.records[-1]
    assert (record.object_size, record.delta_data_size) == (3, 3)


def test_a_failure_is_logged_with_code_and_ec(client: Client, oss: OssService) -> None:
    client.head("missing")
    record = oss.access_log.records[-1]
    assert (record.operation, record.http_status) == ("HeadObject", 404)
    assert (record.error_code, record.ec, record.bytes_out) == ("NoSuchKey", "0026-00000001", 0)


def test_a_request_that_is_refused_before_it_is_understood_is_logged(client: Client, oss: OssService) -> None:
    client.send("GET", "k", bucket="Bad_Name")
    record = oss.access_log.records[-1]
    assert (record.operation, record.error_code) == ("-", "InvalidBucketName")


def test_a_request_that_a_transport_refuses_is_answered_and_logged(oss: OssService) -> None:
    request = Request("PUT", "/demo/k", {"host": "127.0.0.1"})
    response = oss.refuse(request, OssError("MissingContentLength"))
    assert response.status == 411
    assert b"<Code>MissingContentLength</Code>" in response.read()
    assert oss.access_log.records[-1].error_code == "MissingContentLength"


OPERATIONS: list[tuple[str, str, dict[str, str], dict[str, str], str]] = [
    ("GET", "k", {}, {}, "GetObject"),
    ("HEAD", "k", {}, {}, "HeadObject"),
    ("HEAD", "k", {"objectMeta": ""}, {}, "GetObjectMeta"),
    ("GET", "k", {"acl": "", "versionId": "null"}, {}, "GetObjectAcl"),
    ("PUT", "k", {}, {}, "PutObject"),
    ("PUT", "l", {}, {"x-oss-copy-source": "/demo/k"}, "CopyObject"),
    ("PUT", "s", {"symlink": ""}, {"x-oss-symlink-target": "k"}, "PutObjectSymlink"),
    ("GET", "k", {"symlink": ""}, {}, "GetObjectSymlink"),
    ("POST", "a", {"append": "", "position": "0"}, {}, "AppendObject"),
    ("POST", "k", {"uploads": ""}, {}, "InitiateMultipartUpload"),
    ("PUT", "k", {"partNumber": "1", "uploadId": "x"}, {}, "UploadPart"),
    ("PUT", "k", {"partNumber": "1", "uploadId": "x"}, {"x-oss-copy-source": "/demo/k"}, "UploadPartCopy"),
    ("POST", "k", {"uploadId": "x"}, {}, "CompleteUpload"),
    ("DELETE", "k", {"uploadId": "x"}, {}, "AbortMultipartUpload"),
    ("GET", "k", {"uploadId": "x"}, {}, "ListParts"),
    ("GET", "", {"uploads": ""}, {}, "ListMultipartUploads"),
    ("GET", "", {"list-type": "2"}, {}, "GetBucket"),
    ("GET", "", {}, {}, "GetBucket"),
    ("GET", "", {"versions": ""}, {}, "ListObjectVersions"),
    ("GET", "", {"bucketInfo": ""}, {}, "GetBucketInfo"),
    ("GET", "", {"stat": ""}, {}, "GetBucketStat"),
    ("GET", "", {"location": ""}, {}, "GetBucketLocation"),
    ("GET", "", {"acl": ""}, {}, "GetBucketAcl"),
    ("POST", "", {"delete": ""}, {}, "DeleteObjects"),
    ("DELETE", "k", {}, {}, "DeleteObject"),
    ("DELETE", "", {}, {}, "DeleteBucket"),
]


@pytest.mark.parametrize("sent", OPERATIONS)
def test_operations_have_the_names_of_the_real_log(
    client: Client, oss: OssService, sent: tuple[str, str, dict[str, str], dict[str, str], str]
) -> None:
    method, key, params, headers, operation = sent
    client.send(method, key, params, headers)
    assert oss.access_log.records[-1].operation == operation


def test_marks_select_what_came_later(client: Client, oss: OssService) -> None:
    client.put("a")
    mark = oss.access_log.mark()
    assert oss.access_log.since(mark) == []
    client.put("b")
    client.put("c")
    assert [record.object for record in oss.access_log.since(mark)] == ["b", "c"]
    assert [record.object for record in oss.access_log.since(0)] == ["a", "b", "c"]
    assert [record.object for record in oss.access_log.records[1:]] == ["b", "c"]
    assert [record.object for record in oss.access_log.records] == ["a", "b", "c"]


def test_a_limited_log_keeps_the_newest(client: Client, oss: OssService) -> None:
    oss.access_log = AccessLog(2)
    for key in "abcd":
        client.put(key)
    assert len(oss.access_log.records) == 2
    assert oss.access_log.mark() == 4
    assert [record.object for record in oss.access_log.since(3)] == ["d"]
    assert [record.object for record in oss.access_log.since(0)] == ["c", "d"]


def test_cost_grows_with_bytes_and_with_what_was_scanned() -> None:
    idle = cost_ms("GetObject", bytes_in=0, bytes_out=0, scanned=0)
    assert cost_ms("GetObject", bytes_in=0, bytes_out=1 << 20, scanned=0) == idle + 10
    assert cost_ms("GetBucket", bytes_in=0, bytes_out=0, scanned=1_000_000) > 10_000
    assert cost_ms("SomethingElse", bytes_in=0, bytes_out=0, scanned=0) > 0


def test_every_operation_of_the_cost_table_is_one_of_the_log() -> None:
    assert set(BASE_MS) <= {operation for *_, operation in OPERATIONS}


def test_ids_repeat_with_the_seed() -> None:
    def ids() -> list[str]:
        service = OssService(clock=VirtualClock(), rng=random.Random(3))
        return [service.handle(Request("GET", "/", {})).header("x-oss-request-id") for _ in range(3)]

    seen = ids()
    assert ids() == seen
    assert len(set(seen)) == 3
    assert all(len(i) == 24 and set(i) <= set("0123456789ABCDEF") for i in seen)
