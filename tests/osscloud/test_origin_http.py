"""Origins over real sockets: what is sent, how failures are told apart, and that nobody else waits meanwhile."""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.mirror import OriginError, OriginRequest
from osscloud.origin_http import HttpOrigin
from osscloud.service import OssService

Handler = Callable[[socket.socket, bytes], None]


class Site:
    """A server that does what `handler` does with each connection once the head of a request has come."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.handler: Handler = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        self.heads: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._main = threading.Thread(target=self._serve)
        self._main.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._one, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _one(self, connection: socket.socket) -> None:
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                return
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece or piece[0] == 0x16:  # a TLS handshake
                    return
                head += piece
            self.heads.append(head)
            try:
                self.handler(connection, head)
            except OSError:
                return  # the client has gone, which some tests mean to show

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._main.join()
        for thread in self._threads:
            thread.join()


def answer(*pieces: bytes, pause: float = 0.0) -> Handler:
    def handle(connection: socket.socket, head: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)

    return handle


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture
def origin() -> Iterator[HttpOrigin]:
    made = HttpOrigin()
    yield made
    made.close()


def test_the_request_is_what_was_asked_and_little_more(site: Site, origin: HttpOrigin) -> None:
    found = origin.fetch(OriginRequest("GET", site.url + "a%20b?x=1", {"X-A": "ü".encode().decode("latin-1")}))
    assert (found.status, found.body, found.headers["content-length"]) == (200, b"hello", "5")
    lines = site.heads[0].split(b"\r\n")
    assert lines[0] == b"GET /a%20b?x=1 HTTP/1.1"
    assert set(lines[1:-2]) == {
        f"Host: 127.0.0.1:{site.port}".encode(),
        b"User-Agent: aliyun-oss-mirror",
        "X-A: ü".encode(),
        b"Connection: close",
    }


def test_a_rule_may_set_the_host(site: Site, origin: HttpOrigin) -> None:
    origin.fetch(OriginRequest("GET", site.url, {"Host": "other.example"}))
    assert site.heads[0].count(b"Host: ") == 1
    assert b"Host: other.example\r\n" in site.heads[0]


def test_a_head_has_no_body(site: Site, origin: HttpOrigin) -> None:
    site.handler = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    found = origin.fetch(OriginRequest("HEAD", site.url, {}))
    assert (found.body, found.headers["content-length"]) == (b"", "5")


def test_chunks_are_joined_and_repeated_headers_too(site: Site, origin: HttpOrigin) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
    site.handler = answer(head + b"3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n")
    found = origin.fetch(OriginRequest("GET", site.url, {}))
    assert (found.body, found.chunked, found.headers["x-a"]) == (b"hello", True, "1, 2")


def test_a_short_body_is_what_came(site: Site, origin: HttpOrigin) -> None:
    site.handler = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    found = origin.fetch(OriginRequest("GET", site.url, {}))
    assert (found.body, found.headers["content-length"]) == (b"hello", "9")


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
    return port


def reason_of(origin: HttpOrigin, url: str, timeout: float = 5.0) -> str:
    with pytest.raises(OriginError) as caught:
        origin.fetch(OriginRequest("GET", url, {}, timeout))
    return caught.value.reason


def test_failures_are_told_apart(site: Site, origin: HttpOrigin) -> None:
    assert reason_of(origin, f"http://127.0.0.1:{refused_port()}/") == "unreachable"
    assert reason_of(origin, "http://nothing.invalid/") == "unreachable"
    assert reason_of(origin, "ftp://127.0.0.1/") == "unreachable"
    site.handler = answer()
    assert reason_of(origin, site.url) == "unreadable"
    site.handler = answer(b"nonsense\r\n\r\n")
    assert reason_of(origin, site.url) == "unreadable"
    site.handler = answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhel")
    assert reason_of(origin, site.url) == "unreadable"
    assert reason_of(origin, site.url.replace("http:", "https:")) == "unreadable"


def certificate(directory: Path) -> Path:
    """A self-signed one for 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "origin")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("shop.example")]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = directory / "origin.pem"
    file.write_bytes(secret + made.public_bytes(pem))
    return file


def test_an_origin_may_speak_tls_and_its_certificate_is_checked(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    site = Site(server)
    trusting = HttpOrigin(ssl.create_default_context(cafile=file))
    try:
        url = site.url.replace("http:", "https:")
        assert trusting.fetch(OriginRequest("GET", url, {})).body == b"hello"
        assert reason_of(HttpOrigin(), url) == "unreadable"
    finally:
        trusting.close()
        site.close()


@pytest.mark.parametrize("sni", [False, True])
def test_a_rule_with_sni_asks_tls_for_the_host_that_it_names(tmp_path: Path, sni: bool) -> None:
    file = certificate(tmp_path)
    asked: list[str | None] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    server.sni_callback = lambda connection, name, context: asked.append(name)
    site = Site(server)
    headers = "<MirrorHeaders><Set><Key>Host</Key><Value>shop.example</Value></Set></MirrorHeaders>"
    more = headers + ("<MirrorSNI>true</MirrorSNI>" if sni else "")
    context = ssl.create_default_context(cafile=file)
    try:
        with served(site.url.replace("http:", "https:"), more, context) as (_, server_):
            assert get(server_, "/demo/a")[:2] == (200, b"hello")
        assert asked == ["shop.example" if sni else None]  # an address is never asked for
        assert b"Host: shop.example" in site.heads[0]
    finally:
        site.close()


@pytest.mark.parametrize("trickle", [False, True])
def test_the_timeout_is_for_all_of_it(site: Site, origin: HttpOrigin, trickle: bool) -> None:
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 40] if trickle else [b"HTTP/1.1 "] * 2
    site.handler = answer(*pieces, pause=0.02 if trickle else 0.4)
    started = time.monotonic()
    assert reason_of(origin, site.url, timeout=0.3) == "timeout"
    assert 0.25 < time.monotonic() - started < 3


