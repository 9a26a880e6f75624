"""The operations on metadata: chmod, chown, utimens and extended attributes.

Metadata lives in x-oss-meta-* headers, so a change is a copy of the object onto itself; an open file that is being
written takes the change along with its next upload (1.91). Called from any thread.
"""

from __future__ import annotations

import base64
import binascii
import errno
import json
import os
import stat
from urllib.parse import quote, unquote

from ossfuse.attributes import META, Attributes, Headers, format_time
from ossfuse.content import Content
from ossfuse.errors import RequestFailed, failure
from ossfuse.mounted import Context, Mounted
from ossfuse.namespace import Namespace

__all__ = ["Metadata"]

XATTR = META + "xattr"
_KEPT = (-1, 0xFFFFFFFF)  # chown(2): as it is

_Times = tuple[float | None, float | None]  # atime, mtime; None is kept


class Metadata:
    def __init__(self, mounted: Mounted, content: Content, namespace: Namespace) -> None:
        self._m = mounted
        self._content = content
        self._namespace = namespace

    def chmod(self, ctx: Context, path: str, mode: int) -> None:
        found = self._owned(ctx, path)
        if self._m.options.readdir_optimize:
            return
        if not stat.S_IFMT(mode):
            mode |= stat.S_IFMT(found.mode)
        self._change(path, found, {META + "mode": str(mode)})

    def chown(self, ctx: Context, path: str, uid: int, gid: int) -> None:
        """uid, gid: -1 keeps what is there. Any owner may give a file away."""
        found = self._owned(ctx, path)
        if self._m.options.readdir_optimize:
            return
        kept = self._m.profile.reupload_keeps_owner or not self._m.options.nocopyapi
        uid = found.uid if kept and uid in _KEPT else uid & 0xFFFFFFFF
        gid = found.gid if kept and gid in _KEPT else gid & 0xFFFFFFFF
        self._change(path, found, {META + "uid": str(uid), META + "gid": str(gid)})

    def utimens(self, ctx: Context, path: str, atime: float | None, mtime: float | None) -> None:
        """Times in seconds since the epoch; None keeps what is there. 1.91 stores the time of access as the time of
        change too."""
        m = self._m
        self._not_root(path)
        m.access.require_parent(ctx, path, os.X_OK)
        try:
            found = m.access.require(ctx, path, os.W_OK)
        except OSError as denied:
            try:
                found = m.access.require_owner(ctx, path)
            except OSError:
                raise denied from None
        self._change(path, found, {}, times=(atime, mtime))

    def _times(self, found: Attributes, headers: Headers, times: _Times) -> Headers:
        m = self._m
        atime, mtime = times
        kept_mtime, kept_ctime = found.mtime, found.ctime
        if m.profile.kept_time_from_metadata and not m.options.nocopyapi:
            kept_mtime, kept_ctime = m.rules.times(headers)
        stamp = format_time if m.profile.fractional_times else _whole
        update = {META + "mtime": stamp(kept_mtime if mtime is None else mtime)}
        if m.profile.access_and_change_times:
            update[META + "ctime"] = update[META + "atime"] = stamp(kept_ctime if atime is None else atime)
        return update

    def _owned(self, ctx: Context, path: str) -> Attributes:
        self._not_root(path)
        self._m.access.require_parent(ctx, path, os.X_OK)
        return self._m.access.require_owner(ctx, path)

    @staticmethod
    def _not_root(path: str) -> None:
        if path == "/":
            raise failure(errno.EIO, path)

    def _change(self, path: str, found: Attributes, update: Headers, *, times: _Times | None = None) -> None:
        """times: instead of `update`, those of utimens."""
        m = self._m
        if times is None and m.profile.access_and_change_times:
            update[META + "ctime"] = str(m.now())
        target, cached, headers = path, path, {}
        if found.is_directory:
            directory = m.lookup.directory_object(path)
            if times is not None:
                update = self._times(found, directory.headers, times)
            if directory.replaced or m.options.nocopyapi:
                self._replace_directory(path, directory.object_path, found, update)
                return
            target, cached, headers = directory.new_path, directory.cached_path, directory.headers
        elif m.options.nocopyapi:
            if times is not None:
                update = self._times(found, {}, times)
            self._reupload(path, update)
            return
        else:
            refresh = times is not None and m.options.readdir_optimize
            headers = m.lookup.find(path, refresh_listed=refresh).headers
            if times is not None:
                update = self._times(found, headers, times)
        changed = self._content.take_metadata(path, self._copying(target, update))
        if changed is not None:
            self._put(target, {**headers, **changed})
            m.cache.drop(cached)
        if times is not None:
            self._content.hold_mtime(path, float(update[META + "mtime"]))

    def _copying(self, target: str, update: Headers) -> Headers:
        return {
            **update,
            "x-oss-copy-source": self._m.client.copy_source(target),
            "x-oss-metadata-directive": "REPLACE",
        }

    def _put(self, target: str, headers: Headers) -> None:
        try:
            self._m.put_metadata(target, headers)
        except RequestFailed as error:
            if self._m.profile.metadata_errno_mapped:
                raise
            raise failure(errno.EIO, target) from error

    def _replace_directory(self, path: str, object_path: str, found: Attributes, update: Headers) -> None:
        """A directory without an object of the current form: the old one is deleted, "N/" is written anew."""
        m = self._m
        if object_path and not object_path.endswith("/"):
            m.client.delete(object_path)
        m.cache.drop(path)
        fresh = m.created_metadata(
            found.mode,
            found.uid,
            found.gid,
            mtime=_whole(found.mtime),
            atime=_whole(found.atime),
            ctime=_whole(found.ctime),
        )
        whole = {name: value.partition(".")[0] if name.endswith("time") else value for name, value in update.items()}
        self._namespace.put_directory(path, {**fresh, **whole})

    def _reupload(self, path: str, update: Headers) -> None:
        """Without the copy API: download, upload with the new metadata."""
        m = self._m
        with m.local_file(path, m.lookup.find(path), os.O_RDWR, whole=True) as entity:
            entity.merge_metadata(update)
            entity.upload(force=True)
        m.cache.drop(path)

    # --- extended attributes: one header with urlencoded JSON, {"user.a":"base64"} -----------------------------------

    def setxattr(self, ctx: Context, path: str, name: str, value: bytes, flags: int) -> None:
        """flags: os.XATTR_CREATE fails with EEXIST where the object has any attribute at all; os.XATTR_REPLACE looks at
        nothing but that either."""
        m = self._m
        if not m.options.xattr:
            if m.profile.noxattr_pretends:
                return
            raise failure(errno.ENOTSUP, path)
        found = self._owned(ctx, path)
        target, headers, old = self._xattr_target(path, found)
        if m.profile.xattr_flags_first:
            self._check_flags(path, flags, headers)
        if old is not None:
            self._replace_directory(path, old, found, {})
        if not m.profile.xattr_flags_first:
            self._check_flags(path, flags, headers)
        attributes = _parse(headers.get(XATTR, ""))
        attributes[name] = value
        update = {XATTR: _build(attributes)}
        if m.profile.access_and_change_times:
            update[META + "ctime"] = str(m.now())
        self._store_xattr(path, target, headers, update)

    def getxattr(self, ctx: Context, path: str, name: str) -> bytes:
        """Raises ENODATA when it is not set."""
        attributes = self._xattrs(ctx, path)
        if attributes is None or name not in attributes:
            raise failure(errno.ENODATA, path)
        return attributes[name]

    def listxattr(self, ctx: Context, path: str) -> list[str]:
        return sorted(self._xattrs(ctx, path) or ())

    def removexattr(self, ctx: Context, path: str, name: str) -> None:
        m = self._m
        if not m.options.xattr and not m.profile.noxattr_pretends:
            raise failure(errno.ENOTSUP, path)
        found = self._owned(ctx, path)
        target, headers, old = self._xattr_target(path, found)
        attributes = _parse(headers.get(XATTR, ""))
        if name not in attributes:
            raise failure(errno.ENODATA, path)
        del attributes[name]
        if old is not None:
            self._replace_directory(path, old, found, {})
        self._store_xattr(path, target, headers, {XATTR: _build(attributes) if attributes else ""})

    def _xattrs(self, ctx: Context, path: str) -> dict[str, bytes] | None:
        m = self._m
        if not m.options.xattr and not m.profile.noxattr_pretends:
            raise failure(errno.ENOTSUP, path)
        m.access.require_parent(ctx, path, os.X_OK)
        headers = m.lookup.find(path).headers
        return _parse(headers[XATTR]) if XATTR in headers else None

    @staticmethod
    def _check_flags(path: str, flags: int, headers: Headers) -> None:
        if XATTR not in headers and flags & os.XATTR_REPLACE:
            raise failure(errno.ENODATA, path)
        if XATTR in headers and flags & os.XATTR_CREATE:
            raise failure(errno.EEXIST, path)

    def _xattr_target(self, path: str, found: Attributes) -> tuple[str, Headers, str | None]:
        """Where the attributes are kept, the metadata there, and the object of a directory that has to be replaced
        first ("" where it has none)."""
        m = self._m
        if not found.is_directory:
            return path, m.lookup.find(path).headers, None
        directory = m.lookup.directory_object(path)
        return directory.new_path, directory.headers, directory.object_path if directory.replaced else None

    def _store_xattr(self, path: str, target: str, headers: Headers, update: Headers) -> None:
        changed = self._content.take_metadata(path, self._copying(target, update))
        if changed is None:
            return
        if self._m.profile.last_xattr_stays and not update[XATTR]:
            changed = {name: value for name, value in changed.items() if name not in update}
        merged = {**headers, **changed}
        self._put(target, {name: value for name, value in merged.items() if value or name != XATTR})
        self._m.cache.drop(target)


def _whole(seconds: float) -> str:
    return str(int(seconds))


def _parse(text: str) -> dict[str, bytes]:
    try:
        pairs = json.loads(unquote(text)) if text else {}
        return {str(name): base64.b64decode(value) for name, value in pairs.items()}
    except (ValueError, AttributeError, TypeError, binascii.Error):
        return {}


def _build(attributes: dict[str, bytes]) -> str:
    pairs = ",".join(f'"{name}":"{base64.b64encode(value).decode()}"' for name, value in sorted(attributes.items()))
    return quote(f"{{{pairs}}}", safe="/.-_~")
