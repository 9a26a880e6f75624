"""A run in parts, each with a seed of its own: what is done does not depend on how many processes do it, or machines.

`run_parts` gives them to processes, or does them itself, and puts the results together. A part that fails ends the run,
once all parts before it are through: the failure told is the same with any number of processes. Called from the main
thread; a process has a laboratory of its own and shares nothing.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, cast

from osscluster.errors import ClusterError, ProcessDied
from osscluster.volume import MountFailed
from ossvol.fuzz.laboratory import Laboratory
from ossvol.fuzz.plan import MOTO, Plan
from ossvol.fuzz.running import FuzzResult, laboratory_for, run

if TYPE_CHECKING:
    from ossvol.fuzz.s3_face import S3Servers

__all__ = ["EXAMPLES", "Part", "parts_of", "run_parts"]

EXAMPLES = 20
"""Of a part. A failure is repeated with its part alone, so parts are small."""

_SEEDS = 1_000_003  # apart, so that parts of neighbouring seeds differ
_PATIENCE = 60.0  # seconds for an example to end, and for what it has mounted to be unmounted

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Part:
    """number: from 0."""

    number: int
    seed: int
    examples: int


def parts_of(seed: int, examples: int) -> tuple[Part, ...]:
    """All parts of a run."""
    sizes = [min(EXAMPLES, examples - done) for done in range(0, examples, EXAMPLES)]
    return tuple(Part(number, seed * _SEEDS + number, size) for number, size in enumerate(sizes))


@dataclass(frozen=True, slots=True)
class Work:
    """What every process is told. database: makes the database of failures where it is used."""

    plan: Plan
    steps: int
    database: Callable[[], Any] | None = None


def run_parts(work: Work, parts: Sequence[Part], *, jobs: int = 1, progress: Progress | None = None) -> FuzzResult:
    """progress: told of the examples and steps so far. Raises EnvironmentMissing."""
    whole = FuzzResult(work.plan, 0)
    if jobs == 1:
        database = work.database() if work.database is not None else None
        with _place(work.plan) as place:
            for part in parts:
                _add(whole, _run(work, part, place, database, _after(whole, progress)))
                if whole.failures:
                    break
        return whole
    found: dict[int, FuzzResult] = {}
    with _processes(work, min(jobs, len(parts))) as connections:
        _share_out(parts, connections, found, progress)
    for number in sorted(found):
        _add(whole, found[number])
    return whole


def _place(plan: Plan) -> Laboratory | S3Servers:
    if plan.against != MOTO:
        return laboratory_for(plan)
    from ossvol.fuzz.s3_face import S3Servers

    return S3Servers()


def _run(work: Work, part: Part, place: Laboratory | S3Servers, database: Any, progress: Progress | None) -> FuzzResult:
    told = None if progress is None else lambda examples, steps, _: progress(examples, steps)
    if isinstance(place, Laboratory):
        result = run(
            work.plan,
            part.seed,
            steps=work.steps,
            examples=part.examples,
            laboratory=place,
            database=database,
            progress=told,
        )
    else:
        from ossvol.fuzz.s3_face import run_s3

        result = run_s3(
            part.seed, steps=work.steps, examples=part.examples, database=database, servers=place, progress=told
        )
    result.tally.told = None
    return result


def _after(whole: FuzzResult, progress: Progress | None) -> Progress | None:
    if progress is None:
        return None
    return lambda examples, steps: progress(whole.tally.examples + examples, whole.tally.steps + steps)


def _add(whole: FuzzResult, result: FuzzResult) -> None:
    """The first failure is the one of the run."""
    whole.failures = whole.failures or result.failures
    whole.tally.merge(result.tally)


def _share_out(
    parts: Sequence[Part], connections: Sequence[Connection], found: dict[int, FuzzResult], progress: Progress | None
) -> None:
    waiting, busy = deque(parts), dict[Connection, Part]()
    done: dict[int, tuple[int, int]] = {}
    idle = list(connections)
    while busy or (waiting and idle):
        while waiting and idle:
            connection, part = idle.pop(), waiting.popleft()
            connection.send(part)
            busy[connection] = part
        for ready in wait(list(busy)):
            connection = cast("Connection", ready)
            try:
                answer = connection.recv()
            except EOFError:
                raise ProcessDied(f"the process that did part {busy[connection].number} has ended") from None
            if isinstance(answer, Exception):
                raise answer
            part = busy[connection]
            if isinstance(answer, FuzzResult):
                found[part.number] = answer
                idle.append(connection)
                del busy[connection]
                if answer.failures:
                    # What comes after it can't be the first failure.
                    waiting = deque(one for one in waiting if one.number < part.number)
                continue
            done[part.number] = answer
            if progress is not None:
                progress(sum(examples for examples, _ in done.values()), sum(steps for _, steps in done.values()))


@contextmanager
def _processes(work: Work, jobs: int) -> Iterator[list[Connection]]:
    """Connections to as many processes; they have ended, and removed what they made, afterwards."""
    context = multiprocessing.get_context("spawn")
    started, connections = [], []
    try:
        for _ in range(jobs):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, work), daemon=True)
            process.start()
            theirs.close()
            started.append(process)
            connections.append(mine)
        yield connections
    finally:
        for connection in connections:
            connection.close()
        for process in started:
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()


class _Over(BaseException):
    """Nobody wants the result any more. Hypothesis lets what is no Exception through."""


def _serve(connection: Connection, work: Work) -> None:
    """A process: parts in, results out, until the other side has closed, by which it is told of an interrupt too: it
    ends with an example then, and not in the middle of a call."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def tell(examples: int, steps: int) -> None:
        try:
            connection.send((examples, steps))
        except BrokenPipeError:
            raise _Over from None

    try:
        database = work.database() if work.database is not None else None
        with _place(work.plan) as place:
            while True:
                connection.send(_run(work, connection.recv(), place, database, tell))
    except (EOFError, BrokenPipeError, _Over):
        return  # the laboratory has been closed
    except (ClusterError, MountFailed, OSError) as error:
        connection.send(error)  # the process that asked tells it
