"""The server-side view of a cloud: what the console, ossutil or another client would do, and what tests assert.

Unsigned, not logged, never refused by a permission. Errors of the data itself (no such bucket) are `OssError`, as a
client would get them. Any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from osscloud.accounts import DEFAULT_ACCOUNT
from osscloud.addressing import valid_bucket_name
from osscloud.blob import Content, crc64_of, etag_of, read_all
from osscloud.clock import Clock
from osscloud.errors import OssError
from osscloud.operations.call import Ids
from osscloud.operations.metadata import META_PREFIX, STORAGE_CLASSES
from osscloud.operations.selection import check_object_name
from osscloud.store import ENABLED, NULL_VERSION, SUSPENDED, UNVERSIONED, Bucket, Store, Version, Versioning, successor

__all__ = ["Admin", "NewObject", "ObjectView", "VersionView"]

_STATES: Mapping[str, Versioning] = {state: state for state in (UNVERSIONED, ENABLED, SUSPENDED)}


@dataclass(frozen=True, slots=True)
class ObjectView:
    """An object version as the server has it.

    etag: as in the header, quoted. type: Normal, Multipart, Appendable or Symlink. meta: user metadata without the
    "x-oss-meta-" prefix. headers: content headers as answered. last_modified: whole seconds. version_id: "null" when
    versioning was not enabled.
    """

    key: str
    version_id: str
    size: int
    etag: str
    type: str
    content_type: str
    meta: dict[str, str]
    headers: dict[str, str]
    storage_class: str
    last_modified: int
    crc64: int
    acl: str
    tags: dict[str, str]
    _content: Content

    def read(self) -> bytes:
        """The whole content."""
        return read_all(self._content)


@dataclass(frozen=True, slots=True)
class VersionView:
    """A line of a version listing. size and etag of a delete marker: 0 and ""."""

    key: str
    version_id: str
    delete_marker: bool
    latest: bool
    size: int
    etag: str
    type: str
    last_modified: int


@dataclass(frozen=True, slots=True)
class NewObject:
    """What `Admin.put` takes, for `put_many`. meta: names without "x-oss-meta-"."""

    key: str
    body: bytes = b""
    content_type: str | None = "application/octet-stream"
    meta: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "Standard"


def _view(version: Version) -> ObjectView:
    meta = {name[len(META_PREFIX) :]: value for name, value in version.headers.items() if name.startswith(META_PREFIX)}
    headers = {name: value for name, value in version.headers.items() if not name.startswith(META_PREFIX)}
    return ObjectView(
        key=version.key,
        version_id=version.version_id,
        size=version.size,
        etag=version.etag,
        type=version.type,
        content_type=headers.get("Content-Type", ""),
        meta=meta,
        headers=headers,
        storage_class=version.storage_class,
        last_modified=version.modified,
        crc64=version.crc64,
        acl=version.acl,
        tags=dict(version.tags or {}),
        _content=version.content,
    )


class Admin:
    """`OssService.admin`."""

    def __init__(self, store: Store, ids: Ids, clock: Clock, catch_up: Callable[[], None]) -> None:
        """catch_up: does what has become due since the last request (`OssService.tick`)."""
        self._store = store
        self._ids = ids
        self._clock = clock
        self._catch_up = catch_up

    def _bucket(self, name: str) -> Bucket:
        self._catch_up()
        bucket = self._store.buckets.get(name)
        if bucket is None:
            raise OssError("NoSuchBucket", extras={"BucketName": name})
        return bucket

    def buckets(self) -> list[str]:
        """The names of all buckets."""
        with self._store.lock:
            return list(self._store.buckets)

    def create_bucket(self, name: str, *, versioning: str = "", owner: str = "", acl: str = "private") -> None:
        """versioning: "", "Enabled" or "Suspended". owner: "" for the default account.

        Raises OssError InvalidBucketName and BucketAlreadyExists."""
        state = _state(versioning)
        if not valid_bucket_name(name):
            raise OssError("InvalidBucketName", extras={"BucketName": name})
        bucket = Bucket(name, owner=owner or DEFAULT_ACCOUNT, created=int(self._clock.now()), acl=acl)
        bucket.versioning = state
        with self._store.lock:
            if name in self._store.buckets:
                raise OssError("BucketAlreadyExists", extras={"BucketName": name})
            self._store.add(bucket)

    def delete_bucket(self, name: str, *, force: bool = False) -> None:
        """force: with everything in it. Raises OssError NoSuchBucket, BucketNotEmpty."""
        with self._store.lock:
            bucket = self._bucket(name)
            if len(bucket) and not force:
                raise OssError("BucketNotEmpty", extras={"BucketName": name})
            self._store.remove(bucket)

    def set_versioning(self, bucket: str, status: str) -> None:
        """status: "Enabled" or "Suspended". Raises ValueError, and OssError NoSuchBucket."""
        state = _state(status)
        if state == UNVERSIONED:
            raise ValueError("a bucket cannot go back to a state without versioning")
        with self._store.lock:
            target = self._bucket(bucket)
            target.versioning = state
            target.changed()

    def put(
        self,
        bucket: str,
        key: str,
        body: bytes = b"",
        *,
        content_type: str | None = "application/octet-stream",
        meta: Mapping[str, str] | None = None,
        storage_class: str = "Standard",
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Writes an object, as PutObject does; the version id, "" in an unversioned bucket.

        content_type None leaves it to the service (application/octet-stream). meta: names without "x-oss-meta-".
        headers: further content headers ("Cache-Control")."""
        check_object_name(key)
        if storage_class not in STORAGE_CLASSES:
            raise ValueError(f"unknown storage class {storage_class!r}; known: {', '.join(STORAGE_CLASSES)}")
        known = {"Content-Type": content_type or "application/octet-stream", **(headers or {})}
        known.update((META_PREFIX + name.lower(), value) for name, value in (meta or {}).items())
        version = Version(
            key,
            type="Normal",
            modified=int(self._clock.now()),
            content=bytes(body),
            etag=etag_of(bytes(body)),
            crc64=crc64_of(bytes(body)),
            headers=self._store.share(known),
            storage_class=storage_class,
        )
        with self._store.lock:
            target = self._bucket(bucket)
            version.version_id = self._ids.version_id(target)
            target.publish(version)
            return "" if target.versioning == UNVERSIONED else version.version_id

    def put_many(self, bucket: str, objects: Iterable[NewObject]) -> list[str]:
        """`put` for each, in one call where the cloud is another process; the version ids."""
        return [
            self.put(
                bucket,
                one.key,
                one.body,
                content_type=one.content_type,
                meta=one.meta,
                storage_class=one.storage_class,
            )
            for one in objects
        ]

    def delete(self, bucket: str, key: str, *, version_id: str | None = None) -> None:
        """As DELETE does: without a version id a versioned bucket gets a delete marker."""
        with self._store.lock:
            target = self._bucket(bucket)
            if version_id is not None or target.versioning == UNVERSIONED:
                target.remove(key, version_id or NULL_VERSION)
                return
            identity = self._ids.version_id(target)
            now = int(self._clock.now())
            target.publish(Version(key, version_id=identity, type="DeleteMarker", modified=now))

    def delete_many(self, bucket: str, keys: Iterable[str]) -> None:
        """`delete` for each, in one call where the cloud is another process."""
        for key in keys:
            self.delete(bucket, key)

    def object(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectView | None:
        """The current object, or one version; None when there is none, or a delete marker."""
        with self._store.lock:
            target = self._bucket(bucket)
            version = target.newest(key) if version_id is None else target.find(key, version_id)
        return None if version is None or version.is_marker else _view(version)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Keys of current objects in byte order."""
        with self._store.lock:
            return list(self._bucket(bucket).object_keys(prefix, inclusive=True, below=successor(prefix)))

    def versions(self, bucket: str, prefix: str = "") -> list[VersionView]:
        """Every version and delete marker, by key, newest first."""
        with self._store.lock:
            target = self._bucket(bucket)
            keys = list(target.version_keys(prefix, inclusive=True, below=successor(prefix)))
            return [view for key in keys for view in _versions(target, key)]

    def uploads(self, bucket: str) -> list[tuple[str, str]]:
        """(key, upload id) of every unfinished multipart upload."""
        with self._store.lock:
            return list(self._bucket(bucket).uploads)


def _state(status: str) -> Versioning:
    if status not in _STATES:
        raise ValueError(f"versioning is '', 'Enabled' or 'Suspended', not {status!r}")
    return _STATES[status]


def _versions(bucket: Bucket, key: str) -> Iterator[VersionView]:
    newest = version = bucket.newest(key)
    while version is not None:
        yield VersionView(
            key=key,
            version_id=version.version_id,
            delete_marker=version.is_marker,
            latest=version is newest,
            size=version.size,
            etag=version.etag,
            type=version.type,
            last_modified=version.modified,
        )
        version = version.older
