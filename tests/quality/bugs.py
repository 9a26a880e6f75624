"""The planted bugs: mistakes that somebody could make in the simulation, each by name.

A function here stands in for the method or function that its decorator names; `original` is that one. See `planting`.
"""
# Arguments are those of what is replaced.
# ruff: noqa: PLR0917

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from tests.quality.planting import BUGS, Bug, planted, replacing

from osscloud import mirror as mirroring
from osscloud import website as hosting
from osscloud.accesslog import AccessLog, LogRecord
from osscloud.accounts import Accounts
from osscloud.errors import OssError
from osscloud.faults import FaultPlan
from osscloud.operations import copy as copying
from osscloud.operations import delete as deleting
from osscloud.operations import listing
from osscloud.operations import object as objects
from osscloud.operations.call import Call
from osscloud.store import NULL_VERSION, UNVERSIONED, Bucket
from osscluster.inode import Inode
from osscluster.vfs import Vfs
from ossfuse import entity as entities
from ossfuse.access import AccessChecks
from ossfuse.attributes import META, AttributeRules, Attributes
from ossfuse.client import ObjectClient
from ossfuse.content import Content
from ossfuse.directory import Directory
from ossfuse.entity import Entity
from ossfuse.filesystem import OssFs
from ossfuse.lookup import Lookup
from ossfuse.metadata import Metadata
from ossfuse.mounted import Mounted
from ossfuse.namespace import Namespace
from ossfuse.statcache import StatCache

__all__ = ["BUGS"]

_KEPT = "acknowledged-is-kept"
_EARLY = "nothing-before-flush"
_LINK = "link-never-succeeds"
_RIGHTS = "rights-equal-table"
_ANSWERS = "answers-have-reasons"
_CONTENT = "content-is-right"
_LISTING = "listing-equals-server"
_NAMES = "names-are-found"
_CONVERGE = "caches-converge"
_5XX = "no-unasked-5xx"
_LIVE = "mounts-live"
_LEAKS = "nothing-leaks"
_LOG = "log-explains-bytes"


# --- when the server hears of it ---


@planted("A write is uploaded at once: the server shows a size before the flush.", _EARLY, on=(Entity, "write"))
def size_reported_early(original: Any, entity: Entity, data: bytes, start: int) -> Any:
    done = original(entity, data, start)
    entity.upload(force=True)
    return done


@planted("Opening a new file puts an empty object there.", _EARLY, on=(Content, "create"))
def create_uploads_empty_object(original: Any, content: Content, ctx: Any, path: str, mode: int, flags: int) -> Any:
    handle = original(content, ctx, path, mode, flags)
    content._m.client.put(path, content._m.new_metadata(mode, ctx.uid, ctx.gid))
    return handle


@planted("close(2) does not say that the upload failed.", _ANSWERS, _RIGHTS, on=(Content, "flush"))
def flush_error_swallowed(original: Any, *arguments: Any) -> None:
    with contextlib.suppress(OSError):
        original(*arguments)


@planted("fsync(2) returns before anything is on the server.", _KEPT, _EARLY, on=(Content, "fsync"))
def fsync_does_nothing(original: Any, content: Content, path: str, fh: int, datasync: bool) -> None:
    pass


@planted("close(2) of a changed file uploads nothing.", _KEPT, _EARLY, on=(Content, "flush"))
def close_uploads_nothing(original: Any, content: Content, ctx: Any, path: str, fh: int) -> None:
    upload = Entity.upload
    if content._m.files.handle(fh).entity.new:
        original(content, ctx, path, fh)
        return
    Entity.upload = lambda *arguments, **named: None  # type: ignore[method-assign]
    try:
        original(content, ctx, path, fh)
    finally:
        Entity.upload = upload  # type: ignore[method-assign]


@planted("A failed upload is taken for done: it is not tried again.", _KEPT, _ANSWERS, _RIGHTS, on=(FaultPlan, "take"))
def fault_answered_as_success(original: Any, plan: FaultPlan, operation: str, key: str) -> None:
    original(plan, operation, key)


