"""Questions to the access log."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from osscloud.accesslog import LogRecord
from osscloud.logquery import GROUPINGS, LogFilter, group, parse_record, record_json
from osscloud.message import Caller

BASE = LogRecord(
    time=1000.0, request_id="R1", operation="HeadObject", bucket="demo", object="data/a.txt", http_method="HEAD",
    request_uri="/demo/data/a.txt", http_status=404, error_code="NoSuchKey", ec="0026-1", bytes_in=1, bytes_out=2,
    user_agent="aliyun-sdk-http/1.0()/ossfs/1.91.3", client_ip="10.0.0.7", access_key_id="AK", scanned=3, returned=0,
    cost_ms=4.0, fault=False, caller=None,
)  # fmt: skip
LS = Caller("/mnt", "getattr", 17, 1000, "ls")
CAT = Caller("/mnt", "read", 18, 0, "cat")


def fits(record: LogRecord = BASE, now: float = 2000.0, **filters: str) -> bool:
    return LogFilter.parse(filters, now=now).fits(record)


@pytest.mark.parametrize(
    ("name", "fitting", "other"),
    [
        ("operation", "HeadObject", "GetObject"),
        ("bucket", "demo", "dem"),
        ("object", "data/*", "data/?.csv"),
        ("object", "*", "DATA/*"),
        ("status", "404", "400"),
        ("status", "4xx", "5xx"),
        ("status", "200,400-404", "405-499,0"),
        ("error_code", "NoSuchKey", "NoSuch"),
        ("user_agent", "aliyun-sdk-http/", "ossfs"),
        ("client_ip", "10.0.0.7", "10.0.0"),
        ("request_id", "R1", "R"),
        ("since", "1000", "1001"),
        ("since", "1970-01-01T00:16:40Z", "1970-01-01T00:16:41Z"),
        ("since", "1970-01-01T08:16:40+08:00", "1970-01-01T00:17"),
        ("since", "1000s", "16m"),
        ("until", "1001", "1000"),
        ("until", "15m", "17m"),
    ],
)
def test_a_filter_keeps_what_fits(name: str, fitting: str, other: str) -> None:
    assert fits(**{name: fitting})
    assert not fits(**{name: other})


def test_all_filters_have_to_fit_and_none_fits_all() -> None:
    assert fits()
    assert fits(operation="HeadObject", status="404")
    assert not fits(operation="HeadObject", status="200")


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"status": "4x"}, "status cannot be '4x': write 404, 4xx or 400-403"),
        ({"status": "500-400"}, "status cannot be"),
        ({"since": "yesterday"}, "since cannot be 'yesterday': write a time"),
        ({"until": "nan"}, "until cannot be 'nan'"),
        ({"since": "1m", "until": "2m"}, "since 1m is not before until 2m: no record can fit"),
        ({"method": "GET"}, "there is no filter method; there are operation, bucket"),
    ],
)
def test_a_filter_without_sense_says_what_would_be_right(filters: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogFilter.parse(filters, now=2000.0)


def test_a_record_survives_being_a_line_of_json() -> None:
    for record in (BASE, replace(BASE, caller=LS, object="\udcff\u6587")):
        assert parse_record(record_json(record)) == record


@pytest.mark.parametrize("change", [{"http_status": "404"}, {"caller": {"x": 1}}, {"fault": 0}, {"time": None}])
def test_a_line_that_is_no_record_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        parse_record(json.dumps({**json.loads(record_json(BASE)), **change}))
    with pytest.raises(ValueError, match="no access_key_id, bucket"):
        parse_record("{}")
    with pytest.raises(ValueError, match="not an object"):
        parse_record("[]")


def test_groups_count_requests_errors_and_costs_and_keep_faults_apart() -> None:
    records = [
        BASE,
        replace(BASE, time=1005.0, http_status=200),
        replace(BASE, time=990.0, http_status=503, fault=True),
        replace(BASE, operation="GetObject", http_status=200),
    ]
    heads, gets = group(records, "operation")
    assert (heads.name, heads.requests, heads.errors, heads.faults) == ("HeadObject", 2, 1, 1)
    assert (heads.bytes_in, heads.bytes_out, heads.scanned, heads.cost_ms) == (2, 4, 6, 8.0)
    assert (heads.first, heads.last) == (990.0, 1005.0)
    assert (gets.name, gets.requests, gets.errors, gets.faults) == ("GetObject", 1, 0, 0)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("process", ["ls[17] uid 1000 on /mnt", "-", "cat[18] uid 0 on /mnt"]),
        ("file-operation", ["getattr", "-", "read"]),
        ("user-agent", ["aliyun-sdk-http/1.0()/ossfs/1.91.3", "-"]),
        ("operation", ["HeadObject"]),
    ],
)
def test_records_are_grouped_by_who_sent_them_and_what_for(by: str, names: list[str]) -> None:
    records = [replace(BASE, caller=LS)] * 3 + [replace(BASE, caller=CAT)] + [replace(BASE, user_agent="")] * 2
    assert by in GROUPINGS
    found = [one.name for one in group(records, by)]
    assert found == names


def test_an_unknown_grouping_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be grouped by 'uid': process, file-operation, user-agent, operation"):
        group([], "uid")
