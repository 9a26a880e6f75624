"""One client's connection: bytes to `Request`, `Response` to bytes, in the order of the requests.

An asyncio protocol over llhttp (`httptools`). What a client may do wrongly ends here: malformed HTTP, a head that is
too long or too slow, a body that stops, requests faster than their answers, answers that nobody reads. Decides nothing
about OSS. Everything runs on the server's loop; only requests with a large body are handled on a worker thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Protocol, cast
from urllib.parse import unquote

import httptools

from osscloud.errors import OssError
from osscloud.faults import LOST, FaultedResponse, FaultPlan
from osscloud.message import Caller, Deferred, Request, Response

__all__ = ["CALLER_HEADER", "OUTAGE_POLL", "Connection", "Context", "Limits", "Service", "is_loopback"]

CALLER_HEADER = "ossvol-caller"
"""Set by a mount on its requests: "MOUNT;OPERATION;PID;UID;COMMAND", mount and command percent-encoded."""

INLINE_LIMIT = 256 * 1024
"""Bytes of body up to which a request is handled on the loop; hashing more would hold up other connections."""

WRITE_SIZE = 256 * 1024

OUTAGE_POLL = 0.02
"""Seconds between two looks at a clock that others move."""

LINGER_SECONDS = 2.0
"""How long a refused client may go on sending before its connection is reset."""

_IDLE, _HEAD, _BODY = range(3)

_Message = tuple[Request, bool, OssError | None]
"""A request, whether the connection stays, and why it is refused unread."""

logger = logging.getLogger(__name__)


class Service(Protocol):
    """What a connection needs of `OssService`."""

    def handle(self, request: Request) -> Response: ...
    def begin(self, request: Request) -> Response | Deferred: ...
    def refuse(self, request: Request, error: OssError) -> Response: ...


class Control(Protocol):
    """What answers the paths below /-/."""

    def handle(self, request: Request) -> Response: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take. head_bytes, head_lines: of a request line with its headers. head_seconds: from the
    first byte of a head to its end. stall_seconds: without a byte of a body that is still to come, or of an answer that
    is still to be read. idle_seconds: between requests. pipelined: requests that wait for the answer to one before
    them. body_bytes: of one request; no operation takes more. sweep_seconds: how often all this is looked at."""

    head_bytes: int = 64 * 1024
    head_lines: int = 400
    head_seconds: float = 30.0
    stall_seconds: float = 60.0
    idle_seconds: float = 120.0
    pipelined: int = 32
    body_bytes: int = 5 * 1024**3
    sweep_seconds: float = 1.0


@dataclass(slots=True)
class Context:
    """What the connections of one server share. workers: handle requests with a large body. waiters: apart from those,
    as whoever waits for an origin, perhaps for one that is this very server, must not hold up an upload. stopping: set
    when the server stops. faults: of the service, None when it has no plan. real_latency: an answer waits for the time
    that the service says it would have taken. connections: those that are open."""

    service: Service
    control: Control | None
    limits: Limits
    loop: asyncio.AbstractEventLoop
    workers: Executor
    waiters: Executor
    stopping: asyncio.Event
    faults: FaultPlan | None
    real_latency: bool
    connections: set[Connection] = field(default_factory=set)


@lru_cache(maxsize=128)
def _status_line(status: int) -> str:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    return f"HTTP/1.1 {status} {reason}\r\n"


def _head(response: Response, *, keep_alive: bool) -> bytes:
    headers = response.headers
    headers["Connection"] = "keep-alive" if keep_alive else "close"
    text = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
    if not text.isascii() or text.count("\n") >= len(headers) or text.count("\r") >= len(headers):
        return _status_line(response.status).encode("ascii") + b"".join(map(_encode_line, headers.items())) + b"\r\n"
    return f"{_status_line(response.status)}{text}\r\n\r\n".encode("ascii")


def _encode_line(header: tuple[str, str]) -> bytes:
    """latin-1, which is how bytes of unknown meaning are kept; UTF-8 for text that came decoded from a query. A value
    that came from a request (response-content-type=...) must not end its line."""
    line = ": ".join(header).replace("\r", " ").replace("\n", " ") + "\r\n"
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=1024)
def _header_name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def _lacks_length(headers: Mapping[str, str]) -> bool:
    """Copies and links have no body, and some clients then say nothing of its length.

    Links: measured, ossfs2 2.0.7."""
    return not (
        "content-length" in headers
        or "transfer-encoding" in headers
        or "x-oss-copy-source" in headers
        or "x-oss-symlink-target" in headers
        or "x-amz-copy-source" in headers
    )