@planted("A mount that is killed takes the objects of its open files along.", _KEPT, _NAMES, on=(OssFs, "destroy"))
def kill_loses_acknowledged_data(original: Any, fs: OssFs, *, killed: bool = False) -> None:
    if killed:
        for opened in fs.open_files():
            fs._client.delete(opened.path)
    original(fs, killed=killed)


# --- content ---


@planted("truncate(2) to a smaller size keeps what was behind it.", _KEPT, _NAMES, _CONTENT, on=(OssFs, "truncate"))
def truncate_keeps_old_tail(original: Any, fs: OssFs, ctx: Any, path: str, size: int, fh: int | None = None) -> None:
    there = fs.getattr(ctx, path).size
    original(fs, ctx, path, max(size, there), fh)


@planted("A file that is cut and grown again shows the old bytes.", _CONTENT, _KEPT, on=(Entity, "_resize"))
def grown_file_shows_old_bytes(original: Any, entity: Entity, size: int) -> None:
    if size >= entity.size:
        original(entity, size)
        return
    entity._pages.resize(size, modified=True)
    entity._touch()


@planted("truncate(2) does not grow a file.", _KEPT, _NAMES, _CONTENT, on=(OssFs, "truncate"))
def truncate_does_not_grow(original: Any, fs: OssFs, ctx: Any, path: str, size: int, fh: int | None = None) -> None:
    original(fs, ctx, path, min(size, fs.getattr(ctx, path).size), fh)


@planted("A write with O_APPEND goes to the beginning.", _CONTENT, _KEPT, _NAMES, on=(Vfs, "write"))
def append_overwrites(original: Any, vfs: Vfs, context: Any, file: Any, data: bytes, offset: int) -> Any:
    if file.flags & os.O_APPEND:
        file = replace(file, flags=file.flags & ~os.O_APPEND)
        offset = 0
    return original(vfs, context, file, data, offset)


@planted("A write behind the beginning lands one byte too far.", _CONTENT, _KEPT, _NAMES, on=(Entity, "write"))
def write_at_offset_shifts(original: Any, entity: Entity, data: bytes, start: int) -> Any:
    return original(entity, data, start + (start > 0))


@planted("A write loses its last byte when it is longer than nine.", _CONTENT, _KEPT, _NAMES, on=(Entity, "write"))
def long_write_is_cut(original: Any, entity: Entity, data: bytes, start: int) -> Any:
    original(entity, data[:-1] if len(data) > 9 else data, start)
    return len(data)


@planted("The gap before a write beyond the end holds no zeros.", _CONTENT, _KEPT, on=(Entity, "write"))
def hole_is_not_zero(original: Any, entity: Entity, data: bytes, start: int) -> Any:
    gap = start - entity.size
    if gap > 0:
        original(entity, b"?" * gap, entity.size)
    return original(entity, data, start)


@planted("O_TRUNC leaves the content.", _KEPT, _CONTENT, _NAMES, on=(Content, "open"))
def o_trunc_ignored(original: Any, content: Content, ctx: Any, path: str, flags: int) -> Any:
    return original(content, ctx, path, flags & ~os.O_TRUNC)


@planted("A read answers one byte less than there is.", _CONTENT, _KEPT, on=(Entity, "read"))
def read_is_short(original: Any, entity: Entity, start: int, size: int) -> bytes:
    return bytes(original(entity, start, size))[:-1]


@planted("The range of a GET begins one byte too late.", _CONTENT, _KEPT, on=(objects, "parse_range"))
def range_off_by_one(original: Any, *arguments: Any, **named: Any) -> Any:
    bounds = original(*arguments, **named)
    return bounds if bounds is None else (min(bounds[0] + 1, bounds[1] - 1), bounds[1])


@planted("A symbolic link loses the last character of its target.", _KEPT, _CONTENT, on=(Namespace, "symlink"))
def symlink_target_cut(original: Any, namespace: Namespace, ctx: Any, target: str, path: str) -> None:
    original(namespace, ctx, target[:-1], path)


@planted("readlink(2) answers the target with what is above it.", _CONTENT, on=(Namespace, "readlink"))
def readlink_resolves_parent(original: Any, namespace: Namespace, path: str) -> str:
    return str(original(namespace, path)).removeprefix("../")


# --- names ---


