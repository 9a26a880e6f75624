"""DeleteObject and DeleteMultipleObjects: what deleting means in each versioning state."""

from __future__ import annotations

from dataclasses import dataclass

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.metadata import invalid
from osscloud.operations.object import check_body
from osscloud.operations.selection import check_object_name, check_version_id
from osscloud.store import NULL_VERSION, UNVERSIONED, Bucket, Version
from osscloud.worm import check_deletion
from osscloud.xml import Document, child_text, children, parse

__all__ = ["Deletion", "delete", "delete_multiple", "delete_object"]

_MAX_KEYS = 1000
_MAX_BODY = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a delete did. version_id: of the version removed or of the marker added, "" in an unversioned bucket.
    marker: a delete marker was added, or was what got removed."""

    version_id: str
    marker: bool


def _check(call: Call, bucket: Bucket, key: str, version_id: str | None) -> None:
    """Raises OssError FileImmutable. A delete marker on top of a protected object does it no harm."""
    if version_id is not None or bucket.versioning == UNVERSIONED:
        check_deletion(bucket, bucket.find(key, version_id or NULL_VERSION), call.now)


def delete(call: Call, bucket: Bucket, key: str, version_id: str | None) -> Deletion:
    """Deletes a key (version_id None) or one version for good. Call it under the store's lock. Raises OssError
    FileImmutable."""
    if bucket.configs:
        _check(call, bucket, key, version_id)
    if version_id is not None:
        removed = bucket.remove(key, version_id)
        if bucket.versioning == UNVERSIONED:
            return Deletion("", marker=False)
        return Deletion(version_id, marker=removed is not None and removed.is_marker)
    if bucket.versioning == UNVERSIONED:
        bucket.remove(key, NULL_VERSION)
        return Deletion("", marker=False)
    marker = Version(key, version_id=call.ids.version_id(bucket), type="DeleteMarker", modified=call.now)
    bucket.publish(marker)
    return Deletion(marker.version_id, marker=True)


def delete_object(call: Call) -> Response:
    """DELETE /key[?versionId=]: 204, whether there was anything or not."""
    version_id = call.params.get("versionId")
    if version_id is not None:
        check_version_id(version_id)
    with call.store.lock:
        done = delete(call, call.current_bucket(), call.key, version_id)
    headers = {}
    if done.version_id:
        headers["x-oss-version-id"] = done.version_id
    if done.marker:
        headers["x-oss-delete-marker"] = "true"
    return Response(204, headers)


def delete_multiple(call: Call) -> Response:
    """POST /?delete: up to 1000 keys, checked all before the first is deleted."""
    body = bytes(call.request.body)
    if len(body) > _MAX_BODY:
        raise OssError("MalformedXML")
    check_body(call, body)
    root = parse(body, "Delete")
    wanted: list[tuple[str, str | None]] = []
    for element in children(root, "Object"):
        key = child_text(element, "Key")
        if key is None:
            raise OssError("MalformedXML")
        check_object_name(key)
        version_id = child_text(element, "VersionId") or None
        if version_id is not None:
            check_version_id(version_id)
        wanted.append((key, version_id))
    if not 1 <= len(wanted) <= _MAX_KEYS:
        raise OssError("MalformedXML")
    bucket = call.bucket
    for key, version_id in wanted:
        action = "oss:DeleteObject" if version_id is None else "oss:DeleteObjectVersion"
        call.authorise(action, bucket, key, "write")
    with call.store.lock:
        bucket = call.current_bucket()
        if bucket.configs:
            for key, version_id in wanted:
                _check(call, bucket, key, version_id)
        done = [(key, version_id, delete(call, bucket, key, version_id)) for key, version_id in wanted]
    if (child_text(root, "Quiet") or "").lower() == "true":
        return Response(200)
    encoding = call.params.get("encoding-type", call.headers.get("encoding-type", ""))
    if encoding not in ("", "url"):
        raise invalid("encoding-type", encoding, "Invalid Encoding Method specified in Request")
    document = Document("DeleteResult", url_encoded=encoding == "url")
    if encoding:
        document.leaf("EncodingType", "url")
    for key, version_id, deletion in done:
        document.open("Deleted")
        document.key("Key", key)
        if version_id is not None:
            document.leaf("VersionId", version_id)
        if deletion.marker:
            document.leaf("DeleteMarker", "true")
            document.leaf("DeleteMarkerVersionId", deletion.version_id)
        document.close()
    return Response(200, {}, document.bytes())
