"""The cloud that an engine mounts from: one `OssService` and the access keys.

Not a second service: what objects are there is `admin`'s business, what was asked `service.access_log`'s. A `Cloud` is
the same for everybody, wherever its `CloudHost` lives: in this process (`Cloud.here`: the direct engine, no sockets),
or in one of its own with an HTTP server (`cloudprocess.start`: the kernel engine). Used from any thread.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import urlsplit

from osscloud.accesslog import AccessLog
from osscloud.accounts import AccessKey
from osscloud.clock import Clock
from osscloud.message import Request
from osscloud.mirror import OriginError, OriginRequest, OriginResponse
from osscloud.origin_http import HttpOrigin
from osscloud.service import Admin, OssService

__all__ = ["IN_PROCESS_ENDPOINT", "Cloud", "CloudHost", "Place"]

IN_PROCESS_ENDPOINT = "http://127.0.0.1"
"""What a mount without sockets is told as url=; any other url is refused as if nobody listened there."""

P = ParamSpec("P")
T = TypeVar("T")


class CloudHost:
    """What runs a cloud: its service and clock, and the origin of its mirror rules. endpoint: for url=."""

    def __init__(self, *, clock: Clock, rng: random.Random) -> None:
        self.clock = clock
        self._origin = HttpOrigin()
        self.service = OssService(clock=clock, rng=rng, origin=self)
        self.endpoint = IN_PROCESS_ENDPOINT

    def fetch(self, request: OriginRequest) -> OriginResponse:
        """What mirror rules fetch from: this cloud itself, where nothing serves it, else whatever listens. Raises
        OriginError."""
        parts = urlsplit(request.url)
        if self.endpoint != IN_PROCESS_ENDPOINT or f"{parts.scheme}://{parts.netloc}" != IN_PROCESS_ENDPOINT:
            return self._origin.fetch(request)
        headers = {"host": parts.netloc, **{name.lower(): value for name, value in request.headers.items()}}
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        answer = self.service.handle(Request(request.method, target, headers))
        if not answer.status:
            raise OriginError("unreadable", "the connection broke")
        received = {name.lower(): value for name, value in answer.headers.items()}
        return OriginResponse(answer.status, received, answer.read())

    def close(self) -> None:
        """Ends what serves it, and whatever still waits for an origin; safe to call twice."""
        self._origin.close()


class Place(Protocol):
    """The process that a `CloudHost` lives in."""

    @property
    def pid(self) -> int: ...
    def make(self, factory: Callable[..., T], *arguments: object) -> T:
        """What `factory` gives there, or a stand-in for it."""
        ...

    def close(self) -> None:
        """Safe to call twice."""
        ...


class _Here:
    def __init__(self, host: CloudHost) -> None:
        self.pid = os.getpid()
        self.close = host.close

    def make(self, factory: Callable[..., T], *arguments: object) -> T:
        return factory(*arguments)


class Cloud:
    """service: the cloud itself, or a stand-in for it (`remote` says what that means); key: the access key that mounts
    use when their spec names none; endpoint: for url=."""

    def __init__(self, host: CloudHost, place: Place) -> None:
        self._place = place
        self.clock: Clock = host.clock
        self.service: OssService = host.service
        self.admin: Admin = self.service.admin
        self.access_log: AccessLog = self.service.access_log
        self.endpoint: str = host.endpoint
        self.key: AccessKey = self.service.accounts.create_key()

    @classmethod
    def here(cls, *, clock: Clock, rng: random.Random) -> Cloud:
        """A cloud in this process, which nothing but a transport in this process can reach."""
        host = CloudHost(clock=clock, rng=rng)
        return cls(host, _Here(host))

    @property
    def pid(self) -> int:
        """Of the process that the service runs in."""
        return self._place.pid

    def install(self, factory: Callable[Concatenate[OssService, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """Calls `factory(service, ...)` in the process of the service, and gives what it makes, or a stand-in for it:
        for what has to be beside the service, as an observer of its requests. factory: of a module, not a lambda."""
        made: T = self._place.make(_install, factory, self.service, arguments, named)
        return made

    def new_key(self) -> AccessKey:
        """One more access key with full permissions; the default key stays what it is."""
        return self.service.accounts.create_key()

    def disable(self, access_key_id: str) -> None:
        """Requests signed with that key are refused from now on."""
        self.service.accounts.disable(access_key_id)

    def rotate(self) -> AccessKey:
        """A new default key; the old one is disabled. Mounts keep the one that they started with."""
        old, self.key = self.key, self.new_key()
        self.disable(old.id)
        return self.key

    def passwd_line(self, bucket: str) -> str:
        """The default key as a line of ossfs's password file."""
        return f"{bucket}:{self.key.id}:{self.key.secret}"

    def close(self) -> None:
        """Ends its HTTP server and the process that was started for it; safe to call twice."""
        self._place.close()


def _install(
    factory: Callable[..., T], service: OssService, arguments: tuple[object, ...], named: dict[str, object]
) -> T:
    return factory(service, *arguments, **named)