@lru_cache(maxsize=1024)
def _parse_caller(value: str) -> Caller | None:
    parts = value.split(";")
    if len(parts) != 5:
        return None
    try:
        pid, uid = int(parts[2]), int(parts[3])
    except ValueError:
        return None
    return Caller(unquote(parts[0]), parts[1], pid, uid, unquote(parts[4]))


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """True for an address of this machine that no other machine reaches."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


_TOO_LARGE = OssError("InvalidArgument", "The header of the request is too large.")


class _Refused(Exception):
    """What arrived so far is enough to refuse the request with."""

    def __init__(self, error: OssError) -> None:
        super().__init__(str(error))
        self.error = error


class Connection(asyncio.Protocol):
    """See the module. The server calls `sweep` about once a second, `shut` when it stops."""

    __slots__ = (
        "_arrived",
        "_body",
        "_body_bytes",
        "_busy",
        "_client_ip",
        "_context",
        "_continue",
        "_deaf",
        "_eof",
        "_headers",
        "_lines",
        "_local",
        "_moved",
        "_parser",
        "_state",
        "_taken",
        "_target",
        "_transport",
        "_unsent",
        "_untaken",
        "_waiting",
        "_writable",
        "spared",
    )

    def __init__(self, context: Context) -> None:
        self.spared = False
        """The control interface is spoken here, which outlives an outage that it may be there to end."""
        self._context = context
        self._parser = httptools.HttpRequestParser(self)
        self._state = _IDLE
        self._waiting: deque[_Message] = deque()
        self._busy: asyncio.Task[None] | None = None
        self._moved = context.loop.time()
        self._deaf = False  # what still comes is thrown away
        self._eof = False  # no further request will come
        self._continue = False
        self._writable: asyncio.Future[None] | None = None
        self._unsent = 0
        self._arrived = 0
        self._taken = False
        self._forget()

    def _forget(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._lines: list[tuple[bytes, bytes]] = []
        self._untaken = self._body_bytes = 0

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's claims no such base class
        peer = transport.get_extra_info("peername")
        self._client_ip = peer[0] if isinstance(peer, tuple) else ""
        self._local = is_loopback(self._client_ip)
        self._context.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._context.connections.discard(self)
        self._deaf = True
        self._waiting.clear()
        if self._busy is not None:
            self._busy.cancel()
        if self._writable is not None:
            self._writable.cancel()

    def eof_received(self) -> bool:
        """A client that has said all may still read: what it asked for is answered before the connection ends."""
        if self._state == _BODY and not self._deaf:
            self._refuse(OssError("IncompleteBody"))
        self._deaf = self._eof = True
        return self._busy is not None or bool(self._waiting)

    def pause_writing(self) -> None:
        self._writable = self._context.loop.create_future()
        self._pace()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        self._pace()

    def _pace(self) -> None:
        """Reads on only while answers leave as fast as requests come."""
        if self._transport.is_closing():
            return
        if self._writable is None and len(self._waiting) < self._context.limits.pipelined:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._state == _BODY:
            self._moved = self._context.loop.time()
        self._arrived = len(data)
        try:
            self._parser.feed_data(data)
            if self._state != _IDLE and not self._taken:
                # A line, or trailers, that go on and on reach no callback below.
                self._untaken += len(data)
                if self._untaken > self._context.limits.head_bytes:
                    raise _Refused(_TOO_LARGE)
            self._taken = False
        except httptools.HttpParserUpgrade:
            # The request has been taken; the protocol that it offers is not spoken here.
            self._deaf = self._eof = True
            if self._busy is None and not self._waiting:
                self._transport.close()
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if not isinstance(cause, _Refused):
                raise
            self._refuse(cause.error)
        except _Refused as refused:
            self._refuse(refused.error)
        except httptools.HttpParserInvalidURLError:
            self._refuse(OssError("InvalidURI"))
        except httptools.HttpParserError as error:
            self._refuse(OssError("InvalidRequest", f"The request is malformed: {error}."))
        else:
            if self._continue and self._busy is None:
                self._continue = False
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # What llhttp calls

    def on_message_begin(self) -> None:
        self._state = _HEAD
        self._moved = self._context.loop.time()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # Of a trailer as well, which nobody asks for.
        self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        limits = self._context.limits
        lines = self._lines
        # No head is larger than the bytes that it may have come in.
        large = self._untaken + self._arrived > limits.head_bytes and self._head_bytes() > limits.head_bytes
        if large or len(lines) > limits.head_lines:
            raise _Refused(_TOO_LARGE)
        headers = self._headers
        for raw, value in lines:
            name = _header_name(raw)
            text = value.decode("latin-1").strip(" \t")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        self._state = _BODY
        self._lines = []
        self._untaken = 0
        self._taken = True
        if "expect" in headers and headers["expect"].lower() == "100-continue":
            del headers["expect"]
            self._continue = True
        if "content-length" in headers:
            self._count_body(int(headers["content-length"]))

    def _head_bytes(self) -> int:
        return len(self._target) + sum(len(name) + len(value) for name, value in self._lines)

    def _count_body(self, size: int) -> None:
        limit = self._context.limits.body_bytes
        if size > limit:
            raise _Refused(OssError("EntityTooLarge", extras={"MaxSizeAllowed": str(limit)}))

    def on_body(self, body: bytes) -> None:
        self._continue = False
        self._taken = True
        self._untaken = 0
        self._body.append(body)
        self._body_bytes += len(body)
        self._count_body(self._body_bytes)

    def on_message_complete(self) -> None:
        request = self._request(b"".join(self._body))
        message = (request, self._parser.should_keep_alive(), None)
        self._state = _IDLE
        self._continue = False
        self._forget()
        self._take(message)

    def _request(self, body: bytes) -> Request:
        headers = self._headers
        caller = None
        if CALLER_HEADER in headers:
            named = headers.pop(CALLER_HEADER)
            if self._local:
                caller = _parse_caller(named)
        method = self._parser.get_method().decode("ascii")
        target = self._target.decode("utf-8", "surrogateescape")
        return Request(method, target, headers, body, self._client_ip, caller=caller)

    # Answers, in the order of the requests

    def _refuse(self, error: OssError) -> None:
        """The last answer of a connection whose bytes make no sense any more."""
        request = self._request(b"") if self._state == _BODY else Request("-", "/", {}, b"", self._client_ip)
        self._deaf = True
        self._state = _IDLE
        self._continue = False
        self._forget()
        self._take((request, False, error))

    def _take(self, message: _Message) -> None:
        if self._busy is None:
            self._serve(message)
            return
        self._waiting.append(message)
        if len(self._waiting) >= self._context.limits.pipelined:
            self._pace()

    def _serve(self, message: _Message) -> None:
        try:
            self._answer(*message)
        except Exception:
            logger.exception("%s %s could not be answered", message[0].method, message[0].target)
            self._fail()

    def _fail(self) -> None:
        """A mistake of this program has been logged; the connection ends."""
        self._transport.write(_head(Response(500, {"Content-Length": "0"}), keep_alive=False))
        self._finish()

    def _answer(self, request: Request, keep_alive: bool, refusal: OssError | None) -> None:
        """Answers at once, or starts what will."""
        if self._transport.is_closing():
            return
        if refusal is None and request.method == "PUT" and _lacks_length(request.headers):
            refusal = OssError("MissingContentLength")
        context = self._context
        if refusal is not None:
            response = context.service.refuse(request, refusal)
        elif context.control is not None and request.target.startswith("/-/"):
            # A snapshot takes its time.
            control = partial(context.control.handle, request)
            self.spared = True
            self._start(request, lambda: self._wait(context.waiters, control, keep_alive))
            return
        elif len(request.body) > INLINE_LIMIT:
            handle = partial(context.service.handle, request)
            self._start(request, lambda: self._wait(context.workers, handle, keep_alive))
            return
        else:
            answer = context.service.begin(request)
            if isinstance(answer, Deferred):
                resume = answer.resume
                self._start(request, lambda: self._wait(context.waiters, resume, keep_alive))
                return
            response = answer
        body = response.body
        if (
            isinstance(response, FaultedResponse)
            or context.real_latency
            or not isinstance(body, bytes | bytearray | memoryview)
            or "Transfer-Encoding" in response.headers
        ):
            self._start(request, lambda: self._send(response, keep_alive))
            return
        head = _head(response, keep_alive=keep_alive)
        if len(body) <= WRITE_SIZE:
            self._transport.write(head + body if body else head)
        else:
            self._transport.write(head)
            self._transport.write(memoryview(body))
        if not keep_alive:
            self._finish()

    def _start(self, request: Request, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self._busy = self._context.loop.create_task(self._run(request, work))
        self._busy.add_done_callback(self._done)

    async def _run(self, request: Request, work: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            await work()
        except Exception:
            logger.exception("%s %s could not be answered", request.method, request.target)
            self._fail()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy = None
        while self._waiting and self._busy is None:
            self._serve(self._waiting.popleft())
        if self._transport.is_closing() or self._busy is not None:
            return
        self._pace()
        if self._eof:
            self._transport.close()
        elif self._continue:
            self._continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _wait(self, executor: Executor, work: Callable[[], Response], keep_alive: bool) -> None:
        await self._send(await self._context.loop.run_in_executor(executor, work), keep_alive)

    async def _send(self, response: Response, keep_alive: bool) -> None:
        limit = len(response.body)
        if isinstance(response, FaultedResponse):
            if response.action == "blackhole":
                await self._vanish()
            if response.action in LOST:
                self.reset()
                return
            if response.action == "truncate":
                limit //= 2
                keep_alive = False
            else:
                await self._pause(response.seconds)
        elif self._context.real_latency:
            await self._pause(int(response.headers.get("x-oss-server-time", "0")) / 1000)
        chunked = "Transfer-Encoding" in response.headers
        self._transport.write(_head(response, keep_alive=keep_alive))
        for piece in _pieces(response, limit):
            self._transport.write(b"".join((b"%x\r\n" % len(piece), piece, b"\r\n")) if chunked else piece)
            while self._writable is not None:
                await self._writable
        if chunked and limit == len(response.body):
            self._transport.write(b"0\r\n\r\n")
        if not keep_alive:
            self._finish()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._context.stopping.wait(), seconds)

    async def _vanish(self) -> None:
        """Lets a client wait until it gives up, or the endpoint is back."""
        faults = self._context.faults
        waits_for_end = faults is not None and faults.down is not None
        while not self._transport.is_closing() and not self._context.stopping.is_set():
            if waits_for_end and (faults is None or faults.outage() is None):
                return
            await self._pause(OUTAGE_POLL)

    def _finish(self) -> None:
        """The last answer has been written."""
        transport = self._transport
        self._waiting.clear()
        if self._deaf and not self._eof and transport.can_write_eof():
            # Closing with bytes of the client unread would reset the connection before it reads why.
            self._moved = self._context.loop.time()
            self._eof = True
            transport.write_eof()
            return
        self._deaf = self._eof = True
        transport.close()

    # What the server calls

    def sweep(self, now: float) -> None:
        """Ends what has not moved for too long."""
        transport, limits = self._transport, self._context.limits
        unsent = transport.get_write_buffer_size()
        if unsent != self._unsent or (self._busy is not None and not unsent):
            self._unsent = unsent
            if self._state != _HEAD:
                self._moved = now
            return
        still = now - self._moved
        if unsent:
            if still > limits.stall_seconds:
                transport.abort()
        elif self._deaf:
            if still > LINGER_SECONDS:
                transport.abort()
        elif self._state == _IDLE:
            if still > limits.idle_seconds:
                transport.close()
        elif still > (limits.head_seconds if self._state == _HEAD else limits.stall_seconds):
            self._refuse(OssError("RequestTimeout"))

    def shut(self) -> None:
        """Ends the connection once what is being answered has been."""
        self._deaf = self._eof = True
        if self._busy is None:
            self._transport.close()

    def reset(self) -> None:
        """Ends the connection with a RST, as a crashed or overloaded server does."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _pieces(response: Response, limit: int) -> Iterator[memoryview]:
    body = response.body
    left = limit
    for chunk in (body,) if isinstance(body, bytes | bytearray | memoryview) else body.chunks():
        view = memoryview(chunk)
        for start in range(0, min(len(view), left), WRITE_SIZE):
            yield view[start : min(start + WRITE_SIZE, left)]
        left -= min(len(view), left)
