"""The `mirror.Origin` that uses sockets: one HTTP or HTTPS exchange a call, on a connection of its own.

The timeout is for the whole exchange, however slowly an origin trickles. Nothing is retried, no proxy is used, no
redirect followed. Any thread may call `fetch`, several at once; `close` breaks what is under way.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

from osscloud.mirror import OriginError, OriginRequest, OriginResponse

__all__ = ["HttpOrigin"]

_USER_AGENT = "aliyun-oss-mirror"


class HttpOrigin:
    """context: of TLS connections; None checks certificates with the machine's authorities."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False

    def fetch(self, request: OriginRequest) -> OriginResponse:
        """Raises OriginError."""
        parts = urlsplit(request.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OriginError("unreachable", f"{request.url} is no http or https URL")
        deadline = time.monotonic() + request.timeout
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            name = (request.server_name or parts.hostname) if parts.scheme == "https" else ""
            with self._connected(parts.hostname, port, deadline, server_name=name) as stream:
                return _exchange(stream, request, host=parts.netloc.rpartition("@")[2], path=_path(request.url))
        except TimeoutError as error:
            raise OriginError("timeout", f"no complete answer within {request.timeout:g} s") from error
        except (HTTPException, OSError, ValueError) as error:
            raise OriginError("unreadable", str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Breaks every exchange under way; those to come fail. Safe to call twice."""
        with self._lock:
            self._closed = True
            for each in self._open:
                # Wakes whoever waits in connect or recv; closing is that thread's business.
                _shut(each)

    @contextmanager
    def _connected(self, host: str, port: int, deadline: float, *, server_name: str) -> Iterator[_Stream]:
        """server_name: for TLS; "" is none."""
        plain = self._connect(host, port, deadline)
        connection = plain
        try:
            if server_name:
                context = self._context or ssl.create_default_context()
                plain.settimeout(_left(deadline))
                connection = context.wrap_socket(plain, server_hostname=server_name)
                with self._lock:
                    self._open.add(connection)
            yield _Stream(connection, deadline)
        finally:
            with self._lock:
                self._open -= {plain, connection}
            connection.close()

    def _connect(self, host: str, port: int, deadline: float) -> socket.socket:
        """Raises OriginError unreachable, TimeoutError."""
        failure: OSError = OSError(f"{host} has no address")
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise OriginError("unreachable", f"{host}: {error.strerror or error}") from error
        for family, kind, protocol, _, address in addresses:
            connection = socket.socket(family, kind, protocol)
            try:
                with self._lock:
                    if self._closed:
                        raise OSError("the service is ending")
                    self._open.add(connection)
                connection.settimeout(_left(deadline))
                connection.connect(address)
            except OSError as error:
                with self._lock:
                    self._open.discard(connection)
                connection.close()
                if isinstance(error, TimeoutError):
                    raise
                failure = error
            else:
                return connection
        raise OriginError("unreachable", f"{host}:{port}: {failure.strerror or failure}") from failure


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended already


def _left(deadline: float) -> float:
    """Raises TimeoutError when nothing is left."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class _Reader(io.RawIOBase):
    """What comes over a socket; every wait ends at the deadline."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._deadline))
        return self._connection.recv_into(buffer)


class _Stream:
    """A connected socket as http.client uses it: what is read outlives `close`, as it does with a socket's own
    makefile."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(_left(self._deadline))
        self._connection.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._connection, self._deadline))

    def close(self) -> None:
        """Nothing: whoever connected closes."""


def _exchange(stream: _Stream, request: OriginRequest, *, host: str, path: str) -> OriginResponse:
    connection = HTTPConnection(host)
    # http.client is used for its wire format only: it uses nothing of a socket but these two methods.
    connection.sock = stream
    connection.putrequest(request.method, path, skip_host=True, skip_accept_encoding=True)
    headers = {"Host": host, "User-Agent": _USER_AGENT, **request.headers}
    sent = {name.lower(): (name, value) for name, value in headers.items()}
    for name, value in sent.values():
        connection.putheader(name, value.encode("latin-1"))
    connection.putheader("Connection", "close")
    connection.endheaders()
    answer = connection.getresponse()
    received: dict[str, str] = {}
    for name, value in answer.getheaders():
        key = name.lower()
        received[key] = f"{received[key]}, {value}" if key in received else value
    try:
        body = answer.read()
    except IncompleteRead as error:
        if answer.chunked:
            raise
        body = error.partial
    return OriginResponse(answer.status, received, body)
