"""Which bytes of an open file are here, which were changed, and how they are cut into parts for upload.

A `PageMap` covers [0, size) without gaps. It does no I/O and takes no lock; it belongs to the entity that owns it.
"""

from __future__ import annotations

import bisect
import enum
from collections.abc import Iterator

__all__ = ["MIN_PART", "PageMap", "PageState", "copy_chunks", "plain_parts"]

MIN_PART = 5 * 1024 * 1024
MAX_COPY = 5 * 1024 * 1024 * 1024


class PageState(enum.IntEnum):
    """What is known of a range. HOLE: became part of the file by growing it, so it is zero here and not yet there."""

    REMOTE = 0
    LOADED = 1
    HOLE = 2
    WRITTEN = 3

    @property
    def modified(self) -> bool:
        return self >= PageState.HOLE


class PageMap:
    """shrunk: the file was cut since the last upload."""

    __slots__ = ("_starts", "_states", "shrunk", "size")

    def __init__(self, size: int = 0, state: PageState = PageState.REMOTE) -> None:
        self.size = 0
        self.shrunk = False
        self._starts: list[int] = []
        self._states: list[PageState] = []
        if size:
            self.mark(0, size, state)

    def __iter__(self) -> Iterator[tuple[int, int, PageState]]:
        """(start, end, state) of every range, in order."""
        ends = [*self._starts[1:], self.size] if self._starts else []
        return iter(zip(self._starts, ends, self._states, strict=True))

    @property
    def modified(self) -> bool:
        return self.shrunk or any(state.modified for state in self._states)

    def modified_bytes(self) -> int:
        return sum(end - start for start, end, state in self if state.modified)

    def resize(self, size: int, *, modified: bool) -> None:
        """Cuts, or grows by a range that is zero (modified) or not looked at yet."""
        if size > self.size:
            self.mark(self.size, size, PageState.HOLE if modified else PageState.REMOTE)
        elif size < self.size:
            keep = bisect.bisect_left(self._starts, size)
            del self._starts[keep:], self._states[keep:]
            self.size = size
            self.shrunk = self.shrunk or modified

    def mark(self, start: int, end: int, state: PageState) -> None:
        """Gives [start, end) a state; the map grows when it ends before `end` (a gap becomes a hole)."""
        if start >= end:
            return
        if start > self.size:
            self.mark(self.size, start, PageState.HOLE)
        first = bisect.bisect_left(self._starts, start)
        last = bisect.bisect_left(self._starts, end)
        after = self._states[last - 1] if last and end < self.size else None
        starts, states = [start], [state]
        if after is not None and (last == len(self._starts) or self._starts[last] != end):
            starts.append(end)
            states.append(after)
        self._starts[first:last] = starts
        self._states[first:last] = states
        self.size = max(self.size, end)
        self._merge(max(first - 1, 0), first + len(starts) + 1)

    def _merge(self, first: int, last: int) -> None:
        index = min(last, len(self._starts) - 1)
        while index > first:
            if self._states[index] == self._states[index - 1]:
                del self._starts[index], self._states[index]
            index -= 1

    def missing(self, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
        """Ranges within [start, end) that only the server has, as (start, end)."""
        end = self.size if end is None else min(end, self.size)
        return [
            (max(begin, start), min(stop, end))
            for begin, stop, state in self
            if state is PageState.REMOTE and begin < end and stop > start
        ]

    def uploaded(self) -> None:
        """Everything modified is on the server now; holes have to be fetched from there to be read."""
        self.shrunk = False
        settled = [(start, end, state) for start, end, state in self if state.modified]
        for start, end, state in settled:
            self.mark(start, end, PageState.LOADED if state is PageState.WRITTEN else PageState.REMOTE)

    def mixed_parts(self, part_size: int) -> tuple[list[tuple[int, int]], list[tuple[int, int, bool]]]:
        """How a file is uploaded when unchanged ranges can be copied on the server.

        Returns ranges to download first, as (start, end), and parts in order, as (start, end, copied). No part but the
        last is smaller than 5 MB: a small unchanged range in front of a change is downloaded whole, a small change is
        filled up from what follows it (source: GetPageListsForMultipartUpload)."""
        downloads: list[tuple[int, int]] = []
        parts: list[tuple[int, int, bool]] = []
        begin, end, changed = 0, 0, False
        for start, stop, is_changed in self._changes():
            size = end - begin
            if is_changed == changed:
                end = stop
            elif is_changed:
                if size < MIN_PART:
                    if size:
                        downloads.append((begin, end))
                        parts.append((begin, end, False))
                else:
                    parts.append((begin, end, True))
                begin, end, changed = start, stop, True
            elif size >= MIN_PART:
                parts.append((begin, end, False))
                begin, end, changed = start, stop, False
            elif 2 * MIN_PART - size < stop - start:
                filled = begin + MIN_PART
                downloads.append((start, filled))
                parts.append((begin, filled, False))
                begin, end, changed = filled, stop, False
            else:
                downloads.append((start, stop))
                end = stop
        if end > begin:
            parts.append((begin, end, not changed))
        return downloads, [piece for part in _joined(parts) for piece in _cut(part, part_size)]

    def _changes(self) -> Iterator[tuple[int, int, bool]]:
        pending: tuple[int, int, bool] | None = None
        for start, end, state in self:
            if pending is not None and pending[2] == state.modified:
                pending = (pending[0], end, pending[2])
                continue
            if pending is not None:
                yield pending
            pending = (start, end, state.modified)
        if pending is not None:
            yield pending


def _joined(parts: list[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    joined: list[tuple[int, int, bool]] = []
    for start, end, copied in parts:
        if joined and joined[-1][2] == copied and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end, copied)
        else:
            joined.append((start, end, copied))
    return joined


def _cut(part: tuple[int, int, bool], size: int) -> Iterator[tuple[int, int, bool]]:
    start, end, copied = part
    if not copied:
        # What is left of up to two part sizes stays in one piece, so that no piece is smaller than one part.
        while end - start > 2 * size:
            yield start, start + size, False
            start += size
    yield start, end, copied


def plain_parts(size: int, part_size: int) -> list[tuple[int, int, bool]]:
    """A file of `size` bytes in parts of `part_size`, the last one as large as what is left."""
    return [(start, min(start + part_size, size), False) for start in range(0, size, part_size)]


def copy_chunks(start: int, end: int, chunk_size: int) -> Iterator[tuple[int, int]]:
    """A range in pieces that one part copy can take: no rest below 5 MB, nothing above 5 GiB."""
    while start < end:
        stop = min(start + chunk_size, end)
        if 0 < end - stop < MIN_PART:
            stop = start + (end - start) // 2 if end - start > MAX_COPY else end
        yield start, stop
        start = stop