def test_closing_breaks_what_is_under_way(site: Site) -> None:
    waiting = threading.Event()
    over = threading.Event()

    def hang(connection: socket.socket, head: bytes) -> None:
        waiting.set()
        over.wait(30)

    site.handler = hang
    origin = HttpOrigin()
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(reason_of(origin, site.url, timeout=30)))
    thread.start()
    assert waiting.wait(10)
    origin.close()
    thread.join(10)
    over.set()
    assert reasons == ["unreadable"]
    assert reason_of(origin, site.url) == "unreachable"


# Through the cloud's own server


@contextmanager
def served(
    url: str = "", more: str = "", context: ssl.SSLContext | None = None
) -> Iterator[tuple[OssService, HttpServer]]:
    """A cloud whose bucket "demo" everybody may read and mirrors `url` (or itself). more: of the rule."""
    origin = HttpOrigin(context)
    oss = OssService(clock=WallClock(), rng=random.Random(1), origin=origin)
    oss.admin.create_bucket("demo", acl="public-read")
    with HttpServer(oss) as server:
        rule = (
            "<WebsiteConfiguration><RoutingRules><RoutingRule><RuleNumber>1</RuleNumber><Condition>"
            "<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect>"
            f"<RedirectType>Mirror</RedirectType><MirrorURL>{url or server.endpoint + '/demo/'}</MirrorURL>"
            f"{more}</Redirect>"
            "</RoutingRule></RoutingRules></WebsiteConfiguration>"
        )
        bucket = oss._store.buckets["demo"]
        bucket.configure("website", rule.encode())
        try:
            yield oss, server
        finally:
            origin.close()


def get(server: HttpServer, path: str, timeout: float = 20.0) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request("GET", path)
        found = connection.getresponse()
        return found.status, found.read(), found.headers
    finally:
        connection.close()


def test_nobody_else_waits_while_an_origin_does_not_answer(site: Site) -> None:
    waiting = threading.Event()
    go = threading.Event()

    def slow(connection: socket.socket, head: bytes) -> None:
        waiting.set()
        go.wait(30)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    site.handler = slow
    with served(site.url) as (oss, server):
        oss.admin.put("demo", "there", b"quick")
        found: list[bytes] = []
        thread = threading.Thread(target=lambda: found.append(get(server, "/demo/missing")[1]))
        thread.start()
        assert waiting.wait(10)
        for _ in range(5):
            assert get(server, "/demo/there", timeout=5)[1] == b"quick"
        go.set()
        thread.join(10)
        assert found == [b"slow"]


def test_an_answer_in_chunks_is_relayed_in_chunks_and_stored_whole(site: Site) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/css\r\n\r\n"
    site.handler = answer(head + b"3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n")
    with served(site.url) as (_, server):
        status, body, headers = get(server, "/demo/a")
        assert (status, body, headers["Transfer-Encoding"], headers["Content-Length"]) == (
            200,
            b"hello",
            "chunked",
            None,
        )
        status, body, headers = get(server, "/demo/a")
        assert (status, body, headers["Content-Length"], headers["x-oss-tag"]) == (200, b"hello", "5", "MIRROR")
        # The connection goes on after a chunked answer.
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for path in ("/demo/b", "/demo/c", "/demo/b"):
            connection.request("GET", path)
            assert connection.getresponse().read() == b"hello"
        connection.close()


def test_a_bucket_that_mirrors_itself_over_http_is_found_out() -> None:
    with served() as (oss, server):
        status, body, _ = get(server, "/demo/a")
        assert (status, b"<Code>MirrorFailed</Code>" in body) == (424, True)
        assert len([record for record in oss.access_log.records if record.operation == "GetObject"]) == 2


def test_a_server_stops_at_once_while_an_origin_does_not_answer(site: Site) -> None:
    waiting = threading.Event()
    over = threading.Event()

    def hang(connection: socket.socket, head: bytes) -> None:
        waiting.set()
        over.wait(30)

    site.handler = hang
    started = time.monotonic()
    with served(site.url) as (_, server):
        thread = threading.Thread(target=lambda: _ignore(lambda: get(server, "/demo/a")))
        thread.start()
        assert waiting.wait(10)
    thread.join(10)
    over.set()
    assert time.monotonic() - started < 8


def _ignore(call: Callable[[], object]) -> None:
    """The server may end before it has answered."""
    try:
        call()
    except (OSError, http.client.HTTPException):
        return
