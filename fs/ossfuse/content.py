"""The operations on open files: create, open, read, write, truncate, flush, fsync, release.

Called from any thread; two callers wait for each other only on the same file.
"""

from __future__ import annotations

import errno
import os
import stat

from ossfuse.attributes import Attributes, Headers
from ossfuse.entity import Entity, Handle
from ossfuse.errors import failure
from ossfuse.mounted import Context, Mounted

__all__ = ["Content"]


class Content:
    def __init__(self, mounted: Mounted) -> None:
        self._m = mounted

    def create(self, ctx: Context, path: str, mode: int, flags: int) -> int:
        """open(2) with O_CREAT for a name that does not exist (source: s3fs_create). Returns a handle."""
        m = self._m
        m.access.require_parent(ctx, path, os.X_OK)
        try:
            m.access.require(ctx, path, os.W_OK)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            m.access.require_parent(ctx, path, os.W_OK)
        headers = m.new_metadata(mode, ctx.uid, ctx.gid)
        flags |= os.O_CREAT
        if m.profile.create_uploads_empty:
            return self._create_uploaded(ctx, path, headers, flags)
        headers["content-length"] = "0"
        # Nothing is on the server until the first flush, so the cache must not forget the file.
        m.cache.add(path, headers, pinned=True)
        handle = self._open(ctx, path, headers, size=0, mtime=None, flags=flags)
        handle.entity.mark_new()
        return handle.fh

    def _create_uploaded(self, ctx: Context, path: str, headers: Headers, flags: int) -> int:
        m = self._m
        try:
            m.client.put(path, headers, content_type=m.mime.lookup(path))
        finally:
            m.cache.drop(path)
        try:
            known = m.lookup.find(path).headers
        except OSError:
            known = {}
        return self._open(ctx, path, known, size=0, mtime=None, flags=flags).fh

    def open(self, ctx: Context, path: str, flags: int) -> int:
        """open(2) of a name that exists (source: s3fs_open). Returns a handle."""
        m = self._m
        reading = flags & os.O_ACCMODE == os.O_RDONLY
        if reading and flags & os.O_TRUNC and m.profile.read_only_truncate_refused:
            raise failure(errno.EACCES, path)
        # What is known of an open file may exist nowhere else; of all others the server is asked afresh, but for those
        # that 1.91 knows to be missing.
        if not m.profile.entity_shared or (m.cache.get(path) is not None and m.files.find(path) is None):
            m.cache.drop(path)
        m.access.require_parent(ctx, path, os.X_OK)
        try:
            found = m.access.require(ctx, path, os.R_OK if reading else os.W_OK)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            # The kernel has seen the name a moment ago; only its directory is asked then.
            m.access.require_parent(ctx, path, os.W_OK)
            found = Attributes(0, 0, 0)
        size = found.size
        held = m.files.find(path) if m.profile.entity_shared and not m.profile.dirty_shrink_ignored else None
        if held is not None:
            size = held.size
        truncated = bool(flags & os.O_TRUNC and size)
        if truncated:
            size = 0
        mtime = found.mtime if stat.S_ISREG(found.mode) else None
        try:
            headers = m.lookup.find(path, pinned=m.profile.create_pins_entry).headers
        except OSError:
            if not m.profile.open_missing_succeeds:
                raise
            headers = {}
        empties = truncated and not m.profile.dirty_shrink_ignored
        handle = self._open(ctx, path, headers, size=size, mtime=mtime, flags=flags, resizes=empties)
        if truncated:
            self._truncate_opened(path, handle)
        return handle.fh

    def _truncate_opened(self, path: str, handle: Handle) -> None:
        m = self._m
        if m.profile.pending_metadata:
            handle.entity.set_times(m.now(), m.now())
        try:
            # Without the permission to write there is nothing to upload (RowFlush asks the handle in 1.91).
            if handle.writable or not m.profile.entity_shared:
                handle.entity.upload(force=True)
        except OSError:
            m.files.close(handle)
            if m.profile.create_pins_entry:
                m.cache.drop(path)
            raise

    def _open(
        self,
        ctx: Context,
        path: str,
        headers: Headers,
        *,
        size: int,
        mtime: float | None,
        flags: int,
        resizes: bool = False,
    ) -> Handle:
        m = self._m
        handle = m.files.open(
            path,
            lambda: m.entity(path, headers, size, mtime),
            flags=flags,
            reopen=lambda entity: m.reopen(entity, headers, size, resizes=resizes),
        )
        handle.pid, handle.uid, handle.command = ctx.pid, ctx.uid, ctx.command
        return handle

    def _handle(self, path: str, fh: int) -> Handle | None:
        """The handle; none where its file must be known by this path and is not: what was not on the server when a
        directory above it was renamed stays behind under the old name."""
        handle = self._m.files.handle(fh)
        return handle if handle.entity.path == path or not self._m.profile.handle_needs_path else None

    def read(self, path: str, fh: int, size: int, offset: int) -> bytes:
        handle = self._handle(path, fh)
        if handle is None:
            raise failure(errno.EIO, path)
        entity = handle.entity
        return entity.read(offset, size)

    def read_into(self, path: str, fh: int, target: memoryview, offset: int) -> int:
        handle = self._handle(path, fh)
        if handle is None:
            raise failure(errno.EIO, path)
        return handle.entity.read_into(offset, target)

    def write(self, path: str, fh: int, data: bytes | memoryview, offset: int) -> int:
        m = self._m
        handle = self._handle(path, fh)
        if handle is None:
            raise failure(errno.EIO, path)
        entity = handle.entity
        handle.flushed = False
        written = entity.write(data, offset)
        if not m.profile.size_from_local_file:
            m.cache.grow(entity.path, written)
        limit = m.options.max_dirty_data
        if limit is not None and limit >= 0 and self._uploads_while_writing() and entity.modified_bytes() >= limit:
            try:
                entity.upload(force=True)
            except OSError:
                m.cache.drop(entity.path)
                raise
            entity.forget()
        return written

    def _uploads_while_writing(self) -> bool:
        # Whatever switches mix upload off switches max_dirty_data off (source: main; measured).
        options = self._m.options
        return not (options.nomixupload or options.nocopyapi or options.norenameapi or options.nomultipart)

    def truncate(self, ctx: Context, path: str, size: int) -> None:
        """truncate(2) and, since libfuse 2 hands over the path only, ftruncate(2) (source: s3fs_truncate)."""
        m = self._m
        size = max(size, 0)
        m.access.require_parent(ctx, path, os.X_OK)
        m.access.require(ctx, path, os.W_OK)
        found = m.lookup.find(path, refresh_listed=m.options.readdir_optimize)
        ignored = m.profile.path_truncate_ignored
        resizes = m.files.count(path) <= 1 or not m.profile.dirty_shrink_ignored
        # Without a time, 1.91 takes the whole local file for changed; that must not reach the server.
        mtime = None if ignored or not m.profile.entity_shared else found.attributes.mtime
        handle = m.files.open(
            path,
            lambda: m.entity(path, found.headers, size, mtime),
            flags=os.O_RDWR,
            reopen=lambda entity: m.reopen(entity, found.headers, size, resizes=resizes),
        )
        try:
            handle.entity.update_ctime()
            # Asked only now: a flush from here on uploads the new size too.
            if not ignored and not (m.profile.entity_shared and m.files.flush_expected(path, besides=handle)):
                # What is behind the new size is loaded only where that is 0, which means everything (source).
                handle.entity.load(0, size or None)
                handle.entity.upload(force=True)
                m.cache.drop(path)
        finally:
            # With nobody else holding the file open this drops the change in 1.91, which is what it really does.
            m.files.close(handle)

    def flush(self, ctx: Context, path: str, fh: int) -> None:
        """Every close(2) (source: s3fs_flush). Raises OSError when the upload fails; close(2) returns it."""
        m = self._m
        m.access.require_parent(ctx, path, os.X_OK)
        try:
            # libfuse 2 leaves the flags of a FLUSH empty, so ossfs takes every descriptor for one that reads.
            m.access.require(ctx, path, os.R_OK)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            m.access.require_parent(ctx, path, os.W_OK)
        handle = self._handle(path, fh)
        if handle is None:
            return
        entity = handle.entity
        handle.flushed = True
        entity.update_times(clear_held=True)
        try:
            if handle.writable or not m.profile.entity_shared:
                entity.upload()
        finally:
            kept = m.options.skip_clean_statcache_on_ro_flush and not handle.writable
            if m.profile.create_pins_entry and not kept:
                self._forget_attributes(path, entity)

    def fsync(self, path: str, fh: int, datasync: bool) -> None:
        m = self._m
        handle = self._handle(path, fh)
        try:
            if handle is not None and not datasync:
                handle.entity.update_times()
            if handle is not None and (handle.writable or not m.profile.entity_shared):
                handle.entity.upload()
        finally:
            self._forget_attributes(path, handle.entity if handle is not None else None)

    def _forget_attributes(self, path: str, entity: Entity | None) -> None:
        """The server knows better now; of a file that it does not have nothing else is known."""
        if entity is None or not entity.new or self._m.profile.failed_upload_hides_new_file:
            self._m.cache.drop(path)

    def release(self, path: str, fh: int) -> None:
        """The last close of an open file description (source: s3fs_release)."""
        m = self._m
        handle = m.files.handle(fh)
        m.cache.unpin(path)
        if handle.flags & os.O_ACCMODE != os.O_RDONLY:
            m.cache.drop(path)
        m.files.close(handle)

    def take_metadata(self, path: str, update: Headers) -> Headers | None:
        """Gives changed metadata to an open file (1.91). None: it will be uploaded with the content, and no request is
        due now; otherwise what the request has to carry, for an open file all that is known of it."""
        m = self._m
        entity = m.files.find(path) if m.profile.pending_metadata else None
        if entity is None:
            return update
        waits, merged = entity.merge_metadata(update)
        if not waits:
            return merged
        m.cache.update(path, entity.headers)
        return None

    def hold_mtime(self, path: str, mtime: float) -> None:
        entity = self._m.files.find(path)
        if entity is not None and self._m.profile.pending_metadata:
            entity.hold_mtime(mtime)