@planted("unlink(2) forgets the name and leaves the object.", _KEPT, _NAMES, on=(Namespace, "unlink"))
def unlink_leaves_the_object(original: Any, namespace: Namespace, ctx: Any, path: str) -> None:
    namespace._m.access.require_parent(ctx, path, os.W_OK | os.X_OK)
    namespace._m.cache.drop(path)


@planted("mkdir(2) makes an object without a slash at its end.", _KEPT, _NAMES, on=(Namespace, "put_directory"))
def mkdir_object_without_slash(original: Any, namespace: Namespace, path: str, headers: Any) -> None:
    namespace._m.client.put(path.rstrip("/"), headers, content_type="application/x-directory")


@planted("mkdir(2) writes no object.", _KEPT, _NAMES, _ANSWERS, on=(Namespace, "put_directory"))
def mkdir_writes_nothing(original: Any, namespace: Namespace, path: str, headers: Any) -> None:
    pass


@planted("rmdir(2) of a directory with entries succeeds.", _ANSWERS, _KEPT, on=(Namespace, "rmdir"))
def rmdir_of_non_empty_succeeds(original: Any, namespace: Namespace, ctx: Any, path: str) -> None:
    m = namespace._m
    m.access.require_parent(ctx, path, os.W_OK | os.X_OK)
    namespace._delete(path + "/")
    m.cache.drop(path + "/")


@planted("link(2) copies the file and succeeds.", _LINK, on=(OssFs, "link"))
def link_succeeds(original: Any, fs: OssFs, ctx: Any, old: str, new: str) -> None:
    m = fs._mounted
    with fs._calling(ctx, "link"):
        headers = m.lookup.find(old).headers
        headers |= {"x-oss-copy-source": m.client.copy_source(old), "x-oss-metadata-directive": "REPLACE"}
        m.put_metadata(new, headers, exists=False)
        m.cache.drop(new)


@planted("rename(2) leaves the old name.", _KEPT, _NAMES, on=(Namespace, "_rename_file"))
def rename_leaves_the_source(original: Any, namespace: Namespace, ctx: Any, old: str, new: str, *, top: bool) -> None:
    unlink = Namespace.unlink
    Namespace.unlink = lambda *arguments: None  # type: ignore[method-assign]
    try:
        original(namespace, ctx, old, new, top=top)
    finally:
        Namespace.unlink = unlink  # type: ignore[method-assign]


def _without(headers: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not name.startswith(names)}


@planted("A renamed file belongs to root.", _KEPT, _NAMES, on=(Mounted, "put_metadata"))
def uid_lost_on_rename(original: Any, mounted: Mounted, path: str, headers: Any, *, exists: bool = True) -> None:
    original(mounted, path, headers if exists else _without(headers, META + "uid"), exists=exists)


@planted("A renamed file has no metadata.", _KEPT, _NAMES, on=(Mounted, "put_metadata"))
def rename_loses_metadata(original: Any, mounted: Mounted, path: str, headers: Any, *, exists: bool = True) -> None:
    original(mounted, path, headers if exists else _without(headers, META), exists=exists)


@planted("The rename of a directory forgets empty directories in it.", _KEPT, on=(Namespace, "_clone_directory"))
def directory_rename_forgets_empty_ones(original: Any, namespace: Namespace, move: Any, *, top: bool) -> None:
    if top:
        original(namespace, move, top=top)


@planted("The rename of a directory leaves its object under the old name.", _KEPT, on=(Namespace, "_moves"))
def directory_rename_leaves_old_object(original: Any, namespace: Namespace, old: str, new: str) -> Any:
    base, moves = original(namespace, old, new)
    kept = [replace(move, removed=False) for move in moves]
    return next((move for move in kept if base is not None and move.old == base.old), None), kept


@planted("rename(2) onto a directory with entries merges.", _ANSWERS, _KEPT, on=(Namespace, "rename"))
def rename_onto_full_directory_merges(original: Any, namespace: Namespace, ctx: Any, old: str, new: str) -> None:
    empty = Lookup.directory_is_empty
    Lookup.directory_is_empty = (  # type: ignore[method-assign]
        lambda self, path: True if path == new else empty(self, path)
    )
    try:
        original(namespace, ctx, old, new)
    finally:
        Lookup.directory_is_empty = empty  # type: ignore[method-assign]


