"""Runs scenarios one after the other in this process, or spread over worker processes.

Each worker has its own `Runner`, so its own engines, mounts and records of what it has made. Called from the main
thread; workers end with it, whatever ends it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from ossvol.result import Result, Status

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from ossvol.runner import RunOptions
    from ossvol.scenario import LoadedScenario

__all__ = ["run_scenarios"]

_END_SECONDS = 30.0  # how long a worker may take to unmount what it has mounted


def run_scenarios(
    scenarios: Sequence[LoadedScenario],
    options: RunOptions,
    *,
    workers: int = 1,
    on_start: Callable[[str], None] = lambda name: None,
) -> Iterator[Result]:
    """A result for each scenario, as they end. on_start: told the id of each one that begins.

    A KeyboardInterrupt passes through after everything has been cleaned up."""
    if workers <= 1 or len(scenarios) <= 1:
        from ossvol.runner import Runner

        with Runner(options) as runner:
            for one in scenarios:
                on_start(one.id)
                yield runner.run(one)
        return
    pool = _Pool(min(workers, len(scenarios)), options)
    try:
        yield from pool.run(scenarios, on_start)
    finally:
        pool.close()


class _Pool:
    """Worker processes and what each of them has in hand."""

    def __init__(self, count: int, options: RunOptions) -> None:
        self._options = options
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[Connection, SpawnProcess] = {}
        self._busy: dict[Connection, LoadedScenario] = {}
        for _ in range(count):
            self._start()

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._options), daemon=False)
        process.start()
        theirs.close()
        self._workers[ours] = process

    def run(self, scenarios: Sequence[LoadedScenario], on_start: Callable[[str], None]) -> Iterator[Result]:
        waiting = list(reversed(scenarios))
        for connection in list(self._workers):
            self._give(connection, waiting, on_start)
        while self._busy:
            for ready in wait(list(self._busy)):
                if not isinstance(ready, Connection):
                    continue
                one = self._busy.pop(ready)
                try:
                    yield ready.recv()
                except EOFError:
                    yield self._died(ready, one)
                    self._start()
                    ready = list(self._workers)[-1]  # noqa: PLW2901 - the replacement goes on with the dead one's work
                self._give(ready, waiting, on_start)

    def _give(self, connection: Connection, waiting: list[LoadedScenario], on_start: Callable[[str], None]) -> None:
        if waiting:
            one = waiting.pop()
            on_start(one.id)
            self._busy[connection] = one
            connection.send(one.file)

    def _died(self, connection: Connection, one: LoadedScenario) -> Result:
        process = self._workers.pop(connection)
        process.join()
        connection.close()
        scenario = one.scenario
        return Result(
            id=one.id,
            title=scenario.title.en,
            faq=scenario.faq or "",
            cause=scenario.cause_id,
            file=one.file,
            status=Status.FAILED,
            via=self._options.via,
            ossfs=self._options.ossfs_version,
            error=f"the worker process ended by itself (exit code {process.exitcode})",
        )

    def close(self) -> None:
        for connection, process in self._workers.items():
            if connection in self._busy and process.pid is not None:
                # In the middle of a scenario: SIGTERM lets it unmount first. After Ctrl-C it does so already.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
            connection.close()
        for process in self._workers.values():
            process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _work(connection: Connection, options: RunOptions) -> None:
    """A worker: files in, results out, until the other end closes."""
    from ossvol.runner import Runner
    from ossvol.scenario import load

    def end(signum: int, frame: object) -> None:
        # Once: a second signal must not interrupt the cleaning up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(128 + signum)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with Runner(options) as runner, contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            connection.send(runner.run(load(connection.recv())))
