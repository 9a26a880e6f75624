"""The fault plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from osscloud.clock import VirtualClock
from osscloud.faults import Fault, FaultedResponse, deliver
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


@pytest.mark.parametrize("wrong", [{"count": 0}, {"action": "explode"}, {"seconds": -1}])
def test_impossible_faults_are_refused_when_planned(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="fault"):
        Fault(**wrong)  # type: ignore[arg-type]
