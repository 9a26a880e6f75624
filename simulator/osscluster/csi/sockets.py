"""Who listens on the unix sockets of a node: a fact of the node's kernel, which outlives the driver's releases.

Mount servers of FUSE Pods register here; a driver that has been upgraded finds those that its predecessor made. Called
from the thread that drives the timeline.
"""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

from osscluster.host import NodeHost

__all__ = ["Sockets"]

T = TypeVar("T")


class Sockets(Generic[T]):
    """By path. `None` listens where a socket is left of a process that has died."""

    def __init__(self) -> None:
        self._nodes: weakref.WeakKeyDictionary[NodeHost, dict[str, T | None]] = weakref.WeakKeyDictionary()

    def listen(self, host: NodeHost, path: str, server: T) -> None:
        """Replaces whoever was there."""
        self._nodes.setdefault(host, {})[path] = server

    def close(self, host: NodeHost, path: str, server: T, *, removed: bool) -> None:
        """The server has ended; removed: it took the socket with it."""
        listening = self._nodes.get(host, {})
        if listening.get(path) is not server:
            return
        if removed:
            del listening[path]
        else:
            listening[path] = None

    def dial(self, host: NodeHost, path: str) -> T:
        """Raises FileNotFoundError, ConnectionRefusedError."""
        listening = self._nodes.get(host, {})
        if path not in listening:
            raise FileNotFoundError(path)
        server = listening[path]
        if server is None:
            raise ConnectionRefusedError(path)
        return server
