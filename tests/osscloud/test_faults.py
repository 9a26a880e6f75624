"""The fault plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from osscloud.clock import VirtualClock
from osscloud.faults import CLIENT_TIMEOUT, Fault, FaultedResponse, deliver
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Client


def test_the_first_n_calls_of_an_operation_on_a_key_pattern_fail(client: Client, oss: OssService) -> None:
    oss.faults.add(Fault(operation="PutObject", key="data/*", count=2))
    assert client.send("PUT", "other").status == 200
    for _ in range(2):
        answer = client.send("PUT", "data/a", body=b"x")
        assert (answer.status, answer.code) == (503, "ServiceUnavailable")
        assert oss.access_log.records[-1].fault
        assert oss.access_log.records[-1].error_code == "ServiceUnavailable"
    assert oss.admin.keys("demo") == ["other"]
    assert client.send("PUT", "data/a").status == 200
    assert not oss.access_log.records[-1].fault


def test_a_fault_may_have_any_status_and_code(client: Client, oss: OssService) -> None:
    oss.faults.add(Fault(operation="GetObject", status=500, code="InternalError"))
    oss.faults.add(Fault(operation="GetObject", status=418, code="Teapot"))
    assert [(a.status, a.code) for a in (client.get("k"), client.get("k"))] == [(500, "InternalError"), (418, "Teapot")]


def test_a_fault_of_head_is_told_in_the_header(client: Client, oss: OssService) -> None:
    oss.faults.add(Fault(operation="HeadObject"))
    answer = client.head("k")
    assert (answer.status, answer.body, answer.has("x-oss-err")) == (503, b"", True)


def test_a_star_meets_any_operation_and_any_key(client: Client, oss: OssService) -> None:
    oss.faults.add(Fault(count=2))
    assert client.send("GET", "").status == client.head("x").status == 503


def test_a_reset_does_nothing(client: Client, oss: OssService) -> None:
    oss.faults.add(Fault(operation="PutObject", action="reset"))
    response = client.send("PUT", "k", body=b"x").response
    assert isinstance(response, FaultedResponse)
    assert oss.admin.keys("demo") == []
    with pytest.raises(ConnectionResetError):
        deliver(response, VirtualClock())


def test_a_truncated_answer_was_carried_out(client: Client, oss: OssService) -> None:
    client.put("k", b"0123456789")
    oss.faults.add(Fault(operation="GetObject", action="truncate"))
    response = client.get("k").response
    assert isinstance(response, FaultedResponse)
    assert (response.action, response.read(), response.header("Content-Length")) == ("truncate", b"0123456789", "10")
    assert oss.access_log.records[-1].fault
    with pytest.raises(ConnectionResetError):
        deliver(response, VirtualClock())


def test_a_stall_is_late_on_the_clock_of_the_client(client: Client, oss: OssService, clock: VirtualClock) -> None:
    oss.faults.add(Fault(operation="PutObject", action="stall", seconds=30))
    start = clock.now()
    response = client.send("PUT", "k", body=b"x").response
    assert deliver(response, clock).status == 200
    assert clock.now() == start + 30
    assert oss.admin.keys("demo") == ["k"]


def test_an_answer_without_fault_is_delivered_as_it_is(client: Client, clock: VirtualClock) -> None:
    response = client.head("k").response
    assert deliver(response, clock) is response


def test_a_spoiled_answer_may_be_an_error(client: Client, oss: OssService) -> None:
    oss.faults.add(Fault(operation="GetObject", action="stall", seconds=1))
    response = client.get("missing").response
    assert isinstance(response, FaultedResponse)
    assert (response.status, response.seconds) == (404, 1)


def test_a_cleared_plan_does_nothing(client: Client, oss: OssService) -> None:
    oss.faults.add(Fault(count=5))
    assert oss.faults.pending() == [Fault(count=5)]
    oss.faults.clear()
    assert client.send("GET", "").status == 200


def test_throttling_has_the_code_of_what_there_was_too_much_of(client: Client, oss: OssService) -> None:
    oss.faults.add(Fault(action="throttle", count=5))
    answers = [
        client.send("PUT", "k"),
        client.get("k"),
        client.send("GET", ""),
        client.delete("k"),
        client.head("k"),
    ]
    assert {answer.status for answer in answers} == {503}
    assert [record.error_code for record in list(oss.access_log.records)] == [
        "UploadTrafficRateLimitExceeded",
        "DownloadTrafficRateLimitExceeded",
        "MetaOperationQpsLimitExceeded",
        "TotalQpsLimitExceeded",
        "MetaOperationQpsLimitExceeded",
    ]
    assert oss.admin.keys("demo") == []


def test_latency_is_time_that_the_service_took(client: Client, oss: OssService, clock: VirtualClock) -> None:
    oss.faults.add(Fault(operation="PutObject", action="latency", seconds=3))
    answer = client.send("PUT", "k", body=b"x")
    assert int(answer.header("x-oss-server-time") or 0) >= 3000
    assert oss.access_log.records[-1].cost_ms >= 3000
    assert oss.access_log.records[-1].fault
    start = clock.now()
    assert deliver(answer.response, clock).status == 200
    assert clock.now() == start + 3


def test_a_wrong_crc_is_only_in_the_answer(client: Client, oss: OssService) -> None:
    right = client.put("k", b"body").header("x-oss-hash-crc64ecma")
    oss.faults.add(Fault(operation="GetObject", action="crc"))
    answer = client.get("k")
    assert (answer.status, answer.body) == (200, b"body")
    assert answer.header("x-oss-hash-crc64ecma") not in (None, right)
    assert oss.access_log.records[-1].fault
    assert client.get("k").header("x-oss-hash-crc64ecma") == right


@pytest.mark.parametrize(("action", "error"), [("refuse", ConnectionRefusedError), ("blackhole", TimeoutError)])
def test_an_outage_begins_at_once_meets_everybody_and_leaves_no_trace(
    client: Client, oss: OssService, clock: VirtualClock, action: Literal["refuse", "blackhole"], error: type[OSError]
) -> None:
    oss.faults.add(Fault(action=action, seconds=1000))
    assert oss.faults.pending() == []
    assert oss.faults.outage() == (action, 1000)
    for method in ("PUT", "GET"):
        response = client.send(method, "k").response
        with pytest.raises(error):
            deliver(response, VirtualClock())
    assert oss.admin.keys("demo") == []
    assert list(oss.access_log.records) == []
    clock.advance(1000)
    assert client.send("PUT", "k").status == 200
    assert oss.faults.outage() is None


def test_an_outage_may_wait_for_a_request(client: Client, oss: OssService, clock: VirtualClock) -> None:
    oss.faults.add(Fault(operation="PutObject", key="data/*", action="refuse", seconds=60))
    assert client.send("PUT", "other").status == 200
    with pytest.raises(ConnectionRefusedError):
        deliver(client.send("PUT", "data/a").response, clock)
    assert oss.access_log.records[-1].fault
    assert oss.access_log.records[-1].http_status == 0
    with pytest.raises(ConnectionRefusedError):
        deliver(client.get("other").response, clock)
    clock.advance(60)
    assert client.get("other").status == 200


def test_without_a_time_only_the_request_finds_nobody(client: Client, oss: OssService, clock: VirtualClock) -> None:
    oss.faults.add(Fault(operation="GetObject", action="blackhole"))
    start = clock.now()
    with pytest.raises(TimeoutError):
        deliver(client.get("k").response, clock)
    assert clock.now() == start + CLIENT_TIMEOUT
    assert client.get("k").status == 404


def test_clearing_ends_an_outage(client: Client, oss: OssService) -> None:
    oss.faults.add(Fault(action="refuse", seconds=1000))
    oss.faults.clear()
    assert oss.faults.outage() is None
    assert client.send("PUT", "k").status == 200


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"action": "explode"}, {"seconds": -1}, {"seconds": float("nan")}, {"status": 99}]
)
def test_impossible_faults_are_refused_when_planned(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="fault"):
        Fault(**wrong)  # type: ignore[arg-type]
