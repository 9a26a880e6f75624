"""The cloud that an engine mounts from: one `OssService`, its HTTP server where mounts need one, and the access keys.

Not a second service: what objects are there is `admin`'s business, what was asked `service.access_log`'s. Used from
the runner's thread; the HTTP server has a thread of its own.
"""

from __future__ import annotations

import random

from osscloud.accounts import AccessKey
from osscloud.clock import Clock
from osscloud.http_server import HttpServer
from osscloud.origin_http import HttpOrigin
from osscloud.service import Admin, OssService

__all__ = ["IN_PROCESS_ENDPOINT", "Cloud"]

IN_PROCESS_ENDPOINT = "http://127.0.0.1"
"""What a mount without sockets is told as url=; any other url is refused as if nobody listened there."""


class Cloud:
    """service: the cloud itself; key: the access key that mounts use when their spec names none; endpoint: for url=."""

    def __init__(self, *, clock: Clock, rng: random.Random, over_http: bool) -> None:
        self.clock = clock
        self._origin = HttpOrigin()
        self.service = OssService(clock=clock, rng=rng, origin=self._origin)
        self.key: AccessKey = self.service.accounts.create_key()
        self._server = HttpServer(self.service) if over_http else None
        self.endpoint = IN_PROCESS_ENDPOINT
        if self._server is not None:
            self._server.start()
            self.endpoint = self._server.endpoint

    @property
    def admin(self) -> Admin:
        """The server-side view: what the console or another client does."""
        return self.service.admin

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
        """Stops the HTTP server and whatever still waits for an origin; safe to call twice."""
        self._origin.close()
        if self._server is not None:
            self._server.stop()
            self._server = None
