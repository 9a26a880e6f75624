"""Access tracking: whether a bucket notes when its objects are read, and since when.

The moment is kept with the configuration and not given back. What is made of accesses is `lifecycle`'s business. Any
thread; changes under the store's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from osscloud.errors import OssError
from osscloud.operations.call import Call
from osscloud.operations.config import Configuration, Schema, configured, document, number, one_of, unset
from osscloud.store import Bucket
from osscloud.xml import Document, parse

__all__ = ["CONFIGURATION", "tracked_since"]

_ROOT = "AccessMonitorConfiguration"
_SCHEMA: Schema = {"Status": one_of("Enabled", "Disabled")}
_SINCE = "Since"


@dataclass(frozen=True, slots=True)
class _Tracking:
    enabled: bool
    since: int


def _read(kept: bytes) -> _Tracking:
    root = parse(kept, _ROOT)
    return _Tracking(root.findtext("Status") == "Enabled", int(root.findtext(_SINCE) or 0))


def tracked_since(bucket: Bucket) -> int | None:
    """Since when accesses are noted, in seconds since the epoch; None: they are not."""
    tracking = configured(bucket, "accessmonitor", _read)
    return tracking.since if tracking is not None and tracking.enabled else None


def _accept(call: Call, body: bytes) -> bytes:
    """Raises OssError AccessMonitorDisableNotAllowed while a lifecycle rule goes by accesses."""
    root = document(_ROOT, _SCHEMA, body)
    if root.findtext("Status") == "Enabled":
        since = tracked_since(call.bucket)
        SubElement(root, _SINCE).text = str(call.now if since is None else since)
    elif configured(call.bucket, "lifecycle", _goes_by_access):
        raise OssError("AccessMonitorDisableNotAllowed", extras={"BucketName": call.bucket.name})
    kept: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return kept


def _goes_by_access(kept: bytes) -> bool:
    return any(element.text == "true" for element in parse(kept, "").iter("IsAccessTime"))


def _shown(status: str) -> bytes:
    shown = Document(_ROOT)
    shown.leaf("Status", status)
    return shown.bytes()


def _render(kept: bytes) -> bytes:
    root: Element = document(_ROOT, {**_SCHEMA, f"{_SINCE}?": number()}, kept)
    return _shown(root.findtext("Status") or "")


CONFIGURATION = Configuration(
    "accessmonitor", "BucketAccessMonitor", _accept, unset(_shown("Disabled")), _render, deletable=False
)
