"""opendir and readdir: the listing, and the HEAD of every entry that follows it.

Called from any thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ossfuse.attributes import Attributes, Headers, http_date, parse_iso_date
from ossfuse.listing import ObjectNames
from ossfuse.mounted import Context, Mounted
from ossfuse.namespace import list_names

__all__ = ["Directory"]


class Directory:
    def __init__(self, mounted: Mounted) -> None:
        self._m = mounted

    def opendir(self, ctx: Context, path: str) -> None:
        """Checks access and nothing else."""
        m = self._m
        if m.profile.opendir_needs_execute:
            m.access.require(ctx, path, os.R_OK | os.X_OK)
            m.access.require_parent(ctx, path, os.R_OK | os.X_OK)
        else:
            m.access.require(ctx, path, os.R_OK)
            m.access.require_parent(ctx, path, os.X_OK)

    def readdir(self, ctx: Context, path: str) -> list[tuple[str, Attributes | None]]:
        """Every entry with its attributes where the cache has them, "." and ".." first (source: s3fs_readdir)."""
        m = self._m
        m.access.require(ctx, path, os.X_OK if m.profile.opendir_needs_execute else os.R_OK)
        names = list_names(m, path, delimiter="/")
        base = path if path == "/" else path + "/"
        listed = names.sorted()
        self._fill_cache(base, names, listed)
        entries: list[tuple[str, Attributes | None]] = [(".", None), ("..", None)]
        for name in listed:
            shown = name.rstrip("/") or name
            known = m.cache.get(base + shown)
            entries.append((shown, known.attributes.copy() if known else None))
        return entries

    def _fill_cache(self, base: str, names: ObjectNames, listed: list[str]) -> None:
        m = self._m
        asked = []
        for name in listed:
            found = names.get(name)
            if m.cache.get(base + name, etag=found.etag if found else "") is not None:
                continue
            if found is None or names.is_directory(name) or self._needs_head(found.size):
                asked.append(name)
                continue
            modified = http_date(parse_iso_date(found.last_modified))
            m.cache.add(base + name, {"content-length": str(found.size), "last-modified": modified}, listed=True)

        def job(name: str) -> Callable[[int | None], Headers]:
            return lambda attempts: m.client.head(base + name, attempts=attempts, side_by_side=True)

        # A HEAD that fails for good leaves its entry without attributes; the listing is answered all the same.
        answers, _ = m.client.together([job(name) for name in asked], parallel=m.options.multireq_max)
        for name, answer in zip(asked, answers, strict=True):
            if answer is not None:
                m.cache.add(base + name, answer)
            elif m.options.readdir_optimize and names.is_directory(name) and m.cache.get(base + name) is None:
                m.cache.add(base + name, {}, forced=True)

    def _needs_head(self, size: int) -> bool:
        options = self._m.options
        return not options.readdir_optimize or size <= options.readdir_check_size
