"""Request and Response: one HTTP exchange as values, without a socket.

Every transport (HTTP, in-process) turns what it has into a `Request`, gives it to `OssService.handle` and turns the
`Response` back. `ossfuse` imports this module and `clock`, nothing else of the cloud.

Any thread may create and read these values; nobody may change one after handing it on. What an operation answers goes
over to the pipeline, which completes its headers. `Request` and `Response` are not frozen, as making a frozen one takes
eight times as long (1.3 against 0.16 microseconds).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Body", "Caller", "Deferred", "Request", "Response", "Transport", "as_header"]


class Blob(Protocol):
    """Immutable content of known size that is never joined into one piece (an object made of 5 GiB of parts)."""

    def __len__(self) -> int: ...

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The content in order, in pieces of the producer's choice; each call starts again."""
        ...


Body = bytes | bytearray | memoryview | Blob


def as_header(text: str) -> str:
    """A text that came decoded, from a query or a form, as the value of a header with the same bytes."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who caused a request that came through a mount.

    mount: mount point, or the mount's name where there is no mount point; operation: FUSE operation ("getattr", ...);
    pid, uid: of the calling process; command: its /proc/PID/comm, "" when unknown.
    """

    mount: str
    operation: str
    pid: int
    uid: int
    command: str = ""


@dataclass(slots=True)
class Request:
    """One request as received.

    method: upper case. target: the raw request target, still percent-encoded, exactly as on the wire
    ("/bucket/a%20b?versionId=x"). headers: lower-case names; values are latin-1 text without surrounding blanks;
    repeated headers are joined with ", ". body: the whole body. client_ip: address of the peer. secure: came over TLS.
    caller: set when it came through a mount that says so.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | bytearray | memoryview = b""
    client_ip: str = "127.0.0.1"
    secure: bool = False
    caller: Caller | None = None


@dataclass(slots=True)
class Response:
    """One answer. headers: names spelled as OSS sends them, values latin-1 text; Content-Length is always present
    (it is the object's size in an answer to HEAD, whose body is empty)."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = b""

    def header(self, name: str, default: str = "") -> str:
        """A header by name, any case."""
        wanted = name.lower()
        for key, value in self.headers.items():
            if key.lower() == wanted:
                return value
        return default

    def read(self) -> bytes:
        """The whole body as one bytes object."""
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, bytearray | memoryview):
            return bytes(self.body)
        return b"".join(self.body.chunks())


@dataclass(frozen=True, slots=True)
class Deferred:
    """An answer that has to be waited for, up to many seconds: it needs another server. resume: does the waiting and
    the rest, once, on any thread."""

    resume: Callable[[], Response]


class Transport(Protocol):
    """Carries one request to a cloud and brings the answer. Safe to call from several threads at once."""

    def send(self, request: Request) -> Response:
        """Raises OSError (ConnectionRefusedError, ConnectionResetError, TimeoutError, socket.gaierror) when no
        complete answer came."""
        ...
