"""ListObjects V1 and V2, ListObjectVersions, ListMultipartUploads."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from hashlib import sha1

from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.metadata import invalid
from osscloud.operations.multipart import encoding, integer
from osscloud.operations.paging import Page, Window, read_page
from osscloud.operations.selection import check_version_id
from osscloud.store import NULL_VERSION, UNVERSIONED, Bucket, Upload, Version, successor
from osscloud.xml import Document, Row, escape, iso_date

__all__ = ["list_objects", "list_uploads", "list_versions"]

_MAX_TEXT = 1024

_CONTENTS = ("Key", "LastModified", "ETag", "Type", "Size", "StorageClass")
_OBJECT = Row("Contents", *_CONTENTS)
_OWNED_OBJECT = Row("Contents", *_CONTENTS, "Owner/ID", "Owner/DisplayName")
_PREFIX = Row("CommonPrefixes", "Prefix")
_VERSION = Row(
    "Version",
    "Key",
    "VersionId",
    "IsLatest",
    "LastModified",
    "ETag",
    "Type",
    "Size",
    "StorageClass",
    "Owner/ID",
    "Owner/DisplayName",
)
_MARKER = Row("DeleteMarker", "Key", "VersionId", "IsLatest", "LastModified", "Owner/ID", "Owner/DisplayName")
_UPLOAD = Row("Upload", "Key", "UploadId", "StorageClass", "Initiated")


def _text(call: Call, name: str) -> str:
    """A parameter that is a name or part of one. Raises OssError InvalidArgument over 1024 bytes."""
    value = call.params.get(name, "")
    if len(value) > _MAX_TEXT // 4 and len(value.encode("utf-8", "surrogateescape")) > _MAX_TEXT:
        raise invalid(name, value, f"The {name} is too long.")
    return value


def list_objects(call: Call) -> Response:
    """GET /[?list-type=2]."""
    if call.params.get("list-type") == "2":
        return _list_v2(call)
    document = Document("ListBucketResult", url_encoded=encoding(call))
    marker = _text(call, "marker")
    prefix, delimiter, limit = _common(call)
    window = Window.after(prefix, delimiter, marker)
    bucket = call.bucket
    with call.store.lock:
        page = read_page(bucket.object_keys, window, prefix, delimiter, limit)
        rows = _object_rows(document, bucket, page, owned=True)
        if bucket.versioning == UNVERSIONED:
            call.scanned = len(page)
        else:
            call.scanned = bucket.versions_between(window.low, inclusive=window.inclusive, below=page.end(window))
    document.leaf("Name", bucket.name)
    document.key("Prefix", prefix)
    document.key("Marker", marker)
    document.leaf("MaxKeys", limit)
    document.key("Delimiter", delimiter)
    _finish(call, document, page)
    if page.truncated:
        document.key("NextMarker", page.last)
    document.rows(rows)
    return Response(200, {}, document.bytes())


def _list_v2(call: Call) -> Response:
    document = Document("ListBucketResult", url_encoded=encoding(call))
    start_after = _text(call, "start-after")
    token = call.params.get("continuation-token", "")
    prefix, delimiter, limit = _common(call)
    window = Window.after(prefix, delimiter, _read_token(token) if token else start_after)
    bucket = call.bucket
    with call.store.lock:
        page = read_page(bucket.object_keys, window, prefix, delimiter, limit)
        rows = _object_rows(document, bucket, page, owned=call.params.get("fetch-owner", "").lower() == "true")
    call.scanned = len(page)
    document.leaf("Name", bucket.name)
    document.key("Prefix", prefix)
    document.leaf("MaxKeys", limit)
    document.key("Delimiter", delimiter)
    if start_after:
        document.key("StartAfter", start_after)
    if token:
        document.leaf("ContinuationToken", token)
    _finish(call, document, page)
    if page.truncated:
        document.leaf("NextContinuationToken", _make_token(page.last))
    document.leaf("KeyCount", len(page))
    document.rows(rows)
    return Response(200, {}, document.bytes())


def _common(call: Call) -> tuple[str, str, int]:
    return _text(call, "prefix"), _text(call, "delimiter"), integer(call, "max-keys", 100, 1, 1000)


def _finish(call: Call, document: Document, page: Page) -> None:
    if document.url_encoded:
        document.leaf("EncodingType", "url")
    document.leaf("IsTruncated", "true" if page.truncated else "false")
    call.returned = len(page)


def _object_rows(document: Document, bucket: Bucket, page: Page, *, owned: bool) -> list[str]:
    encode = document.encode if document.url_encoded else str
    objects = bucket.objects
    versions = [objects[key] for key in page.keys]
    if owned:
        owner = escape(bucket.owner)
        rows = [
            _OWNED_OBJECT.text(
                encode(v.key), iso_date(v.modified), v.etag, v.type, v.size, v.storage_class, owner, owner
            )
            for v in versions
        ]
    else:
        rows = [
            _OBJECT.text(encode(v.key), iso_date(v.modified), v.etag, v.type, v.size, v.storage_class) for v in versions
        ]
    rows.extend(_PREFIX.text(encode(prefix)) for prefix in page.prefixes)
    return rows


def _make_token(last: str) -> str:
    """An opaque continuation token: the position, with a checksum so that other texts are recognised.

    No character of it is escaped in a URL, as in OSS's tokens: ossfs2 signs the escaped one with V1 (measured, 2.0.7).
    """
    position = last.encode()
    return urlsafe_b64encode(sha1(position, usedforsecurity=False).digest()[:6] + position).decode().rstrip("=")


def _read_token(token: str) -> str:
    try:
        raw = urlsafe_b64decode((token + "=" * (-len(token) % 4)).encode("ascii"))
        if sha1(raw[6:], usedforsecurity=False).digest()[:6] == raw[:6] and len(raw) > 6:
            return raw[6:].decode()
    except (Base64Error, UnicodeError, ValueError):
        pass
    raise invalid("continuation-token", token, "The continuation token provided is incorrect.")


def list_versions(call: Call) -> Response:
    """GET /?versions: versions and delete markers interleaved, newest first a key."""
    document = Document("ListVersionsResult", url_encoded=encoding(call))
    key_marker = _text(call, "key-marker")
    version_marker = call.params.get("version-id-marker", "")
    if version_marker:
        if not key_marker:
            message = "A version-id marker cannot be specified without a key marker."
            raise invalid("version-id-marker", version_marker, message)
        check_version_id(version_marker)
    prefix, delimiter, limit = _common(call)
    bucket = call.bucket
    rows: list[str] = []
    position: tuple[str, str] | None = None  # key and version id of the last entry
    with call.store.lock:
        for key, version, latest in _entries(
            bucket, prefix, delimiter, key_marker=key_marker, version_marker=version_marker, limit=limit + 1
        ):
            if len(rows) == limit:
                truncated = True
                break
            rows.append(_entry_row(document, bucket, key, version, latest=latest))
            position = key, version.version_id if version else ""
        else:
            truncated = False
    document.leaf("Name", bucket.name)
    document.key("Prefix", prefix)
    document.key("KeyMarker", key_marker)
    document.leaf("VersionIdMarker", version_marker)
    document.leaf("MaxKeys", limit)
    document.key("Delimiter", delimiter)
    if document.url_encoded:
        document.leaf("EncodingType", "url")
    document.leaf("IsTruncated", "true" if truncated else "false")
    if truncated and position is not None:
        document.key("NextKeyMarker", position[0])
        document.leaf("NextVersionIdMarker", position[1])
    document.rows(rows)
    call.scanned = call.returned = len(rows)
    return Response(200, {}, document.bytes())


def _entries(
    bucket: Bucket, prefix: str, delimiter: str, *, key_marker: str, version_marker: str, limit: int
) -> Iterator[tuple[str, Version | None, bool]]:
    """(key, version, is latest) in order; (common prefix, None, False) for a group. At least `limit` of them when there
    are so many."""
    grouped_marker = delimiter and key_marker.startswith(prefix) and delimiter in key_marker[len(prefix) :]
    if version_marker and not grouped_marker and key_marker.startswith(prefix):
        for left in _older_than(bucket, key_marker, version_marker):
            yield key_marker, left, left is bucket.newest(key_marker)
    window = Window.after(prefix, delimiter, key_marker)
    page = read_page(bucket.version_keys, window, prefix, delimiter, limit)
    groups = iter(page.prefixes)
    group = next(groups, None)
    for key in page.keys:
        while group is not None and group < key:
            yield group, None, False
            group = next(groups, None)
        version = newest = bucket.newest(key)
        while version is not None:
            yield key, version, version is newest
            version = version.older
    while group is not None:
        yield group, None, False
        group = next(groups, None)


def _older_than(bucket: Bucket, key: str, version_id: str) -> Iterator[Version]:
    """The versions below one version of a key. Where that one is gone (a client deletes what it lists) its place is
    known from its id, as ids grow; the null version has no place once it is gone, so all that is left follows."""
    marker = bucket.find(key, version_id)
    version = bucket.newest(key) if marker is None else marker.older
    known = marker is not None or version_id == NULL_VERSION
    while version is not None:
        if known or version.version_id == NULL_VERSION or version.version_id < version_id:
            yield version
        version = version.older


def _entry_row(document: Document, bucket: Bucket, key: str, version: Version | None, *, latest: bool) -> str:
    name = document.encode(key)
    if version is None:
        return _PREFIX.text(name)
    flag = "true" if latest else "false"
    modified = iso_date(version.modified)
    owner = escape(bucket.owner)
    if version.is_marker:
        return _MARKER.text(name, version.version_id, flag, modified, owner, owner)
    return _VERSION.text(
        name,
        version.version_id,
        flag,
        modified,
        version.etag,
        version.type,
        version.size,
        version.storage_class,
        owner,
        owner,
    )


def list_uploads(call: Call) -> Response:
    """GET /?uploads, by key, then upload id."""
    document = Document("ListMultipartUploadsResult", url_encoded=encoding(call))
    key_marker = _text(call, "key-marker")
    id_marker = call.params.get("upload-id-marker", "") if key_marker else ""
    prefix, delimiter = _text(call, "prefix"), _text(call, "delimiter")
    limit = integer(call, "max-uploads", 1000, 1, 1000)
    bucket = call.bucket
    rows: list[str] = []
    last: tuple[str, str] = ("", "")
    truncated = False
    with call.store.lock:
        for name, upload in _upload_entries(bucket, prefix, delimiter, key_marker, id_marker):
            if len(rows) == limit:
                truncated = True
                break
            if upload is None:
                rows.append(_PREFIX.text(document.encode(name)))
                last = name, ""
            else:
                when = iso_date(upload.initiated)
                rows.append(_UPLOAD.text(document.encode(name), upload.id, upload.storage_class, when))
                last = name, upload.id
    if document.url_encoded:
        document.leaf("EncodingType", "url")
    document.leaf("Bucket", bucket.name)
    document.key("KeyMarker", key_marker)
    document.leaf("UploadIdMarker", id_marker)
    document.key("NextKeyMarker", last[0] if truncated else "")
    document.leaf("NextUploadIdMarker", last[1] if truncated else "")
    document.key("Delimiter", delimiter)
    document.key("Prefix", prefix)
    document.leaf("MaxUploads", limit)
    document.leaf("IsTruncated", "true" if truncated else "false")
    document.rows(rows)
    call.scanned = call.returned = len(rows)
    return Response(200, {}, document.bytes())


def _upload_entries(
    bucket: Bucket, prefix: str, delimiter: str, key_marker: str, id_marker: str
) -> Iterator[tuple[str, Upload | None]]:
    """(key, upload) in order; (common prefix, None) for a group."""
    uploads = bucket.uploads
    window = Window.after(prefix, delimiter, key_marker)
    # Upload ids are hex digits: every (key, id) lies between (key, "") and (key, "~").
    low = (window.low, "" if window.inclusive else (id_marker or "~"))
    while True:
        skipped = False
        for key, upload_id in uploads.irange(low, inclusive=(False, True)):
            if window.below is not None and key >= window.below:
                return
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                yield key, uploads[key, upload_id]
                continue
            group = key[: end + len(delimiter)]
            yield group, None
            beyond = successor(group)
            if beyond is None:
                return
            low = (beyond, "")
            skipped = True
            break
        if not skipped:
            return
