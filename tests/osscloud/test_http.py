"""The HTTP adapter: bytes on sockets to Request and Response and back, whatever the service behind it answers."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from osscloud.errors import OssError
from osscloud.faults import FaultedResponse
from osscloud.http_server import HttpServer, ListenError
from osscloud.message import Caller, Request, Response


class Recorder:
    """A service that keeps what it was asked and answers what the test says."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Response] = lambda _: Response(200, {"Content-Length": "0"})

    def begin(self, request: Request) -> Response:
        return self.handle(request)

    def handle(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer(request)

    def refuse(self, request: Request, error: OssError) -> Response:
        return Response(error.status, {"Content-Length": "0", "x-oss-err": error.code})


@pytest.fixture
def service() -> Recorder:
    return Recorder()


@pytest.fixture
def server(service: Recorder) -> Iterator[HttpServer]:
    with HttpServer(service) as running:
        yield running


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def converse(server: HttpServer, data: bytes) -> bytes:
    """Everything the server sends until it closes."""
    with connect(server) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def body_of(size: int) -> Response:
    return Response(200, {"Content-Length": str(size)}, b"x" * size)


def test_the_raw_target_reaches_the_service(server: HttpServer, service: Recorder) -> None:
    target = "/bkt//a/../b%2Fc+d%20?list-type=2&x=%2B+"
    converse(server, f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    assert service.requests[0].target == target
    assert service.requests[0].client_ip == "127.0.0.1"


def test_headers_are_latin_1_text_both_ways_and_repeated_ones_are_joined(server: HttpServer, service: Recorder) -> None:
    raw = "文".encode()
    service.answer = lambda request: Response(
        200, {"Content-Length": "0", "x-oss-meta-a": request.headers["x-oss-meta-a"]}
    )
    head = b"GET / HTTP/1.1\r\nHost: h\r\nX-OSS-Meta-A:  " + raw + b" \r\nX-B: 1\r\nx-b: 2\r\nConnection: close\r\n\r\n"
    answer = converse(server, head)
    assert service.requests[0].headers["x-oss-meta-a"] == raw.decode("latin-1")
    assert service.requests[0].headers["x-b"] == "1, 2"
    assert b"x-oss-meta-a: " + raw + b"\r\n" in answer


def test_a_header_value_cannot_end_its_line(server: HttpServer, service: Recorder) -> None:
    service.answer = lambda _: Response(200, {"Content-Type": "a\r\nX-Evil: 1", "Content-Length": "0"})
    answer = converse(server, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"\r\nX-Evil" not in answer
    assert b"Content-Type: a  X-Evil: 1\r\n" in answer


def test_text_that_is_not_latin_1_is_sent_as_utf_8(server: HttpServer, service: Recorder) -> None:
    raw = "文".encode()
    service.answer = lambda _: Response(
        200, {"Content-Disposition": "attachment; 文", "x-oss-meta-a": raw.decode("latin-1"), "Content-Length": "0"}
    )
    answer = converse(server, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"Content-Disposition: attachment; " + raw + b"\r\n" in answer
    assert b"x-oss-meta-a: " + raw + b"\r\n" in answer


def test_a_chunked_body_arrives_whole(server: HttpServer, service: Recorder) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("PUT", "/b/k", iter([b"abc", b"d" * 100_000]), encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert service.requests[0].body == b"abc" + b"d" * 100_000


def test_an_upload_that_says_nothing_of_its_length_is_refused(server: HttpServer, service: Recorder) -> None:
    head = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
    assert b" 411 Length Required\r\n" in converse(server, head + b"\r\n")
    assert b" 200 OK\r\n" in converse(server, head + b"x-oss-copy-source: /b/j\r\n\r\n")
    assert b" 200 OK\r\n" in converse(server, head + b"x-oss-symlink-target: j\r\n\r\n")
    assert b" 200 OK\r\n" in converse(server, head + b"Content-Length: 0\r\n\r\n")


def test_content_encoding_of_an_upload_is_left_alone(server: HttpServer, service: Recorder) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("PUT", "/b/k", b"not gzip", {"Content-Encoding": "gzip"})
    assert connection.getresponse().status == 200
    connection.close()
    assert service.requests[0].body == b"not gzip"


def test_a_client_that_expects_100_continue_gets_it_before_it_sends(server: HttpServer, service: Recorder) -> None:
    with connect(server) as connection:
        connection.sendall(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert service.requests == []
        connection.sendall(b"abc")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    assert service.requests[0].body == b"abc"


def test_a_connection_survives_an_error_with_a_body(server: HttpServer, service: Recorder) -> None:
    service.answer = lambda _: Response(404, {"Content-Length": "5"}, b"<E/>\n")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("PUT", "/b/k", b"y" * 70_000)
    first = connection.getresponse()
    assert (first.status, first.read()) == (404, b"<E/>\n")
    local = connection.sock.getsockname()
    connection.request("GET", "/b/k")
    assert connection.getresponse().read() == b"<E/>\n"
    assert connection.sock.getsockname() == local
    connection.close()


def test_head_answers_the_size_of_the_object_and_no_body(server: HttpServer, service: Recorder) -> None:
    service.answer = lambda request: Response(
        200, {"Content-Length": "12345"}, b"" if request.method == "HEAD" else b"x" * 12345
    )
    answer = converse(server, b"HEAD /b/k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 12345\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


class Zeros:
    """A gigabyte that exists only as one repeated piece."""

    def __len__(self) -> int:
        return 1 << 30

    def chunks(self) -> Iterator[bytes]:
        piece = bytes(1 << 20)
        return (piece for _ in range(1 << 10))


def test_a_body_in_pieces_is_streamed_and_never_joined(server: HttpServer, service: Recorder) -> None:
    service.answer = lambda _: Response(200, {"Content-Length": str(1 << 30)}, Zeros())
    with connect(server) as connection:
        connection.sendall(b"GET /b/k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        received = 0
        buffer = bytearray(1 << 20)
        while count := connection.recv_into(buffer):
            received += count
    assert 1 << 30 < received < (1 << 30) + 1000


def test_a_fault_resets_the_connection(server: HttpServer, service: Recorder) -> None:
    service.answer = lambda _: FaultedResponse(200, {"Content-Length": "0"}, action="reset")
    with connect(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_a_fault_ends_a_body_in_its_middle(server: HttpServer, service: Recorder, size: int) -> None:
    service.answer = lambda _: FaultedResponse(200, {"Content-Length": str(size)}, b"x" * size, action="truncate")
    answer = converse(server, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {size}".encode() in head
    assert len(body) == size // 2


def test_a_stalled_answer_holds_up_nobody_else_and_ends_with_the_server(service: Recorder) -> None:
    service.answer = lambda request: (
        FaultedResponse(200, {"Content-Length": "0"}, action="stall", seconds=3600)
        if request.target == "/slow"
        else body_of(1)
    )
    with HttpServer(service) as server, connect(server) as slow:
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        while not service.requests:
            converse(server, b"GET /quick HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert converse(server, b"GET /quick HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").endswith(b"x")


def test_a_short_stall_is_answered(server: HttpServer, service: Recorder) -> None:
    service.answer = lambda _: FaultedResponse(200, {"Content-Length": "2"}, b"ok", action="stall", seconds=0.01)
    assert converse(server, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").endswith(b"ok")


def test_a_large_upload_is_handled_beside_small_requests(server: HttpServer, service: Recorder) -> None:
    entered, release = threading.Event(), threading.Event()

    def answer(request: Request) -> Response:
        if len(request.body) > 1000:
            entered.set()
            assert release.wait(10)
        return body_of(1)

    service.answer = answer
    large = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    large.request("PUT", "/b/large", b"z" * 1_000_000)
    assert entered.wait(10)
    assert converse(server, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").endswith(b"x")
    release.set()
    assert large.getresponse().status == 200
    large.close()


def test_a_client_that_leaves_early_leaves_no_trace(
    server: HttpServer, service: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer = lambda _: Response(200, {"Content-Length": str(1 << 30)}, Zeros())
    with caplog.at_level(logging.WARNING):
        with connect(server) as connection:
            connection.sendall(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc")
        with connect(server) as connection:
            connection.sendall(b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
            connection.recv(10)
        with connect(server) as connection:
            connection.sendall(b"no http at all\r\n\r\n")
            assert b" 400 Bad" in connection.recv(20)
        with connect(server) as connection:
            connection.sendall(b"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n")
            assert connection.recv(20).startswith(b"HTTP/1.1 200")
        server.stop()
    assert caplog.records == []
    assert "/b/k" not in [request.target for request in service.requests if request.method == "PUT"]


def test_a_mount_names_the_file_operation_behind_a_request(server: HttpServer, service: Recorder) -> None:
    head = "GET / HTTP/1.1\r\nHost: h\r\nossvol-caller: %2Fmnt%3Bx;getattr;12;1000;a%20b\r\nConnection: close\r\n\r\n"
    converse(server, head.encode())
    assert service.requests[0].caller == Caller("/mnt;x", "getattr", 12, 1000, "a b")
    assert "ossvol-caller" not in service.requests[0].headers


@pytest.mark.parametrize("value", ["", "a;b", "m;op;x;0;c"])
def test_an_unreadable_caller_is_dropped(server: HttpServer, service: Recorder, value: str) -> None:
    converse(server, f"GET / HTTP/1.1\r\nHost: h\r\nossvol-caller: {value}\r\nConnection: close\r\n\r\n".encode())
    assert service.requests[0].caller is None
    assert "ossvol-caller" not in service.requests[0].headers


def test_a_port_in_use_is_named(server: HttpServer, service: Recorder) -> None:
    with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1 port {server.port}: Address already in use"):
        HttpServer(service, port=server.port).start()


def test_another_machine_is_served_only_when_asked_for(service: Recorder) -> None:
    with pytest.raises(ListenError, match=r"0\.0\.0\.0 is not a loopback address"):
        HttpServer(service, host="0.0.0.0")
    with HttpServer(service, host="0.0.0.0", allow_remote=True) as server:
        assert server.endpoint == f"http://127.0.0.1:{server.port}"
        assert converse(server, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")


def test_stopping_closes_idle_connections_and_frees_the_port(service: Recorder) -> None:
    server = HttpServer(service)
    server.start()
    port = server.port
    with connect(server) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert idle.recv(1000)
        server.stop()
        assert idle.recv(1000) == b""
    server.stop()
    with HttpServer(service, port=port) as again:
        assert again.port == port