@planted("O_EXCL opens what is there already.", _ANSWERS, on=(Vfs, "open"))
def o_excl_ignored(original: Any, vfs: Vfs, context: Any, path: str, flags: int, mode: int) -> Any:
    return original(vfs, context, path, flags & ~os.O_EXCL, mode)


@planted("A hidden file of an unlinked open one stays after the close.", _LEAKS, on=(Vfs, "_release"))
def hidden_file_stays(original: Any, vfs: Vfs, node: Inode, handle: int | None) -> None:
    hidden, node.hidden = node.hidden, False
    original(vfs, node, handle)
    node.hidden = hidden and node.open_count > 0


@planted("Keys are escaped twice on the wire.", _KEPT, _NAMES, _LISTING, on=(ObjectClient, "key"))
def keys_are_escaped(original: Any, client: ObjectClient, path: str) -> str:
    key = str(original(client, path))
    return key if key.isascii() else key.encode("ascii", "xmlcharrefreplace").decode()


# --- listings and lookups ---


@planted("A listing names what the stat cache still knows.", _LISTING, on=(Directory, "readdir"))
def readdir_lists_a_deleted_name(original: Any, directory: Directory, ctx: Any, path: str) -> Any:
    base = path if path == "/" else path + "/"
    entries = original(directory, ctx, path)
    known = {name for name, _ in entries}
    for name, entry in list(directory._m.cache._entries.items()):
        rest = name.removeprefix(base).rstrip("/")
        if name.startswith(base) and rest and "/" not in rest and not entry.missing and rest not in known:
            entries.append((rest, None))
    return entries


@planted("A listing leaves out its last name when there are three.", _LISTING, on=(Directory, "readdir"))
def readdir_loses_the_third_name(original: Any, directory: Directory, ctx: Any, path: str) -> Any:
    entries = original(directory, ctx, path)
    return entries[:-1] if len(entries) == 5 else entries


@planted("A listing leaves out empty files.", _LISTING, on=(Directory, "readdir"))
def readdir_loses_empty_files(original: Any, directory: Directory, ctx: Any, path: str) -> Any:
    return [
        (name, found)
        for name, found in original(directory, ctx, path)
        if found is None or found.size or not stat.S_ISREG(found.mode)
    ]


@planted("The marker behind a page skips a key.", _LISTING, _ANSWERS, _KEPT, on=(listing, "read_page"), paged=True)
def page_marker_skips_a_key(original: Any, seek: Any, window: Any, prefix: str, delimiter: str, limit: int) -> Any:
    page = original(seek, window, prefix, delimiter, limit)
    if page.truncated:
        longer = original(seek, window, prefix, delimiter, limit + 1)
        page.last = longer.last
    return page


@planted("A page drops the key at its end.", _LISTING, _ANSWERS, _KEPT, on=(listing, "read_page"), paged=True)
def page_drops_its_last_key(original: Any, seek: Any, window: Any, prefix: str, delimiter: str, limit: int) -> Any:
    page = original(seek, window, prefix, delimiter, limit)
    if page.truncated and page.keys and page.keys[-1] == page.last:
        page.keys.pop()
    return page


@planted("A listing ends with its first page.", _LISTING, _ANSWERS, _KEPT, on=(listing, "read_page"), paged=True)
def listing_ends_with_first_page(original: Any, *arguments: Any) -> Any:
    page = original(*arguments)
    page.truncated = False
    return page


@planted("A directory that has no object of its own is not found.", _NAMES, _ANSWERS, on=(Lookup, "_has_children"))
def implied_directory_not_found(original: Any, lookup: Lookup, base: str) -> bool:
    return False


@planted("HEAD of a deleted key answers the version below the marker.", _KEPT, _NAMES, on=(objects, "find_version"))
def head_after_delete_succeeds(original: Any, bucket: Bucket, key: str, version_id: Any, method: str = "GET") -> Any:
    marker = bucket.buried.get(key)
    if version_id is None and marker is not None and marker.older is not None and not marker.older.is_marker:
        return marker.older
    return original(bucket, key, version_id, method)


