"""Put, Get, Head, GetObjectMeta, object ACLs."""

from __future__ import annotations

from osscloud.blob import Content, content_md5, cut
from osscloud.compression import compressed
from osscloud.encryption import ALGORITHM, encryption_headers
from osscloud.errors import OssError
from osscloud.lifecycle import expiration_header, visit
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.digest import check_body
from osscloud.operations.metadata import (
    check_overwrite,
    forbids_overwrite,
    invalid,
    object_acl,
    object_headers,
    refuse_extras,
    request_tags,
    storage_class,
)
from osscloud.operations.selection import (
    NotModified,
    check_conditions,
    find_version,
    parse_range,
    select,
    version_headers,
)
from osscloud.storageclass import check_readable, tiering_headers
from osscloud.store import UNVERSIONED, Bucket, Version
from osscloud.xml import Document, http_date

__all__ = ["check_body", "get_object", "get_object_acl", "get_object_meta", "put_object", "put_object_acl"]

MAX_PUT_BYTES = 5 * 1024**3

_FOREIGN_CONDITIONS = frozenset({"if-modified-since", "if-unmodified-since", "if-match", "if-none-match"})
_OVERRIDES = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-expires": "Expires",
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
}


def put_object(call: Call) -> Response:
    """PUT /key."""
    headers = call.headers
    if not _FOREIGN_CONDITIONS.isdisjoint(headers):
        name = next(name for name in headers if name in _FOREIGN_CONDITIONS)
        raise OssError("NotImplemented", status=400, extras={"Header": name})
    refuse_extras(call)
    if len(call.request.body) > MAX_PUT_BYTES:
        raise OssError("EntityTooLarge", extras={"MaxSizeAllowed": str(MAX_PUT_BYTES)})
    bucket = call.bucket
    body = bytes(call.request.body)
    etag, crc = check_body(call, body)
    version = Version(
        call.key,
        type="Normal",
        modified=call.now,
        content=call.store.keep(body),
        etag=etag,
        crc64=crc,
        headers=object_headers(call),
        storage_class=storage_class(headers, bucket.storage_class),
        acl=object_acl(headers),
        tags=request_tags(call),
    )
    publish(call, version, forbid_overwrite=forbids_overwrite(headers))
    answer = {"ETag": etag, "Content-MD5": content_md5(etag), "x-oss-hash-crc64ecma": str(crc)}
    if bucket.versioning != UNVERSIONED:
        answer["x-oss-version-id"] = version.version_id
    if ALGORITHM in version.headers:
        answer.update(encryption_headers(version.headers))
    return Response(200, answer)


def publish(call: Call, version: Version, *, forbid_overwrite: bool) -> None:
    """Gives a new version its id and makes it the newest. Raises OssError FileAlreadyExists, NoSuchBucket."""
    with call.store.lock:
        bucket = call.current_bucket()
        check_overwrite(call, bucket, forbidden=forbid_overwrite)
        version.version_id = call.ids.version_id(bucket)
        call.publish(bucket, version)


