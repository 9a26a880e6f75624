"""Time on a real mount: caches, waits and time-outs run on the clock that the control socket moves."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from osscloud.faults import Fault
from osscluster.kernel import KernelEngine, KernelVolume
from osscluster.volume import VolumeSpec

pytestmark = pytest.mark.kernel

PATIENCE = 30.0


@pytest.fixture
def engine() -> Iterator[KernelEngine]:
    engine = KernelEngine(call_timeout=PATIENCE)
    engine.cloud.admin.create_bucket("bkt")
    yield engine
    engine.close()


def mounted(engine: KernelEngine, version: str, options: str = "") -> KernelVolume:
    return engine.mount(VolumeSpec("bkt", options=options, version=version))


def outcome(call: Callable[..., object], *arguments: object) -> object:
    """What a call returns, or the errno it fails with."""
    try:
        return call(*arguments)
    except OSError as error:
        return error.errno


def sizes(engine: KernelEngine, volume: KernelVolume, steps: list[float]) -> list[int]:
    """Size of "a" after each step of time, when another client has replaced it by a longer one at the beginning."""
    engine.cloud.admin.put("bkt", "a", b"1")
    app = volume.container("app")
    found = [app.stat("a").size]
    engine.cloud.admin.put("bkt", "a", b"22")
    for seconds in steps:
        engine.advance(seconds)
        found.append(app.stat("a").size)
    return found


@pytest.mark.parametrize(
    ("version", "options", "steps", "expected"),
    [
        ("1.91.3", "", [890.0, 11.0], [1, 1, 2]),
        ("1.91.10", "-o stat_cache_expire=60", [55.0, 7.0], [1, 1, 2]),
        ("1.91.3", "-o stat_cache_expire=-1", [1e8], [1, 1]),
        ("1.91.3", "-o stat_cache_interval_expire=60", [50.0, 50.0, 61.0], [1, 1, 1, 2]),
        ("1.91.3", "-o max_stat_cache_size=0", [2.0], [1, 2]),
        ("1.80.6", "", [1e8], [1, 1]),
        ("1.80.6", "-o stat_cache_expire=60", [55.0, 7.0], [1, 1, 2]),
    ],
)
def test_a_cached_size_is_believed_for_as_long_as_the_release_says(
    engine: KernelEngine, version: str, options: str, steps: list[float], expected: list[int]
) -> None:
    assert sizes(engine, mounted(engine, version, options), steps) == expected


@pytest.mark.parametrize(
    ("version", "options", "steps", "expected"),
    [
        ("1.91.10", "", [890.0, 890.0, 901.0], [errno.ENOENT, errno.ENOENT, errno.ENOENT, 1]),
        ("1.91.10", "-o disable_noobj_cache", [2.0], [errno.ENOENT, 1]),
        ("1.91.3", "", [2.0], [errno.ENOENT, 1]),
        ("1.91.3", "-o enable_noobj_cache -o stat_cache_expire=30", [25.0, 32.0], [errno.ENOENT, errno.ENOENT, 1]),
        ("1.80.6", "-o enable_noobj_cache -o stat_cache_expire=30", [20.0, 20.0], [errno.ENOENT, errno.ENOENT, 1]),
    ],
)
def test_a_missing_name_stays_missing_for_as_long_as_the_release_says(
    engine: KernelEngine, version: str, options: str, steps: list[float], expected: list[int]
) -> None:
    app = mounted(engine, version, options).container("app")

    def size() -> object:
        found = outcome(app.stat, "new")
        return found if isinstance(found, int) else getattr(found, "size")  # noqa: B009 - outcome() is untyped

    found = [size()]
    engine.cloud.admin.put("bkt", "new", b"1")
    for seconds in steps:
        engine.advance(seconds)
        found.append(size())
    assert found == expected


class Waiting:
    """A call in a thread of its own, and the time that has to pass on the mount until it returns."""

    def __init__(self, volume: KernelVolume, call: Callable[[], object]) -> None:
        self._volume = volume
        self.result: object = None
        self._thread = threading.Thread(target=self._run, args=(call,))
        self._thread.start()

    def _run(self, call: Callable[[], object]) -> None:
        self.result = outcome(call)

    def seconds(self, step: float = 1.0) -> float:
        """Moves the mount's clock by `step` again and again; the sum when the call has returned."""
        total = 0.0
        deadline = time.monotonic() + PATIENCE
        while self._thread.is_alive():
            assert time.monotonic() < deadline, "the call does not return"
            self._thread.join(0.03)
            if self._thread.is_alive():
                self._volume.control({"do": "advance", "seconds": step})
                total += step
        return total


@pytest.mark.parametrize(
    ("version", "heads", "shortest", "longest"),
    [("1.80.6", 9, 36.0, 60.0), ("1.91.3", 15, 186.0, 372.0)],
)
def test_waits_between_attempts_pass_on_the_clock_of_the_mount(
    engine: KernelEngine, version: str, heads: int, shortest: float, longest: float
) -> None:
    volume = mounted(engine, version)
    app = volume.container("app")
    engine.cloud.service.faults.add(Fault(operation="HeadObject", count=1000, status=500, code="InternalError"))
    mark = engine.cloud.service.access_log.mark()
    waiting = Waiting(volume, lambda: app.stat("missing"))
    seconds = waiting.seconds()
    assert waiting.result == errno.EIO if version == "1.91.3" else waiting.result in (errno.EIO, errno.ENOENT)
    sent = [record.operation for record in engine.cloud.service.access_log.since(mark)]
    assert sent.count("HeadObject") == heads
    assert shortest - 9 <= seconds <= longest + 30


@pytest.mark.parametrize("version", ["1.80.6", "1.91.10"])
def test_a_transfer_that_stands_still_ends_after_readwrite_timeout(engine: KernelEngine, version: str) -> None:
    engine.cloud.admin.put("bkt", "a", b"hello")
    volume = mounted(engine, version, "-o readwrite_timeout=30")
    app = volume.container("app")
    fd = app.open("a")
    engine.cloud.service.faults.add(Fault(operation="GetObject", count=1, action="stall", seconds=3600.0))
    waiting = Waiting(volume, lambda: app.read(fd, 5))
    seconds = waiting.seconds()
    assert waiting.result == b"hello"
    assert 30.0 <= seconds <= 60.0
    app.close(fd)
