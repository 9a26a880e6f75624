"""The HTTP adapter: a listening socket on a uvloop loop of its own thread.

What happens on one connection is `http_connection`; this module opens, sweeps and closes. `start` and `stop` belong to
the thread that made the server; `OssService.handle` is called on the loop when that takes microseconds and on a worker
thread when the body is large.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import uvloop

from osscloud.faults import FaultPlan
from osscloud.http_connection import (
    CALLER_HEADER,
    OUTAGE_POLL,
    Connection,
    Context,
    Control,
    Limits,
    Service,
    is_loopback,
)

__all__ = ["CALLER_HEADER", "HttpServer", "ListenError", "Service"]

OUTAGE_WAIT = 5.0

SHUTDOWN_SECONDS = 1.0
"""How long `stop` waits for what is being answered."""


class ListenError(Exception):
    """The server cannot listen where it was told to; the message says why and what to change."""


class HttpServer:
    """One listening address of one service. A context manager: entering starts, leaving stops.

    service: usually an `OssService`; when it has a `config` its reported endpoint becomes this server's address. host:
    an address of this machine; port 0 takes a free one. allow_remote: needed for any host that is not loopback, because
    whoever can connect can fill this machine's memory. control: answers the paths below /-/, which no bucket can have.
    real_latency: an answer waits for the time that the service says it would have taken. limits: of each connection.

    A fault plan that the service has in `faults` can make the endpoint unreachable: nothing listens then, or nothing
    answers.
    """

    def __init__(
        self,
        service: Service,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
        control: Control | None = None,
        real_latency: bool = False,
        limits: Limits | None = None,
    ) -> None:
        if not allow_remote and not is_loopback(host):
            raise ListenError(f"{host} is not a loopback address; --allow-remote (allow_remote) serves other machines")
        self._service = service
        self._control = control
        self._limits = limits or Limits()
        self._host = host
        self._wanted_port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._address: tuple[str, int] | None = None
        self._context: Context | None = None
        self._real_latency = real_latency
        self._faults: FaultPlan | None = getattr(service, "faults", None)
        self._listening: asyncio.Server | None = None
        self._returning: asyncio.Task[None] | None = None

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
        try:
            listener = _listener(self._host, self._wanted_port)
        except OSError as error:
            raise ListenError(_no_listener(self._host, self._wanted_port, error)) from error
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
        self._loop = loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        with (
            ThreadPoolExecutor(max_workers=4, thread_name_prefix="osscloud-http-worker") as workers,
            ThreadPoolExecutor(max_workers=32, thread_name_prefix="osscloud-http-waiter") as waiters,
        ):
            self._context = context = Context(
                self._service,
                self._control,
                self._limits,
                loop,
                workers,
                waiters,
                self._stopping,
                self._faults,
                self._real_latency,
            )
            self._listening = await loop.create_server(lambda: Connection(context), sock=listener)
            if self._faults is not None:
                self._faults.watch(self._outage_changed)
            ready.set()
            try:
                while not self._stopping.is_set():
                    await self._pause(self._limits.sweep_seconds)
                    now = loop.time()
                    for connection in list(context.connections):
                        connection.sweep(now)
            finally:
                if self._faults is not None:
                    self._faults.unwatch(self._outage_changed)
                if self._returning is not None:
                    await self._returning
                await self._close(context)
                waiters.shutdown(wait=False, cancel_futures=True)

    async def _close(self, context: Context) -> None:
        if self._listening is not None:
            self._listening.close()
        for connection in list(context.connections):
            connection.shut()
        # Idle connections end at once; what is being answered has a second.
        deadline = context.loop.time() + SHUTDOWN_SECONDS
        while context.connections and context.loop.time() < deadline:
            await asyncio.sleep(0.005)
        for connection in list(context.connections):
            connection.reset()
        if self._listening is not None:
            await self._listening.wait_closed()

    async def _pause(self, seconds: float) -> None:
        assert self._stopping is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    # Outages

    def _outage_changed(self) -> None:
        """Any thread: returns once nothing listens, or something listens again."""
        loop = self._loop
        if loop is None or self._thread is None:
            return
        if threading.current_thread() is self._thread:
            self._follow_outage()
        else:
            done = threading.Event()

            def follow() -> None:
                self._follow_outage()
                done.set()

            loop.call_soon_threadsafe(follow)
            done.wait(OUTAGE_WAIT)

    def _follow_outage(self) -> None:
        if self._faults is None or self._faults.down != "refuse" or self._listening is None:
            return
        assert self._loop is not None
        assert self._context is not None
        self._listening.close()
        self._listening = None
        for connection in list(self._context.connections):
            if not connection.spared:
                connection.reset()
        self._returning = self._loop.create_task(self._return(self._context))

    async def _return(self, context: Context) -> None:
        """Listens again where it did when the outage is over."""
        assert self._address is not None
        while not context.stopping.is_set():
            await self._pause(OUTAGE_POLL)
            if self._faults is not None and self._faults.outage() is not None:
                continue
            with contextlib.suppress(OSError):  # somebody took the port meanwhile: it may come back
                listener = _listener(*self._address)
                self._listening = await context.loop.create_server(lambda: Connection(context), sock=listener)
                return


def _no_listener(host: str, port: int, error: OSError) -> str:
    code = error.errno or 0
    if code < 0 or code == errno.EADDRNOTAVAIL:
        # Codes below 0 are the resolver's, which socket.create_server passes off as its own.
        reason = "no such host" if code < 0 else os.strerror(code)
        return f"cannot listen on {host}: {reason}; name an address of this machine"
    reason = os.strerror(code) if code else str(error)
    return f"cannot listen on {host} port {port}: {reason}; choose another port, or 0 for any"


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)
