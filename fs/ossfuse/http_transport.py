"""A `Transport` over sockets: keep-alive HTTP/1.1 to an OSS endpoint, as libcurl under ossfs speaks it.

A lean client of its own, because http.client needs three times as long for a request as the exchange itself takes. It
pools connections, announces non-empty PUTs with Expect: 100-continue, and gives up when a peer makes no progress. It
signs nothing, retries nothing (but a kept connection that the server has closed meanwhile) and follows no redirects.

Any thread may call `send`; each call holds one connection for its duration.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import socket
import ssl
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlsplit

from osscloud.message import Caller, Request, Response

__all__ = ["CALLER_HEADER", "Endpoint", "HttpTransport", "Sink", "TransportOptions"]

CALLER_HEADER = "ossvol-caller"
"""Tells a cloud on this machine who caused a request; never sent to another machine."""

CONTINUE_SECONDS = 1.0  # how long libcurl waits for "100 Continue" before it sends the body all the same
MAX_HEAD = 256 * 1024
RECEIVE_SIZE = 64 * 1024
SCRATCH_SIZE = 256 * 1024
BODY_IN_FIRST_PACKET = 16 * 1024
IDLE_CONNECTIONS = 64
KNOWN_COMMANDS = 64  # processes whose name is kept at hand
_BODILESS = frozenset((204, 304))
_SUCCESSFUL = frozenset((200, 206))


class TransportOptions(Protocol):
    """What the transport needs of `MountOptions`."""

    @property
    def url(self) -> str: ...
    @property
    def connect_timeout(self) -> float: ...
    @property
    def readwrite_timeout(self) -> float: ...
    @property
    def check_certificate(self) -> bool: ...
    @property
    def ssl_verify_hostname(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a connection goes. host: name or address without brackets."""

    host: str
    port: int
    secure: bool

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Of "http://host[:port]" or "https://..."; without a scheme it is http, as for libcurl. What is no URL has
        host "", which nothing resolves."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            secure = parts.scheme == "https"
            return cls(parts.hostname or "", parts.port or (443 if secure else 80), secure)
        except ValueError:
            return cls("", 80, False)

    @property
    def loopback(self) -> bool:
        """Whether connections stay on this machine; "localhost" and every name below it do, without asking DNS."""
        host = self.host.rstrip(".").lower()
        return host in ("localhost", "::1") or host.endswith(".localhost") or _is_ipv4_loopback(host)

    @property
    def address(self) -> str:
        """The host to resolve."""
        return "127.0.0.1" if self.loopback and not _is_literal(self.host) else self.host


def _is_ipv4_loopback(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() for part in parts)


def _is_literal(host: str) -> bool:
    return ":" in host or _is_ipv4_loopback(host)


class Sink(Protocol):
    """Takes a large body as it comes in, so that it needs no memory of its own."""

    @property
    def room(self) -> int:
        """Bytes that fit; a longer body, or one of unknown length, comes with the answer."""
        ...

    def write(self, position: int, piece: memoryview) -> None:
        """The bytes at `position` of the body; `piece` is overwritten when this returns."""
        ...


class _Dropped(OSError):
    """A kept connection turned out to be closed before a byte of the answer came: the request may be sent again."""


