"""What the mount processes of ossfs 1.x and 2.x have in common: their clock, transport and log, and what the control
socket asks of them.

No command line, no FUSE. `MountProcess` belongs to the main thread but for what its methods say; any thread otherwise.
"""

from __future__ import annotations

import itertools
import logging
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TextIO, TypeVar, cast

from osscloud.clock import AdjustableClock
from osscloud.message import Request, Response, Transport
from ossfuse import kernelcache
from ossfuse.entity import OpenFile
from ossfuse.http_transport import HttpTransport, Sink, TransportOptions

__all__ = ["CountingTransport", "MountProcess", "Surroundings", "say_ready"]

logger = logging.getLogger("ossfuse")
logger.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a mount is given beside its command line; what is None is the process's own. The fields are arguments of
    `ossfuse.mount.Mount`, which says what each is; ossfs2 has no use for mime_text, spool and on_fatal."""

    environment: Mapping[str, str]
    program: str
    clock: AdjustableClock | None = None
    mime_text: str | None = None
    stdout: TextIO | None = None
    stderr: TextIO | None = None
    transport: Transport | None = None
    rng: random.Random | None = None
    spool: str | None = None
    on_fatal: Callable[[], None] | None = None


def say_ready(ready_fd: int | None) -> None:
    """Tells who started the mount that it is there."""
    if ready_fd is not None:
        os.write(ready_fd, b"1")
        os.close(ready_fd)


class CountingTransport:
    """Passes requests on and counts them by HTTP method and by the file operation that caused them. Any thread."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._methods: Counter[str] = Counter()
        self._operations: Counter[str] = Counter()
        self.concurrent = bool(getattr(transport, "concurrent", False))
        self.pours = bool(getattr(transport, "pours", False))

    def send(self, request: Request, sink: Sink | None = None) -> Response:
        with self._lock:
            self._methods[request.method] += 1
            self._operations[request.caller.operation if request.caller else "mount"] += 1
        if sink is None:
            return self._transport.send(request)
        return cast(HttpTransport, self._transport).send(request, sink)

    def counts(self) -> dict[str, dict[str, int]]:
        """{"methods": {"HEAD": 3}, "operations": {"getattr": 3}}"""
        with self._lock:
            return {"methods": dict(self._methods), "operations": dict(self._operations)}


class _FileSystem(Protocol):
    def statistics(self) -> dict[str, int]: ...
    def open_files(self) -> Sequence[OpenFile]: ...


F = TypeVar("F", bound=_FileSystem)


class MountProcess(Generic[F]):
    """clock: of the file system's caches and dates, default: the machine's. transport: carries the requests, default:
    HTTP to the endpoint of the options."""

    def __init__(self, clock: AdjustableClock | None, transport: Transport | None) -> None:
        self.clock = clock or AdjustableClock()
        self._given_transport = transport
        self._http: HttpTransport | None = None
        self._transport: CountingTransport | None = None
        self._fs: F | None = None
        self._log: logging.Handler | None = None
        self._answers: Iterator[int] = itertools.repeat(0)

    @property
    def fs(self) -> F:
        """The file system; there once `prepare` has returned None."""
        if self._fs is None:
            raise RuntimeError("prepare() comes first")
        return self._fs

    def _connect(self, options: TransportOptions) -> CountingTransport:
        carrier = self._given_transport
        if carrier is None:
            carrier = self._http = HttpTransport(options)
        self._transport = CountingTransport(carrier)
        return self._transport

    def close(self) -> None:
        """Lets go of connections and log; `serve` and a refusal do so themselves. Safe to call twice."""
        if self._http is not None:
            self._http.close()
        if self._log is not None:
            logger.removeHandler(self._log)
            logger.propagate = True
            self._log.close()
            self._log = None

    # --- for the control socket, in its threads ---

    def advance(self, seconds: float) -> None:
        """Moves this mount's time ahead: caches age, waits between attempts and time-outs end."""
        self.clock.advance(seconds)
        if self._http is not None:
            self._http.advance(seconds)

    def expire(self) -> bool:
        """Has the kernel forget what it was told of names and attributes; whether it could."""
        return kernelcache.expire(next(self._answers))

    def statistics(self) -> dict[str, object]:
        """Requests sent, what is cached, files open, seconds the clock is ahead."""
        fs, transport = self.fs, self._transport
        return {
            "requests": transport.counts() if transport is not None else {},
            "caches": fs.statistics(),
            "open_files": len(fs.open_files()),
            "clock_offset": self.clock.offset,
        }

    def open_files(self) -> list[dict[str, object]]:
        """Path, pid, uid, command, dirty and size of every open file."""
        return [
            {
                "path": file.path,
                "pid": file.pid,
                "uid": file.uid,
                "command": file.command,
                "dirty": file.dirty,
                "size": file.size,
            }
            for file in self.fs.open_files()
        ]
