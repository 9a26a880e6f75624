"""The HTTP adapter: aiohttp's low-level server on a uvloop loop of its own thread.

Turns bytes on a socket into `Request` and `Response` back into bytes: the raw target is kept, headers are latin-1 both
ways, `Expect: 100-continue` is answered, and faults become real resets, short bodies and stalls. Decides nothing about
OSS. `start` and `stop` belong to the thread that made the server; `OssService.handle` is called on the loop when that
takes microseconds and on a worker thread when the body is large.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import struct
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote

import uvloop
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError

from osscloud.errors import OssError
from osscloud.faults import FaultedResponse
from osscloud.message import Caller, Request, Response

__all__ = ["CALLER_HEADER", "HttpServer", "ListenError", "Service"]

CALLER_HEADER = "ossvol-caller"
"""Set by a mount on its requests: "MOUNT;OPERATION;PID;UID;COMMAND", mount and command percent-encoded."""

INLINE_LIMIT = 256 * 1024
"""Bytes of body up to which a request is handled on the loop; hashing more would hold up other connections."""

WRITE_SIZE = 256 * 1024

logger = logging.getLogger(__name__)


class Service(Protocol):
    """What the server needs of `OssService`."""

    def handle(self, request: Request) -> Response: ...
    def refuse(self, request: Request, error: OssError) -> Response: ...


class Control(Protocol):
    """What answers the paths below /-/."""

    def handle(self, request: Request) -> Response: ...


class ListenError(Exception):
    """The server cannot listen where it was told to; the message says why and what to change."""


class _ParseErrors(logging.Filter):
    """Keeps what a client sent wrongly out of the log: it has had its 400."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | ConnectionError)


logger.addFilter(_ParseErrors())


