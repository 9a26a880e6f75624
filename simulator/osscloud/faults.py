"""Deterministic faults: "the first N calls of operation X on keys like K answer, reset, truncate or stall".

The plan decides; `OssService` answers what it can and leaves the rest, as a `FaultedResponse`, to the transport, which
either acts on a socket or calls `deliver`. Any thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from osscloud.clock import Clock
from osscloud.message import Response

__all__ = ["Fault", "FaultPlan", "FaultedResponse", "deliver"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong.

    operation: name of the access log, or "*". key: fnmatch pattern of the object key ("" for requests without one).
    count: how many requests it hits. action: "answer" the error `status`/`code` instead of doing anything; "reset": the
    connection ends without an answer, nothing is done; "truncate": done, but the connection ends in the middle of the
    answer's body; "stall": done, answered after `seconds`.
    """

    operation: str = "*"
    key: str = "*"
    count: int = 1
    status: int = 503
    code: str = "ServiceUnavailable"
    action: Literal["answer", "reset", "truncate", "stall"] = "answer"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a fault's count must be at least 1, not {self.count}")
        if self.action not in ("answer", "reset", "truncate", "stall"):
            raise ValueError(f"unknown fault action {self.action!r}: answer, reset, truncate or stall")
        if self.seconds < 0:
            raise ValueError(f"a fault cannot stall for {self.seconds} s")


@dataclass(frozen=True, slots=True)
class FaultedResponse(Response):
    """An answer that the transport has to spoil: by `action` "reset", "truncate" or "stall" (`seconds`)."""

    action: Literal["reset", "truncate", "stall"] = "reset"
    seconds: float = 0.0


@dataclass(slots=True)
class _Entry:
    fault: Fault
    left: int = field(default=0)


class FaultPlan:
    """The faults still to come, in the order they were added; the first that matches a request takes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._entries.append(_Entry(fault, fault.count))

    def clear(self) -> None:
        """Forgets every fault that has not happened yet."""
        with self._lock:
            self._entries.clear()

    def pending(self) -> list[Fault]:
        """Faults that have hits left."""
        with self._lock:
            return [entry.fault for entry in self._entries]

    def take(self, operation: str, key: str) -> Fault | None:
        """The fault that this request meets; counts it."""
        if not self._entries:
            return None
        with self._lock:
            for entry in self._entries:
                fault = entry.fault
                if fault.operation in ("*", operation) and fnmatchcase(key, fault.key):
                    entry.left -= 1
                    if not entry.left:
                        self._entries.remove(entry)
                    return fault
        return None


def deliver(response: Response, clock: Clock) -> Response:
    """What an in-process client of a transport sees of a response: the response, late when it stalls.

    Raises ConnectionResetError for "reset" and "truncate"."""
    if isinstance(response, FaultedResponse):
        if response.action == "stall":
            clock.sleep(response.seconds)
        else:
            raise ConnectionResetError(f"connection {response.action} by the fault plan")
    return response
