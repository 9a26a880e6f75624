"""Deterministic faults: "the first N calls of operation X on keys like K ..." fail, are late, break, or reach nobody.

The plan decides; `OssService` answers what it can and leaves the rest, as a `FaultedResponse`, to the transport, which
either acts on a socket or calls `deliver`. Any thread.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from osscloud.clock import Clock, VirtualClock
from osscloud.message import Response

__all__ = ["LOST", "SPOILED", "Action", "Fault", "FaultPlan", "FaultedResponse", "Outage", "deliver", "throttle_code"]

Action = Literal["answer", "throttle", "latency", "stall", "truncate", "crc", "reset", "refuse", "blackhole"]
Outage = Literal["refuse", "blackhole"]

LOST: frozenset[Action] = frozenset({"reset", "refuse", "blackhole"})
"""Actions after which nothing was done and nothing is answered."""

SPOILED: frozenset[Action] = LOST | {"latency", "stall", "truncate"}
"""Actions that are the transport's work."""

CLIENT_TIMEOUT = 120.0
"""Seconds for which a client waits for an answer before it gives up: readwrite_timeout of ossfs by default."""

_UPLOADS = frozenset({"PutObject", "PostObject", "AppendObject", "UploadPart"})
_METADATA = frozenset(
    {"GetBucket", "GetObjectMeta", "HeadObject", "ListMultipartUploads", "ListObjectVersions", "ListParts"}
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong.

    operation: name of the access log, or "*". key: fnmatch pattern of the object key ("" for requests without one).
    count: how many requests it hits. seconds: of the action, on the service's clock for an outage and of the transport
    for what is late. action:

    - "answer": the error `status`/`code`; nothing is done
    - "throttle": 503 with the code that OSS has for what the request wants too much of (`throttle_code`)
    - "latency": done, and answered `seconds` later; the log counts them as time that the service took
    - "stall": done, and answered after `seconds` of silence, of which the service knows nothing
    - "truncate": done, but the connection ends in the middle of the answer's body
    - "crc": done, but the answer's x-oss-hash-crc64ecma is wrong
    - "reset": the connection breaks before an answer; nothing is done
    - "refuse": the endpoint is gone, nothing listens. With `seconds` for that long and for every request, from the
      first request on that matches; at once when operation and key are "*". Without, for the request alone
    - "blackhole": likewise, but requests vanish instead of being refused: their client waits in vain
    """

    operation: str = "*"
    key: str = "*"
    count: int = 1
    status: int = 503
    code: str = "ServiceUnavailable"
    action: Action = "answer"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a fault's count must be at least 1, not {self.count}")
        if self.action not in get_args(Action):
            raise ValueError(f"unknown fault action {self.action!r}: {', '.join(get_args(Action))}")
        if not 0 <= self.seconds < 1e9:
            raise ValueError(f"a fault cannot last for {self.seconds} s")
        if not 100 <= self.status <= 599:
            raise ValueError(f"a fault cannot answer with status {self.status}")

    @property
    def is_outage(self) -> bool:
        return self.action in get_args(Outage) and self.seconds > 0


def throttle_code(operation: str) -> str:
    """The code of a 503 for too much of an operation (vendor documentation "Error codes", 503)."""
    if operation in _UPLOADS:
        return "UploadTrafficRateLimitExceeded"
    if operation == "GetObject":
        return "DownloadTrafficRateLimitExceeded"
    return "MetaOperationQpsLimitExceeded" if operation in _METADATA else "TotalQpsLimitExceeded"


@dataclass(slots=True)
class FaultedResponse(Response):
    """An answer that the transport has to spoil. seconds: of "latency" and "stall", and how long a "blackhole" goes
    on."""

    action: Action = "reset"
    seconds: float = 0.0


@dataclass(slots=True)
class _Entry:
    fault: Fault
    left: int


class FaultPlan:
    """The faults still to come, in the order they were added; the first that matches a request takes it.

    clock: measures outages. down: what the endpoint does while it cannot be reached, None while it can; look at
    `outage`, which knows when that ends."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or VirtualClock()
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []
        self._watchers: list[Callable[[], None]] = []
        self._until = 0.0
        self.down: Outage | None = None

    def add(self, fault: Fault) -> None:
        if fault.is_outage and fault.operation == fault.key == "*":
            self._start(fault)
            return
        with self._lock:
            self._entries.append(_Entry(fault, fault.count))

    def clear(self) -> None:
        """Forgets every fault that has not happened yet, and ends an outage."""
        with self._lock:
            self._entries.clear()
            self.down = None
        self._tell()

    def pending(self) -> list[Fault]:
        """Faults that have hits left."""
        with self._lock:
            return [entry.fault for entry in self._entries]

    def left(self) -> list[tuple[Fault, int]]:
        """The same, with how many."""
        with self._lock:
            return [(entry.fault, entry.left) for entry in self._entries]

    def take(self, operation: str, key: str) -> Fault | None:
        """The fault that this request meets; counts it."""
        if not self._entries:
            return None
        found = self._take(operation, key)
        if found is not None and found.is_outage:
            self._start(found)
        return found

    def _take(self, operation: str, key: str) -> Fault | None:
        with self._lock:
            for entry in self._entries:
                fault = entry.fault
                if fault.operation in ("*", operation) and fnmatchcase(key, fault.key):
                    entry.left -= 1
                    if not entry.left:
                        self._entries.remove(entry)
                    return fault
        return None

    # Outages

    def _start(self, fault: Fault) -> None:
        with self._lock:
            self._until = max(self._clock.now() + fault.seconds, self._until if self.down else 0.0)
            self.down = "refuse" if fault.action == "refuse" else "blackhole"
        self._tell()

    def outage(self) -> tuple[Outage, float] | None:
        """How the endpoint cannot be reached now and for how many seconds more; None when it can."""
        down, left = self.down, self._until - self._clock.now()
        if down is None:
            return None
        if left > 0:
            return down, left
        with self._lock:
            if self._until <= self._clock.now():
                self.down = None
        self._tell()
        return None

    def watch(self, callback: Callable[[], None]) -> None:
        """Has a function called, in the thread that caused it, after each start and each noticed end of an outage."""
        self._watchers.append(callback)

    def unwatch(self, callback: Callable[[], None]) -> None:
        """Undoes `watch`."""
        self._watchers.remove(callback)

    def _tell(self) -> None:
        for callback in list(self._watchers):
            callback()


def deliver(response: Response, clock: Clock) -> Response:
    """What an in-process client of a transport sees of a response: the response, late when it is slow or stalls.

    Raises ConnectionResetError for "reset" and for "truncate" of a body, ConnectionRefusedError for "refuse", and
    TimeoutError for "blackhole", `CLIENT_TIMEOUT` seconds later."""
    if isinstance(response, FaultedResponse):
        match response.action:
            case "stall" | "latency":
                clock.sleep(response.seconds)
            case "truncate" if not len(response.body):
                return response
            case "refuse":
                raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused by the fault plan")
            case "blackhole":
                clock.sleep(CLIENT_TIMEOUT)
                raise TimeoutError(errno.ETIMEDOUT, "no answer, by the fault plan")
            case _:
                raise ConnectionResetError(f"connection {response.action} by the fault plan")
    return response
