"""The directory of the option use_cache: file data that outlives its last close, and a page map beside each file.

    DIR/BUCKET/PATH           data, 0600
    DIR/.BUCKET.stat/PATH     the page map: which ranges are loaded (and, in 1.91, changed)
    DIR/.BUCKET.mirror/X.tmp  1.91: a second name of the data of an open file, so that an unlink can't take it away

PATH is the path inside the mount, without the mount's prefix. Nothing here sends requests. A `DiskCache` may be used by
any thread; a `CachedFile` belongs to the entity that opened it.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import IO

from ossfuse.pages import PageMap, PageState
from ossfuse.profile import Profile

__all__ = ["CachedFile", "DiskCache"]

_MODE = 0o600


@dataclass(slots=True)
class CachedFile:
    """An open file of the cache. path: of the page map; data_path: of the data, which in 1.80 stays where it was when
    the file is renamed. lost: a rename failed half-way, and the original forgets the file without closing it."""

    path: str
    data_path: str
    file: IO[bytes]
    pages: PageMap
    inode: int
    mirror: str = ""
    lost: bool = False


class DiskCache:
    """directory: of use_cache; rng: names of mirrors."""

    def __init__(self, directory: str, bucket: str, profile: Profile, rng: random.Random) -> None:
        self._data = f"{directory}/{bucket}"
        self._maps = f"{directory}/.{bucket}.stat"
        self._mirrors = f"{directory}/.{bucket}.mirror"
        self._profile = profile
        self._rng = rng

    # --- one file -----------------------------------------------------------------------------------------------------

    def open(self, path: str, size: int, mtime: float | None) -> CachedFile:
        """The data of `path`, kept or fresh, and what of it is loaded. size, mtime: of the object; mtime None: nothing
        is known of it, so what is fresh counts as changed. Raises OSError. Source: FdEntity::Open."""
        data = self._data + path
        os.makedirs(os.path.dirname(data), exist_ok=True)
        os.makedirs(os.path.dirname(self._maps + path), exist_ok=True)
        if self._profile.disk_cache_by_inode:
            return self._open_191(path, data, size, mtime)
        kept = self._read_map(path, inode=0)
        fd = _open_existing(data) if kept is not None else None
        if fd is None:
            # What the old map said stays when data alone is missing: ranges that are not there count as loaded.
            pages = kept or PageMap()
            fd = os.open(data, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC, _MODE)
            changed, resized = True, True
        else:
            pages = kept or PageMap()
            changed = size != pages.size
            resized = size != os.fstat(fd).st_size
        if size != pages.size:
            pages.resize(size, modified=False)
            pages.shrunk = False
        if resized:
            os.ftruncate(fd, size)
        opened = CachedFile(path, data, os.fdopen(fd, "r+b", buffering=0), pages, os.fstat(fd).st_ino)
        if changed:
            self._write_map(opened)
        return opened

    def _open_191(self, path: str, data: str, size: int, mtime: float | None) -> CachedFile:
        self._drop_stale(path, data, size, mtime)
        fd = _open_existing(data)
        pages = None if fd is None else self._read_map(path, inode=os.fstat(fd).st_ino)
        changed = resized = False
        if fd is not None and pages is not None:
            changed = size != pages.size
            resized = size != os.fstat(fd).st_size
            if changed:
                pages.resize(size, modified=True)
        else:
            if fd is not None:
                os.close(fd)
            fd = os.open(data, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC, _MODE)
            pages = PageMap(size, PageState.HOLE if mtime is None else PageState.REMOTE)
            changed = resized = True
        inode = os.fstat(fd).st_ino
        os.close(fd)
        mirror = self._link_mirror(data)
        file = os.fdopen(os.open(mirror, os.O_RDWR | os.O_CLOEXEC), "r+b", buffering=0)
        opened = CachedFile(path, data, file, pages, inode, mirror)
        if resized:
            os.ftruncate(opened.file.fileno(), size)
        if changed:
            self._write_map(opened)
        return opened

    def _drop_stale(self, path: str, data: str, size: int, mtime: float | None) -> None:
        try:
            found = os.stat(data)
        except FileNotFoundError:
            return
        stale = mtime is not None and int(found.st_mtime) < int(mtime)
        if not stale and self._profile.disk_cache_size_checked and size != found.st_size:
            pages = self._read_map(path, inode=0)
            stale = pages is not None and not pages.modified
        if stale:
            os.unlink(data)

    def _link_mirror(self, data: str) -> str:
        os.makedirs(self._mirrors, exist_ok=True)
        while True:
            mirror = f"{self._mirrors}/{self._rng.getrandbits(31):x}.tmp"
            with contextlib.suppress(FileExistsError):
                os.link(data, mirror)
                return mirror

    def close(self, opened: CachedFile, mtime: float) -> None:
        """Keeps the page map; mtime: of the last change of the local data."""
        if opened.lost:
            opened.file.close()
            return
        os.utime(opened.file.fileno(), (mtime, mtime))
        if not self._profile.disk_cache_by_inode or self._still_there(opened):
            self._write_map(opened)
        opened.file.close()
        if opened.mirror:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(opened.mirror)

    def _still_there(self, opened: CachedFile) -> bool:
        try:
            return os.stat(opened.data_path).st_ino == opened.inode
        except FileNotFoundError:
            return False

    def rename(self, opened: CachedFile, new: str) -> None:
        """An open file has another name now. In 1.80 only the page map follows, in 1.91 the data too, and the map if
        the directory for it is there (source: SetPath, RenamePath)."""
        old, opened.path = opened.path, new
        if not self._profile.disk_cache_by_inode:
            return
        data = self._data + new
        os.makedirs(os.path.dirname(data), exist_ok=True)
        os.replace(opened.data_path, data)
        opened.data_path = data
        try:
            os.replace(self._maps + old, self._maps + new)
        except FileNotFoundError:
            # Either there was no map, or no directory to put it in.
            opened.lost = not os.path.isdir(os.path.dirname(self._maps + new))

    def delete(self, path: str) -> None:
        """Data and page map of `path`; what an open file needs of them stays with it."""
        for name in (self._data + path, self._maps + path):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                os.unlink(name)

    # --- all of it ----------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """What del_cache does at start and end. 1.80 leaves the page maps behind."""
        shutil.rmtree(self._data, ignore_errors=True)
        if not self._profile.del_cache_keeps_maps:
            shutil.rmtree(self._maps, ignore_errors=True)
            shutil.rmtree(self._mirrors, ignore_errors=True)

    def clean(self, keep: Container[str]) -> None:
        """Room for others: deletes every file but those in `keep`, which are open."""
        for path in list(self._files(self._data)):
            if path not in keep:
                self.delete(path)

    def map_path(self, path: str) -> str:
        return self._maps + path

    def data_path(self, path: str) -> str:
        return self._data + path

    def read_map(self, path: str, inode: int) -> PageMap | None:
        """The page map of `path`; None where it can't be read or belongs to another file."""
        return self._read_map(path, inode=inode)

    @staticmethod
    def _files(top: str) -> Iterator[str]:
        for directory, _, names in os.walk(top):
            below = directory[len(top) :]
            yield from (f"{below}/{name}" for name in names)

    # --- page maps ----------------------------------------------------------------------------------------------------

    def _write_map(self, opened: CachedFile) -> None:
        """Source: PageList::Serialize. 1.80 does not cut what an older, longer map leaves behind."""
        pages = opened.pages
        with_changes = self._profile.disk_cache_by_inode
        lines = [f"{opened.inode}:{pages.size}" if with_changes else str(pages.size)]
        for start, end, loaded, changed in _marks(pages, with_changes=with_changes):
            line = f"{start}:{end - start}:{int(loaded)}"
            lines.append(f"{line}:{int(changed)}" if with_changes else line)
        if not pages.size and not with_changes:
            lines.append("0:0:0")
        name = self._maps + opened.path
        os.makedirs(os.path.dirname(name), exist_ok=True)
        fd = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _MODE)
        try:
            if with_changes:
                os.ftruncate(fd, 0)
            os.pwrite(fd, "\n".join(lines).encode(), 0)
        finally:
            os.close(fd)

    def _read_map(self, path: str, *, inode: int) -> PageMap | None:
        """None for a map that is wrong, or of another file. A missing one is an empty one."""
        try:
            with open(self._maps + path, encoding="utf-8", errors="replace") as file:
                head, *lines = file.read().split("\n")
        except FileNotFoundError:
            return PageMap()
        if not head:
            return PageMap()
        first, colon, second = head.partition(":")
        known = _number(first) if colon and self._profile.disk_cache_by_inode else 0
        if known and inode and known != inode:
            return None
        total = _number(second if known else first)
        pages = PageMap()
        for line in lines:
            fields = line.split(":")
            if len(fields) < 3:
                return None
            start, size, loaded = _number(fields[0]), _number(fields[1]), _number(fields[2]) == 1
            changed = self._profile.disk_cache_by_inode and len(fields) > 3 and _number(fields[3]) == 1
            state = {
                (False, False): PageState.REMOTE,
                (True, False): PageState.LOADED,
                (False, True): PageState.HOLE,
                (True, True): PageState.WRITTEN,
            }[loaded, changed]
            pages.mark(start, start + size, state)
        return pages if pages.size == total else None


def _marks(pages: PageMap, *, with_changes: bool) -> list[tuple[int, int, bool, bool]]:
    """Ranges as (start, end, loaded, changed), neighbours that say the same in one."""
    found: list[tuple[int, int, bool, bool]] = []
    for start, end, state in pages:
        loaded = state in (PageState.LOADED, PageState.WRITTEN)
        changed = with_changes and state.modified
        if found and found[-1][2:] == (loaded, changed):
            found[-1] = (found[-1][0], end, loaded, changed)
        else:
            found.append((start, end, loaded, changed))
    return found


def _open_existing(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