@planted(
    "HEAD of a key with other than ASCII characters is an internal error.",
    _5XX,
    _NAMES,
    _ANSWERS,
    on=(objects, "find_version"),
)
def head_fails_for_umlauts(original: Any, bucket: Bucket, key: str, version_id: Any, method: str = "GET") -> Any:
    if not key.isascii():
        raise OssError("InternalError")
    return original(bucket, key, version_id, method)


# --- caches ---


@planted("The stat cache never expires.", _CONVERGE, _NAMES, on=(StatCache, "__init__"))
def cache_never_expires(original: Any, cache: StatCache, **arguments: Any) -> None:
    original(cache, **arguments)
    cache._expire = None


@planted("What was missing once is missing for ever.", _CONVERGE, _NAMES, on=(StatCache, "_store"))
def negative_cache_never_expires(original: Any, cache: StatCache, path: str, entry: Any) -> None:
    original(cache, path, entry)
    if entry.missing:
        entry.since = float("inf")


@planted("What the mount changes itself stays in its cache.", _NAMES, _ANSWERS, on=(StatCache, "drop"))
def cache_not_dropped(original: Any, cache: StatCache, path: str) -> None:
    pass


@planted("A hit makes an entry of the cache young again.", _CONVERGE, _NAMES, on=(StatCache, "_live"))
def cache_hit_refreshes(original: Any, cache: StatCache, *arguments: Any) -> Any:
    entry = original(cache, *arguments)
    if entry is not None:
        entry.since = cache._clock.now()
    return entry


@planted("The kernel keeps names and attributes for ever.", _CONVERGE, _NAMES, _LISTING, on=(Vfs, "_learn"))
def kernel_cache_never_expires(original: Any, *arguments: Any, **named: Any) -> Any:
    node = original(*arguments, **named)
    node.attributes_until = node.entry_until = float("inf")
    return node


@contextmanager
def _one_cache() -> Iterator[None]:
    shared: dict[str, Any] = {}

    def make(original: Any) -> Any:
        def begin(cache: StatCache, **arguments: Any) -> None:
            original(cache, **arguments)
            cache._entries = shared.setdefault("entries", cache._entries)
            cache._pinned = shared.setdefault("pinned", cache._pinned)

        return begin

    with replacing(StatCache, "__init__", make)():
        yield


BUGS["mounts-share-a-cache"] = Bug(
    "mounts-share-a-cache", "Two mounts have one stat cache.", (_NAMES, _CONVERGE, _RIGHTS, _ANSWERS), (_one_cache,)
)


# --- metadata ---


@planted("chmod(2) stores nothing.", _KEPT, _NAMES, on=(Metadata, "chmod"))
def chmod_not_stored(original: Any, metadata: Metadata, ctx: Any, path: str, mode: int) -> None:
    metadata._owned(ctx, path)


@planted("chmod(2) of a directory stores nothing.", _KEPT, _NAMES, on=(Metadata, "chmod"))
def chmod_of_directory_not_stored(original: Any, metadata: Metadata, ctx: Any, path: str, mode: int) -> None:
    if not metadata._owned(ctx, path).is_directory:
        original(metadata, ctx, path, mode)


@planted("chown(2) swaps owner and group.", _KEPT, _NAMES, on=(Metadata, "chown"))
def chown_swaps_uid_and_gid(original: Any, metadata: Metadata, ctx: Any, path: str, uid: int, gid: int) -> None:
    original(metadata, ctx, path, gid, uid)


@planted("chown(2) is for root only.", _RIGHTS, on=(Metadata, "chown"))
def chown_refused_to_owners(original: Any, metadata: Metadata, ctx: Any, path: str, uid: int, gid: int) -> None:
    if ctx.uid:
        raise PermissionError(1, "Operation not permitted", path)
    original(metadata, ctx, path, uid, gid)


@planted("utimensat(2) takes the mode along.", _KEPT, _NAMES, on=(Metadata, "_times"))
def utime_loses_mode(original: Any, metadata: Metadata, *arguments: Any) -> Any:
    return {**original(metadata, *arguments), META + "mode": "33060"}


