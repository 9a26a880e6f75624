"""A cloud with an HTTP server, as it runs in a process of its own.

The other end is `cloudprocess`. Everything here is called from that process's main thread.
"""

from __future__ import annotations

import faulthandler
import random
import socket

from osscloud.clock import AdjustableClock
from osscloud.http_server import HttpServer
from osscluster import remote
from osscluster.cloud import CloudHost

__all__ = ["HttpHost", "run"]


class HttpHost(CloudHost):
    """A cloud that listens on a port of this machine. seed: of its ids and keys."""

    def __init__(self, seed: int) -> None:
        super().__init__(clock=AdjustableClock(), rng=random.Random(seed))
        self._server = HttpServer(self.service)
        self._server.start()
        self.endpoint = self._server.endpoint

    def close(self) -> None:
        """Closes every connection; safe to call twice."""
        super().close()
        self._server.stop()


def run(connection: socket.socket) -> None:
    """The whole life of the process: until the runner hangs up."""
    faulthandler.enable()
    remote.serve(connection)