class _Connection:
    """One socket and what was received beyond the last answer."""

    __slots__ = ("_poller", "_scratch", "advanced", "buffer", "expired", "socket", "used")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.advanced = 0.0
        self.expired = False
        self.buffer = bytearray()
        self.used = False
        self._scratch: memoryview | None = None
        self._poller = select.poll()
        self._poller.register(connected, select.POLLIN)

    def close(self) -> None:
        self.socket.close()

    def stale(self) -> bool:
        """Whether the peer has closed it, or sent something nobody asked for, while it was idle."""
        return self.readable(0)

    def readable(self, milliseconds: float) -> bool:
        """Whether something (the end, too) comes in within that time."""
        return bool(self._poller.poll(milliseconds))

    def receive(self) -> None:
        """Appends at least one byte to the buffer. Raises OSError, TimeoutError, ConnectionResetError at the end."""
        data = self.socket.recv(RECEIVE_SIZE)
        if not data:
            raise ConnectionResetError("the server closed the connection before its answer was complete")
        self.buffer += data

    def line_block(self) -> bytes:
        """The bytes up to the next empty line, which are taken from the buffer."""
        searched = 0
        while True:
            end = self.buffer.find(b"\r\n\r\n", searched)
            if end >= 0:
                block = bytes(self.buffer[:end])
                del self.buffer[: end + 4]
                return block
            if len(self.buffer) > MAX_HEAD:
                raise ConnectionAbortedError("the head of the server's answer is too long")
            searched = max(0, len(self.buffer) - 3)
            self.receive()

    def exactly(self, size: int) -> bytearray:
        """The next `size` bytes."""
        kept = len(self.buffer)
        if kept == size:
            data, self.buffer = self.buffer, bytearray()
            return data
        if kept > size:
            data = self.buffer[:size]
            del self.buffer[:size]
            return data
        target = bytearray(size)
        target[:kept] = self.buffer
        self.buffer.clear()
        view = memoryview(target)[kept:]
        while view:
            count = self.socket.recv_into(view)
            if not count:
                raise ConnectionResetError("the server closed the connection in the middle of a body")
            view = view[count:]
        return target

    def pour(self, size: int, sink: Sink) -> None:
        """The next `size` bytes."""
        position = min(size, len(self.buffer))
        if position:
            sink.write(0, memoryview(self.buffer[:position]))
            del self.buffer[:position]
        if self._scratch is None:
            self._scratch = memoryview(bytearray(SCRATCH_SIZE))
        while position < size:
            piece = self._scratch[: min(size - position, SCRATCH_SIZE)]
            count = self.socket.recv_into(piece)
            if not count:
                raise ConnectionResetError("the server closed the connection in the middle of a body")
            sink.write(position, piece[:count])
            position += count

    def chunked(self) -> bytes:
        """A body of Transfer-Encoding: chunked, trailers dropped."""
        pieces: list[bytes | bytearray] = []
        while True:
            size = int(self._line().split(b";")[0], 16)
            if size == 0:
                while self._line():
                    pass
                return b"".join(pieces)
            pieces.append(self.exactly(size))
            self._line()

    def to_end(self) -> bytes:
        """Everything until the peer closes."""
        while data := self.socket.recv(RECEIVE_SIZE):
            self.buffer += data
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def _line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            self.receive()
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        return line


