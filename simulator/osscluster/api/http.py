"""The API server's socket: HTTPS on the loopback address, and the thread that lets the cluster's time pass.

One lock goes around the API and everything that the timeline drives. Between requests virtual time follows the wall
clock, `factor` times as fast; a request sees the cluster as it is at its moment, and what it causes has begun when it
is answered. Start and stop it in the thread that made the cluster; whoever touches the cluster meanwhile holds `lock`.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.server
import json
import os
import secrets
import socket
import ssl
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from osscluster.api.certificate import self_signed
from osscluster.api.endpoint import Answer, Endpoint, KubeRequest, LogStream, Watch, status_of
from osscluster.api.objects import ApiError
from osscluster.api.store import MemoryApi
from osscluster.timeline import Timeline

__all__ = ["ApiServer"]

_ADDRESS = "127.0.0.1"
_TICK_SECONDS = 0.05
_BODY_LIMIT = 3 * 1024 * 1024  # what the API server takes
_DISCOVERY = ("/api", "/apis", "/version")


class ApiServer:
    """A context manager: entering listens, leaving ends every connection and both kinds of threads.

    version: of Kubernetes, "1.28.3". factor: virtual seconds per second of the wall clock; 0: time stands until
    somebody advances the timeline. port 0: a free one. wall: the clock that is followed, in seconds.

    What the timeline raises ends it: `error` is that exception, requests answer 500, and `failed` is set.
    """

    def __init__(
        self,
        api: MemoryApi,
        timeline: Timeline,
        *,
        version: str,
        factor: float = 1.0,
        port: int = 0,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.token = secrets.token_urlsafe(24)
        self.error: BaseException | None = None
        self.failed = threading.Event()
        self._timeline = timeline
        self._endpoint = Endpoint(api, timeline.now, version=version)
        self._factor = factor
        self._wall = wall
        self._seen = wall()
        self._port = port
        self._stopping = threading.Event()
        self._server: _Listener | None = None
        self._threads: list[threading.Thread] = []
        self._certificate = b""

    def __enter__(self) -> ApiServer:
        self._certificate, key = self_signed(_ADDRESS)
        self._server = _Listener((_ADDRESS, self._port), self, _tls(self._certificate, key))
        self._seen = self._wall()
        for name, target in (("kube-api", self._server.serve_forever), ("kube-time", self._drive)):
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        with self.lock:
            self.lock.notify_all()
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.end()
        for thread in self._threads:
            thread.join()
        self._endpoint.close()

    @property
    def url(self) -> str:
        """ "https://127.0.0.1:PORT". Raises RuntimeError before the server has been entered."""
        if self._server is None:
            raise RuntimeError("the server has not been started")
        return f"https://{_ADDRESS}:{self._server.server_address[1]}"

    def write_kubeconfig(self, path: Path) -> None:
        """What `kubectl --kubeconfig` needs, for the eyes of its owner only: it holds the token."""
        certificate = base64.b64encode(self._certificate).decode("ascii")
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "ossvol", "cluster": {"server": self.url, "certificate-authority-data": certificate}}
            ],
            "users": [{"name": "ossvol", "user": {"token": self.token}}],
            "contexts": [{"name": "ossvol", "context": {"cluster": "ossvol", "user": "ossvol"}}],
            "current-context": "ossvol",
        }
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            json.dump(document, file)

    # Time

    def _drive(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            with self.lock:
                if self.error is not None:
                    return
                with contextlib.suppress(_Failed):
                    self._follow()

    def _follow(self) -> None:
        """Brings the cluster to the present. Raises _Failed; holds the lock."""
        if self.error is not None:
            raise _Failed
        now = self._wall()
        seconds, self._seen = (now - self._seen) * self._factor, now
        with self._kept():
            self._timeline.advance(max(0.0, seconds))

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """What a controller or the API itself raises is a defect: it ends the cluster, and is kept for who runs it."""
        try:
            yield
        except BaseException as error:
            self.error = error
            self.failed.set()
            raise _Failed from error
        finally:
            self.lock.notify_all()

    # Requests

    def handle(self, request: KubeRequest) -> Answer | Watch | LogStream:
        """One request, with the cluster's time before and its reactions after. Any thread."""
        with self.lock:
            try:
                self._follow()
                with self._kept():
                    answer = self._endpoint.answer(request)
                if request.method != "GET":
                    self._follow()
            except _Failed:
                return self._broken(request)
            return answer

    def authorised(self, header: str) -> bool:
        """Whether an Authorization header has the token."""
        return hmac.compare_digest(header.encode("utf-8", "replace"), f"Bearer {self.token}".encode("ascii"))

    def stream(self, answer: Watch | LogStream) -> Iterator[bytes]:
        """What an answer that goes on has to say, piece by piece, b"" where there is nothing new: a chance to see
        whether the client is still there. Ends with the answer or the server."""
        seconds = answer.seconds if isinstance(answer, Watch) else None
        deadline = None if seconds is None else self._wall() + seconds
        while not self._stopping.is_set():
            with self.lock:
                try:
                    piece = answer.next()
                except ApiError as error:
                    gone = {"type": "ERROR", "object": status_of(error)}
                    yield json.dumps(gone).encode() + b"\n"
                    return
                ended = isinstance(answer, LogStream) and answer.ended()
                if not piece and not ended and self.error is None:
                    self.lock.wait(1.0)
            yield piece
            if (ended and not piece) or self.error is not None:
                return
            if deadline is not None and self._wall() >= deadline:
                return

    def _broken(self, request: KubeRequest) -> Answer | Watch | LogStream:
        if request.path in _DISCOVERY or request.path.startswith("/openapi/"):
            # Without these kubectl would not come to ask what the message is about.
            return self._endpoint.answer(request)
        text = "".join(traceback.format_exception_only(self.error)).strip() if self.error else "unknown"
        error = ApiError("InternalError", 500, f"Internal error occurred: the cluster has failed: {text}")
        return Answer(500, json.dumps(status_of(error)).encode())


