"""Random reads and writes of one file against a shadow buffer, as fsx does it: 10,000 operations on each engine.

A failure names the seed and the last operations; the same seed repeats them. With `--ossvol-ossfs PATH` the kernel runs
are the real binary's.
"""

from __future__ import annotations

import mmap
import os
import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osscluster.volume import Syscalls
from ossfuse.profile import PROFILES

Mount = Callable[..., Any]
OPERATIONS = 10_000
SHOWN = 25
REACH = 100_000  # bytes: a few requests of the kernel, and pages that are partly written
SEED = 1


class OwnCalls:
    """The calls of this process on a real mount: what a container's process answers over a socket, and mmap."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def open(self, path: str, flags: int) -> int:
        return os.open(self.root / path, flags, 0o644)

    def truncate(self, path: str, size: int) -> None:
        os.truncate(self.root / path, size)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def mapped(self, fd: int, size: int) -> bytes:
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as view:
            return view[:]

    close = staticmethod(os.close)
    pread = staticmethod(os.pread)
    pwrite = staticmethod(os.pwrite)
    ftruncate = staticmethod(os.ftruncate)
    fsync = staticmethod(os.fsync)


class DirectCalls:
    """The same of the direct engine, which has no mmap: a read stands for it."""

    def __init__(self, process: Syscalls) -> None:
        self.open, self.truncate, self.close = process.open, process.truncate, process.close
        self.pread, self.pwrite = process.pread, process.pwrite
        self.ftruncate, self.fsync = process.ftruncate, process.fsync
        self._process = process

    def size(self, fd: int) -> int:
        return self._process.fstat(fd).size

    def mapped(self, fd: int, size: int) -> bytes:
        return self._process.pread(fd, size, 0)


class Exerciser:
    """calls: OwnCalls or DirectCalls. stored: the object on the server. careful: keeps away from defects of 1.91, which
    concern truncate(2) of a closed file, a dirty file that is made shorter while it is open twice, and a file that was
    made shorter and not uploaded when it is read or opened once more. reach: how large the file becomes."""

    def __init__(
        self,
        calls: Any,
        stored: Callable[[], bytes],
        seed: int,
        *,
        careful: bool,
        reach: int = REACH,
    ) -> None:
        self.calls = calls
        self.stored = stored
        self.rng = random.Random(seed)
        self.noise = self.rng.randbytes(2 * reach)
        self.careful = careful
        self.reach = reach
        self.shadow = bytearray()
        self.last: deque[str] = deque(maxlen=SHOWN)
        self.number = 0
        self.fds = [calls.open("f", os.O_RDWR | os.O_CREAT)]
        self.works = [self.read] * 5 + [self.write] * 6 + [self.map, self.ftruncate, self.truncate, self.stat]
        self.works += [self.fsync, self.open_or_close, self.reopen]

    def run(self, operations: int) -> None:
        for self.number in range(operations):
            self.rng.choice(self.works)(self.rng.choice(self.fds))
        for fd in self.fds:
            self.calls.close(fd)
        self.same(self.stored(), bytes(self.shadow), "the object after the last close")

    def note(self, text: str) -> None:
        self.last.append(f"{self.number:6} {text}")

    @staticmethod
    def same(found: bytes, expected: bytes, what: str) -> None:
        if found == expected:
            return
        at = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
        at = min(len(found), len(expected)) if at is None else at
        raise AssertionError(
            f"{what}: {len(found)} bytes for {len(expected)}, the first difference at {at}: "
            f"{found[at : at + 16]!r} for {expected[at : at + 16]!r}"
        )

    def span(self, beyond: int = 0) -> tuple[int, int]:
        """Offset and size; mostly small, sometimes pages, sometimes over everything."""
        offset = self.rng.randrange(min(len(self.shadow) + beyond, self.reach) + 1)
        return offset, self.rng.randrange(1, self.rng.choice((100, 5000, self.reach // 3)))

    def read(self, fd: int) -> None:
        offset, size = self.span()
        self.note(f"pread({fd}, {size}, {offset})")
        self.same(self.calls.pread(fd, size, offset), bytes(self.shadow[offset : offset + size]), "pread")

    def map(self, fd: int) -> None:
        if self.shadow:
            self.note(f"mmap({fd}, {len(self.shadow)})")
            self.same(self.calls.mapped(fd, len(self.shadow)), bytes(self.shadow), "mmap")

    def write(self, fd: int) -> None:
        offset, size = self.span(beyond=10_000)
        begin = self.rng.randrange(self.reach)
        data = self.noise[begin : begin + size]
        self.note(f"pwrite({fd}, {size} bytes, {offset})")
        assert self.calls.pwrite(fd, data, offset) == size
        self.shadow.extend(bytes(max(0, offset - len(self.shadow))))
        self.shadow[offset : offset + size] = data

    def resize(self, fd: int) -> int:
        if self.careful and len(self.fds) > 1:
            self.upload(fd)
        size = self.rng.randrange(self.reach) if self.rng.random() < 0.8 else 0
        del self.shadow[size:]
        self.shadow.extend(bytes(size - len(self.shadow)))
        return size

    def ftruncate(self, fd: int) -> None:
        size = self.resize(fd)
        self.note(f"ftruncate({fd}, {size})")
        self.calls.ftruncate(fd, size)
        if self.careful:
            self.upload(fd)

    def truncate(self, fd: int) -> None:
        size = self.resize(fd)
        self.note(f"truncate(f, {size})")
        self.calls.truncate("f", size)
        if self.careful:
            self.upload(fd)

    def stat(self, fd: int) -> None:
        self.note(f"fstat({fd})")
        assert self.calls.size(fd) == len(self.shadow)

    def upload(self, fd: int) -> None:
        self.note(f"fsync({fd})")
        self.calls.fsync(fd)

    def fsync(self, fd: int) -> None:
        self.upload(fd)
        self.same(self.stored(), bytes(self.shadow), "the object after fsync")

    def open_or_close(self, fd: int) -> None:
        """A second descriptor of the same file comes, or goes."""
        if len(self.fds) == 1:
            if self.careful:
                self.upload(fd)
            self.open(0 if self.careful or self.rng.random() < 0.8 else os.O_TRUNC)
            return
        self.fds.remove(fd)
        self.note(f"close({fd})")
        self.calls.close(fd)
        self.same(self.stored(), bytes(self.shadow), "the object after a close")

    def reopen(self, fd: int) -> None:
        """Everything is closed, and the file opened again; sometimes it is truncated while it is closed or by open."""
        for each in self.fds:
            self.note(f"close({each})")
            self.calls.close(each)
        self.same(self.stored(), bytes(self.shadow), "the object after close")
        self.fds.clear()
        if not self.careful and self.rng.random() < 0.3:
            self.truncate(-1)
            self.same(self.stored(), bytes(self.shadow), "the object after truncate")
        self.open(0 if self.rng.random() < 0.9 else os.O_TRUNC)

    def open(self, flag: int) -> None:
        if flag:
            self.shadow.clear()
        self.fds.append(self.calls.open("f", os.O_RDWR | flag))
        self.note(f"open(f{', O_TRUNC' if flag else ''}) = {self.fds[-1]}")


def exercise(m: Any, operations: int, *, careful: bool, seed: int = SEED) -> None:
    calls = OwnCalls(m.volume.mountpoint) if m.engine.name == "kernel" else DirectCalls(m.volume.container("fsx"))

    def stored() -> bytes:
        found = m.admin.object(m.bucket, "f")
        return b"" if found is None else bytes(found.read())

    run = Exerciser(calls, stored, seed, careful=careful)
    try:
        run.run(operations)
    except (AssertionError, OSError) as failure:
        failure.add_note(f"seed {seed}, {m.version} on {m.engine.name}; the last operations:\n" + "\n".join(run.last))
        raise


@pytest.mark.parametrize("version", PROFILES)
def test_without_its_defects_every_release_keeps_what_random_operations_write(mount: Mount, version: str) -> None:
    exercise(mount(version=version, fixed=True), OPERATIONS // len(PROFILES), careful=False)


def test_an_unchanged_release_keeps_what_random_operations_away_from_its_defects_write(mount: Mount) -> None:
    # One thread (-s) takes the RELEASE of a close before the next open. With more it may come later, and for that long
    # the file counts as open twice.
    exercise(mount("-s -o allow_other"), OPERATIONS, careful=True)