class HttpTransport:
    """Sends requests to the host that their Host header names, at the port and with the scheme of options.url.

    A request without Host header goes to the endpoint itself. Virtual-host style ("BUCKET.endpoint") therefore needs
    that name to resolve, as for the real client; names below "localhost" are this machine.
    """

    concurrent = True
    """Several requests at once gain time, so a client may send parts side by side."""

    pours = True
    """`send` takes a sink."""

    def __init__(self, options: TransportOptions) -> None:
        self._endpoint = Endpoint.parse(options.url)
        self._connect_timeout = options.connect_timeout or None
        self._progress_timeout = options.readwrite_timeout or None
        self._options = options
        self._tls: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._idle: dict[Endpoint, list[_Connection]] = {}
        self._busy: set[_Connection] = set()
        self._endpoints: dict[str, Endpoint] = {}
        self._commands = _Commands()
        self._closed = False

    def send(self, request: Request, sink: Sink | None = None) -> Response:
        """One exchange. sink: takes the body of a successful answer, which then has none. Raises OSError:
        ConnectionRefusedError, ConnectionResetError, TimeoutError (no progress for readwrite_timeout seconds),
        socket.gaierror, ssl.SSLError."""
        host = request.headers.get("host", "")
        endpoint = self._endpoint if not host else self._endpoints.get(host) or self._remember(host)
        head = self._head(request, endpoint)
        while True:
            connection = self._take(endpoint)
            try:
                response, keep = self._exchange(connection, request, head, sink)
            except _Dropped:
                self._drop(connection)
                continue
            except BaseException as error:
                self._drop(connection)
                if connection.expired and isinstance(error, OSError):
                    raise TimeoutError("no progress for as long as readwrite_timeout") from error
                raise
            if keep:
                self._give_back(endpoint, connection)
            else:
                self._drop(connection)
            return response

    def advance(self, seconds: float) -> None:
        """The clock has been moved ahead: exchanges for which that is as long as readwrite_timeout end."""
        if self._progress_timeout is None:
            return
        with self._lock:
            busy = list(self._busy)
        for connection in busy:
            connection.advanced += seconds
            if connection.advanced >= self._progress_timeout:
                connection.expired = True
                with contextlib.suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the idle connections; those in use close when their exchange ends."""
        with self._lock:
            self._closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()
        for connection in idle:
            connection.close()
        self._commands.close()

    # --- connections ------------------------------------------------------------------------------------------------

    def _remember(self, host: str) -> Endpoint:
        parsed = Endpoint.parse(f"{'https' if self._endpoint.secure else 'http'}://{host}")
        self._endpoints[host] = parsed
        return parsed

    def _take(self, endpoint: Endpoint) -> _Connection:
        while True:
            with self._lock:
                kept = self._idle.get(endpoint)
                connection = kept.pop() if kept else None
                if connection is not None:
                    connection.advanced = 0.0
                    self._busy.add(connection)
            if connection is None:
                connection = self._connect(endpoint)
                with self._lock:
                    self._busy.add(connection)
                return connection
            if not connection.stale():
                return connection
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    def _give_back(self, endpoint: Endpoint, connection: _Connection) -> None:
        connection.used = True
        with self._lock:
            self._busy.discard(connection)
            kept = self._idle.setdefault(endpoint, [])
            if not self._closed and len(kept) < IDLE_CONNECTIONS:
                kept.append(connection)
                return
        connection.close()

    def _connect(self, endpoint: Endpoint) -> _Connection:
        if not endpoint.host:
            raise socket.gaierror(socket.EAI_NONAME, "no host in the URL of the endpoint")
        connected = socket.create_connection((endpoint.address, endpoint.port), timeout=self._connect_timeout)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.settimeout(self._progress_timeout)
            if endpoint.secure:
                connected = self._context().wrap_socket(connected, server_hostname=endpoint.host)
        except BaseException:
            connected.close()
            raise
        return _Connection(connected)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            context = ssl.create_default_context()
            if not self._options.ssl_verify_hostname or not self._options.check_certificate:
                context.check_hostname = False
            if not self._options.check_certificate:
                context.verify_mode = ssl.CERT_NONE
            self._tls = context
        return self._tls

    # --- one exchange -----------------------------------------------------------------------------------------------

    def _head(self, request: Request, endpoint: Endpoint) -> bytes:
        headers = request.headers
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        if "host" not in headers:
            default = endpoint.port == (443 if endpoint.secure else 80)
            name = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
            lines.append(f"host: {name}" if default else f"host: {name}:{endpoint.port}")
        lines += [f"{name}: {value}" for name, value in headers.items() if name != CALLER_HEADER]
        if request.caller is not None and endpoint.loopback:
            lines.append(f"{CALLER_HEADER}: {self._caller_text(request.caller)}")
        if "content-length" not in headers and (request.body or request.method in ("PUT", "POST")):
            lines.append(f"content-length: {len(request.body)}")
        if request.body and request.method == "PUT" and "expect" not in headers:
            lines.append("expect: 100-continue")
        lines += ["", ""]
        # Headers are latin-1 text; a target or a name that is not stays as the bytes it was.
        text = "\r\n".join(lines)
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogateescape")

    def _caller_text(self, caller: Caller) -> str:
        command = _quoted(caller.command or self._commands.of(caller.pid))
        return f"{_quoted(caller.mount)};{caller.operation};{caller.pid};{caller.uid};{command}"

    def _exchange(
        self, connection: _Connection, request: Request, head: bytes, sink: Sink | None
    ) -> tuple[Response, bool]:
        body = request.body
        waits = bool(body) and request.method == "PUT"
        try:
            if not body or waits:
                connection.socket.sendall(head)
            elif len(body) <= BODY_IN_FIRST_PACKET:
                connection.socket.sendall(b"".join((head, body)))
            else:
                connection.socket.sendall(head)
                connection.socket.sendall(body)
            if waits:
                status, headers, sent = self._announced_body(connection, body)
            else:
                status, headers = _parse_head(connection.line_block())
                sent = True
        except (BrokenPipeError, ConnectionResetError):
            if connection.used and not connection.buffer:
                raise _Dropped from None
            raise
        while 100 <= status < 200:
            status, headers = _parse_head(connection.line_block())
        if sink is not None and status in _SUCCESSFUL and (length := _length(headers)) and length <= sink.room:
            connection.pour(length, sink)
            return Response(status, headers), sent and not _closes(headers)
        return self._answer(connection, request.method, status, headers, sent)

    def _announced_body(
        self, connection: _Connection, body: bytes | bytearray | memoryview
    ) -> tuple[int, dict[str, str], bool]:
        """Sends the body once the server asks for it, or says nothing for a second; not at all when it answers."""
        silent = not connection.buffer and not connection.readable(CONTINUE_SECONDS * 1000)
        if not silent:
            status, headers = _parse_head(connection.line_block())
            if status != 100:
                return status, headers, False
        connection.socket.sendall(body)
        status, headers = _parse_head(connection.line_block())
        return status, headers, True

    @staticmethod
    def _answer(
        connection: _Connection, method: str, status: int, headers: dict[str, str], sent: bool
    ) -> tuple[Response, bool]:
        by_name = {_lower(name): value for name, value in headers.items()}
        length = by_name.get("content-length")
        keep = sent and not _closes(headers)
        body: bytes | bytearray = b""
        if method == "HEAD" or status in _BODILESS:
            pass
        elif by_name.get("transfer-encoding", "").lower() == "chunked":
            body = connection.chunked()
        elif length is not None:
            body = connection.exactly(int(length))
        else:
            body = connection.to_end()
            keep = False
        return Response(status, headers, body), keep


def _parse_head(block: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers, names as spelled. Raises ConnectionAbortedError for what is not HTTP."""
    first, *lines = block.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/") or not parts[1].isdigit():
        raise ConnectionAbortedError(f"not an HTTP answer: {first[:80]!r}")
    return int(parts[1]), {name: value.strip() for name, _, value in [line.partition(":") for line in lines]}


