"""A cloud in a process of its own, forked by the spawner and reached over a socket pair (`remote`) and over HTTP.

It can't share the runner's process: a system call on a mount that the runner makes while it holds the interpreter lock
(a page fault in a mapped file, a C extension, before Python 3.11.4 also a vfork whose child closes inherited files)
waits for ossfs, which waits for the cloud, which would wait for that lock.

A process serves one cloud at a time. When that is closed it waits for the next one: what is started anew is the cloud,
not Python. This is the runner's side, for any of its threads; `cloudserver` is the process's.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from osscloud.clock import AdjustableClock
from osscluster.cloud import Cloud, CloudHost
from osscluster.errors import ClusterError
from osscluster.remote import Remote
from osscluster.spawner import Spawner

__all__ = ["start"]

T = TypeVar("T")

_START_SECONDS = 60.0  # until a new process has imported what it needs, on a busy machine

_logger = logging.getLogger(__name__)
_idle: WeakKeyDictionary[Spawner, list[Remote]] = WeakKeyDictionary()


def start(spawner: Spawner, *, seed: int = 0, timeout: float = 120.0) -> tuple[Cloud, AdjustableClock]:
    """An empty cloud that listens on a port of this machine, and its clock. seed: of its ids and keys; timeout: seconds
    that a call may take. Its process ends with the run, or with the spawner, whatever ends them."""
    place = _Process(spawner, _connect(spawner), seed)
    place.limit_calls(timeout)
    try:
        # The protocol of a cloud's clock has no advance.
        return Cloud(place.host, place), cast(AdjustableClock, place.host.clock)
    except BaseException:
        place.close()
        raise


class _Process:
    """Implements `cloud.Place`."""

    def __init__(self, spawner: Spawner, connection: Remote, seed: int) -> None:
        self._spawner = spawner
        self._remote = connection
        self._closed = False
        self.pid = connection.process.pid
        try:
            self.host = connection.make(_open, seed)
        except BaseException:
            connection.close()
            raise

    def limit_calls(self, seconds: float) -> None:
        self._remote.timeout = seconds

    def make(self, factory: Callable[..., T], *arguments: object) -> T:
        return self._remote.make(factory, *arguments)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        connection = self._remote
        try:
            if connection.usable():
                self.host.close()
                connection.forget()
        except ClusterError as error:
            # Whatever the cloud was for has happened.
            _logger.error("%s", error)
        output = connection.output()
        if output:
            _logger.warning("the cloud (pid %d) wrote:\n%s", self.pid, output)
        if connection.usable() and not output:
            _idle.setdefault(self._spawner, []).append(connection)
        else:
            connection.close()


def _connect(spawner: Spawner) -> Remote:
    """To a process that serves no cloud."""
    idle = _idle.get(spawner, [])
    while idle:
        known = idle.pop()
        if known.usable():
            known.timeout = _START_SECONDS
            return known
        known.close()
    errors = os.memfd_create("ossvol-cloud-stderr")
    process, connection = spawner.cloud(errors=errors)
    made = Remote(process, connection, name="the cloud", errors=errors, timeout=_START_SECONDS)
    spawner.run.on_close(made.close)
    return made


def _open(seed: int) -> CloudHost:
    # In that process: its HTTP library takes longer to import than everything else of a runner.
    host: CloudHost = importlib.import_module("osscluster.cloudserver").HttpHost(seed)
    return host
