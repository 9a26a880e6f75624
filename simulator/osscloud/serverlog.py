"""Server access logging: every hour the requests to a bucket become an object in its target bucket.

Not the access log of this cloud (`accesslog`), which this reads. Callers hold the store's lock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree.ElementTree import Element

from osscloud.accesslog import LogRecord
from osscloud.blob import crc64_of, etag_of
from osscloud.errors import OssError
from osscloud.operations.call import Call, Ids
from osscloud.operations.config import Schema, configured, text, unset, xml
from osscloud.operations.metadata import invalid
from osscloud.store import Bucket, Store, Version
from osscloud.xml import Document, parse

__all__ = ["CONFIGURATION", "HOUR", "log_line", "write_logs"]

HOUR = 3600
_BEIJING = 8 * HOUR
_ROOT = "BucketLoggingStatus"
_SCHEMA: Schema = {"LoggingEnabled?": {"TargetBucket": text, "TargetPrefix?": text, "LoggingRole?": text}}


@dataclass(frozen=True, slots=True)
class _Target:
    bucket: str
    prefix: str


def _target(kept: bytes) -> _Target | None:
    enabled = parse(kept, _ROOT).find("LoggingEnabled")
    if enabled is None:
        return None
    return _Target(enabled.findtext("TargetBucket") or "", enabled.findtext("TargetPrefix") or "")


def _check(call: Call, element: Element) -> None:
    """Raises OssError InvalidTargetBucketForLogging, InvalidArgument."""
    enabled = element.find("LoggingEnabled")
    if enabled is None:
        return
    target = call.store.buckets.get(enabled.findtext("TargetBucket") or "")
    if target is None or target.owner != call.bucket.owner:
        raise OssError("InvalidTargetBucketForLogging", extras={"TargetBucket": enabled.findtext("TargetBucket") or ""})
    prefix = enabled.findtext("TargetPrefix") or ""
    if len(prefix) > 32:
        raise invalid("TargetPrefix", prefix, "The prefix of log objects has at most 32 characters.")


CONFIGURATION = xml("logging", "BucketLogging", _ROOT, _SCHEMA, check=_check, unset=unset(Document(_ROOT).bytes()))


def _quoted(value: object) -> str:
    shown = str(value).replace('"', "%22")
    return f'"{shown or "-"}"'


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def log_line(record: LogRecord, bucket: Bucket) -> str:
    """One line in the vendor's format; "-" for what this cloud does not know."""
    when = time.strftime("%d/%b/%Y:%H:%M:%S", time.gmtime(record.time + _BEIJING))
    milliseconds = round(record.cost_ms)
    return " ".join(
        (
            record.client_ip or "-",
            "-",
            "-",
            f"[{when} +0800]",
            _quoted(f"{record.http_method} {record.request_uri} HTTP/1.1"),
            str(record.http_status),
            str(record.bytes_out),
            str(milliseconds),
            _quoted(record.referer),
            _quoted(record.user_agent),
            _quoted(record.host),
            _quoted(record.request_id),
            _quoted("true"),
            _quoted(record.requester_id),
            _quoted(record.operation),
            _quoted(record.bucket),
            _quoted(quote(record.object, safe="", errors="surrogateescape")),
            _number(record.object_size),
            str(milliseconds),
            _quoted(record.error_code),
            str(record.bytes_in),
            _quoted(bucket.owner),
            _number(record.delta_data_size),
            _quoted(""),
            _quoted(bucket.storage_class.lower()),
            _quoted(""),
            _quoted(""),
            _quoted(record.access_key_id),
        )
    )


def write_logs(store: Store, ids: Ids, records: Sequence[LogRecord]) -> None:
    """Writes the log objects for these records, which belong to whole hours that are over."""
    hours: dict[tuple[str, int], list[LogRecord]] = {}
    for record in records:
        hours.setdefault((record.bucket, int(record.time // HOUR * HOUR)), []).append(record)
    for (name, hour), found in hours.items():
        source = store.buckets.get(name)
        target = None if source is None else configured(source, "logging", _target)
        if source is None or target is None or target.bucket not in store.buckets:
            continue
        body = "".join(log_line(record, source) + "\n" for record in found).encode("utf-8", "surrogateescape")
        stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(hour + _BEIJING))
        bucket = store.buckets[target.bucket]
        bucket.publish(
            Version(
                f"{target.prefix}{name}{stamp}-0001",
                version_id=ids.version_id(bucket),
                type="Normal",
                modified=hour + HOUR,
                content=body,
                etag=etag_of(body),
                crc64=crc64_of(body),
                headers=store.share({"Content-Type": "text/plain"}),
                storage_class=bucket.storage_class,
            )
        )
