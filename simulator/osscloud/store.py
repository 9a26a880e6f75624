"""What the cloud keeps: buckets, and in each the versions of its keys and its unfinished uploads, in byte order.

Pure data structure: no clock, no randomness, no permissions, no XML. Not thread-safe by itself: whoever reads more than
one thing or changes anything holds `Store.lock`. Versions never change once published, except for `acl`, `tags` and
what else is no content; content that was handed out therefore stays valid without the lock.

Every change goes through a method here, or is told to one right after it was made (`Bucket.changed`): that is how the
journal of a store that is kept on disk hears of it (`Store.journal`), which is written when the lock is left.

Python compares str by code point, which for valid Unicode is the byte order of UTF-8; keys that are not valid UTF-8 are
refused before they get here.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sortedcontainers import SortedDict, SortedList

from osscloud.blob import Content

__all__ = [
    "ENABLED",
    "NULL_VERSION",
    "SUSPENDED",
    "UNVERSIONED",
    "Bucket",
    "Headers",
    "Journal",
    "Part",
    "Store",
    "Tiering",
    "Upload",
    "Version",
    "VersionType",
    "Versioning",
    "successor",
]

Versioning = Literal["", "Enabled", "Suspended"]
UNVERSIONED: Versioning = ""
ENABLED: Versioning = "Enabled"
SUSPENDED: Versioning = "Suspended"

VersionType = Literal["Normal", "Multipart", "Appendable", "Symlink", "DeleteMarker"]

NULL_VERSION = "null"
"""Id of what was written while versioning was not enabled."""

Headers = Mapping[str, str]

_SHARED_HEADERS = 4096


@dataclass(slots=True)
class Tiering:
    """What storage classes know of a version beside its class; all times in whole seconds, 0 for never.

    transitioned: when lifecycle gave it its class. accessed: last read, in a bucket that monitors access. thawed: when
    the restore is or will be done; frozen: when the restored copy ends. tier: of the restore ("Standard", ...), "" for
    Archive, which has none.
    """

    transitioned: int = 0
    accessed: int = 0
    thawed: int = 0
    frozen: int = 0
    tier: str = ""


class Version:
    """One version of an object, or a delete marker.

    headers: content headers and user metadata as they are answered ("Content-Type", "x-oss-meta-mode"), shared between
    versions. modified: whole seconds. etag: quoted. older: the next older version of the key. symlink_target: of a
    Symlink, decoded. acl: "default" or an ACL name. tags: None when it has none. tiering: None for most.
    """

    __slots__ = (
        "acl",
        "content",
        "crc64",
        "etag",
        "headers",
        "key",
        "modified",
        "older",
        "size",
        "storage_class",
        "symlink_target",
        "tags",
        "tiering",
        "type",
        "version_id",
    )

    def __init__(
        self,
        key: str,
        *,
        version_id: str = NULL_VERSION,
        type: VersionType,
        modified: int,
        content: Content = b"",
        etag: str = "",
        crc64: int = 0,
        headers: Headers | None = None,
        storage_class: str = "Standard",
        acl: str = "default",
        tags: Mapping[str, str] | None = None,
        symlink_target: str | None = None,
    ) -> None:
        self.key = key
        self.version_id = version_id
        self.type: VersionType = type
        self.modified = modified
        self.content = content
        self.size = len(content)
        self.etag = etag
        self.crc64 = crc64
        self.headers: Headers = headers if headers is not None else {}
        self.storage_class = storage_class
        self.acl = acl
        self.tags = tags
        self.symlink_target = symlink_target
        self.tiering: Tiering | None = None
        self.older: Version | None = None

    @property
    def is_marker(self) -> bool:
        return self.type == "DeleteMarker"


@dataclass(slots=True)
class Part:
    """An uploaded part of a multipart upload."""

    number: int
    content: Content
    etag: str
    crc64: int
    modified: int


@dataclass(slots=True)
class Upload:
    """An unfinished multipart upload; headers, storage class, ACL and tags are those of the object to be."""

    key: str
    id: str
    initiated: int
    headers: Headers
    storage_class: str
    acl: str
    tags: Mapping[str, str] | None
    forbid_overwrite: bool
    parts: dict[int, Part] = field(default_factory=dict)


def successor(prefix: str) -> str | None:
    """The least text greater than every text that starts with `prefix`; None when there is none."""
    stripped = prefix.rstrip("\U0010ffff")
    return stripped[:-1] + chr(ord(stripped[-1]) + 1) if stripped else None


class Journal(Protocol):
    """Who keeps a store on disk. Called under the store's lock, after the change was made."""

    def bucket_added(self, bucket: Bucket) -> None:
        """With everything that is in it."""

    def bucket_changed(self, bucket: Bucket) -> None:
        """Its own attributes and configurations."""

    def bucket_removed(self, bucket: Bucket) -> None:
        """With everything in it."""

    def version_added(self, bucket: Bucket, version: Version) -> None:
        """On top of its key; the version of the same id, if there was one, is gone."""

    def version_changed(self, bucket: Bucket, version: Version) -> None:
        """Where it is: another `Version` of the same id, or the same one with other attributes."""

    def version_removed(self, bucket: Bucket, version: Version) -> None: ...

    def upload_added(self, bucket: Bucket, upload: Upload) -> None: ...

    def upload_removed(self, bucket: Bucket, upload: Upload) -> None: ...

    def part_added(self, bucket: Bucket, upload: Upload, part: Part) -> None:
        """The part of the same number, if there was one, is gone."""

    def keep(self, body: bytes) -> Content:
        """The body as it may be kept: large ones on disk. The one call that needs no lock."""
        ...