class _Written(web.StreamResponse):
    """Tells aiohttp that the handler has written the answer itself."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._stay = keep_alive

    @property
    def keep_alive(self) -> bool | None:
        return self._stay

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


@lru_cache(maxsize=128)
def _status_line(status: int) -> str:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    return f"HTTP/1.1 {status} {reason}\r\n"


def _head(response: Response, *, keep_alive: bool) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in response.headers.items() if name != "Connection"]
    lines.append("Connection: keep-alive\r\n\r\n" if keep_alive else "Connection: close\r\n\r\n")
    text = "".join(lines)
    count = len(lines) + 1
    if text.count("\n") != count or text.count("\r") != count:
        # A value that came from a request (response-content-type=...) must not end its line.
        lines = [line[:-2].replace("\r", " ").replace("\n", " ") + "\r\n" for line in lines[:-1]] + lines[-1:]
        text = "".join(lines)
    try:
        encoded = text.encode("latin-1")
    except UnicodeEncodeError:
        encoded = b"".join(map(_encode_line, lines))
    return _status_line(response.status).encode("ascii") + encoded


def _encode_line(line: str) -> bytes:
    """latin-1, which is how bytes of unknown meaning are kept; UTF-8 for text that came decoded from a query."""
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=1024)
def _header_name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def _headers(raw: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = _header_name(raw_name)
        value = raw_value.decode("latin-1")
        if name in headers:
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _lacks_length(headers: Mapping[str, str]) -> bool:
    """Copies and links have no body, and some clients then say nothing of its length (links: measured, ossfs 2.0.7)."""
    bodiless = {"x-oss-copy-source", "x-amz-copy-source", "x-oss-symlink-target"}
    return not headers.keys() & {"content-length", "transfer-encoding", *bodiless}


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
def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


class HttpServer:
    """One listening address of one service. A context manager: entering starts, leaving stops.

    service: usually an `OssService`; when it has a `config` its reported endpoint becomes this server's address. host:
    an address of this machine; port 0 takes a free one. allow_remote: needed for any host that is not loopback, because
    whoever can connect can fill this machine's memory. control: answers the paths below /-/, which no bucket can have.
    """

    def __init__(
        self,
        service: Service,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
        control: Control | None = None,
    ) -> None:
        if not allow_remote and not _is_loopback(host):
            raise ListenError(f"{host} is not a loopback address; --allow-remote (allow_remote) serves other machines")
        self._service = service
        self._control = control
        self._host = host
        self._wanted_port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._address: tuple[str, int] | None = None
        self._keep = _Written(keep_alive=True)
        self._close = _Written(keep_alive=False)

    def __enter__(self) -> HttpServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port listened on. Raises RuntimeError before `start`."""
        if self._address is None:
            raise RuntimeError("the server has not been started")
        return self._address[1]

    @property
    def endpoint(self) -> str:
        """ "http://127.0.0.1:PORT"; a wildcard address is reported as loopback."""
        port = self.port
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Listens; returns once connections are accepted. Raises ListenError (port in use, no such address)."""
        if self._thread is not None:
            raise RuntimeError("the server has been started already")
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listener = socket.create_server((self._host, self._wanted_port), family=family, backlog=1024)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ListenError(
                f"cannot listen on {self._host} port {self._wanted_port}: {reason}; choose another port, or 0 for any"
            ) from error
        self._address = listener.getsockname()[:2]
        config = getattr(self._service, "config", None)
        if config is not None:
            self._service.config = replace(config, endpoint=self.endpoint.removeprefix("http://"))  # type: ignore[attr-defined]
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener, ready), name="osscloud-http", daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Closes every connection and ends the thread; stalled answers are cut short. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(listener, ready))

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._workers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="osscloud-http-worker")
        manager = web.Server(
            self._exchange,
            access_log=None,
            logger=logger,
            # Content-Encoding is metadata of an object, not of the transfer.
            auto_decompress=False,
            max_line_size=64 * 1024,
            max_field_size=64 * 1024,
            read_bufsize=1024 * 1024,
            lingering_time=2.0,
        )
        server = await self._loop.create_server(manager, sock=listener)
        ready.set()
        try:
            await self._stopping.wait()
        finally:
            server.close()
            # Idle connections end at once; what is being answered has a second.
            manager.pre_shutdown()
            await manager.shutdown(timeout=1.0)
            await server.wait_closed()
            self._workers.shutdown(wait=True)

    async def _exchange(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = _headers(request.raw_headers)
        if headers.get("expect", "").lower() == "100-continue":
            del headers["expect"]
            if not request.content.is_eof():
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b""
        if request.body_exists:
            content = request.content
            try:
                body = content.read_nowait() if content.is_eof() else await content.read()
            except (ConnectionError, web.RequestPayloadError):
                return self._close
        client_ip = request.remote or ""
        caller = None
        if CALLER_HEADER in headers:
            named = headers.pop(CALLER_HEADER)
            if _is_loopback(client_ip):
                caller = _parse_caller(named)
        received = Request(request.method, request.raw_path, headers, body, client_ip, caller=caller)
        if self._control is not None and request.raw_path.startswith("/-/"):
            response = self._control.handle(received)
        elif request.method == "PUT" and _lacks_length(headers):
            response = self._service.refuse(received, OssError("MissingContentLength"))
        elif len(body) <= INLINE_LIMIT:
            response = self._service.handle(received)
        else:
            assert self._loop is not None
            response = await self._loop.run_in_executor(self._workers, self._service.handle, received)
        return await self._answer(request, response)

    async def _answer(self, request: web.BaseRequest, response: Response) -> web.StreamResponse:
        transport = request.transport
        if transport is None or transport.is_closing():
            return self._close
        limit = -1
        if isinstance(response, FaultedResponse):
            if response.action == "reset":
                _reset(transport)
                return self._close
            if response.action == "stall":
                await self._stall(response.seconds)
            else:
                limit = len(response.body) // 2
        keep_alive = request.keep_alive and limit < 0
        head = _head(response, keep_alive=keep_alive)
        body = response.body
        if limit < 0 and isinstance(body, bytes | bytearray | memoryview) and len(body) <= WRITE_SIZE:
            if transport.is_closing():
                return self._close
            transport.write(head + body if len(body) else head)
        else:
            try:
                await request.writer.write(head)
                await self._stream(request, response, limit)
            except ConnectionError:
                return self._close
        return self._keep if keep_alive else self._close

    async def _stream(self, request: web.BaseRequest, response: Response, limit: int) -> None:
        body = response.body
        left = len(body) if limit < 0 else limit
        for chunk in (body,) if isinstance(body, bytes | bytearray | memoryview) else body.chunks():
            view = memoryview(chunk)
            for start in range(0, min(len(view), left), WRITE_SIZE):
                piece = view[start : min(start + WRITE_SIZE, left)]
                await request.writer.write(piece)
            left -= min(len(view), left)

    async def _stall(self, seconds: float) -> None:
        assert self._stopping is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _reset(transport: asyncio.Transport) -> None:
    """Ends the connection with a RST, as a crashed or overloaded server does."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
