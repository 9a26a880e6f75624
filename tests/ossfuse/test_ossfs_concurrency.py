"""No lock of the mount is held over a request: a slow one stalls only those who touch the same file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from osscloud.message import Request
from ossfuse.filesystem import Context

ROOT = Context(0, 0)
PATIENCE = 20.0  # seconds; only a failing test waits that long


@contextmanager
def held(volume, wanted) -> Iterator[threading.Event]:
    """Requests for which `wanted` is true do not get an answer inside; yields the event of the first of them."""
    arrived, released = threading.Event(), threading.Event()

    def answer(request: Request) -> None:
        if wanted(request) and not released.is_set():
            arrived.set()
            assert released.wait(PATIENCE), "nobody let the request go"

    volume.transport.answer = answer
    try:
        yield arrived
    finally:
        released.set()


def in_thread(action) -> tuple[threading.Thread, list[object]]:
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(action())
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


@pytest.mark.parametrize("version", ["1.80.6", "1.91.10"])
def test_a_blocked_upload_does_not_stall_other_files(ossfs, version) -> None:
    volume = ossfs(version)
    volume.put("other", b"hello")
    volume.put("d/x", b"1")
    fh = volume.fs.create(ROOT, "/slow", 0o100644, os.O_RDWR)
    volume.fs.write(ROOT, "/slow", fh, b"data", 0)
    with held(volume, lambda request: request.method == "PUT" and "slow" in request.target) as arrived:
        thread, outcome = in_thread(lambda: volume.fs.flush(ROOT, "/slow", fh))
        assert arrived.wait(PATIENCE)
        assert volume.fs.getattr(ROOT, "/other").size == 5
        assert volume.read("/other") == b"hello"
        assert volume.names("/d") == ["x"]
        volume.write("/third", b"more")
        volume.fs.rename(ROOT, "/third", "/fourth")
        # The very file can be looked at too, with the size that it has here.
        assert volume.fs.getattr(ROOT, "/slow").size == 4
        assert thread.is_alive()
    thread.join(PATIENCE)
    assert outcome == [None]
    volume.fs.release(ROOT, "/slow", fh)
    assert volume.body("slow") == b"data"


def test_a_blocked_download_does_not_stall_other_files(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("slow", b"data")
    volume.put("other", b"hello")
    fh = volume.fs.open(ROOT, "/slow", os.O_RDONLY)
    with held(volume, lambda request: request.method == "GET" and "slow" in request.target) as arrived:
        thread, outcome = in_thread(lambda: volume.fs.read(ROOT, "/slow", fh, 4, 0))
        assert arrived.wait(PATIENCE)
        assert volume.read("/other") == b"hello"
        assert thread.is_alive()
    thread.join(PATIENCE)
    assert outcome == [b"data"]


def test_a_blocked_lookup_does_not_stall_other_lookups(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.put("slow", b"data")
    volume.put("other", b"hello")
    with held(volume, lambda request: request.target == "/slow") as arrived:
        thread, outcome = in_thread(lambda: volume.fs.getattr(ROOT, "/slow").size)
        assert arrived.wait(PATIENCE)
        assert volume.fs.getattr(ROOT, "/other").size == 5
        volume.write("/new", b"x")
    thread.join(PATIENCE)
    assert outcome == [4]


def test_many_threads_on_one_file_lose_no_write(ossfs) -> None:
    volume = ossfs("1.91.10")
    fh = volume.fs.create(ROOT, "/f", 0o100644, os.O_RDWR)
    threads = [
        in_thread(
            lambda number=number: [
                volume.fs.write(ROOT, "/f", fh, bytes([number]) * 10, (row * 8 + number) * 10) for row in range(50)
            ]
        )
        for number in range(8)
    ]
    for thread, _ in threads:
        thread.join(PATIENCE)
    volume.fs.flush(ROOT, "/f", fh)
    volume.fs.release(ROOT, "/f", fh)
    assert volume.body("f") == b"".join(bytes([number]) * 10 for _ in range(50) for number in range(8))


def test_parts_go_out_side_by_side_where_the_transport_allows_it(ossfs) -> None:
    volume = ossfs("1.91.10", "-omultipart_size=5")
    volume.client._concurrent = True
    together = threading.Barrier(3, timeout=PATIENCE)

    def answer(request: Request) -> None:
        if "partNumber" in request.target:
            together.wait()

    volume.transport.answer = answer
    volume.write("/b", bytes(16 << 20))
    assert len(volume.body("b")) == 16 << 20


def test_parallel_requests_are_attributed_to_their_caller(ossfs) -> None:
    volume = ossfs("1.91.10")
    volume.client._concurrent = True
    for number in range(30):
        volume.put(f"d/{number}", b"x")
    volume.fs.readdir(ROOT, "/d")
    heads = [request for request, _ in volume.transport.log if request.target[3:].isdigit()]
    assert len(heads) == 30
    assert {request.caller.operation for request in heads} == {"readdir"}