@planted("utimensat(2) stores no time.", _KEPT, _NAMES, on=(Metadata, "utimens"))
def mtime_lost(original: Any, metadata: Metadata, ctx: Any, path: str, atime: Any, mtime: Any) -> None:
    original(metadata, ctx, path, None, None)


@planted("What umask= hides is missing from new objects too.", _KEPT, on=(Mounted, "new_metadata"))
def umask_applied_twice(original: Any, mounted: Mounted, mode: int, uid: int, gid: int) -> Any:
    return original(mounted, mode & ~(mounted.options.umask or 0), uid, gid)


@planted("New objects belong to root.", _KEPT, _NAMES, on=(Mounted, "new_metadata"))
def creator_is_root(original: Any, mounted: Mounted, mode: int, uid: int, gid: int) -> Any:
    return original(mounted, mode, 0, 0)


@planted("Owner and group of an object are read as one number.", _NAMES, on=(AttributeRules, "_group"))
def gid_read_from_uid(original: Any, rules: AttributeRules, headers: Any, listed: bool) -> int:
    return rules._owner(headers, listed)


@planted("umask= changes nothing.", _NAMES, on=(OssFs, "_displayed"))
def umask_option_ignored(original: Any, fs: OssFs, found: Attributes) -> Attributes:
    mode = found.mode
    shown: Attributes = original(fs, found)
    shown.mode = mode
    return shown


def _showing_the_mode(original: Any) -> Any:
    def shown(vfs: Vfs, attributes: Attributes) -> Attributes:
        found: Attributes = original(vfs, attributes)
        found.mode = attributes.mode
        return found

    return shown


BUGS["umask-option-ignored"] = replace(
    BUGS["umask-option-ignored"],
    # libfuse has its part in it.
    patches=(*BUGS["umask-option-ignored"].patches, replacing(Vfs, "_shown", _showing_the_mode)),
)


@planted("setxattr(2) pretends to work.", _ANSWERS, on=(Metadata, "setxattr"))
def xattr_pretends(original: Any, *arguments: Any) -> None:
    pass


BUGS["xattr-pretends"] = replace(
    BUGS["xattr-pretends"],
    patches=(*BUGS["xattr-pretends"].patches, replacing(Vfs, "has_xattr", lambda _: lambda vfs, path: None)),
)


@planted("A copy has no Content-Type.", _KEPT, _NAMES, on=(ObjectClient, "copy"))
def copy_keeps_no_content_type(
    original: Any, client: ObjectClient, path: str, meta: Any, *, content_type: str = ""
) -> None:
    original(client, path, meta, content_type="text/plain")


# --- rights ---


@planted("mp_umask= changes nothing.", _RIGHTS, _NAMES, on=(Lookup, "root"))
def mp_umask_ignored(original: Any, lookup: Lookup) -> Attributes:
    found: Attributes = original(lookup)
    return replace(found, mode=found.mode | (0o777 if lookup._options.allow_other else 0))


@planted("Without allow_other everybody may look.", _RIGHTS, _ANSWERS, on=(Vfs, "allowed"))
def allow_other_ignored(original: Any, vfs: Vfs, context: Any, node: Inode) -> None:
    pass


BUGS["allow-other-ignored"] = replace(
    BUGS["allow-other-ignored"],
    patches=(
        *BUGS["allow-other-ignored"].patches,
        # The mount point's mode would keep them out all the same.
        replacing(Lookup, "root", lambda original: lambda lookup: replace(original(lookup), mode=stat.S_IFDIR | 0o777)),
    ),
)


def _as_nobody_of_the_group(who: Any) -> Any:
    return replace(who, gid=-2)


@planted("Rights of the group count for nobody.", _RIGHTS, on=(AccessChecks, "require"))
def group_permission_ignored(original: Any, access: AccessChecks, who: Any, path: str, mask: int) -> Any:
    return original(access, _as_nobody_of_the_group(who), path, mask)


@planted("Only owner and group are asked, as if nobody were other.", _RIGHTS, on=(AccessChecks, "require"))
def other_permission_ignored(original: Any, access: AccessChecks, who: Any, path: str, mask: int) -> Any:
    found = original(access, who, path, mask)
    if mask and not access._bypasses(who) and who.uid != found.uid and who.gid != found.gid:
        raise PermissionError(13, "Permission denied", path)
    return found


