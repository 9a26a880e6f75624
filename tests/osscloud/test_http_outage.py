"""An endpoint that cannot be reached, on real sockets; and answers that take their time."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from tests.waiting import eventually

from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.control import Control
from osscloud.faults import Fault
from osscloud.http_server import HttpServer
from osscloud.service import OssService


@pytest.fixture
def service() -> OssService:
    service = OssService(clock=AdjustableClock(VirtualClock()), rng=random.Random(1))
    service.admin.create_bucket("demo", acl="public-read")
    service.admin.put("demo", "k", b"body")
    return service


@pytest.fixture
def server(service: OssService) -> Iterator[HttpServer]:
    assert isinstance(service.clock, AdjustableClock)
    control = Control(service, clock=service.clock, token="t")
    with HttpServer(service, control=control) as server:
        yield server


def get(server: HttpServer, timeout: float = 10.0) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request("GET", "/demo/k")
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def reachable(server: HttpServer) -> bool:
    try:
        return get(server) == 200
    except ConnectionRefusedError:
        return False


def test_nothing_listens_until_the_clock_says_so(server: HttpServer, service: OssService) -> None:
    standing = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    standing.request("GET", "/demo/k")
    standing.getresponse().read()
    service.faults.add(Fault(action="refuse", seconds=3600))
    with pytest.raises(ConnectionRefusedError):
        get(server)
    assert standing.sock is not None
    with pytest.raises(ConnectionResetError):
        standing.sock.recv(1)
    standing.close()
    assert isinstance(service.clock, AdjustableClock)
    service.clock.advance(3599)
    time.sleep(0.1)
    with pytest.raises(ConnectionRefusedError):
        get(server)
    service.clock.advance(1)
    assert eventually(lambda: reachable(server), seconds=10)
    assert all(record.http_status == 200 for record in service.access_log.records)


def test_a_request_can_start_it_and_clearing_ends_it(server: HttpServer, service: OssService) -> None:
    service.faults.add(Fault(operation="GetObject", action="refuse", seconds=3600))
    with pytest.raises(ConnectionResetError):
        get(server)
    with pytest.raises(ConnectionRefusedError):
        get(server)
    service.faults.clear()
    assert eventually(lambda: reachable(server), seconds=10)


def test_the_connection_that_asked_for_an_outage_can_end_it(server: HttpServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Authorization": "Bearer t"}
    connection.request("POST", "/-/faults", b'{"action": "refuse", "seconds": 3600}', headers)
    assert connection.getresponse().read() == b"{}\n"
    with pytest.raises(ConnectionRefusedError):
        get(server)
    connection.request("GET", "/-/faults", headers=headers)
    assert b'"action": "refuse"' in connection.getresponse().read()
    connection.request("DELETE", "/-/faults", headers=headers)
    assert connection.getresponse().read() == b"{}\n"
    connection.close()
    assert eventually(lambda: reachable(server), seconds=10)


def test_a_black_hole_swallows_requests_and_says_nothing(server: HttpServer, service: OssService) -> None:
    service.faults.add(Fault(action="blackhole", seconds=3600))
    with pytest.raises(TimeoutError):
        get(server, timeout=0.3)
    waiting: list[object] = []

    def wait() -> None:
        try:
            waiting.append(get(server))
        except ConnectionError as error:
            waiting.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    assert waiting == []
    service.faults.clear()
    thread.join(10)
    assert len(waiting) == 1
    assert isinstance(waiting[0], ConnectionError)
    assert get(server) == 200
    assert [record.fault for record in service.access_log.records] == [False]


def test_a_server_in_an_outage_can_be_stopped(service: OssService) -> None:
    with HttpServer(service) as server:
        service.faults.add(Fault(action="refuse", seconds=3600))
        port = server.port
    with socket.create_server(("127.0.0.1", port)):
        pass
    service.faults.clear()


def test_answers_take_their_simulated_time_when_asked_to(service: OssService) -> None:
    service.faults.add(Fault(operation="GetObject", action="latency", seconds=0.4))
    with HttpServer(service, real_latency=True) as server:
        times = []
        for _ in range(2):
            start = time.monotonic()
            assert get(server) == 200
            times.append(time.monotonic() - start)
    late, usual = times
    assert late >= 0.4
    assert 0.005 <= usual < late
