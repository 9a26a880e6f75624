"""What all operations of one mount share: its options, release, client, caches, checks and open files.

A plain record; each member says itself which threads may use it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from osscloud.clock import Clock
from ossfuse.access import AccessChecks
from ossfuse.attributes import META, AttributeRules, Headers, content_length
from ossfuse.client import ObjectClient
from ossfuse.entity import Entity, OpenFiles, Spool
from ossfuse.errors import RequestFailed, failure
from ossfuse.lookup import Found, Lookup
from ossfuse.mime import MimeTable
from ossfuse.options import MountOptions
from ossfuse.profile import Profile
from ossfuse.statcache import StatCache

__all__ = ["Context", "Mounted"]


@dataclass(frozen=True, slots=True)
class Context:
    """Who calls: what fuse_get_context() tells. command: /proc/PID/comm, "" when unknown."""

    uid: int
    gid: int
    pid: int = 0
    umask: int = 0
    command: str = ""


@dataclass(frozen=True, slots=True)
class Mounted:
    options: MountOptions
    profile: Profile
    client: ObjectClient
    clock: Clock
    cache: StatCache
    lookup: Lookup
    rules: AttributeRules
    access: AccessChecks
    files: OpenFiles
    mime: MimeTable
    spool: Spool

    def entity(self, path: str, headers: Headers, size: int, mtime: float | None, *, temporary: bool = False) -> Entity:
        """A new entity, not yet in the table of open files. temporary: not kept by use_cache."""
        return Entity(
            path,
            headers,
            size,
            mtime,
            temporary=temporary,
            client=self.client,
            options=self.options,
            profile=self.profile,
            clock=self.clock,
            mime=self.mime,
            spool=self.spool,
            look_up=self._look_up,
        )

    @contextlib.contextmanager
    def local_file(self, path: str, found: Found, flags: int, *, whole: bool = False) -> Iterator[Entity]:
        """The file at `path` for the time of one call: the one that is open there, else a new one. What is not regular
        is never taken for the open one, but with use_cache. whole: with all of its data; EIO where they can't be
        fetched (source: get_local_fent, FdManager::Open)."""
        attributes = found.attributes
        regular = stat.S_ISREG(attributes.mode)
        dated = regular or (attributes.is_symlink and self.profile.reupload_dates_links)
        mtime = attributes.mtime if dated else None

        def create() -> Entity:
            return self.entity(path, found.headers, attributes.size, mtime, temporary=not regular)

        if not regular and not self.options.use_cache:
            entity = create()
            try:
                if whole:
                    _load(entity)
                yield entity
            finally:
                entity.close()
            return
        handle = self.files.open(
            path, create, flags=flags, reopen=lambda entity: self.reopen(entity, found.headers, attributes.size)
        )
        try:
            if whole:
                _load(handle.entity)
            yield handle.entity
        finally:
            self.files.close(handle)

    def reopen(self, entity: Entity, headers: Headers, size: int, *, resizes: bool = False) -> None:
        """One more open. resizes: the size is wanted, even of a file that is being written. Otherwise it is the
        server's, which says nothing about such a file."""
        grows = self.profile.dirty_reopen_grows and size > entity.size
        keeps = not resizes and entity.modified and not grows
        entity.reopen(headers, None if keeps else size)

    def _look_up(self, path: str) -> None:
        with contextlib.suppress(OSError):
            self.lookup.find(path)

    @property
    def local_size(self) -> bool:
        """Whether an open file is as large as its local file. 1.80 finds it by its path with use_cache only."""
        return self.profile.size_from_local_file or bool(self.options.use_cache)

    def now(self) -> int:
        """Seconds since the epoch, as ossfs writes them into metadata."""
        return int(self.clock.now())

    def created_metadata(self, mode: int, uid: int, gid: int, *, mtime: str, atime: str, ctime: str) -> Headers:
        """The metadata headers of a new object; times as decimal strings."""
        headers = {
            META + "uid": str(uid),
            META + "gid": str(gid),
            META + "mode": str(mode),
            META + "mtime": mtime,
        }
        if self.profile.access_and_change_times:
            headers[META + "atime"] = atime
            headers[META + "ctime"] = ctime
        return headers

    def new_metadata(self, mode: int, uid: int, gid: int) -> Headers:
        """The same with every time now."""
        now = str(self.now())
        return self.created_metadata(mode, uid, gid, mtime=now, atime=now, ctime=now)

    def put_metadata(self, path: str, headers: Headers, *, exists: bool = True) -> None:
        """Copies the object that `headers` name as x-oss-copy-source onto `path`, with them as its new metadata; in
        part copies when it is too large for one (source: put_headers). exists: `path` itself is looked up first."""
        profile, options = self.profile, self.options
        size = self._copied_size(path, headers, exists)
        content_type = self.mime.lookup(path)
        if not profile.metadata_change_retypes:
            content_type = headers.get("content-type", "")
        large = False
        if profile.shallow_copy and not options.noshallowcopyapi:
            try:
                self.client.copy(path, headers, content_type=content_type)
            except RequestFailed:
                if size < options.singlepart_copy_limit:
                    raise
                large = True
        elif profile.shallow_copy:
            large = not options.nocopyapi and not options.nomultipart and size >= options.multipart_threshold
        else:
            large = size >= LARGEST_COPY
        if large:
            self.client.copy_in_parts(path, headers, size, content_type=self.mime.lookup(path))
        elif not profile.shallow_copy or options.noshallowcopyapi:
            self.client.copy(path, headers, content_type=content_type)
        if self.spool.cache is not None and not profile.entity_shared and not self.files.at(path):
            self._keep_locally(path, headers, size)
        if not profile.entity_shared:
            for entity in self.files.at(path):
                seconds = _seconds(headers.get(META + "mtime", ""))
                entity.set_times(seconds, seconds)

    def _keep_locally(self, path: str, headers: Headers, size: int) -> None:
        """use_cache of 1.80: the name gets its local file, empty as yet, unless it can't have one (source:
        put_headers)."""
        if path.endswith("/"):
            return
        try:
            handle = self.files.open(path, lambda: self.entity(path, headers, size, None), flags=os.O_RDONLY)
        except OSError:
            return
        stamp = _seconds(headers.get(META + "mtime", ""))
        handle.entity.set_times(stamp, stamp)
        self.files.close(handle)

    def _copied_size(self, path: str, headers: Headers, exists: bool) -> int:
        if self.profile.rename_stats_target:
            try:
                return self.lookup.stat(path).size
            except OSError:
                return 0
        return self.lookup.stat(path).size if exists else content_length(headers)


def _load(entity: Entity) -> None:
    try:
        entity.load()
    except OSError as error:
        raise failure(errno.EIO, entity.path) from error


def _seconds(text: str) -> float:
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0


# What one copy request takes at most.
LARGEST_COPY = 5 * 1024 * 1024 * 1024
