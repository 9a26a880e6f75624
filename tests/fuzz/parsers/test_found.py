"""What the targets found, as small as it shrank."""

from __future__ import annotations

import asyncio
import random
from io import BytesIO

import pytest
from tests.fuzz.parsers.test_http_requests import converse, no_mistakes

from osscloud.addressing import resolve
from osscloud.clock import VirtualClock
from osscloud.errors import OssError
from osscloud.message import Request
from osscloud.operations.selection import parse_range
from osscloud.persistence.errors import StateError
from osscloud.persistence.snapshot import load, save
from osscloud.service import OssService, ServiceConfig
from osscloud.xml import parse_http_date
from osscluster.api.manifests import read
from osscluster.api.quantity import Quantity, QuantityError
from osscluster.marks import MAX_DEPTH
from ossfuse.mime import MimeTable
from ossvol.errors import ScenarioErrors
from ossvol.scenario import loads

LONG = "9" * 5000
"""More digits than Python makes an integer of."""


@pytest.mark.parametrize(
    ("target", "host", "code"),
    [
        ("//k", "127.0.0.1", "InvalidBucketName"),
        ("*/*/", "127.0.0.1", "InvalidURI"),
        ("*k", "oss-cn-hangzhou.aliyuncs.com", "InvalidURI"),
    ],
)
def test_a_key_without_a_bucket_is_no_address(target: str, host: str, code: str) -> None:
    with pytest.raises(OssError) as caught:
        resolve(Request("GET", target, {"host": host}), ServiceConfig(), {})
    assert caught.value.code == code


def test_an_asterisk_asks_about_the_service() -> None:
    assert resolve(Request("OPTIONS", "*", {"host": "127.0.0.1"}), ServiceConfig(), {}).bucket == ""


@pytest.mark.parametrize(
    "lines",
    [
        [f"POST /open/k?append&position={LONG[:3500]} HTTP/1.1", "Content-Length: 0"],
        [f"POST /open/k?append&position={LONG} HTTP/1.1", "Content-Length: 0"],
        ["POST /open/k?append&position=%D9%A3 HTTP/1.1", "Content-Length: 0"],
        [f"PUT /open/k?uploadId=A&partNumber={LONG} HTTP/1.1", "Content-Length: 0"],
        ["GET /open/k HTTP/1.1", f"Range: bytes=0-{LONG}"],
        [f"GET /open/k?OSSAccessKeyId=a&Signature=b&Expires={LONG} HTTP/1.1"],
    ],
)
def test_numbers_that_are_too_long_are_mistakes_of_the_client(lines: list[str]) -> None:
    service = OssService(clock=VirtualClock(), rng=random.Random(1))
    service.admin.create_bucket("open", acl="public-read-write")
    service.admin.put("open", "k", b"0123456789")
    method, target = lines[0].split(" ")[:2]
    headers = dict(line.lower().split(": ") for line in lines[1:])
    assert service.handle(Request(method, target, {"host": "127.0.0.1", **headers})).status < 500


def test_a_part_number_that_is_too_long_is_malformed_xml() -> None:
    body = (
        f"<CompleteMultipartUpload><Part><PartNumber>{LONG}</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>"
    )
    service = OssService(clock=VirtualClock(), rng=random.Random(1))
    service.admin.create_bucket("open", acl="public-read-write")
    host = {"host": "127.0.0.1"}
    begun = service.handle(Request("POST", "/open/k?uploads", host)).read()
    upload = begun.partition(b"<UploadId>")[2].partition(b"<")[0].decode()
    answer = service.handle(Request("POST", f"/open/k?uploadId={upload}", host, body.encode()))
    assert (answer.status, b"<Code>MalformedXML</Code>" in answer.read()) == (400, True)


def test_a_range_with_too_many_digits_is_malformed_and_ignored() -> None:
    assert parse_range(f"bytes=0-{LONG}", 10, standard=False) is None
    assert parse_range("bytes=\u0660-\u0663", 10, standard=True) is None


@pytest.mark.parametrize(
    "part", ["01 Jan 99999999999999999999 00:00:00 GMT", "01 Jan 2024 00:00:00 +99999999999999999999"]
)
def test_a_date_beyond_every_calendar_is_none(part: str) -> None:
    assert parse_http_date(f"Mon, {part}") is None


def test_a_target_of_another_form_gets_an_answer_of_oss() -> None:
    service = OssService(clock=VirtualClock(), rng=random.Random(1))
    with no_mistakes():
        answer = asyncio.run(converse(service, b"GET //k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", []))
    assert b"<Code>InvalidBucketName</Code>" in answer


@pytest.mark.parametrize(
    "text", ["[" * 200_000 + "]" * 200_000, "- " * 20_000, "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)]
)
def test_yaml_nested_beyond_every_use_is_a_mistake_and_no_crash(text: str) -> None:
    with pytest.raises(ScenarioErrors, match=r"F:1:[0-9]+: E110 nested more than 100 levels deep"):
        loads(text, "F")
    assert [problem.code for problem in read(text, "F").errors] == ["K110"]


def test_a_file_that_ends_too_early_is_wrong_at_its_end() -> None:
    with pytest.raises(ScenarioErrors, match=r"^F:2:5: E110 not valid YAML"):
        loads("a: 1\nb: [", "F")


def test_a_quantity_is_capped_where_kubernetes_caps_it() -> None:
    assert Quantity.parse("1e9999999").value == 2**63 - 1
    assert Quantity.parse("-9E9").value == -9 * 10**9
    with pytest.raises(QuantityError):
        Quantity.parse("\u0663Gi")


def test_only_line_feeds_end_a_line_of_mime_types() -> None:
    assert MimeTable.load("text/plain a\x0cb\u2028 c\n").types == {
        "a": "text/plain",
        "b\u2028": "text/plain",
        "c": "text/plain",
    }


def test_a_snapshot_whose_directory_lies_elsewhere_is_damaged() -> None:
    service = OssService(clock=VirtualClock(), rng=random.Random(1))
    file = BytesIO()
    save(service, file)
    with pytest.raises(StateError, match=r"^F is damaged"):
        load(service, BytesIO(file.getvalue()[1:]), "F")
