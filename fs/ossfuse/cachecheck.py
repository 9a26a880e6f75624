"""The report that SIGUSR1 makes of use_cache with set_check_cache_sigusr1: does each page map fit its data?

Reads the cache and nothing else; any thread.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass

from ossfuse.diskcache import DiskCache
from ossfuse.pages import PageState

__all__ = ["report"]

_RULE = "-" * 75
_OPEN = "\n           -> [W] This file is currently open and may not provide accurate analysis results."
_WARNING = "           -> [W] These show no data in stats, but there is evidence of data in the cache file(no problem)."
_ERROR = "           -> [E] there is a mark that data exists in stats, but there is no data in the cache file."
_CRITICAL = "           -> [C] "


@dataclass(slots=True)
class _Count:
    files: int = 0
    wrong_files: int = 0
    wrong_directories: int = 0


def report(cache: DiskCache, *, opened: Container[str], at: str) -> str:
    """The text, one report. opened: paths that somebody has open; at: the time, as the log writes it (source:
    FdManager::CheckAllCache)."""
    count = _Count()
    lines = [_RULE, f"Check cache file and its stats file consistency at {at}", _RULE]
    lines += _directory(cache, "/", opened, count) or []
    lines += [
        _RULE,
        f"Summary - Total files:                {count.files}",
        f"          Detected error files:       {count.wrong_files}",
        f"          Detected error directories: {count.wrong_directories}",
        _RULE,
    ]
    return "\n".join(lines) + "\n"


def _directory(cache: DiskCache, path: str, opened: Container[str], count: _Count) -> list[str] | None:
    """path: with a slash at its end. None where it can't be read."""
    lines: list[str] = []
    try:
        entries = list(os.scandir(cache.map_path(path)))
    except OSError:
        return None
    for entry in entries:
        name = path + entry.name
        if entry.is_dir(follow_symlinks=False):
            below = _directory(cache, f"{name}/", opened, count)
            if below is None:
                count.wrong_directories += 1
                lines += [f"Directory: {name}/", f"{_CRITICAL}Something error is occurred in checking this directory"]
            lines += below or []
        else:
            count.files += 1
            lines += _file(cache, name, _OPEN if name in opened else "", count)
    return lines


def _file(cache: DiskCache, path: str, warning: str, count: _Count) -> list[str]:
    problem = [f"File:      {path}{warning}"]
    try:
        fd = os.open(cache.data_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        count.wrong_files += 1
        return [*problem, f"{_CRITICAL}Could not open cache file"]
    try:
        found = os.fstat(fd)
        pages = cache.read_map(path, found.st_ino)
        if pages is None:
            count.wrong_files += 1
            return [*problem, f"{_CRITICAL}Could not load cache file stats information"]
        if pages.size != found.st_size:
            count.wrong_files += 1
            told = (
                f"The cache file size({found.st_size}) and the value({pages.size}) from cache file stats are different"
            )
            return [*problem, _CRITICAL + told]
        errors: list[tuple[int, int]] = []
        warnings: list[tuple[int, int]] = []
        for start, end, state in pages:
            for begin, stop, is_data in _areas(fd, found.st_size):
                low, high = max(start, begin), min(end, stop)
                if low >= high:
                    continue
                if state is not PageState.REMOTE:
                    if not is_data:
                        errors.append((low, high - low))
                elif is_data and not _is_zero(fd, low, high):
                    warnings.append((low, high - low))
    finally:
        os.close(fd)
    if not errors and not warnings:
        return [f"File:      {path}{warning + chr(10) + ' ' if warning else ''}    -> [OK] no problem"]
    if warnings:
        problem += [_WARNING, *map(_block, warnings)]
    if errors:
        count.wrong_files += 1
        problem += [_ERROR, *map(_block, errors)]
    return problem


def _block(area: tuple[int, int]) -> str:
    return f"                  0x{area[0]:016x}(0x{area[1]:016x} bytes)"


def _areas(fd: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """(start, end, is data) of a sparse file."""
    position = 0
    while position < size:
        try:
            data = os.lseek(fd, position, os.SEEK_DATA)
        except OSError:
            data = size
        if data > position:
            yield position, data, False
        if data >= size:
            return
        position = min(os.lseek(fd, data, os.SEEK_HOLE), size)
        yield data, position, True


def _is_zero(fd: int, start: int, end: int) -> bool:
    while start < end:
        piece = os.pread(fd, min(1 << 20, end - start), start)
        if not piece:
            return True
        if piece.strip(b"\0"):
            return False
        start += len(piece)
    return True
