"""Pages of a listing: which keys and common prefixes come next, found by seeking, never by walking over a group.

Pure functions over an ordered source of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from osscloud.store import successor

__all__ = ["Page", "Seek", "Window", "read_page"]


class Seek(Protocol):
    def __call__(self, low: str, *, inclusive: bool, below: str | None) -> Iterator[str]:
        """Keys in order from `low` (with it when inclusive) up to and without `below`."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """Where a listing starts and ends: keys from `low` (without it unless inclusive) up to and without `below`."""

    low: str
    inclusive: bool
    below: str | None

    @classmethod
    def after(cls, prefix: str, delimiter: str, marker: str) -> Window:
        """The keys with this prefix that come after the marker; a marker that is itself a common prefix leaves out
        its whole group."""
        below = successor(prefix)
        if marker < prefix or not marker:
            return cls(prefix, True, below)
        if delimiter and marker.startswith(prefix):
            end = marker.find(delimiter, len(prefix))
            if end >= 0 and end + len(delimiter) == len(marker):
                beyond = successor(marker)
                # A group without successor is the last thing there is: an empty window.
                return cls(marker, True, marker) if beyond is None else cls(beyond, True, below)
        return cls(marker, False, below)


@dataclass(slots=True)
class Page:
    """keys and prefixes: each in order. last: the greatest of both as returned, "" on an empty page. truncated: there
    is more."""

    keys: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: str = ""
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.keys) + len(self.prefixes)

    def end(self, window: Window) -> str | None:
        """The first key that was not looked at to make the page; None: all to the end were."""
        if not self.truncated:
            return window.below
        if self.prefixes and self.prefixes[-1] == self.last:
            return successor(self.last)
        return self.last + "\0"


def read_page(seek: Seek, window: Window, prefix: str, delimiter: str, limit: int) -> Page:
    """Up to `limit` keys and common prefixes."""
    if window.below is not None and window.low >= window.below:
        return Page()
    if not delimiter:
        keys = list(islice(seek(window.low, inclusive=window.inclusive, below=window.below), limit + 1))
        truncated = len(keys) > limit
        if truncated:
            keys.pop()
        return Page(keys, [], keys[-1] if keys else "", truncated)
    page = Page()
    skip = len(prefix)
    source = seek(window.low, inclusive=window.inclusive, below=window.below)
    while True:
        key = next(source, None)
        if key is None:
            return page
        if len(page) == limit:
            page.truncated = True
            return page
        end = key.find(delimiter, skip)
        if end < 0:
            page.keys.append(key)
            page.last = key
            continue
        group = key[: end + len(delimiter)]
        page.prefixes.append(group)
        page.last = group
        beyond = successor(group)
        if beyond is None or (window.below is not None and beyond >= window.below):
            return page
        source = seek(beyond, inclusive=True, below=window.below)