def get_object(call: Call) -> Response:
    """GET and HEAD /key."""
    params = call.params
    headers = call.headers
    bucket = call.bucket
    with call.store.lock:
        version = find_version(bucket, call.key, params.get("versionId"), call.method)
        source = version if version.symlink_target is None else _follow(bucket, version)
    call.object_size = source.size
    if version.type == "Symlink":
        answer = _head(bucket, version, source, max(version.modified, source.modified))
    else:
        answer = _head(bucket, version, version, version.modified)
    if version.tiering is not None:
        answer.update(tiering_headers(version, call.now))
    if bucket.configs:
        expiration = expiration_header(bucket, version)
        if expiration:
            answer["x-oss-expiration"] = expiration
    try:
        check_conditions(headers, source)
    except NotModified:
        return Response(304, {"ETag": answer["ETag"], "Last-Modified": answer["Last-Modified"]})
    if call.method == "GET":
        if source.storage_class != "Standard":
            check_readable(bucket, source, call.now)
            call.read_class = source.storage_class
        if bucket.configs:
            visit(call, bucket, source)
    if params:
        _override(call, answer)
    size = source.size
    status = 200
    content: Content | memoryview = source.content
    wanted = headers.get("range")
    if wanted is not None:
        bounds = parse_range(
            wanted,
            size,
            standard=headers.get("x-oss-range-behavior", "") == "standard",
            overlong=call.config.overlong_range,
        )
        if bounds is not None:
            start, stop = bounds
            status = 206
            answer["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            content = cut(source.content, start, stop)
            size = stop - start
    if status == 200 and call.method == "GET" and "accept-encoding" in headers:
        small = compressed(headers, answer, source.content)
        if small is not None:
            return small
    answer["Content-Length"] = str(size)
    return Response(status, answer, b"" if call.method == "HEAD" else content)


def _follow(bucket: Bucket, link: Version) -> Version:
    """The object a symlink stands for. Raises OssError SymlinkTargetNotExist, InvalidTargetType."""
    target = bucket.objects.get(link.symlink_target or "")
    if target is None:
        raise OssError("SymlinkTargetNotExist", extras={"Key": link.key, "TargetKey": link.symlink_target or ""})
    if target.type == "Symlink":
        raise OssError("InvalidTargetType", extras={"Key": link.key, "TargetType": "Symlink"})
    return target


def _head(bucket: Bucket, version: Version, source: Version, modified: int) -> dict[str, str]:
    """The headers of an object: content of `source` (another one than `version` for a symlink)."""
    answer = {
        "Accept-Ranges": "bytes",
        "ETag": source.etag,
        "Last-Modified": http_date(modified),
        "x-oss-object-type": version.type,
        "x-oss-hash-crc64ecma": str(source.crc64),
        "x-oss-storage-class": version.storage_class,
    }
    if source.type == "Normal":
        answer["Content-MD5"] = content_md5(source.etag)
    elif version.type == "Appendable":
        answer["x-oss-next-append-position"] = str(version.size)
    answer.update(version.headers)
    if bucket.versioning != UNVERSIONED:
        answer["x-oss-version-id"] = version.version_id
    if version.tags:
        answer["x-oss-tagging-count"] = str(len(version.tags))
    return answer


def _override(call: Call, answer: dict[str, str]) -> None:
    for param, header in _OVERRIDES.items():
        value = call.params.get(param)
        if value is not None:
            if call.identity.anonymous:
                raise OssError(
                    "InvalidRequest",
                    "Request specific response headers cannot be used for anonymous GET requests.",
                )
            answer[header] = value


def get_object_meta(call: Call) -> Response:
    """HEAD /key?objectMeta: few headers, and of a symlink itself."""
    version = select(call)
    call.object_size = version.size
    answer = {
        "ETag": version.etag,
        "Last-Modified": http_date(version.modified),
        "Content-Length": str(version.size),
        "x-oss-hash-crc64ecma": str(version.crc64),
        **version_headers(call.bucket, version),
    }
    if version.tags:
        answer["x-oss-tagging-count"] = str(len(version.tags))
    return Response(200, answer)


def get_object_acl(call: Call) -> Response:
    """GET /key?acl: the object's own ACL, "default" when it has none."""
    version = select(call)
    return acl_document(call.bucket, version.acl, version_headers(call.bucket, version))


def acl_document(bucket: Bucket, grant: str, headers: dict[str, str] | None = None) -> Response:
    """AccessControlPolicy, of a bucket or of an object."""
    document = Document("AccessControlPolicy")
    document.open("Owner")
    document.leaves({"ID": bucket.owner, "DisplayName": bucket.owner})
    document.close()
    document.open("AccessControlList")
    document.leaf("Grant", grant)
    return Response(200, headers or {}, document.bytes())


def put_object_acl(call: Call) -> Response:
    """PUT /key?acl with x-oss-object-acl."""
    if "x-oss-object-acl" not in call.headers:
        raise invalid("x-oss-object-acl", "", "no such object access control exists")
    acl = object_acl(call.headers)
    with call.store.lock:
        version = select(call)
        version.acl = acl
        call.bucket.changed(version)
    return Response(200, version_headers(call.bucket, version))
