"""AppendObject."""

from __future__ import annotations

from hashlib import md5

from osscloud.blob import Pieces, combine_crc64, join
from osscloud.encryption import encryption_headers
from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.metadata import invalid, object_acl, object_headers, request_tags, storage_class
from osscloud.operations.object import check_body
from osscloud.operations.selection import version_headers
from osscloud.storageclass import check_readable
from osscloud.store import Bucket, Version
from osscloud.worm import check_deletion

__all__ = ["append_object"]

MAX_APPENDABLE_BYTES = 5 * 1024**3


def _etag(key: str, pieces: int) -> str:
    """32 hex digits that end in a count; not a checksum of the content."""
    return f'"{md5(key.encode(), usedforsecurity=False).hexdigest()[:16].upper()}{pieces:016d}"'


def append_object(call: Call) -> Response:
    """POST /key?append&position=N."""
    text = call.params.get("position", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise invalid("position", text, "The append position is invalid.")
    position = int(text)
    body = bytes(call.request.body)
    _, crc = check_body(call, body)
    headers = object_headers(call)
    new_class = storage_class(call.headers, call.bucket.storage_class)
    acl = object_acl(call.headers)
    tags = request_tags(call)
    with call.store.lock:
        bucket = call.current_bucket()
        old = bucket.objects.get(call.key)
        if old is None:
            _check_position(position, 0)
            version = Version(
                call.key,
                version_id=call.ids.version_id(bucket),
                type="Appendable",
                modified=call.now,
                content=Pieces([body]),
                etag=_etag(call.key, 1 if body else 0),
                crc64=crc,
                headers=headers,
                storage_class=new_class,
                acl=acl,
                tags=tags,
            )
            call.publish(bucket, version)
        else:
            version = _grow(call, bucket, old, position, body=body, crc=crc)
    answer = {
        "ETag": version.etag,
        "x-oss-hash-crc64ecma": str(version.crc64),
        "x-oss-next-append-position": str(version.size),
        **version_headers(bucket, version),
        **encryption_headers(version.headers),
    }
    return Response(200, answer)


def _grow(call: Call, bucket: Bucket, old: Version, position: int, *, body: bytes, crc: int) -> Version:
    if old.type != "Appendable":
        raise OssError("ObjectNotAppendable", extras={"ObjectName": call.key})
    check_readable(bucket, old, call.now)
    check_deletion(bucket, old, call.now)
    _check_position(position, old.size)
    if not body:
        call.note_size(old, old)
        return old
    if old.size + len(body) > MAX_APPENDABLE_BYTES:
        raise OssError("EntityTooLarge", extras={"MaxSizeAllowed": str(MAX_APPENDABLE_BYTES)})
    content = join([old.content, body])
    version = Version(
        call.key,
        version_id=old.version_id,
        type="Appendable",
        modified=call.now,
        content=content,
        etag=_etag(call.key, int(old.etag[-17:-1]) + 1),
        crc64=combine_crc64(old.crc64, crc, len(body)),
        headers=old.headers,
        storage_class=old.storage_class,
        acl=old.acl,
        tags=old.tags,
    )
    bucket.supersede(old, version)
    call.note_size(version, old)
    return version


def _check_position(position: int, size: int) -> None:
    if position != size:
        raise OssError("PositionNotEqualToLength", headers={"x-oss-next-append-position": str(size)})