class Bucket:
    """One bucket. A key whose newest version is an object is in `objects`, one whose newest version is a delete marker
    is in `buried`, each mapped to that version; older versions hang below it. So listing current objects never meets a
    marker, and counting what lies between two keys is bisecting, not walking.

    configs: by sub-resource name ("website"), the document as it was put (`operations.config`); empty for most buckets,
    so whatever a configuration changes costs a request to any other bucket one look at this."""

    __slots__ = (
        "acl",
        "buried",
        "configs",
        "created",
        "journal",
        "name",
        "noncurrent",
        "objects",
        "owner",
        "redundancy",
        "storage_class",
        "uploads",
        "versioning",
    )

    def __init__(
        self,
        name: str,
        *,
        owner: str,
        created: int,
        acl: str = "private",
        storage_class: str = "Standard",
        redundancy: str = "LRS",
    ) -> None:
        self.name = name
        self.owner = owner
        self.created = created
        self.acl = acl
        self.storage_class = storage_class
        self.redundancy = redundancy
        self.journal: Journal | None = None
        self.versioning: Versioning = UNVERSIONED
        self.configs: dict[str, bytes] = {}
        self.objects: SortedDict[str, Version] = SortedDict()
        self.buried: SortedDict[str, Version] = SortedDict()
        self.noncurrent: SortedList[str] = SortedList()  # the key of each version that is not its key's newest
        self.uploads: SortedDict[tuple[str, str], Upload] = SortedDict()

    def __len__(self) -> int:
        """How many things keep the bucket from being deleted: current objects, markers on top, older versions,
        uploads."""
        return len(self.objects) + len(self.buried) + len(self.noncurrent) + len(self.uploads)

    def newest(self, key: str) -> Version | None:
        """The newest version of a key, which may be a delete marker."""
        return self.objects.get(key) or self.buried.get(key)

    def find(self, key: str, version_id: str) -> Version | None:
        """One version of a key by id."""
        version = self.newest(key)
        while version is not None and version.version_id != version_id:
            version = version.older
        return version

    def publish(self, version: Version) -> None:
        """Makes a new version the newest of its key. A null version takes the place of the null version before it,
        wherever that is; any other goes on top."""
        if self.versioning == UNVERSIONED:
            self.objects[version.key] = version
        else:
            if version.version_id == NULL_VERSION:
                self._take_out(version.key, NULL_VERSION)
            version.older = self.newest(version.key)
            if version.older is not None:
                self.noncurrent.add(version.key)
            self._set_newest(version.key, version)
        if self.journal is not None:
            self.journal.version_added(self, version)

    def remove(self, key: str, version_id: str) -> Version | None:
        """Removes one version for good; what is older comes up. The version removed, None when there was none."""
        removed = self._take_out(key, version_id)
        if removed is not None and self.journal is not None:
            self.journal.version_removed(self, removed)
        return removed

    def _take_out(self, key: str, version_id: str) -> Version | None:
        newer: Version | None = None
        version = self.newest(key)
        while version is not None and version.version_id != version_id:
            newer, version = version, version.older
        if version is None:
            return None
        if newer is not None:
            newer.older = version.older
            self.noncurrent.remove(key)
        else:
            if version.older is not None:
                self.noncurrent.remove(key)
            self._set_newest(key, version.older)
        return version

    def supersede(self, old: Version, new: Version) -> None:
        """Puts `new` exactly where `old` is: an append that grows a version. Both have the same key and id."""
        new.older = old.older
        newest = self.newest(old.key)
        if newest is old:
            self._set_newest(old.key, new)
        else:
            while newest is not None and newest.older is not old:
                newest = newest.older
            if newest is None:
                raise LookupError(f"version {old.version_id} of {old.key!r} is gone")
            newest.older = new
        if self.journal is not None:
            self.journal.version_changed(self, new)

    def changed(self, version: Version | None = None) -> None:
        """To be called after an attribute was set: of a version (acl, tags, ...), without one of the bucket itself."""
        if self.journal is not None:
            if version is None:
                self.journal.bucket_changed(self)
            else:
                self.journal.version_changed(self, version)

    def configure(self, param: str, document: bytes | None) -> None:
        """Sets a configuration, None removes it."""
        if document is None:
            self.configs.pop(param, None)
        else:
            self.configs[param] = document
        self.changed()

    def add_upload(self, upload: Upload) -> None:
        self.uploads[upload.key, upload.id] = upload
        if self.journal is not None:
            self.journal.upload_added(self, upload)

    def remove_upload(self, upload: Upload) -> None:
        """Completed or aborted."""
        del self.uploads[upload.key, upload.id]
        if self.journal is not None:
            self.journal.upload_removed(self, upload)

    def add_part(self, upload: Upload, part: Part) -> None:
        """A part of the same number is replaced."""
        upload.parts[part.number] = part
        if self.journal is not None:
            self.journal.part_added(self, upload, part)

    def _set_newest(self, key: str, version: Version | None) -> None:
        if version is None:
            self.objects.pop(key, None)
            self.buried.pop(key, None)
        elif version.is_marker:
            self.objects.pop(key, None)
            self.buried[key] = version
        else:
            self.buried.pop(key, None)
            self.objects[key] = version

    def object_keys(self, low: str, *, inclusive: bool, below: str | None) -> Iterator[str]:
        """Keys of current objects from `low` up to and without `below`."""
        return self.objects.irange(low, below, inclusive=(inclusive, False))

    def version_keys(self, low: str, *, inclusive: bool, below: str | None) -> Iterator[str]:
        """Keys that have any version or marker, likewise."""
        bounds = (inclusive, False)
        return heapq.merge(
            self.objects.irange(low, below, inclusive=bounds), self.buried.irange(low, below, inclusive=bounds)
        )

    def versions_between(self, low: str, *, inclusive: bool, below: str | None) -> int:
        """How many versions and delete markers the keys from `low` up to and without `below` have."""
        total = 0
        for keys in (self.objects, self.buried, self.noncurrent):
            start = keys.bisect_left(low) if inclusive else keys.bisect_right(low)
            total += (len(keys) if below is None else keys.bisect_left(below)) - start
        return total