class _Failed(Exception):
    """The timeline has raised something."""


def _tls(certificate: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="ossvol-tls-") as directory:
        file = Path(directory, "both.pem")
        file.write_bytes(key + certificate)
        context.load_cert_chain(file)
    return context


class _Listener(http.server.ThreadingHTTPServer):
    """A thread for each connection; the handshake is made in it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], api: ApiServer, context: ssl.SSLContext) -> None:
        self.api = api
        self._context = context
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        raw, address = super().get_request()
        connection = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        with self._open_lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        with contextlib.suppress(OSError):
            # Without it the thread that reads the connection stays in its read.
            request.shutdown(socket.SHUT_RDWR)
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left, or that was no TLS client, is no news; anything else is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def end(self) -> None:
        """Stops listening and ends the connections that are open."""
        self.server_close()
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection: bytes to `KubeRequest`, answers to bytes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Standard error belongs to the command that serves."""

    def _serve(self) -> None:
        api = self.server.api
        given = self.headers.get("content-length") or "0"
        if not given.isdecimal():
            self.close_connection = True
            self._refuse(ApiError("BadRequest", 400, f"Content-Length is no number: {given}"))
            return
        length = int(given)
        if length > _BODY_LIMIT:
            self.close_connection = True
            self._refuse(ApiError("RequestEntityTooLarge", 413, "Request entity too large: limit is 3145728"))
            return
        body = self.rfile.read(length) if length else self._chunks()
        if not api.authorised(self.headers.get("authorization", "")):
            self._refuse(ApiError("Unauthorized", 401, "Unauthorized"))
            return
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        answer = api.handle(KubeRequest(self.command, unquote(url.path), query, headers, body))
        if isinstance(answer, Answer):
            self._send(answer)
        else:
            self._stream(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _chunks(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return b""
        body = b""
        while size := int(self.rfile.readline(64).partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline(8)
            if len(body) > _BODY_LIMIT:
                raise ConnectionError("the body is too large")
        self.rfile.readline(8)
        return body

    def _refuse(self, error: ApiError) -> None:
        self._send(Answer(error.code, json.dumps(status_of(error)).encode()))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for warning in answer.warnings:
            text = warning.replace("\\", "\\\\").replace('"', '\\"')
            self.send_header("Warning", f'299 - "{text}"')
        self.end_headers()
        self.wfile.write(answer.body)

    def _stream(self, answer: Watch | LogStream) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if isinstance(answer, Watch) else "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in self.server.api.stream(answer):
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            elif self._left():
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    def _left(self) -> bool:
        """Whether the client has closed its side."""
        self.connection.settimeout(0.001)
        try:
            return not self.connection.recv(1)
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(None)
