"""Tags of an object. They can change without touching Last-Modified."""

from __future__ import annotations

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.metadata import check_tags
from osscloud.operations.selection import select, version_headers
from osscloud.xml import Document, child_text, children, parse

__all__ = ["delete_tagging", "get_tagging", "put_tagging", "tagging_document"]


def tagging_document(tags: dict[str, str]) -> bytes:
    """Tagging/TagSet/Tag{Key, Value}."""
    document = Document("Tagging")
    document.open("TagSet")
    for name, value in tags.items():
        document.open("Tag")
        document.leaves({"Key": name, "Value": value})
        document.close()
    return document.bytes()


def get_tagging(call: Call) -> Response:
    version = select(call)
    return Response(200, version_headers(call.bucket, version), tagging_document(dict(version.tags or {})))


def put_tagging(call: Call) -> Response:
    """Replaces all tags. Raises OssError MalformedXML, InvalidTag, TooManyTags."""
    root = parse(call.request.body, "Tagging")
    tag_set = root.find("TagSet")
    if tag_set is None:
        raise OssError("MalformedXML")
    tags: dict[str, str] = {}
    for element in children(tag_set, "Tag"):
        name, value = child_text(element, "Key"), child_text(element, "Value")
        if name is None or value is None:
            raise OssError("MalformedXML")
        if name in tags:
            raise OssError("InvalidTag", "Cannot provide multiple tags with the same key.")
        tags[name] = value
    check_tags(tags)
    with call.store.lock:
        version = select(call)
        version.tags = tags or None
        call.bucket.changed(version)
    return Response(200, version_headers(call.bucket, version))


def delete_tagging(call: Call) -> Response:
    with call.store.lock:
        version = select(call)
        version.tags = None
        call.bucket.changed(version)
    return Response(204, version_headers(call.bucket, version))