class Store:
    """All buckets of one cloud. journal: None for a store that lives in memory only; `persistence` sets it, and with it
    a lock that writes the journal before it is left. cnames: custom domain (lower case) to bucket, from the buckets'
    configurations. evaluated: the last midnight (UTC) for which lifecycle rules were applied, 0 before the first."""

    def __init__(self) -> None:
        self.lock: AbstractContextManager[object] = threading.RLock()
        self.journal: Journal | None = None
        self.buckets: SortedDict[str, Bucket] = SortedDict()
        self.cnames: dict[str, str] = {}
        self.evaluated = 0
        self._headers: dict[tuple[tuple[str, str], ...], Headers] = {}

    def share(self, headers: Mapping[str, str]) -> Headers:
        """The same headers as one object for all versions that have them. Kept for a few thousand sets; a set that
        comes back after that is stored once more, which costs memory and nothing else."""
        known = tuple(headers.items())
        shared = self._headers.get(known)
        if shared is None:
            if len(self._headers) >= _SHARED_HEADERS:
                self._headers.clear()
            shared = self._headers[known] = dict(headers)
        return shared

    def add(self, bucket: Bucket) -> None:
        """A new bucket, which may have something in it already. No bucket has its name yet."""
        self.buckets[bucket.name] = bucket
        bucket.journal = self.journal
        self.cnames.update((param[6:], bucket.name) for param in bucket.configs if param.startswith("cname/"))
        if self.journal is not None:
            self.journal.bucket_added(bucket)

    def remove(self, bucket: Bucket) -> None:
        """With everything in it."""
        del self.buckets[bucket.name]
        self.cnames = {domain: name for domain, name in self.cnames.items() if name != bucket.name}
        bucket.journal = None
        if self.journal is not None:
            self.journal.bucket_removed(bucket)

    def keep(self, body: bytes) -> Content:
        """The body as content: itself, or on disk when the store is kept there and the body is large. Call it outside
        of the lock."""
        return body if self.journal is None else self.journal.keep(body)

    def settle(self) -> None:
        """Writes what changed outside of the lock (accounts, the clock): to be called before an answer that tells of
        such a change. Raises OssError InternalError when the disk refuses."""
        if self.journal is not None:
            with self.lock:
                pass