def _field(headers: dict[str, str], wanted: str) -> str:
    return next((value for name, value in headers.items() if _lower(name) == wanted), "")


def _length(headers: dict[str, str]) -> int:
    """Of the body that follows; 0 when that is not known beforehand."""
    length = _field(headers, "content-length")
    return int(length) if length.isdigit() and not _field(headers, "transfer-encoding") else 0


def _closes(headers: dict[str, str]) -> bool:
    return _field(headers, "connection").lower() == "close"


_lower = functools.lru_cache(maxsize=1024)(str.lower)


@functools.lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    return quote(text, errors="surrogateescape")


class _Commands:
    """The comm of processes: looked up here and not by the filesystem, because most operations need no request.

    The files stay open: reading one again costs a tenth of opening it, shows a new name after exec(2), and fails once
    the process is gone, whoever has its pid by then. Any thread."""

    def __init__(self) -> None:
        self._files: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, pid: int) -> str:
        """ "" when there is no such process."""
        with self._lock:
            found = self._read(pid) or self._read(pid)
        return found.rstrip(b"\n").decode("utf-8", "surrogateescape")

    def _read(self, pid: int) -> bytes:
        try:
            if pid not in self._files:
                self._files[pid] = os.open(f"/proc/{pid}/comm", os.O_RDONLY | os.O_CLOEXEC)
                if len(self._files) > KNOWN_COMMANDS:
                    os.close(self._files.popitem(last=False)[1])
            return os.pread(self._files[pid], 64, 0)
        except OSError:
            if (stale := self._files.pop(pid, None)) is not None:
                os.close(stale)
            return b""

    def close(self) -> None:
        with self._lock:
            while self._files:
                os.close(self._files.popitem()[1])
