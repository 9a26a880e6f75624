"""The stat cache of a mount: what ossfs remembers of names that exist, of names that do not, and of symlink targets.

Only memory: it never sends a request. Every method takes the cache's own lock for its short duration, so any thread
may call any of them at any time.

Paths are absolute inside the mount, directories with a slash at the end ("/a/b/") where the object has one: "/a/b" and
"/a/b/" are two entries, and a lookup prefers the second (source: StatCache::GetStat).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from osscloud.clock import Clock
from ossfuse.attributes import AttributeRules, Attributes, Headers
from ossfuse.options import MountOptions
from ossfuse.profile import Profile

__all__ = ["Entry", "StatCache"]

KEPT = frozenset({"content-type", "content-length", "etag", "last-modified"})


@dataclass(slots=True)
class Entry:
    """What is known of one name. forced: a directory only through its children. pins: how many open files need the
    entry to stay; listed: made from a listing, without metadata (readdir_optimize)."""

    attributes: Attributes
    headers: Headers = field(default_factory=dict)
    forced: bool = False
    missing: bool = False
    pins: int = 0
    listed: bool = False
    since: float = 0.0


@dataclass(slots=True)
class _Link:
    target: str
    since: float


class WholeSeconds:
    """A clock as time(2) shows it."""

    def __init__(self, base: Clock) -> None:
        self._base = base

    def now(self) -> float:
        return float(int(self._base.now()))

    def sleep(self, seconds: float) -> None:
        self._base.sleep(seconds)


class StatCache:
    """hits, misses: of `get`."""

    def __init__(
        self,
        *,
        options: MountOptions,
        profile: Profile,
        rules: AttributeRules,
        clock: Clock,
        key_of: Callable[[str], str],
    ) -> None:
        self._rules = rules
        self._key_of = key_of
        self._capacity = options.max_stat_cache_size
        self._expire = options.stat_cache_expire
        if self._expire is not None and profile.stat_cache_whole_seconds:
            clock = WholeSeconds(clock)
        self._clock = clock
        self._interval = options.stat_cache_interval
        self._remember_missing = options.noobj_cache
        self._optimized = options.readdir_optimize
        self._hit_refreshes = profile.stat_cache_hit_refreshes and self._expire is None
        self._keeps_type = not profile.dirty_metadata_forgets_type
        self._needs_etag = profile.stat_cache_needs_etag
        self._evicts_by_name = profile.stat_cache_evicts_by_name
        self._missing_refreshes = profile.negative_cache_hit_refreshes
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._pinned: set[str] = set()
        self._links: OrderedDict[str, _Link] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = 0
        self.misses = 0

    @property
    def capacity(self) -> int:
        """Most entries kept; 0 switches the cache off for all but open files."""
        return self._capacity

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, path: str, *, overcheck: bool = True, etag: str | None = None) -> Entry | None:
        """The live entry of `path` ("N/" before "N" unless overcheck is False), None when there is none or the name is
        known to be missing. etag: as a listing shows it; an entry with another one is dropped."""
        with self._lock:
            entry = self._live(path, overcheck, etag)
            if entry is None:
                self.misses += 1
            else:
                self.hits += 1
            return entry

    def _live(self, path: str, overcheck: bool, etag: str | None) -> Entry | None:
        # `_find` and `_expired` written out: this is the hot path of stat(2).
        name = path + "/" if overcheck and not path.endswith("/") else path
        entry = self._entries.get(name)
        if entry is None and name is not path:
            name = path
            entry = self._entries.get(path)
        if entry is None:
            return None
        if self._expire is not None and not entry.pins and self._clock.now() - self._expire > entry.since:
            self._drop(name)
            return None
        if entry.missing:
            if not self._remember_missing:
                self._drop(name)
            return None
        if etag and entry.headers.get("etag", "" if self._needs_etag else etag) != etag:
            self._drop(name)
            return None
        if self._interval or self._hit_refreshes:
            self._refresh(name, entry)
        return entry

    def is_missing(self, path: str) -> bool:
        """Whether the negative cache knows that `path` does not exist."""
        if not self._remember_missing:
            return False
        with self._lock:
            found = self._find(path, overcheck=True)
            if found is None:
                return False
            name, entry = found
            if self._expired(entry):
                self._drop(name)
                return False
            if entry.missing and self._missing_refreshes:
                self._refresh(name, entry)
            return entry.missing

    def add(
        self, path: str, headers: Mapping[str, str], *, forced: bool = False, pinned: bool = False, listed: bool = False
    ) -> Entry:
        """Remembers the headers of `path` and returns the entry (which is not kept when the cache is off)."""
        kept = {name: value for name, value in headers.items() if name in KEPT or name.startswith("x-oss")}
        attributes = self._rules.read(self._key_of(path), kept, forced=forced, listed=listed or self._optimized)
        entry = Entry(attributes, kept, forced, pins=int(pinned), listed=listed)
        if pinned or self._capacity > 0:
            with self._lock:
                self._store(path, entry)
                if not attributes.is_symlink:
                    self._links.pop(path, None)
        return entry

    def add_missing(self, path: str) -> None:
        """Remembers that `path` does not exist, when the negative cache is on."""
        if not self._remember_missing or self._capacity < 1:
            return
        with self._lock:
            self._store(path, Entry(Attributes(0, 0, 0), missing=True))
            self._links.pop(path, None)

    def update(self, path: str, headers: Mapping[str, str]) -> None:
        """Replaces metadata of a live entry whose file is still being written; the size stays, and the type unless the
        release forgets it (source: UpdateMetaStats)."""
        with self._lock:
            entry = self._entries.get(path)
            if entry is None or self._capacity < 1:
                return
            entry.headers.update(
                {name: value for name, value in headers.items() if name in KEPT or name.startswith("x-oss")}
            )
            self._refresh(path, entry)
            if not self._optimized:
                entry.attributes.mode = self._rules.mode(self._key_of(path), entry.headers, typed=self._keeps_type)

    def grow(self, path: str, size: int) -> None:
        """Adds `size` bytes to the cached size (source: StatCache::IncSize of 1.80, which counts every write)."""
        with self._lock:
            if (entry := self._entries.get(path)) is not None:
                entry.attributes.size += size

    def drop(self, path: str) -> None:
        """Forgets `path`, with and without a slash at its end."""
        with self._lock:
            self._drop(path)

    def unpin(self, path: str) -> None:
        """One open file less that needs the entry."""
        with self._lock:
            entry = self._entries.get(path)
            if entry is not None and entry.pins:
                entry.pins -= 1
                if not entry.pins:
                    self._pinned.discard(path)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._pinned.clear()
            self._links.clear()

    def link(self, path: str) -> str | None:
        """The remembered target of a symlink."""
        with self._lock:
            known = self._links.get(path)
            if known is None:
                return None
            if self._expire is not None and self._clock.now() - self._expire > known.since:
                del self._links[path]
                return None
            if self._interval:
                known.since = self._clock.now()
            return known.target

    def add_link(self, path: str, target: str) -> None:
        if self._capacity < 1:
            return
        with self._lock:
            self._links.pop(path, None)
            while len(self._links) > self._capacity:
                self._links.popitem(last=False)
            self._links[path] = _Link(target, self._clock.now())

    def drop_link(self, path: str) -> None:
        with self._lock:
            self._links.pop(path, None)

    def _find(self, path: str, overcheck: bool) -> tuple[str, Entry] | None:
        if overcheck and not path.endswith("/") and (entry := self._entries.get(path + "/")) is not None:
            return path + "/", entry
        entry = self._entries.get(path)
        return None if entry is None else (path, entry)

    def _expired(self, entry: Entry) -> bool:
        if entry.pins or self._expire is None:
            return False
        return self._clock.now() - self._expire > entry.since

    def _refresh(self, name: str, entry: Entry) -> None:
        entry.since = self._clock.now()
        self._entries.move_to_end(name)

    def _store(self, path: str, entry: Entry) -> None:
        if path in self._entries:
            self._drop(path)
        elif len(self._entries) > self._capacity:
            self._make_room()
        entry.since = self._clock.now()
        self._entries[path] = entry
        if entry.pins:
            self._pinned.add(path)

    def _make_room(self) -> None:
        """Source: StatCache::TruncateCache. 1.80 evicts one name. In 1.91 what has expired goes first, and every pinned
        entry is one less to evict."""
        if self._evicts_by_name:
            self._entries.pop(min(self._entries, key=lambda name: (int(self._entries[name].since), name)))
            return
        surplus = len(self._entries) - self._capacity + 1
        leaving: list[str] = []
        wanted = max(0, surplus - len(self._pinned))
        for name, entry in self._entries.items():
            if entry.pins:
                continue
            expired = self._expired(entry)
            if not expired and len(leaving) >= wanted:
                break
            leaving.append(name)
        for name in leaving:
            del self._entries[name]

    def _drop(self, path: str) -> None:
        self._remove(path)
        if path not in ("", "/"):
            self._remove(path[:-1] if path.endswith("/") else path + "/")

    def _remove(self, name: str) -> None:
        if self._entries.pop(name, None) is not None:
            self._pinned.discard(name)