@planted("uid= makes no superuser.", _RIGHTS, on=(AccessChecks, "_bypasses"))
def uid_option_gives_no_rights(original: Any, access: AccessChecks, who: Any) -> bool:
    return bool(who.uid == 0)


@planted("A way through a directory needs no right to search it.", _RIGHTS, on=(AccessChecks, "require_parent"))
def search_permission_ignored(original: Any, access: AccessChecks, who: Any, path: str, mask: int) -> None:
    original(access, who, path, mask & ~os.X_OK)


@planted("Anybody may change the mode of a file.", _RIGHTS, on=(AccessChecks, "require_owner"))
def owner_not_required(original: Any, access: AccessChecks, who: Any, path: str) -> Any:
    return access._stat(path)


@planted("A disabled key is still good.", _RIGHTS, _ANSWERS, on=(Accounts, "disable"))
def rotated_key_still_works(original: Any, accounts: Accounts, id: str) -> None:
    pass


# --- the cloud's versions ---


@planted("A delete marker is ignored: the object stays.", _KEPT, _NAMES, on=(Bucket, "publish"))
def delete_marker_ignored(original: Any, bucket: Bucket, version: Any) -> None:
    if not version.is_marker:
        original(bucket, version)


@planted("While versioning is suspended a delete adds no marker.", _KEPT, _NAMES, on=(deleting, "delete"))
def suspended_delete_adds_no_marker(original: Any, call: Any, bucket: Bucket, key: str, version_id: Any) -> Any:
    if bucket.versioning == "Suspended" and version_id is None:
        version_id = NULL_VERSION
    return original(call, bucket, key, version_id)


@planted(
    "An object put on top of a delete marker stays invisible.",
    _KEPT,
    _NAMES,
    on=(Bucket, "_set_newest"),
    rare="14, 9 and 4 steps are left of it; why no fewer was not looked into",
)
def put_over_marker_stays_buried(original: Any, bucket: Bucket, key: str, version: Any) -> None:
    if version is None or version.is_marker or key not in bucket.buried:
        original(bucket, key, version)


@planted(
    "The object that is written under versioning takes the one below along.",
    _LOG,
    on=(Bucket, "publish"),
)
def version_id_lost(original: Any, bucket: Bucket, version: Any) -> None:
    if bucket.versioning != UNVERSIONED and not version.is_marker:
        newest = bucket.newest(version.key)
        if newest is not None:
            bucket.remove(version.key, newest.version_id)
    original(bucket, version)


@planted(
    "A suspended bucket keeps two null versions.",
    _LOG,
    on=(Bucket, "_take_out"),
)
def suspended_bucket_keeps_two_nulls(original: Any, bucket: Bucket, key: str, version_id: str) -> Any:
    newest = bucket.newest(key)
    if bucket.versioning == "Suspended" and newest is not None and newest.version_id == NULL_VERSION:
        return None
    return original(bucket, key, version_id)


@planted(
    "A copy is stored as Infrequent Access.",
    _KEPT,
    on=(copying, "storage_class"),
)
def copy_makes_objects_cold(original: Any, *arguments: Any) -> str:
    return "IA"


# --- the process ---


@contextmanager
def _keeping_descriptors() -> Iterator[None]:
    kept: list[Any] = []

    def make(original: Any) -> Any:
        def close(entity: Entity) -> None:
            if entity._file is not None:
                kept.append(os.dup(entity._file.fileno()))
            original(entity)

        return close

    try:
        with replacing(entities.Entity, "close", make)():
            yield
    finally:
        for descriptor in kept:
            os.close(descriptor)


BUGS["descriptor-leak"] = Bug(
    "descriptor-leak", "The local file of a closed file stays open.", (_LEAKS,), (_keeping_descriptors,)
)


@planted("ossfs dies of the rename of an open file.", _LIVE, on=(Namespace, "rename"))
def ossfs_dies_of_a_rename(original: Any, namespace: Namespace, ctx: Any, old: str, new: str) -> None:
    if namespace._m.files.find(old) is not None:
        raise namespace._m.client.end_process(old)
    original(namespace, ctx, old, new)


