"""The operations on names: mkdir, rmdir, unlink, symlink, readlink, mknod, rename, link.

Called from any thread. Nothing here is atomic, as on the real one: a rename is copies and deletes, and stops where the
first of them fails.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass

from ossfuse import wtf8
from ossfuse.attributes import FOLDER_SUFFIX, META, Headers, symlink_header, symlink_target
from ossfuse.errors import failure
from ossfuse.listing import ObjectNames, with_parents
from ossfuse.lookup import DirectoryKind
from ossfuse.mounted import Context, Mounted

__all__ = ["Namespace", "list_names"]

LINK_MODE = stat.S_IFLNK | stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
LONGEST_HEADER_TARGET = 2048
LINK_TYPE = "application/octet-stream"


def list_names(mounted: Mounted, path: str, *, delimiter: str) -> ObjectNames:
    """Everything below `path`, page after page, before anything of it is used (source: list_bucket)."""
    names = ObjectNames()
    marker = token = ""
    while True:
        page = mounted.client.list_objects(
            path,
            delimiter=delimiter,
            max_keys=mounted.options.list_object_max_keys,
            marker=marker,
            token=token,
        )
        names.add(page)
        if not page.truncated:
            return names
        token, marker = page.next_token, ""
        if not token:
            marker = page.next_marker or (mounted.client.list_prefix(path) + names.last if names.last else "")
            if not marker:
                return names


@dataclass(frozen=True, slots=True)
class _Move:
    """One entry of a directory that is being renamed. removed: the old directory object is to be deleted."""

    old: str
    new: str
    directory: bool = False
    removed: bool = True


class Namespace:
    def __init__(self, mounted: Mounted) -> None:
        self._m = mounted

    # --- directories ----------------------------------------------------------------------------------------------

    def mkdir(self, ctx: Context, path: str, mode: int) -> None:
        m = self._m
        m.access.require_parent(ctx, path, os.W_OK | os.X_OK)
        if m.lookup.exists(path):
            raise failure(errno.EEXIST, path)
        try:
            self.put_directory(path, m.new_metadata(mode, ctx.uid, ctx.gid))
        finally:
            m.cache.drop(path)

    def put_directory(self, path: str, headers: Headers) -> None:
        """Writes the directory object "N/"."""
        m = self._m
        name = path if path.endswith("/") else path + "/"
        m.client.put(name, headers, content_type=m.mime.lookup(name))

    def rmdir(self, ctx: Context, path: str) -> None:
        m = self._m
        m.access.require_parent(ctx, path, os.W_OK | os.X_OK)
        try:
            empty = m.lookup.directory_is_empty(path)
        except OSError:
            empty = False
        # A listing that failed counts as entries.
        if not empty:
            raise failure(errno.ENOTEMPTY, path)
        outcome = self._delete(path + "/")
        m.cache.drop(path + "/")
        try:
            old_object = m.lookup.find(path, overcheck=False).attributes.is_directory
        except OSError:
            old_object = False
        if old_object:
            outcome = self._delete(path)
            m.cache.drop(path)
        if m.lookup.folder_object_exists(path):
            outcome = self._delete(path + FOLDER_SUFFIX)  # also of a path that ends in it
        if outcome is not None:
            raise outcome

    def _delete(self, path: str) -> OSError | None:
        try:
            self._m.client.delete(path)
        except OSError as error:
            return error
        return None

    # --- files, links and special files -----------------------------------------------------------------------------

    def unlink(self, ctx: Context, path: str) -> None:
        m = self._m
        m.access.require_parent(ctx, path, os.W_OK | os.X_OK)
        try:
            m.client.delete(path)
        finally:
            m.cache.drop(path)
            m.cache.drop_link(path)
            if m.spool.cache is not None:
                m.spool.cache.delete(path)

    def mknod(self, ctx: Context, path: str, mode: int) -> None:
        """An empty object that carries the type in its mode; the device number is lost. No check of any kind."""
        m = self._m
        m.client.put(path, m.new_metadata(mode, ctx.uid, ctx.gid), content_type=m.mime.lookup(path))
        m.cache.drop(path)

    def symlink(self, ctx: Context, target: str, path: str) -> None:
        m = self._m
        m.access.require_parent(ctx, path, os.W_OK | os.X_OK)
        if m.lookup.exists(path):
            raise failure(errno.EEXIST, path)
        stripped = target.strip(" \t\f\n\r\v") if m.profile.readlink_cached else target
        headers = {"content-type": LINK_TYPE, **m.new_metadata(LINK_MODE, ctx.uid, ctx.gid)}
        if m.options.use_wtf8:
            stripped = wtf8.encode(stripped)
        body = stripped.encode("utf-8", "surrogateescape")
        if m.options.symlink_in_meta and len(body) < LONGEST_HEADER_TARGET:
            headers[META + "symlink-target"] = symlink_header(stripped)
            body = b""
        handle = m.files.open(path, lambda: m.entity(path, headers, 0, None, temporary=True), flags=os.O_RDWR)
        try:
            if body:
                handle.entity.write(body, 0)
            handle.entity.upload(force=True)
        finally:
            m.files.close(handle)
            m.cache.drop(path)
            if m.profile.readlink_cached:
                m.cache.add_link(path, wtf8.decode(stripped) if m.options.use_wtf8 else stripped)

    def readlink(self, path: str) -> str:
        """The target. There is no check of access: the kernel has looked the name up before."""
        m = self._m
        if m.profile.readlink_cached and (known := m.cache.link(path)) is not None:
            return known
        found = m.lookup.find(path)
        target = symlink_target(found.headers) if m.profile.symlink_target_header else None
        if target is None:
            with m.local_file(path, found, os.O_RDONLY) as entity:
                body = entity.read(0, entity.size)
            target = body.decode("utf-8", "surrogateescape").partition("\0")[0]
        if m.profile.readlink_cached:
            target = target.strip(" \t\f\n\r\v")
            if m.options.use_wtf8:
                target = wtf8.decode(target)
            m.cache.add_link(path, target)
        return target

    def link(self, path: str) -> None:
        """Hard links are refused; that the kernel looked the new name up is all that happens."""
        raise failure(getattr(errno, self._m.profile.link_refusal.value), path)

    # --- rename -----------------------------------------------------------------------------------------------------

    def rename(self, ctx: Context, old: str, new: str) -> None:
        m = self._m
        m.access.require_parent(ctx, new, os.W_OK | os.X_OK)
        m.access.require_parent(ctx, old, os.W_OK | os.X_OK)
        found = m.lookup.stat(old)
        if not m.profile.rename_onto_full_directory_merges and not m.lookup.directory_is_empty(new):
            raise failure(errno.ENOTEMPTY, new)
        if m.profile.rename_flushes_source and (entity := m.files.find(old)) is not None:
            entity.upload(force=True)
            m.cache.drop(old)
        if found.is_directory:
            self._rename_directory(ctx, old, new)
        elif self._in_parts(found.size):
            self._rename_large(ctx, old, new)
        else:
            self._rename_file(ctx, old, new, top=True)

    def _in_parts(self, size: int) -> bool:
        m = self._m
        if m.options.nomultipart or size < m.options.singlepart_copy_limit:
            return False
        return not m.profile.shallow_copy or m.options.noshallowcopyapi

    def _rename_file(self, ctx: Context, old: str, new: str, *, top: bool) -> None:
        """top: the name that rename(2) was called with; what is below a renamed directory keeps its ctime."""
        m = self._m
        m.access.require_parent(ctx, new, os.W_OK | os.X_OK)
        m.access.require_parent(ctx, old, os.W_OK | os.X_OK)
        if m.options.nocopyapi or m.options.norenameapi:
            self._reupload(ctx, old, new, top=top)
            return
        found = m.lookup.find(old, refresh_listed=m.options.readdir_optimize)
        headers = found.headers
        if top and m.profile.rename_updates_ctime:
            headers[META + "ctime"] = str(m.now())
        headers["x-oss-copy-source"] = m.client.copy_source(old)
        headers["x-oss-metadata-directive"] = "REPLACE"
        headers["content-type"] = m.mime.lookup(new)
        held = None
        if m.spool.cache is not None and m.profile.entity_shared:
            # use_cache: the file is open while its local data get their new name.
            size, mtime = found.attributes.size, found.attributes.mtime
            unknown = m.profile.cached_rename_zero_fills
            held = m.files.open(
                old, lambda: m.entity(old, headers, size, None if unknown else mtime), flags=os.O_RDONLY
            )
        try:
            m.put_metadata(new, headers, exists=False)
            m.files.renamed(old, new)
        finally:
            if held is not None:
                m.files.close(held)
        try:
            self.unlink(ctx, old)
        finally:
            m.cache.drop(new)
            if found.attributes.is_symlink:
                m.cache.drop_link(new)

    def _reupload(self, ctx: Context, old: str, new: str, *, top: bool) -> None:
        """Without the copy API: download, upload under the new name, delete."""
        m = self._m
        with m.local_file(old, m.lookup.find(old), os.O_RDWR, whole=True) as entity:
            entity.headers["content-type"] = m.mime.lookup(new)
            if top and m.profile.rename_updates_ctime:
                entity.headers[META + "ctime"] = str(m.now())
            entity.upload(target=new, force=True)
            m.files.renamed(old, new)
        try:
            self.unlink(ctx, old)
        finally:
            m.cache.drop(new)
            m.cache.drop(old)

    def _rename_large(self, ctx: Context, old: str, new: str) -> None:
        m = self._m
        found = m.lookup.find(old, overcheck=False, refresh_listed=m.options.readdir_optimize)
        headers = {**found.headers, "x-oss-copy-source": m.client.copy_source(old)}
        m.client.copy_in_parts(new, headers, found.attributes.size, content_type=m.mime.lookup(new))
        try:
            self.unlink(ctx, old)
        finally:
            m.cache.drop(new)

    def _rename_directory(self, ctx: Context, old: str, new: str) -> None:
        """Every object below is copied and deleted; directories are made anew (source: rename_directory)."""
        base, moves = self._moves(old, new)
        try:
            for move in moves:
                if move.directory:
                    self._clone_directory(move, top=move is base)
            for move in moves:
                if not move.directory:
                    self._rename_file(ctx, move.old, move.new, top=False)
            for move in reversed(moves):
                if move.directory and move.removed:
                    self.rmdir(ctx, move.old.rstrip("/"))
                elif move.directory:
                    self._m.cache.drop(move.old)
        except OSError as error:
            if self._m.profile.rename_directory_errno_mapped:
                raise
            raise failure(errno.EIO, old) from error
        if not self._m.profile.rename_leaves_new_files:
            self._m.files.moved(old, new)

    def _moves(self, old: str, new: str) -> tuple[_Move | None, list[_Move]]:
        """The directory itself, and everything that moves in byte order of the old names (source: add_mvnode)."""
        m = self._m
        base = None
        moves = []
        with contextlib.suppress(OSError):
            base = self._directory_move(old, new + "/")
            moves.append(base)
        names = list_names(m, old + "/", delimiter="")
        for name in with_parents(names.sorted()):
            source, target = f"{old}/{name}", f"{new}/{name}"
            listed = names.get(name) if name in names.names else None
            m.cache.get(source, etag=listed.etag if listed else "")
            with contextlib.suppress(OSError):
                directory = m.lookup.stat(source).is_directory
                moves.append(self._directory_move(source, target) if directory else _Move(source, target))
        moves.sort(key=lambda move: move.old.encode("utf-8", "surrogateescape"))
        return base, moves

    def _directory_move(self, old: str, new: str) -> _Move:
        found = self._m.lookup.directory_object(old, renaming=True)
        if found.kind is DirectoryKind.PREFIX:
            return _Move(old, new, directory=True, removed=False)
        # "N_$folder$" is taken for the directory's own name from here on.
        return _Move(found.object_path, new, directory=True)

    def _clone_directory(self, move: _Move, *, top: bool) -> None:
        m = self._m
        found = m.lookup.stat(move.old)
        ctime = str(m.now()) if top else _whole(found.ctime)
        headers = m.created_metadata(
            found.mode, found.uid, found.gid, mtime=_whole(found.mtime), atime=_whole(found.atime), ctime=ctime
        )
        try:
            self.put_directory(move.new, headers)
        finally:
            m.cache.drop(move.new)


def _whole(seconds: float) -> str:
    return str(int(seconds))
