"""What a write says about an object beside its content: headers, user metadata, class, ACL, tags.

Pure functions of a call's headers.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from urllib.parse import parse_qsl

from osscloud.encryption import ALGORITHM, requested_encryption
from osscloud.errors import OssError
from osscloud.operations.call import Call
from osscloud.storageclass import STORAGE_CLASSES
from osscloud.store import UNVERSIONED, Bucket, Headers
from osscloud.worm import check_overwriting

__all__ = [
    "BUCKET_ACLS",
    "STORAGE_CLASSES",
    "check_overwrite",
    "check_tags",
    "forbids_overwrite",
    "invalid",
    "object_acl",
    "object_headers",
    "parse_tagging",
    "refuse_extras",
    "request_tags",
    "storage_class",
]

META_PREFIX = "x-oss-meta-"
DEFAULT_CONTENT_TYPE = "application/octet-stream"
BUCKET_ACLS = ("private", "public-read", "public-read-write")
OBJECT_ACLS = ("default", *BUCKET_ACLS)

_PERSISTENT = "x-oss-persistent-headers"
_MAX_META = 8192
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED = frozenset(
    {"accept-ranges", "connection", "content-length", "content-md5", "content-range", "content-type", "date"}
    | {"etag", "last-modified", "server", "transfer-encoding"}
)
_CONTENT_HEADERS = {
    "content-type": "Content-Type",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "content-disposition": "Content-Disposition",
    "cache-control": "Cache-Control",
    "expires": "Expires",
}


def object_headers(call: Call) -> Headers:
    """Content headers, user metadata and encryption of the request, as they will be answered. Raises OssError
    InvalidArgument when the metadata is over 8 KB or a name holds an underscore, InvalidEncryptionAlgorithmError."""
    headers: dict[str, str] = {"Content-Type": DEFAULT_CONTENT_TYPE}
    total = 0
    for name, value in call.headers.items():
        known = _CONTENT_HEADERS.get(name)
        if known is not None:
            if value:
                headers[known] = value
        elif name.startswith(META_PREFIX):
            if "_" in name:
                raise invalid(name, value, "The metadata name is invalid.")
            total += len(name) - len(META_PREFIX) + len(value)
            headers[name] = value
    if _PERSISTENT in call.headers:
        headers.update(_persistent_headers(call.headers[_PERSISTENT]))
    if ALGORITHM in call.headers or call.bucket.configs:
        headers.update(requested_encryption(call))
    if total > _MAX_META:
        raise OssError("InvalidArgument", "Meta is too large")
    return call.store.share(headers)


def _persistent_headers(text: str) -> dict[str, str]:
    """x-oss-persistent-headers: "name:base64(value),name:base64(value)"; such headers come back with the object. Raises
    OssError InvalidArgument; a name of OSS's own or of the transfer is none."""
    found: dict[str, str] = {}
    for item in text.split(","):
        name, colon, encoded = item.strip().partition(":")
        name = name.strip().lower()
        try:
            value = b64decode(encoded, validate=True).decode("latin-1")
        except ValueError as error:
            raise invalid(_PERSISTENT, text, "The persistent headers are invalid.") from error
        if not colon or not _TOKEN.fullmatch(name) or name in _RESERVED or name.startswith("x-oss-"):
            raise invalid(_PERSISTENT, text, "The persistent headers are invalid.")
        found[name] = value
    return found


def invalid(name: str, value: str, message: str = "") -> OssError:
    """InvalidArgument that names the argument."""
    return OssError("InvalidArgument", message, extras={"ArgumentName": name, "ArgumentValue": value})


def storage_class(headers: Mapping[str, str], default: str) -> str:
    """x-oss-storage-class. Raises OssError InvalidArgument."""
    value = headers.get("x-oss-storage-class")
    if value is None:
        return default
    if value not in STORAGE_CLASSES:
        raise invalid("x-oss-storage-class", value, "The specified storage class is invalid.")
    return STORAGE_CLASSES[STORAGE_CLASSES.index(value)]


def object_acl(headers: Mapping[str, str]) -> str:
    """x-oss-object-acl, "default" without it. Raises OssError InvalidArgument."""
    value = headers.get("x-oss-object-acl")
    if value is None:
        return "default"
    if value not in OBJECT_ACLS:
        raise invalid("x-oss-object-acl", value, "no such object access control exists")
    return OBJECT_ACLS[OBJECT_ACLS.index(value)]


def check_tags(tags: Mapping[str, str]) -> None:
    """Raises OssError TooManyTags (over 10) or InvalidTag (key 1-128, value up to 256 characters)."""
    if len(tags) > 10:
        raise OssError("TooManyTags")
    for name, value in tags.items():
        if not 1 <= len(name) <= 128 or len(value) > 256:
            raise OssError("InvalidTag", extras={"TagKey": name, "TagValue": value})


def parse_tagging(text: str) -> dict[str, str] | None:
    """The urlencoded pairs of x-oss-tagging; None when there are none. Raises OssError InvalidTag, TooManyTags."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError as error:
        raise OssError("InvalidTag") from error
    tags = dict(pairs)
    if len(tags) != len(pairs):
        raise OssError("InvalidTag", "Cannot provide multiple tags with the same key.")
    check_tags(tags)
    return tags or None


def request_tags(call: Call) -> dict[str, str] | None:
    """The tags that a write gives its object. Raises OssError AccessDenied, InvalidTag, TooManyTags."""
    text = call.headers.get("x-oss-tagging")
    if text is None:
        return None
    call.authorise("oss:PutObjectTagging", call.bucket, call.key)
    return parse_tagging(text)


def forbids_overwrite(headers: Mapping[str, str]) -> bool:
    return headers.get("x-oss-forbid-overwrite", "").lower() == "true"


def refuse_extras(call: Call) -> None:
    """Raises OssError NotImplemented: nobody would be called back, and no bucket has a hierarchical namespace, in which
    alone objects are renamed."""
    if "x-oss-rename-source" in call.headers:
        raise OssError("NotImplemented", "Rename is not implemented.", extras={"Header": "x-oss-rename-source"})
    if "x-oss-callback" in call.headers or "callback" in call.params:
        raise OssError("NotImplemented", "Callbacks are not implemented.", extras={"Header": "x-oss-callback"})


def check_overwrite(call: Call, bucket: Bucket, *, forbidden: bool) -> None:
    """For a write to the call's key. Raises OssError FileAlreadyExists (its header means nothing once versioning was
    switched on or suspended), FileImmutable."""
    if forbidden and bucket.versioning == UNVERSIONED and call.key in bucket.objects:
        raise OssError("FileAlreadyExists", extras={"ObjectName": call.key})
    if bucket.configs:
        check_overwriting(bucket, call.key, call.now)
