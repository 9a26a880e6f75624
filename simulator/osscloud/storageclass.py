"""Storage classes: what can be read when, RestoreObject, CleanRestoredObject, and what the cost model adds.

A frozen object thaws by itself as the clock moves: `Tiering` holds the two moments, nothing runs in between. Any
thread; callers that change a version hold the store's lock.
"""

from __future__ import annotations

from dataclasses import replace

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.config import boolean, configured, document, number, text
from osscloud.operations.selection import select, version_headers
from osscloud.store import Bucket, Tiering, Version
from osscloud.xml import http_date, parse

__all__ = [
    "FROZEN_CLASSES",
    "MIN_BILLED_BYTES",
    "STORAGE_CLASSES",
    "check_readable",
    "clean_restored_object",
    "restore_info",
    "restore_object",
    "tiering_headers",
]

STORAGE_CLASSES = ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive")
"""From the warmest to the coldest."""

FROZEN_CLASSES = ("Archive", "ColdArchive", "DeepColdArchive")

MIN_BILLED_BYTES = 65_536
"""A smaller object of any class but Standard is billed as this much (vendor documentation, "Storage classes")."""

DAY = 86_400

THAW_SECONDS = {
    ("Archive", ""): 60,
    ("ColdArchive", "Expedited"): 3600,
    ("ColdArchive", "Standard"): 5 * 3600,
    ("ColdArchive", "Bulk"): 12 * 3600,
    ("DeepColdArchive", "Expedited"): 12 * 3600,
    ("DeepColdArchive", "Standard"): 48 * 3600,
}
"""The longest that the vendor's documentation gives for a class and tier."""

_FASTER = ("Bulk", "Standard", "Expedited")


def restore_info(version: Version, now: int) -> str:
    """The text of x-oss-restore and of RestoreInfo, "" for an object that was not restored or has frozen again."""
    tiering = version.tiering
    if tiering is None or now >= tiering.frozen:
        return ""
    if now < tiering.thawed:
        return 'ongoing-request="true"'
    return f'ongoing-request="false", expiry-date="{http_date(tiering.frozen)}"'


def tiering_headers(version: Version, now: int) -> dict[str, str]:
    """x-oss-restore, x-oss-transition-time, x-oss-last-access-time of a version that has tiering."""
    tiering = version.tiering
    if tiering is None:
        return {}
    headers = {}
    info = restore_info(version, now)
    if info:
        headers["x-oss-restore"] = info
    if tiering.transitioned:
        headers["x-oss-transition-time"] = http_date(tiering.transitioned)
    if tiering.accessed:
        headers["x-oss-last-access-time"] = http_date(tiering.accessed)
    return headers


def _enabled(kept: bytes) -> bool:
    return boolean(parse(kept, "ArchiveDirectReadConfiguration").findtext("Enabled") or "")


def check_readable(bucket: Bucket, version: Version, now: int) -> None:
    """Raises OssError InvalidObjectState when the content is frozen."""
    if version.storage_class not in FROZEN_CLASSES:
        return
    tiering = version.tiering
    if tiering is not None and tiering.thawed <= now < tiering.frozen:
        return
    if version.storage_class == "Archive" and configured(bucket, "bucketArchiveDirectRead", _enabled):
        return
    raise OssError("InvalidObjectState", extras={"ObjectName": version.key})


def _parse_request(call: Call, storage_class: str) -> tuple[int, str]:
    """Days and tier that a RestoreRequest asks for. Raises OssError MalformedXML, InvalidArgument."""
    days, tier = 1, "" if storage_class == "Archive" else "Standard"
    if not len(call.request.body):
        return days, tier
    root = document("RestoreRequest", {"Days?": number(), "JobParameters?": {"Tier?": text}}, bytes(call.request.body))
    days = int(root.findtext("Days") or 1)
    if not 1 <= days <= call.config.max_restore_days:
        raise OssError(
            "InvalidArgument",
            f"Days must be between 1 and {call.config.max_restore_days}.",
            extras={"ArgumentName": "Days", "ArgumentValue": str(days)},
        )
    if root.find("JobParameters") is not None:
        if storage_class == "Archive":
            raise OssError("MalformedXML")
        tier = root.findtext("JobParameters/Tier") or tier
        if (storage_class, tier) not in THAW_SECONDS:
            raise OssError(
                "InvalidArgument", ec="0016-00000703", extras={"ArgumentName": "Tier", "ArgumentValue": tier}
            )
    return days, tier


def restore_object(call: Call) -> Response:
    """POST /key?restore: 202 when a thaw begins (or gets a faster tier), 200 when it only extends a restored copy.

    Raises OssError OperationNotSupported, RestoreAlreadyInProgress, MalformedXML, InvalidArgument."""
    with call.store.lock:
        version = select(call)
        if version.storage_class not in FROZEN_CLASSES or version.type == "Symlink":
            raise OssError("OperationNotSupported")
        days, tier = _parse_request(call, version.storage_class)
        tiering = version.tiering or Tiering()
        answer = version_headers(call.bucket, version)
        if tier:
            answer["x-oss-object-restore-priority"] = tier
        if tiering.thawed <= call.now < tiering.frozen:
            version.tiering = replace(tiering, frozen=max(tiering.frozen, call.now + days * DAY))
            call.bucket.changed(version)
            return Response(200, answer)
        thawed = call.now + THAW_SECONDS[version.storage_class, tier]
        if call.now < tiering.thawed:
            if not tier or _FASTER.index(tier) <= _FASTER.index(tiering.tier):
                slower = bool(tier) and tier != tiering.tier
                raise OssError("RestoreAlreadyInProgress", ec="0016-00000715" if slower else "")
            thawed = min(thawed, tiering.thawed)
        version.tiering = replace(tiering, thawed=thawed, frozen=thawed + days * DAY, tier=tier)
        call.bucket.changed(version)
    return Response(202, answer)


def clean_restored_object(call: Call) -> Response:
    """POST /key?cleanRestoredObject: the restored copy ends now. Raises OssError ArchiveRestoreNotFinished,
    OperationNotSupported."""
    with call.store.lock:
        version = select(call)
        if version.storage_class not in FROZEN_CLASSES:
            raise OssError("OperationNotSupported")
        tiering = version.tiering
        if tiering is not None and call.now < tiering.frozen:
            if call.now < tiering.thawed:
                raise OssError("ArchiveRestoreNotFinished")
            version.tiering = replace(tiering, frozen=0, thawed=0, tier="")
            call.bucket.changed(version)
    return Response(200, version_headers(call.bucket, version))
