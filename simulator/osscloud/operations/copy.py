"""CopyObject, and the reading of a copy source that UploadPartCopy shares."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from osscloud.encryption import encryption_headers, re_encrypted
from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.mirror import TAG_HEADER
from osscloud.operations.call import Call
from osscloud.operations.metadata import (
    check_overwrite,
    forbids_overwrite,
    invalid,
    object_acl,
    object_headers,
    request_tags,
    storage_class,
)
from osscloud.operations.selection import (
    NotModified,
    check_conditions,
    check_object_name,
    find_version,
    version_headers,
)
from osscloud.storageclass import check_readable
from osscloud.store import UNVERSIONED, Bucket, Headers, Version
from osscloud.xml import Document, iso_date

__all__ = ["CopySource", "copy_object", "read_source", "result"]

_CONDITIONS = "x-oss-copy-source-"


@dataclass(frozen=True, slots=True)
class CopySource:
    """What x-oss-copy-source names: the bucket and the version found there."""

    bucket: Bucket
    version: Version


def _parse_source(text: str) -> tuple[str, str, str | None]:
    path, mark, version_id = text.partition("?versionId=")
    # Decoding what is decoded already would change a "%" in a key: the first slash may be encoded, and then all is.
    bucket, slash, key = (_decode(part) for part in path.removeprefix("/").partition("/"))
    if not slash:
        bucket, slash, key = bucket.removeprefix("/").partition("/")
    if not bucket or not slash or not key:
        raise OssError(
            "InvalidArgument",
            "Copy Source must mention the source bucket and key: /sourcebucket/sourcekey.",
            extras={"ArgumentName": "x-oss-copy-source", "ArgumentValue": text},
        )
    return bucket, key, version_id if mark else None


def _decode(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def read_source(call: Call) -> CopySource:
    """The version that x-oss-copy-source names; the caller may read it, it is readable and its conditions hold.

    Raises OssError and NotModified."""
    name, key, version_id = _parse_source(call.headers["x-oss-copy-source"])
    check_object_name(key)
    bucket = call.find_bucket(name)
    action = "oss:GetObject" if version_id is None else "oss:GetObjectVersion"
    call.authorise(action, bucket, key, "read")
    with call.store.lock:
        version = find_version(bucket, key, version_id)
    check_readable(bucket, version, call.now)
    check_conditions(call.headers, version, _CONDITIONS)
    return CopySource(bucket, version)


def _directive(call: Call, name: str) -> bool:
    """True for REPLACE, False for COPY and for none."""
    value = call.headers.get(name, "COPY").upper()
    if value not in ("COPY", "REPLACE"):
        raise invalid(name, call.headers[name])
    return value == "REPLACE"


def copy_object(call: Call) -> Response:
    """PUT /key with x-oss-copy-source. Nothing is hashed: the copy has the source's content, ETag and CRC."""
    replace_headers = _directive(call, "x-oss-metadata-directive")
    replace_tags = _directive(call, "x-oss-tagging-directive")
    acl = object_acl(call.headers)
    requested = object_headers(call)
    tags = request_tags(call) if replace_tags else None
    # Reading the source and writing the copy is one step: another client's write must not come between a chmod and
    # the content that it keeps.
    with call.store.lock:
        try:
            source = read_source(call)
        except NotModified:
            return Response(304)
        bucket = call.current_bucket()
        old = source.version
        in_place = source.bucket is bucket and old.key == call.key
        _check_limits(call, old, in_place=in_place)
        check_overwrite(call, bucket, forbidden=forbids_overwrite(call.headers))
        if in_place and bucket.versioning == UNVERSIONED:
            replace_headers = True
        version = Version(
            call.key,
            version_id=call.ids.version_id(bucket),
            type=old.type,
            modified=call.now,
            content=old.content,
            etag=old.etag,
            crc64=old.crc64,
            headers=requested if replace_headers else _copied(call, old, requested),
            storage_class=storage_class(call.headers, bucket.storage_class),
            acl=acl,
            tags=tags if replace_tags else old.tags,
            symlink_target=old.symlink_target,
        )
        call.publish(bucket, version)
    headers = {
        "ETag": version.etag,
        "x-oss-hash-crc64ecma": str(version.crc64),
        **version_headers(bucket, version),
        **encryption_headers(version.headers),
    }
    if source.bucket.versioning != UNVERSIONED:
        headers["x-oss-copy-source-version-id"] = old.version_id
    return Response(200, headers, result("CopyObjectResult", version.etag, call.now))


def _copied(call: Call, source: Version, requested: Headers) -> Headers:
    """The source's headers, with the encryption that the request or the bucket asks for; that it was mirrored is no
    property of a copy."""
    kept = re_encrypted(source.headers, encryption_headers(requested))
    if TAG_HEADER in kept:
        kept = {name: value for name, value in kept.items() if name != TAG_HEADER}
    return kept if kept is source.headers else call.store.share(kept)


def _check_limits(call: Call, source: Version, *, in_place: bool) -> None:
    if source.type == "Appendable" and not in_place:
        raise OssError("OperationNotSupported", "The source object is appendable and can not be copied.")
    if source.size > call.config.max_copy_bytes and not in_place:
        raise OssError(
            "EntityTooLarge",
            extras={"MaxSizeAllowed": str(call.config.max_copy_bytes), "ProposedSize": str(source.size)},
        )


def result(root: str, etag: str, modified: int) -> bytes:
    """CopyObjectResult or CopyPartResult."""
    document = Document(root)
    document.leaves({"ETag": etag, "LastModified": iso_date(modified)})
    return document.bytes()
