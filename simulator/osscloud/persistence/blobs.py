"""Files that hold the large bodies of a data directory: one file a body, numbered, never changed.

A `BlobFile` is unlinked some time after its last reference is gone: the journal asks `forget` once it has written that
nothing refers to it. Writing and reading: any thread; `sweep` and `forget`: whoever owns the directory.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from osscloud.persistence.errors import StateError

__all__ = ["BlobDirectory", "BlobFile", "FileExtent"]

READ_SIZE = 512 * 1024
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{16}")


class BlobFile:
    """One file. When nobody refers to it any more its number goes to `released`."""

    __slots__ = ("_released", "number", "path", "size")

    def __init__(self, path: str, number: int, size: int, released: deque[int]) -> None:
        self.path = path
        self.number = number
        self.size = size
        self._released = released

    def __del__(self) -> None:
        self._released.append(self.number)


class FileExtent:
    """The bytes start..stop-1 of a file, read when they are wanted. Implements `blob.Extent`."""

    __slots__ = ("file", "start", "stop")

    def __init__(self, file: BlobFile, start: int, stop: int) -> None:
        self.file = file
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return self.stop - self.start

    def chunks(self) -> Iterator[bytes]:
        descriptor = os.open(self.file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            position = self.start
            while position < self.stop:
                chunk = os.pread(descriptor, min(READ_SIZE, self.stop - position), position)
                if not chunk:
                    raise OSError(f"{self.file.path} is shorter than the {self.file.size} bytes that were written")
                yield chunk
                position += len(chunk)
        finally:
            os.close(descriptor)

    def cut(self, start: int, stop: int) -> FileExtent:
        return FileExtent(self.file, self.start + start, self.start + stop)


class BlobDirectory:
    """The files below one directory. synced: each is on the disk itself, not only with the kernel, before it counts."""

    def __init__(self, root: Path, *, synced: bool = False) -> None:
        self._root = root
        self._synced = synced
        self._released: deque[int] = deque()
        self._numbers = itertools.count(1)

    def path(self, number: int) -> Path:
        """256 directories, so that none gets slow."""
        return self._root / f"{number & 0xFF:02x}" / f"{number:016x}"

    def write(self, body: bytes | memoryview) -> FileExtent:
        """A new file with this content. Raises OSError."""
        number = next(self._numbers)
        path = self.path(number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, flags, 0o600)
        file = BlobFile(str(path), number, len(body), self._released)
        try:
            left = memoryview(body)
            while left:
                left = left[os.write(descriptor, left) :]
            if self._synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if self._synced:
            self._sync(path.parent)
        return FileExtent(file, 0, len(body))

    @staticmethod
    def _sync(directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def adopt(self, sizes: Mapping[int, int]) -> dict[int, BlobFile]:
        """The files that a database refers to, by number and size; later files get greater numbers.

        Raises StateError when one is missing or has another size."""
        self._numbers = itertools.count(max(sizes, default=0) + 1)
        found: dict[int, BlobFile] = {}
        for number, size in sizes.items():
            path = self.path(number)
            try:
                seen = path.stat().st_size
            except FileNotFoundError:
                raise StateError(
                    f"{path} is missing: the database beside it refers to it; put the whole directory back from a copy"
                ) from None
            if seen != size:
                raise StateError(
                    f"{path} is damaged: {seen} bytes instead of {size}; put the whole directory back from a copy"
                )
            found[number] = BlobFile(str(path), number, size, self._released)
        return found

    def sweep(self, keep: Mapping[int, BlobFile]) -> int:
        """Removes what a killed process left: files of ours that are not among those. How many there were."""
        orphans = [
            path
            for path in self._root.glob("??/*")
            if _NAME.fullmatch(f"{path.parent.name}/{path.name}") and int(path.name, 16) not in keep
        ]
        for path in orphans:
            path.unlink()
        return len(orphans)

    def released(self) -> int:
        """How many files nobody refers to any more."""
        return len(self._released)

    def forget(self, count: int) -> None:
        """Removes the first `count` of them."""
        for _ in range(count):
            # One that cannot be removed now is an orphan at the next start.
            with contextlib.suppress(OSError):
                self.path(self._released.popleft()).unlink()
