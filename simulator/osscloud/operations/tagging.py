"""Tags: of an object, where they can change without touching Last-Modified, and of a bucket (a configuration)."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.config import Schema, text, unset, xml
from osscloud.operations.metadata import check_tags
from osscloud.operations.selection import select, version_headers
from osscloud.xml import Document, child_text, children, parse

__all__ = ["BUCKET_TAGS", "delete_tagging", "get_tagging", "put_tagging", "tagging_document"]

_MAX_BUCKET_TAGS = 20
_SCHEMA: Schema = {"TagSet": {"Tag*": {"Key": text, "Value?": text}}}


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


def _pairs(root: Element) -> list[tuple[str, str]]:
    return [(tag.findtext("Key") or "", tag.findtext("Value") or "") for tag in root.iter("Tag")]


def _check_bucket_tags(call: Call, root: Element) -> None:
    """Raises OssError TooManyTags, RepeatedTags, InvalidTaggingKey, InvalidTag."""
    tags = _pairs(root)
    if len(tags) > _MAX_BUCKET_TAGS:
        raise OssError("TooManyTags", f"The number of tags exceeds the limit of {_MAX_BUCKET_TAGS}.")
    if len(dict(tags)) != len(tags):
        raise OssError("RepeatedTags")
    for name, value in tags:
        if not 1 <= len(name.encode()) <= 64 or name.lower().startswith(("http://", "https://", "aliyun")):
            raise OssError("InvalidTaggingKey", extras={"TagKey": name})
        if len(value.encode()) > 128:
            raise OssError("InvalidTag", extras={"TagKey": name, "TagValue": value})


def _without(call: Call, kept: bytes) -> bytes | None:
    """What ?tagging=KEY,KEY leaves; without keys nothing is left."""
    named = call.params.get("tagging", "")
    if not named:
        return None
    left = {name: value for name, value in _pairs(parse(kept, "Tagging")) if name not in named.split(",")}
    return tagging_document(left) if left else None


BUCKET_TAGS = xml(
    "tagging",
    "BucketTagging",
    "Tagging",
    _SCHEMA,
    check=_check_bucket_tags,
    unset=unset(tagging_document({})),
    remove=_without,
)
