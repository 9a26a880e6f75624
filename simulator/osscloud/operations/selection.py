"""Picking the version that a request speaks about, and what reading it depends on: conditions, range, frozen classes.

Pure functions over a call and a bucket; the caller holds `Store.lock` where it goes on to change something.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from osscloud.errors import OssError
from osscloud.operations.call import Call
from osscloud.store import NULL_VERSION, UNVERSIONED, Bucket, Version
from osscloud.xml import parse_http_date

__all__ = [
    "NotModified",
    "check_conditions",
    "check_object_name",
    "check_version_id",
    "find_version",
    "parse_range",
    "select",
    "version_headers",
]

_VERSION_ID = re.compile(r"null|CAEQ[0-9A-Za-z_*=-]{16,100}")
_CONDITIONS = frozenset({"if-match", "if-unmodified-since", "if-none-match", "if-modified-since"})
_RANGE = re.compile(r"\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII)


class NotModified(Exception):
    """The answer is 304: a condition of a read says that the client has it already."""


def check_object_name(key: str) -> None:
    """Raises OssError InvalidObjectName: 1 to 1023 bytes of UTF-8 that do not start with "/" or "\\"."""
    if key.isascii():
        size = len(key)
    else:
        try:
            size = len(key.encode())
        except UnicodeEncodeError:
            size = 0  # bytes that are not UTF-8
    if not 1 <= size <= 1023 or key[0] in "/\\":
        shown = key.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        raise OssError("InvalidObjectName", extras={"ObjectName": shown})


def check_version_id(version_id: str) -> None:
    """Raises OssError InvalidArgument for a text that can never be a version id."""
    if not version_id:
        message = "Version id can not be the empty string."
    elif not _VERSION_ID.fullmatch(version_id):
        message = "Invalid version id specified."
    else:
        return
    raise OssError("InvalidArgument", message, extras={"ArgumentName": "versionId", "ArgumentValue": version_id})


def find_version(bucket: Bucket, key: str, version_id: str | None, method: str = "GET") -> Version:
    """The object version to read: the newest, or the one asked for; never a delete marker. method: the request's, for
    the error that names it.

    Raises OssError NoSuchKey, NoSuchVersion, MethodNotAllowed (a marker by id), InvalidArgument (bad id)."""
    if version_id is None:
        current = bucket.objects.get(key)
        if current is not None:
            return current
        marker = bucket.buried.get(key)
        raise OssError(
            "NoSuchKey",
            extras={"Key": key},
            headers={} if marker is None else _marker_headers(marker),
        )
    check_version_id(version_id)
    version = bucket.find(key, version_id)
    if version is None:
        raise OssError("NoSuchVersion", extras={"Key": key, "VersionId": version_id})
    if version.is_marker:
        raise OssError(
            "MethodNotAllowed",
            extras={"Method": method, "ResourceType": "DeleteMarker"},
            headers={**_marker_headers(version), "Allow": "DELETE"},
        )
    return version


def select(call: Call) -> Version:
    """`find_version` for the call's key and versionId."""
    with call.store.lock:
        return find_version(call.bucket, call.key, call.params.get("versionId"), call.method)


def _marker_headers(marker: Version) -> dict[str, str]:
    return {"x-oss-delete-marker": "true", "x-oss-version-id": marker.version_id}


def version_headers(bucket: Bucket, version: Version) -> dict[str, str]:
    """x-oss-version-id, in buckets that have or had versioning only."""
    if bucket.versioning == UNVERSIONED and version.version_id == NULL_VERSION:
        return {}
    return {"x-oss-version-id": version.version_id}


def _names_etag(condition: str, etag: str) -> bool:
    wanted = etag.strip('"').upper()
    return any(item.strip().strip('"').upper() in (wanted, "*") for item in condition.split(","))


def check_conditions(headers: Mapping[str, str], version: Version, prefix: str = "") -> None:
    """Evaluates If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since, or with prefix
    "x-oss-copy-source-" their counterparts of a copy. A date that cannot be read counts as absent.

    Raises OssError PreconditionFailed, NotModified."""
    if not prefix and _CONDITIONS.isdisjoint(headers):
        return
    value = headers.get(prefix + "if-match")
    if value is not None and not _names_etag(value, version.etag):
        raise _failed("If-Match")
    value = headers.get(prefix + "if-unmodified-since")
    if value is not None:
        moment = parse_http_date(value)
        if moment is not None and version.modified > moment:
            raise _failed("If-Unmodified-Since")
    value = headers.get(prefix + "if-none-match")
    if value is not None:
        if _names_etag(value, version.etag):
            raise NotModified
        return
    value = headers.get(prefix + "if-modified-since")
    if value is not None:
        moment = parse_http_date(value)
        if moment is not None and version.modified <= moment:
            raise NotModified


def _failed(condition: str) -> OssError:
    return OssError("PreconditionFailed", extras={"Condition": condition})


def parse_range(
    text: str, size: int, *, standard: bool, overlong: Literal["ignore", "refuse"] = "ignore"
) -> tuple[int, int] | None:
    """start, stop of the bytes to answer; None: the whole object with status 200.

    standard: as RFC 9110 says (x-oss-range-behavior: standard). Otherwise as OSS does by default: a range that is
    malformed or that reaches outside of the object is ignored, or refused when `overlong` says so. Of several ranges
    the first counts. Raises OssError InvalidRange."""
    unit, _, ranges = text.partition("=")
    match = _RANGE.fullmatch(ranges.partition(",")[0])
    if unit.strip().lower() != "bytes" or match is None or match[0].strip() == "-":
        return None
    first, last = match.groups()
    if first:
        start = int(first)
        stop = int(last) + 1 if last else size
        if last and stop <= start:
            return None
        inside = start < size and stop <= size
    else:
        start = size - int(last)
        stop = size
        inside = 0 <= start < size
    if inside:
        return start, stop
    if standard:
        if start >= size:
            raise OssError("InvalidRange", extras={"RangeHeader": text, "ObjectSize": str(size)})
        return max(0, start), min(stop, size)
    if overlong == "refuse":
        raise OssError("InvalidRange", extras={"RangeHeader": text, "ObjectSize": str(size)})
    return None
