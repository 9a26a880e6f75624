"""The transport against scripted peers (what no well-behaved server sends) and against the cloud's own server."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.message import Caller, Request
from osscloud.service import OssService
from ossfuse.http_transport import CALLER_HEADER, Endpoint, HttpTransport
from ossfuse.options import MountOptions

Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def peer(*scripts: Script) -> Iterator[str]:
    """A server that serves one connection for each script, in order; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for script in scripts:
            connection, _ = listener.accept()
            with connection:
                script(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(10)
        listener.close()


def head_of(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            break
        data += received
    return data.decode("latin-1")


def answering(text: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(text)

    return script


def transport(url: str, **changes: float) -> HttpTransport:
    return HttpTransport(MountOptions(url=url, **changes))  # type: ignore[arg-type]  # timeouts only


def get(client: HttpTransport) -> bytes:
    return client.send(Request("GET", "/b/k", {})).read()


def get_once(url: str, **changes: float) -> bytes:
    with contextlib.closing(transport(url, **changes)) as client:
        return get(client)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_a_body_is_complete_however_its_end_is_marked(answer: bytes) -> None:
    with peer(answering(answer)) as url:
        assert get_once(url) == b"hello"


class Collected:
    """A sink."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.data = bytearray()

    def write(self, position: int, piece: memoryview) -> None:
        assert position == len(self.data)
        self.data += piece


def test_a_body_that_fits_is_poured_into_the_sink_and_leaves_the_connection_usable() -> None:
    content = bytes(range(256)) * 4096  # more than what is received at a time

    def twice(connection: socket.socket) -> None:
        for _ in range(2):
            head_of(connection)
            connection.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    with peer(twice) as url, contextlib.closing(transport(url)) as client:
        sink = Collected(len(content))
        answer = client.send(Request("GET", "/b/k", {}), sink)
        assert (answer.status, answer.read(), bytes(sink.data)) == (206, b"", content)
        assert get(client) == content


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_sink_gets_nothing_of_an_error_or_of_what_may_not_fit(answer: bytes) -> None:
    room = 5 if b"403" in answer else 4
    with peer(answering(answer)) as url, contextlib.closing(transport(url)) as client:
        sink = Collected(room)
        assert client.send(Request("GET", "/b/k", {}), sink).read() == b"hello"
        assert not sink.data


def test_a_caller_is_named_as_it_is_called_now_and_not_at_all_when_it_is_gone() -> None:
    told: list[str] = []

    def listening(connection: socket.socket) -> None:
        for _ in range(3):
            head = head_of(connection)
            told.append(next(line for line in head.split("\r\n") if line.startswith(CALLER_HEADER)))
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with peer(listening) as url, contextlib.closing(transport(url)) as client:
        with subprocess.Popen(
            ["sh", "-c", "read a; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as caller:
            assert caller.stdin is not None
            assert caller.stdout is not None
            request = Request("GET", "/b/k", {}, caller=Caller("/mnt", "read", caller.pid, 0))
            while Path(f"/proc/{caller.pid}/comm").read_text() != "sh\n":
                pass
            client.send(request)
            caller.stdin.write(b"a\nb\n")
            caller.stdin.flush()
            assert caller.stdout.readline() == b"b\n"
            client.send(request)
        client.send(request)
    assert [line.rpartition(";")[2] for line in told] == ["sh", "cat", ""]


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"]
)
def test_an_answer_cut_short_is_a_reset(answer: bytes) -> None:
    with peer(answering(answer)) as url, pytest.raises(ConnectionResetError):
        get_once(url)


def test_what_is_not_http_is_no_answer() -> None:
    with peer(answering(b"SSH-2.0-x\r\n\r\n")) as url, pytest.raises(ConnectionAbortedError):
        get_once(url)


def test_nobody_listening_is_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        get_once(f"http://127.0.0.1:{port}")


def test_a_peer_without_progress_times_out() -> None:
    finished = threading.Event()

    def silent(connection: socket.socket) -> None:
        head_of(connection)
        finished.wait(10)

    with peer(silent) as url:
        with pytest.raises(TimeoutError):
            get_once(url, readwrite_timeout=0.05)
        finished.set()


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_once() -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"

    def closes_in_the_next_exchange(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(ok)
        head_of(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with peer(closes_in_the_next_exchange, answering(ok)) as url, contextlib.closing(transport(url)) as client:
        assert get(client) == b"a"
        assert get(client) == b"a"


def test_a_put_sends_its_body_only_when_the_server_asks_for_it() -> None:
    seen: list[bytes] = []

    def patient(connection: socket.socket) -> None:
        assert "expect: 100-continue" in head_of(connection)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        seen.append(connection.recv(100))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def refusing(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        connection.settimeout(10)
        seen.append(connection.recv(100))

    with peer(patient, refusing) as url:
        client = transport(url)
        assert client.send(Request("PUT", "/b/k", {}, b"body")).status == 200
        client.close()
        client = transport(url)
        assert client.send(Request("PUT", "/b/k", {}, b"body")).status == 403
        client.close()
    assert seen == [b"body", b""]


def test_the_caller_is_told_to_this_machine_only() -> None:
    heads: list[str] = []

    def noting(connection: socket.socket) -> None:
        heads.append(head_of(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    caller = Caller("/mnt/a b", "getattr", 12, 34, "cat;x")
    with peer(noting) as url:
        client = transport(url)
        client.send(Request("GET", "/b/k", {}, caller=caller))
        client.close()
    assert "ossvol-caller: /mnt/a%20b;getattr;12;34;cat%3Bx\r\n" in heads[0]
    remote = HttpTransport(MountOptions(url="http://oss-cn-hangzhou.aliyuncs.com"))
    head = remote._head(
        Request("GET", "/b/k", {}, caller=caller), Endpoint.parse("http://oss-cn-hangzhou.aliyuncs.com")
    )
    assert b"ossvol-caller" not in head


@pytest.mark.parametrize(
    ("url", "address", "port", "loopback"),
    [
        ("http://localhost:1234", "127.0.0.1", 1234, True),
        ("http://bkt.oss.localhost", "127.0.0.1", 80, True),
        ("https://127.0.0.9", "127.0.0.9", 443, True),
        ("http://[::1]:99", "::1", 99, True),
        ("http://127.0.0.1.example.com", "127.0.0.1.example.com", 80, False),
        ("oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou.aliyuncs.com", 80, False),
    ],
)
def test_names_below_localhost_are_this_machine(url: str, address: str, port: int, loopback: bool) -> None:
    endpoint = Endpoint.parse(url)
    assert (endpoint.address, endpoint.port, endpoint.loopback) == (address, port, loopback)


def test_a_bucket_in_the_host_name_reaches_the_cloud_without_dns() -> None:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.admin.create_bucket("bkt")
    with HttpServer(service) as server:
        client = transport(f"http://localhost:{server.port}")
        answer = client.send(Request("GET", "/k", {"host": f"bkt.localhost:{server.port}"}))
        client.close()
    assert answer.status == 403  # anonymous, but the bucket was found
    assert b"<BucketName>" in answer.read() or b"AccessDenied" in answer.read()


def test_many_threads_share_the_connections() -> None:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    with HttpServer(service) as server:
        client = transport(server.endpoint)

        def one(number: int) -> int:
            body = bytes([number % 256]) * 3000
            return client.send(Request("PUT", f"/none/{number}", {}, body)).status

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(one, range(200))) <= {403, 404}
        client.close()


@pytest.mark.parametrize("url", ["", "http://", "http://host:port", "http://[::1"])
def test_what_is_no_url_does_not_resolve(url: str) -> None:
    with pytest.raises(socket.gaierror):
        get_once(url)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing: apt install openssl")
@pytest.mark.parametrize("check", [True, False])
def test_tls_is_spoken_and_an_unknown_certificate_is_refused_unless_told_otherwise(tmp_path: Path, check: bool) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def secure(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")(wrapped)

    with peer(secure) as plain:
        url = plain.replace("http://127.0.0.1", "https://localhost")
        if check:
            with pytest.raises(ssl.SSLCertVerificationError):
                get_once(url)
        else:
            assert get_once(url, check_certificate=False) == b"hello"