# --- the log, and what only it can tell ---


@planted("Copies are not in the access log.", _LOG, on=(AccessLog, "append"))
def copies_are_not_logged(original: Any, log: AccessLog, record: LogRecord) -> None:
    if record.operation != "CopyObject":
        original(log, record)


@planted("The access log tells the size that an object had before the request.", _LOG, on=(Call, "note_size"))
def log_tells_the_size_before(original: Any, call: Call, new: Any, old: Any) -> None:
    original(call, new if old is None else old, old)


@planted("A refused upload is logged as if it had been done.", _LOG, on=(AccessLog, "append"))
def refused_upload_is_logged_as_done(original: Any, log: AccessLog, record: LogRecord) -> None:
    if record.operation == "PutObject" and record.http_status == 403:
        record = replace(record, http_status=200, error_code="", ec="")
    original(log, record)


@planted("The access log counts half of the bytes that a GET brings.", _LOG, on=(AccessLog, "append"))
def log_counts_half_of_a_read(original: Any, log: AccessLog, record: LogRecord) -> None:
    if record.operation == "GetObject":
        record = replace(record, bytes_out=record.bytes_out // 2)
    original(log, record)


@planted("A bucket keeps two versions of a key, whatever comes.", _LOG, on=(Bucket, "publish"))
def third_version_is_dropped(original: Any, bucket: Bucket, version: Any) -> None:
    original(bucket, version)
    if version.older is not None and version.older.older is not None:
        bucket.remove(version.key, version.older.older.version_id)


@contextmanager
def _remembering_content() -> Iterator[None]:
    # By mount: an example must not know of the one before.
    known: WeakKeyDictionary[ObjectClient, dict[tuple[str, str], bytes]] = WeakKeyDictionary()

    def make(original: Any) -> Any:
        def answer(entity: Entity, start: int, size: int) -> bytes | None:
            kept = known.setdefault(entity._client, {})
            place = entity.path, entity.headers.get("etag", "")
            if not place[1] or entity.modified:
                found: bytes | None = original(entity, start, size)
                return found
            if place not in kept:
                original(entity, 0, entity.size)
                kept[place] = os.pread(entity._local(), entity.size, 0)
            return kept[place][start : start + size]

        return answer

    with replacing(Entity, "_answer", make)():
        yield


BUGS["content-stays-after-the-last-close"] = Bug(
    "content-stays-after-the-last-close",
    "What was read of a file is kept after its last close, and read again as long as the ETag is the same.",
    (_LOG,),
    (_remembering_content,),
)


# --- websites and mirrors ---


@planted(
    "What a mirror brings is not kept.",
    _KEPT,
    on=(mirroring, "_store"),
    rare="two examples in ten have a mirror, and it stores a key once",
)
def mirror_keeps_nothing(original: Any, *arguments: Any) -> None:
    pass


@planted(
    "What a mirror brings is kept without its last byte.",
    _KEPT,
    on=(mirroring, "_store"),
    rare="two examples in ten have a mirror, and it stores a key once",
)
def mirror_keeps_too_little(original: Any, call: Any, rule: Any, answer: Any) -> None:
    original(call, rule, replace(answer, body=answer.body[:-1]))


@planted(
    "A mirror answers every HEAD, allowed or not.",
    _NAMES,
    on=(hosting, "first_match"),
    rare="few examples have a mirror, and few look for what it lacks",
)
def mirror_answers_every_head(original: Any, *arguments: Any, **named: Any) -> Any:
    return original(*arguments, **{**named, "head": False})


@planted("A website's error page stands in for objects too.", _NAMES, _CONTENT, on=(hosting, "_attempt"))
def error_page_for_everything(original: Any, step: Any) -> Any:
    found = original(step)
    return found if isinstance(found, OssError) else hosting._no_such_key("")


@planted("A website that was switched off stays.", _NAMES, _LISTING, on=(Bucket, "configure"))
def website_stays(original: Any, bucket: Bucket, name: str, document: bytes | None) -> None:
    if document is not None:
        original(bucket, name, document)
